/* Statistics as a structure and as JSON. Any thread; nobody waits. Bytes are usable bytes unless said
   otherwise. mi_stats_t has the fields of mimalloc 2.2, in its order and with its names, and then ours; those
   without a comment we do not count: they are 0. Our size classes are others, and so is their number. */
#ifndef MIMALLOC_STATS_H
#define MIMALLOC_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "mimalloc.h"

#define MI_STAT_VERSION 1
#define MI_STAT_BINS    82              /* size classes */
#define MI_BIN_HUGE     (MI_STAT_BINS - 1U)     /* the last of them: blocks with pages of their own */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mi_stat_count_s { int64_t total, peak, current; } mi_stat_count_t;   /* current: a gauge */
typedef struct mi_stat_counter_s { int64_t total; } mi_stat_counter_t;              /* only rises */

/* The fields that mimalloc has, in its order: it applies MI_STAT_COUNT to the name of each gauge and
   MI_STAT_COUNTER to that of each counter, which a program defines for what it does with each. */
#define MI_STAT_FIELDS() \
  MI_STAT_COUNT(pages)                  /* number */ \
  MI_STAT_COUNT(reserved)               /* bytes of address space */ \
  MI_STAT_COUNT(committed)              /* bytes handed out since they were last purged, in pieces of 64 KiB,
                                           and those of structures */ \
  MI_STAT_COUNTER(reset) \
  MI_STAT_COUNTER(purged)               /* bytes given back */ \
  MI_STAT_COUNT(page_committed) \
  MI_STAT_COUNT(pages_abandoned) \
  MI_STAT_COUNT(threads)                /* number with heaps */ \
  MI_STAT_COUNT(malloc_normal)          /* live bytes, blocks up to 64 KiB */ \
  MI_STAT_COUNT(malloc_huge)            /* live bytes, larger blocks */ \
  MI_STAT_COUNT(malloc_requested) \
  MI_STAT_COUNTER(mmap_calls) \
  MI_STAT_COUNTER(commit_calls) \
  MI_STAT_COUNTER(reset_calls) \
  MI_STAT_COUNTER(purge_calls) \
  MI_STAT_COUNTER(arena_count) \
  MI_STAT_COUNTER(malloc_normal_count) \
  MI_STAT_COUNTER(malloc_huge_count) \
  MI_STAT_COUNTER(malloc_guarded_count) \
  MI_STAT_COUNTER(arena_rollback_count) \
  MI_STAT_COUNTER(arena_purges) \
  MI_STAT_COUNTER(pages_extended) \
  MI_STAT_COUNTER(pages_retire)         /* pages given back empty */ \
  MI_STAT_COUNTER(page_searches) \
  MI_STAT_COUNTER(page_searches_count) \
  MI_STAT_COUNT(segments) \
  MI_STAT_COUNT(segments_abandoned) \
  MI_STAT_COUNT(segments_cache) \
  MI_STAT_COUNT(_segments_reserved) \
  MI_STAT_COUNTER(pages_reclaim_on_alloc)   /* pages adopted */ \
  MI_STAT_COUNTER(pages_reclaim_on_free) \
  MI_STAT_COUNTER(pages_reabandon_full) \
  MI_STAT_COUNTER(pages_unabandon_busy_wait)

#define MI_STAT_COUNT(name)   mi_stat_count_t name;
#define MI_STAT_COUNTER(name) mi_stat_counter_t name;

typedef struct mi_stats_s {
  int version;
  MI_STAT_FIELDS()
  mi_stat_count_t _stat_reserved[4];
  mi_stat_counter_t _stat_counter_reserved[4];
  mi_stat_count_t malloc_bins[MI_STAT_BINS];  /* live bytes of each class */
  mi_stat_count_t page_bins[MI_STAT_BINS];    /* pages of each class */
  /* ours: */
  mi_stat_count_t structures;           /* bytes of owners', heaps' and other structures */
  mi_stat_counter_t pages_reclaim;      /* pages adopted */
  mi_stat_counter_t pages_fresh;        /* pages taken new */
  mi_stat_counter_t pages_full;         /* pages given up full */
  mi_stat_counter_t remote_freed;       /* blocks freed by others and collected */
} mi_stats_t;

#undef MI_STAT_COUNT
#undef MI_STAT_COUNTER

/* Fills the first stats_size bytes; all zero but the version if there is no memory for the pass. */
mi_decl_export void mi_stats_get(size_t stats_size, mi_stats_t* stats) mi_attr_noexcept;

/* JSON, zero-terminated: in buf, cut at buf_size; or, with buf NULL, in a new block for mi_free. NULL and
   ENOMEM. Every number is named with its unit; "gauges" and "counters" are apart. */
mi_decl_export char* mi_stats_get_json(size_t buf_size, char* buf) mi_attr_noexcept;

