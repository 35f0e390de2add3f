-- | The service of bench/c/memory.c on four capabilities, with blocks of 256 bytes and more, since a foreign
-- pointer is hundreds of bytes by itself: one for each block, dropped when its time has come.
module Memory.Service
  ( service
  ) where

import Control.Concurrent
import Control.Monad
import Data.IORef
import qualified Data.Vector as Frozen
import Data.Word (Word64, Word8)
import GHC.Clock (getMonotonicTimeNSec)

import Memory.Random
import Memory.Report
import Memory.Streams (New, block, touch)
import Mimalloc

-- | A block, its size, and the blocks that are due at the same tick.
data Due = Nothing' | Due !Int !(ForeignPtr Word8) Due

-- | A slot for each tick; those far ahead come round to it.
type Wheel = Frozen.Vector (IORef Due)

threads, slots :: Int
threads = 4
slots = 4096

-- | So many cycles of 6 seconds, 600 ticks: 120 are a peak, five times the load, and in the last 150 nothing
-- is done. What a request does not keep is dropped as soon as it is written to, and never counts as live.
service :: String -> Int -> IO ()
service who cycles = do
  wheels <- replicateM threads (Frozen.replicateM slots (newIORef Nothing'))
  counters <- replicateM threads (newIORef 0)       -- each is its thread's; the sum is what lives
  own
  phase "start"
  start <- getMonotonicTimeNSec
  reporter <- forkIO . forever $ sum <$> mapM readIORef counters >>= liveBytes >> threadDelay 10000
  dones <- forM (zip3 [0 ..] wheels counters) $ \(thread, wheel, live) -> do
    done <- newEmptyMVar
    random <- newRandom thread
    let others = wheels !! ((thread + 1) `rem` threads)
    done <$ forkOn thread (serve (block who) random wheel others live start cycles >> putMVar done ())
  mapM_ takeMVar dones
  phase "end"
  killThread reporter

serve :: New -> Random -> Wheel -> Wheel -> IORef Int -> Word64 -> Int -> IO ()
serve new random wheel others live start cycles = go 0 0
  where
    go :: Int -> Int -> IO ()
    go at tick = when (at < cycles * 600) $ do
      now <- getMonotonicTimeNSec
      let early = fromIntegral (start + fromIntegral at * 10000000) - fromIntegral now :: Int
      when (early > 0) $ threadDelay (early `div` 1000)
      let phase' = at `div` 150 `rem` 16
          octave = 8 + min phase' (16 - phase') `div` 2      -- from 8 to 12 and back in four cycles
          within = at `rem` 600
      if within >= 450 then go (at + 1) tick else do
        atomicModifyIORef' (wheel Frozen.! (tick `rem` slots)) (\due -> (Nothing', due)) >>= expire
        replicateM_ (if within >= 200 && within < 320 then 20 else 4) (request tick octave 0)
        go (at + 1) (tick + 1)
    expire Nothing' = pure ()
    expire (Due size p rest) = do
      withForeignPtr p $ \q -> peek q >>= \b -> when (b /= 1) $ fail "a block lost its byte"
      modifyIORef' live (subtract size)
      expire rest
    request :: Int -> Int -> Int -> IO ()
    request tick octave bytes = when (bytes < 40960) $ do
      size <- octaves random octave (octave + 4)
      p <- new size
      withForeignPtr p (touch size)
      kept <- between random 0 4
      when (kept < 2) $ do
        modifyIORef' live (+ size)
        soon <- between random 0 4
        lives <- if soon > 0 then between random 1 200 else between random 400 1800
        mine <- between random 0 3
        atomicModifyIORef' ((if mine > 0 then wheel else others) Frozen.! ((tick + lives) `rem` slots))
          (\due -> (Due size p due, ()))
      request tick octave (bytes + size)
