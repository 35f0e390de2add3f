{-# LANGUAGE CPP #-}
-- |
-- Capabilities, GHC's virtual processors (@+RTS -N@), each of which has a heap of its own here.
--
-- Nothing in this module needs to be called for the allocator to work: a capability's heap appears when something is first
-- allocated there, whatever @setNumCapabilities@ does. (There is no way to set the current capability: a
-- Haskell thread may be moved between any two steps. Run the action on it instead.)
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
  ) where

import Control.Concurrent hiding (setNumCapabilities)
import qualified Control.Concurrent as Base
import Control.Exception
import Control.Monad
import Data.Word (Word64)
import System.IO.Unsafe (unsafePerformIO)

import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI

-- | The number of the capability this thread was on just now, from 0. The thread may have moved before the caller looks at
-- it, unless it is pinned ('withCapabilityLocal', 'forkOn').
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
-- It is as if the caller ran the action: its exception becomes the caller's, an asynchronous exception for the caller is
-- thrown to the action (or, if the action ends before that, to the caller), and it is masked as the caller is. Only
-- 'myThreadId' is another, and the new thread is not a bound one. Waiting is interruptible. A caller that is pinned there
-- already runs the action itself.
--
-- Throws an invalid argument ('IOError') if there is no such capability. If the number of capabilities is lowered below it
-- meanwhile, the action goes on on another.
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

-- | Runs the action on one capability, the one this thread is on, so that it stays there from start to end. Otherwise as
-- 'runOnCapability'.
--
-- >>> withCapabilityLocal $ (==) <$> getCurrentCapability <*> (yield >> getCurrentCapability)
-- True
--
-- @since 0.1.0.0
withCapabilityLocal :: IO a -> IO a
withCapabilityLocal act = do
  (n, pinned) <- myThreadId >>= threadCapability
  if pinned then act else onPinnedThread n act

-- The worker outlives the result it hands over until the caller says so. So an exception on its way to the worker is either
-- raised inside the action or still waiting, never lost in a thread that is done; what still waits goes back to the caller.
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
        Left e | Just BlockedIndefinitelyOnMVar <- fromException e -> wait forwarders -- the worker got one of its own
               | otherwise -> forward e >>= \t -> wait (t : forwarders)
  (forwarders, outcome) <- wait []
  uninterruptibleMask_ $ mapM_ (`throwTo` TakeBack) forwarders >> putMVar release ()
  either (throwIO :: SomeException -> IO a) pure outcome

data TakeBack = TakeBack deriving Show
instance Exception TakeBack

-- | Does nothing, and need not be called: heaps appear by themselves. It is here for programs written for bindings where
-- it has to be the first call.
--
-- @since 0.1.0.0
initializeCapabilities :: IO ()
initializeCapabilities = pure ()

-- | Sets the number of enabled capabilities, as "Control.Concurrent"'s function of that name does. When it is lowered, the
-- capabilities that will be disabled give their pages up before that, each on itself, so that nothing is left in heaps that
-- nobody uses. (Bound threads and finalizers may run there a little longer, and leave something again: 'reinitializeCapabilities'.)
--
-- Throws an invalid argument ('IOError') if the number is not positive, or over 256 where GHC has room for no more (from 9.6 on; its own
-- function ends the process).
--
-- >>> getNumCapabilities >>= setNumCapabilities
-- >>> setNumCapabilities 0
-- *** Exception: setNumCapabilities: invalid argument (no capability -1: 1 enabled)
--
-- @since 0.1.0.0
setNumCapabilities :: Int -> IO ()
setNumCapabilities n = withMVar draining $ \() -> mask_ $ do
  enabled <- getNumCapabilities
  when (n < 1) $ noCapability "setNumCapabilities" (n - 1) enabled
  when (n > mostCapabilities) $ tooManyCapabilities "setNumCapabilities" n mostCapabilities
  inUse >>= mapM_ drain . filter (\c -> c >= n && c < enabled)
  Base.setNumCapabilities n

-- GHC's table of them.
mostCapabilities :: Int
#if MIN_VERSION_base(4,18,0)
mostCapabilities = 256
#else
mostCapabilities = maxBound
#endif

