-- Processes end while threads of theirs drain. test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8)
import Foreign.Ptr
import System.Exit
import System.Posix.Process (ProcessStatus (..), forkProcess, getProcessStatus)
import System.Posix.Signals (scheduleAlarm)

import Mimalloc
import Mimalloc.Capability

main :: IO ()
main = do
  ended <- forM [1 .. 50] $ \n -> do
    child <- forkProcess (inChild n)
    getProcessStatus True False child
  if all (== Just (Exited ExitSuccess)) ended then putStrLn "fine" else print ended >> exitFailure

-- It is killed if it hangs; and it ends through hs_exit.
inChild :: Int -> IO ()
inChild n = do
  _ <- scheduleAlarm 120
  begun <- newEmptyMVar
  replicateM_ 2 . forkIO $ do
    blocks <- replicateM 100 (mi_malloc 5000) :: IO [Ptr Word8]
    mapM_ mi_free blocks
    drainAll
    putMVar begun ()
    forever drainAll
  replicateM_ 2 (takeMVar begun)
  threadDelay (40 * n)
