/* The heaps: making and ending them, and which owner has a local heap of which.
   Any thread, but for what says owner-only. All take the list's lock, except mi_heap_count,
   mi_heap_lheap_is_default and the look-up of mi_heap_lheap. */
#ifndef MI_HEAP_H
#define MI_HEAP_H

#include "lheap.h"

/* The owner's local heap of this heap, made if need be. Owner-only. NULL if there is no memory. */
mi_lheap_t* mi_heap_lheap(mi_heap_t* heap, mi_owner_t* owner);
/* Owner-only. Notes whether its owner allocates from this local heap, any but a main one, by default. Say
   `true` before the owner points to it, `false` only after the owner's last look at it: the heap may have
   ended meanwhile, and then somebody else may get the structure at once. */
mi_inline void mi_heap_lheap_is_default(mi_lheap_t* lh, bool is) {
  if (lh->xid == 0) mi_store_release(&lh->xdefault, is);                  /* pairs with lheap_drop */
}
/* Collects the owner's local heaps but its main one. Owner-only; the lock keeps a heap's end away. */
void mi_heap_drain_lheaps(mi_owner_t* owner, bool force);
/* Pools or frees all their pages; they are as new. Owner-only, under the lock. */
void mi_heap_abandon_lheaps(mi_owner_t* owner);
/* Changes when any of the owner's local heaps does anything but allocate and free in its pages; 0: none has a
   page. Any thread. */
uint64_t mi_heap_activity(const mi_owner_t* owner);
/* The owner ends: it has no local heaps but its main one any more. Owner-only. */
void mi_heap_owner_ends(mi_owner_t* owner);

/* NULL if there is no memory. */
mi_heap_t* mi_heap_make(uint16_t arena, int tag, bool allow_destroy);
/* No allocation from it may be under way; frees may. Blocks stay (in the main heap), or are freed. */
void mi_heap_end(mi_heap_t* heap, bool keep_blocks);

/* Sets the name: so many bytes, which have no 0. Of the main heap: nothing. */
void mi_heap_rename(mi_heap_t* heap, const char* name, size_t n);

/* How many there are now, the main heap and all. */
size_t mi_heap_count(void);

/* The lock of the list and all heaps' locks. */
void mi_heap_before_fork(void);
void mi_heap_after_fork(bool child);

#endif
