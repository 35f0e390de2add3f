{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE ScopedTypeVariables #-}
-- Capabilities: where a thread is, staying there, and what happens to heaps when their number changes.
module Api.Capability (tests) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.List (nub, sort)
import Foreign.ForeignPtr (finalizeForeignPtr)
import Foreign.Marshal.Utils (fillBytes)
import System.Exit (ExitCode (..))
import System.Mem (performMajorGC)
import System.Posix.Process (exitImmediately, forkProcess, getProcessStatus, ProcessStatus (..))
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Support
import Mimalloc
import Mimalloc.Capability
import Mimalloc.Stats

tests :: TestTree
tests = testGroup "capabilities"
  [ testCase "the current one is in range" $ do
      n <- getCurrentCapability
      most <- getNumCapabilities
      assertBool (show n ++ " of " ++ show most) (0 <= n && n < most)
  , testCase "a pinned thread is where it is pinned" $ everywhere $ \n -> do
      seen <- newEmptyMVar
      _ <- forkOn n (replicateM 100 (yield >> getCurrentCapability) >>= putMVar seen)
      takeMVar seen >>= (@?= replicate 100 n)
  , testGroup "runOnCapability" runOn
  , testGroup "withCapabilityLocal" local
  , testCase "initializeCapabilities any number of times" $ replicateM_ 3 initializeCapabilities
  , testCase "a heap appears with its first block" $ everywhere $ \n -> do
      runOnCapability n (mi_malloc 100 >>= mi_free)
      heaps <- map capabilityNumber <$> capabilityStats
      assertBool (show n ++ " is not in " ++ show heaps) (n `elem` heaps)
      heaps @?= sort heaps
  , testCase "blocks count where they are" $ everywhere $ \n -> runOnCapability n $ do
      let used = sum . map capabilityUsedBlocks . filter ((== n) . capabilityNumber) <$> capabilityStats
      mi_collect 1
      before <- used
      ps <- replicateM 1000 (mi_malloc 48)
      during <- used
      mapM_ mi_free ps
      mi_collect 1
      after <- used
      -- full pages are in no heap, so not all of them count
      assertBool (show (before, during, after)) (during > before && after < during)
  , testCase "reinitializeCapabilities without need" $ do
      n <- getNumCapabilities
      reinitializeCapabilities
      getNumCapabilities >>= (@?= n)
  , testCase "reinitializeCapabilities drains what was disabled" drained
  , testCase "a forked process goes on with the heaps" forked
  ]

everywhere :: (Int -> IO ()) -> IO ()
everywhere act = getNumCapabilities >>= \n -> mapM_ act [0 .. n - 1]

runOn :: [TestTree]
runOn =
  [ testCase "the result is the action's, from there" $ everywhere $ \n -> do
      runOnCapability n getCurrentCapability >>= (@?= n)
      runOnCapability n (pure 'x') >>= (@?= 'x')
  , testCase "nested" $ everywhere $ \n -> everywhere $ \m ->
      runOnCapability n ((,,) <$> getCurrentCapability
        <*> runOnCapability m getCurrentCapability <*> getCurrentCapability)
        >>= (@?= (n, m, n))
  , testCase "no such capability" $ do
      n <- getNumCapabilities
      invalid "runOnCapability" (runOnCapability (-1) (pure ()))
      invalid "runOnCapability" (runOnCapability n (pure ()))
      invalid "runOnCapability" (runOnCapability maxBound (pure ()))
  ] ++ asIfHere (runOnCapability 0)

local :: [TestTree]
local =
  [ testCase "stays on one capability" $ do
      -- Others that come and go make the runtime system move threads about.
      movers <- replicateM 20
        (forkIO (forever (yield >> evaluate (sum [1 .. 1000 :: Int]) >> threadDelay 50)))
      results <- replicateM 20 $ do
        done <- newEmptyMVar
        _ <- forkIO $ do
          seen <- withCapabilityLocal (replicateM 300 (yield >> getCurrentCapability))
          putMVar done (length (nub seen) == 1)
        pure done
      mapM takeMVar results >>= assertBool "moved" . and
      mapM_ killThread movers
  , testCase "nested it stays" $
      withCapabilityLocal ((,) <$> myThreadId <*> withCapabilityLocal myThreadId) >>= \(a, b) -> a @?= b
  ] ++ asIfHere withCapabilityLocal

-- What is promised of both: it is as if the caller ran the action.
asIfHere :: (forall a. IO a -> IO a) -> [TestTree]
asIfHere there =
  [ testCase "the exception is the action's" $ do
      try (there (throwIO Overflow)) >>= (@?= (Left Overflow :: Either ArithException ()))
      try (there (exitImmediately' 3)) >>= (@?= (Left (ExitFailure 3) :: Either ExitCode ()))
  , testCase "it is masked as the caller is" $ do
      there getMaskingState >>= (@?= Unmasked)
      mask_ (there getMaskingState) >>= (@?= MaskedInterruptible)
      uninterruptibleMask_ (there getMaskingState) >>= (@?= MaskedUninterruptible)
      getMaskingState >>= (@?= Unmasked)
  , testCase "an asynchronous exception reaches the action, and comes back" $ replicateM_ 50 $ do
      started <- newEmptyMVar
      inside <- newEmptyMVar
      outside <- newEmptyMVar
      t <- forkIO $ do
        r <- try (there ((putMVar started () >> forever (threadDelay 1000000)) `catch` \e ->
          putMVar inside e >> throwIO (e :: AsyncException)))
        putMVar outside (either id (const StackOverflow) (r :: Either AsyncException ()))
      takeMVar started
      killThread t
      takeMVar inside >>= (@?= ThreadKilled)
      takeMVar outside >>= (@?= ThreadKilled)
  , testCase "an action may survive an asynchronous exception" $ do
      started <- newEmptyMVar
      outside <- newEmptyMVar
      let interrupted = (putMVar started () >> threadDelay 10000000 >> pure 'x')
            `catch` \(_ :: AsyncException) -> pure 'y'
      t <- forkIO $ there interrupted >>= putMVar outside
      takeMVar started
      killThread t
      takeMVar outside >>= (@?= 'y')
  , testCase "an exception that comes when the action is done, or is masked, is not lost" $
        forM_ [0 .. 300 :: Int] $ \i -> do
      ready <- newEmptyMVar
      outcome <- newEmptyMVar
      t <- mask_ $ forkIO $ do
        putMVar ready ()
        r <- try (there (replicateM_ (i * 3) (pure ()) >> evaluate (length [1 .. i])))
        -- Either it came through the action, or it waits and arrives as soon as it may.
        s <- try (allowInterrupt >> interruptible (threadDelay 5000000))
        putMVar outcome (isKilled r || isKilled s)
      takeMVar ready
      killer <- forkIO (killThread t)
      takeMVar outcome >>= assertBool "lost"
      killThread killer
  , testCase "several exceptions at once" $ do
      started <- newEmptyMVar
      count <- newMVar (0 :: Int)
      outside <- newEmptyMVar
      let survive = (putMVar started () >> threadDelay 10000000) `catch` again
          again (_ :: AsyncException) = do
            n <- modifyMVar count (\n -> pure (n + 1, n + 1))
            when (n < 5) (threadDelay 10000000 `catch` again)
      t <- forkIO (there (mask_ survive) >> putMVar outside ())
      takeMVar started
      replicateM_ 5 (forkIO (killThread t))
      takeMVar outside
      readMVar count >>= (@?= 5)
  , testCase "an action that waits for nothing is told so, its caller is not" $ collecting $ do
      -- Not on this thread: somebody holds its ThreadId, so the runtime system takes it for alive.
      told <- newEmptyMVar
      _ <- forkIO $ do
        r <- there ((newEmptyMVar >>= takeMVar) `catch` \BlockedIndefinitelyOnMVar -> pure 'x')
        s <- try (there (newEmptyMVar >>= takeMVar))
        putMVar told (r, either (\BlockedIndefinitelyOnMVar -> 'y') id s)
      takeMVar told >>= (@?= ('x', 'y'))
  , testCase "a block from there is freed here" $ replicateM_ 100 $ do
      p <- there (mi_zalloc 1000) :: IO (Ptr ())
      mi_free p
  ]
  where
    exitImmediately' n = throwIO (ExitFailure n)
    -- A major collection finds out that a thread waits for nothing.
    collecting act = bracket (forkIO (forever (performMajorGC >> threadDelay 20000))) killThread (const act)
    isKilled r = case r of { Left ThreadKilled -> True; _ -> False }

-- With more capabilities than at the start, blocks are made on each, the number lowered, and the blocks freed
-- from what is left.
drained :: Assertion
drained = when rtsSupportsBoundThreads $ do
  n <- getNumCapabilities
  let high = n + 2
      held = sum . map capabilityPages . filter ((>= n) . capabilityNumber) <$> capabilityStats
  setNumCapabilities high
  forM_ [0 .. high - 1] $ \c -> runOnCapability c (mi_malloc 100 >>= mi_free)
  drainAll -- it returns when each capability has its drainer
  blocks <- forM [0 .. high - 1] $ \c -> runOnCapability c $ replicateM 2000 $ do
    fp <- mallocForeignPtrBytes 200
    withForeignPtr fp $ \p -> fillBytes p 1 200
    pure fp
  setNumCapabilities n
  mapM_ (mapM_ finalizeForeignPtr) blocks
  before <- held
  reinitializeCapabilities
  after <- held
  getNumCapabilities >>= (@?= n)
  assertBool ("pages before: " ++ show before ++ ", after: " ++ show after) (after == 0)
  -- and the heaps go on
  setNumCapabilities high
  forM_ [0 .. high - 1] $ \c -> runOnCapability c (mi_malloc 100 >>= mi_free)
  setNumCapabilities n

-- The child has the parent's blocks, on all capabilities, and goes on with its heaps.
forked :: Assertion
forked = do
  n <- getNumCapabilities
  blocks <- forM [0 .. n - 1] $ \c -> runOnCapability c (replicateM 500 (mallocForeignPtrBytes 100))
  noise <- forM [0 .. n - 1] $ \c -> forkOn c (forever (replicateM_ 100 (mi_malloc 64 >>= mi_free) >> yield))
  pid <- forkProcess $ do
    mapM_ (mapM_ finalizeForeignPtr) blocks
    more <- replicateM 2000 (mallocForeignPtrBytes 100)
    forM_ more $ \fp -> withForeignPtr fp $ \p -> fillBytes p 1 100
    mapM_ finalizeForeignPtr more
    collectAll
    exitImmediately (ExitFailure 42)
  status <- getProcessStatus True False pid
  mapM_ killThread noise
  mapM_ (mapM_ finalizeForeignPtr) blocks
  status @?= Just (Exited (ExitFailure 42))
