{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
-- |
-- The functions of C heaps one to one, on what the capability one is on has of the heap. What
-- "Mimalloc.Primitive" says of all its functions holds here; it re-exports this module.
--
-- A heap may be used from every capability and thread at once. Nobody may use it while it ends or afterwards; freeing its
-- blocks goes on working throughout. A null pointer is no heap: what would allocate from it gives null and @EINVAL@, and nothing else happens
-- ("Mimalloc.Heap" has heaps that cannot be used too long).
--
-- >>> import Mimalloc.Primitive.Heap
-- >>> heap <- mi_heap_new
-- >>> p <- mi_heap_malloc heap 100
-- >>> mi_heap_contains_block heap p
-- 1
-- >>> mi_heap_destroy heap
--
-- @since 0.1.0.0
module Mimalloc.Primitive.Heap
  ( -- * Heaps
    MiHeap
  , MiArenaId
  , mi_heap_new
  , mi_heap_new_in_arena
  , mi_heap_new_ex
  , mi_heap_set_name
  , mi_heap_delete
  , mi_heap_destroy
  , mi_heap_set_default
  , mi_heap_get_default
  , mi_heap_get_backing
  , mi_heap_collect
    -- * Blocks
  , mi_heap_malloc
  , mi_heap_zalloc
  , mi_heap_calloc
  , mi_heap_mallocn
  , mi_heap_malloc_small
  , mi_heap_realloc
  , mi_heap_reallocn
  , mi_heap_reallocf
  , mi_heap_rezalloc
  , mi_heap_recalloc
  , mi_heap_strdup
  , mi_heap_strndup
  , mi_heap_realpath
    -- * Aligned blocks
  , mi_heap_malloc_aligned
  , mi_heap_malloc_aligned_at
  , mi_heap_zalloc_aligned
  , mi_heap_zalloc_aligned_at
  , mi_heap_calloc_aligned
  , mi_heap_calloc_aligned_at
  , mi_heap_realloc_aligned
  , mi_heap_realloc_aligned_at
  , mi_heap_rezalloc_aligned
  , mi_heap_rezalloc_aligned_at
  , mi_heap_recalloc_aligned
  , mi_heap_recalloc_aligned_at
    -- * Questions
  , mi_heap_of
  , mi_heap_contains_block
  , mi_heap_check_owned
  , mi_check_owned
    -- * Visiting
  , MiHeapArea (..)
  , MiBlockVisitFun
  , mi_heap_visit_blocks
  , visitHeapBlocks
    -- * What the examples import
    -- $setup
  ) where

import Control.DeepSeq (NFData)
import Control.Exception (SomeException, bracket, mask_, throwIO, try)
import Data.IORef (newIORef, readIORef, writeIORef)
import Foreign.C.String (CString)
import Foreign.C.Types (CBool, CInt, CSize)
import Foreign.Ptr (FunPtr, Ptr, castFunPtr, castPtr, freeHaskellFunPtr, nullPtr)
import Foreign.Storable (Storable (..))
import GHC.Generics (Generic)

import qualified Mimalloc.Internal.FFI as C
import Mimalloc.Internal.FFI (MiHeap)
import Mimalloc.Internal.Alloc (bool)
import Mimalloc.Internal.Families

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc.Primitive.Heap
-- >>> import Foreign (Ptr)
-- >>> import Foreign.C (withCString)
-- >>> import Mimalloc.Primitive (mi_free)

-- | The number of an arena; 0 is any. Only this process knows it.
--
-- @since 0.1.0.0
type MiArenaId = CInt

-- | A new heap; null and @ENOMEM@ if there is no memory. End it with 'mi_heap_delete' or 'mi_heap_destroy'.
--
-- @since 0.1.0.0
mi_heap_new :: IO (Ptr MiHeap)
mi_heap_new = C.mi_heap_new
{-# INLINE mi_heap_new #-}

-- | A new heap whose memory comes from that arena alone; null and @EINVAL@ if there is none of that number.
--
-- @since 0.1.0.0
mi_heap_new_in_arena :: MiArenaId -> IO (Ptr MiHeap)
mi_heap_new_in_arena = C.mi_heap_new_in_arena
{-# INLINE mi_heap_new_in_arena #-}

-- | @mi_heap_new_ex tag allow_destroy arena@: a new heap. The tag is for visitors; a heap that may not be destroyed is deleted
-- instead.
--
-- @since 0.1.0.0
mi_heap_new_ex :: CInt -> CBool -> MiArenaId -> IO (Ptr MiHeap)
mi_heap_new_ex = C.mi_heap_new_ex
{-# INLINE mi_heap_new_ex #-}

-- | What statistics call the heap besides its number: UTF-8, of which at most 47 bytes are kept, whole characters. Control
-- characters, quotes, backslashes and what is no UTF-8 become question marks. A null pointer, or the empty string: no name.
--
-- >>> heap <- mi_heap_new
-- >>> withCString "cache" (mi_heap_set_name heap)
-- >>> mi_heap_destroy heap
--
-- @since 0.1.0.0
mi_heap_set_name :: Ptr MiHeap -> CString -> IO ()
mi_heap_set_name = C.mi_heap_set_name
{-# INLINE mi_heap_set_name #-}

-- | Ends the heap; its live blocks go on living in the main heap. Capabilities whose default it was have the main heap as
-- their default again. A safe call: it looks at every page of the heap.
--
-- >>> heap <- mi_heap_new
-- >>> p <- mi_heap_malloc heap 100
-- >>> mi_heap_delete heap
-- >>> (==) <$> mi_heap_of p <*> mi_heap_get_backing
-- True
-- >>> mi_free p
--
-- @since 0.1.0.0
mi_heap_delete :: Ptr MiHeap -> IO ()
mi_heap_delete = C.mi_cap_heap_delete_safe
{-# INLINE mi_heap_delete #-}

-- | Ends the heap and frees its blocks, all of them; otherwise as 'mi_heap_delete'. Freeing one of them later is reported and
-- does nothing.
--
-- @since 0.1.0.0
mi_heap_destroy :: Ptr MiHeap -> IO ()
mi_heap_destroy = C.mi_cap_heap_destroy_safe
{-# INLINE mi_heap_destroy #-}

-- | Makes the heap what 'Mimalloc.Primitive.mi_malloc' and everything else in this package allocates from on the capability
-- one is on, and returns the one that was. It concerns all Haskell threads there, and this one only while it stays
-- ('Mimalloc.Capability.withCapabilityLocal'). Requests in safe calls (from 1 MiB on) go to the main heap.
--
-- @since 0.1.0.0
mi_heap_set_default :: Ptr MiHeap -> IO (Ptr MiHeap)
mi_heap_set_default = C.mi_cap_heap_set_default
{-# INLINE mi_heap_set_default #-}

-- | The default heap of the capability one is on.
--
-- @since 0.1.0.0
mi_heap_get_default :: IO (Ptr MiHeap)
mi_heap_get_default = C.mi_cap_heap_get_default
{-# INLINE mi_heap_get_default #-}

-- | The main heap, which never ends.
--
-- @since 0.1.0.0
mi_heap_get_backing :: IO (Ptr MiHeap)
mi_heap_get_backing = C.mi_cap_heap_get_backing
{-# INLINE mi_heap_get_backing #-}

-- | As 'Mimalloc.Primitive.mi_collect', for what the capability one is on has of one heap.
--
-- @since 0.1.0.0
mi_heap_collect :: Ptr MiHeap -> CBool -> IO ()
mi_heap_collect = C.mi_cap_heap_collect
{-# INLINE mi_heap_collect #-}

-- | @mi_heap_malloc heap size@: a block, its bytes as they are.
--
-- @since 0.1.0.0
mi_heap_malloc :: Ptr MiHeap -> CSize -> IO (Ptr a)
mi_heap_malloc = C.mi_cap_heap_malloc
{-# INLINE mi_heap_malloc #-}

-- | @mi_heap_zalloc heap size@: a block of zeros.
--
-- @since 0.1.0.0
mi_heap_zalloc :: Ptr MiHeap -> CSize -> IO (Ptr a)
mi_heap_zalloc = heapZeroed
{-# INLINE mi_heap_zalloc #-}

-- | @mi_heap_calloc heap n size@: a block of zeros for @n@ elements.
--
-- @since 0.1.0.0
mi_heap_calloc :: Ptr MiHeap -> CSize -> CSize -> IO (Ptr a)
mi_heap_calloc heap n size = mi_heap_zalloc heap (product_ n size)
{-# INLINE mi_heap_calloc #-}

-- | @mi_heap_mallocn heap n size@: a block for @n@ elements.
--
-- @since 0.1.0.0
mi_heap_mallocn :: Ptr MiHeap -> CSize -> CSize -> IO (Ptr a)
mi_heap_mallocn heap n size = mi_heap_malloc heap (product_ n size)
{-# INLINE mi_heap_mallocn #-}

-- | @mi_heap_malloc_small heap size@: as 'mi_heap_malloc', for at most 1024 bytes.
--
-- @since 0.1.0.0
mi_heap_malloc_small :: Ptr MiHeap -> CSize -> IO (Ptr a)
mi_heap_malloc_small = C.mi_cap_heap_malloc
{-# INLINE mi_heap_malloc_small #-}

-- | @mi_heap_realloc heap p size@: as 'Mimalloc.Primitive.mi_realloc'. The block may be of another heap; if it has to move, it
-- lives in this one then.
--
-- @since 0.1.0.0
mi_heap_realloc :: Ptr MiHeap -> Ptr a -> CSize -> IO (Ptr b)
mi_heap_realloc heap p size = heapResized heap p size 0 0 0
{-# INLINE mi_heap_realloc #-}

-- | @mi_heap_reallocn heap p n size@: 'mi_heap_realloc' for @n@ elements.
--
-- @since 0.1.0.0
mi_heap_reallocn :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> IO (Ptr b)
mi_heap_reallocn heap p n size = mi_heap_realloc heap p (product_ n size)
{-# INLINE mi_heap_reallocn #-}

-- | @mi_heap_reallocf heap p size@: 'mi_heap_realloc' that frees @p@ if it fails.
--
-- @since 0.1.0.0
mi_heap_reallocf :: Ptr MiHeap -> Ptr a -> CSize -> IO (Ptr a)
mi_heap_reallocf heap p size = do
  q <- mi_heap_realloc heap p size
  if q == nullPtr then q <$ C.mi_cap_free p else pure q
{-# INLINE mi_heap_reallocf #-}

-- | @mi_heap_rezalloc heap p size@: 'mi_heap_realloc' of a block that was allocated as zeros; what it grows by is zeros too.
--
-- @since 0.1.0.0
mi_heap_rezalloc :: Ptr MiHeap -> Ptr a -> CSize -> IO (Ptr a)
mi_heap_rezalloc heap p size = heapResized heap p size 0 0 1
{-# INLINE mi_heap_rezalloc #-}

-- | @mi_heap_recalloc heap p n size@: 'mi_heap_rezalloc' for @n@ elements.
--
-- @since 0.1.0.0
mi_heap_recalloc :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> IO (Ptr a)
mi_heap_recalloc heap p n size = mi_heap_rezalloc heap p (product_ n size)
{-# INLINE mi_heap_recalloc #-}

-- | A copy of a C string; null for null.
--
-- @since 0.1.0.0
mi_heap_strdup :: Ptr MiHeap -> CString -> IO CString
mi_heap_strdup heap s = C.mi_cap_heap_strndup heap s maxBound
{-# INLINE mi_heap_strdup #-}

-- | @mi_heap_strndup heap s n@: a copy of at most the first @n@ bytes, and a 0 after them.
--
-- @since 0.1.0.0
mi_heap_strndup :: Ptr MiHeap -> CString -> CSize -> IO CString
mi_heap_strndup = C.mi_cap_heap_strndup
{-# INLINE mi_heap_strndup #-}

-- | As 'Mimalloc.Primitive.mi_realpath', its block from this heap. A safe call.
--
-- @since 0.1.0.0
mi_heap_realpath :: Ptr MiHeap -> CString -> CString -> IO CString
mi_heap_realpath = C.mi_heap_realpath_safe
{-# INLINE mi_heap_realpath #-}

-- | @mi_heap_malloc_aligned heap size alignment@: 'mi_heap_malloc', aligned.
--
-- @since 0.1.0.0
mi_heap_malloc_aligned :: Ptr MiHeap -> CSize -> CSize -> IO (Ptr a)
mi_heap_malloc_aligned heap size align = mi_heap_malloc_aligned_at heap size align 0
{-# INLINE mi_heap_malloc_aligned #-}

-- | @mi_heap_malloc_aligned_at heap size alignment offset@: 'mi_heap_malloc', aligned.
--
-- @since 0.1.0.0
mi_heap_malloc_aligned_at :: Ptr MiHeap -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_heap_malloc_aligned_at heap size align offset = heapAligned heap size align offset 0
{-# INLINE mi_heap_malloc_aligned_at #-}

-- | @mi_heap_zalloc_aligned heap size alignment@: 'mi_heap_zalloc', aligned.
--
-- @since 0.1.0.0
mi_heap_zalloc_aligned :: Ptr MiHeap -> CSize -> CSize -> IO (Ptr a)
mi_heap_zalloc_aligned heap size align = mi_heap_zalloc_aligned_at heap size align 0
{-# INLINE mi_heap_zalloc_aligned #-}

-- | @mi_heap_zalloc_aligned_at heap size alignment offset@: 'mi_heap_zalloc', aligned.
--
-- @since 0.1.0.0
mi_heap_zalloc_aligned_at :: Ptr MiHeap -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_heap_zalloc_aligned_at heap size align offset = heapAligned heap size align offset 1
{-# INLINE mi_heap_zalloc_aligned_at #-}

-- | @mi_heap_calloc_aligned heap n size alignment@: 'mi_heap_calloc', aligned.
--
-- @since 0.1.0.0
mi_heap_calloc_aligned :: Ptr MiHeap -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_heap_calloc_aligned heap n size align = mi_heap_zalloc_aligned_at heap (product_ n size) align 0
{-# INLINE mi_heap_calloc_aligned #-}

-- | @mi_heap_calloc_aligned_at heap n size alignment offset@: 'mi_heap_calloc', aligned.
--
-- @since 0.1.0.0
mi_heap_calloc_aligned_at :: Ptr MiHeap -> CSize -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_heap_calloc_aligned_at heap n size = mi_heap_zalloc_aligned_at heap (product_ n size)
{-# INLINE mi_heap_calloc_aligned_at #-}

-- | @mi_heap_realloc_aligned heap p size alignment@: 'mi_heap_realloc', aligned.
--
-- @since 0.1.0.0
mi_heap_realloc_aligned :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> IO (Ptr b)
mi_heap_realloc_aligned heap p size align = mi_heap_realloc_aligned_at heap p size align 0
{-# INLINE mi_heap_realloc_aligned #-}

-- | @mi_heap_realloc_aligned_at heap p size alignment offset@: 'mi_heap_realloc', aligned.
--
-- @since 0.1.0.0
mi_heap_realloc_aligned_at :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> CSize -> IO (Ptr b)
mi_heap_realloc_aligned_at heap p size align offset = heapResized heap p size (asked align) offset 0
{-# INLINE mi_heap_realloc_aligned_at #-}

-- | @mi_heap_rezalloc_aligned heap p size alignment@: 'mi_heap_rezalloc', aligned.
--
-- @since 0.1.0.0
mi_heap_rezalloc_aligned :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> IO (Ptr a)
mi_heap_rezalloc_aligned heap p size align = mi_heap_rezalloc_aligned_at heap p size align 0
{-# INLINE mi_heap_rezalloc_aligned #-}

-- | @mi_heap_rezalloc_aligned_at heap p size alignment offset@: 'mi_heap_rezalloc', aligned.
--
-- @since 0.1.0.0
mi_heap_rezalloc_aligned_at :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_heap_rezalloc_aligned_at heap p size align offset = heapResized heap p size (asked align) offset 1
{-# INLINE mi_heap_rezalloc_aligned_at #-}

-- | @mi_heap_recalloc_aligned heap p n size alignment@: 'mi_heap_recalloc', aligned.
--
-- @since 0.1.0.0
mi_heap_recalloc_aligned :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_heap_recalloc_aligned heap p n size align = mi_heap_rezalloc_aligned_at heap p (product_ n size) align 0
{-# INLINE mi_heap_recalloc_aligned #-}

-- | @mi_heap_recalloc_aligned_at heap p n size alignment offset@: 'mi_heap_recalloc', aligned.
--
-- @since 0.1.0.0
mi_heap_recalloc_aligned_at :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_heap_recalloc_aligned_at heap p n size = mi_heap_rezalloc_aligned_at heap p (product_ n size)
{-# INLINE mi_heap_recalloc_aligned_at #-}

-- | The heap a live block is of; null for anything else.
--
-- >>> heap <- mi_heap_new
-- >>> p <- mi_heap_malloc heap 100
-- >>> (== heap) <$> mi_heap_of p
-- True
-- >>> mi_heap_destroy heap
-- >>> mi_heap_of p
-- 0x0000000000000000
--
-- @since 0.1.0.0
mi_heap_of :: Ptr a -> IO (Ptr MiHeap)
mi_heap_of = C.mi_heap_of
{-# INLINE mi_heap_of #-}

-- | Whether this is a live block of that heap.
--
-- @since 0.1.0.0
mi_heap_contains_block :: Ptr MiHeap -> Ptr a -> IO CBool
mi_heap_contains_block = C.mi_heap_contains_block
{-# INLINE mi_heap_contains_block #-}

-- | Whether the address, any address, lies in a page of that heap.
--
-- @since 0.1.0.0
mi_heap_check_owned :: Ptr MiHeap -> Ptr a -> IO CBool
mi_heap_check_owned = C.mi_heap_check_owned
{-# INLINE mi_heap_check_owned #-}

-- | Whether the address, any address, lies in a page of the default heap of the capability one is on.
--
-- @since 0.1.0.0
mi_check_owned :: Ptr a -> IO CBool
mi_check_owned = C.mi_cap_check_owned
{-# INLINE mi_check_owned #-}

-- | A page of a heap, as a visitor sees it, laid out as C's @mi_heap_area_t@ is. Bytes, but for the live blocks.
--
-- @since 0.1.0.0
data MiHeapArea = MiHeapArea
  { heapAreaBlocks        :: !(Ptr ()) -- ^ the first block
  , heapAreaReserved      :: !CSize    -- ^ bytes of the page
  , heapAreaCommitted     :: !CSize    -- ^ bytes of the blocks that were ever allocated
  , heapAreaUsed          :: !CSize    -- ^ live blocks
  , heapAreaBlockSize     :: !CSize    -- ^ bytes of one block
  , heapAreaFullBlockSize :: !CSize    -- ^ the same here
  , heapAreaHeapTag       :: !CInt     -- ^ the heap's tag
  } deriving (Eq, Show, Generic, NFData)

-- | Six words and an int.
--
-- @since 0.1.0.0
instance Storable MiHeapArea where
  sizeOf _ = 56
  alignment _ = 8
  peek p = MiHeapArea <$> peekByteOff p 0 <*> peekByteOff p 8 <*> peekByteOff p 16 <*> peekByteOff p 24 <*> peekByteOff p 32
                      <*> peekByteOff p 40 <*> peekByteOff p 48
  poke p (MiHeapArea blocks reserved committed used size full tag) = do
    pokeByteOff p 0 blocks
    pokeByteOff p 8 reserved
    pokeByteOff p 16 committed
    pokeByteOff p 24 used
    pokeByteOff p 32 size
    pokeByteOff p 40 full
    pokeByteOff p 48 tag

-- | A visitor, as C has it: the heap, the page, the block, its bytes, the argument of the visit. The block is null for the page itself.
-- 0 ends the visit.
--
-- @since 0.1.0.0
type MiBlockVisitFun = Ptr MiHeap -> Ptr MiHeapArea -> Ptr () -> CSize -> Ptr () -> IO CBool

-- | @mi_heap_visit_blocks heap blocks visitor arg@: calls the visitor for each page of the heap and, if so asked, for each live
-- block after its page. 0 if the visitor ended it.
--
-- The visitor may allocate and free, but not in this heap. Nobody else may allocate from or collect the heap meanwhile,
-- which for the main heap nobody can promise: of that, only those pages are visited that belong to no capability. A safe
-- call, so the visitor may be Haskell's (a @foreign import ccall \"wrapper\"@), but then it must not throw: 'visitHeapBlocks' makes one
-- that may.
--
-- @since 0.1.0.0
mi_heap_visit_blocks :: Ptr MiHeap -> CBool -> FunPtr MiBlockVisitFun -> Ptr a -> IO CBool
mi_heap_visit_blocks heap blocks visitor arg =
  C.mi_heap_visit_blocks_safe heap blocks (castFunPtr visitor) (castPtr arg)
{-# INLINE mi_heap_visit_blocks #-}

-- | @visitHeapBlocks heap blocks visitor@: 'mi_heap_visit_blocks' with a function of Haskell's, which is given the heap, the page, the
-- block (null for the page itself) and its bytes. 'False' ends the visit, and is the result then. So does an exception of the
-- visitor, which is thrown again here. Asynchronous exceptions wait for the end of the visit.
--
-- >>> heap <- mi_heap_new
-- >>> p <- mi_heap_malloc heap 100 :: IO (Ptr ())
-- >>> visitHeapBlocks heap True (\_ page block n -> True <$ print (heapAreaUsed page, block == p, n))
-- (1,False,112)
-- (1,True,112)
-- True
-- >>> mi_heap_destroy heap
--
-- @since 0.1.0.0
visitHeapBlocks :: Ptr MiHeap -> Bool -> (Ptr MiHeap -> MiHeapArea -> Ptr () -> CSize -> IO Bool) -> IO Bool
visitHeapBlocks heap blocks visitor = do
  thrown <- newIORef Nothing
  let visit h area block size _ = do
        r <- try (peek (castPtr area) >>= \a -> visitor h a block size)
        case r of
          Right more -> pure (bool more)
          Left e -> 0 <$ writeIORef thrown (Just (e :: SomeException))
  done <- bracket (C.newBlockVisitor visit) freeHaskellFunPtr $ \f -> mask_ (C.mi_heap_visit_blocks_safe heap (bool blocks) f nullPtr)
  readIORef thrown >>= maybe (pure (done /= 0)) throwIO

