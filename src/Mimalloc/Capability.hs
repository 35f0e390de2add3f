-- |
-- Capabilities, GHC's virtual processors (@+RTS -N@), each of which has a heap of its own here.
--
-- Nothing in this module needs to be called for the allocator to work: a capability's heap appears when
-- something is first allocated there, and gives its pages up when the capability is disabled.
-- 'getNumCapabilities' and 'setNumCapabilities' are those of "Control.Concurrent", so both modules may be
-- imported:
--
-- >>> import Control.Concurrent
-- >>> import Mimalloc.Capability
-- >>> getNumCapabilities >>= setNumCapabilities
--
-- (There is no way to set the current capability: a
-- Haskell thread may be moved between any two steps. Run the action on it instead.)
--
-- 'runOnCapability' and 'withCapabilityLocal' pass exceptions on, so they are not for pure code. A lazy value
-- that calls them by @unsafePerformIO@, and is interrupted by a timeout or @killThread@ while it is
-- evaluated, is that exception for ever, as with base's @bracket@. What works is to call them in 'IO', and to
-- evaluate the value there: @runOnCapability n (evaluate value)@. Then the value goes on where it was when it
-- is asked for again.
--
-- @since 0.1.0.0
module Mimalloc.Capability
  ( -- * Where am I
    getCurrentCapability
  , getNumCapabilities
    -- * Staying somewhere
  , runOnCapability
  , withCapabilityLocal
    -- * When their number changes
  , initializeCapabilities
  , setNumCapabilities
  , reinitializeCapabilities
    -- * When they sleep
  , drainAll
  , startDraining
  , stopDraining
    -- * What the examples import
    -- $setup
  ) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.IORef (IORef, atomicModifyIORef', newIORef)
import Foreign.Marshal.Array (withArray)
import System.IO.Unsafe (unsafePerformIO)

import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Control.Concurrent (yield)
-- >>> import Mimalloc.Capability

-- | The number of the capability this thread was on just now, from 0. The thread may have moved before the
-- caller looks at it, unless it is pinned ('withCapabilityLocal', 'forkOn').
--
-- >>> n <- getCurrentCapability
-- >>> most <- getNumCapabilities
-- >>> 0 <= n && n < most
-- True
--
-- @since 0.1.0.0
getCurrentCapability :: IO Int
getCurrentCapability = fromIntegral <$> mi_cap_number

-- | Runs the action on this capability, in a new thread that is pinned to it, and waits for its result.
--
-- It is as if the caller ran the action: its exception becomes the caller's, an asynchronous exception for
-- the caller is thrown to the action (or, if the action ends before that, to the caller), and it is masked as
-- the caller is. Only 'myThreadId' is another, and the new thread is not a bound one. Waiting is
-- interruptible. A caller that is pinned there already runs the action itself.
--
-- Throws an invalid argument ('IOError') if there is no such capability. If the number of capabilities is
-- lowered below it meanwhile, the action goes on on another.
--
-- >>> runOnCapability 0 getCurrentCapability
-- 0
-- >>> runOnCapability (-1) (pure ())
-- *** Exception: runOnCapability: invalid argument (no capability -1: 1 enabled)
--
-- @since 0.1.0.0
runOnCapability :: Int -> IO a -> IO a
runOnCapability n act = do
  enabled <- getNumCapabilities
  when (n < 0 || n >= enabled) $ noCapability "runOnCapability" n enabled
  here <- myThreadId >>= threadCapability
  if here == (n, True) then act else onPinnedThread n act

-- | Runs the action on one capability, the one this thread is on, so that it stays there from start to end.
-- Otherwise as 'runOnCapability'.
--
-- >>> withCapabilityLocal $ (==) <$> getCurrentCapability <*> (yield >> getCurrentCapability)
-- True
--
-- @since 0.1.0.0
withCapabilityLocal :: IO a -> IO a
withCapabilityLocal act = do
  (n, pinned) <- myThreadId >>= threadCapability
  if pinned then act else onPinnedThread n act

-- The worker outlives the result it hands over until the caller says so. So an exception on its way to the
-- worker is either raised inside the action or still waiting, never lost in a thread that is done; what still
-- waits goes back to the caller.
onPinnedThread :: Int -> IO a -> IO a
onPinnedThread n act = mask $ \restore -> do
  caller <- myThreadId
  result <- newEmptyMVar
  release <- newEmptyMVar
  worker <- forkOn n $ do
    try (restore act) >>= putMVar result
    uninterruptibleMask_ (takeMVar release)
  let -- In a thread of its own, which ends when the exception has arrived.
      forward e = forkIO $ throwTo worker (e :: SomeException) `catch` \TakeBack -> throwTo caller e
      wait forwarders = try (takeMVar result) >>= \r -> case r of
        Right outcome -> pure (forwarders, outcome)
        -- the worker got one of its own
        Left e | Just BlockedIndefinitelyOnMVar <- fromException e -> wait forwarders
               | otherwise -> forward e >>= \t -> wait (t : forwarders)
  (forwarders, outcome) <- wait []
  uninterruptibleMask_ $ mapM_ (`throwTo` TakeBack) forwarders >> putMVar release ()
  either (throwIO :: SomeException -> IO a) pure outcome

data TakeBack = TakeBack deriving Show
instance Exception TakeBack

-- | Does nothing, and need not be called: heaps appear by themselves. It is here for programs written for
-- bindings where it has to be the first call.
--
-- @since 0.1.0.0
initializeCapabilities :: IO ()
initializeCapabilities = pure ()

-- | Gets back at once what the heaps of disabled capabilities hold: makes these give all their pages up;
-- blocks in use stay as they are. It never needs to be called: a disabled capability that does nothing is
-- drained by itself after a second or so (sooner, if it has just been busy, or if the option
-- 'Mimalloc.Primitive.Option.MiOptionPurgeDelay' is short; not if that is negative).
--
-- A heap can only be touched while its capability is held. So each capability but the first has a thread that
-- sleeps there, from its first use on. A capability that was disabled within the few milliseconds that this
-- thread needs to get there, or before this process was forked, keeps what it has until it is enabled again.
-- No asynchronous exception interrupts it.
--
-- >>> reinitializeCapabilities
--
-- @since 0.1.0.0
reinitializeCapabilities :: IO ()
reinitializeCapabilities = mi_cap_drain_disabled_safe

-- | Makes every capability, enabled or not, give up the pages of its heap while it is held, and gives free
-- memory back to the system at once. What is in use stays as it is: its pages are nobody's then, and go when
-- their last block is freed. For a program that is going to wait, or that wants to know how much really
-- lives; nothing is stuck afterwards in heaps whose capabilities sleep.
--
-- May be called from any thread, also in a process made by @forkProcess@, whatever others did when that was
-- made. It waits as 'reinitializeCapabilities' does.
--
-- >>> drainAll
--
-- @since 0.1.0.0
drainAll :: IO ()
drainAll = mi_cap_drain_all_safe >> mi_collect_safe 1

-- | Starts a thread that looks at all capabilities, each time so many microseconds later, and makes those
-- give up their pages that have done nothing in between; for programs in which capabilities sleep while
-- others work. If there is one it gets the new period. Off by default: a thread that wakes up keeps GHC's
-- idle collection busy. A process made by @forkProcess@ has none.
--
-- Throws an invalid argument ('IOError') if the period is not positive.
--
-- >>> startDraining 1000000 >> stopDraining
--
-- @since 0.1.0.0
startDraining :: Int -> IO ()
startDraining period = do
  when (period <= 0) $ negativeSize "startDraining" period
  mask_ $ forkIOWithUnmask (\unmask -> unmask (drainIdle period)) >>= drainingBy . Just

-- | Ends it. Does nothing if there is none.
--
-- @since 0.1.0.0
stopDraining :: IO ()
stopDraining = drainingBy Nothing

-- Of two at the same time each ends the thread that it finds. The one that is ended is found in no lock: it
-- waits, or is in C.
drainingBy :: Maybe ThreadId -> IO ()
drainingBy new = uninterruptibleMask_ $ atomicModifyIORef' drainer ((,) new) >>= mapM_ killThread

-- With what they had done a period ago.
drainIdle :: Int -> IO ()
drainIdle period = do
  most <- fromIntegral <$> mi_cap_max
  withArray (replicate most 0) $ \activity -> forever $ threadDelay period >> mi_cap_drain_idle_safe activity

drainer :: IORef (Maybe ThreadId)
drainer = unsafePerformIO (newIORef Nothing)
{-# NOINLINE drainer #-}
