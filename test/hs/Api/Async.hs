{-# LANGUAGE ScopedTypeVariables #-}
-- Asynchronous exceptions at any point leak nothing.
module Api.Async (tests) where

import Control.Concurrent
import Control.Concurrent.Async (forConcurrently_)
import Control.Exception
import Control.Monad
import GHC.Clock (getMonotonicTime)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Support
import Mimalloc

tests :: TestTree
tests = testGroup "asynchronous exceptions"
  [ struck "withMalloc" (bracket_' (withMalloc :: (Ptr Int -> IO ()) -> IO ()))
  , struck "withMallocBytes" (bracket_' (withMallocBytes 5000))
  , struck "withCallocArray" (bracket_' (withCallocArray 10 :: (Ptr Int -> IO ()) -> IO ()))
  , struck "withMalloc, nested" (withMalloc $ \p -> withMallocBytes 100 $ \q -> poke p 'x' >> poke q 1)
  , struck "withZallocBytes, in a safe call" (bracket_' (withZallocBytes 2000000))
  , struck "mallocForeignPtr" (foreign_ (mallocForeignPtr :: IO (ForeignPtr Int)))
  , struck "mallocForeignPtrBytes" (foreign_ (mallocForeignPtrBytes 300))
  , struck "mallocForeignPtrAlignedBytes" (foreign_ (mallocForeignPtrAlignedBytes 300 128))
  , struck "zallocForeignPtrBytes, in a safe call" (foreign_ (zallocForeignPtrBytes 2000000))
  , testCase "Concurrent threads, each with blocks of its own" $ do
      before <- liveBlocks
      forConcurrently_ [1 .. 100 :: Int] $ \i -> do
        p <- mallocForeignPtr
        withForeignPtr p (`poke` i)
      holds "the blocks are free again" $ (< before + 50) <$> liveBlocks
  ]
  where
    bracket_' :: ((Ptr a -> IO ()) -> IO ()) -> IO ()
    bracket_' with = with (const (pure ()))
    foreign_ :: IO (ForeignPtr a) -> IO ()
    foreign_ new = new >>= \fp -> withForeignPtr fp (const (pure ()))

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
