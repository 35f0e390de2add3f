{-# LANGUAGE ScopedTypeVariables #-}
-- |
-- Memory outside GHC's heap, from an allocator whose heaps belong to capabilities.
--
-- Three ways to hold it:
--
-- [@mallocForeignPtr…@] a 'ForeignPtr': the garbage collector frees the block some time after its last use
--   ('Foreign.ForeignPtr.finalizeForeignPtr' at once). Any number of other C finalizers can be added; Haskell
--   finalizers cannot, as with base's 'Foreign.ForeignPtr.newForeignPtr'. Nor may the Haskell finalizer of
--   something else use it, if both can die at once: C finalizers run first, and the block is free.
-- [@withMalloc…@] a bracket: the block is freed when the action ends, also by an exception. In pure code
--   (@unsafePerformIO@, not @unsafeDupablePerformIO@) a value whose evaluation is interrupted stays as it
--   was: see below.
-- ["Mimalloc.Primitive"] 'mi_malloc' and 'mi_free', the C functions one to one.
--
-- Common to all functions of this module, and therefore not repeated with each:
--
-- * Sizes named /bytes/ are in bytes, sizes named /elements/ count values of the type.
-- * Every block is aligned to 16 bytes, and to its type's 'alignment' where that is more. A size of 0 gives a
--   block too, with an address that no other has.
-- * They may be called from any Haskell thread, bound or not, whatever capability it is on. A block may be
--   used and freed on any other, and be freed by C code with @mi_free@.
-- * No asynchronous exception leaks a block, whenever it comes. (In a transaction of STM's, which GHC may
--   begin again wherever it is, a bracket's block is freed by the garbage collector.)
-- * Brackets may stand under 'System.IO.Unsafe.unsafePerformIO'. If a timeout or
--   'Control.Concurrent.killThread' interrupts who evaluates the value, who asks for it next goes on where
--   that was, with the same block, as with 'Foreign.Marshal.Alloc.allocaBytes'; if nobody does the garbage
--   collector frees the block. (A handler in the action itself that rethrows makes the value that exception
--   for ever, as in all Haskell.) 'System.IO.Unsafe.unsafeDupablePerformIO' leaks the block when two threads
--   evaluate one value at once, and GHC drops what one of them has done: it runs no handlers. A foreign
--   pointer in place of the bracket does not.
-- * A delimited continuation (@control0#@ of GHC 9.6) cannot reach out of a bracket, as it cannot out of a
--   lazy value: @NoMatchingContinuationPrompt@, and the block is freed. A prompt within the bracket works, or
--   a foreign pointer in place of the bracket.
-- * They throw an 'IOError': for a negative size, for elements whose bytes no 'Int' can count and for an
--   alignment that is no power of two, an invalid argument ('isInvalidArgument'); for want of memory,
--   'isResourceExhausted'.
-- * Memory comes as it is (old bytes in it) unless the name says @calloc@ or @zalloc@.
--
-- == A first example
--
-- This module exports what a beginning needs of "Foreign". Beside an import of the whole of it, hide what
-- both have:
--
-- >>> import Foreign hiding (mallocForeignPtr, mallocForeignPtrArray, mallocForeignPtrBytes)
-- >>> import Mimalloc
-- >>> counter <- mallocForeignPtr :: IO (ForeignPtr Int)
-- >>> withForeignPtr counter $ \p -> poke p 42 >> peek p
-- 42
--
-- == Capabilities
--
-- A Haskell program runs on as many /capabilities/ as @+RTS -N@ says: GHC's virtual processors, each of
-- which runs one Haskell thread at a time. @-N1@ is one, @-N4@ four, @-N@ as many as the machine has
-- processors; without @-threaded@ there is one. Haskell threads are many more, and move from one capability
-- to another, and from one OS thread to another, at any moment.
--
-- Each capability has a heap of its own here. The foreign call that allocates holds its capability from
-- start to end, so nobody else can be in that heap, and it needs no lock and no atomic instruction. Haskell
-- threads on one capability share its heap, one after the other. A block knows its heap by its address:
-- freed on the same capability it costs what allocating does, on another one or by an OS thread that has
-- none (a safe call, C code) an atomic instruction more, and the owner takes it back later.
--
-- So allocation scales with @-N@, and the number of heaps is that of capabilities, not of threads. @forkIO@
-- is enough, @forkOS@ never needed. Heaps appear by themselves, also when the number of capabilities is
-- raised while the program runs; "Mimalloc.Capability" has what is useful when it is lowered, and a way to
-- stay on one.
--
-- @since 0.1.0.0
module Mimalloc
  ( -- * Foreign pointers
    mallocForeignPtr
  , mallocForeignPtrBytes
  , mallocForeignPtrArray
    -- ** Aligned
  , mallocForeignPtrAligned
  , mallocForeignPtrAlignedBytes
    -- ** Zeroed
  , callocForeignPtr
  , callocForeignPtrArray
  , zallocForeignPtrBytes
    -- * Brackets
  , withMalloc
  , withMallocBytes
  , withMallocArray
    -- ** Aligned
  , withMallocAligned
  , withMallocAlignedBytes
    -- ** Zeroed
  , withCalloc
  , withCallocArray
  , withZallocBytes
    -- * Sizes
  , goodSize
  , usableSize
    -- * Base's, so that this one import is enough to begin with
  , ForeignPtr
  , withForeignPtr
  , Ptr
  , Storable (..)
    -- * Failures
  , isResourceExhausted
  , isInvalidArgument
    -- * The C functions
  , module Mimalloc.Primitive
    -- * What the examples import
    -- $setup
  ) where

import Data.Word (Word8)
import Foreign.ForeignPtr (ForeignPtr, withForeignPtr)
import Foreign.Ptr (Ptr)
import Foreign.Storable (Storable (..))

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.Error
import Mimalloc.Primitive

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc
-- >>> import Foreign (peekArray, pokeArray, ptrToWordPtr)

-- | A block for one value.
--
-- >>> p <- mallocForeignPtr :: IO (ForeignPtr Double)
-- >>> withForeignPtr p $ \q -> poke q 0.5 >> peek q
-- 0.5
--
-- @since 0.1.0.0
mallocForeignPtr :: Storable a => IO (ForeignPtr a)
mallocForeignPtr = newOne "mallocForeignPtr" 1
{-# INLINE mallocForeignPtr #-}

-- | A block of so many bytes.
--
-- >>> p <- mallocForeignPtrBytes 100
-- >>> withForeignPtr p usableSize >>= print . (>= 100)
-- True
--
-- @since 0.1.0.0
mallocForeignPtrBytes :: Int -> IO (ForeignPtr Word8)
mallocForeignPtrBytes n = newBytes "mallocForeignPtrBytes" n
{-# INLINE mallocForeignPtrBytes #-}

-- | A block for so many elements.
--
-- >>> p <- mallocForeignPtrArray 3 :: IO (ForeignPtr Int)
-- >>> withForeignPtr p $ \q -> pokeArray q [1, 2, 3] >> sum <$> peekArray 3 q
-- 6
--
-- >>> mallocForeignPtrArray (-1) :: IO (ForeignPtr Int)
-- *** Exception: mallocForeignPtrArray: invalid argument (negative size: -1)
--
-- @since 0.1.0.0
mallocForeignPtrArray :: Storable a => Int -> IO (ForeignPtr a)
mallocForeignPtrArray n = newMany "mallocForeignPtrArray" n
{-# INLINE mallocForeignPtrArray #-}

-- | A block for one value, at the given alignment (in bytes) or its type's, whichever is more.
--
-- >>> p <- mallocForeignPtrAligned 64 :: IO (ForeignPtr Int)
-- >>> withForeignPtr p $ \q -> pure (ptrToWordPtr q `mod` 64 == 0)
-- True
--
-- @since 0.1.0.0
mallocForeignPtrAligned :: Storable a => Int -> IO (ForeignPtr a)
mallocForeignPtrAligned align = newOne "mallocForeignPtrAligned" align
{-# INLINE mallocForeignPtrAligned #-}

-- | A block of so many bytes (first argument) at the alignment in bytes (second argument), such as a page for
-- @O_DIRECT@.
--
-- >>> p <- mallocForeignPtrAlignedBytes 8192 4096
-- >>> withForeignPtr p $ \q -> pure (ptrToWordPtr q `mod` 4096 == 0)
-- True
--
-- >>> mallocForeignPtrAlignedBytes 8192 1000
-- *** Exception: mallocForeignPtrAlignedBytes: invalid argument (alignment is not a power of two: 1000)
--
-- @since 0.1.0.0
mallocForeignPtrAlignedBytes :: Int -> Int -> IO (ForeignPtr Word8)
mallocForeignPtrAlignedBytes n align = newAlignedBytes "mallocForeignPtrAlignedBytes" n align
{-# INLINE mallocForeignPtrAlignedBytes #-}

-- | A block for one value, all bytes of it 0.
--
-- >>> p <- callocForeignPtr :: IO (ForeignPtr Int)
-- >>> withForeignPtr p peek
-- 0
--
-- @since 0.1.0.0
callocForeignPtr :: Storable a => IO (ForeignPtr a)
callocForeignPtr = newBlock "callocForeignPtr" (\source -> one source Zeros 1)
{-# INLINE callocForeignPtr #-}

-- | A block for so many elements, all bytes of it 0.
--
-- >>> p <- callocForeignPtrArray 4 :: IO (ForeignPtr Int)
-- >>> withForeignPtr p (peekArray 4)
-- [0,0,0,0]
--
-- @since 0.1.0.0
callocForeignPtrArray :: Storable a => Int -> IO (ForeignPtr a)
callocForeignPtrArray n = newBlock "callocForeignPtrArray" (\source -> many source Zeros n)
{-# INLINE callocForeignPtrArray #-}

-- | A block of so many bytes, all of them 0.
--
-- >>> p <- zallocForeignPtrBytes 4
-- >>> withForeignPtr p (peekArray 4)
-- [0,0,0,0]
--
-- @since 0.1.0.0
zallocForeignPtrBytes :: Int -> IO (ForeignPtr Word8)
zallocForeignPtrBytes n = newBlock "zallocForeignPtrBytes" (\source -> bytes source Zeros n)
{-# INLINE zallocForeignPtrBytes #-}

-- | A block for one value while the action runs. The pointer must not be used afterwards.
--
-- >>> withMalloc $ \p -> poke p (100 :: Int) >> peek p
-- 100
--
-- @since 0.1.0.0
withMalloc :: Storable a => (Ptr a -> IO b) -> IO b
withMalloc = withOne "withMalloc"
{-# INLINE withMalloc #-}

-- | A block of so many bytes while the action runs.
--
-- >>> withMallocBytes 3 $ \p -> pokeArray p [7, 8, 9] >> peekArray 3 p
-- [7,8,9]
--
-- @since 0.1.0.0
withMallocBytes :: Int -> (Ptr Word8 -> IO b) -> IO b
withMallocBytes n = withBytes "withMallocBytes" n
{-# INLINE withMallocBytes #-}

-- | A block for so many elements while the action runs.
--
-- >>> withMallocArray 3 $ \p -> pokeArray p [7, 8, 9 :: Int] >> peekArray 3 p
-- [7,8,9]
--
-- @since 0.1.0.0
withMallocArray :: Storable a => Int -> (Ptr a -> IO b) -> IO b
withMallocArray n = withMany "withMallocArray" n
{-# INLINE withMallocArray #-}

-- | A block for one value, at the given alignment (in bytes) or its type's, whichever is more, while the
-- action runs.
--
-- >>> withMallocAligned 4096 $ \p -> poke p 'x' >> pure (ptrToWordPtr p `mod` 4096 == 0)
-- True
--
-- @since 0.1.0.0
withMallocAligned :: Storable a => Int -> (Ptr a -> IO b) -> IO b
withMallocAligned align = withBlock "withMallocAligned" (\source -> one source Whatever align)
{-# INLINE withMallocAligned #-}

-- | A block of so many bytes (first argument) at the alignment in bytes (second argument) while the action
-- runs.
--
-- >>> withMallocAlignedBytes 100 32 $ \p -> pure (ptrToWordPtr p `mod` 32 == 0)
-- True
--
-- @since 0.1.0.0
withMallocAlignedBytes :: Int -> Int -> (Ptr Word8 -> IO b) -> IO b
withMallocAlignedBytes n align =
  withBlock "withMallocAlignedBytes" (\source -> alignedBytes source Whatever n align)
{-# INLINE withMallocAlignedBytes #-}

-- | A block for one value, all bytes of it 0, while the action runs.
--
-- >>> withCalloc peek :: IO Int
-- 0
--
-- @since 0.1.0.0
withCalloc :: Storable a => (Ptr a -> IO b) -> IO b
withCalloc = withBlock "withCalloc" (\source -> one source Zeros 1)
{-# INLINE withCalloc #-}

-- | A block for so many elements, all bytes of it 0, while the action runs.
--
-- >>> withCallocArray 3 $ \p -> peekArray 3 p :: IO [Int]
-- [0,0,0]
--
-- @since 0.1.0.0
withCallocArray :: Storable a => Int -> (Ptr a -> IO b) -> IO b
withCallocArray n = withBlock "withCallocArray" (\source -> many source Zeros n)
{-# INLINE withCallocArray #-}

-- | A block of so many bytes, all of them 0, while the action runs.
--
-- >>> withZallocBytes 3 (peekArray 3)
-- [0,0,0]
--
-- @since 0.1.0.0
withZallocBytes :: Int -> (Ptr Word8 -> IO b) -> IO b
withZallocBytes n = withBlock "withZallocBytes" (\source -> bytes source Zeros n)
{-# INLINE withZallocBytes #-}

-- | How many bytes a block has that was asked for with so many: at least as many, at most an eighth more
-- (from 16 on, and up to the last bytes of a page of the system's). A negative size counts as 0; the largest
-- of all are as they are. Throws nothing.
--
-- >>> goodSize 100
-- 112
--
-- @since 0.1.0.0
goodSize :: Int -> Int
goodSize n = if good < 0 then n else good
  where good = fromIntegral (mi_good_size (fromIntegral (max 0 n)))

-- | How many bytes of this block may be used, at least as many as were asked for. The pointer is what an
-- allocation returned; for a null pointer, or one that is not ours, it is 0.
--
-- >>> withMallocBytes 100 usableSize
-- 112
--
-- @since 0.1.0.0
usableSize :: Ptr a -> IO Int
usableSize p = fromIntegral <$> mi_usable_size p
