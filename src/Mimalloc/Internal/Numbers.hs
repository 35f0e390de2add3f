{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
-- |
-- Numbers that C has, too, where nothing generates the one from the other. The test @names@ compares each
-- with C's.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Numbers
  ( -- * Blocks
    blockAlignment
    -- * The key of a heap ("Mimalloc.Internal.Heap")
  , keyHeap
  , keyLife
  , keyTogether
  , keyUsed
  , keySize
    -- * Brackets ("Mimalloc.Internal.Bracket"), and growable vectors
  , cellBlock
  , boxBlock
  , noBlockSize
    -- * Ids of owners
  , ownerIdStep
  , capabilitiesMost
    -- * Names of heaps
  , nameWords
    -- * What is in a heap, and the profile's histograms
  , contentAges
  , profileSizes
  , profileAges
    -- * Words of structures, and results of a function, each in C's order
  , Total (..)
  , CapabilityWord (..)
  , PressureWord (..)
  , ArenaRunWord (..)
  , ProcessWord (..)
    -- * The profile ("Mimalloc.Profile")
  , What (..)
  , TextFormat (..)
    -- * All of them
  , numbers
  , processWords
  ) where

import Control.DeepSeq (NFData)
import Data.Char (isUpper, toLower)
import GHC.Generics (Generic)

-- | Every block is aligned to so many bytes. (@MI_GRANULE@)
blockAlignment :: Int
blockAlignment = 16

-- | The byte of a key where C's heap stands. (@MI_FAST_KEY_HEAP@)
keyHeap :: Int
keyHeap = 0

-- | The byte of a key where a word says how foreign pointers into the heap live. (@MI_FAST_KEY_LIFE@)
keyLife :: Int
keyLife = 8

-- | That word when foreign pointers into the heap live together and one was made.
-- (@MI_FAST_KEY_TOGETHER@)
keyTogether :: Int
keyTogether = 2

-- | Bytes of a key that C uses; behind them is Haskell's last word. (@MI_FAST_KEY_USED@)
keyUsed :: Int
keyUsed = 3088

-- | Bytes of a key. (@MI_FAST_KEY_SIZE@)
keySize :: Int
keySize = 3500

-- | The byte of a bracket's cell where its block stands. (@MI_FAST_CELL_BLOCK@)
cellBlock :: Int
cellBlock = 0

-- | The byte of a growable vector's box where the block of its elements stands. (@MI_FAST_BOX_BLOCK@)
boxBlock :: Int
boxBlock = 0

-- | Says to a bracket that it has no block of its own. (@MI_FAST_NO_BLOCK@)
noBlockSize :: Int
noBlockSize = -1

-- | A capability's id is so much times its number and one. (@MI_ID_STEP@)
ownerIdStep :: Int
ownerIdStep = 16

-- | So many capabilities have heaps of their own. (@MI_CAPS_MAX@)
capabilitiesMost :: Int
capabilitiesMost = 256

-- | Words of a heap's name. (@MI_NAME_WORDS@)
nameWords :: Int
nameWords = 6

-- | Ages by which the bytes in a heap are told. (@MI_CONTENT_AGES@)
contentAges :: Int
contentAges = 7

-- | Places of the profile's histogram of sizes. (@MI_PROFILE_SIZES@)
profileSizes :: Int
profileSizes = 13

-- | Places of the profile's histogram of ages. (@MI_PROFILE_AGES@)
profileAges :: Int
profileAges = 9

-- | @mi_totals_t@
data Total
  = TotalReservedBytes | TotalCommittedBytes | TotalUsedBytes | TotalUsedBlocks | TotalPages | TotalArenas
  | TotalMappings | TotalThreads | TotalCapabilities | TotalPeakCommittedBytes | TotalPurgedBytes
  | TotalFreshPages | TotalAdoptedPages | TotalFullPages | TotalRetiredPages | TotalRemoteFreedBlocks
  | TotalStructureBytes | TotalHoleBytes | TotalCommitLimitBytes | TotalRefusedRequests
  deriving (Show, Enum, Bounded)

-- | @mi_cap_stats_t@
data CapabilityWord
  = CapabilityExists | CapabilityPages | CapabilityFreshPages | CapabilityAdoptedPages | CapabilityFullPages
  | CapabilityRetiredPages | CapabilityRemoteFreed | CapabilityUsedBlocks | CapabilityUsedBytes
  deriving (Show, Enum, Bounded)

-- | What @mi_cap_pressure_stats@ writes: @mi_pressure_stats_t@.
data PressureWord
  = PressureBudget | PressureHeld | PressureNext | PressureNextMajor
  | PressureMinor | PressureMajor | PressureMinorFreed | PressureMajorFreed
  deriving (Show, Enum, Bounded)

-- | @mi_arena_run_t@
data ArenaRunWord
  = ArenaRunFirst | ArenaRunNslices | ArenaRunUse | ArenaRunOwner | ArenaRunHeap | ArenaRunBlockSize
  | ArenaRunLiveBlocks | ArenaRunHoleBytes
  deriving (Show, Enum, Bounded)

-- | What @mi_process_info@ writes, in the order of its parameters.
data ProcessWord
  = ProcessElapsedMsecs | ProcessUserMsecs | ProcessSystemMsecs | ProcessCurrentRss | ProcessPeakRss
  | ProcessCurrentCommit | ProcessPeakCommit | ProcessPageFaults
  deriving (Show, Enum, Bounded)

-- | One of the four amounts of a profile.
--
-- @since 0.1.0.0
data What
  = InUseBytes       -- ^ of what lives
  | InUseBlocks
  | AllocatedBytes   -- ^ of all that was allocated
  | AllocatedBlocks
  deriving (Eq, Ord, Show, Read, Enum, Bounded, Generic, NFData)

-- | How C writes one: @mi_profile_format_t@.
data TextFormat = TextPprof | TextFolded | TextStacks | TextSymbolized
  deriving (Show, Enum, Bounded)

-- | By C's names; a word of a structure by its field, and the structure by the number of its words.
numbers :: [(String, Int)]
numbers =
  [ ("MI_GRANULE", blockAlignment)
  , ("MI_FAST_KEY_HEAP", keyHeap)
  , ("MI_FAST_KEY_LIFE", keyLife)
  , ("MI_FAST_KEY_TOGETHER", keyTogether)
  , ("MI_FAST_KEY_USED", keyUsed)
  , ("MI_FAST_KEY_SIZE", keySize)
  , ("MI_FAST_CELL_BLOCK", cellBlock)
  , ("MI_FAST_BOX_BLOCK", boxBlock)
  , ("MI_FAST_NO_BLOCK", noBlockSize)
  , ("MI_ID_STEP", ownerIdStep)
  , ("MI_CAPS_MAX", capabilitiesMost)
  , ("MI_NAME_WORDS", nameWords)
  , ("MI_CONTENT_AGES", contentAges)
  , ("mi_heap_content_t", 5 + contentAges)
  , ("MI_PROFILE_SIZES", profileSizes)
  , ("MI_PROFILE_AGES", profileAges)
  , ("mi_profile_histograms_t", profileSizes + 1 + profileAges + 1 + profileAges)
  ]
  ++ constants "mi_profile" "" [minBound .. maxBound :: What]
  ++ constants "mi_profile" "Text" [minBound .. maxBound :: TextFormat]
  ++ structure "mi_totals_t" "Total" [minBound .. maxBound :: Total]
  ++ structure "mi_cap_stats_t" "Capability" [minBound .. maxBound :: CapabilityWord]
  ++ structure "mi_pressure_stats_t" "Pressure" [minBound .. maxBound :: PressureWord]
  ++ structure "mi_arena_run_t" "ArenaRun" [minBound .. maxBound :: ArenaRunWord]
  where
    constants :: (Show a, Enum a) => String -> String -> [a] -> [(String, Int)]
    constants name prefix = map (\c -> (name ++ "_" ++ fieldOf prefix (show c), fromEnum c))
    structure :: (Show a, Enum a) => String -> String -> [a] -> [(String, Int)]
    structure name prefix fields =
      (name, length fields) : [ (name ++ "." ++ fieldOf prefix (show f), fromEnum f) | f <- fields ]

-- | By C's names of the parameters.
processWords :: [String]
processWords = map (fieldOf "Process" . show) [minBound .. maxBound :: ProcessWord]

fieldOf :: String -> String -> String
fieldOf prefix = drop 1 . concatMap snake . drop (length prefix)
  where snake c = if isUpper c then ['_', toLower c] else [c]
