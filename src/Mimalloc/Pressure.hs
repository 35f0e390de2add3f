{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
-- |
-- A garbage collector that knows about native bytes.
--
-- GHC's collector sees a foreign pointer as a few words, whatever it points to, so a loop over large buffers
-- can fill the memory before a collection comes by itself. This package counts the bytes of the blocks that
-- its foreign pointers hold (those of "Mimalloc", "Mimalloc.ByteString" and "Mimalloc.Vector", growable
-- vectors, and the pages of regions), and when they pass a budget the function that is about to make the next
-- one asks for a collection, followed by what runs the finalizers. A mapped file counts as 64 KiB or a little
-- more, whatever its size, because a process may have only so many mappings (65,530 on Linux).
--
-- Nothing needs to be set, and @+RTS -T@ is not needed. Native bytes weigh like GHC's own:
--
-- * A minor collection is asked for when 4 MiB were made since the last one, or a quarter of what lives in
--   foreign pointers. Where minor ones are dear or bring little it becomes up to 8 MiB and 8 more for each
--   capability, or a quarter of what lives in both heaps. Blocks that are made so fast that nobody can have
--   written to them wait longer, since they are not resident.
-- * A major one is asked for when half of what lives in both heaps was made since the last one (16 MiB at
--   least), as long as those that were asked for cost less than a tenth of the time. It is asked for at any
--   time, whatever it costs, when that and the growth of GHC's heap since come to as much as GHC's heap and
--   half of ours. The same bytes in GHC's heap would cost about as many, a quarter less or a third more, and
--   as much memory or more.
-- * What GHC collects by itself is not asked for again.
--
-- So a loop over buffers stays small, and a program with a large heap, of either kind, is seldom asked. Where
-- an allocation fails, as beyond a commit limit, the functions that throw for want of memory ask for a major
-- collection first, and try again; not for more than the limit, or the heap's arena, could ever give. After
-- three in a row that brought nothing the next waits, unless enough was made meanwhile, until the last will
-- have cost less than a tenth of the time.
--
-- With the non-moving collector (@+RTS -xn@) a major collection has only begun when the program goes on, and
-- what it finds is freed later: where foreign pointers are kept for a while more lives meanwhile, a GiB where
-- a copying one leaves 100 MiB. That collector has faults of its own: with GHC 9.6 and 9.10 it finalizes
-- foreign pointers that are in use, base's too, when threads pass them on through an @MVar@ while there are
-- many major collections. A budget that is fixed far below what lives makes for many.
--
-- The functions may be called from any thread and throw nothing but what they say.
--
-- @since 0.1.0.0
module Mimalloc.Pressure
  ( Pressure (..)
  , setPressure
  , getPressure
  , PressureStats (..)
  , pressureStats
  ) where

import Control.DeepSeq (NFData)
import Data.Int (Int64)
import Foreign.Marshal.Array (allocaArray)
import Foreign.Storable (peekElemOff)
import GHC.Generics (Generic)

import Mimalloc.Internal.Error (negativeSize)
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Numbers (PressureWord (..))

-- | When collections are asked for.
--
-- @since 0.1.0.0
data Pressure
  = PressureAdaptive    -- ^ by a budget that follows what lives; how it begins
  | PressureOff         -- ^ never
  | PressureBytes !Int  -- ^ whenever so many bytes live in foreign pointers, and again as long as they do,
                        --   whatever it costs: meant for tests and for programs that know their live
                        --   set. Threads that are over it take turns. One is the least.
  deriving (Eq, Ord, Show, Read, Generic, NFData)

-- | For the whole process, from now on. Throws an invalid argument ('IOError') if the bytes are not positive.
--
-- >>> import Mimalloc.Pressure
-- >>> setPressure (PressureBytes 100000000)
-- >>> getPressure
-- PressureBytes 100000000
-- >>> setPressure PressureAdaptive
--
-- @since 0.1.0.0
setPressure :: Pressure -> IO ()
setPressure p = case p of
  PressureAdaptive -> mi_cap_pressure_set (-1)
  PressureOff -> mi_cap_pressure_set 0
  PressureBytes n | n <= 0 -> negativeSize "setPressure" n
                  | otherwise -> mi_cap_pressure_set (fromIntegral n)

-- | As it was set.
--
-- >>> getPressure
-- PressureAdaptive
--
-- @since 0.1.0.0
getPressure :: IO Pressure
getPressure = of_ . fst <$> readStats
  where
    of_ n | n < 0 = PressureAdaptive
          | n == 0 = PressureOff
          | otherwise = PressureBytes (fromIntegral n)

-- | What was decided so far. Gauges are as of now; counters only go up.
--
-- @since 0.1.0.0
data PressureStats = PressureStats
  { pressureHeldBytes       :: !Int  -- ^ gauge: what live blocks in foreign pointers take up (large ones
                                     --   whole slices of 64 KiB, others their usable bytes), the pages of
                                     --   regions, and what mapped files weigh
  , pressureNextBytes       :: !Int  -- ^ gauge: a collection is asked for when so many live; 0 with
                                     --   'PressureOff', where none is
  , pressureNextMajorBytes  :: !Int  -- ^ gauge: a major one is asked for when so many live; 0 with
                                     --   'PressureOff'
  , pressureMinorCollections :: !Int -- ^ counter: minor collections asked for
  , pressureMajorCollections :: !Int -- ^ counter: major collections asked for, also for want of memory
  , pressureMinorFreedBytes :: !Int  -- ^ counter: what the minor ones gave back
  , pressureMajorFreedBytes :: !Int  -- ^ counter: what the major ones gave back
  } deriving (Eq, Show, Generic, NFData)

-- | Read without stopping anybody; exact while nobody makes or frees foreign pointers.
--
-- >>> import Mimalloc
-- >>> import Foreign.ForeignPtr (finalizeForeignPtr)
-- >>> fp <- mallocForeignPtrBytes 1000
-- >>> (>= 1000) . pressureHeldBytes <$> pressureStats
-- True
-- >>> finalizeForeignPtr fp
--
-- @since 0.1.0.0
pressureStats :: IO PressureStats
pressureStats = snd <$> readStats

-- The budget, and the rest.
readStats :: IO (Int64, PressureStats)
readStats = allocaArray (1 + fromEnum (maxBound :: PressureWord)) $ \p -> do
  mi_cap_pressure_stats p
  let field f = fromIntegral <$> peekElemOff p (fromEnum f)
  budget <- fromIntegral <$> peekElemOff p (fromEnum PressureBudget)
  stats <- PressureStats <$> field PressureHeld <*> field PressureNext <*> field PressureNextMajor
    <*> field PressureMinor <*> field PressureMajor <*> field PressureMinorFreed <*> field PressureMajorFreed
  pure (budget, stats)
