-- A program into which much of the package is inlined. It goes on as always with another mimalloc preloaded,
-- whose functions have the same public names. test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Exception (throwIO)
import Control.Monad
import qualified Data.ByteString as Bytes
import Data.Word (Word64, Word8)
import Foreign.ForeignPtr (withForeignPtr)
import Foreign.Ptr
import Foreign.Storable
import System.Exit
import System.Mem (performMajorGC)

import Mimalloc
import Mimalloc.ByteString (mallocByteString)
import Mimalloc.Capability
import Mimalloc.Heap
import Mimalloc.Stats
import qualified Data.Vector.Storable as Vector
import Mimalloc.Vector (zallocVector)

main :: IO ()
main = do
  before <- fst <$> liveBlocks
  done <- replicateM 4 $ do
    v <- newEmptyMVar
    v <$ forkFinally (replicateM_ 200 blocks) (putMVar v)
  mapM_ (takeMVar >=> either throwIO pure) done
  drainAll
  settled before 10000
  putStrLn "fine"

-- Finalizers run some time after a collection.
settled :: Int -> Int -> IO ()
settled before tries = do
  performMajorGC
  yield
  now <- fst <$> liveBlocks
  when (now > before) $ check (show now ++ " live blocks") (tries > 0) >> settled before (tries - 1)

blocks :: IO ()
blocks = do
  fp <- mallocForeignPtrBytes 1000
  zeroed <- zallocForeignPtrBytes 70000
  n <- withForeignPtr fp usableSize
  check "usableSize" (n >= 1000 && n <= goodSize 1000)
  withForeignPtr zeroed $ \p -> peek p >>= check "zeroed" . (== 0)
  withMallocBytes 100 $ \p -> do
    poke p 7
    size <- mi_usable_size p
    check "in a bracket" (size >= 100)
  p <- mi_malloc 50 :: IO (Ptr Word64)
  poke p 5
  q <- mi_realloc p 5000 :: IO (Ptr Word64)
  r <- mi_realloc q (3 * 1024 * 1024) :: IO (Ptr Word64)
  peek r >>= check "resized" . (== 5)
  mi_usable_size r >>= check "large" . (>= 3 * 1024 * 1024)
  mi_free r
  withHeap $ \heap -> do
    inside <- heapMallocForeignPtrBytes heap 300
    withForeignPtr inside $ \i -> heapContainsBlock heap i >>= check "in its heap"
    withHeapZallocBytes heap 5000 (peek >=> check "zeroed in a heap" . (== (0 :: Word8)))
  heap <- mi_heap_new
  b <- mi_heap_malloc heap 64 :: IO (Ptr Word8)
  mi_heap_contains_block heap b >>= check "mi_heap_contains_block" . (/= 0)
  mi_heap_destroy heap
  bytes <- mallocByteString 500
  check "bytes" (Bytes.length bytes == 500)
  v <- zallocVector 100
  check "vector" (Vector.sum v == (0 :: Word64))

check :: String -> Bool -> IO ()
check _ True = pure ()
check what False = putStrLn ("not as it should be: " ++ what) >> exitFailure
