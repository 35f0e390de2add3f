{-# LANGUAGE ScopedTypeVariables #-}
-- Foreign pointers from here are like base's: base's functions on finalizers work on them, and their blocks
-- come back.
module Api.Pointers (tests) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.Word (Word8)
import qualified Foreign.Concurrent as Concurrent
import Foreign.ForeignPtr hiding (mallocForeignPtr, mallocForeignPtrArray, mallocForeignPtrBytes)
import Foreign.Marshal.Alloc (finalizerFree, mallocBytes)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr
import Foreign.Storable
import System.Mem (performGC, performMajorGC)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Support
import Mimalloc
import Mimalloc.Internal.FFI (mi_cap_free_finalizer)

tests :: TestTree
tests = testGroup "finalizers"
  [ testCase "the garbage collector frees blocks nobody holds" $ do
      before <- liveBlocks
      forM_ [1 .. 10000] $ \i -> mallocForeignPtrBytes (i `mod` 500) >>= \fp -> withForeignPtr fp (`poke` 1)
      holds "the blocks are free again" $ (< before + 100) <$> liveBlocks
  , testCase "but not those somebody holds" $ do
      fps <- forM [0 .. 255] $ \i -> do
        fp <- mallocForeignPtrBytes 1000
        withForeignPtr fp $ \p -> fillBytes p i 1000
        pure fp
      replicateM_ 3 performMajorGC
      replicateM_ 1000 (mallocForeignPtrBytes 1000 >>= \fp -> withForeignPtr fp $ \p -> fillBytes p 0xFF 1000)
      forM_ (zip fps [0 ..]) $ \(fp, i) -> withForeignPtr fp (allBytes i 1000) >>= assertBool "overwritten"
  , testCase "a pointer into the block holds it" $ do
      inner <- do
        fp <- mallocForeignPtrBytes 1000
        withForeignPtr fp $ \p -> fillBytes p 7 1000
        pure (castForeignPtr (fp `plusForeignPtr` 500) :: ForeignPtr Word8)
      replicateM_ 3 performMajorGC
      replicateM_ 1000 (mallocForeignPtrBytes 1000 >>= \fp -> withForeignPtr fp $ \p -> fillBytes p 0xFF 1000)
      withForeignPtr inner (allBytes 7 500) >>= assertBool "overwritten"
  , testCase "finalizeForeignPtr frees at once, and once" $ do
      before <- liveBlocks
      forM_ [1 .. 1000 :: Int] $ \_ -> do
        fp <- mallocForeignPtrBytes 300
        finalizeForeignPtr fp
        finalizeForeignPtr fp
      after <- liveBlocks
      assertBool ("blocks before: " ++ show before ++ ", after: " ++ show after) (after < before + 100)
  , testCase "further C finalizers run too, the last one first" $ do
      before <- liveBlocks
      forM_ [1 .. 1000 :: Int] $ \i -> do
        fp <- mallocForeignPtrBytes 300
        block <- mi_malloc 100
        addForeignPtrFinalizerEnv' block fp
        when (even i) (finalizeForeignPtr fp)
      performGC
      holds "both blocks are free again" $ (< before + 100) <$> liveBlocks
  , testCase "Haskell finalizers do not mix, as with base" $ do
      fp <- mallocForeignPtrBytes 10
      q <- mallocBytes 10
      base <- newForeignPtr finalizerFree (q :: Ptr Word8)
      ours <- try (Concurrent.addForeignPtrFinalizer fp (pure ()))
      theirs <- try (Concurrent.addForeignPtrFinalizer base (pure ()))
      let isError = either (\(_ :: SomeException) -> True) (const False)
      (isError ours, isError theirs) @?= (True, True)
  , testCase "mi_free in a foreign pointer of one's own" $ do
      before <- liveBlocks
      replicateM_ 1000 (mi_malloc 64 >>= newForeignPtr mi_cap_free_finalizer >>= \fp ->
        withForeignPtr (fp :: ForeignPtr Int) (`poke` 1))
      holds "the blocks are free again" $ (< before + 100) <$> liveBlocks
  , testCase "made on one thread, finalized on others" $ do
      before <- liveBlocks
      box <- newEmptyMVar
      consumers <- replicateM 4 $ do
        done <- newEmptyMVar
        _ <- forkIO $ do
          replicateM_ 1000 (takeMVar box >>= finalizeForeignPtr)
          putMVar done ()
        pure done
      forM_ [1 .. 4000 :: Int] $ \i -> (zallocForeignPtrBytes (i `mod` 2000) >>= putMVar box)
      mapM_ takeMVar consumers
      holds "the blocks are free again" $ (< before + 100) <$> liveBlocks
  ]
  where addForeignPtrFinalizerEnv' block fp = addForeignPtrFinalizerEnv freeEnv (block :: Ptr Word8) fp

-- A finalizer with an environment: it frees the environment, and the block is freed by its own.
foreign import ccall "&mi_cap_free" freeEnv :: FinalizerEnvPtr Word8 Word8
