-- For the tests that compile programs against the library where cabal has built it: which compiler, which
-- flags, and how a test is run and reported. They run at the root of the package.
module InPlace
  ( ghc
  , buildDirectory
  , packageFlags
  , freshDirectory
    -- * Tests
  , Problem
  , report
  , run
  , output
  ) where

import Control.Exception (SomeException, displayException, try)
import Control.Monad (filterM, when)
import Data.List (isPrefixOf)
import Data.Version (showVersion)
import System.Directory
import System.Environment (getExecutablePath)
import System.Exit (ExitCode (..), exitFailure)
import System.FilePath
import System.IO
import System.Info (fullCompilerVersion)
import System.Process (readProcessWithExitCode)

-- | The compiler tools/cabal uses.
ghc :: IO FilePath
ghc = do
  debian <- doesFileExist "/usr/bin/ghc"
  pure (if debian then "/usr/bin/ghc" else "ghc")

-- | Where cabal built this program (@dist-newstyle@, unless it was told another place).
buildDirectory :: IO FilePath
buildDirectory = do
  exe <- getExecutablePath
  found <- filterM (\d -> doesDirectoryExist (d </> "packagedb"))
    (takeWhile (/= "/") (iterate takeDirectory (takeDirectory exe)))
  case found of
    d : _ -> pure d
    [] -> ioError (userError (exe ++ " is in no build directory of cabal's"))

-- | Flags with which GHC sees the library as it was built there, besides the compiler's own packages.
packageFlags :: FilePath -> IO [String]
packageFlags built = do
  let version = "ghc-" ++ showVersion fullCompilerVersion
  found <- filter (version `isPrefixOf`) <$> listDirectory (built </> "packagedb")
  case found of
    db : _ -> pure ["-package-env", "-", "-package-db", built </> "packagedb" </> db]
    [] -> ioError (userError ("nothing was built with " ++ version ++ " in " ++ built))

-- | An empty directory of this name in build/.
freshDirectory :: String -> IO FilePath
freshDirectory name = do
  let d = "build" </> name
  removePathForcibly d
  createDirectoryIfMissing True d
  makeAbsolute d

-- | What is wrong, if anything.
type Problem = Maybe String

-- | Runs all tests, says how each went, and ends the program with a failure if one failed.
report :: [(String, IO Problem)] -> IO ()
report tests = do
  hSetBuffering stdout LineBuffering
  good <- mapM one tests
  when (not (and good)) exitFailure
  where
    one (name, test) = do
      r <- try test
      case either (\e -> Just (displayException (e :: SomeException))) id r of
        Nothing -> putStrLn ("ok " ++ name) >> pure True
        Just why -> do
          let (line, more) = break (== '\n') why
          putStrLn ("not ok " ++ name ++ ": " ++ line)
          mapM_ (putStrLn . ("  " ++)) (filter (not . null) (lines more))
          pure False

-- | Runs a program, with something on its standard input, for at most so many seconds. Anything but success
-- is a problem, shown with the last of what the program said.
run :: Int -> FilePath -> [String] -> String -> IO Problem
run seconds exe args input = fst <$> output seconds exe args input

-- | The same, with all the program said.
output :: Int -> FilePath -> [String] -> String -> IO (Problem, String)
output seconds exe args input = do
  (status, out, err) <- readProcessWithExitCode "timeout"
    (["--kill-after=10", show seconds, exe] ++ args) input
  let said = out ++ err
      tailOf = unlines . reverse . take 20 . reverse . lines
      problem why = Just (why ++ ": " ++ unwords (takeFileName exe : args) ++ "\n" ++ tailOf said)
  pure . flip (,) said $ case status of
    ExitSuccess -> Nothing
    ExitFailure 124 -> problem ("not done after " ++ show seconds ++ " s")
    ExitFailure n ->
      problem ("exit status " ++ show n ++ if n > 128 then ", signal " ++ show (n - 128) else "")
