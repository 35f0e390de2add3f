-- The allocator against a model of it: sizes, alignments, contents, zeroing, heaps, on several capabilities.
--
-- MIMALLOC_MODEL_STEPS=1000000 sets how many steps there are, in tests of 1000 each; 200000 without it. A million take about 25 s on two cores.
module Main (main) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import System.Environment (lookupEnv, setEnv)
import Test.Tasty
import Test.Tasty.QuickCheck

import Model.Machine
import Model.Steps

main :: IO ()
main = do
  setEnv "TASTY_NUM_THREADS" "1"
  steps <- maybe 200000 read <$> lookupEnv "MIMALLOC_MODEL_STEPS"
  n <- getNumCapabilities
  workers <- mapM newWorker [0 .. n - 1]
  defaultMain (tests workers (max 1 (steps `div` (2 * perTest))))

perTest :: Int
perTest = 1000

tests :: [Worker] -> Int -> TestTree
tests workers n = localOption (QuickCheckTests n) $ testGroup "model"
  [ testProperty "each step on any capability" $ forAllShrink (vectorOf perTest arbitrary) shrinkSteps $ \steps ->
      ioProperty (True <$ alone workers steps)
  , testProperty "a machine on each capability, with heaps in common, whose blocks its neighbour frees" $
      forAllShrink (replicateM (length workers) (vectorOf (perTest `div` length workers) arbitrary)) (shrinkList shrinkSteps) $ \plans ->
        ioProperty (True <$ together workers plans)
  ]

-- One machine that goes from capability to capability.
alone :: [Worker] -> [Step] -> IO ()
alone workers steps = do
  let on c = onWorker (workers !! (c `mod` length workers))
  before <- quietBlocks workers
  m <- newMachine []
  forM_ steps $ \(Step c op) -> on c (step m op)
  finish m
  nothingLeft workers before

-- Several at once. The heaps they share end when all are done.
together :: [Worker] -> [[Step]] -> IO ()
together workers plans = do
  before <- quietBlocks workers
  shared <- replicateM 2 newHeap'
  machines <- forM plans (const (newMachine shared))
  inParallel workers [ forM_ steps (\(Step _ op) -> step m op) | (m, steps) <- zip machines plans ]
  inParallel workers (map freeBlocks (drop 1 machines ++ take 1 machines))
  mapM_ finish machines
  mapM_ endHeap' shared
  nothingLeft workers before

inParallel :: [Worker] -> [IO ()] -> IO ()
inParallel workers acts = do
  results <- forM (zip workers acts) $ \(w, act) -> do
    done <- newEmptyMVar
    done <$ forkIO (try (onWorker w act) >>= putMVar done)
  mapM takeMVar results >>= mapM_ (either (throwIO :: SomeException -> IO ()) pure)
