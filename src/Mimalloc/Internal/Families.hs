-- |
-- The two general functions of a ring, aligned and resizing, as "Mimalloc.Primitive" has them under many
-- names: what clears or copies 1 MiB or more is done in a safe call, by the OS thread's heap.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Families
  ( zeroed
  , aligned
  , resized
  , heapZeroed
  , heapAligned
  , heapResized
  , product_
  , asked
  ) where

import Foreign.C.Types (CBool, CSize)
import Foreign.Ptr (Ptr)

import Mimalloc.Internal.Alloc (isSmall)
import Mimalloc.Internal.FFI

-- | Size.
zeroed :: CSize -> IO (Ptr a)
zeroed size = if isSmall size then mi_cap_zalloc size else mi_zalloc_safe size
{-# INLINE zeroed #-}

-- | Size, alignment, offset, whether to clear.
aligned :: CSize -> CSize -> CSize -> CBool -> IO (Ptr a)
aligned size align offset zero
  | zero == 0 || isSmall size = mi_cap_aligned size align offset zero
  | otherwise = mi_aligned_safe size align offset zero
{-# INLINE aligned #-}

-- | The block, size, alignment (0: none is asked for), offset, whether to clear what it grows by.
resized :: Ptr a -> CSize -> CSize -> CSize -> CBool -> IO (Ptr b)
resized p size align offset zero
  | isSmall size = mi_cap_resize p size align offset zero
  | otherwise = mi_resize_safe p size align offset zero
{-# INLINE resized #-}

-- | The same three of a heap.
heapZeroed :: Ptr MiHeap -> CSize -> IO (Ptr a)
heapZeroed heap size
  | isSmall size = mi_cap_heap_zalloc heap size
  | otherwise = mi_heap_aligned_safe heap size 1 0 1
{-# INLINE heapZeroed #-}

heapAligned :: Ptr MiHeap -> CSize -> CSize -> CSize -> CBool -> IO (Ptr a)
heapAligned heap size align offset zero
  | zero == 0 || isSmall size = mi_cap_heap_aligned heap size align offset zero
  | otherwise = mi_heap_aligned_safe heap size align offset zero
{-# INLINE heapAligned #-}

heapResized :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> CSize -> CBool -> IO (Ptr b)
heapResized heap p size align offset zero
  | isSmall size = mi_cap_heap_realloc heap p size align offset zero
  | otherwise = mi_heap_resize_safe heap p size align offset zero
{-# INLINE heapResized #-}

-- | A product that overflows is more than C gives: it fails there, with the error and the report of all too
-- large requests.
product_ :: CSize -> CSize -> CSize
product_ n size
  | n < limit && size < limit || size == 0 || n <= maxBound `quot` size = n * size
  | otherwise = maxBound
  where limit = 4294967296
{-# INLINE product_ #-}

-- | Where the general functions would take 0 for no alignment it is a mistake here, as 3 is.
asked :: CSize -> CSize
asked align = if align == 0 then 3 else align
{-# INLINE asked #-}
