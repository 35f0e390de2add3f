-- |
-- What the allocator does, in GHC's event log, beside the program's own events and the collections.
--
-- >>> import Mimalloc.EventLog
-- >>> startEventLog 100000
-- >>> stopEventLog
--
-- A program that was linked with @-eventlog@ (from GHC 9.4 on each) and runs with @+RTS -l@ writes the log;
-- @ghc-events show@ prints it, and @eventlog2html@ draws markers over the heap's profile. Else nothing is
-- written, but the thread of 'startEventLog' looks all the same.
--
-- An event is a line of what there is now, bytes but for the blocks:
--
-- > mimalloc live=1048576 blocks=1024 committed=2097152 resident=12582912 held=1048576 purged=0
--
-- A marker says that something was decided since the event before: @mimalloc minor collection@ and
-- @mimalloc major collection@ that one was asked for because of native memory ("Mimalloc.Pressure"),
-- @mimalloc purge@ that memory was given back to the system, and @mimalloc limit@ that requests for a block
-- failed because of the commit limit; with the number of collections, the bytes, or the number of requests.
--
-- Of events at the same time one has the markers, and each decision is in one marker. Where the system does
-- not say what is resident the event does not either.
--
-- The functions may be called from any thread.
--
-- @since 0.1.0.0
module Mimalloc.EventLog
  ( startEventLog
  , stopEventLog
  , logEvent
  ) where

import Control.Concurrent
import Control.Exception (IOException, catch, mask_, uninterruptibleMask_)
import Control.Monad (forever, when)
import Data.IORef (IORef, atomicModifyIORef', newIORef, readIORef)
import Debug.Trace (traceEventIO, traceMarkerIO)
import System.IO.Unsafe (unsafePerformIO)

import Mimalloc.Internal.Error (negativeSize)
import Mimalloc.Pressure
import Mimalloc.Stats

-- | Starts a thread that calls 'logEvent', each time so many microseconds later. If there is one it gets the
-- new period. A process made by @forkProcess@ has none.
--
-- Throws an invalid argument ('IOError') if the period is not positive.
--
-- >>> startEventLog 1000000 >> stopEventLog
--
-- @since 0.1.0.0
startEventLog :: Int -> IO ()
startEventLog period = do
  when (period <= 0) $ negativeSize "startEventLog" period
  mask_ $ forkIOWithUnmask (\unmask -> unmask (forever (turn >> threadDelay period))) >>= loggingBy . Just
  where
    -- Without memory there is no event this time.
    turn = logEvent `catch` \e -> let _ = e :: IOException in pure ()

-- | Ends it. Does nothing if there is none.
--
-- @since 0.1.0.0
stopEventLog :: IO ()
stopEventLog = loggingBy Nothing

-- | Writes one event now, and markers for what was decided since the one before. For want of memory,
-- an 'IOError' (@isResourceExhausted@).
--
-- >>> logEvent
--
-- @since 0.1.0.0
logEvent :: IO ()
logEvent = do
  before <- readIORef latest
  stats <- getStats
  pressure <- pressureStats
  let g = statsGauges stats
      purged = counterPurgedBytes (statsCounters stats)
      refused = counterRefusedRequests (statsCounters stats)
      field name n = ' ' : name ++ '=' : show n
      now = Decided (maybe 0 ((+ 1) . eventsBefore) before) (pressureMinorCollections pressure)
        (pressureMajorCollections pressure) purged refused
  -- Of events at the same time one has markers: the first one to come here since it has looked at the event
  -- before. The next event has what the others have seen besides.
  mine <- atomicModifyIORef' latest $ \there ->
    if (eventsBefore <$> there) == (eventsBefore <$> before) then (Just now, True) else (there, False)
  when mine $ mapM_ (`decided` now) before
  traceEventIO ("mimalloc" ++ field "live" (gaugeLiveBytes g) ++ field "blocks" (gaugeLiveBlocks g)
    ++ field "committed" (gaugeCommittedBytes g)
    ++ (if gaugeResidentBytes g > 0 then field "resident" (gaugeResidentBytes g) else "")
    ++ field "held" (pressureHeldBytes pressure) ++ field "purged" purged)

-- How many events had markers before; and what only goes up: minor and major collections, bytes that were
-- given back, requests that were refused.
data Decided = Decided { eventsBefore :: !Int, _minor, _major, _purged, _refused :: !Int }

-- As of the last event with markers. No lock: a process that is forked meanwhile would find it taken for
-- ever.
latest :: IORef (Maybe Decided)
latest = unsafePerformIO (newIORef Nothing)
{-# NOINLINE latest #-}

decided :: Decided -> Decided -> IO ()
decided (Decided _ minor major purged refused) (Decided _ minor' major' purged' refused') = do
  marker "minor collection" (minor' - minor)
  marker "major collection" (major' - major)
  marker "purge" (purged' - purged)
  marker "limit" (refused' - refused)
  where marker what n = when (n > 0) $ traceMarkerIO ("mimalloc " ++ what ++ ' ' : show n)

-- Of two at the same time each ends the thread that it finds.
loggingBy :: Maybe ThreadId -> IO ()
loggingBy new = uninterruptibleMask_ $ atomicModifyIORef' logger ((,) new) >>= mapM_ killThread

logger :: IORef (Maybe ThreadId)
logger = unsafePerformIO (newIORef Nothing)
{-# NOINLINE logger #-}
