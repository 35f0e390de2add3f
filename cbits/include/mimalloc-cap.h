/* The capability family: what the functions of mimalloc.h do, on the heap of the GHC capability that is held.
   Only in the Haskell package, for C code that a Haskell program calls.

   Every function is owner-only in this sense: it may be called only while a capability is held from
   start to end, which is by an `unsafe` foreign import or a C finalizer; never by a `safe` import or
   from a thread that GHC does not know. It returns what the function of the same name without `cap`
   does, and sets errno as that does. A block from here may be freed by mi_free anywhere, and one from
   there by mi_cap_free. Capabilities past the table use the any-thread family. */
#ifndef MIMALLOC_CAP_H
#define MIMALLOC_CAP_H

#include "mimalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

mi_decl_export void* mi_cap_malloc(size_t size);
mi_decl_export void* mi_cap_zalloc(size_t size);
mi_decl_export void* mi_cap_calloc(size_t n, size_t size);
mi_decl_export void* mi_cap_mallocn(size_t n, size_t size);
mi_decl_export void* mi_cap_malloc_small(size_t size);
mi_decl_export void* mi_cap_zalloc_small(size_t size);
mi_decl_export char* mi_cap_strdup(const char* s);
mi_decl_export char* mi_cap_strndup(const char* s, size_t n);

mi_decl_export void* mi_cap_realloc(void* p, size_t size);
mi_decl_export void* mi_cap_reallocn(void* p, size_t n, size_t size);
mi_decl_export void* mi_cap_reallocf(void* p, size_t size);
mi_decl_export void* mi_cap_rezalloc(void* p, size_t size);
mi_decl_export void* mi_cap_recalloc(void* p, size_t n, size_t size);

mi_decl_export void* mi_cap_malloc_aligned(size_t size, size_t align);
mi_decl_export void* mi_cap_malloc_aligned_at(size_t size, size_t align, size_t offset);
mi_decl_export void* mi_cap_zalloc_aligned(size_t size, size_t align);
mi_decl_export void* mi_cap_zalloc_aligned_at(size_t size, size_t align, size_t offset);
mi_decl_export void* mi_cap_calloc_aligned(size_t n, size_t size, size_t align);
mi_decl_export void* mi_cap_calloc_aligned_at(size_t n, size_t size, size_t align, size_t offset);
mi_decl_export void* mi_cap_realloc_aligned(void* p, size_t size, size_t align);
mi_decl_export void* mi_cap_realloc_aligned_at(void* p, size_t size, size_t align, size_t offset);
mi_decl_export void* mi_cap_rezalloc_aligned(void* p, size_t size, size_t align);
mi_decl_export void* mi_cap_rezalloc_aligned_at(void* p, size_t size, size_t align, size_t offset);
mi_decl_export void* mi_cap_recalloc_aligned(void* p, size_t n, size_t size, size_t align);
mi_decl_export void* mi_cap_recalloc_aligned_at(void* p, size_t n, size_t size, size_t align, size_t offset);

mi_decl_export int mi_cap_posix_memalign(void** p, size_t align, size_t size);
mi_decl_export void* mi_cap_valloc(size_t size);
mi_decl_export void* mi_cap_pvalloc(size_t size);

/* The aligned and resizing functions above are these two.
   _aligned: align is a power of two; _resize: or 0, for none. */
mi_decl_export void* mi_cap_aligned(size_t size, size_t align, size_t offset, bool zero);
mi_decl_export void* mi_cap_resize(void* p, size_t size, size_t align, size_t offset, bool zero);

/* The same of any heap: all other heap functions are these. */
mi_decl_export void* mi_cap_heap_malloc(mi_heap_t* heap, size_t size);
mi_decl_export void* mi_cap_heap_zalloc(mi_heap_t* heap, size_t size);
mi_decl_export char* mi_cap_heap_strndup(mi_heap_t* heap, const char* s, size_t n);
mi_decl_export void* mi_cap_heap_aligned(mi_heap_t* heap, size_t size, size_t align, size_t offset, bool zero)
    ;
