{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE ScopedTypeVariables #-}
-- | Strings that are kept and replaced, and other things that cost memory or time beside what they replace: a
-- line each, of which the last figures are milliseconds and peak KiB.
module Costs.Kept
  ( kept
  , keepers
  , atTheEnd
  ) where

import Control.Exception (evaluate)
import Control.Monad
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (intDec, toLazyByteString, word64Hex)
import qualified Data.ByteString.Lazy as Lazy
import qualified Data.ByteString.Short as Short
import Data.IORef
import Data.List (isPrefixOf)
import qualified Data.Vector.Storable as Vector
import qualified Data.Vector.Storable.Mutable as Storable
import Data.Word (Word64, Word8)
import Foreign.ForeignPtr (ForeignPtr, newForeignPtr)
import Foreign.Marshal.Alloc (finalizerFree, mallocBytes)
import GHC.Clock (getMonotonicTimeNSec)

import Data.Array.IO (IOArray, newListArray, readArray, writeArray)
import Costs.Measure (line)
import Mimalloc (mallocForeignPtrBytes)
import qualified Mimalloc.ByteString as Mi
import qualified Mimalloc.Store as Store
import qualified Mimalloc.Vector as MiV

-- | What is done, by name. So often that the first touch of the memory, which comes once, is little of it.
keepers :: [(String, IO ())]
keepers =
  [ ("strings, base ByteString", strings evaluate)
  , ("strings, base ShortByteString", strings (evaluate . Short.toShort))
  , ("strings, Mimalloc.ByteString", strings (evaluate . Mi.copy))
  , ("strings, Mimalloc.Store", stored)
  , ("100,000 small builders, base", builders toLazyByteString)
  , ("100,000 small builders, Mimalloc.ByteString", builders Mi.toLazyByteString)
  , ("20,000 x replicate 100,000 Doubles, base", forM_ [1 .. 20000 :: Int] $ \i ->
       evaluate (Vector.replicate 100000 (fromIntegral i :: Double)))
  , ("20,000 x replicate 100,000 Doubles, Mimalloc.Vector", forM_ [1 .. 20000 :: Int] $ \i ->
       evaluate (MiV.replicate 100000 (fromIntegral i :: Double)))
  , ("5000 x copy of 4 MB, base", copies ByteString.copy)
  , ("5000 x copy of 4 MB, Mimalloc.ByteString", copies Mi.copy)
  , ("50 x a million reads, base IORef IOVector", Storable.replicate 1000000 (1 :: Int)
       >>= newIORef >>= \v -> reads_ (\i -> readIORef v >>= (`Storable.read` i)))
  , ("50 x a million reads, Mimalloc Growable", MiV.newGrowable 1000000 >>= \g ->
       replicateM_ 1000000 (MiV.push g (1 :: Int)) >> reads_ (MiV.readGrowable g))
  ]
  where
    copies copy = do
      s <- evaluate (ByteString.replicate 4000000 7)
      -- Never all of it, whose copy GHC would make once.
      forM_ [1 .. 5000 :: Int] $ \i -> evaluate (copy (ByteString.drop (1 + i `mod` 2) s))
    builders run = do
      r <- forM [1 .. 100000] $ \i -> let s = run (word64Hex 0xabcdef0 <> intDec (10000 + i `mod` 10000))
        in evaluate (Lazy.length s) >> pure s
      box <- newIORef r
      readIORef box >>= \l -> when (length l /= 100000) $ fail "never"

reads_ :: (Int -> IO Int) -> IO ()
reads_ get = forM_ [1 .. 50 :: Int] $ \_ -> do
  let go :: Int -> Int -> IO Int
      go !i !a | i == 1000000 = pure a
               | otherwise = get i >>= \x -> go (i + 1) (a + x)
  s <- go 0 0
  when (s /= 1000000) $ fail "a wrong sum"
{-# INLINE reads_ #-}

count, replacements :: Int
count = 500000
replacements = 2000000

-- Of 20 to 200 bytes; the numbers are pseudo-random.
text :: Word64 -> ByteString.ByteString
text n = ByteString.replicate (20 + fromIntegral ((n `div` 65536) `mod` 181)) (fromIntegral n)

next :: Word64 -> Word64
next n = n * 6364136223846793005 + 1442695040888963407

strings :: forall a. (ByteString.ByteString -> IO a) -> IO ()
strings make = do
  first <- forM [1 .. count] (make . text . next . fromIntegral)
  array <- newListArray (0, count - 1) first :: IO (IOArray Int a)
  let go :: Int -> Word64 -> IO ()
      go 0 _ = pure ()
      go n seed = do
        new <- make (text seed)
        writeArray array (fromIntegral (seed `div` 4294967296) `mod` count) new
        go (n - 1) (next seed)
  go replacements 1
  void (readArray array 0)

stored :: IO ()
stored = do
  store <- Store.newStore
  handles <- Storable.new count
  forM_ [1 .. count] $ \i -> Store.putString store (text (next (fromIntegral i)))
    >>= Storable.write handles (i - 1)
  let go :: Int -> Word64 -> IO ()
      go 0 _ = pure ()
      go n seed = do
        h <- Storable.read handles (fromIntegral (seed `div` 4294967296) `mod` count)
        Store.replaceString store h (text seed)
        go (n - 1) (next seed)
  go replacements 1
  n <- Store.storeSize store
  when (n /= count) $ fail "a store lost a string"

-- | One of them, in a process of its own.
kept :: String -> IO ()
kept name = case lookup name keepers of
  Nothing -> fail ("one of: " ++ show (map fst keepers))
  Just act -> do
    start <- getMonotonicTimeNSec
    act
    end <- getMonotonicTimeNSec
    peak <- filter ("VmHWM:" `isPrefixOf`) . lines <$> readFile "/proc/self/status"
    line "kept" (name ++ ", ms") 0 [fromIntegral (end - start) / 1e6]
    line "kept" (name ++ ", peak KiB") 0 [fromIntegral (sum (map (read . (!! 1) . words) peak) :: Int)]

-- | A million foreign pointers live when the process ends. It says what the clock shows then; who runs it
-- sees when it has ended.
atTheEnd :: String -> IO ()
atTheEnd who = do
  alive <- replicateM 1000000 new >>= newIORef
  readIORef alive >>= \blocks -> when (length blocks /= 1000000) $ fail "never"
  now <- getMonotonicTimeNSec
  line "exit" who 48 [fromIntegral now]
  readIORef alive >>= \blocks -> when (null blocks) $ fail "never"
  where
    new :: IO (ForeignPtr Word8)
    new = if who == "mi" then mallocForeignPtrBytes 48 else mallocBytes 48 >>= newForeignPtr finalizerFree