-- | Gets back what the heaps of disabled capabilities hold. After "Control.Concurrent"'s @setNumCapabilities@ has lowered the
-- number nobody is left who drains these heaps: their free memory, and what others go on freeing in their pages, stays
-- there until the capability is enabled again. This makes them give all their pages up; blocks in use stay as they are.
--
-- It never needs to be called, and does nothing if no disabled capability has a heap. A heap can only be touched from its
-- capability, so the number is raised for a moment, to the highest one with a heap, and then set back, also by an exception
-- (the draining is masked, and takes about as long as a major garbage collection). Calls at the same time wait for each
-- other; a @setNumCapabilities@ of somebody else at the same time may be undone.
--
-- >>> reinitializeCapabilities
--
-- @since 0.1.0.0
reinitializeCapabilities :: IO ()
reinitializeCapabilities = withMVar draining $ \() -> mask_ $ do
  enabled <- getNumCapabilities
  inUse >>= drainDisabled enabled . filter (>= enabled)

-- | Makes every capability give up the pages of its heap, each while that capability is held, enabled or not, and gives free
-- memory back to the system at once. What is in use stays as it is: its pages are nobody's then, and go when their last block is freed.
-- For a program that is going to wait, or that wants to know how much really lives; nothing is stuck afterwards in heaps whose
-- capabilities sleep.
--
-- May be called from any thread. It waits for each capability in turn, as 'runOnCapability' does.
--
-- >>> drainAll
--
-- @since 0.1.0.0
drainAll :: IO ()
drainAll = do
  withMVar draining $ \() -> mask_ $ do
    enabled <- getNumCapabilities
    (present, disabled) <- span (< enabled) <$> inUse
    mapM_ drain present
    drainDisabled enabled disabled
  mi_collect_safe 1

-- | Starts a thread that looks at all capabilities, each time so many microseconds later, and makes those give up their pages
-- that have done nothing in between; for programs in which capabilities sleep while others work. If there is one it gets
-- the new period. Off by default: a thread that wakes up keeps GHC's idle collection busy.
--
-- Throws an invalid argument ('IOError') if the period is not positive.
--
-- >>> startDraining 1000000 >> stopDraining
--
-- @since 0.1.0.0
startDraining :: Int -> IO ()
startDraining period = do
  when (period <= 0) $ negativeSize "startDraining" period
  stopDraining
  modifyMVar_ drainer $ \running -> case running of
    Just _ -> pure running
    Nothing -> Just <$> forkIOWithUnmask (\unmask -> unmask (drainIdle period []))

-- | Ends it. Does nothing if there is none.
--
-- @since 0.1.0.0
stopDraining :: IO ()
stopDraining = modifyMVar_ drainer $ \running -> Nothing <$ mapM_ killThread running

-- With what they had done a period ago.
drainIdle :: Int -> [(Int, Word64)] -> IO ()
drainIdle period before = do
  threadDelay period
  idle <- filter (`elem` before) <$> activity
  withMVar draining $ \() -> mask_ $ do
    enabled <- getNumCapabilities
    let (present, disabled) = span (< enabled) (map fst idle)
    mapM_ drain present
    drainDisabled enabled disabled
  activity >>= drainIdle period

-- The capabilities whose heaps have pages, in order.
inUse :: IO [Int]
inUse = map fst <$> activity

activity :: IO [(Int, Word64)]
activity = do
  most <- fromIntegral <$> mi_cap_max
  filter ((/= 0) . snd) <$> forM [0 .. most - 1] (\n -> (,) n <$> mi_cap_activity (fromIntegral n))

-- Masked, with the lock: of an enabled one; of disabled ones, which are enabled for a moment.
drain :: Int -> IO ()
drain n = onPinnedThread n mi_cap_drain

drainDisabled :: Int -> [Int] -> IO ()
drainDisabled _ [] = pure ()
drainDisabled enabled ns = (Base.setNumCapabilities (maximum ns + 1) >> mapM_ drain ns) `finally` Base.setNumCapabilities enabled

draining :: MVar ()
draining = unsafePerformIO (newMVar ())
{-# NOINLINE draining #-}

drainer :: MVar (Maybe ThreadId)
drainer = unsafePerformIO (newMVar Nothing)
{-# NOINLINE drainer #-}
