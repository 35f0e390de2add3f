{-# LANGUAGE ScopedTypeVariables #-}
-- Heaps that others use just while they end.
module Pure.Ends (tests) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Foreign.ForeignPtr (touchForeignPtr, withForeignPtr)
import Foreign.Storable (peek, poke)
import System.IO.Error (isIllegalOperation)
import System.Mem (performGC)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Unsafe.Coerce (unsafeCoerce)

import Api.Support (holds, liveBlocks)
import qualified Data.ByteString as ByteString
import qualified Mimalloc.ByteString as M
import Mimalloc (usableSize)
import Mimalloc.Heap
import Mimalloc.Stats (Stats (..), getStats)

tests :: TestTree
tests = testGroup "heaps end" $
  [ testCase ("a block in a bracket outlives its heap: " ++ name) (outlived heapOf)
  | (name, heapOf) <- [ ("withHeap", \act -> withHeap (void . act . leaked))
                      , ("withHeapEx True", \act -> withHeapEx 0 True 0 (void . act . leaked))
                      , ("endHeap", \act -> newHeap >>= \h -> act h >> endHeap h) ] ] ++
  [ testCase "unsafeEndHeap ends all at once, once" unsafelyEnded
  , testCase "endHeap: what was taken lives, no more is taken" endedLater
  , testCase "with their brackets, whatever was refused" endedAfterMistakes ] ++
  [ testCase ("used just while it ends: " ++ bracketName ++ ", " ++ useName) (used bracketOf use)
  | (bracketName, bracketOf) <- [("withHeap", \act -> withHeap (act . leaked))
                               , ("withHeapEx True", \act -> withHeapEx 0 True 0 (act . leaked))
                               , ("endHeap", \act -> newHeap >>= \h -> act h >> endHeap h)]
  , (useName, use) <- uses ]
  where
    -- The type keeps a heap in its bracket; but a thread that outlives the bracket has it.
    leaked :: Heap s -> GCHeap
    leaked = unsafeCoerce

-- A thread has a block of the heap when that ends.
outlived :: ((GCHeap -> IO ()) -> IO ()) -> Assertion
outlived heapOf = do
  before <- liveBlocks
  [has, goOn] <- replicateM 2 newEmptyMVar
  done <- newEmptyMVar
  heapOf $ \h -> do
    _ <- forkIO $ do
      r <- try $ withHeapMallocBytes h 100 $ \p -> do
        poke p 42
        putMVar has () >> takeMVar goOn
        (,) <$> peek p <*> usableSize p
      putMVar done r
    takeMVar has
  putMVar goOn ()
  (x, n) <- takeMVar done >>= either (throwIO :: SomeException -> IO a) pure
  (x, n >= 100) @?= (42, True)
  holds "the block is free again" $ (<= before) <$> liveBlocks

endedAfterMistakes :: Assertion
endedAfterMistakes = do
  before <- heaps
  forM_ [1 .. 10 :: Int] $ \_ -> withHeap $ \h -> do
    mistaken (heapMallocForeignPtrBytes h (-1))
    mistaken (heapMallocForeignPtrAlignedBytes h 10 3)
    mistaken (heapMallocForeignPtrBytes h (maxBound `quot` 4))
    mistaken (heapZallocForeignPtrBytes h (maxBound `quot` 4))
    mistaken (withHeapMallocBytes h (-1) pure)
  heaps >>= \after -> after <= before @? ("heaps before " ++ show before ++ ", after " ++ show after)
  where
    heaps = length . statsHeaps <$> getStats
    mistaken act = try (void act) >>= \r -> case r of
      Left (_ :: IOException) -> pure ()
      Right () -> assertFailure "not refused"

unsafelyEnded :: Assertion
unsafelyEnded = do
  before <- liveBlocks
  h <- newHeap
  ps <- replicateM 100 (heapMallocForeignPtrBytes h 1000)
  during <- liveBlocks
  during >= before + 100 @? "blocks are counted"
  unsafeEndHeap h
  liveBlocks >>= \after -> after <= during - 100 @? "they are gone"
  unsafeEndHeap h >> endHeap h
  refused h
  mapM_ touchForeignPtr ps

endedLater :: Assertion
endedLater = do
  before <- liveBlocks
  h <- newHeap
  ps <- replicateM 100 (heapMallocForeignPtrBytes h 1000)
  endHeap h >> endHeap h
  refused h
  performGC
  forM_ ps $ \p -> withForeignPtr p $ \q -> poke q 1 >> usableSize q >>= \n -> n >= 1000 @? "it lives"
  holds "the blocks are free again" $ (<= before + 3) <$> liveBlocks

refused :: GCHeap -> Assertion
refused h = forM_ uses $ \(name, use) -> try (use h) >>= \r -> case r of
  Left e | isIllegalOperation e -> pure ()
  _ -> assertFailure (name ++ " of an ended heap: " ++ show r)

uses :: [(String, GCHeap -> IO ())]
uses =
  [ ("heapMallocForeignPtrBytes", \h -> heapMallocForeignPtrBytes h 100 >>= (`withForeignPtr` (`poke` 1)))
  , ("heapCallocForeignPtr", \h -> heapCallocForeignPtr h >>= (`withForeignPtr` (`poke` (1 :: Int))))
  , ("withHeapMallocBytes", \h -> withHeapMallocBytes h 100 (`poke` 1))
  , ("heapCopy", \h -> void (M.heapCopy h (ByteString.replicate 100 7)))
  , ("heapCollect", \h -> heapCollect h True)
  ]

-- Threads on one capability use it until it has ended, which is all that they notice; the bracket is on
-- another.
used :: ((GCHeap -> IO ()) -> IO ()) -> (GCHeap -> IO ()) -> Assertion
used bracketOf use = do
  before <- liveBlocks
  on 0 $ forM_ [1 .. 300 :: Int] $ \i -> do
    shared <- newEmptyMVar
    begun <- newEmptyMVar
    ends <- replicateM 2 $ do
      done <- newEmptyMVar
      done
        <$ forkOn 1 (try (readMVar shared >>= \h -> tryPutMVar begun () >> forever (use h)) >>= putMVar done)
    bracketOf $ \h -> putMVar shared h >> takeMVar begun >> void (evaluate (sum [1 .. i * 37 `mod` 2000]))
    forM_ ends $ \done -> takeMVar done >>= either late (const (assertFailure "no end"))
  holds "the blocks are free again" $ (<= before + 3) <$> liveBlocks
  where
    late e = unless (isIllegalOperation e) $ assertFailure (show e)
    on n act = do
      done <- newEmptyMVar
      _ <- forkOn n (try act >>= putMVar done)
      takeMVar done >>= either (throwIO :: SomeException -> IO ()) pure
