-- |
-- The C functions one to one, in their spelling, bound to the heap of the capability one is on. Sizes, alignments and
-- offsets are in bytes, counts in elements. As in C:
--
-- * Without memory, with a product of sizes that overflows or with a bad alignment they return a null pointer, and
--   'Foreign.C.Error.getErrno' tells which. They throw nothing.
-- * Every block is aligned to 16 bytes at least. Whoever has it frees it, once, with 'mi_free' or with C's @mi_free@, from
--   any thread and capability. In C's other direction it works too: a block from C's @mi_malloc@ may be given to 'mi_free'.
-- * An asynchronous exception between the allocation and what frees the block leaks it: use "Mimalloc", or mask.
--
-- All may be called from any Haskell thread. From 1 MiB on, those that clear or copy do it in a safe
-- foreign call, so that no other capability waits for it.
--
-- >>> import Mimalloc.Primitive
-- >>> p <- mi_malloc 10
-- >>> q <- mi_realloc p 100
-- >>> mi_usable_size q
-- 112
-- >>> mi_free q
--
-- @since 0.1.0.0
module Mimalloc.Primitive
  ( -- * Allocating and freeing
    mi_malloc
  , mi_zalloc
  , mi_calloc
  , mi_mallocn
  , mi_malloc_small
  , mi_zalloc_small
  , mi_free
  , mi_cfree
  , mi_free_size
    -- * Changing the size
  , mi_realloc
  , mi_reallocn
  , mi_reallocarray
  , mi_reallocf
  , mi_rezalloc
  , mi_recalloc
  , mi_expand
    -- * Strings
  , mi_strdup
  , mi_strndup
  , mi_realpath
    -- * Aligned
    -- | An alignment is a power of two. The @_at@ functions align not the block's start but what lies at the offset.
  , mi_malloc_aligned
  , mi_malloc_aligned_at
  , mi_zalloc_aligned
  , mi_zalloc_aligned_at
  , mi_calloc_aligned
  , mi_calloc_aligned_at
  , mi_realloc_aligned
  , mi_realloc_aligned_at
  , mi_rezalloc_aligned
  , mi_rezalloc_aligned_at
  , mi_recalloc_aligned
  , mi_recalloc_aligned_at
    -- ** By other names
  , mi_posix_memalign
  , mi_memalign
  , mi_aligned_alloc
  , mi_valloc
  , mi_pvalloc
  , mi_free_aligned
  , mi_free_size_aligned
    -- * Questions
  , mi_usable_size
  , mi_malloc_size
  , mi_malloc_usable_size
  , mi_good_size
  , mi_is_in_heap_region
    -- * Process
  , mi_collect
    -- * Heaps
  , module Mimalloc.Primitive.Heap
    -- * Arenas, sub-processes, OS threads and statistics
  , module Mimalloc.Primitive.Process
    -- * Options
  , module Mimalloc.Primitive.Option
    -- * What the examples import
    -- $setup
  ) where

import Foreign.C.String (CString)
import Foreign.C.Types (CBool, CInt, CSize)
import Foreign.Ptr (Ptr, nullPtr)

import qualified Mimalloc.Internal.FFI as C
import Mimalloc.Internal.Families
import Mimalloc.Primitive.Heap
import Mimalloc.Primitive.Option
import Mimalloc.Primitive.Process

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc.Primitive
-- >>> import Data.Word (Word8)
-- >>> import Foreign (Ptr, peekArray, plusPtr, pokeArray, ptrToWordPtr)
-- >>> import Foreign.C (peekCString, withCString)

