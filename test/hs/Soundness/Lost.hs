-- No allocation but base's own. Foreign pointers go from thread to thread through MVars while there are many
-- major collections: with the non-moving collector some are finalized while they are in use (GHC 9.6.6 and
-- 9.10.3, within a second; not seen with 9.0.2). That is why the soundness test does not collect all the time
-- there.
--
--   mkdir -p build/lost
--   ghc -O -threaded -rtsopts test/hs/Soundness/Lost.hs -outputdir build/lost -o build/lost/it
--   build/lost/it +RTS -N4 -A256k -xn
module Main (main) where

import Control.Concurrent
import Control.Monad (forM_, replicateM, replicateM_, unless, when)
import Foreign
import GHC.Clock (getMonotonicTime)
import System.Exit (exitFailure)
import System.Mem (performMajorGC)

make :: Int -> IO (ForeignPtr Int)
make k = do
  p <- mallocArray 8
  pokeArray p (replicate 8 k)
  newForeignPtr finalizerFree p

look :: ForeignPtr Int -> IO ()
look fp = do
  ks <- withForeignPtr fp (peekArray 8)
  unless (all (== last ks) ks) $ putStrLn ("finalized while in use: " ++ show ks) >> exitFailure

main :: IO ()
main = do
  end <- (+ 6) <$> getMonotonicTime
  boxes <- replicateM 64 newEmptyMVar
  done <- newEmptyMVar
  let step i k = do
        if even (k + i) then make k >>= \fp -> tryPutMVar (boxes !! (k * 7 `mod` 64)) fp >> pure ()
                        else tryTakeMVar (boxes !! (k * 5 `mod` 64)) >>= mapM_ look
        when (k `mod` 3 == 0) performMajorGC
        now <- getMonotonicTime
        when (now < end) $ step i (k + 1)
  forM_ [1 .. 12] $ \i -> forkFinally (step i 0) (putMVar done)
  replicateM_ 12 (takeMVar done >>= either (error . show) pure)
  putStrLn "it ended well"
