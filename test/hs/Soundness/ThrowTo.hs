-- No allocation but GHC's own, and it crashes: threads on several capabilities throw at each other while
-- there are many small collections (GHC 9.0.2, 9.6.6 and 9.10.3, within a second; with -N1 it ends well).
-- That is why the soundness test throws seldom, and not at all where it collects all the time.
--
--   mkdir -p build/throwto
--   ghc -threaded -rtsopts test/hs/Soundness/ThrowTo.hs -outputdir build/throwto -o build/throwto/it
--   build/throwto/it +RTS -N4 -A256k
module Main (main) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.IORef
import GHC.Clock (getMonotonicTime)

main :: IO ()
main = do
  end <- (+ 6) <$> getMonotonicTime
  threads <- newIORef []
  done <- newEmptyMVar
  let throwAt targets = do
        me <- myThreadId
        forM_ targets $ \t -> do
          forM_ [1 .. 2000 :: Int] $ \i -> newIORef i >>= \r -> modifyIORef' r (+ 1)
          when (t /= me) $ throwTo t (userError "struck")
        now <- getMonotonicTime
        when (now < end) $ readIORef threads >>= throwAt
      struck go = try go
        >>= either (\e -> const (struck go) (e :: IOException)) (uninterruptibleMask_ . putMVar done)
  ts <- replicateM 12 $ mask_ (forkIOWithUnmask (\unmask -> struck (unmask (throwAt []))))
  writeIORef threads ts
  replicateM_ 12 (takeMVar done)
  putStrLn "it ended well"
