-- Statistics: that they say what was done.
module Interface.Stats (tests) where

import Control.Concurrent hiding (getNumCapabilities)
import Control.Monad
import qualified Data.ByteString.Char8 as B
import Data.List (isPrefixOf)
import Foreign.ForeignPtr (finalizeForeignPtr)
import Foreign.Marshal.Utils (fillBytes)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Support (collectAll)
import Mimalloc
import Mimalloc.Capability
import Mimalloc.Heap
import Mimalloc.Stats

tests :: TestTree
tests = testGroup "stats"
  [ testCase "blocks in use" $ do
      before <- quiet
      ps <- replicateM 1000 (mi_malloc 100)
      during <- getStats
      mapM_ mi_free ps
      after <- quiet
      let live = gaugeLiveBlocks . statsGauges
          bytes = gaugeLiveBytes . statsGauges
      assertBool (show (live before, live during)) (live during - live before >= 990)
      assertBool (show (bytes before, bytes during)) (bytes during - bytes before >= 990 * 112)
      assertBool (show (live before, live after)) (abs (live after - live before) <= 10)
      let ofClass s = sum [ usageLiveBlocks u | (BlockBytes 112, u) <- statsSizeClasses s ]
      assertBool "the size class" (ofClass during - ofClass before >= 990)
  , testCase "the lists add up" $ do
      ps <- forM [1, 100, 1000, 10000, 100000, 1000000, 700000000] mi_malloc -- the last with a mapping of its own
      s <- getStats
      let us = [map snd (statsSizeClasses s), map snd (statsOwners s), map snd (statsHeaps s)]
          sums f = map (sum . map f) us
          g = statsGauges s
          n = gaugeMappings g
      sums usageLiveBlocks @?= [gaugeLiveBlocks g, gaugeLiveBlocks g, gaugeLiveBlocks g - n]
      sums usagePages @?= [gaugePages g, gaugePages g, gaugePages g - n]
      take 2 (sums usageLiveBytes) @?= [gaugeLiveBytes g, gaugeLiveBytes g]
      assertBool (show (sums usagePageBytes)) (allEqual (take 2 (sums usagePageBytes)))
      assertBool (show n) (n >= 1)
      assertBool "live is in pages" (and [ usageLiveBytes u <= usagePageBytes u | u <- concat us ])
      assertBool "committed is reserved" (gaugeCommittedBytes g <= gaugeReservedBytes g && gaugeCommittedBytes g <= gaugePeakCommittedBytes g)
      mapM_ mi_free ps
  , testCase "owners" $ do
      n <- getNumCapabilities
      ps <- forM [0 .. n - 1] $ \c -> runOnCapability c (mi_malloc 5000)
      s <- getStats
      forM_ [0 .. n - 1] $ \c -> assertBool (show c) (Capability c `elem` map fst (statsOwners s))
      assertBool "number of capabilities" (gaugeCapabilities (statsGauges s) >= n)
      mapM_ mi_free ps
  , testCase "heaps" $ withHeap $ \h -> withHeapMallocBytes h 100 $ \_ -> do
      s <- getStats
      map fst (take 1 (statsHeaps s)) @?= [MainHeap]
      assertBool "one more" (or [ usageLiveBlocks u == 1 && usageLiveBytes u == 112 | (HeapNumber _, u) <- statsHeaps s ])
  , testCase "a block with a page of its own" $ withMallocBytes 1000000 $ \_ -> do
      s <- getStats
      assertBool "one more" (or [ usageLiveBytes u >= 1000000 | (Larger, u) <- statsSizeClasses s ])
  , testCase "counters rise, and start anew" $ do
      let fresh = counterFreshPages . statsCounters
      before <- fresh <$> getStats
      ps <- replicateM 1000 (mi_malloc 3000)
      after <- fresh <$> getStats
      assertBool (show (before, after)) (after > before)
      mapM_ mi_free ps
      resetStats
      again <- fresh <$> getStats
      assertBool (show again) (again < 10)
      mergeStats
  , testCase "taken while others allocate" $ do
      done <- newEmptyMVar
      workers <- forM [1 .. 4 :: Int] $ \i -> do
        t <- forkIO (forever (replicateM 50 (mallocForeignPtrBytes (i * 100)) >>= mapM_ finalizeForeignPtr >> yield))
        pure t
      replicateM_ 200 getStats
      putMVar done ()
      mapM_ killThread workers
  , testCase "JSON" $ do
      s <- statsJson
      assertBool (B.unpack s) ("{\"version\":1,\"gauges\":{" `isPrefixOf` B.unpack s && B.last s == '}')
      forM_ ["\"counters\":{", "\"size_classes\":[", "\"owners\":[", "\"heaps\":[", "\"committed_bytes\":"] $ \part ->
        assertBool part (B.pack part `B.isInfixOf` s)
      B.count '{' s @?= B.count '}' s
      B.count '"' s `mod` 2 @?= 0
  , testCase "the process" $ do
      info <- getProcessInfo
      assertBool (show info) (processInfoPeakRSS info > 1000000 && processInfoCurrentRSS info > 0 && processInfoPeakCommit info >= processInfoCurrentCommit info && processInfoUserMsecs info >= 0)
  , testCase "collectForce gives memory back" $ do
      ps <- replicateM 200 (mi_malloc 500000)
      forM_ ps $ \p -> fillBytes p 1 500000
      during <- processInfoCurrentRSS <$> getProcessInfo
      mapM_ mi_free ps
      collect
      collectForce
      after <- processInfoCurrentRSS <$> getProcessInfo
      assertBool (show (during, after)) (after < during - 80000000)
  , testCase "version" $ do
      v <- getMimallocVersion
      v @?= mimallocVersion
      assertBool (show v) (v > 0)
  ]
  where
    quiet = collectAll >> getStats
    allEqual xs = and (zipWith (==) xs (drop 1 xs))
