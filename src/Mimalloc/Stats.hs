-- |
-- What the allocator holds: of each capability's heap, and of the process.
--
-- @since 0.1.0.0
module Mimalloc.Stats
  ( -- * Capabilities
    CapabilityStats (..)
  , capabilityStats
    -- * The process
  , liveBlocks
  , ProcessInfo (..)
  , getProcessInfo
  ) where

import Control.Monad (forM)
import Data.Maybe (catMaybes)
import Foreign.Marshal.Array (advancePtr, allocaArray)
import Foreign.Storable (peekElemOff)

import Mimalloc.Internal.FFI

-- | What one capability's heap holds and has done. The counters are read while the capability goes on counting, so they
-- need not fit together to the last block.
--
-- @since 0.1.0.0
data CapabilityStats = CapabilityStats
  { capabilityNumber       :: !Int -- ^ whose heap it is
  , capabilityPages        :: !Int -- ^ pages it holds now, those it allocates from
  , capabilityFreshPages   :: !Int -- ^ pages it took new, ever
  , capabilityAdoptedPages :: !Int -- ^ pages it took over from others, or its own back, ever
  , capabilityFullPages    :: !Int -- ^ pages it gave up because nothing was free in them, ever
  , capabilityRetiredPages :: !Int -- ^ pages it gave back empty, ever
  , capabilityRemoteFreed  :: !Int -- ^ blocks of its pages that others freed and it took in, ever
  , capabilityUsedBlocks   :: !Int -- ^ blocks in use in its pages now
  , capabilityUsedBytes    :: !Int -- ^ bytes that these blocks can hold
  } deriving (Eq, Show)

-- | The heaps of all capabilities that have allocated, in order. May be called from any thread; throws nothing.
--
-- >>> import Mimalloc
-- >>> heaps <- mallocForeignPtrBytes 100 >> capabilityStats
-- >>> any ((>= 1) . capabilityFreshPages) heaps
-- True
--
-- @since 0.1.0.0
capabilityStats :: IO [CapabilityStats]
capabilityStats = do
  most <- mi_cap_max
  fmap catMaybes . forM [0 .. fromIntegral most - 1] $ \n ->
    allocaArray 9 $ \p -> do
      mi_cap_stats (fromIntegral n) p
      let field i = fromIntegral <$> peekElemOff p i
      exists <- field 0
      if exists == (0 :: Int) then pure Nothing else Just <$>
        (CapabilityStats n <$> field 1 <*> field 2 <*> field 3 <*> field 4 <*> field 5 <*> field 6 <*> field 7 <*> field 8)

-- | How many blocks are in use in the whole process, and how many bytes they can hold. Exact while nobody allocates or
-- frees. May be called from any thread; throws nothing.
--
-- >>> (blocks, bytes) <- withMallocBytes 100 (const liveBlocks)
-- >>> blocks >= 1 && bytes >= 100
-- True
--
-- @since 0.1.0.0
liveBlocks :: IO (Int, Int)
liveBlocks = allocaArray 2 $ \p -> do
  mi_live_safe p (p `advancePtr` 1)
  (,) <$> (fromIntegral <$> peekElemOff p 0) <*> (fromIntegral <$> peekElemOff p 1)

-- | What the process as a whole has used, as the system and the allocator count it.
--
-- @since 0.1.0.0
data ProcessInfo = ProcessInfo
  { processInfoElapsedMsecs  :: !Int -- ^ milliseconds since the process started to use the allocator
  , processInfoUserMsecs     :: !Int -- ^ milliseconds of processor time in user mode
  , processInfoSystemMsecs   :: !Int -- ^ milliseconds of processor time in the system
  , processInfoCurrentRSS    :: !Int -- ^ bytes resident now
  , processInfoPeakRSS       :: !Int -- ^ the most bytes that were resident
  , processInfoCurrentCommit :: !Int -- ^ bytes the allocator has committed now
  , processInfoPeakCommit    :: !Int -- ^ the most bytes the allocator had committed
  , processInfoPageFaults    :: !Int -- ^ page faults that needed the disk
  } deriving (Eq, Show)

-- | Time and memory of the process. May be called from any thread; throws nothing.
--
-- >>> info <- getProcessInfo
-- >>> processInfoPeakRSS info > 0
-- True
--
-- @since 0.1.0.0
getProcessInfo :: IO ProcessInfo
getProcessInfo = allocaArray 8 $ \p -> do
  let at = advancePtr p
      field i = fromIntegral <$> peekElemOff p i
  mi_process_info_safe (at 0) (at 1) (at 2) (at 3) (at 4) (at 5) (at 6) (at 7)
  ProcessInfo <$> field 0 <*> field 1 <*> field 2 <*> field 3 <*> field 4 <*> field 5 <*> field 6 <*> field 7
