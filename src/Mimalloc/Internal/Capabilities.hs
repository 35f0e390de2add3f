{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
-- |
-- What C reports of capabilities' heaps, as a record.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Capabilities
  ( CapabilityStats (..)
  , readCapabilities
  ) where

import Control.DeepSeq (NFData)
import Control.Monad (forM)
import Data.Maybe (catMaybes)
import Data.Word (Word64)
import Foreign.C.Types (CInt)
import Foreign.Marshal.Array (allocaArray)
import Foreign.Ptr (Ptr)
import Foreign.Storable (peekElemOff)
import GHC.Generics (Generic)

import Mimalloc.Internal.FFI (mi_cap_max)
import Mimalloc.Internal.Numbers (CapabilityWord (..))

-- | What one capability's heap holds and has done. The counters are read while the capability goes on
-- counting, so they need not fit together to the last block.
--
-- @since 0.1.0.0
data CapabilityStats = CapabilityStats
  { capabilityNumber       :: !Int -- ^ whose heap it is
  , capabilityPages        :: !Int -- ^ pages it holds now, also those without a free block that it keeps
  , capabilityFreshPages   :: !Int -- ^ pages it took new, ever
  , capabilityAdoptedPages :: !Int -- ^ pages it took over from others, or its own back, ever
  , capabilityFullPages    :: !Int -- ^ pages it gave up because nothing was free in them, ever
  , capabilityRetiredPages :: !Int -- ^ pages it gave back empty, ever
  , capabilityRemoteFreed  :: !Int -- ^ blocks of its pages that others freed and it took in, ever
  , capabilityUsedBlocks   :: !Int -- ^ blocks in use in its pages now
  , capabilityUsedBytes    :: !Int -- ^ bytes that these blocks can hold
  } deriving (Eq, Show, Generic, NFData)

-- | Of all capabilities that have allocated, by @mi_cap_stats@, or by @mi_cap_counts@, which leaves out the
-- blocks in use.
readCapabilities :: (CInt -> Ptr Word64 -> IO ()) -> IO [CapabilityStats]
readCapabilities stats = do
  most <- mi_cap_max
  fmap catMaybes . forM [0 .. fromIntegral most - 1] $ \n ->
    allocaArray (1 + fromEnum (maxBound :: CapabilityWord)) $ \p -> do
      stats (fromIntegral n) p
      let field f = fromIntegral <$> peekElemOff p (fromEnum f)
      exists <- field CapabilityExists
      if exists == (0 :: Int) then pure Nothing else Just <$>
        (CapabilityStats n <$> field CapabilityPages
          <*> field CapabilityFreshPages <*> field CapabilityAdoptedPages
          <*> field CapabilityFullPages <*> field CapabilityRetiredPages <*> field CapabilityRemoteFreed
          <*> field CapabilityUsedBlocks <*> field CapabilityUsedBytes)
