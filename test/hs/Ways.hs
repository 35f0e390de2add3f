-- The library in programs built in other ways than the suites are: ways/Probe.hs, compiled or interpreted,
-- and run.
module Main (main) where

import Control.Monad (forM_)
import Data.List (isPrefixOf)
import Data.Version (versionBranch)
import System.Directory
import System.FilePath
import System.Info (fullCompilerVersion)

import InPlace

main :: IO ()
main = do
  compiler <- ghc
  flags <- buildDirectory >>= packageFlags
  dir <- freshDirectory "ways"
  let old = versionBranch fullCompilerVersion < [9, 2]
      late = [ "--finalizers-late" | old ] -- the non-moving collector's, then: some only at exit
      way name options runtime =
        (name, compiled probe compiler flags (dir </> filter (/= ' ') name) options runtime)
  report
    [ way "not threaded"        ["-O0"] []
    , way "threaded"            ["-O1", "-threaded"] ["-N4"]
    , way "optimised"           ["-O2", "-threaded"] ["-N4"]
    , way "non-moving"          ["-O1", "-threaded"] (["-N2", "-xn", "-RTS"] ++ late)
    , again (way "sanity checks" ["-O1", "-threaded", "-debug"] ["-N2", "-DS"])
    , way "dynamic"             ["-O1", "-threaded", "-dynamic"] ["-N2"]
    , way "dynamic, not threaded" ["-O1", "-dynamic"] []
    , ("interpreted", run 900 compiler (flags ++ ["-package", "mimalloc", "-e", "main", probe]) "")
    , ("interpreted, on all capabilities", run 900 compiler (flags
         ++ ["-package", "mimalloc", "-e", "Control.Concurrent.setNumCapabilities 3 >> main", probe]) "")
    , ("in ghci", run 900 compiler
         (flags ++ ["--interactive", "-v0", "-package", "mimalloc", probe]) "main\n:reload\nmain\n")
    , ("profiling", profiled compiler dir)
    , ("C of one's own", ownC compiler flags (dir </> "own"))
    , ("forkProcess",          compiled forks compiler flags (dir </> "forks") ["-O1", "-threaded"] ["-N4"])
    , ("forkProcess, dynamic"
      , compiled forks compiler flags (dir </> "forks-dynamic") ["-O1", "-threaded", "-dynamic"] ["-N4"])
    ]

-- GHC's sanity checks crash now and then where threads are killed (checkTSO), in a program with base's
-- allocation only, too: 3 of 16 runs of the suite pure with allocaBytes for all brackets, with 9.0, and 3 of
-- 15 with 9.6. A fault of ours would crash three times in a row.
again :: (String, IO Problem) -> (String, IO Problem)
again (name, test) = (name, go (3 :: Int))
  where go n = test >>= \problem -> case problem of
          Just why | n > 1, "exit status -11" `isPrefixOf` why -> go (n - 1)
          _ -> pure problem

probe, forks :: FilePath
probe = "test/hs/ways/Probe.hs"
forks = "test/hs/ways/Forks.hs"

compiled :: FilePath -> FilePath -> [String] -> FilePath -> [String] -> [String] -> IO Problem
compiled source compiler flags exe options runtime = do
  built <- run 1800 compiler (flags
    ++ ["-rtsopts", "-outputdir", exe <.> "o", "-o", exe] ++ options ++ [source]) ""
  maybe (run 900 exe ("+RTS" : runtime) "") (pure . Just) built

-- C code that has the headers which the package installs, and no others.
ownC :: FilePath -> [String] -> FilePath -> IO Problem
ownC compiler flags dir = do
  description <- readFile "mimalloc.cabal"
  createDirectoryIfMissing True dir
  forM_ [ h | "install-includes:" : headers <- map words (lines description), h <- headers ] $ \h ->
    copyFile ("cbits/include" </> h) (dir </> h)
  let object = dir </> "own-c.o"
  built <- run 600 "gcc" [ "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-I" ++ dir
                         , "-c", "test/hs/ways/own.c", "-o", object ] ""
  let program = compiled "test/hs/ways/Own.hs" compiler flags (dir </> "program")
        ["-O1", "-threaded", "-package", "mimalloc", object] ["-N4"]
  maybe program (pure . Just) built

-- The library for profiling has a build of its own.
profiled :: FilePath -> FilePath -> IO Problem
profiled compiler dir = do
  let built = "build/profiling"
  library <- run 3600 "tools/cabal" [ "build", "--builddir=" ++ built, "--enable-profiling"
                                          , "--disable-tests", "--disable-benchmarks", "lib:mimalloc" ] ""
  case library of
    Just why -> pure (Just why)
    Nothing -> do
      flags <- packageFlags built
      compiled probe compiler flags (dir </> "profiling")
        ["-prof", "-O1", "-threaded", "-fprof-auto"] ["-N2", "-p", "-po" ++ (dir </> "probe")]
