/* A heap: what the user names. Its structure, its list of pages, its place for each owner's local heap.
   Any thread; the heap's lock guards the list. What changes it is for the holder of the page.
   Making and ending is heap.h's. */
#ifndef MI_HEAP_PAGES_H
#define MI_HEAP_PAGES_H

#include "heap_name.h"
#include "os.h"
#include "pressure.h"
#include "types.h"

typedef mi_atomic(mi_lheap_t*) mi_xlheap_t;

struct mi_heap_s {
  mi_heap_t  *next, *prev;          /* the list of heaps (its lock) */
  /* Never used twice; the main heap's is 1. Statistics read it, even of a heap that ended. */
  mi_atomic(uint64_t) xid;
  uint16_t    arena;                /* pages come from this one only; MI_ARENA_NONE: from any */
  bool        is_main;              /* of a process or sub-process: owners' own, never destroyed */
  bool        allow_destroy;
  bool        weighs;               /* a garbage collector ends it: its pages count (pressure.h) */
  int         tag;                  /* the user's */
  mi_lheap_t* lheaps;               /* not kept for a main heap (the list's lock) */
  /* All its pages; not kept for the process's main heap (the heap's lock, mi_heap_pages_lock). */
  mi_page_t*  pages;
  mi_heap_name_t name;              /* set under the list's lock; as xid */
  mi_atomic(mi_xlheap_t*) xlheaps[MI_OWNER_CHUNKS];  /* by the owner's slot; the first chunk is: */
  mi_xlheap_t first[MI_OWNER_FIRST];
};

extern mi_heap_t mi_main_heap;        /* the process's */

/* Does it keep a list of its pages? All do but the process's main heap, which never ends. */
mi_inline bool mi_heap_is_listed(const mi_heap_t* heap) { return heap != &mi_main_heap; }

/* The place of an owner's local heap; NULL if its chunk does not exist yet. */
mi_inline mi_xlheap_t* mi_heap_place(mi_heap_t* heap, uint32_t slot) {
  /* Pairs with heap_make_place. */
  mi_xlheap_t* places = mi_load_acquire(&heap->xlheaps[mi_owner_chunk(slot)]);
  return places == NULL ? NULL : &places[mi_owner_place(slot)];
}

/* The lock of its list of pages; some heaps share one. None is part of a heap: so fork finds all, those of
   heaps that are ending, too. */
#define MI_HEAP_LOCKS 32u
mi_lock_t* mi_heap_pages_lock(const mi_heap_t* heap);

/* Keeps the list of pages. The holder of the page. */
void mi_heap_pages_add(mi_heap_t* heap, mi_page_t* page);
void mi_heap_pages_remove(mi_heap_t* heap, mi_page_t* page);
/* The same, under the heap's lock. */
void mi_heap_pages_unlink(mi_heap_t* heap, mi_page_t* page);
/* Its only block was resized, by whoever owns that: so many slices before. */
void mi_heap_pages_resized(mi_page_t* page, size_t nslices);

/* All heaps' locks. */
void mi_heap_pages_before_fork(void);
void mi_heap_pages_after_fork(bool child);

#endif
