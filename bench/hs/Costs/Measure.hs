-- | Rounds of measurements, taken by turns, and how they are printed: a line for each thing measured, all its
-- figures in it.
module Costs.Measure
  ( Thing (..)
  , interleaved
  , perOperation
  , nanoseconds
  , collected
  , runFinalizers
  , onEach
  , on
  , line
  ) where

import Control.Concurrent
import Control.Monad
import Data.List (intercalate, transpose)
import Data.Word (Word64, Word8)
import GHC.Clock (getMonotonicTimeNSec)
import System.IO (hFlush, stdout)
import System.Mem (performGC)
import Text.Printf (printf)

-- | Its name, the bytes of a block, and one measurement.
data Thing = Thing String Int (IO Double)

-- | So many rounds; each measures every thing once. The lines come when all is done.
interleaved :: String -> Int -> [Thing] -> IO ()
interleaved part rounds things = do
  figures <- replicateM rounds $ forM things $ \(Thing _ _ measured) -> measured
  forM_ (zip things (transpose figures)) $ \(Thing name size _, values) -> line part name size values

line :: String -> String -> Int -> [Double] -> IO ()
line part name size values = do
  putStrLn (intercalate "\t" [part, name, show size, unwords (map (printf "%.2f") values)])
  hFlush stdout

nanoseconds :: IO () -> IO Double
nanoseconds act = do
  start <- getMonotonicTimeNSec
  act
  end <- getMonotonicTimeNSec
  pure (fromIntegral (end - start :: Word64))

-- | GHC's collector puts C finalizers on a list, of which idle capabilities run a hundred at a time. So they
-- would be paid for by what is measured next. The run-time system's own function that runs them now; another
-- capability may be at it.
foreign import ccall unsafe "runSomeFinalizers" rts_run_finalizers :: Word8 -> IO Word8

runFinalizers :: IO ()
runFinalizers = void (rts_run_finalizers 1)

-- | A collection, and all its finalizers.
collected :: IO ()
collected = performGC >> replicateM_ 5 (runFinalizers >> yield)

-- | Nanoseconds for one operation of a loop that is given its length; as many loops at once as there are
-- capabilities. Those that the garbage collector gives back pay for the collections, too, the last one
-- included. The length is found first: what takes some milliseconds.
perOperation :: (Int -> IO ()) -> IO (IO Double)
perOperation way = do
  loops <- getNumCapabilities
  let measured count = do
        -- what was measured before had the memory last
        onEach loops (const (way (count `div` 4))) >> collected
        time <- nanoseconds (onEach loops (const (way count)) >> collected)
        pure (time, time / fromIntegral count)
      long count = do
        (time, each) <- measured count
        if time < 1.5e6 then long (count * 4) else pure (max 20 (ceiling (1e7 / each)) :: Int)
  count <- long 100
  pure (snd <$> measured count)

-- | On each of so many capabilities at once; waits for all.
onEach :: Int -> (Int -> IO ()) -> IO ()
onEach n act = do
  dones <- forM [0 .. n - 1] $ \c -> do
    done <- newEmptyMVar
    done <$ forkOn c (act c >> putMVar done ())
  mapM_ takeMVar dones

-- | On this capability.
on :: Int -> IO a -> IO a
on c act = do
  done <- newEmptyMVar
  _ <- forkOn c (act >>= putMVar done)
  takeMVar done
