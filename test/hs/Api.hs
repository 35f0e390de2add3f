-- What each function does, and what happens when something fails. Built threaded and optimised, and not
-- threaded and unoptimised.
module Main (main) where

import System.Environment (setEnv)
import Test.Tasty (TestTree, defaultMain, testGroup)

import Api.Child (mainOr)
import qualified Api.Async
import qualified Api.Blocks
import qualified Api.Capability
import qualified Api.Memory
import qualified Api.Misuse
import qualified Api.Pointers
import qualified Api.Primitive

main :: IO ()
-- One test at a time: some count the blocks that are in use.
main = mainOr (Api.Misuse.misuses ++ Api.Memory.children) $
  setEnv "TASTY_NUM_THREADS" "1" >> defaultMain tests

tests :: TestTree
tests = testGroup "mimalloc"
  [ Api.Blocks.tests
  , Api.Pointers.tests
  , Api.Primitive.tests
  , Api.Capability.tests
  , Api.Memory.tests
  , Api.Async.tests
  , Api.Misuse.tests
  ]
