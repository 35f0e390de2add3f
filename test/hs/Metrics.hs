-- Metrics: what they are called and written as, that they add up, whose resident memory is; the event log;
-- and that the adapters of examples/adapters have the types that other libraries want. Runs at the root of
-- the package.
module Main (main) where

import Control.Applicative ((<|>))
import Control.Monad (replicateM, when)
import qualified Data.ByteString.Char8 as Char8
import Data.List (isInfixOf, isPrefixOf, nub)
import Data.Maybe (isNothing)
import Foreign.ForeignPtr (touchForeignPtr)
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
import Mimalloc.Heap
import Mimalloc.Stats (statsJson)

main :: IO ()
-- One test at a time: some count.
main = mainOr (Metrics.Formats.things ++ Metrics.Residence.things ++ Metrics.EventLog.things) $ do
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
    , testCase "examples/Grew.hs: what grew" grew
    ]

-- It compiles against stand-ins for the library: modules with its published signatures, and nothing in them.
adapter :: String -> Assertion
adapter name = do
  compiler <- ghc
  flags <- buildDirectory >>= packageFlags
  problem <- run 600 compiler (flags ++ ["-fno-code", "-Wall", "-Werror", "-itest/hs/Metrics/stubs"
    , "examples" </> "adapters" </> (name ++ ".hs")]) ""
  maybe (pure ()) assertFailure problem

-- Between two statistics of this process.
grew :: Assertion
grew = do
  compiler <- ghc
  dir <- freshDirectory "grew"
  built <- run 600 compiler ["-package-env", "-", "-Wall", "-Werror", "-outputdir", dir, "-o", dir </> "grew"
    , "examples/Grew.hs"] ""
  mapM_ assertFailure built
  heap <- newNamedHeap "caf\233"
  small <- newNamedHeap "small"
  gone <- newHeap
  first <- heapMallocForeignPtrBytes heap 1000
  one <- heapMallocForeignPtrBytes gone 1000
  let file name = dir </> name
      save name = statsJson >>= Char8.writeFile (file name)
      compared = output 60 (dir </> "grew")
  save "before.json"
  ps <- replicateM 1000 (heapMallocForeignPtrBytes heap 1000)
  p <- heapMallocForeignPtrBytes small 100
  touchForeignPtr one
  unsafeEndHeap gone
  save "after.json"
  mapM_ touchForeignPtr (first : p : ps)
  (problem, said) <- compared [file "before.json", file "after.json"] ""
  mapM_ assertFailure problem
  let title = ["heaps", "pages", "live", "blocks"]
      heaps = takeWhile (not . null) (drop 1 (dropWhile (/= title) (map words (lines said))))
  assertBool said (any ("live " `isPrefixOf`) (lines said) && any ("resident " `isPrefixOf`) (lines said))
  -- the largest first; what shrank last
  map (drop 2) [ h | h <- heaps, "heap" `elem` take 1 h ] @?=
    [ words "\"caf\233\" +960 KiB +1000 KiB +1000", words "\"small\" +64 KiB +112 B +1"
    , words "-64 KiB -1 KiB -1" ]
  assertBool said (any (["1", "KiB", "blocks"] `isPrefixOf`) (map words (lines said)))
  (same, nothing) <- compared [file "after.json", file "after.json"] ""
  (same, length (lines nothing)) @?= (Nothing, 4)
  Char8.writeFile (file "other.json") (Char8.pack "{\"version\":1}")
  (other, why) <- compared [file "before.json", file "other.json"] ""
  assertBool why (other /= Nothing && "not statistics" `isInfixOf` why)

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
