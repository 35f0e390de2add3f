-- Processes are forked while another thread drains (none while another changes the number of capabilities:
-- base has a lock then that is never opened in the child); in each, draining works. What drains is the
-- argument. test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Monad
import qualified Data.ByteString as Bytes
import Data.Word (Word8)
import Foreign.Ptr
import System.Environment (getArgs)
import System.Exit
import System.Posix.Process (ProcessStatus (..), exitImmediately, forkProcess, getProcessStatus)
import System.Posix.Signals (scheduleAlarm)

import Mimalloc
import Mimalloc.Capability
import Mimalloc.Primitive.Option
import Mimalloc.Stats
import Mimalloc.Store (Store)
import qualified Mimalloc.Store as Store

main :: IO ()
main = do
  [what] <- getArgs
  kept <- replicateM 1000 (mi_malloc 5000) :: IO [Ptr Word8]
  store <- Store.newStore
  case what of
    "drainAll" -> void (forkIO (forever drainAll))
    "reinitializeCapabilities" -> do
      setNumCapabilities 1
      void (forkIO (forever reinitializeCapabilities))
    "startDraining" -> startDraining 500
    "stopDraining" -> void (forkIO (forever (startDraining 500 >> stopDraining)))
    "store" -> mapM_ (const (forkIO (forever (used store)))) [1 .. 3 :: Int]
    _ -> exitFailure
  _ <- forkIO (forever blocks)
  ended <- forM [1 .. 50] $ \n -> do
    threadDelay 1000
    child <- forkProcess (inChild n store)
    getProcessStatus True False child
  mapM_ mi_free kept
  if all (== Just (Exited ExitSuccess)) ended then putStrLn "fine" else print ended >> exitFailure

blocks :: IO ()
blocks = replicateM 100 (mi_malloc 5000) >>= mapM_ mi_free

-- Long strings: they are copied in a safe call, so that others come between.
used :: Store -> IO ()
used store = do
  h <- Store.putString store (Bytes.replicate 2000000 7)
  Store.replaceString store h (Bytes.replicate 3000000 8)
  s <- Store.getString store h
  unless (Bytes.length s == 3000000 && Bytes.last s == 8) exitFailure
  handles <- forM [1 .. 100] $ \n -> Store.putString store (Bytes.replicate n 9)
  mapM_ (Store.deleteString store) (h : handles)

-- It is killed if it hangs.
inChild :: Int -> Store -> IO ()
inChild n store = do
  _ <- scheduleAlarm 120
  drainAll
  reinitializeCapabilities
  startDraining 1000
  blocks
  used store
  stopDraining
  drainAll
  when (n `mod` 5 == 0) disabled
  exitImmediately ExitSuccess

-- The child has drainers of its own.
disabled :: IO ()
disabled = do
  mi_option_set MiOptionPurgeDelay 50
  setNumCapabilities 3
  let spread = forM [0 .. 2] $ \c -> runOnCapability c $ replicateM 10 (mi_malloc 5000 :: IO (Ptr Word8))
  before <- spread
  drainAll -- it returns when each capability has its drainer
  after <- spread
  setNumCapabilities 1
  mapM_ (mapM_ mi_free) (before ++ after)
  comesBack

comesBack :: IO ()
comesBack = do
  held <- sum . map capabilityPages . filter ((> 0) . capabilityNumber) <$> capabilityStats
  unless (held == 0) $ threadDelay 5000 >> comesBack
