/* Statistics: what is live, read while everybody goes on. Any thread. Nobody is stopped, but where one heap
   is asked for (mi_snapshot_take_heap): who adds a page to it or takes one from it waits, and who forks.
   Bytes are usable bytes unless the name says otherwise.

   Exact when nobody allocates or frees meanwhile, else a recent value for each page: a page is read
   between two looks at its word, and a page that had another life in between is read again. */
#ifndef MI_STATS_H
#define MI_STATS_H

#include "../include/mimalloc-stats.h"
#include "heap_name.h"
#include "types.h"

typedef struct { uint64_t blocks, bytes; } mi_use_t;

/* Live blocks of the owner `id`, in the pages it holds or gave up full; 0: of everybody. */
mi_use_t mi_stats_use(uintptr_t id);

/* As mi_arena_map. */
size_t mi_stats_arena_map(const mi_arena_t* a, mi_arena_run_t* runs, size_t max);

/* One size class, owner or heap: gauges. */
typedef struct {
  /* Block size, 0 for blocks with pages of their own / owner's id, 0 for nobody's / heap's id. */
  uint64_t key;
  uint64_t pages;
  uint64_t blocks;          /* live */
  uint64_t bytes;           /* of these */
  uint64_t page_bytes;      /* of the pages: slices */
  /* Pages in which nothing lives; up to a quarter, a half, three quarters of the blocks that fit; more. */
  uint32_t filled[5];
  const mi_heap_t* heap;    /* of a heap: it may have ended, and its structure may have another by now */
} mi_part_t;

/* Room for max, of which at most half is used. `looks`: how many were looked at or moved in all, so that a
   test can tell that this is linear. */
typedef struct { mi_part_t* parts; size_t n, max, looks; } mi_parts_t;

typedef struct {
  /* gauges, bytes and numbers */
  uint64_t reserved_bytes, committed_bytes, used_bytes, used_blocks, pages, arenas, mappings, threads,
      capabilities;
  uint64_t peak_committed_bytes;
  /* counters; of pages and blocks: those of main heaps */
  uint64_t purged_bytes, fresh_pages, adopted_pages, full_pages, retired_pages, remote_freed_blocks;
  /* a gauge: of the committed bytes, those of structures (meta.h) */
  uint64_t structure_bytes;
  uint64_t hole_bytes;      /* a gauge: of the committed bytes, those of holes, which were given back */
  uint64_t commit_limit_bytes;      /* a gauge; 0: there is none */
  uint64_t refused_requests;        /* a counter: because of that limit */
} mi_totals_t;

/* A heap's name, UTF-8, with a 0 behind it; empty: it has none. */
typedef union { uint64_t words[MI_NAME_WORDS]; char text[MI_NAME_WORDS * 8]; } mi_name_t;

typedef struct {
  const mi_heap_t* of;      /* NULL: of all */
  mi_totals_t totals;
  mi_parts_t classes, owners, heaps;
  size_t pages_read;        /* live pages that were looked at, of whatever heap */
  mi_name_t* names;         /* one for each of the heaps */
  uint32_t where[MI_WHERE_LOST + 1];    /* pages by where they are (types.h) */
  void* memory;             /* of the parts */
  size_t memory_bytes;
} mi_snapshot_t;

/* Everything in one pass. False if there is no memory for it; then nothing is to be dropped. */
bool mi_snapshot_take(mi_snapshot_t* snapshot);
/* The same of one heap's pages. Only these are looked at, unless it is the process's main heap. Totals that
   are the process's are 0. */
bool mi_snapshot_take_heap(mi_snapshot_t* snapshot, const mi_heap_t* heap);
void mi_snapshot_drop(mi_snapshot_t* snapshot);

/* Rows for mi_heap_contents, and how many there can be. */
#define MI_CONTENT_ROWS (MI_BIN_COUNT + 64u)
size_t mi_stats_contents(const mi_heap_t* heap, mi_heap_content_t rows[MI_CONTENT_ROWS]);

/* Committed bytes: of blocks and of structures, now and at most. */
uint64_t mi_stats_committed(void);
uint64_t mi_stats_peak_committed(void);
/* Counters and the peak start anew, for everybody. What is read meanwhile is of before, of after, or 0. */
void mi_stats_restart(void);

#endif