/* The same of one heap's pages, NULL the main heap's: pages, bytes, blocks, and the bytes of its pages as
   those committed; what is counted of the process only is 0. Of a heap that is not main with its blocks
   that have mappings of their own, which the list of heaps in the statistics of all leaves out. It takes as
   long as the heap has pages; of the main heap as long as all heaps have. False or NULL (and ENOMEM) if
   there is no memory for the pass. */
mi_decl_export bool mi_heap_stats_get(mi_heap_t* heap, mi_stats_t* stats) mi_attr_noexcept;
mi_decl_export char* mi_heap_stats_get_json(mi_heap_t* heap, size_t buf_size, char* buf) mi_attr_noexcept;
mi_decl_export void mi_heap_stats_print_out(mi_heap_t* heap, mi_output_fun* out, void* arg) mi_attr_noexcept;

/* The same of a sub-process: of the main one what mi_stats_get and its like give, of another its main heap's.
   merge: does nothing, counters are merged when they are read. */
mi_decl_export bool mi_subproc_stats_get(mi_subproc_id_t subproc_id, mi_stats_t* stats) mi_attr_noexcept;
mi_decl_export char* mi_subproc_stats_get_json(mi_subproc_id_t subproc_id, size_t buf_size, char* buf)
    mi_attr_noexcept;
mi_decl_export void mi_subproc_stats_print_out(mi_subproc_id_t subproc_id, mi_output_fun* out, void* arg)
    mi_attr_noexcept;
mi_decl_export void mi_heap_stats_merge_to_subproc(mi_heap_t* heap) mi_attr_noexcept;

/* What one heap (NULL: the main one) holds now, by size and by age: a row for each size of blocks that it has
   pages of, the smallest first. Returns how many there are; writes as many as fit `max`. Everybody may
   allocate and free meanwhile: then it is a recent value for each page. It takes as long as
   mi_heap_stats_get. */
#define MI_CONTENT_AGES 7
typedef struct mi_heap_content_s {
  uint64_t block_size;      /* usable bytes, at most; of blocks larger than 64 KiB a power of two */
  uint64_t pages, live_blocks, live_bytes, page_bytes;
  /* Live bytes by the age of the page that they are in: up to 1 s, 10 s, 1 minute, 10 minutes, 1 hour, 1 day;
     more. A block is no older than its page, which may have had others before. */
  uint64_t bytes_by_age[MI_CONTENT_AGES];
} mi_heap_content_t;
mi_decl_export size_t mi_heap_contents(mi_heap_t* heap, mi_heap_content_t* rows, size_t max) mi_attr_noexcept;

/* One heap (NULL: the main one) for a bug report: what it is, what is in it, by size, by how full its pages
   are and by age, and the options that were set. To stderr or the registered output / to a function, a line
   a call. Everybody may go on meanwhile. */
mi_decl_export void mi_heap_print(mi_heap_t* heap) mi_attr_noexcept;
mi_decl_export void mi_heap_print_out(mi_heap_t* heap, mi_output_fun* out, void* arg) mi_attr_noexcept;

/* The block size of a class, bytes; 0 for the last and for no class. */
mi_decl_export size_t mi_stats_get_bin_size(size_t bin) mi_attr_noexcept;

/* Everything in one pass as 64-bit words, for other languages: the number of each of totals, classes,
   owners and heaps; the totals; then five words (key, pages, blocks, bytes, page bytes) for each of the
   others; then seven (key; the name's bytes, with a 0 behind them) for each heap that has a name. Returns the
   words there are; writes as many of them as fit `max`. */
mi_decl_export size_t mi_stats_words(uint64_t* words, size_t max) mi_attr_noexcept;

/* The id of the next arena behind that with this id, 0: the first; 0 if there is none. */
mi_decl_export mi_arena_id_t mi_arena_next(mi_arena_id_t arena_id) mi_attr_noexcept;

/* What an arena (mi_arena_area) is used for, slice by slice of 64 KiB, in order: runs of slices, which cover
   it. A page is a run; of other slices, neighbours that are used alike are one. Returns how many runs there
   are, 0 if there is no such arena, and writes as many as fit `max`. Everybody may go on meanwhile: then it
   is a recent value for each run. */
typedef enum mi_arena_use_e {
  MI_ARENA_FREE,            /* free; the system has the memory, or never gave any */
  MI_ARENA_WAITS,           /* free; the memory waits to go back */
  MI_ARENA_KEPT,            /* kept for the next page that is as large, or just changing hands */
  MI_ARENA_PAGE             /* a page: the other fields are of it, and 0 elsewhere */
} mi_arena_use_t;
typedef struct mi_arena_run_s {
  uint64_t first, nslices;
  uint64_t use;             /* mi_arena_use_t */
  uint64_t owner, heap;     /* ids, as in mi_stats_words; 0: nobody's, none */
  uint64_t block_size, live_blocks;
  uint64_t hole_bytes;      /* given back inside the page */
} mi_arena_run_t;
mi_decl_export size_t mi_arena_map(mi_arena_id_t arena_id, mi_arena_run_t* runs, size_t max) mi_attr_noexcept;

#ifdef __cplusplus
}
#endif

#endif
