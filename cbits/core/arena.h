/* Arenas: reservations of addresses that are cut into slices. The table of them all, how one is made, and how
   one ends. Any thread.

   The structures lie in a mapping apart from the blocks: this one, its bitmaps, its pages, its pools. */
#ifndef MI_ARENA_H
#define MI_ARENA_H

#include "bitmap.h"
#include "os.h"
#include "types.h"

#define MI_ARENA_HINTS 8u

struct mi_arena_s {
  uint8_t*    start;
  size_t      nslices;
  uint16_t    number;
  bool        exclusive;            /* only for heaps that ask for it (mi_arena_serves) */
  bool        pinned;               /* huge pages: cannot be purged */
  bool        own;                  /* nobody asked for it by name, so that it may go */
  mi_atomic(bool) xgone;            /* its memory was released: nothing of it is free until it comes back */
  mi_page_t*  pages;                /* one for each slice */
  mi_bits_t*  free;                 /* set: to be claimed */
  mi_bits_t*  purge;                /* set: free, and not yet given back to the OS; */
  mi_bits_t*  due;                  /* .. and that for a round, so to be purged in the next */
  mi_atomic(bool) xrefused;         /* the OS did not take some of it back: locked memory */
  mi_bits_t*  dirty;  /* set: handed out since it was last purged; not zero, counts as committed */
  mi_bits_t*  boundaries;  /* set: the system may keep what begins here apart from what is in front */
  /* Set: a pooled page starts here in which a round may find something (pool_round.h). */
  mi_bits_t*  changed;
  mi_bits_t*  holes;                /* a bit for each MI_HOLE_SIZE. Set: given back inside a page (holes.h) */
  mi_bits_t*  pool;                 /* MI_BIN_COUNT bitmaps: pool_bits.h */
  /* [n-1]: no run of n free slices begins below, as far as is known; the last: nor a longer one. */
  mi_atomic(size_t) xhint[MI_ARENA_HINTS] mi_cachealign;
  /* Changes << 32 | n: no run of more than n free slices; UINT32_MAX: unknown. */
  mi_atomic(uint64_t) xlongest;
};

/* The table: only ever longer. */
extern mi_atomic(mi_arena_t*) mi_arena_table[MI_ARENAS_MAX];
extern mi_atomic(size_t) mi_arena_xcount;
/* Pairs with arena_publish. */
mi_inline size_t mi_arena_count(void) { return mi_load_acquire(&mi_arena_xcount); }
/* Pairs with arena_publish. */
mi_inline mi_arena_t* mi_arena_at(size_t number) { return mi_load_acquire(&mi_arena_table[number]); }

mi_arena_t* mi_arena_of_address(const void* p);
/* The arena with a public id (its number + 1), or MI_ARENA_NONE for id 0; false if there is none. */
bool mi_arena_of_id(int id, uint16_t* number);
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

/* Makes an arena of the user's memory or reserves one. False and errno if it cannot be. */
bool mi_arena_add(void* start, size_t size, bool zero, bool pinned, bool exclusive, uint16_t* number);

/* mi_bitmap_claim_at for `free`. If it fails half-way, xlongest becomes unknown: others may have looked at
   what it had for a moment. */
bool mi_arena_claim_at(mi_arena_t* a, size_t i, size_t n);
/* xlongest says nothing from now on, until somebody has searched the whole arena. */
void mi_arena_longest_unknown(mi_arena_t* a);

/* Empty arenas that were purged go (mi_policy_arena_goes): the program may need the addresses for something
   else. After a round. */
void mi_arena_release_purged(void);
/* Is there a limit, or has the system refused? A hint. */
bool mi_arena_addresses_are_few(void);

/* ---- more addresses, and fewer: under this lock ---- */

extern mi_lock_t mi_arena_lock;          /* for adding an arena, and for giving one back */

/* One more arena, or one that was released, with room for `size` aligned bytes; half as large where the
   system refuses. */
bool mi_arena_reserve(size_t size);
/* Gives the addresses of arenas back in which all is free: as after a round (mi_policy_arena_goes), or also
   of those with memory that was not purged yet. True: there was one. */
bool mi_arena_release(bool also_dirty);
/* The size of the next arena that is reserved. */
size_t mi_arena_next_size(void);
/* Bytes of those that are not exclusive. */
size_t mi_arena_bytes(void);
/* What the system refused to reserve last, doubled by each that it granted; SIZE_MAX: nothing yet. Without
   the lock a hint. */
size_t mi_arena_refused(void);
void mi_arena_refused_set(size_t size);

/* The largest arena that is reserved for any block. */
size_t mi_arena_most(void);

void mi_arena_before_fork(void);
void mi_arena_after_fork(bool child);

#endif
