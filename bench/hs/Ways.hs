-- What each way to hold a block costs: nanoseconds for making it, writing a byte to it and giving it back, at three sizes.
-- Those that the garbage collector gives back pay for the collections, too, the last one included. As many loops as there are
-- capabilities run at once; the figure is for one operation of one loop, the best of 15 runs.
--
--   tools/cabal bench costs --benchmark-options='+RTS -N1'
module Main (main) where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8, Word64)
import qualified Foreign.ForeignPtr as Base
import Foreign.Marshal.Alloc (allocaBytes, finalizerFree, free, mallocBytes)
import GHC.Clock (getMonotonicTimeNSec)
import System.Mem (performGC)
import Text.Printf (printf)

import Mimalloc
import Mimalloc.Heap

main :: IO ()
main = do
  n <- getNumCapabilities
  printf "| ns per operation, -N%d | %s |\n|---|%s\n" n (join' (map label sizes)) (concatMap (const "---|") sizes)
  forM_ ways $ \(name, way) -> do
    figures <- forM sizes $ \size -> do
      let count = if size > 10000 then 10000 else 50000
      runs <- replicateM 15 (measure n count (way size))
      pure (printf "%.0f" (minimum runs / fromIntegral count) :: String)
    printf "| %s | %s |\n" name (join' figures)
  where
    join' = foldr1 (\a b -> a ++ " | " ++ b)
    label size = if size < 1024 then show size ++ " B" else show (size `div` 1024) ++ " KiB"

sizes :: [Int]
sizes = [48, 4096, 65536]

-- Of so many bytes, so many times.
ways :: [(String, Int -> Int -> IO ())]
ways =
  [ ("base `allocaBytes`", \size -> times (allocaBytes size touch))
  , ("base `mallocBytes`, `free`", \size -> times (mallocBytes size >>= \p -> touch p >> free p))
  , ("base `mallocForeignPtrBytes`", \size -> times (Base.mallocForeignPtrBytes size >>= held))
  , ("base `newForeignPtr finalizerFree`", \size -> times (mallocBytes size >>= Base.newForeignPtr finalizerFree >>= held))
  , ("`mi_malloc`, `mi_free`", \size -> times (mi_malloc (fromIntegral size) >>= \p -> touch p >> mi_free p))
  , ("`withMallocBytes`", \size -> times (withMallocBytes size touch))
  , ("`mallocForeignPtrBytes`", \size -> times (mallocForeignPtrBytes size >>= held))
  , ("`mallocForeignPtrBytes`, `finalizeForeignPtr`", \size -> times (mallocForeignPtrBytes size >>= \fp -> held fp >> Base.finalizeForeignPtr fp))
  , ("`withHeap`: `withHeapMallocBytes`", \size n -> withHeap $ \h -> times (withHeapMallocBytes h size touch) n)
  , ("`withHeap`: `heapMallocForeignPtrBytes`", \size n -> withHeap $ \h -> times (heapMallocForeignPtrBytes h size >>= held) n)
  , ("`newHeap`, one for some MiB: `heapMallocForeignPtrBytes`", regions)
  ]
  where
    held fp = withForeignPtr fp touch
    regions size n = do
      let each = max 20 (min 1000 (4000000 `div` size))
      replicateM_ (n `div` each) $ newHeap >>= \h -> times (heapMallocForeignPtrBytes h size >>= held) each

touch :: Ptr Word8 -> IO ()
touch p = poke p 1
{-# INLINE touch #-}

times :: IO () -> Int -> IO ()
times act = go
  where go 0 = pure ()
        go n = act >> go (n - 1)
{-# INLINE times #-}

measure :: Int -> Int -> (Int -> IO ()) -> IO Double
measure loops count way = do
  performGC >> performGC
  start <- getMonotonicTimeNSec
  dones <- forM [0 .. loops - 1] $ \c -> do
    done <- newEmptyMVar
    done <$ forkOn c (way count >> putMVar done ())
  mapM_ takeMVar dones
  performGC
  end <- getMonotonicTimeNSec
  pure (fromIntegral (end - start :: Word64))
