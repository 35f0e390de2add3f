-- The allocator against a model of it: sizes, alignments, contents, zeroing, heaps, on several capabilities
-- and OS threads.
--
-- MIMALLOC_MODEL_STEPS=1000000 sets how many steps there are, in tests of 1000 each; 200000 without it. A
-- million take about 25 s on two cores.
module Main (main) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.IORef
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
  defaultMain (tests n (max 1 (steps `div` (2 * perTest))))

perTest :: Int
perTest = 1000

tests :: Int -> Int -> TestTree
tests n times = localOption (QuickCheckTests times) $ testGroup "model"
  [ testProperty "each step on any capability, while their number changes" $
        forAllShrink (vectorOf perTest arbitrary) shrinkSteps $ \steps ->
      ioProperty (True <$ alone n steps)
  , testProperty "a machine on each capability, with heaps in common, whose blocks its neighbour frees" $
      forAllShrink (replicateM n (vectorOf (perTest `div` n) arbitrary)) (shrinkList shrinkSteps) $ \plans ->
        ioProperty (True <$ together n plans)
  ]

-- One machine that goes from capability to capability, while their number changes.
alone :: Int -> [Step] -> IO ()
alone n steps = do
  now <- mapM newWorker [0 .. n - 1] >>= newIORef
  before <- readIORef now >>= quietBlocks
  m <- newMachine []
  -- A thread that was moved stays where it is when there are more again, so each number has its own.
  let change k = do
        readIORef now >>= mapM_ endWorker
        setNumCapabilities k
        mapM newWorker [0 .. k - 1] >>= writeIORef now
  (`finally` change n) $ forM_ steps $ \(Step c op) -> case op of
    Capabilities k -> change k
    _ -> readIORef now >>= \ws -> onWorker (ws !! (c `mod` length ws)) (step m op)
  finish m
  readIORef now >>= \ws -> nothingLeft ws before >> mapM_ endWorker ws

-- Several at once. The heaps they share end when all are done.
together :: Int -> [[Step]] -> IO ()
together n plans = do
  workers <- mapM newWorker [0 .. n - 1]
  before <- quietBlocks workers
  shared <- replicateM 2 newHeap'
  machines <- forM plans (const (newMachine shared))
  inParallel workers [ forM_ steps (\(Step _ op) -> step m op) | (m, steps) <- zip machines plans ]
  inParallel workers (map freeBlocks (drop 1 machines ++ take 1 machines))
  mapM_ finish machines
  mapM_ endHeap' shared
  nothingLeft workers before
  mapM_ endWorker workers

inParallel :: [Worker] -> [IO ()] -> IO ()
inParallel workers acts = do
  results <- forM (zip workers acts) $ \(w, act) -> do
    done <- newEmptyMVar
    done <$ forkIO (try (onWorker w act) >>= putMVar done)
  mapM takeMVar results >>= mapM_ (either (throwIO :: SomeException -> IO ()) pure)
