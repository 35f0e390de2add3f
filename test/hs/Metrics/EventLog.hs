-- What the event log has, in a process of its own.
module Metrics.EventLog (tests, things) where

import Control.Concurrent (forkIO, newEmptyMVar, putMVar, takeMVar)
import Control.Monad
import qualified Data.ByteString.Char8 as Char8
import Foreign.ForeignPtr (touchForeignPtr)
import Foreign.Marshal.Utils (fillBytes)
import System.Directory (createDirectoryIfMissing, removePathForcibly)
import System.Exit (ExitCode (..))
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Child
import Metrics.Residence (takeDescriptors)
import Mimalloc
import Mimalloc.EventLog
import Mimalloc.Pressure
import Mimalloc.Stats (collectForce, counterPurgedBytes, getStats, statsCounters)

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
  , testCase "events at the same time: each decision is in one marker" $ do
      (text, out) <- saidOf "decide at once"
      let told = sum (markers "mimalloc purge " text)
      assertBool (show told ++ " of " ++ out) (told > 0 && told <= read out)
  , testCase "what is resident, if the system says so" $ do
      text <- logOf "decide without descriptors"
      has text "mimalloc live="
      assertBool "resident" (not (Char8.pack "resident=" `Char8.isInfixOf` text))
  ]
  where
    has text words_ = assertBool words_ (Char8.pack words_ `Char8.isInfixOf` text)

-- The numbers behind these words, wherever they are.
markers :: String -> Char8.ByteString -> [Int]
markers words_ text = case Char8.breakSubstring what text of
  (_, found) | Char8.null found -> []
             | otherwise -> let rest = Char8.drop (Char8.length what) found
                            in [ n | Just (n, _) <- [Char8.readInt rest] ] ++ markers words_ rest
  where what = Char8.pack words_

logOf :: String -> IO Char8.ByteString
logOf thing = fst <$> saidOf thing

-- What a child writes, into the log and to stdout. The RTS' options may not have blanks in them, so the name
-- is relative.
saidOf :: String -> IO (Char8.ByteString, String)
saidOf thing = do
  let file = "build/metrics.eventlog"
  createDirectoryIfMissing True "build"
  removePathForcibly file
  (status, out, err) <- child [("GHCRTS", "-V0 -l -ol" ++ file)] thing
  assertEqual (out ++ err) ExitSuccess status
  text <- Char8.readFile file
  pure (text, out)

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
  , ("decide at once", do
      let purged = counterPurgedBytes . statsCounters <$> getStats
      before <- purged
      logEvent
      dones <- replicateM 4 $ do
        done <- newEmptyMVar
        done <$ forkIO (replicateM_ 100 (givesBack >> logEvent) >> putMVar done ())
      mapM_ takeMVar dones
      logEvent
      after <- purged
      print (after - before))
  , ("decide without descriptors", takeDescriptors >> logEvent)
  , ("decide nothing", startEventLog 1000000 >> logEvent >> stopEventLog >> logEvent)
  ]
  where
    givesBack = do
      p <- mi_malloc 300000
      fillBytes p 1 300000
      mi_free p
      collectForce
