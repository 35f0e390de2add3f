-- What the tests share: types with unusual sizes and alignments, and what is expected of addresses and
-- failures.
module Api.Support
  ( Line (..)
  , Crooked (..)
  , Empty (..)
  , address
  , isAligned
  , invalid
  , exhausted
  , holds
  , allBytes
  , liveBlocks
  , collectAll
  , struck
  , anew
  ) where

import Control.Concurrent
import Control.Exception
import Control.Monad (forM_, forever, replicateM_, unless, when)
import Data.Word (Word8, Word64)
import Foreign.C.Types (CInt (..), CSize (..))
import Foreign.Ptr (WordPtr (..), castPtr, plusPtr, ptrToWordPtr)
import GHC.Clock (getMonotonicTime)
import GHC.IO.Exception (IOException (..))
import System.Mem (performGC)
import Test.Tasty (TestTree)
import Test.Tasty.HUnit

import Mimalloc
import qualified Mimalloc.Stats as Stats

-- A cache line: alignment beyond what every block has.
newtype Line = Line Word64 deriving (Eq, Show)
instance Storable Line where
  sizeOf _ = 64
  alignment _ = 64
  peek p = Line <$> peek (castPtr p)
  poke p (Line x) = poke (castPtr p) x

-- An alignment that no address has.
newtype Crooked = Crooked Word8
instance Storable Crooked where
  sizeOf _ = 24
  alignment _ = 24
  peek p = Crooked <$> peek (castPtr p)
  poke p (Crooked x) = poke (castPtr p) x

data Empty = Empty
instance Storable Empty where
  sizeOf _ = 0
  alignment _ = 1
  peek _ = pure Empty
  poke _ Empty = pure ()

address :: Ptr a -> Word
address p = case ptrToWordPtr p of WordPtr w -> w

isAligned :: Int -> Ptr a -> Bool
isAligned n p = address p `mod` fromIntegral n == 0

-- The action fails as an invalid argument, reported under this name.
invalid :: String -> IO a -> Assertion
invalid = failsAs "invalid argument" isInvalidArgument

exhausted :: String -> IO a -> Assertion
exhausted = failsAs "resource exhausted" isResourceExhausted

failsAs :: String -> (IOError -> Bool) -> String -> IO a -> Assertion
failsAs kind isKind name act = try act >>= \r -> case r of
  Right _ -> assertFailure (name ++ ": no exception, expected " ++ kind)
  Left e -> unless (isKind e && ioe_location e == name) $
    assertFailure (name ++ ": " ++ show e ++ ", expected " ++ kind)

-- Becomes true: the garbage collector and finalizers take their time, on each capability.
holds :: String -> IO Bool -> Assertion
holds what condition = go (2000 :: Int)
  where
    go 0 = assertFailure ("never: " ++ what)
    go n = do
      ok <- condition
      unless ok $ performGC >> yield >> threadDelay 1000 >> go (n - 1)

-- Blocks in use in the whole process, once the garbage collector and the heaps have taken in what was freed.
liveBlocks :: IO Int
liveBlocks = collectAll >> fst <$> Stats.liveBlocks

-- Two collections: without the threaded runtime system finalizers run at the beginning of the next one.
collectAll :: IO ()
collectAll = do
  replicateM_ 2 (performGC >> yield)
  n <- getNumCapabilities
  forM_ [0 .. n - 1] $ \c -> do
    done <- newEmptyMVar
    _ <- forkOn c (mi_collect 1 >> putMVar done ())
    takeMVar done

-- A thread does it over and over, struck all the while; in the end no block is left.
struck :: String -> IO () -> TestTree
struck name act = testCase name $ do
  before <- liveBlocks
  done <- newEmptyMVar
  -- Overflow starts it again, ThreadKilled ends it.
  worker <- mask_ $ forkOnWithUnmask 1 $ \unmask ->
    let go = try (unmask (forever act)) >>= either ended pure
        ended e | Just Overflow <- fromException e = go
                | otherwise = putMVar done (fromException e == Just ThreadKilled)
    in go
  -- For half a second, but 20 times at least: a strike takes 10 us or, on a busy machine, 100 ms.
  start <- getMonotonicTime
  let strike i = do
        _ <- evaluate (sum [1 .. i `mod` 300])
        throwTo worker Overflow
        now <- getMonotonicTime
        when (i < 20 || now < start + 0.5) $ strike (i + 1)
  strike (1 :: Int)
  killThread worker
  takeMVar done >>= assertBool "ended otherwise"
  holds "the blocks are free again" $ (< before + 10) <$> liveBlocks

-- The function's result, computed each time.
anew :: (a -> b) -> a -> IO b
anew f x = evaluate (f x)
{-# NOINLINE anew #-}

-- Whether so many bytes are all this one: the first is, and each is as the one before it.
allBytes :: Word8 -> Int -> Ptr Word8 -> IO Bool
allBytes _ 0 _ = pure True
allBytes x n p = (&&) <$> ((== x) <$> peek p) <*> ((== 0) <$> memcmp p (p `plusPtr` 1) (fromIntegral n - 1))

foreign import ccall unsafe memcmp :: Ptr a -> Ptr a -> CSize -> IO CInt
