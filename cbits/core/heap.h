/* Heaps: what the user names. A heap has a local heap for each owner that uses it.
   Any thread, under the list's lock or the heap's; the fast path is lheap.h's.
   Called by lheap.c (the list of a heap's pages), owner.c, the entry files. */
#ifndef MI_HEAP_H
#define MI_HEAP_H

#include "os.h"
#include "types.h"

typedef mi_atomic(mi_lheap_t*) mi_xlheap_t;

struct mi_heap_s {
  uint64_t    id;                   /* never used twice; the main heap's is 1 */
  uint16_t    arena;                /* pages come from this one only; MI_ARENA_NONE: from any */
  mi_heap_t  *next, *prev;          /* the list of heaps (its lock) */
  mi_lheap_t* lheaps;               /* not kept for the main heap (the list's lock) */
  mi_lock_t   lock;
  mi_page_t*  pages;                /* all its pages; not kept for the main heap (the heap's lock) */
  mi_atomic(mi_xlheap_t*) xlheaps[MI_OWNER_CHUNKS];  /* by the owner's slot */
};

extern mi_heap_t mi_heap_main;

mi_inline bool mi_heap_is_main(const mi_heap_t* heap) { return heap == &mi_heap_main; }

/* The place of an owner's local heap; NULL if its chunk does not exist yet. */
mi_inline mi_xlheap_t* mi_heap_place(mi_heap_t* heap, uint32_t slot) {
  const unsigned chunk = mi_log2((size_t)slot + 64) - 6;
  mi_xlheap_t* places = mi_load_acquire(&heap->xlheaps[chunk]);           /* pairs with heap_make_place */
  return places == NULL ? NULL : &places[slot + 64 - (64u << chunk)];
}

/* The owner's local heap of this heap, made if need be. Owner-only. NULL if there is no memory. */
mi_lheap_t* mi_heap_lheap(mi_heap_t* heap, mi_owner_t* owner);
/* Collects the owner's local heaps but its main one. Owner-only; the lock keeps a heap's end away. */
void mi_heap_drain_lheaps(mi_owner_t* owner, bool force);
/* The owner ends: it has no local heaps but its main one any more. Owner-only. */
void mi_heap_owner_ends(mi_owner_t* owner);

/* Keeps the list of pages. The holder of the page. */
void mi_heap_page_add(mi_heap_t* heap, mi_page_t* page);
void mi_heap_page_remove(mi_heap_t* heap, mi_page_t* page);

mi_heap_t* mi_heap_make(uint16_t arena);
/* No allocation from it may be under way; frees may. Blocks stay (in the main heap), or are freed. */
void mi_heap_end(mi_heap_t* heap, bool keep_blocks);

/* The lock of the list and all heaps' locks. */
void mi_heap_before_fork(void);
void mi_heap_after_fork(bool child);

#endif
