/* Arenas: slices claimed through an atomic bitmap, given back and purged after a delay.
   Any thread.

   The structures lie in a mapping apart from the blocks: this one, its bitmaps, its pages, its pools. */
#ifndef MI_ARENA_H
#define MI_ARENA_H

#include "bitmap.h"
#include "os.h"
#include "policy.h"

#define MI_ARENA_HINTS 8u

struct mi_arena_s {
  uint8_t*    start;
  size_t      nslices;
  uint16_t    number;
  bool        exclusive;            /* only for heaps that ask for it (mi_arena_serves) */
  bool        pinned;               /* huge pages: cannot be purged */
  bool        own;                  /* nobody asked for it by name, so that it may go */
  mi_atomic(bool) xgone;            /* its memory was released: nothing of it is free, nor ever will be */
  mi_page_t*  pages;                /* one for each slice */
  mi_bits_t*  free;                 /* set: to be claimed */
  mi_bits_t*  purge;                /* set: free, and not yet given back to the OS; */
  mi_bits_t*  due;                  /* .. and that for a round, so to be purged in the next */
  mi_bits_t*  dirty;                /* set: handed out since it was last purged; not zero, counts as committed */
  mi_bits_t*  seams;                /* set: the system may keep what begins here apart from what is in front */
  mi_bits_t*  changed;              /* set: a pooled page starts here in which a round may find something (pooled.h) */
  mi_bits_t*  holes;                /* a bit for each MI_HOLE_SIZE. Set: given back inside a page (hollow.h) */
  mi_bits_t*  pool;                 /* MI_BIN_COUNT bitmaps: abandon.h */
  mi_atomic(size_t) xhint[MI_ARENA_HINTS] mi_cachealign;  /* [n-1]: no run of n free slices begins below, as far as is known; the last: nor a longer one */
  mi_atomic(uint64_t) xlongest;     /* changes << 32 | n: no run of more than n free slices; UINT32_MAX: unknown */
};

/* A block with a mapping of its own. The page map has the first slice and that of the page's `xinner`. */
typedef struct mi_mapping_s mi_mapping_t;
struct mi_mapping_s {
  mi_page_t     page;
  mi_mapping_t *next, *prev;        /* the list of all of them (its lock) */
};
mi_inline mi_mapping_t* mi_mapping_of(mi_page_t* page) { return (mi_mapping_t*)(void*)page; }   /* whose arena is MI_ARENA_NONE */
/* Calls visit for each, under the list's lock, so that none ends or is moved meanwhile; until it returns false. */
void mi_arena_mappings_each(bool (*visit)(mi_page_t* page, void* arg), void* arg);

/* Totals over all arenas and mappings. */
typedef struct {
  mi_atomic(size_t) xreserved, xcommitted, xpeak_committed, xpurged;   /* bytes; purged: in all */
  mi_atomic(size_t) xmappings, xmapped; /* blocks with a mapping of their own, and their bytes */
  mi_atomic(size_t) xscans;         /* times that an arena was searched for free slices */
} mi_arena_totals_t;
extern mi_arena_totals_t mi_arena_totals;

/* Committed bytes that may be resident: without what was given back inside pages. A statistic. */
size_t mi_arena_committed(void);

size_t      mi_arena_count(void);
mi_arena_t* mi_arena_at(size_t number);
mi_arena_t* mi_arena_of_address(const void* p);
/* The arena with a public id (its number + 1), or MI_ARENA_NONE for id 0; false if there is none. */
bool mi_arena_of_id(int id, uint16_t* number);
/* The live page that p, any address, points into; NULL if there is none. */
mi_page_t* mi_arena_page_of(const void* p);
mi_inline size_t mi_arena_slice_of(const mi_arena_t* a, const void* p) {
  return (size_t)((const uint8_t*)p - a->start) / MI_SLICE_SIZE;
}
/* Does a heap whose arena is `number` (MI_ARENA_NONE: any) take memory from here? */
mi_inline bool mi_arena_serves(const mi_arena_t* a, uint16_t number) {
  return number == MI_ARENA_NONE ? !a->exclusive : number == a->number;
}
mi_inline size_t mi_arena_nholes(const mi_arena_t* a) { return a->nslices * (MI_SLICE_SIZE / MI_HOLE_SIZE); }
mi_inline mi_bits_t* mi_arena_pool(const mi_arena_t* a, unsigned bin) {
  return a->pool + bin * mi_bitmap_words(a->nslices);
}

/* A page of `size` bytes, committed, its start aligned (to a slice at least): its structure with
   start, nslices and arena set, not yet mapped; *zero: its memory is. From the arena with that
   number only, unless MI_ARENA_NONE. NULL if there is no memory. */
mi_page_t* mi_arena_claim(size_t size, size_t align, uint16_t number, bool* zero);
/* The same for any arena, but not what is all new memory, nor from a new arena: NULL. */
mi_page_t* mi_arena_claim_touched(size_t size, size_t align, bool* zero);
/* The same where MI_ARENA_ROOM bytes are free, or a half of that and so on to twice the size, of which the page is the start: for a
   block that grows. In an arena's upper half, so that what is claimed first-fit does not come to lie behind it. NULL if there is no
   such room now and none is to be had. */
mi_page_t* mi_arena_claim_roomy(size_t size, uint16_t number, bool* zero);
/* Has the page's arena no such place, so that a block that goes on growing in it will have to be copied, and others have? */
bool mi_arena_is_narrow(const mi_page_t* page);
/* Gives all slices of an unmapped page back. */
void mi_arena_give(mi_page_t* page);
/* Changes the size of a single page in place; false if that cannot be. */
bool mi_arena_resize(mi_page_t* page, size_t size);
/* Moves a page with a mapping of its own to one of the new size; false leaves it. Its page map entry is the caller's. */
bool mi_arena_remap(mi_page_t* page, size_t old_size, size_t size);

/* Moves all slices' contents from one page to the start of another, at least as large. Holder of both, who gives the first back
   next: what the system moved of it is zero, and committed no more. MI_OS_NOT: they are where they were, and the other is ours.
   MI_OS_LOST: they are where they were, and the other, whose block may only be freed, is not. */
mi_os_result_t mi_arena_move(mi_page_t* from, mi_page_t* to);

/* A number that changes when slices become free. */
uint64_t mi_arena_changes(void);
/* Is there a limit to what is committed, so that free slices that were not purged are in the way of others? */
bool mi_arena_commit_counts(void);

/* Purges of what is due at most MI_PURGE_PIECE; `now`: also of what was freed since. True: there may be more. */
bool mi_arena_purge(bool now);
/* Everything that is free. */
void mi_arena_purge_all(void);
/* What was freed since the last time is due from now on. True if there is any. */
bool mi_arena_age(void);
/* Bytes that wait to be purged; a hint. */
size_t mi_arena_waiting(void);

/* Makes an arena of the user's memory or reserves one. False and errno if it cannot be. */
bool mi_arena_add(void* start, size_t size, bool zero, bool pinned, bool exclusive, uint16_t* number);

void mi_arena_before_fork(void);
void mi_arena_after_fork(bool child);
/* In the child, before the locks are open. */
void mi_arena_mend(void);

#endif
