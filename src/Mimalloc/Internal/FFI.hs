{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE GHCForeignImportPrim #-}
{-# LANGUAGE MagicHash #-}
{-# LANGUAGE UnboxedTuples #-}
{-# LANGUAGE UnliftedFFITypes #-}
-- |
-- All foreign imports of the package. Nothing here is checked: sizes are C's, failures are null pointers.
--
-- Three kinds, which differ by name:
--
-- * @mi_cap_…@ is /owner-only/: it uses the heap of the capability that the call holds, so it is imported @unsafe@ (which
--   holds the capability from start to end) and never @safe@ (which gives the capability away before it starts). Those that
--   are called most are @prim@: C-- (@cbits\/ghc\/fast.cmm@), which is one step as an unsafe call is. So are those that
--   take or free the block of a bracket (@…_into@, @…_from@).
-- * @mi_…@ is /any-thread/: it uses the calling OS thread's own heap. Imported @unsafe@ where it is short.
-- * @…_safe@ is any-thread too, imported @safe@ because it may be long: while an unsafe call runs no capability can
--   start a garbage collection.
--
-- A block from any of them may be freed by any other.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.FFI
  ( -- * Blocks, from the capability's heap
    mi_cap_malloc
  , mi_cap_zalloc
  , mi_cap_strndup
  , mi_fast_malloc_finalized
    -- * Blocks of brackets
  , Cell (..)
  , newCell
  , emptyCell
  , peekCell
  , mi_fast_free_from
    -- * Blocks for a place
  , Place (..)
  , inCell
  , inFinalizer
  , putInto
  , mi_malloc_into
  , mi_zalloc_into_safe
    -- * Resizing, and aligned blocks: all of them
  , mi_cap_resize
  , mi_cap_aligned
  , mi_cap_posix_memalign
  , mi_cap_valloc
  , mi_cap_pvalloc
    -- * Long calls for blocks, from the OS thread's heap
  , mi_aligned_safe
  , mi_resize_safe
  , mi_zalloc_safe
  , mi_zalloc_aligned_safe
  , mi_realpath_safe
  , memcpy_safe
    -- * Giving blocks back
  , mi_cap_free
  , mi_cap_free_finalizer
  , mi_cap_free_held_finalizer
  , mi_cap_free_box_finalizer
  , mi_cap_free_of_heap_finalizer
    -- * Files
  , MiFile
  , mi_cap_map_file_safe
  , mi_cap_hold_file
  , mi_cap_unmap_held_finalizer
    -- * Questions
  , mi_cap_check_owned
  , mi_usable_size
  , mi_good_size
  , mi_expand
  , mi_is_in_heap_region
    -- * Giving pages back
  , mi_cap_collect
  , mi_cap_drain
  , mi_cap_drain_all_safe
  , mi_cap_drain_disabled_safe
  , mi_cap_drain_idle_safe
    -- * Heaps
  , MiHeap
  , mi_cap_heap_malloc
  , mi_fast_heap_malloc
  , mi_cap_heap_zalloc
  , mi_cap_heap_pack
  , mi_cap_heap_strndup
  , mi_cap_heap_aligned
  , mi_cap_heap_realloc
  , mi_cap_heap_collect
  , mi_cap_heap_set_default
  , mi_cap_heap_get_default
  , mi_cap_heap_get_backing
  , mi_cap_heap_delete_safe
  , mi_cap_heap_destroy_safe
  , mi_cap_heap_destroy_finalizer
  , mi_cap_heap_delete_finalizer
  , mi_heap_new
  , mi_heap_new_ex
  , mi_heap_new_finalized
  , mi_heap_new_in_arena
  , mi_heap_set_name
  , mi_heap_of
  , mi_heap_contains_block
  , mi_heap_check_owned
  , mi_heap_zalloc_aligned_at_safe
  , mi_heap_aligned_safe
  , mi_heap_resize_safe
  , mi_heap_realpath_safe
  , mi_heap_visit_blocks_safe
  , BlockVisitor
  , newBlockVisitor
    -- * Stores of strings
  , MiStrings
  , mi_strings_size
  , mi_strings_init
  , mi_strings_count
  , mi_strings_lacks
  , mi_strings_add
  , mi_strings_put
  , mi_strings_get
  , mi_strings_done
  , mi_strings_replace
  , mi_strings_delete
    -- * Arenas and sub-processes
  , mi_reserve_os_memory_safe
  , mi_reserve_os_memory_ex_safe
  , mi_manage_os_memory_safe
  , mi_manage_os_memory_ex_safe
  , mi_reserve_huge_os_pages_interleave_safe
  , mi_reserve_huge_os_pages_at_safe
  , mi_reserve_huge_os_pages_at_ex_safe
  , mi_arena_area
  , mi_subproc_main
  , mi_subproc_new
  , mi_subproc_delete_safe
  , mi_subproc_add_current_thread
    -- * Options
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
    -- * Process, threads, statistics
  , mi_version
  , mi_process_info_safe
  , mi_live_safe
  , mi_is_redirected
  , mi_process_init_safe
  , mi_process_done_safe
  , mi_thread_init
  , mi_thread_done_safe
  , mi_collect_safe
  , mi_stats_reset
  , mi_stats_merge
  , mi_stats_print_safe
  , mi_stats_print_resident_safe
  , mi_heap_contents_safe
  , mi_heap_print_safe
  , mi_profile_histograms_safe
  , mi_stats_words_safe
  , mi_arena_next
  , mi_arena_map_safe
  , mi_stats_get_json_safe
    -- * What is resident
  , mi_areas_safe
  , mincore_safe
  , getpagesize
    -- * Capabilities
  , mi_cap_number
  , mi_cap_max
  , mi_cap_stats
  , mi_cap_counts
  , mi_cap_activity
    -- * Pressure
  , mi_cap_held
  , mi_cap_reheld
  , mi_cap_heap_weigh
  , mi_cap_heap_id
  , mi_cap_pressure_due
  , mi_cap_pressure_look
  , mi_cap_pressure_busy
  , mi_cap_pressure_turns
  , mi_cap_pressure_wait
  , mi_cap_pressure_waited
  , mi_cap_pressure_awaited
  , mi_cap_pressure_relieve_safe
  , mi_cap_pressure_exhausted_safe
  , mi_cap_pressure_helped
  , mi_cap_pressure_set
  , mi_cap_pressure_stats
  , mi_cap_label
  , mi_cap_label_enter
  , mi_cap_label_set
  , mi_profile_start_safe
  , mi_profile_stop
  , mi_profile_rate
  , mi_profile_mark
  , mi_profile_counts
  , mi_profile_text_safe
  , mi_profile_text_free
  ) where

import Data.Int (Int64)
import Data.Word (Word64, Word8)
import Foreign.C.String (CString)
import Foreign.C.Types (CBool (..), CInt (..), CLong (..), CSize (..))
import Foreign.ForeignPtr (FinalizerEnvPtr, FinalizerPtr)
import GHC.Exts
import GHC.IO (IO (..))

import Mimalloc.Internal.Numbers (cellBlock)

-- Owner-only, hence unsafe. Each is short: what may be long, clearing and copying from 1 MiB on, has a _safe twin below.
foreign import ccall unsafe mi_cap_zalloc :: CSize -> IO (Ptr a)

-- Owner-only, hence unsafe. As long as the string is.
foreign import ccall unsafe mi_cap_strndup :: CString -> CSize -> IO CString

-- Owner-only, hence unsafe; clearing and copying from 1 MiB on has a _safe twin below.
-- Aligned: size, alignment, offset, whether to clear. Resizing: the block, then the same; alignment 0 is none.
foreign import ccall unsafe mi_cap_aligned :: CSize -> CSize -> CSize -> CBool -> IO (Ptr a)
foreign import ccall unsafe mi_cap_resize  :: Ptr a -> CSize -> CSize -> CSize -> CBool -> IO (Ptr b)

-- Owner-only, hence unsafe. Memory goes back to the system in bounded pieces.
foreign import ccall unsafe mi_cap_collect :: CBool -> IO ()
foreign import ccall unsafe mi_cap_drain   :: IO ()

-- The two that are called most.
foreign import prim "mi_fast_malloc" mi_fast_malloc# :: Word# -> State# RealWorld -> (# State# RealWorld, Addr# #)
foreign import prim "mi_fast_free"   mi_fast_free#   :: Addr# -> State# RealWorld -> (# State# RealWorld #)

mi_cap_malloc :: CSize -> IO (Ptr a)
mi_cap_malloc size = IO $ \s -> case mi_fast_malloc# (word size) s of (# s', p #) -> (# s', Ptr p #)
{-# INLINE mi_cap_malloc #-}

mi_cap_free :: Ptr a -> IO ()
mi_cap_free (Ptr p) = IO $ \s -> case mi_fast_free# p s of (# s' #) -> (# s', () #)
{-# INLINE mi_cap_free #-}

-- | A block for a foreign pointer: counted (@mi_cap_hold@), and put into the one C finalizer of the weak pointer, where null was.
mi_fast_malloc_finalized :: Place -> CSize -> IO (Ptr a)
mi_fast_malloc_finalized (Place weak) size = IO $ \s -> case mi_fast_malloc_finalized# weak (word size) s of (# s', p #) -> (# s', Ptr p #)
{-# INLINE mi_fast_malloc_finalized #-}

foreign import prim "mi_fast_malloc_finalized" mi_fast_malloc_finalized# :: MutableByteArray# RealWorld -> Word# -> State# RealWorld -> (# State# RealWorld, Addr# #)

-- | From the heap with that key ("Mimalloc.Internal.Heap"); also null when the heap is of another kind, or has ended.
mi_fast_heap_malloc :: MutableByteArray# RealWorld -> CSize -> IO (Ptr a)
mi_fast_heap_malloc key size = IO $ \s -> case mi_fast_heap_malloc# key (word size) s of (# s', p #) -> (# s', Ptr p #)
{-# INLINE mi_fast_heap_malloc #-}

foreign import prim "mi_fast_heap_malloc" mi_fast_heap_malloc# :: MutableByteArray# RealWorld -> Word# -> State# RealWorld -> (# State# RealWorld, Addr# #)

-- | Where a bracket has its block, so that whoever finds the cell knows what is to be freed: null, or the block.
--
-- @since 0.1.0.0
data Cell = Cell (MutableByteArray# RealWorld)

-- | An empty one.
newCell :: IO Cell
newCell = IO $ \s -> case newByteArray# 8# s of
  (# s1, array #) -> case run (emptyCell (Cell array)) s1 of
    (# s2, _ #) -> (# s2, Cell array #)
  where run (IO m) = m
{-# INLINE newCell #-}

emptyCell :: Cell -> IO ()
emptyCell (Cell cell) = IO $ \s -> (# writeAddrArray# cell at nullAddr# s, () #)
  where !(I# at) = cellBlock `quot` 8
{-# INLINE emptyCell #-}

peekCell :: Cell -> IO (Ptr a)
peekCell (Cell cell) = IO $ \s -> case readAddrArray# cell at s of (# s', p #) -> (# s', Ptr p #)
  where !(I# at) = cellBlock `quot` 8

-- Empties the cell and frees what was in it, if anything.
foreign import prim "mi_fast_free_from" mi_fast_free_from# :: MutableByteArray# RealWorld -> State# RealWorld -> (# State# RealWorld #)

mi_fast_free_from :: Cell -> IO ()
mi_fast_free_from (Cell cell) = IO $ \s -> case mi_fast_free_from# cell s of (# s' #) -> (# s', () #)
{-# INLINE mi_fast_free_from #-}

-- | Where a new block goes in one step, so that it is freed whatever comes then: a cell, or the one C finalizer of a weak
-- pointer, which had null ('mi_cap_free_held_finalizer' or 'mi_cap_free_box_finalizer': it is counted there).
--
-- @since 0.1.0.0
data Place = Place (MutableByteArray# RealWorld)     -- a cell's array or a weak pointer: C-- asks which

inCell :: Cell -> Place
inCell (Cell cell) = Place cell
{-# INLINE inCell #-}

inFinalizer :: Weak# () -> Place
inFinalizer weak = Place (unsafeCoerce# weak)
{-# INLINE inFinalizer #-}

-- | A block from elsewhere. Masked by the caller.
putInto :: Place -> Ptr a -> IO ()
putInto (Place place) (Ptr p) = IO $ \s -> case mi_put# place p s of (# s' #) -> (# s', () #)

-- | Heap or null, size, alignment, whether to clear.
mi_malloc_into :: Place -> Ptr MiHeap -> CSize -> CSize -> CBool -> IO (Ptr a)
mi_malloc_into (Place place) (Ptr heap) size align zero = IO $ \s ->
  case mi_malloc_into# place heap (word size) (word align) (word zero) s of (# s', p #) -> (# s', Ptr p #)
{-# INLINE mi_malloc_into #-}

-- | The same, cleared, in a safe call that C-- makes. Masked by the caller.
mi_zalloc_into_safe :: Place -> Ptr MiHeap -> CSize -> CSize -> IO (Ptr a)
mi_zalloc_into_safe (Place place) (Ptr heap) size align = IO $ \s ->
  case mi_zalloc_into_safe# place heap (word size) (word align) s of (# s', p #) -> (# s', Ptr p #)

foreign import prim "mi_put" mi_put# :: MutableByteArray# RealWorld -> Addr# -> State# RealWorld -> (# State# RealWorld #)
foreign import prim "mi_malloc_into" mi_malloc_into# :: MutableByteArray# RealWorld -> Addr# -> Word# -> Word# -> Word# -> State# RealWorld -> (# State# RealWorld, Addr# #)
foreign import prim "mi_zalloc_into_safe" mi_zalloc_into_safe# :: MutableByteArray# RealWorld -> Addr# -> Word# -> Word# -> State# RealWorld -> (# State# RealWorld, Addr# #)

word :: Integral a => a -> Word#
word n = case fromIntegral n of W# w -> w
{-# INLINE word #-}

-- Owner-only: the runtime system runs C finalizers with a capability held. Calls nothing back, never blocks.
foreign import ccall "&mi_cap_free" mi_cap_free_finalizer :: FinalizerPtr a
-- The same for a block and the one that its first word points to.
foreign import ccall "&mi_cap_free_box" mi_cap_free_box_finalizer :: FinalizerPtr a
-- The same in a heap with that id, nothing if it has ended.
foreign import ccall "&mi_cap_free_of_heap" mi_cap_free_of_heap_finalizer :: FinalizerEnvPtr MiHeap a

-- Owner-only: for what was counted as a foreign pointer's (mimalloc-cap.h, pressure).
foreign import ccall "&mi_cap_free_held" mi_cap_free_held_finalizer :: FinalizerPtr a
-- Any-thread: a file's first bytes. Safe because it asks the system.
foreign import ccall safe "mi_cap_map_file" mi_cap_map_file_safe :: CInt -> CSize -> IO (Ptr MiFile)
-- Owner-only: counts it; where it is. And what ends it.
foreign import ccall unsafe mi_cap_hold_file :: Ptr MiFile -> IO (Ptr Word8)
foreign import ccall "&mi_cap_unmap_held" mi_cap_unmap_held_finalizer :: FinalizerPtr MiFile
-- Owner-only: what was counted for a block that is to be resized, and that it was, or was freed.
foreign import ccall unsafe mi_cap_held   :: Ptr a -> IO CSize
foreign import ccall unsafe mi_cap_reheld :: CSize -> Ptr a -> IO ()
-- Not 0: a collection is due.
foreign import ccall "&mi_cap_pressure_due" mi_cap_pressure_due     :: Ptr CInt
-- Owner-only: reads what the runtime system says of its heap, while no collection is under way.
foreign import ccall unsafe mi_cap_pressure_look        :: IO ()
-- Any-thread, safe because they collect: GHC's own performGC is imported so, too.
foreign import ccall safe "mi_cap_pressure_relieve" mi_cap_pressure_relieve_safe     :: IO ()
foreign import ccall safe "mi_cap_pressure_exhausted" mi_cap_pressure_exhausted_safe :: Ptr MiHeap -> CSize -> IO CInt
-- Any-thread, unsafe because short.
foreign import ccall unsafe mi_cap_heap_weigh           :: Ptr MiHeap -> IO ()
foreign import ccall unsafe mi_cap_heap_id              :: Ptr MiHeap -> IO Word64
foreign import ccall unsafe mi_cap_pressure_busy        :: IO CInt
foreign import ccall unsafe mi_cap_pressure_turns       :: IO Word64
foreign import ccall unsafe mi_cap_pressure_wait        :: IO Word64
foreign import ccall unsafe mi_cap_pressure_waited      :: IO ()
foreign import ccall unsafe mi_cap_pressure_awaited     :: IO CInt
foreign import ccall unsafe mi_cap_pressure_helped      :: CInt -> IO ()
foreign import ccall unsafe mi_cap_pressure_set         :: Int64 -> IO ()
foreign import ccall unsafe mi_cap_pressure_stats       :: Ptr Word64 -> IO ()

-- Owner-only, hence unsafe: the number of the capability that the call held.
foreign import ccall unsafe mi_cap_number :: IO CInt

-- Any-thread. A look at the pages of all arenas, so safe: mi_live. The others read counters, or a few pages.
foreign import ccall safe "hs_mi_live" mi_live_safe :: Ptr Word64 -> Ptr Word64 -> IO ()
foreign import ccall unsafe mi_cap_max   :: IO CSize
foreign import ccall unsafe mi_cap_stats :: CInt -> Ptr Word64 -> IO ()
foreign import ccall unsafe mi_cap_counts :: CInt -> Ptr Word64 -> IO ()
foreign import ccall unsafe mi_cap_activity :: CInt -> IO Word64

-- Any-thread. Safe because they wait for capabilities, also for the one that calls.
foreign import ccall safe "mi_cap_drain_all" mi_cap_drain_all_safe           :: IO ()
foreign import ccall safe "mi_cap_drain_disabled" mi_cap_drain_disabled_safe :: IO ()
foreign import ccall safe "mi_cap_drain_idle" mi_cap_drain_idle_safe         :: Ptr Word64 -> IO ()

-- Any-thread, safe because clearing or copying much is long, or because it reads the file system (mi_realpath).
-- The first two are as mi_cap_aligned and mi_cap_resize.
foreign import ccall safe "hs_mi_thread_aligned" mi_labelled_aligned :: CSize -> CSize -> CSize -> CBool -> CString -> IO (Ptr a)
foreign import ccall safe "hs_mi_thread_resize" mi_labelled_resize   :: Ptr a -> CSize -> CSize -> CSize -> CBool -> CString -> IO (Ptr b)
foreign import ccall safe "hs_mi_realpath" mi_realpath_safe           :: CString -> CString -> IO CString

-- In a safe call nobody knows the Haskell thread, so its label goes with it.
mi_aligned_safe :: CSize -> CSize -> CSize -> CBool -> IO (Ptr a)
mi_aligned_safe size align offset zero = mi_cap_label >>= mi_labelled_aligned size align offset zero

mi_resize_safe :: Ptr a -> CSize -> CSize -> CSize -> CBool -> IO (Ptr b)
mi_resize_safe p size align offset zero = mi_cap_label >>= mi_labelled_resize p size align offset zero

mi_zalloc_safe :: CSize -> IO (Ptr a)
mi_zalloc_safe size = mi_zalloc_aligned_safe size 1
{-# INLINE mi_zalloc_safe #-}

-- | Size and alignment.
mi_zalloc_aligned_safe :: CSize -> CSize -> IO (Ptr a)
mi_zalloc_aligned_safe size align = mi_aligned_safe size align 0 1
{-# INLINE mi_zalloc_aligned_safe #-}

-- No allocation at all, safe because it is for much.
foreign import ccall safe "memcpy" memcpy_safe :: Ptr a -> Ptr a -> CSize -> IO (Ptr a)

-- Any-thread, unsafe because short: they look at one page, or at constants.
foreign import ccall unsafe "hs_mi_usable_size" mi_usable_size       :: Ptr a -> IO CSize
foreign import ccall unsafe "hs_mi_good_size" mi_good_size         :: CSize -> CSize
foreign import ccall unsafe "hs_mi_expand" mi_expand            :: Ptr a -> CSize -> IO (Ptr a)
foreign import ccall unsafe "hs_mi_is_in_heap_region" mi_is_in_heap_region :: Ptr a -> IO CBool
foreign import ccall unsafe "hs_mi_version" mi_version           :: IO CInt

-- Any-thread, safe because it reads files of the system.
foreign import ccall safe "hs_mi_process_info" mi_process_info_safe :: Ptr CSize -> Ptr CSize -> Ptr CSize -> Ptr CSize -> Ptr CSize -> Ptr CSize -> Ptr CSize -> Ptr CSize -> IO ()

-- Owner-only, hence unsafe. Short.
foreign import ccall unsafe mi_cap_posix_memalign :: Ptr (Ptr a) -> CSize -> CSize -> IO CInt
foreign import ccall unsafe mi_cap_valloc         :: CSize -> IO (Ptr a)
foreign import ccall unsafe mi_cap_pvalloc        :: CSize -> IO (Ptr a)
foreign import ccall unsafe mi_cap_check_owned    :: Ptr a -> IO CBool

-- | A file's mapping, in C. Only pointers to it are used.
--
-- @since 0.1.0.0
data MiFile

-- | A heap, in C. Only pointers to it are used.
--
-- @since 0.1.0.0
data MiHeap

-- Owner-only, hence unsafe: what the capability has of that heap. Clearing and copying from 1 MiB on has a _safe twin below.
-- Aligned: size, alignment, offset, whether to clear. Resizing: the block, then the same; alignment 0 is none.
foreign import ccall unsafe mi_cap_heap_malloc      :: Ptr MiHeap -> CSize -> IO (Ptr a)
foreign import ccall unsafe mi_cap_heap_zalloc      :: Ptr MiHeap -> CSize -> IO (Ptr a)
-- | The heap's key comes as an array, whose bytes C sees.
foreign import ccall unsafe mi_cap_heap_pack        :: Ptr MiHeap -> CSize -> MutableByteArray# RealWorld -> IO (Ptr a)
foreign import ccall unsafe mi_cap_heap_strndup     :: Ptr MiHeap -> CString -> CSize -> IO CString
foreign import ccall unsafe mi_cap_heap_aligned     :: Ptr MiHeap -> CSize -> CSize -> CSize -> CBool -> IO (Ptr a)
foreign import ccall unsafe mi_cap_heap_realloc     :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> CSize -> CBool -> IO (Ptr b)
foreign import ccall unsafe mi_cap_heap_collect     :: Ptr MiHeap -> CBool -> IO ()
foreign import ccall unsafe mi_cap_heap_set_default :: Ptr MiHeap -> IO (Ptr MiHeap)
foreign import ccall unsafe mi_cap_heap_get_default :: IO (Ptr MiHeap)
foreign import ccall unsafe mi_cap_heap_get_backing :: IO (Ptr MiHeap)

-- Any-thread. Safe because they walk every page of the heap, and wait for those who are freeing in one.
foreign import ccall safe "mi_cap_heap_delete" mi_cap_heap_delete_safe   :: Ptr MiHeap -> IO ()
foreign import ccall safe "mi_cap_heap_destroy" mi_cap_heap_destroy_safe :: Ptr MiHeap -> IO ()

-- Owner-only, as all finalizers. They wait for nobody but the remote frees of an instant; call nothing back.
foreign import ccall "&mi_cap_heap_destroy_held" mi_cap_heap_destroy_finalizer :: FinalizerPtr MiHeap
foreign import ccall "&mi_cap_heap_delete_held" mi_cap_heap_delete_finalizer   :: FinalizerPtr MiHeap

-- | A heap for the one C finalizer of a weak pointer, in one step: tag, whether it can be destroyed, arena.
mi_heap_new_finalized :: Weak# () -> CInt -> CBool -> CInt -> IO (Ptr MiHeap)
mi_heap_new_finalized weak tag destroy arena = IO $ \s ->
  case mi_heap_new_finalized# weak (word tag) (word destroy) (word arena) s of (# s', p #) -> (# s', Ptr p #)

foreign import prim "mi_heap_new_finalized" mi_heap_new_finalized# :: Weak# () -> Word# -> Word# -> Word# -> State# RealWorld -> (# State# RealWorld, Addr# #)

-- Any-thread, unsafe because short.
foreign import ccall unsafe "hs_mi_heap_new" mi_heap_new            :: IO (Ptr MiHeap)
foreign import ccall unsafe "hs_mi_heap_new_ex" mi_heap_new_ex         :: CInt -> CBool -> CInt -> IO (Ptr MiHeap)
foreign import ccall unsafe "hs_mi_heap_new_in_arena" mi_heap_new_in_arena   :: CInt -> IO (Ptr MiHeap)
foreign import ccall unsafe "hs_mi_heap_set_name" mi_heap_set_name       :: Ptr MiHeap -> CString -> IO ()
foreign import ccall unsafe "hs_mi_heap_of" mi_heap_of             :: Ptr a -> IO (Ptr MiHeap)
foreign import ccall unsafe "hs_mi_heap_contains_block" mi_heap_contains_block :: Ptr MiHeap -> Ptr a -> IO CBool
foreign import ccall unsafe "hs_mi_heap_check_owned" mi_heap_check_owned    :: Ptr MiHeap -> Ptr a -> IO CBool

-- Any-thread: what the OS thread has of that heap. Safe because clearing or copying much is long, or because it reads the
-- file system (realpath), or because it calls back into Haskell (visit).
foreign import ccall safe "hs_mi_thread_heap_aligned" mi_labelled_heap_aligned :: Ptr MiHeap -> CSize -> CSize -> CSize -> CBool -> CString -> IO (Ptr a)
foreign import ccall safe "hs_mi_thread_heap_resize" mi_labelled_heap_resize   :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> CSize -> CBool -> CString -> IO (Ptr b)
foreign import ccall safe "hs_mi_heap_realpath" mi_heap_realpath_safe         :: Ptr MiHeap -> CString -> CString -> IO CString
foreign import ccall safe "hs_mi_heap_visit_blocks" mi_heap_visit_blocks_safe :: Ptr MiHeap -> CBool -> FunPtr BlockVisitor -> Ptr () -> IO CBool

-- With the label, as above.
mi_heap_aligned_safe :: Ptr MiHeap -> CSize -> CSize -> CSize -> CBool -> IO (Ptr a)
mi_heap_aligned_safe heap size align offset zero =
  mi_cap_label >>= mi_labelled_heap_aligned heap size align offset zero

mi_heap_resize_safe :: Ptr MiHeap -> Ptr a -> CSize -> CSize -> CSize -> CBool -> IO (Ptr b)
mi_heap_resize_safe heap p size align offset zero =
  mi_cap_label >>= mi_labelled_heap_resize heap p size align offset zero

-- | Size, alignment, offset.
mi_heap_zalloc_aligned_at_safe :: Ptr MiHeap -> CSize -> CSize -> CSize -> IO (Ptr a)
mi_heap_zalloc_aligned_at_safe heap size align offset = mi_heap_aligned_safe heap size align offset 1
{-# INLINE mi_heap_zalloc_aligned_at_safe #-}

-- | What C calls for each page and block: heap, page, block, bytes, argument; 0 stops it.
type BlockVisitor = Ptr MiHeap -> Ptr () -> Ptr () -> CSize -> Ptr () -> IO CBool
foreign import ccall "wrapper" newBlockVisitor :: BlockVisitor -> IO (FunPtr BlockVisitor)

-- | The table of a store of strings (@cbits\/ghc\/strings.h@).
data MiStrings

-- Any-thread, unsafe because short; the last three free a string, so they are owner-only.
foreign import ccall unsafe "hs_mi_strings_size" mi_strings_size       :: CSize
foreign import ccall unsafe "hs_mi_strings_init" mi_strings_init       :: Ptr MiStrings -> IO ()
foreign import ccall unsafe "hs_mi_strings_count" mi_strings_count     :: Ptr MiStrings -> IO CSize
foreign import ccall unsafe "hs_mi_strings_lacks" mi_strings_lacks     :: Ptr MiStrings -> IO CSize
foreign import ccall unsafe "hs_mi_strings_add" mi_strings_add         :: Ptr MiStrings -> Ptr a -> CSize -> IO CBool
foreign import ccall unsafe "hs_mi_strings_put" mi_strings_put         :: Ptr MiStrings -> Ptr Word64 -> IO Word64
foreign import ccall unsafe "hs_mi_strings_get" mi_strings_get         :: Ptr MiStrings -> Word64 -> IO (Ptr Word64)
foreign import ccall unsafe "hs_mi_strings_done" mi_strings_done       :: Ptr MiStrings -> Ptr Word64 -> IO ()
foreign import ccall unsafe "hs_mi_strings_replace" mi_strings_replace :: Ptr MiStrings -> Word64 -> Ptr Word64 -> IO CBool
foreign import ccall unsafe "hs_mi_strings_delete" mi_strings_delete   :: Ptr MiStrings -> Word64 -> IO CBool

-- Any-thread, safe because they ask the system for memory and may touch all of it.
foreign import ccall safe "hs_mi_reserve_os_memory" mi_reserve_os_memory_safe       :: CSize -> CBool -> CBool -> IO CInt
foreign import ccall safe "hs_mi_reserve_os_memory_ex" mi_reserve_os_memory_ex_safe :: CSize -> CBool -> CBool -> CBool -> Ptr CInt -> IO CInt
foreign import ccall safe "hs_mi_manage_os_memory" mi_manage_os_memory_safe         :: Ptr a -> CSize -> CBool -> CBool -> CBool -> CInt -> IO CBool
foreign import ccall safe "hs_mi_manage_os_memory_ex" mi_manage_os_memory_ex_safe   :: Ptr a -> CSize -> CBool -> CBool -> CBool -> CInt -> CBool -> Ptr CInt -> IO CBool
foreign import ccall safe "hs_mi_reserve_huge_os_pages_interleave" mi_reserve_huge_os_pages_interleave_safe :: CSize -> CSize -> CSize -> IO CInt
foreign import ccall safe "hs_mi_reserve_huge_os_pages_at" mi_reserve_huge_os_pages_at_safe       :: CSize -> CInt -> CSize -> IO CInt
foreign import ccall safe "hs_mi_reserve_huge_os_pages_at_ex" mi_reserve_huge_os_pages_at_ex_safe :: CSize -> CInt -> CSize -> CBool -> Ptr CInt -> IO CInt

-- Any-thread, unsafe because short; but for the end of a sub-process, which walks its pages.
foreign import ccall unsafe "hs_mi_arena_area" mi_arena_area                              :: CInt -> Ptr CSize -> IO (Ptr a)
foreign import ccall unsafe "hs_mi_subproc_main" mi_subproc_main                            :: IO (Ptr ())
foreign import ccall unsafe "hs_mi_subproc_new" mi_subproc_new                             :: IO (Ptr ())
foreign import ccall safe "hs_mi_subproc_delete" mi_subproc_delete_safe   :: Ptr () -> IO ()
foreign import ccall unsafe "hs_mi_subproc_add_current_thread" mi_subproc_add_current_thread              :: Ptr () -> IO ()

-- Any-thread, unsafe because short: one word each.
foreign import ccall unsafe "hs_mi_option_is_enabled" mi_option_is_enabled          :: CInt -> IO CBool
foreign import ccall unsafe "hs_mi_option_enable" mi_option_enable              :: CInt -> IO ()
foreign import ccall unsafe "hs_mi_option_disable" mi_option_disable             :: CInt -> IO ()
foreign import ccall unsafe "hs_mi_option_set_enabled" mi_option_set_enabled         :: CInt -> CBool -> IO ()
foreign import ccall unsafe "hs_mi_option_set_enabled_default" mi_option_set_enabled_default :: CInt -> CBool -> IO ()
foreign import ccall unsafe "hs_mi_option_get" mi_option_get                 :: CInt -> IO CLong
foreign import ccall unsafe "hs_mi_option_get_clamp" mi_option_get_clamp           :: CInt -> CLong -> CLong -> IO CLong
foreign import ccall unsafe "hs_mi_option_get_size" mi_option_get_size            :: CInt -> IO CSize
foreign import ccall unsafe "hs_mi_option_set" mi_option_set                 :: CInt -> CLong -> IO ()
foreign import ccall unsafe "hs_mi_option_set_default" mi_option_set_default         :: CInt -> CLong -> IO ()

-- Any-thread. Safe where they drain a heap, give memory back at once, look at every page or write to a file.
foreign import ccall unsafe "hs_mi_is_redirected" mi_is_redirected                         :: IO CBool
foreign import ccall unsafe "hs_mi_thread_init" mi_thread_init                           :: IO ()
foreign import ccall safe "hs_mi_thread_done" mi_thread_done_safe       :: IO ()
foreign import ccall safe "hs_mi_process_init" mi_process_init_safe     :: IO ()
foreign import ccall safe "hs_mi_process_done" mi_process_done_safe     :: IO ()
foreign import ccall safe "hs_mi_collect" mi_collect_safe               :: CBool -> IO ()
foreign import ccall unsafe "hs_mi_stats_reset" mi_stats_reset                           :: IO ()
foreign import ccall unsafe "hs_mi_stats_merge" mi_stats_merge                           :: IO ()
foreign import ccall safe "hs_mi_stats_print" mi_stats_print_safe       :: Ptr a -> IO ()
foreign import ccall safe "hs_mi_stats_print_resident" mi_stats_print_resident_safe
  :: CSize -> CSize -> CSize -> IO ()
foreign import ccall safe "hs_mi_heap_contents" mi_heap_contents_safe
  :: Ptr MiHeap -> Ptr Word64 -> CSize -> IO CSize
foreign import ccall safe "hs_mi_heap_print" mi_heap_print_safe         :: Ptr MiHeap -> IO ()
foreign import ccall safe "hs_mi_profile_histograms" mi_profile_histograms_safe :: Ptr Double -> IO ()
foreign import ccall safe "hs_mi_stats_words" mi_stats_words_safe       :: Ptr Word64 -> CSize -> IO CSize
foreign import ccall unsafe "hs_mi_arena_next" mi_arena_next            :: CInt -> IO CInt
foreign import ccall safe "hs_mi_arena_map" mi_arena_map_safe           :: CInt -> Ptr Word64 -> CSize -> IO CSize
foreign import ccall safe "hs_mi_stats_get_json" mi_stats_get_json_safe :: CSize -> CString -> IO CString

-- Owner-only, hence unsafe: the label of the thread that calls. Bytes of a name, and how many; the label before.
foreign import ccall unsafe mi_cap_label       :: IO CString
foreign import ccall unsafe mi_cap_label_enter :: CString -> CSize -> IO CString
foreign import ccall unsafe mi_cap_label_set   :: CString -> IO ()

-- Any-thread. Safe where they load an unwinder, or look at the whole table: format, number, mark or 0, length.
foreign import ccall safe "hs_mi_profile_start" mi_profile_start_safe :: CSize -> IO ()
foreign import ccall unsafe "hs_mi_profile_stop" mi_profile_stop      :: IO ()
foreign import ccall unsafe "hs_mi_profile_rate" mi_profile_rate      :: IO CSize
foreign import ccall unsafe "hs_mi_profile_mark" mi_profile_mark      :: IO Word64
foreign import ccall unsafe "hs_mi_profile_counts" mi_profile_counts  :: Ptr Word64 -> IO ()
foreign import ccall safe "hs_mi_profile_text" mi_profile_text_safe   :: CInt -> CInt -> Word64 -> Ptr CSize -> IO CString
foreign import ccall unsafe "hs_mi_profile_text_free" mi_profile_text_free :: CString -> IO ()

-- Any-thread, safe because it waits for who moves a mapping.
foreign import ccall safe "hs_mi_areas" mi_areas_safe :: Ptr Word64 -> CSize -> IO CSize

-- The C library's; any-thread. Safe where the system walks the pages of a range.
foreign import ccall safe "mincore" mincore_safe :: Ptr a -> CSize -> Ptr Word8 -> IO CInt
foreign import ccall unsafe getpagesize          :: IO CInt
