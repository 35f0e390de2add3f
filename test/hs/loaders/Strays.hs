-- Disabled capabilities are drained while collections go on, which move threads away from them: draining
-- ends, and whatever the moment is, nothing stays behind. So many times at most, and none begins after a
-- minute: where others use the processors, too, a parallel collection takes 100 times as long.
-- test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8)
import Foreign.Ptr
import GHC.Clock (getMonotonicTime)
import System.Environment (getArgs)
import System.Exit
import System.Mem (performGC, performMinorGC)
import System.Timeout (timeout)

import Mimalloc
import Mimalloc.Capability
import Mimalloc.Stats

main :: IO ()
main = do
  [times] <- map read <$> getArgs
  mapM_ (forkIO . forever)
    [performMinorGC >> yield, performMinorGC >> threadDelay 50, performGC >> threadDelay 3000]
  end <- (+ 60) <$> getMonotonicTime
  left <- forM [1 .. times :: Int] $ \time -> getMonotonicTime >>= \now -> if now > end then pure [] else do
    setNumCapabilities 4
    blocks <- forM [0 .. 3] $ \c -> runOnCapability c $ replicateM 10 (mi_malloc 300 :: IO (Ptr Word8))
    when (time == 1) drainAll -- it returns when each capability has its drainer
    before <- held
    when (time > 1 && before == 0) $ putStrLn "the other capabilities hold nothing" >> exitFailure
    setNumCapabilities 1
    mapM_ (mapM_ mi_free) blocks
    done <- newEmptyMVar
    _ <- forkIO (drainAll >> putMVar done ())
    ended <- timeout 60000000 (takeMVar done)
    when (ended == Nothing) $ putStrLn ("time " ++ show time ++ ": draining does not end") >> exitFailure
    (\n -> [ time | n > 0 ]) <$> held    -- what was asked for is done when drainAll returns
  let strays = concat left
  unless (null strays) $ do
    putStrLn (show (length strays) ++ " of " ++ show times ++ " times something stayed behind, first at time "
              ++ show (take 1 strays))
    exitFailure
  putStrLn "fine"

held :: IO Int
held = sum . map capabilityPages . filter ((> 0) . capabilityNumber) <$> capabilityStats
