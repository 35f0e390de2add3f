-- Metrics: what they are called and written as, that they add up, whose resident memory is; the event log;
-- and that the adapters of examples/adapters have the types that other libraries want. Runs at the root of
-- the package.
module Main (main) where

import Control.Applicative ((<|>))
import Control.Monad (when)
import Data.List (isPrefixOf, nub)
import Data.Maybe (isNothing)
import System.Directory (doesFileExist, findExecutable)
import System.Environment (setEnv)
import System.FilePath ((</>))
import System.IO (BufferMode (LineBuffering), hSetBuffering, stdout)
import Test.Tasty
import Test.Tasty.HUnit

import Api.Child (mainOr)
import InPlace
import qualified Metrics.EventLog
import qualified Metrics.Formats
import qualified Metrics.Residence

main :: IO ()
-- One test at a time: some count.
main = mainOr (Metrics.Residence.things ++ Metrics.EventLog.things) $ do
  hSetBuffering stdout LineBuffering
  setEnv "TASTY_NUM_THREADS" "1"
  installed <- findExecutable "promtool"
  unpacked <- doesFileExist "build/prometheus/usr/bin/promtool"
  let promtool = installed <|> if unpacked then Just "build/prometheus/usr/bin/promtool" else Nothing
  when (isNothing promtool) $ putStrLn "# skipped: promtool is not installed (tools/promtool fetches it)"
  defaultMain $ testGroup "metrics"
    [ Metrics.Formats.tests promtool
    , Metrics.Residence.tests
    , Metrics.EventLog.tests
    , testGroup "adapters" $
        [ testCase a (adapter a) | a <- ["PrometheusClient", "Ekg", "OpenTelemetry"] ]
        ++ [ testCase "Ekg: names that may come later" ekgNames ]
    ]

-- It compiles against stand-ins for the library: modules with its published signatures, and nothing in them.
adapter :: String -> Assertion
adapter name = do
  compiler <- ghc
  flags <- buildDirectory >>= packageFlags
  problem <- run 600 compiler (flags ++ ["-fno-code", "-Wall", "-Werror", "-itest/hs/Metrics/stubs"
    , "examples" </> "adapters" </> (name ++ ".hs")]) ""
  maybe (pure ()) assertFailure problem

-- Each capability, though most have not allocated, and whatever has a fixed name.
ekgNames :: Assertion
ekgNames = do
  compiler <- ghc
  flags <- buildDirectory >>= packageFlags
  dir <- freshDirectory "ekg"
  built <- run 600 compiler (flags ++ ["-threaded", "-rtsopts", "-itest/hs/Metrics/stubs"
    , "-iexamples/adapters", "-outputdir", dir, "-o", dir </> "names", "test/hs/Metrics/EkgNames.hs"]) ""
  mapM_ assertFailure built
  (problem, said) <- output 60 (dir </> "names") ["+RTS", "-N3"] ""
  mapM_ assertFailure problem
  let names = map (takeWhile (/= ':')) (lines said)
      gauges = [ "mimalloc_" ++ g ++ "." ++ v | (g, vs) <- groups, v <- vs ]
      groups = [ ("capability_pages", numbers), ("capability_fresh_pages", numbers)
               , ("owner_live_bytes", map ("capability " ++) numbers ++ ["threads", "nobody"])
               , ("heap_pages", ["main", "other", "none"]) ]
      numbers = ["0", "1", "2"]
  [ g | g <- gauges, g `notElem` names ] @?= []
  length (nub names) @?= length names
  assertBool "size classes" (not (any ("mimalloc_size_class" `isPrefixOf`) names))
