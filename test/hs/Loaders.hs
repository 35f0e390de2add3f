-- The library where it is loaded in other ways than linked into a program: by GHC's own linker, beside
-- another mimalloc, in a library that is closed again; and what other threads had begun when a process is
-- forked. The programs are in test/hs/loaders.
module Main (main) where

import Control.Monad (filterM)
import Data.List (intercalate, isPrefixOf, isSuffixOf)
import Data.Maybe (listToMaybe)
import Data.Version (versionBranch)
import System.Directory
import System.FilePath
import System.Info (fullCompilerVersion)

import InPlace

main :: IO ()
main = do
  compiler <- ghc
  flags <- buildDirectory >>= packageFlags
  dir <- freshDirectory "loaders"
  others <- otherLibraries
  interpreter <- externalInterpreter compiler
  let program source name options =
        compile compiler flags source (dir </> name) (["-O1", "-threaded", "-rtsopts"] ++ options)
      spliced name options =
        (name, within [compile compiler flags "Spliced" (dir </> filter (/= ' ') name) options
                      , run 600 (dir </> filter (/= ' ') name) [] ""])
      -- since then there always is one
      eventLog = [ "-eventlog" | versionBranch fullCompilerVersion < [9, 4] ]
      drains = dir </> "drains"
      inlined = dir </> "inlined"
  mapM_ (putStrLn . ("# preloaded: " ++)) others
  report $
    [ spliced "spliced" []
    , spliced "spliced, external interpreter" interpreter
    , spliced "spliced, external interpreter, dynamic" ("-dynamic" : interpreter)
    , ("inlined, dynamic"
      , within [program "Inlined" "inlined" ["-dynamic"], run 900 inlined ["+RTS", "-N4"] ""])
    ] ++
    [ ("inlined, beside " ++ takeFileName library
      , run 900 "env" ["LD_PRELOAD=" ++ library, inlined, "+RTS", "-N4"] "") | library <- others ] ++
    [ ("names of our own", ownNames others)
    , ("closed library", closed compiler flags (dir </> "closed"))
    , ("lowered number of capabilities"
      , within [program "Lowered" "lowered" eventLog, run 900 (dir </> "lowered") ["+RTS", "-N4"] ""])
    , ("lowered number, event log"
      , run 900 (dir </> "lowered") ["+RTS", "-N4", "-l", "-ol" ++ (dir </> "lowered.eventlog")] "")
    , ("lowered number, sanity checks"
      , within [program "Lowered" "lowered-debug" ["-debug"]
               , run 900 (dir </> "lowered-debug") ["+RTS", "-N4", "-DS"] ""])
    , ("collections while disabled capabilities are drained"
      , within [program "Strays" "strays" [], run 900 (dir </> "strays") ["1000", "+RTS", "-N4", "-qg"] ""])
    , ("the same, parallel collections"
      , run 900 (dir </> "strays") ["300", "+RTS", "-N4", "-A64k"] "")
    , ("the same, non-moving collector"
      , unlessLost (3 :: Int) (run 300 (dir </> "strays") ["300", "+RTS", "-N4", "-A64k", "-xn"] ""))
    , ("exceptions at all threads"
      , within [program "Thrown" "thrown" [], run 900 (dir </> "thrown") ["+RTS", "-N4"] ""])
    , ("no thread can be made"
      , within [ run 600 "gcc" [ "-Wall", "-Wextra", "-O1", "-c", "test/hs/loaders/refuse.c"
                               , "-o", dir </> "refuse.o"] ""
               , program "Refused" "refused" [dir </> "refuse.o"]
               , run 900 (dir </> "refused") ["+RTS", "-N4"] ""])
    , ("ends while others drain"
      , within [program "Ends" "ends" ["-package", "unix"], run 900 (dir </> "ends") ["+RTS", "-N3"] ""])
    , ("ends while its memory is read", within
        [ run 600 "gcc" [ "-Wall", "-Wextra", "-O1", "-c", "test/hs/loaders/reader.c"
                        , "-o", dir </> "reader.o"] ""
        , program "Reads" "reads" [dir </> "reader.o"]
        , run 900 "sh" [ "-c", "for i in 1 2 3; do for way in 0:return 3:exit 1:throw; do"
            ++ " timeout 100 \"$1\" ${way#*:} \"$1\".bytes +RTS -N2 2>\"$1\".said; was=$?;"
            ++ " [ $was = ${way%:*} ] || { echo \"$way: $was\"; cat \"$1\".said; exit 1; }; done; done"
            , "sh", dir </> "reads" ] "" ])
    , ("ends while drainers start", within [program "First" "first" [], run 900 "sh"
        [ "-c", "for i in $(seq 500); do said=$(\"$1\" +RTS -N3 2>&1) && [ -z \"$said\" ] ||"
          ++ " { echo \"run $i: $said\"; exit 1; }; done", "sh", dir </> "first" ] ""])
    , ("forks while others drain"
      , compile compiler flags "Drains" drains ["-O1", "-threaded", "-rtsopts", "-package", "unix"])
    ] ++
    [ ("forks, " ++ what, run 900 drains [what, "+RTS", "-N3"] "")
    | what <- ["drainAll", "reinitializeCapabilities", "startDraining", "stopDraining", "store"] ]

