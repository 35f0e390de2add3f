-- Tests that look at what a process writes to stderr, or how it ends: this program again, with one thing to
-- do.
module Api.Child
  ( mainOr
  , child
  ) where

import Control.Exception (evaluate)
import Control.Monad (void)
import Control.Concurrent (forkIO, newEmptyMVar, putMVar, takeMVar)
import System.Environment (getEnvironment, getExecutablePath, lookupEnv)
import System.Exit (ExitCode (..), exitWith)
import System.IO
import System.Process

-- | The main function: does the named thing if this is a child, else what is given.
mainOr :: [(String, IO ())] -> IO () -> IO ()
mainOr things tests = lookupEnv variable >>= \name -> case name of
  Nothing -> tests
  Just thing -> maybe (exitWith (ExitFailure 99)) (>> hFlush stdout) (lookup thing things)

-- | Does the named thing in a process of its own, with these variables in its environment: how it ended, and
-- what it wrote to stdout and to stderr.
child :: [(String, String)] -> String -> IO (ExitCode, String, String)
child settings thing = do
  exe <- getExecutablePath
  inherited <- filter ((`notElem` map fst own) . fst) <$> getEnvironment
  (_, Just out, Just err, process) <- createProcess (proc exe [])
    { env = Just (own ++ inherited), std_in = NoStream, std_out = CreatePipe, std_err = CreatePipe }
  said <- whole out
  complained <- whole err
  (,,) <$> waitForProcess process <*> said <*> complained
  where
    own = (variable, thing) : settings
    -- Reads at once, so that the child never waits for us.
    whole h = do
      text <- newEmptyMVar
      void $ forkIO $ hGetContents h >>= \s -> evaluate (length s) >> putMVar text s
      pure (takeMVar text)

variable :: String
variable = "MIMALLOC_TEST_CHILD"
