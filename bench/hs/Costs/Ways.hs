-- | Each way to hold a block: making it, writing a byte to it and giving it back.
module Costs.Ways
  ( ways
  , touch
  , times
  ) where

import Control.Exception (bracket)
import Control.Monad
import qualified Data.ByteString.Internal as ByteString
import qualified Data.ByteString.Unsafe as ByteString
import Data.Word (Word8)
import qualified Foreign.ForeignPtr as Base
import Foreign.Marshal.Alloc (allocaBytes, finalizerFree, free, mallocBytes)
import System.Mem (performMinorGC)

import Costs.Measure (runFinalizers)
import Mimalloc
import qualified Mimalloc.ByteString as Mi
import Mimalloc.Heap

-- | Of so many bytes, so many times.
ways :: [(String, Int -> Int -> IO ())]
ways =
  [ ("base allocaBytes", \size -> times (allocaBytes size touch))
  , ("base mallocBytes, free", \size -> times (mallocBytes size >>= \p -> touch p >> free p))
  , ("base bracket mallocBytes free", \size -> times (bracket (mallocBytes size) free touch))
  , ("base mallocForeignPtrBytes", \size -> times (Base.mallocForeignPtrBytes size >>= held))
  , ("base newForeignPtr finalizerFree", unseen $ \size ->
       times (mallocBytes size >>= Base.newForeignPtr finalizerFree >>= held))
  , ("base ByteString", \size -> times (ByteString.create size touch >>= read1))
  , ("mi_malloc, mi_free", \size -> times (mi_malloc (fromIntegral size) >>= \p -> touch p >> mi_free p))
  , ("bracket mi_malloc mi_free", \size -> times (bracket (mi_malloc (fromIntegral size)) mi_free touch))
  , ("withMallocBytes", \size -> times (withMallocBytes size touch))
  , ("mallocForeignPtrBytes", unseen $ \size -> times (mallocForeignPtrBytes size >>= held))
  , ("mallocForeignPtrBytes, finalizeForeignPtr", \size ->
       times (mallocForeignPtrBytes size >>= \fp -> held fp >> Base.finalizeForeignPtr fp))
  , ("ByteString", unseen $ \size -> times (Mi.create size touch >>= read1))
  , ("withHeap: withHeapMallocBytes", \size n -> withHeap $ \h -> times (withHeapMallocBytes h size touch) n)
  , ("withHeap: heapMallocForeignPtrBytes", unseen $ \size n ->
       withHeap $ \h -> times (heapMallocForeignPtrBytes h size >>= held) n)
  , ("newHeap: heapMallocForeignPtrBytes", unseen regions)
  ]
  where
    held fp = withForeignPtr fp touch
    -- One region for some MiB, all its costs included.
    regions size n = do
      let each = max 20 (min 1000 (4000000 `div` size))
      replicateM_ (n `div` each) $ newHeap >>= \h -> times (heapMallocForeignPtrBytes h size >>= held) each
      newHeap >>= \h -> times (heapMallocForeignPtrBytes h size >>= held) (n `rem` each)
    read1 s = when (ByteString.unsafeHead s /= 1) $ fail "a byte string lost its byte"

-- | The garbage collector does not see these blocks, and a busy program gives its finalizers no time: a
-- collection for every 64 MiB of them or 4096, finalizers included, as a program would ask for that wants its
-- garbage bounded (docs/guide.md).
unseen :: (Int -> Int -> IO ()) -> Int -> Int -> IO ()
unseen way size = go
  where
    go n | n <= most = way size n
         | otherwise = way size most >> performMinorGC >> runFinalizers >> go (n - most)
    most = max 1 (min 4096 (67108864 `div` size))

touch :: Ptr Word8 -> IO ()
touch p = poke p 1
{-# INLINE touch #-}

times :: IO () -> Int -> IO ()
times act = go
  where go 0 = pure ()
        go n = act >> go (n - 1)
{-# INLINE times #-}