mi_decl_export void* mi_cap_heap_realloc(mi_heap_t* heap, void* p, size_t size, size_t align, size_t offset,
    bool zero);
mi_decl_export void mi_cap_heap_collect(mi_heap_t* heap, bool force);
/* What mi_cap_malloc and its like use on this capability. */
mi_decl_export mi_heap_t* mi_cap_heap_set_default(mi_heap_t* heap);
mi_decl_export mi_heap_t* mi_cap_heap_get_default(void);
mi_decl_export mi_heap_t* mi_cap_heap_get_backing(void);
mi_decl_export bool mi_cap_check_owned(const void* p);

/* Also a finalizer: &mi_cap_free as a FinalizerPtr. */
mi_decl_export void mi_cap_free(void* p);
/* Also a finalizer. A block whose first word points to another or is NULL; both were counted (mi_cap_hold):
   frees them. NULL: nothing. */
mi_decl_export void mi_cap_free_box(void* box);
/* Also a finalizer, with the environment as its first argument. A block of a heap with that id: frees it, or
   does nothing if the heap has ended, whatever is there now. NULL: nothing. */
mi_decl_export void mi_cap_free_of_heap(void* heap_id, void* p);
/* No other heap has had it or will; never 0. */
mi_decl_export uint64_t mi_cap_heap_id(const mi_heap_t* heap);
/* Finalizers: they end a heap as mi_cap_heap_delete and mi_cap_heap_destroy. */
mi_decl_export void mi_cap_heap_delete_held(mi_heap_t* heap);
mi_decl_export void mi_cap_heap_destroy_held(mi_heap_t* heap);
/* Drains the capability's heaps; force: frees cached pages, too. Purges a bounded piece. */
mi_decl_export void mi_cap_collect(bool force);

/* Gives up every page of the capability's heaps: what is free in them goes back, what is in use is freed by
   whoever frees it last. For a capability that will sleep; allocating there begins anew. */
mi_decl_export void mi_cap_drain(void);

/* Pressure: counts a block, by what it takes up (alone in its page: whole slices; else its usable bytes),
   that the garbage collector will free with mi_cap_free_held. While mi_cap_pressure_due is not 0 a collection
   is due because of such blocks: who makes them calls mi_cap_pressure_relieve (below), best before the next
   one, so that the collection does not find it young. */
mi_decl_export extern int mi_cap_pressure_due;
mi_decl_export void mi_cap_hold(const void* p);     /* mi_expand must not change its size afterwards */
mi_decl_export void mi_cap_free_held(void* p);
/* For one that is resized: what was counted for it (0 for NULL), and after it was resized, or freed (NULL),
   what it was before. */
mi_decl_export size_t mi_cap_held(const void* p);
mi_decl_export void mi_cap_reheld(size_t before, const void* p);
/* Pages of this heap, which the garbage collector will end, count from now on. Before
   anybody else uses it. */
mi_decl_export void mi_cap_heap_weigh(mi_heap_t* heap);
/* Whether those make a collection due: looks when they are more than at the last look. */
mi_decl_export void mi_cap_pressure_look(void);

/* Counts a file's mapping (mi_cap_map_file), which mi_cap_unmap_held, a finalizer, ends. Where it is. */
typedef struct mi_file_s mi_file_t;
mi_decl_export void* mi_cap_hold_file(mi_file_t* file);
mi_decl_export void mi_cap_unmap_held(mi_file_t* file);

/* The number of the capability held. */
mi_decl_export int mi_cap_number(void);

/* ---- any thread ---- */

/* Asks for what is due, unless another is at it. By a `safe` import, as GHC's own performGC. */
mi_decl_export void mi_cap_pressure_relieve(void);
mi_decl_export int mi_cap_pressure_busy(void);          /* somebody is at it */
mi_decl_export uint64_t mi_cap_pressure_turns(void);    /* how often somebody was */
/* Who waits for that, between two calls, which return how often so far; and whether anybody
   does: he goes first. */
