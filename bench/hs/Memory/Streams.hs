-- | Blocks that the garbage collector frees: all of them dropped, most of them dropped, and many that stay.
module Memory.Streams
  ( buffers
  , strings
  , live
  , New
  , block
  , touch
  ) where

import Control.Monad
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Unsafe as Unsafe
import Data.IORef
import qualified Data.Vector.Mutable as Vector
import Data.Word (Word8)
import qualified Foreign.ForeignPtr as Base
import Foreign.Marshal.Alloc (finalizerFree, mallocBytes)
import Foreign.Ptr (castPtr)
import GHC.Stats (RTSStats (..), getRTSStats, getRTSStatsEnabled)
import System.Exit (die)

import Memory.Drain
import Memory.Report
import Mimalloc
import qualified Mimalloc.ByteString as Mi
import Mimalloc.Heap

-- | Makes a block of so many bytes.
type New = Int -> IO (ForeignPtr Word8)

block :: String -> New
block who = case who of
  "mi" -> mallocForeignPtrBytes
  "mi-off" -> mallocForeignPtrBytes
  "base" -> ofMalloc
  "pinned" -> Base.mallocForeignPtrBytes
  _ -> const (die ("nobody is called " ++ who))

ofMalloc :: New
ofMalloc size = mallocBytes size >>= Base.newForeignPtr finalizerFree

-- | A byte of each page.
touch :: Int -> Ptr Word8 -> IO ()
touch size p = go 0
  where go i | i >= size = pure ()
             | otherwise = pokeByteOff p i (1 :: Word8) >> go (i + 4096)

-- | So many blocks, one after the other: each page is written to, then the block is dropped.
buffers :: String -> Int -> Int -> IO ()
buffers who size count = do
  own
  phase "start"
  liveBytes size
  replicateM_ count $ new size >>= \block' -> withForeignPtr block' (touch size)
  phase "end"
  where new = block who

-- | Every 50th of so many strings of 20 bytes is kept. `region`: what is kept is copied to a heap that the
-- collector owns, the others are bytestring's. `regions`: the others, too, are in such heaps, one for 10000.
strings :: String -> Int -> IO ()
strings who count = do
  kept <- Vector.replicate (count `div` 50 + 1) ByteString.empty
  own
  phase "start"
  case who of
    "mi" -> each kept (Mi.create 20) pure
    "base" -> each kept (\fill -> mallocBytes 20 >>= \p ->
      fill p >> Unsafe.unsafePackMallocCStringLen (castPtr p, 20)) pure
    "pinned" -> each kept (Internal.create 20) pure
    "region" -> newHeap >>= \heap -> each kept (Internal.create 20) (Mi.heapCopy heap)
    "regions" -> do
      heap <- newHeap
      scratch <- newHeap >>= newIORef
      used <- newIORef (0 :: Int)
      let new fill = do
            n <- readIORef used
            when (n == 10000) $ newHeap >>= writeIORef scratch
            writeIORef used $! if n == 10000 then 1 else n + 1
            readIORef scratch >>= \h -> filled h fill
      each kept new (Mi.heapCopy heap)
    _ -> die ("nobody is called " ++ who)
  phase "end"
  forM_ [0, 97 .. count `div` 50 - 1] $ \i -> do
    first <- Unsafe.unsafeHead <$> Vector.read kept i
    when (first /= fromIntegral (50 * i)) $ die "a string lost its bytes"
  where
    filled heap fill = do
      s <- Mi.heapMallocByteString heap 20
      s <$ Unsafe.unsafeUseAsCString s (fill . castPtr)
    {-# INLINE each #-}
    each :: Vector.IOVector ByteString -> ((Ptr Word8 -> IO ()) -> IO ByteString) ->
      (ByteString -> IO ByteString) -> IO ()
    each kept new keep = go 0
      where
        go i | i == count = pure ()
             | otherwise = do
                 s <- new (\p -> poke p (fromIntegral i) >> pokeByteOff p 19 (1 :: Word8))
                 when (i `rem` 50 == 0) $ keep s >>= Vector.write kept (i `div` 50)
                 when (i `rem` 500000 == 0) $ liveBytes (20 * (i `div` 50 + 1))
                 go (i + 1)

-- | 16384 blocks of 64 KiB, little of them written to, stay while each round makes Haskell values, keeps some
-- of them for a while, drops 64 such blocks and replaces 16 of those that stay.
live :: String -> Int -> IO ()
live who rounds = do
  when (who == "mi-off") noPressure
  held <- Vector.generateM blocks (const (made size))
  values <- newIORef [0 :: Int]
  own
  phase "start"
  liveBytes (blocks * size)
  before <- collections
  forM_ [1 .. rounds] $ \i -> do
    writeIORef values $! forced (map (+ i) [1 .. 20000])
    readIORef values >>= \v -> when (sum v == 0) $ die "the sum is wrong"
    replicateM_ 64 (made size)
    forM_ [1 .. 16] $ \j -> made size >>= Vector.write held ((i * 16 + j) * 7919 `rem` blocks)
  phase "end"
  after <- collections
  zipWithM_ figure ["collections", "major", "gc_s"] (zipWith (-) after before)
  Vector.read held 0 >>= \p -> withForeignPtr p peek >>= \b -> when (b /= 1) $ die "a block lost its byte"
  where
    blocks = 16384
    size = 65536
    new = block who
    made n = new n >>= \p -> p <$ withForeignPtr p (`poke` 1)
    forced list = foldr seq () list `seq` list

collections :: IO [Double]
collections = do
  on <- getRTSStatsEnabled
  if not on then pure [0, 0, 0] else do
    s <- getRTSStats
    pure [fromIntegral (gcs s), fromIntegral (major_gcs s), fromIntegral (gc_elapsed_ns s) / 1e9]
