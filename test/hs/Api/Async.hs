{-# LANGUAGE ScopedTypeVariables #-}
-- Asynchronous exceptions at any point leak nothing.
module Api.Async (tests) where

import Control.Concurrent (threadDelay)
import Control.Concurrent.Async (forConcurrently_)
import Control.Exception
import Control.Monad
import Foreign.ForeignPtr (finalizeForeignPtr)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Support
import Mimalloc
import Mimalloc.Pressure (pressureHeldBytes, pressureStats)

tests :: TestTree
tests = testGroup "asynchronous exceptions"
  [ struck "withMalloc" (bracket_' (withMalloc :: (Ptr Int -> IO ()) -> IO ()))
  , struck "withMallocBytes" (bracket_' (withMallocBytes 5000))
  , struck "withCallocArray" (bracket_' (withCallocArray 10 :: (Ptr Int -> IO ()) -> IO ()))
  , struck "withMalloc, nested" (withMalloc $ \p -> withMallocBytes 100 $ \q -> poke p 'x' >> poke q 1)
  , struck "withMallocAlignedBytes" (bracket_' (withMallocAlignedBytes 300 256))
  , struck "withMallocBytes, masked, waiting"
      (mask_ (withMallocBytes 100 $ \p -> poke p 1 >> threadDelay 1000))
  , struck "withMallocBytes, an action that survives it" $ withMallocBytes 100 $ \p -> do
      poke p 7
      replicateM_ 10 $ void (evaluate (sum [1 .. 100 :: Int])) `catch` \e -> when (e /= Overflow) (throwIO e)
      usable <- usableSize p
      x <- peek p
      unless (usable == 112 && x == 7) $ throwIO Underflow
  , struck "withZallocBytes, in a safe call" (bracket_' (withZallocBytes 2000000))
  , struck "mallocForeignPtr" (foreign_ (mallocForeignPtr :: IO (ForeignPtr Int)))
  , struck "mallocForeignPtrBytes" (foreign_ (mallocForeignPtrBytes 300))
  , struck "mallocForeignPtrAlignedBytes" (foreign_ (mallocForeignPtrAlignedBytes 300 128))
  , struck "zallocForeignPtrBytes, in a safe call" (foreign_ (zallocForeignPtrBytes 2000000))
  , struck "mallocForeignPtrArray, and finalized" (mallocForeignPtrArray 10
      >>= \(fp :: ForeignPtr Int) -> withForeignPtr fp (`poke` 1) >> finalizeForeignPtr fp)
  , testCase "nothing is counted of them" $ holds "no bytes are held" $
      (< 1000000) . pressureHeldBytes <$> pressureStats
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
