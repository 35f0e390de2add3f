-- |
-- The functions of C that concern the process: arenas, sub-processes, OS threads, statistics. What
-- "Mimalloc.Primitive" says of all its functions holds here; it re-exports this module.
--
-- @since 0.1.0.0
module Mimalloc.Primitive.Process
  ( -- * Arenas: large reservations
    -- | Those that return a 'CInt' return an error number, 0 for none; those with a pointer to an arena's
    -- number write it there (a null pointer is skipped). Exclusive: only for heaps that were made in this
    -- arena.
    mi_reserve_os_memory
  , mi_reserve_os_memory_ex
  , mi_manage_os_memory
  , mi_manage_os_memory_ex
  , mi_reserve_huge_os_pages_interleave
  , mi_reserve_huge_os_pages_at
  , mi_reserve_huge_os_pages_at_ex
  , mi_arena_area
    -- * Sub-processes: threads whose pages others never adopt
  , MiSubprocId
  , mi_subproc_main
  , mi_subproc_new
  , mi_subproc_delete
  , mi_subproc_add_current_thread
    -- * Process and OS threads
  , mi_version
  , mi_is_redirected
  , mi_process_info
  , mi_process_init
  , mi_process_done
  , mi_thread_init
  , mi_thread_done
    -- * Statistics
  , mi_stats_reset
  , mi_stats_merge
  , mi_stats_print
  ) where

import Foreign.C.Types (CBool, CInt, CSize)
import Foreign.Ptr (Ptr)

import qualified Mimalloc.Internal.FFI as C
import Mimalloc.Primitive.Heap (MiArenaId)

