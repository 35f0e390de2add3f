-- Heaps, byte strings, vectors, statistics and the C functions that concern heaps. Built threaded and not.
module Main (main) where

import System.Environment (setEnv)
import Test.Tasty (TestTree, defaultMain, testGroup)

import Api.Child (mainOr)
import qualified Interface.ByteString
import qualified Interface.Heap
import qualified Interface.More
import qualified Interface.Primitive
import qualified Interface.Stats
import qualified Interface.Vector

main :: IO ()
-- One test at a time: some count the blocks that are in use.
main = mainOr (Interface.More.things ++ Interface.Stats.things) $
  setEnv "TASTY_NUM_THREADS" "1" >> defaultMain tests

tests :: TestTree
tests = testGroup "mimalloc"
  [ Interface.Heap.tests
  , Interface.Primitive.tests
  , Interface.ByteString.tests
  , Interface.Vector.tests
  , Interface.More.tests
  , Interface.Stats.tests
  ]
