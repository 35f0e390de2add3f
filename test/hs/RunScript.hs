-- What ./run and its program say to what they cannot do, and the status they end with. The program is
-- compiled here.
module RunScript (runTests) where

import Data.List (isInfixOf)
import System.Directory
import System.Exit (ExitCode (..))
import System.FilePath
import System.Process (readProcess, readProcessWithExitCode)

import InPlace

runTests :: FilePath -> [String] -> FilePath -> [(String, IO Problem)]
runTests compiler flags dir =
  [ ("./run --help", says 0 "sh" ["./run", "--help"] ["./run [PATH...]", "--check", "could not be read.\n"])
  , ("./run, help and what is wrong"
    , says 0 "sh" ["./run", dir </> "nothing", "--chekc", "--help"] ["--check", "status"])
  , ("./run, unknown option", says 2 "sh" ["./run", "--chekc"] ["unknown option --chekc", "[PATH...]"])
  , ("./run, no such path", says 2 "sh" ["./run", dir </> "nothing"] ["nothing: no such"])
  , ("the program builds", build)
  , ("--help", says 0 wordfreq ["--help"] ["usage:", "--check"])
  , ("--help and what is wrong", says 0 wordfreq [tree </> "nothing", "--chekc", "--help"] ["usage:"])
  , ("an unknown option", says 2 wordfreq [tree, "--chekc"] ["unknown option --chekc", "usage:"])
  , ("a path that is not there", says 2 wordfreq [tree, tree </> "nothing"] ["nothing", "does not exist"])
  , ("a folder without files", says 2 wordfreq [tree </> "empty"] ["no files"])
  , ("words are counted", says 0 wordfreq ["--check", tree] ["3  fish", "2  red", "agree"])
  , ("a link that was named is followed", says 0 wordfreq ["--check", "--", tree </> "link"] ["3  fish"])
  , ("an unreadable folder is named, and the rest done", asNobody 1 [tree] ["closed", "3  fish"])
  , ("an unreadable folder that was named", asNobody 2 [tree </> "closed", tree] ["closed"])
  ]
  where
    tree = dir </> "tree"
    wordfreq = dir </> "wordfreq"
    build = do
      createDirectoryIfMissing True (tree </> "below" </> "deep")
      createDirectoryIfMissing True (tree </> "empty")
      createDirectoryIfMissing True (tree </> "closed")
      writeFile (tree </> "one.txt") "Red fish, blue fish"
      writeFile (tree </> "below" </> "deep" </> "two") "red: FISH"
      createDirectoryLink (tree </> "below") (tree </> "below" </> "deep" </> "round")
      createDirectoryLink tree (tree </> "link")
      run 1800 compiler (flags ++ ["-threaded", "-rtsopts", "-Wall", "-Werror", "-outputdir"
                                  , wordfreq <.> "o", "-o", wordfreq, "examples/WordFreq.hs"]) ""
    -- The superuser can read everything, so it is somebody else who tries, with a copy where that one may go.
    asNobody status paths wanted = do
      root <- (== "0\n") <$> readProcess "id" ["-u"] ""
      place <- init <$> readProcess "mktemp" ["-d"] ""
      let copied = map (\p -> place </> makeRelative dir p) paths
          exe = place </> "wordfreq"
          (command, before) =
            if root then ("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", exe]) else (exe, [])
      _ <- readProcess "cp" ["-a", tree, wordfreq, place] ""
      _ <- readProcess "chmod" ["-R", "a+rX", place] ""
      let closed mode = () <$ readProcess "chmod" [mode, place </> "tree" </> "closed"] ""
      closed "0000"
      problem <- says status command (before ++ copied) wanted
      closed "0700"
      problem <$ removePathForcibly place

-- | Its status, and words that it prints, wherever.
says :: Int -> FilePath -> [String] -> [String] -> IO Problem
says status command args wanted = do
  (code, out, err) <- readProcessWithExitCode "timeout" (["600", command] ++ args) ""
  let got = case code of { ExitSuccess -> 0; ExitFailure n -> n }
      missing = [ w | w <- wanted, not (w `isInfixOf` (out ++ err)) ]
  pure $ if got == status && null missing then Nothing
         else Just ("status " ++ show got ++ ", not said: " ++ show missing ++ "\n" ++ out ++ err)