-- | @mi_malloc size@: a block, its bytes as they are.
--
-- @since 0.1.0.0
mi_malloc :: CSize -> IO (Ptr a)
mi_malloc = C.mi_cap_malloc
{-# INLINE mi_malloc #-}

-- | @mi_zalloc size@: a block of zeros.
--
-- @since 0.1.0.0
mi_zalloc :: CSize -> IO (Ptr a)
mi_zalloc = zeroed
{-# INLINE mi_zalloc #-}

-- | @mi_calloc n size@: a block of zeros for @n@ elements.
--
-- >>> p <- mi_calloc 3 2 :: IO (Ptr Word8)
-- >>> peekArray 6 p <* mi_free p
-- [0,0,0,0,0,0]
--
-- @since 0.1.0.0
mi_calloc :: CSize -> CSize -> IO (Ptr a)
mi_calloc n size = zeroed (product_ n size)
{-# INLINE mi_calloc #-}

-- | @mi_mallocn n size@: a block for @n@ elements.
--
-- >>> mi_mallocn maxBound 2
-- 0x0000000000000000
--
-- @since 0.1.0.0
mi_mallocn :: CSize -> CSize -> IO (Ptr a)
mi_mallocn n size = C.mi_cap_malloc (product_ n size)
{-# INLINE mi_mallocn #-}

-- | @mi_malloc_small size@: as 'mi_malloc', for at most 1024 bytes.
--
-- @since 0.1.0.0
mi_malloc_small :: CSize -> IO (Ptr a)
mi_malloc_small = C.mi_cap_malloc
{-# INLINE mi_malloc_small #-}

-- | @mi_zalloc_small size@: as 'mi_zalloc', for at most 1024 bytes.
--
-- @since 0.1.0.0
mi_zalloc_small :: CSize -> IO (Ptr a)
mi_zalloc_small = C.mi_cap_zalloc
{-# INLINE mi_zalloc_small #-}

-- | Gives a block back; nothing for a null pointer. What is not a live block is reported on stderr and left alone.
--
-- @since 0.1.0.0
mi_free :: Ptr a -> IO ()
mi_free = C.mi_cap_free
{-# INLINE mi_free #-}

-- | @mi_realloc p size@: the block with another size, perhaps elsewhere, with what fits of its bytes. A new one if @p@ is
-- null. If it fails, @p@ is as it was.
--
-- @since 0.1.0.0
mi_realloc :: Ptr a -> CSize -> IO (Ptr b)
mi_realloc p size = resized p size 0 0 0
{-# INLINE mi_realloc #-}

-- | @mi_reallocn p n size@: 'mi_realloc' for @n@ elements.
--
-- @since 0.1.0.0
mi_reallocn :: Ptr a -> CSize -> CSize -> IO (Ptr b)
mi_reallocn p n size = mi_realloc p (product_ n size)
{-# INLINE mi_reallocn #-}

-- | @mi_reallocf p size@: 'mi_realloc' that frees @p@ if it fails.
--
-- @since 0.1.0.0
mi_reallocf :: Ptr a -> CSize -> IO (Ptr a)
mi_reallocf p size = do
  q <- mi_realloc p size
  if q == nullPtr then q <$ C.mi_cap_free p else pure q
{-# INLINE mi_reallocf #-}

-- | @mi_rezalloc p size@: 'mi_realloc' of a block that was allocated as zeros; what it grows by is zeros too.
--
-- >>> p <- mi_zalloc 2 :: IO (Ptr Word8)
-- >>> pokeArray p [1, 2]
-- >>> q <- mi_rezalloc p 4
-- >>> peekArray 4 q <* mi_free q
-- [1,2,0,0]
--
-- @since 0.1.0.0
mi_rezalloc :: Ptr a -> CSize -> IO (Ptr a)
mi_rezalloc p size = resized p size 0 0 1
{-# INLINE mi_rezalloc #-}

-- | @mi_recalloc p n size@: 'mi_rezalloc' for @n@ elements.
--
-- @since 0.1.0.0
mi_recalloc :: Ptr a -> CSize -> CSize -> IO (Ptr a)
mi_recalloc p n size = mi_rezalloc p (product_ n size)
{-# INLINE mi_recalloc #-}

-- | @mi_expand p size@: the block itself if it has room for @size@ bytes where it is, else a null pointer.
--
-- >>> p <- mi_malloc 100
-- >>> (==) p <$> mi_expand p 112
-- True
-- >>> mi_expand p 113 <* mi_free p
-- 0x0000000000000000
--
-- @since 0.1.0.0
mi_expand :: Ptr a -> CSize -> IO (Ptr a)
mi_expand = C.mi_expand
{-# INLINE mi_expand #-}

-- | A copy of a C string; null for null.
--
-- @since 0.1.0.0
mi_strdup :: CString -> IO CString
mi_strdup s = C.mi_cap_strndup s maxBound
{-# INLINE mi_strdup #-}

-- | @mi_strndup s n@: a copy of at most the first @n@ bytes, and a 0 after them.
--
-- >>> s <- withCString "hello" (`mi_strndup` 2)
-- >>> peekCString s <* mi_free s
-- "he"
--
-- @since 0.1.0.0
mi_strndup :: CString -> CSize -> IO CString
mi_strndup = C.mi_cap_strndup
{-# INLINE mi_strndup #-}

-- | @mi_realpath path resolved@: the path without links and dots, in @resolved@ (@PATH_MAX@ bytes) or, if that is null, in a
-- block of its own. Null if there is no such file. Reads the file system, in a safe call.
--
-- @since 0.1.0.0
mi_realpath :: CString -> CString -> IO CString
mi_realpath = C.mi_realpath_safe
{-# INLINE mi_realpath #-}

-- | @mi_malloc_aligned size alignment@: 'mi_malloc', aligned.
--
-- @since 0.1.0.0
mi_malloc_aligned :: CSize -> CSize -> IO (Ptr a)
mi_malloc_aligned size align = mi_malloc_aligned_at size align 0
{-# INLINE mi_malloc_aligned #-}

-- | @mi_malloc_aligned_at size alignment offset@: 'mi_malloc', aligned.
--
-- >>> p <- mi_malloc_aligned_at 100 64 8
-- >>> ptrToWordPtr (p `plusPtr` 8) `mod` 64 <$ mi_free p
-- 0
--
-- @since 0.1.0.0
mi_malloc_aligned_at :: CSize -> CSize -> CSize -> IO (Ptr a)
mi_malloc_aligned_at size align offset = aligned size align offset 0
{-# INLINE mi_malloc_aligned_at #-}

-- | @mi_zalloc_aligned size alignment@: 'mi_zalloc', aligned.
--
-- @since 0.1.0.0
mi_zalloc_aligned :: CSize -> CSize -> IO (Ptr a)
mi_zalloc_aligned size align = mi_zalloc_aligned_at size align 0
{-# INLINE mi_zalloc_aligned #-}

-- | @mi_zalloc_aligned_at size alignment offset@: 'mi_zalloc', aligned.
--
-- @since 0.1.0.0
mi_zalloc_aligned_at :: CSize -> CSize -> CSize -> IO (Ptr a)
mi_zalloc_aligned_at size align offset = aligned size align offset 1
{-# INLINE mi_zalloc_aligned_at #-}

-- | @mi_calloc_aligned n size alignment@: 'mi_calloc', aligned.
--
-- @since 0.1.0.0
mi_calloc_aligned :: CSize -> CSize -> CSize -> IO (Ptr a)
mi_calloc_aligned n size align = mi_zalloc_aligned_at (product_ n size) align 0
{-# INLINE mi_calloc_aligned #-}

-- | @mi_calloc_aligned_at n size alignment offset@: 'mi_calloc', aligned.
--
-- @since 0.1.0.0
mi_calloc_aligned_at :: CSize -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_calloc_aligned_at n size = mi_zalloc_aligned_at (product_ n size)
{-# INLINE mi_calloc_aligned_at #-}

-- | @mi_realloc_aligned p size alignment@: 'mi_realloc', aligned.
--
-- @since 0.1.0.0
mi_realloc_aligned :: Ptr a -> CSize -> CSize -> IO (Ptr b)
mi_realloc_aligned p size align = mi_realloc_aligned_at p size align 0
{-# INLINE mi_realloc_aligned #-}

-- | @mi_realloc_aligned_at p size alignment offset@: 'mi_realloc', aligned.
--
-- @since 0.1.0.0
mi_realloc_aligned_at :: Ptr a -> CSize -> CSize -> CSize -> IO (Ptr b)
mi_realloc_aligned_at p size align offset = resized p size (asked align) offset 0
{-# INLINE mi_realloc_aligned_at #-}

-- | @mi_rezalloc_aligned p size alignment@: 'mi_rezalloc', aligned.
--
-- @since 0.1.0.0
mi_rezalloc_aligned :: Ptr a -> CSize -> CSize -> IO (Ptr a)
mi_rezalloc_aligned p size align = mi_rezalloc_aligned_at p size align 0
{-# INLINE mi_rezalloc_aligned #-}

-- | @mi_rezalloc_aligned_at p size alignment offset@: 'mi_rezalloc', aligned.
--
-- @since 0.1.0.0
mi_rezalloc_aligned_at :: Ptr a -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_rezalloc_aligned_at p size align offset = resized p size (asked align) offset 1
{-# INLINE mi_rezalloc_aligned_at #-}

-- | @mi_recalloc_aligned p n size alignment@: 'mi_recalloc', aligned.
--
-- @since 0.1.0.0
mi_recalloc_aligned :: Ptr a -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_recalloc_aligned p n size align = mi_rezalloc_aligned_at p (product_ n size) align 0
{-# INLINE mi_recalloc_aligned #-}

-- | @mi_recalloc_aligned_at p n size alignment offset@: 'mi_recalloc', aligned.
--
-- @since 0.1.0.0
mi_recalloc_aligned_at :: Ptr a -> CSize -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_recalloc_aligned_at p n size = mi_rezalloc_aligned_at p (product_ n size)
{-# INLINE mi_recalloc_aligned_at #-}

-- | How many bytes of the block may be used; 0 for a null pointer.
--
-- @since 0.1.0.0
mi_usable_size :: Ptr a -> IO CSize
mi_usable_size = C.mi_usable_size
{-# INLINE mi_usable_size #-}

-- | How many bytes a block has that is asked for with so many.
--
-- >>> mi_good_size 100
-- 112
--
-- @since 0.1.0.0
mi_good_size :: CSize -> CSize
mi_good_size = C.mi_good_size
{-# INLINE mi_good_size #-}

-- | Whether the address lies in memory of this allocator.
--
-- @since 0.1.0.0
mi_is_in_heap_region :: Ptr a -> IO CBool
mi_is_in_heap_region = C.mi_is_in_heap_region
{-# INLINE mi_is_in_heap_region #-}

-- | Takes in what others freed of the heap of the capability one is on, and gives its empty pages back; 1: all of
-- them, and their memory to the system.
--
-- @since 0.1.0.0
mi_collect :: CBool -> IO ()
mi_collect = C.mi_cap_collect
{-# INLINE mi_collect #-}

-- | @mi_posix_memalign p alignment size@: writes the block to @p@ and returns 0, or returns @EINVAL@ (the alignment is no power of
-- two or no multiple of a pointer's size) or @ENOMEM@; errno stays as it is.
--
-- @since 0.1.0.0
mi_posix_memalign :: Ptr (Ptr a) -> CSize -> CSize -> IO CInt
mi_posix_memalign = C.mi_cap_posix_memalign
{-# INLINE mi_posix_memalign #-}

-- | @mi_memalign alignment size@: 'mi_malloc_aligned', its arguments the other way round.
--
-- @since 0.1.0.0
mi_memalign :: CSize -> CSize -> IO (Ptr a)
mi_memalign align size = mi_malloc_aligned size align
{-# INLINE mi_memalign #-}

-- | @mi_aligned_alloc alignment size@: the same.
--
-- @since 0.1.0.0
mi_aligned_alloc :: CSize -> CSize -> IO (Ptr a)
mi_aligned_alloc align size = mi_malloc_aligned size align
{-# INLINE mi_aligned_alloc #-}

-- | @mi_valloc size@: 'mi_malloc', aligned to the system's page.
--
-- @since 0.1.0.0
mi_valloc :: CSize -> IO (Ptr a)
mi_valloc = C.mi_cap_valloc
{-# INLINE mi_valloc #-}

-- | @mi_pvalloc size@: the same, the size rounded up to whole pages.
--
-- @since 0.1.0.0
mi_pvalloc :: CSize -> IO (Ptr a)
mi_pvalloc = C.mi_cap_pvalloc
{-# INLINE mi_pvalloc #-}

-- | @mi_reallocarray p n size@: the same as 'mi_reallocn'.
--
-- @since 0.1.0.0
mi_reallocarray :: Ptr a -> CSize -> CSize -> IO (Ptr b)
mi_reallocarray = mi_reallocn
{-# INLINE mi_reallocarray #-}

-- | 'mi_free' of what points into this allocator's memory; of any other address nothing, and nothing is reported.
--
-- @since 0.1.0.0
mi_cfree :: Ptr a -> IO ()
mi_cfree p = do
  ours <- mi_is_in_heap_region p
  if ours /= 0 then C.mi_cap_free p else pure ()
{-# INLINE mi_cfree #-}

-- | 'mi_free'; the size is not looked at.
--
-- @since 0.1.0.0
mi_free_size :: Ptr a -> CSize -> IO ()
mi_free_size p _ = C.mi_cap_free p
{-# INLINE mi_free_size #-}

-- | 'mi_free'; size and alignment are not looked at.
--
-- @since 0.1.0.0
mi_free_size_aligned :: Ptr a -> CSize -> CSize -> IO ()
mi_free_size_aligned p _ _ = C.mi_cap_free p
{-# INLINE mi_free_size_aligned #-}

-- | 'mi_free'; the alignment is not looked at.
--
-- @since 0.1.0.0
mi_free_aligned :: Ptr a -> CSize -> IO ()
mi_free_aligned p _ = C.mi_cap_free p
{-# INLINE mi_free_aligned #-}

-- | The same as 'mi_usable_size'.
--
-- @since 0.1.0.0
mi_malloc_size :: Ptr a -> IO CSize
mi_malloc_size = C.mi_usable_size
{-# INLINE mi_malloc_size #-}

-- | The same as 'mi_usable_size'.
--
-- @since 0.1.0.0
mi_malloc_usable_size :: Ptr a -> IO CSize
mi_malloc_usable_size = C.mi_usable_size
{-# INLINE mi_malloc_usable_size #-}
