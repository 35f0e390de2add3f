-- Asynchronous exceptions at any point leak nothing.
module Api.Async (tests) where

import Control.Concurrent.Async (forConcurrently_)
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
