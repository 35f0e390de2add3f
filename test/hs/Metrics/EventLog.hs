-- What the event log has, in a process of its own.
module Metrics.EventLog (tests, things) where

import Control.Concurrent (forkIO, newEmptyMVar, putMVar, takeMVar)
import Control.Monad
import qualified Data.ByteString.Char8 as Char8
import Data.List (isPrefixOf)
import Foreign.ForeignPtr (touchForeignPtr)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr (nullPtr)
import System.Directory (createDirectoryIfMissing, removePathForcibly)
import System.Exit (ExitCode (..))
import System.FilePath ((</>))
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Child
import InPlace
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
  , testCase "requests that the limit refused" $ do
      text <- logOf "decide limit"
      markers "mimalloc limit " text @?= [2]
      text' <- logOf "decide nothing"
      markers "mimalloc limit " text' @?= []
  , testCase "ghc-events reads it" $ do
      compiler <- ghc
      there <- run 60 compiler ["-package-env", "-", "-package", "ghc-events", "-e", "return ()"] ""
      if there /= Nothing then putStrLn "# skipped: libghc-ghc-events-dev is not installed" else do
        dir <- freshDirectory "readlog"
        built <- run 600 compiler ["-package-env", "-", "-package", "ghc-events", "-package", "text", "-Wall"
          , "-outputdir", dir, "-o", dir </> "readlog", "test/hs/Metrics/ReadLog.hs"] ""
        mapM_ assertFailure built
        _ <- logOf "decide limit"
        (problem, said) <- output 60 (dir </> "readlog") [eventLog] ""
        mapM_ assertFailure problem
        let ls = filter ((== ["mimalloc"]) . take 1 . drop 1 . words) (lines said)
        map (take 2 . drop 2 . words) (filter ("marker" `isPrefixOf`) ls) @?= [["limit", "2"]]
        length (filter ("message mimalloc live=" `isPrefixOf`) ls) @?= 2
        -- an event's markers stand before it
        map (take 1 . words) ls @?= [["message"], ["marker"], ["message"]]
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
  createDirectoryIfMissing True "build"
  removePathForcibly eventLog
  (status, out, err) <- child [("GHCRTS", "-V0 -l -ol" ++ eventLog)] thing
  assertEqual (out ++ err) ExitSuccess status
  text <- Char8.readFile eventLog
  pure (text, out)

eventLog :: FilePath
eventLog = "build/metrics.eventlog"

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
  , ("decide limit", do
      mi_option_set MiOptionCommitLimit (64 * 1024)
      logEvent
      ps <- replicateM 2 (mi_malloc (100 * 1024 * 1024))
      unless (all (== nullPtr) ps) $ fail "there is memory"
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
