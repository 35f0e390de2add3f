-- Disabled capabilities are drained while collections go on, one of which may move a drainer to another
-- capability: draining ends. test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8)
import Foreign.Ptr
import System.Exit
import System.Mem (performMinorGC)
import System.Timeout (timeout)

import Mimalloc
import Mimalloc.Capability

main :: IO ()
main = do
  _ <- forkIO (forever (performMinorGC >> yield))
  forM_ [1 .. 1000 :: Int] $ \time -> do
    setNumCapabilities 4
    blocks <- forM [0 .. 3] $ \c -> runOnCapability c $ replicateM 10 (mi_malloc 300 :: IO (Ptr Word8))
    when (time == 1) drainAll -- it returns when each capability has its drainer
    setNumCapabilities 1
    mapM_ (mapM_ mi_free) blocks
    done <- newEmptyMVar
    _ <- forkIO (drainAll >> putMVar done ())
    ended <- timeout 60000000 (takeMVar done)
    when (ended == Nothing) $ putStrLn ("time " ++ show time ++ ": draining does not end") >> exitFailure
