{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
{-# LANGUAGE PatternSynonyms #-}
-- |
-- The allocator's options. Each can be set in the environment too: @MIMALLOC_PURGE_DELAY=0@ and so on, read
-- at first use. A size is in KiB here, and in bytes there, unless a unit is named
-- (@MIMALLOC_COMMIT_LIMIT=64M@).
--
-- All functions may be called from any thread and throw nothing. They concern the whole process.
--
-- >>> import Mimalloc.Primitive.Option
-- >>> mi_option_get MiOptionMaxErrors
-- 32
--
-- @since 0.1.0.0
module Mimalloc.Primitive.Option
  ( MiOption
      ( ..
      , MiOptionLargeOsPages
      , MiOptionEagerRegionCommit
      , MiOptionResetDecommits
      , MiOptionResetDelay
      , MiOptionAbandonedPageReset
      , MiOptionLimitOsAlloc
      )
  , mi_option_is_enabled
  , mi_option_enable
  , mi_option_disable
  , mi_option_set_enabled
  , mi_option_set_enabled_default
  , mi_option_get
  , mi_option_get_clamp
  , mi_option_get_size
  , mi_option_set
  , mi_option_set_default
  ) where

import Control.DeepSeq (NFData)
import Foreign.C.Types (CInt, CLong, CSize)
import GHC.Generics (Generic)

import Mimalloc.Internal.Alloc (bool)
import qualified Mimalloc.Internal.FFI as C

-- | An option; the constructors are those of C's @mi_option_t@, in its order, so 'fromEnum' is C's number.
-- Defaults stand in brackets. What says /no effect/ is accepted for the sake of programs that set it.
--
-- @since 0.1.0.0
data MiOption
  = MiOptionShowErrors              -- ^ print misuse to stderr [1]
  | MiOptionShowStats               -- ^ print statistics when the process ends [0]
  | MiOptionVerbose                 -- ^ print failed requests too [0]
  | MiOptionEagerCommit             -- ^ no effect
  | MiOptionArenaEagerCommit        -- ^ no effect
  | MiOptionPurgeDecommits          -- ^ no effect
  | MiOptionAllowLargeOsPages       -- ^ ask for transparent huge pages [0]
  | MiOptionReserveHugeOsPages      -- ^ explicit huge pages reserved at the start, GiB [0]
  | MiOptionReserveHugeOsPagesAt    -- ^ no effect
  | MiOptionReserveOsMemory         -- ^ memory reserved at the start, KiB [0]
  | MiOptionDeprecatedSegmentCache  -- ^ no effect
  | MiOptionDeprecatedPageReset     -- ^ no effect
  | MiOptionAbandonedPagePurge      -- ^ no effect
  | MiOptionDeprecatedSegmentReset  -- ^ no effect
  | MiOptionEagerCommitDelay        -- ^ no effect
  | MiOptionPurgeDelay              -- ^ freed memory is given back after half to all of so many milliseconds;
                                    --   0 at once, -1 never [250]
  | MiOptionUseNumaNodes            -- ^ no effect
  | MiOptionDisallowOsAlloc         -- ^ only what is reserved is used [0]
  | MiOptionOsTag                   -- ^ no effect
  | MiOptionMaxErrors               -- ^ lines of misuse that are printed [32]; -1: all
  | MiOptionMaxWarnings             -- ^ no effect
  | MiOptionMaxSegmentReclaim       -- ^ no effect
  | MiOptionDestroyOnExit           -- ^ no effect
  | MiOptionArenaReserve            -- ^ reserved at a time, KiB [1 GiB]
  | MiOptionArenaPurgeMult          -- ^ no effect
  | MiOptionPurgeExtendDelay        -- ^ no effect
  | MiOptionAbandonedReclaimOnFree  -- ^ no effect
  | MiOptionDisallowArenaAlloc      -- ^ no effect
  | MiOptionRetryOnOom              -- ^ no effect
  | MiOptionVisitAbandoned          -- ^ no effect
  | MiOptionGuardedMin              -- ^ no effect
  | MiOptionGuardedMax              -- ^ no effect
  | MiOptionGuardedPrecise          -- ^ no effect
  | MiOptionGuardedSampleRate       -- ^ no effect
  | MiOptionGuardedSampleSeed       -- ^ no effect
  | MiOptionTargetSegmentsPerThread -- ^ no effect
  | MiOptionGenericCollect          -- ^ no effect
  | MiOptionAllowThp                -- ^ no transparent huge pages if 0, even where the system makes them by
                                    --   itself [1]
  | MiOptionAbortOnError            -- ^ misuse ends the process [0; 1 in the preload library and the checking
                                    --   build]
  | MiOptionPurgeThread             -- ^ a thread of the library gives memory back: 0 never, 1 whenever
                                    --   something is due, -1 if the process has threads [-1]
  | MiOptionCommitLimit             -- ^ the most that is committed at a time, KiB; beyond it allocation fails
                                    --   [0: no limit]
  deriving (Eq, Ord, Show, Read, Enum, Bounded, Generic, NFData)

-- C's other names for some of them.

-- | The same as 'MiOptionAllowLargeOsPages'.
--
-- @since 0.1.0.0
pattern MiOptionLargeOsPages :: MiOption
pattern MiOptionLargeOsPages = MiOptionAllowLargeOsPages

-- | The same as 'MiOptionArenaEagerCommit'.
--
-- @since 0.1.0.0
pattern MiOptionEagerRegionCommit :: MiOption
pattern MiOptionEagerRegionCommit = MiOptionArenaEagerCommit

-- | The same as 'MiOptionPurgeDecommits'.
--
-- @since 0.1.0.0
pattern MiOptionResetDecommits :: MiOption
pattern MiOptionResetDecommits = MiOptionPurgeDecommits

-- | The same as 'MiOptionPurgeDelay'.
--
-- @since 0.1.0.0
pattern MiOptionResetDelay :: MiOption
pattern MiOptionResetDelay = MiOptionPurgeDelay

-- | The same as 'MiOptionAbandonedPagePurge'.
--
-- @since 0.1.0.0
pattern MiOptionAbandonedPageReset :: MiOption
pattern MiOptionAbandonedPageReset = MiOptionAbandonedPagePurge

-- | The same as 'MiOptionDisallowOsAlloc'.
--
-- @since 0.1.0.0
pattern MiOptionLimitOsAlloc :: MiOption
pattern MiOptionLimitOsAlloc = MiOptionDisallowOsAlloc

-- | Whether its value is not 0.
--
-- @since 0.1.0.0
mi_option_is_enabled :: MiOption -> IO Bool
mi_option_is_enabled = fmap (/= 0) . C.mi_option_is_enabled . number
{-# INLINE mi_option_is_enabled #-}

-- | Sets it to 1.
--
-- @since 0.1.0.0
mi_option_enable :: MiOption -> IO ()
mi_option_enable = C.mi_option_enable . number
{-# INLINE mi_option_enable #-}

-- | Sets it to 0.
--
-- @since 0.1.0.0
mi_option_disable :: MiOption -> IO ()
mi_option_disable = C.mi_option_disable . number
{-# INLINE mi_option_disable #-}

-- | Sets it to 1 or 0.
--
-- @since 0.1.0.0
mi_option_set_enabled :: MiOption -> Bool -> IO ()
mi_option_set_enabled o = C.mi_option_set_enabled (number o) . bool
{-# INLINE mi_option_set_enabled #-}

-- | The same, unless it was set before, by a function.
--
-- @since 0.1.0.0
mi_option_set_enabled_default :: MiOption -> Bool -> IO ()
mi_option_set_enabled_default o = C.mi_option_set_enabled_default (number o) . bool
{-# INLINE mi_option_set_enabled_default #-}

-- | Its value, in the unit that its description names.
--
-- @since 0.1.0.0
mi_option_get :: MiOption -> IO CLong
mi_option_get = C.mi_option_get . number
{-# INLINE mi_option_get #-}

-- | @mi_option_get_clamp option least most@: its value, or the nearer of the two bounds.
--
-- >>> mi_option_set MiOptionMaxErrors 10
-- >>> mapM (uncurry (mi_option_get_clamp MiOptionMaxErrors)) [(0, 5), (0, 50), (20, 50)]
-- [5,10,20]
-- >>> mi_option_set MiOptionMaxErrors 32
--
-- @since 0.1.0.0
mi_option_get_clamp :: MiOption -> CLong -> CLong -> IO CLong
mi_option_get_clamp = C.mi_option_get_clamp . number
{-# INLINE mi_option_get_clamp #-}

-- | Its value in bytes if its unit is KiB; else the value. Negative values count as 0.
--
-- @since 0.1.0.0
mi_option_get_size :: MiOption -> IO CSize
mi_option_get_size = C.mi_option_get_size . number
{-# INLINE mi_option_get_size #-}

-- | Sets it, in the unit that its description names.
--
-- @since 0.1.0.0
mi_option_set :: MiOption -> CLong -> IO ()
mi_option_set = C.mi_option_set . number
{-# INLINE mi_option_set #-}

-- | The same, unless it was set before, by a function.
--
-- @since 0.1.0.0
mi_option_set_default :: MiOption -> CLong -> IO ()
mi_option_set_default = C.mi_option_set_default . number
{-# INLINE mi_option_set_default #-}

number :: MiOption -> CInt
number = fromIntegral . fromEnum