-- | @mi_reserve_os_memory size commit allow_large@: reserves so many bytes.
--
-- >>> import Mimalloc.Primitive.Process
-- >>> mi_reserve_os_memory 67108864 0 0
-- 0
--
-- @since 0.1.0.0
mi_reserve_os_memory :: CSize -> CBool -> CBool -> IO CInt
mi_reserve_os_memory = C.mi_reserve_os_memory_safe
{-# INLINE mi_reserve_os_memory #-}

-- | @mi_reserve_os_memory_ex size commit allow_large exclusive arena@: reserves so many bytes.
--
-- @since 0.1.0.0
mi_reserve_os_memory_ex :: CSize -> CBool -> CBool -> CBool -> Ptr MiArenaId -> IO CInt
mi_reserve_os_memory_ex = C.mi_reserve_os_memory_ex_safe
{-# INLINE mi_reserve_os_memory_ex #-}

-- | @mi_manage_os_memory start size committed large zero numa_node@: uses memory of your own, which has to
-- stay mapped while the process runs. If it is not committed it may be such as nobody can touch yet. 0 if
-- it is too small.
--
-- @since 0.1.0.0
mi_manage_os_memory :: Ptr () -> CSize -> CBool -> CBool -> CBool -> CInt -> IO CBool
mi_manage_os_memory = C.mi_manage_os_memory_safe
{-# INLINE mi_manage_os_memory #-}

-- | @mi_manage_os_memory_ex start size committed large zero numa_node exclusive arena@: the same.
--
-- @since 0.1.0.0
mi_manage_os_memory_ex
  :: Ptr () -> CSize -> CBool -> CBool -> CBool -> CInt -> CBool -> Ptr MiArenaId -> IO CBool
mi_manage_os_memory_ex = C.mi_manage_os_memory_ex_safe
{-# INLINE mi_manage_os_memory_ex #-}

-- | @mi_reserve_huge_os_pages_interleave pages numa_nodes timeout_msecs@: reserves huge pages, 1 GiB worth
-- each. @ENOMEM@ if the system has none set aside. Nodes and time are not looked at.
--
-- @since 0.1.0.0
mi_reserve_huge_os_pages_interleave :: CSize -> CSize -> CSize -> IO CInt
mi_reserve_huge_os_pages_interleave = C.mi_reserve_huge_os_pages_interleave_safe
{-# INLINE mi_reserve_huge_os_pages_interleave #-}

-- | @mi_reserve_huge_os_pages_at pages numa_node timeout_msecs@: the same.
--
-- @since 0.1.0.0
mi_reserve_huge_os_pages_at :: CSize -> CInt -> CSize -> IO CInt
mi_reserve_huge_os_pages_at = C.mi_reserve_huge_os_pages_at_safe
{-# INLINE mi_reserve_huge_os_pages_at #-}

-- | @mi_reserve_huge_os_pages_at_ex pages numa_node timeout_msecs exclusive arena@: the same.
--
-- @since 0.1.0.0
mi_reserve_huge_os_pages_at_ex :: CSize -> CInt -> CSize -> CBool -> Ptr MiArenaId -> IO CInt
mi_reserve_huge_os_pages_at_ex = C.mi_reserve_huge_os_pages_at_ex_safe
{-# INLINE mi_reserve_huge_os_pages_at_ex #-}

-- | @mi_arena_area arena size@: where an arena is and, written to @size@, how many bytes it has; null for a
-- number that is none.
--
-- @since 0.1.0.0
mi_arena_area :: MiArenaId -> Ptr CSize -> IO (Ptr ())
mi_arena_area = C.mi_arena_area
{-# INLINE mi_arena_area #-}

-- | A sub-process.
--
-- @since 0.1.0.0
type MiSubprocId = Ptr ()

-- | The one that threads and capabilities are in by themselves.
--
-- @since 0.1.0.0
mi_subproc_main :: IO MiSubprocId
mi_subproc_main = C.mi_subproc_main
{-# INLINE mi_subproc_main #-}

-- | A new one; null without memory.
--
-- @since 0.1.0.0
mi_subproc_new :: IO MiSubprocId
mi_subproc_new = C.mi_subproc_new
{-# INLINE mi_subproc_new #-}

-- | Ends one whose threads have ended. A safe call.
--
-- @since 0.1.0.0
mi_subproc_delete :: MiSubprocId -> IO ()
mi_subproc_delete = C.mi_subproc_delete_safe
{-# INLINE mi_subproc_delete #-}

-- | Puts the OS thread one is on into it, if that has not allocated yet; so it is for the begin of a bound
-- thread ('Control.Concurrent.forkOS'). It concerns what C code allocates there, and safe calls; capabilities
-- are in the main one.
--
-- @since 0.1.0.0
mi_subproc_add_current_thread :: MiSubprocId -> IO ()
mi_subproc_add_current_thread = C.mi_subproc_add_current_thread
{-# INLINE mi_subproc_add_current_thread #-}

-- | The version: 100 * major + 10 * minor + patch.
--
-- @since 0.1.0.0
mi_version :: IO CInt
mi_version = C.mi_version
{-# INLINE mi_version #-}

-- | Whether this library serves the process's @malloc@, under @LD_PRELOAD@. In a program that links this
-- package: 0.
--
-- @since 0.1.0.0
mi_is_redirected :: IO CBool
mi_is_redirected = C.mi_is_redirected
{-# INLINE mi_is_redirected #-}

-- | Elapsed, user and system time in milliseconds; current and peak resident bytes; current and peak
-- committed bytes; page faults. A null pointer is skipped.
--
-- @since 0.1.0.0
mi_process_info
  :: Ptr CSize -> Ptr CSize -> Ptr CSize -> Ptr CSize
  -> Ptr CSize -> Ptr CSize -> Ptr CSize -> Ptr CSize -> IO ()
mi_process_info = C.mi_process_info_safe
{-# INLINE mi_process_info #-}

-- | Need not be called: makes what the first allocation would.
--
-- @since 0.1.0.0
mi_process_init :: IO ()
mi_process_init = C.mi_process_init_safe
{-# INLINE mi_process_init #-}

-- | Need not be called: gives back what the OS thread one is on keeps for reuse. Allocation goes on working.
--
-- @since 0.1.0.0
mi_process_done :: IO ()
mi_process_done = C.mi_process_done_safe
{-# INLINE mi_process_done #-}

-- | Need not be called: makes the heap of the OS thread one is on.
--
-- @since 0.1.0.0
mi_thread_init :: IO ()
mi_thread_init = C.mi_thread_init
{-# INLINE mi_thread_init #-}

-- | Need not be called: ends the heap of the OS thread one is on, as the end of the thread does. It gets
-- another when it needs one.
--
-- @since 0.1.0.0
mi_thread_done :: IO ()
mi_thread_done = C.mi_thread_done_safe
{-# INLINE mi_thread_done #-}

-- | Counters and peaks start anew.
--
-- @since 0.1.0.0
mi_stats_reset :: IO ()
mi_stats_reset = C.mi_stats_reset
{-# INLINE mi_stats_reset #-}

-- | Does nothing: counters are merged when they are read.
--
-- @since 0.1.0.0
mi_stats_merge :: IO ()
mi_stats_merge = C.mi_stats_merge
{-# INLINE mi_stats_merge #-}

-- | Prints the statistics for people, to stderr. The argument is not looked at. A safe call.
--
-- @since 0.1.0.0
mi_stats_print :: Ptr () -> IO ()
mi_stats_print = C.mi_stats_print_safe
{-# INLINE mi_stats_print #-}
