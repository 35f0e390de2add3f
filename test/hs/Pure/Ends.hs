-- Heaps that others use just while they end.
module Pure.Ends (tests) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Foreign.ForeignPtr (withForeignPtr)
import Foreign.Storable (poke)
import System.IO.Error (isIllegalOperation)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Unsafe.Coerce (unsafeCoerce)

import Api.Support (holds, liveBlocks)
import qualified Data.ByteString as ByteString
import qualified Mimalloc.ByteString as M
import Mimalloc.Heap

tests :: TestTree
tests = testGroup "a heap is used just while its bracket ends"
  [ testCase (bracketName ++ ", " ++ useName) (used bracketOf use)
  | (bracketName, bracketOf) <- [("withHeap", \act -> withHeap (act . leaked)), ("withHeapEx True", \act -> withHeapEx 0 True 0 (act . leaked))]
  , (useName, use) <- uses ]
  where
    -- The type keeps a heap in its bracket; but a thread that outlives the bracket has it.
    leaked :: Heap s -> GCHeap
    leaked = unsafeCoerce

uses :: [(String, GCHeap -> IO ())]
uses =
  [ ("heapMallocForeignPtrBytes", \h -> heapMallocForeignPtrBytes h 100 >>= (`withForeignPtr` (`poke` 1)))
  , ("heapCallocForeignPtr", \h -> heapCallocForeignPtr h >>= (`withForeignPtr` (`poke` (1 :: Int))))
  , ("withHeapMallocBytes", \h -> withHeapMallocBytes h 100 (`poke` 1))
  , ("heapCopy", \h -> void (M.heapCopy h (ByteString.replicate 100 7)))
  , ("heapCollect", \h -> heapCollect h True)
  ]

-- Threads on one capability use it until it has ended, which is all that they notice; the bracket is on another.
used :: ((GCHeap -> IO ()) -> IO ()) -> (GCHeap -> IO ()) -> Assertion
used bracketOf use = do
  before <- liveBlocks
  on 0 $ forM_ [1 .. 300 :: Int] $ \i -> do
    shared <- newEmptyMVar
    begun <- newEmptyMVar
    ends <- replicateM 2 $ do
      done <- newEmptyMVar
      done <$ forkOn 1 (try (readMVar shared >>= \h -> tryPutMVar begun () >> forever (use h)) >>= putMVar done)
    bracketOf $ \h -> putMVar shared h >> takeMVar begun >> void (evaluate (sum [1 .. i * 37 `mod` 2000]))
    forM_ ends $ \done -> takeMVar done >>= either late (const (assertFailure "no end"))
  holds "the blocks are free again" $ (<= before + 3) <$> liveBlocks
  where
    late e = unless (isIllegalOperation e) $ assertFailure (show e)
    on n act = do
      done <- newEmptyMVar
      _ <- forkOn n (try act >>= putMVar done)
      takeMVar done >>= either (throwIO :: SomeException -> IO ()) pure
