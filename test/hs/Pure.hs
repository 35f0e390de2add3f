-- Values that are computed with memory of ours, interrupted, and asked for again.
module Main (main) where

import Control.Concurrent (setNumCapabilities)
import System.Environment (setEnv)
import Test.Tasty (TestTree, defaultMain, testGroup, withResource)

import qualified Pure.Brackets
import qualified Pure.Continuations
import qualified Pure.Ends

main :: IO ()
-- One test at a time: some count the blocks that are in use.
main = do
  setEnv "TASTY_NUM_THREADS" "1"
  mapM_ (putStrLn . ("# skipped: " ++)) Pure.Continuations.skipped
  defaultMain (testGroup "pure"
    [on 1 Pure.Brackets.tests, on 2 Pure.Brackets.tests, Pure.Continuations.tests, Pure.Ends.tests])

on :: Int -> TestTree -> TestTree
on n tests = withResource (setNumCapabilities n) (const (setNumCapabilities 2)) $ \_ ->
  testGroup ("-N" ++ show n) [tests]
