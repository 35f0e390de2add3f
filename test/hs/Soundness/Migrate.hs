-- No allocation but GHC's own. Threads yield and collect while the number of capabilities changes: with the
-- non-moving collector GHC aborts (9.0.2, 9.6.6, 9.10.3, one run in four or so; "resurrectThreads: thread
-- blocked in a strange way"), or crashes.
--
--   mkdir -p build/migrate
--   ghc -O -threaded -rtsopts test/hs/Soundness/Migrate.hs -outputdir build/migrate -o build/migrate/it
--   build/migrate/it +RTS -N4 -A256k -xn
module Main (main) where

import Control.Concurrent
import Control.Monad (forM_, replicateM_, when)
import GHC.Clock (getMonotonicTime)
import System.Mem (performMajorGC)

main :: IO ()
main = do
  end <- (+ 6) <$> getMonotonicTime
  done <- newEmptyMVar
  let work k = do
        when (k `mod` 3 == (0 :: Int)) performMajorGC
        yield
        now <- getMonotonicTime
        when (now < end) $ work (k + 1)
      change (n : ns) = do
        setNumCapabilities n
        replicateM_ 100 yield
        now <- getMonotonicTime
        when (now < end) $ change ns
      change [] = pure ()
  forM_ [1 .. 12 :: Int] $ \_ -> forkIO (work 0 >> putMVar done ())
  change (cycle [1, 4, 2, 5])
  replicateM_ 12 (takeMVar done)
  putStrLn "it ended well"
