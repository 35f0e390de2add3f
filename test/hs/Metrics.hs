-- Metrics: what they are called and written as, that they add up, whose resident memory is; the event log;
-- and that the adapters of examples/adapters have the types that other libraries want. Runs at the root of
-- the package.
module Main (main) where

import Control.Applicative ((<|>))
import Control.Monad (when)
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
    , testGroup "adapters" [ testCase a (adapter a) | a <- ["PrometheusClient", "Ekg", "OpenTelemetry"] ]
    ]

-- It compiles against stand-ins for the library: modules with its published signatures, and nothing in them.
adapter :: String -> Assertion
adapter name = do
  compiler <- ghc
  flags <- buildDirectory >>= packageFlags
  problem <- run 600 compiler (flags ++ ["-fno-code", "-Wall", "-Werror", "-itest/hs/Metrics/stubs"
    , "examples" </> "adapters" </> (name ++ ".hs")]) ""
  maybe (pure ()) assertFailure problem