-- GHC loses threads now and then where the number of capabilities changes under the non-moving collector, and
-- hangs (test/hs/Soundness/Migrate.hs shows it). A fault of ours would hang three times in a row.
unlessLost :: Int -> IO Problem -> IO Problem
unlessLost n test = test >>= \problem -> case problem of
  Just why | n > 1, "not done after" `isPrefixOf` why -> unlessLost (n - 1) test
  _ -> pure problem

-- The first problem, if any.
within :: [IO Problem] -> IO Problem
within [] = pure Nothing
within (step : more) = step >>= maybe (within more) (pure . Just)

compile :: FilePath -> [String] -> String -> FilePath -> [String] -> IO Problem
compile compiler flags source exe options =
  run 1800 compiler (flags ++ ["-package", "mimalloc", "-outputdir", exe <.> "o", "-o", exe]
    ++ options ++ ["test/hs/loaders" </> source <.> "hs"]) ""

-- Flags for GHC's external interpreter: some of Debian's GHC look for it in another directory than the one
-- that it is in.
externalInterpreter :: FilePath -> IO [String]
externalInterpreter compiler = do
  library <- takeWhile (/= '\n') . snd <$> output 60 compiler ["--print-libdir"] ""
  found <- filterM doesFileExist [ library </> up </> "bin" </> "ghc-iserv" | up <- [".", ".."] ]
  pure ("-fexternal-interpreter" : [ "-pgmi=" ++ exe | exe <- take 1 found ])

-- Our own shared library, made if it is not there, and another mimalloc's, if that is installed.
otherLibraries :: IO [FilePath]
otherLibraries = do
  made <- run 1800 "make" ["lib", "BUILD=build"] ""
  maybe (pure ()) putStrLn made
  ours <- makeAbsolute "build/libmimalloc.so"
  installed <- mapM installedIn ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
  pure (ours : concat installed)
  where
    installedIn dir = do
      there <- doesDirectoryExist dir
      names <- if there then listDirectory dir else pure []
      pure (maybe [] (\n -> [dir </> n])
        (listToMaybe (filter (\n -> takeWhile (/= '.') n == "libmimalloc" && ".so.2" `isSuffixOf` n) names)))

-- What Haskell imports, and what is written in C--, has names that none of these libraries has.
ownNames :: [FilePath] -> IO Problem
ownNames libraries = do
  imports <- concatMap imported . lines . concat <$> mapM readFile
    ["src/Mimalloc/Internal/FFI.hs", "src/Mimalloc/Internal/Bracket.hs"]
  defined <- mapM (\library -> snd <$> output 60 "nm" ["-D", "--defined-only", library] "") libraries
  let theirs = [ name | text <- defined, _ : _ : name : _ <- map (words . map noVersion) (lines text) ]
      shared = filter (`elem` theirs) imports
  pure $ case (imports, theirs, shared) of
    ([], _, _) -> Just "no import found"
    (_, [], _) -> Just "no name found in the libraries"
    (_, _, []) -> Nothing
    _ -> Just ("names that others have, too: " ++ intercalate ", " shared)
  where
    noVersion c = if c == '@' then ' ' else c
    imported line = case words line of
      "foreign" : "import" : _ : rest ->
        take 1 (filter ("mi_" `isIn`)
          (map (filter (`notElem` "\"&#")) (filter (`notElem` ["unsafe", "safe"]) rest)))
      _ -> []
    isIn part whole = any ((== part) . take (length part)) [ drop n whole | n <- [0 .. length whole] ]

-- A library that is written in Haskell; a C program opens it, uses it in some threads and closes it. Several
-- times, as threads end by chance.
closed :: FilePath -> [String] -> FilePath -> IO Problem
closed compiler flags dir = do
  createDirectoryIfMissing True dir
  within $
    [ compile compiler flags "Exported" (dir </> "libexported.so")
        ["-O1", "-threaded", "-dynamic", "-shared", "-fPIC", "-flink-rts"]
    , run 600 "gcc" ["-Wall", "-Wextra", "-O1", "-pthread"
                    , "test/hs/loaders/host.c", "-o", dir </> "host", "-ldl"] ""
    ] ++ replicate 5 (run 300 (dir </> "host") [dir </> "libexported.so"] "") ++
    [ run 300 (dir </> "host") [dir </> "libexported.so", show us] ""
    | us <- [0 :: Int, 50, 200, 1000, 5000, 20000, 500000] ]
