-- What the event log has, in a process of its own.
module Metrics.EventLog (tests, things) where

import Control.Monad
import qualified Data.ByteString.Char8 as Char8
import Foreign.ForeignPtr (touchForeignPtr)
import Foreign.Marshal.Utils (fillBytes)
import System.Directory (createDirectoryIfMissing, removePathForcibly)
import System.Exit (ExitCode (..))
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Child
import Mimalloc
import Mimalloc.EventLog
import Mimalloc.Pressure
import Mimalloc.Stats (collectForce)

tests :: TestTree
tests = testGroup "event log"
  [ testCase "events, and markers of what was decided" $ do
      text <- logOf "decide"
      has text "mimalloc live="
      has text " resident="
      has text "mimalloc purge "
      assertBool "no collection" (any (`Char8.isInfixOf` text)
        [Char8.pack "mimalloc minor collection ", Char8.pack "mimalloc major collection "])
  , testCase "nothing decided" $ do
      text <- logOf "decide nothing"
      has text "mimalloc live="
      assertBool "a marker" (not (Char8.pack "mimalloc purge" `Char8.isInfixOf` text))
  ]
  where
    has text words_ = assertBool words_ (Char8.pack words_ `Char8.isInfixOf` text)

-- What a child writes. The RTS' options may not have blanks in them, so the name is relative.
logOf :: String -> IO Char8.ByteString
logOf thing = do
  let file = "build/metrics.eventlog"
  createDirectoryIfMissing True "build"
  removePathForcibly file
  (status, out, err) <- child [("GHCRTS", "-l -ol" ++ file)] thing
  assertEqual (out ++ err) ExitSuccess status
  Char8.readFile file

-- | For Api.Child.
things :: [(String, IO ())]
things =
  [ ("decide", do
      logEvent
      setPressure (PressureBytes 1000000)
      replicateM_ 200 (mallocForeignPtrBytes 100000 >>= touchForeignPtr)
      ps <- replicateM 100 (mi_malloc 100000)
      forM_ ps $ \p -> fillBytes p 1 100000
      mapM_ mi_free ps
      collectForce
      logEvent)
  , ("decide nothing", startEventLog 1000000 >> logEvent >> stopEventLog >> logEvent)
  ]