mi_decl_export uint64_t mi_cap_pressure_wait(void);
mi_decl_export void mi_cap_pressure_waited(void);
mi_decl_export int mi_cap_pressure_awaited(void);
/* There was no memory for so many bytes in that heap (NULL: the capability's): a major collection with its
   finalizers. Likewise `safe`. 0: none was made, for none would help: there cannot be as much, or several
   in a row were in vain. Positive: it freed as many bytes; negative: fewer. Then who finds memory says so. */
mi_decl_export int mi_cap_pressure_exhausted(const mi_heap_t* heap, size_t size);
mi_decl_export void mi_cap_pressure_helped(int result);
/* -1: the budget follows what lives; 0: collections are never due; else they are whenever so
   many bytes live. */
mi_decl_export void mi_cap_pressure_set(int64_t budget);
/* Budget, live bytes, the live bytes at which a collection is due and a major one; then counters: minor and
   major collections asked for, bytes they gave back. */
mi_decl_export void mi_cap_pressure_stats(uint64_t words[8]);

/* mi_cap_drain on all capabilities / those that GHC has disabled / those that have done nothing since
   activity[], of mi_cap_max words, was written; it is written anew (mi_cap_activity). By `safe` imports: they
   wait for each. From C by a thread that holds no capability: not in an `unsafe` call, nor in a finalizer.
   Then mi_collect_all (mimalloc.h) purges what they gave up. Disabled ones that do nothing are drained by
   themselves some time later. */
mi_decl_export void mi_cap_drain_all(void);
mi_decl_export void mi_cap_drain_disabled(void);
mi_decl_export void mi_cap_drain_idle(uint64_t activity[]);

/* A file's first bytes, to be read, at least one; NULL and errno. By a `safe` import. */
mi_decl_export mi_file_t* mi_cap_map_file(int fd, size_t size);

/* The label of the Haskell thread that the capability runs (the profile), NULL: none. One more name within
   it, and what it was before. Another, which was some thread's. Nothing where no thread runs. */
mi_decl_export const char* mi_cap_label(void);
mi_decl_export const char* mi_cap_label_enter(const char* name, size_t length);
mi_decl_export void        mi_cap_label_set(const char* label);

/* How many capabilities have heaps of their own. */
mi_decl_export size_t mi_cap_max(void);

/* End a heap that may be the default of capabilities. */
mi_decl_export void mi_cap_heap_delete(mi_heap_t* heap);
mi_decl_export void mi_cap_heap_destroy(mi_heap_t* heap);

/* What a capability's main heap has done so far, but for the gauges. exists: 0 if the
   capability never allocated; all others are 0 then. */
typedef struct {
  uint64_t exists;
  uint64_t pages;           /* that it holds: in its queues, or parked */
  uint64_t fresh_pages;     /* taken new */
  uint64_t adopted_pages;   /* taken over: from others, or its own back */
  uint64_t full_pages;      /* given up because nothing was free in them */
  uint64_t retired_pages;   /* given back empty */
  uint64_t remote_freed;    /* blocks freed by others and collected */
  uint64_t used_blocks;     /* live in its pages, and usable bytes of these: gauges */
  uint64_t used_bytes;
} mi_cap_stats_t;
/* Live blocks of the whole process, and their usable bytes. */
mi_decl_export void mi_live(uint64_t* blocks, uint64_t* bytes);
/* Where the allocator's memory is: from and to, two words, of each arena, of its structures, and of each
   block with a mapping of its own; other structures are left out. The result is how many areas there are; of
   these at most `max` were written. In no order. */
mi_decl_export size_t mi_areas(uint64_t* words, size_t max);
mi_decl_export void mi_cap_stats(int number, mi_cap_stats_t* stats);
/* The same but for the live blocks, which are looked for in all pages; these are 0. */
mi_decl_export void mi_cap_counts(int number, mi_cap_stats_t* stats);
/* Changes when the capability's part of any heap does anything but allocate and free in its pages; 0: it
   has no page of any. */
mi_decl_export uint64_t mi_cap_activity(int number);

#ifdef __cplusplus
}
#endif

#endif
