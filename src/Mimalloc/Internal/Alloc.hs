{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE MagicHash #-}
{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE ScopedTypeVariables #-}
{-# LANGUAGE UnboxedTuples #-}
-- |
-- Blocks for the modules above: checked sizes, failures as exceptions, and the two ways a block is given back
-- for sure, by a finalizer or at the end of a bracket. Every function takes the name that a failure is
-- reported under, or a source, which has it.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Alloc
  ( -- * Blocks
    Fill (..)
  , Source (..)
  , Collect
  , capabilityInto
  , sourceInto
  , bytes
  , alignedBytes
  , one
  , many
    -- * Giving them back
  , newBlock
  , adoptBlock
  , newBytes
  , newAlignedBytes
  , newOne
  , newMany
  , newBlockInto
  , relieved
  , withBlock
  , withBytes
  , withOne
  , withMany
  , withBlockOf
  , masked
  , run
    -- * Sizes
  , bigBytes
  , isSmall
  , plusLength
  , isPowerOfTwo
  , bool
  , orNoMemory
  , orNoMemoryIn
  , orExhausted
  , exhausted
  ) where

import Foreign.C.Types (CBool, CInt, CSize)
import Foreign.ForeignPtr (FinalizerPtr)
import Foreign.Ptr (nullPtr)
import Foreign.Storable (Storable (..))
import GHC.Exts
import GHC.ForeignPtr (Finalizers (..), ForeignPtr (..), ForeignPtrContents (..))
import GHC.IO (IO (..), noDuplicate)
import GHC.IORef (IORef (..))
import GHC.STRef (STRef (..))

import Control.Exception (mask_)
import Control.Concurrent (yield)
import Control.Monad (when)
import GHC.Clock (getMonotonicTimeNSec)

import Mimalloc.Internal.Bracket
import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Numbers (blockAlignment)

-- | What a new block holds.
data Fill = Whatever | Zeros

-- | From so many bytes on, clearing or copying is done in a safe call of the any-thread family: it takes
-- longer than all capabilities should wait for one. (1 MiB)
bigBytes :: Int
bigBytes = 1048576

-- | Less than that.
isSmall :: CSize -> Bool
isSmall size = size < fromIntegral bigBytes
{-# INLINE isSmall #-}

-- | As C has it.
bool :: Bool -> CBool
bool = fromIntegral . fromEnum
{-# INLINE bool #-}

-- | Where blocks come from, and under which name a failure is reported. Sizes are not negative, alignments
-- are powers of two, and null is want of memory. Whatever uses a source is inlined, so nothing is left of it.
data Source a = Source
  { sourceName         :: String
  , sourceBytes        :: CSize -> IO (Ptr a)          -- ^ as they are, aligned to 16
  , sourceAligned      :: CSize -> CSize -> IO (Ptr a) -- ^ .. to more
  , sourceZeros        :: CSize -> IO (Ptr a)          -- ^ fewer than 'bigBytes', aligned to 16
  , sourceAlignedZeros :: CSize -> CSize -> IO (Ptr a) -- ^ .. to more
  , sourceBigZeros     :: CSize -> CSize -> IO (Ptr a) -- ^ as many and more at any alignment: a safe call
  , sourceCollect      :: Collect
  }

-- | For want of so many bytes: asks for a collection, if one may help ('mi_cap_pressure_exhausted_safe').
type Collect = CSize -> IO CInt

-- | The heap of the capability one is on, into a place.
capabilityInto :: Place -> String -> Source a
capabilityInto = sourceInto ($ nullPtr)
{-# INLINE capabilityInto #-}

-- | A heap, or null for the capability's own, into a place. The first argument lends the heap to one call.
sourceInto :: (forall b. (Ptr MiHeap -> IO b) -> IO b) -> Place -> String -> Source a
sourceInto using place name = Source
  { sourceName = name
  , sourceBytes = \size -> using $ \heap -> mi_malloc_into place heap size (fromIntegral blockAlignment) 0
  , sourceAligned = \size align -> using $ \heap -> mi_malloc_into place heap size align 0
  , sourceZeros = \size -> using $ \heap -> mi_malloc_into place heap size (fromIntegral blockAlignment) 1
  , sourceAlignedZeros = \size align -> using $ \heap -> mi_malloc_into place heap size align 1
  , sourceBigZeros = \size align -> using $ \heap -> bigZerosInto place heap size align
  , sourceCollect = \size -> using $ \heap -> mi_cap_pressure_exhausted_safe heap size
  }
{-# INLINE sourceInto #-}

-- In a transaction nobody masks, and without that a safe call must not come back with a block: all
-- capabilities wait there.
bigZerosInto :: Place -> Ptr MiHeap -> CSize -> CSize -> IO (Ptr a)
bigZerosInto place heap size align = do
  dropped <- inTransaction
  if dropped
    then mi_malloc_into place heap size align 1
    else masked (mi_zalloc_into_safe place heap size align)
{-# NOINLINE bigZerosInto #-}

-- | A block of so many bytes, aligned to 16.
bytes :: Source a -> Fill -> Int -> IO (Ptr a)
bytes source fill n = alignedBytes source fill n blockAlignment
{-# INLINE bytes #-}

-- | A block of so many bytes at so much alignment, a power of two. Every block is aligned to 16 anyway.
alignedBytes :: Source a -> Fill -> Int -> Int -> IO (Ptr a)
alignedBytes source fill n align
  | align <= 0 || not (isPowerOfTwo align) = badAlignment (sourceName source) align
  | n < 0 = negativeSize (sourceName source) n
  | otherwise = orNoMemoryIn (sourceCollect source) (sourceName source) n $ case fill of
      Whatever | align <= blockAlignment -> sourceBytes source (fromIntegral n)
               | otherwise -> sourceAligned source (fromIntegral n) (fromIntegral align)
      Zeros | n >= bigBytes -> sourceBigZeros source (fromIntegral n) (fromIntegral align)
            | align <= blockAlignment -> sourceZeros source (fromIntegral n)
            | otherwise -> sourceAlignedZeros source (fromIntegral n) (fromIntegral align)
{-# INLINE alignedBytes #-}

-- | A block for one value, aligned as its type says and at least to the alignment given.
one :: Storable a => Source a -> Fill -> Int -> IO (Ptr a)
one source fill = oneFrom (sourceName source) (alignedBytes source fill)
{-# INLINE one #-}

-- | A block for so many values, aligned as their type says.
many :: Storable a => Source a -> Fill -> Int -> IO (Ptr a)
many source fill = manyFrom (sourceName source) (alignedBytes source fill)
{-# INLINE many #-}

-- | The same from any function that makes a block of so many bytes at so much alignment, as a pointer or as a
-- foreign pointer.
oneFrom :: forall f a. Storable a => String -> (Int -> Int -> IO (f a)) -> Int -> IO (f a)
oneFrom name allocate align
  | align <= 0 || not (isPowerOfTwo align) = badAlignment name align
  | otherwise = allocate (sizeOf (undefined :: a)) (align `max` typeAlignment (undefined :: a))
{-# INLINE oneFrom #-}

manyFrom :: forall f a. Storable a => String -> (Int -> Int -> IO (f a)) -> Int -> IO (f a)
manyFrom name allocate n =
  elements name n (sizeOf (undefined :: a)) >>= \total -> allocate total (typeAlignment (undefined :: a))
{-# INLINE manyFrom #-}

-- | The bytes of so many elements of so many bytes.
elements :: String -> Int -> Int -> IO Int
elements name n size
  | n < 0 = negativeSize name n
  | size > 0 && n > maxBound `quot` size = sizeOverflow name n size
  | otherwise = pure (n * size)
{-# INLINE elements #-}

-- | The sum of two lengths. Below zero for ever once it overflowed: a negative size is refused.
plusLength :: Int -> Int -> Int
plusLength m n = if m < 0 || n > maxBound - m then -1 else m + n
{-# INLINE plusLength #-}

-- What is met by every block needs no look: also alignments that are no power of two, which some instances
-- state.
typeAlignment :: Storable a => a -> Int
typeAlignment a = if alignment a <= blockAlignment then blockAlignment else alignment a
{-# INLINE typeAlignment #-}

-- | Of a positive number.
isPowerOfTwo :: Int -> Bool
isPowerOfTwo (I# n) = isTrue# (andI# n (n -# 1#) ==# 0#)
{-# INLINE isPowerOfTwo #-}

-- | A null pointer is an exception: for want of so many bytes, when a collection has not brought them either.
orNoMemory :: String -> Int -> IO (Ptr a) -> IO (Ptr a)
orNoMemory name n = orExhausted name n (nullPtr ==)
{-# INLINE orNoMemory #-}

-- | The same, in a heap of one's own.
orNoMemoryIn :: Collect -> String -> Int -> IO (Ptr a) -> IO (Ptr a)
orNoMemoryIn collect name n = orExhaustedIn collect name n (nullPtr ==)
{-# INLINE orNoMemoryIn #-}

-- | The same for whatever else fails for want of so many bytes.
orExhausted :: String -> Int -> (a -> Bool) -> IO a -> IO a
orExhausted = orExhaustedIn (mi_cap_pressure_exhausted_safe nullPtr)
{-# INLINE orExhausted #-}

orExhaustedIn :: Collect -> String -> Int -> (a -> Bool) -> IO a -> IO a
orExhaustedIn collect name n failed allocate = do
  r <- allocate
  if failed r then exhausted collect name n failed allocate else pure r
{-# INLINE orExhaustedIn #-}

-- | There was no memory for so many bytes: a major collection, if one may help, and once more. Others may
-- take what it brought; as long as one brings as much as is asked for there is another.
exhausted :: Collect -> String -> Int -> (a -> Bool) -> IO a -> IO a
exhausted collect name n failed allocate = do
  noDuplicate
  asked <- collect (fromIntegral n)
  if asked == 0 then noMemory name n else do
    r <- allocate
    if not (failed r) then r <$ mi_cap_pressure_helped asked
      else if asked > 0 then exhausted collect name n failed allocate
      else noMemory name n
{-# NOINLINE exhausted #-}

-- | A block as a foreign pointer with the finalizer that frees it.
--
-- The structure is base's for @newForeignPtr finalizer@ (a weak pointer, keyed by the reference to it, that
-- holds a list of C finalizers), so base's functions work on it. The finalizer is there first, for a null
-- pointer, and one step takes the block and puts it there: an asynchronous exception strikes at any heap
-- check, and a transaction (STM) that GHC begins again is dropped at one, masked or not.
--
-- Its bytes are counted, and when too many live like that a collection is asked for ("Mimalloc.Pressure"):
-- before the next one is made, which would be promoted.
newBlock :: String -> (Source a -> IO (Ptr a)) -> IO (ForeignPtr a)
newBlock name allocate =
  relieved >> newBlockInto mi_cap_free_held_finalizer (\place -> allocate (capabilityInto place name))
{-# INLINE newBlock #-}

-- | The same for so many bytes as they are: the step is in C-- altogether.
newBytes :: String -> Int -> IO (ForeignPtr a)
newBytes name n
  | n < 0 = negativeSize name n
  | otherwise = do
      relieved
      fp <- make
      if isNull fp then exhausted collect name n isNull make else pure fp
  where
    collect = mi_cap_pressure_exhausted_safe nullPtr
    isNull (ForeignPtr p _) = Ptr p == nullPtr
    make = newBlockInto mi_cap_free_held_finalizer (\place -> mi_fast_malloc_finalized place (fromIntegral n))
{-# INLINE newBytes #-}

-- | One that there is. The caller has masked exceptions.
adoptBlock :: Ptr a -> IO (ForeignPtr a)
adoptBlock p = relieved >> newBlockInto mi_cap_free_held_finalizer (\place -> p <$ putInto place p)
{-# INLINE adoptBlock #-}

-- | So many bytes at so much alignment, for @oneFrom@ and @manyFrom@.
newAlignedBytes :: String -> Int -> Int -> IO (ForeignPtr a)
newAlignedBytes name n align
  | align == blockAlignment = newBytes name n
  | otherwise = newBlock name (\source -> alignedBytes source Whatever n align)
{-# INLINE newAlignedBytes #-}

newOne :: Storable a => String -> Int -> IO (ForeignPtr a)
newOne name = oneFrom name (newAlignedBytes name)
{-# INLINE newOne #-}

newMany :: Storable a => String -> Int -> IO (ForeignPtr a)
newMany name = manyFrom name (newAlignedBytes name)
{-# INLINE newMany #-}

-- | Asks for the collection that is due, if one is. Before a block is made.
relieved :: IO ()
relieved = do
  due <- peek mi_cap_pressure_due
  when (due /= 0) relieve
{-# INLINE relieved #-}

-- A turn is one call, which nothing interrupts, or two, of which the second comes with the next block
-- (docs/protocols.md, section 10, Turns). Who comes while another has his waits for the end: going on would
-- only make more. Then everybody who waited makes a block before the next turn, or one who is over the budget
-- all the time would starve the others: so who had a turn waits for those. Nobody waits for ever, since what
-- he waits for may have to wait for something itself. Masked, so that who waits is always taken off again;
-- and not to be done twice, since a lazy value that two threads evaluate GHC gives up half-way in one of
-- them. A transaction that it begins again it gives up, too, and would leave masked: there nobody waits.
relieve :: IO ()
relieve = do
  noDuplicate
  dropped <- inTransaction
  if dropped then mi_cap_pressure_relieve_safe else mask_ $ do
    busy <- mi_cap_pressure_busy
    if busy == 0
      then do
        mi_cap_pressure_relieve_safe
        turn <- mi_cap_pressure_turns
        yield
        while turn mi_cap_pressure_awaited
      else do
        turn <- mi_cap_pressure_wait
        while turn mi_cap_pressure_busy
        mi_cap_pressure_waited
  where
    while turn waits = getMonotonicTimeNSec >>= \began ->
      let go = do
            on <- waits
            turn' <- mi_cap_pressure_turns
            now <- getMonotonicTimeNSec
            when (on /= 0 && turn' == turn && now - began < 50000000) $ yield >> go
      in go
{-# NOINLINE relieve #-}

-- | With any such finalizer, from what puts the block into the place.
newBlockInto :: FinalizerPtr a -> (Place -> IO (Ptr a)) -> IO (ForeignPtr a)
newBlockInto (FunPtr free) allocate = IO $ \s0 -> case newMutVar# NoFinalizers s0 of
  (# s1, ref #) -> case mkWeakNoFinalizer# ref () s1 of
    (# s2, weak #) -> case addCFinalizerToWeak# free nullAddr# 0# nullAddr# weak s2 of
      (# s3, _ #) -> case writeMutVar# ref (CFinalizers weak) s3 of
        s4 -> case run (allocate (inFinalizer weak)) s4 of
          -- Until here nobody else may hold it.
          (# s5, Ptr p #) -> case touch# ref s5 of
            s6 -> (# s6, ForeignPtr p (PlainForeignPtr (IORef (STRef ref))) #)
{-# INLINE newBlockInto #-}

-- | A block for an action. No asynchronous exception is masked: the call that takes the block puts it into a
-- cell, the call that frees it empties the cell, each is one step, and whatever exception comes finds in the
-- cell what is left to be freed.
withBlock :: String -> (Source a -> IO (Ptr a)) -> (Ptr a -> IO b) -> IO b
withBlock name allocate = withBlockOf NoMore (\place -> allocate (capabilityInto place name))
{-# INLINE withBlock #-}

-- | The same for bytes as they are.
withBytes :: String -> Int -> (Ptr a -> IO b) -> IO b
withBytes name n act
  | n < 0 = negativeSize name n
  | otherwise = IO $ \s0 -> case run newCell s0 of
      (# s1, cell #) -> bracketed NoMore cell (fromIntegral n) (run (taken cell >>= act)) s1
  where taken cell = peekCell cell >>= \p ->
          if p /= nullPtr then pure p else
            placeFor NoMore cell >>= \place -> bytes (capabilityInto place name) Whatever n
{-# INLINE withBytes #-}

-- | .. at so much alignment, ..
withAlignedBytes :: String -> Int -> Int -> (Ptr a -> IO b) -> IO b
withAlignedBytes name n align
  | align == blockAlignment = withBytes name n
  | otherwise = withBlock name (\source -> alignedBytes source Whatever n align)
{-# INLINE withAlignedBytes #-}

-- | .. for one value, for so many.
withOne :: forall a b. Storable a => String -> (Ptr a -> IO b) -> IO b
withOne name = withAlignedBytes name (sizeOf (undefined :: a)) (typeAlignment (undefined :: a))
{-# INLINE withOne #-}

withMany :: forall a b. Storable a => String -> Int -> (Ptr a -> IO b) -> IO b
withMany name n act = do
  total <- elements name n (sizeOf (undefined :: a))
  withAlignedBytes name total (typeAlignment (undefined :: a)) act
{-# INLINE withMany #-}

-- | The same; keeps something alive until the block is freed.
withBlockOf :: Ending -> (Place -> IO (Ptr a)) -> (Ptr a -> IO b) -> IO b
withBlockOf ending allocate act = IO $ \s0 -> case run newCell s0 of
  (# s1, cell #) ->
    bracketed ending cell noBlock (run (placeFor ending cell >>= allocate >>= act)) s1
{-# INLINE withBlockOf #-}

-- Where the block of a bracket goes.
placeFor :: Ending -> Cell -> IO Place
placeFor ending cell = do
  dropped <- inTransaction
  if dropped then relieved >> placeInTransaction ending cell else pure (inCell cell)
{-# INLINE placeFor #-}

-- | With asynchronous exceptions masked, if they are not already. Not in a transaction (STM): one that GHC
-- begins again it drops where it stands, and would leave the thread masked. What such an action holds may be
-- lost there, by an exception as when it is dropped.
masked :: IO a -> IO a
masked (IO io) = IO $ \s0 -> case run inTransaction s0 of
  (# s1, dropped #) -> case getMaskingState# s1 of
    (# s2, 0# #) | not dropped -> maskAsyncExceptions# io s2
    (# s2, _ #) -> io s2
{-# INLINE masked #-}
