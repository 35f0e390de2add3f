/* See heap.h. */
#include <string.h>

#include "heap.h"
#include "meta.h"
#include "report.h"
#include "pool.h"
#include "purger.h"

/* The list, and which owner has a local heap of which heap. */
static mi_lock_t heaps_lock = MI_LOCK_INIT(MI_RANK_HEAPS);
static mi_heap_t* heaps;
static uint64_t last_id = 1;
static mi_atomic(size_t) nheaps = 1;

size_t mi_heap_count(void) { return mi_load_relaxed(&nheaps); }           /* a statistic */

/* ---- the local heaps of a heap ---- */

/* Under the list's lock. */
static mi_xlheap_t* heap_make_place(mi_heap_t* heap, uint32_t slot) {
  const unsigned chunk = mi_owner_chunk(slot);
  mi_assert(chunk < MI_OWNER_CHUNKS);
  if (mi_heap_place(heap, slot) == NULL) {
    mi_xlheap_t* places = mi_meta_alloc(MI_META_PLACES + chunk, mi_owner_chunk_size(chunk) * sizeof *places);
    if (places == NULL) return NULL;
    mi_store_release(&heap->xlheaps[chunk], places);                      /* pairs with mi_heap_place */
  }
  return mi_heap_place(heap, slot);
}

/* Under the list's lock: a structure that this owner may still point to as its default, though its heap has
   ended; else one from meta.h. */
static mi_lheap_t* lheap_make(mi_heap_t* heap, mi_owner_t* owner) {
  mi_assert(!heap->is_main && mi_owner_chunk(owner->slot) < MI_OWNER_CHUNKS);
  mi_lheap_t* lh = owner->unused;
  if (lh != NULL) owner->unused = lh->heap_next;
  else if ((lh = mi_meta_alloc(MI_META_LHEAP, MI_LHEAP_SIZE)) == NULL) return NULL;
  mi_lheap_init(lh, owner, heap, 0);
  mi_store_relaxed(&lh->xdefault, false);                                 /* this owner's */
  lh->prev = NULL;
  lh->next = owner->lheaps;
  if (lh->next != NULL) lh->next->prev = lh;
  owner->lheaps = lh;
  lh->heap_prev = NULL;
  lh->heap_next = heap->lheaps;
  if (lh->heap_next != NULL) lh->heap_next->heap_prev = lh;
  heap->lheaps = lh;
  return lh;
}

mi_lheap_t* mi_heap_lheap(mi_heap_t* heap, mi_owner_t* owner) {
  if (heap->is_main) return &owner->main;
  mi_xlheap_t* place = mi_heap_place(heap, owner->slot);
  /* Written by this owner, or when the heap ends. */
  mi_lheap_t* lh = place == NULL ? NULL : mi_load_relaxed(place);
  if (mi_likely(lh != NULL)) return lh;
  mi_lock(&heaps_lock);
  place = heap_make_place(heap, owner->slot);
  if (place != NULL && (lh = lheap_make(heap, owner)) != NULL) {
    mi_store_release(place, lh);  /* pairs with nobody: only this owner reads it */
  }
  mi_unlock(&heaps_lock);
  return lh;
}

/* Statistics all. */
static uint64_t steps(const mi_lheap_counts_t* c) {
  return mi_load_relaxed(&c->fresh_pages) + mi_load_relaxed(&c->adopted_pages)
         + mi_load_relaxed(&c->full_pages) + mi_load_relaxed(&c->retired_pages)
         + mi_load_relaxed(&c->remote_freed);
}

/* Under the list's lock: out of its heap's list and its owner's, one of whom is ending. */
static void lheap_unlink(mi_heap_t* heap, mi_lheap_t* lh) {
  mi_assert(mi_load_relaxed(&lh->xheap) == heap && lh != &lh->owner->main);
  mi_owner_t* owner = lh->owner;
  if (lh->heap_prev != NULL) lh->heap_prev->heap_next = lh->heap_next; else heap->lheaps = lh->heap_next;
  if (lh->heap_next != NULL) lh->heap_next->heap_prev = lh->heap_prev;
  if (lh->prev != NULL) lh->prev->next = lh->next; else owner->lheaps = lh->next;
  if (lh->next != NULL) lh->next->prev = lh->prev;
  mi_store_relaxed(mi_heap_place(heap, owner->slot), NULL);               /* under the lock */
  owner->ended_steps += steps(&lh->xcounts);
}

/* Under the lock, after its heap's end. If it is its owner's default, that finds here that the heap has
   ended. */
static void lheap_drop(mi_lheap_t* lh) {
  mi_assert(mi_load_relaxed(&lh->xcounts.pages) == 0 || lh->owner->id == MI_ID_GONE);
  mi_store_relaxed(&lh->xheap, NULL);                                     /* under the lock */
  /* Pairs with mi_heap_lheap_is_default: its owner is past its last look. */
  if (!mi_load_acquire(&lh->xdefault)) {
    mi_meta_free(MI_META_LHEAP, lh);
    return;
  }
  lh->heap_next = lh->owner->unused;
  lh->owner->unused = lh;
}

void mi_heap_drain_lheaps(mi_owner_t* owner, bool force) {
  mi_lock(&heaps_lock);
  for (mi_lheap_t* lh = owner->lheaps; lh != NULL; lh = lh->next) mi_lheap_collect(lh, force);
  mi_unlock(&heaps_lock);
}

void mi_heap_abandon_lheaps(mi_owner_t* owner) {
  mi_lock(&heaps_lock);
  for (mi_lheap_t* lh = owner->lheaps; lh != NULL; lh = lh->next) mi_lheap_end(lh);
  mi_unlock(&heaps_lock);
}

uint64_t mi_heap_activity(const mi_owner_t* owner) {
  /* Statistics. */
  uint64_t npages = mi_load_relaxed(&owner->main.xcounts.pages), nsteps = steps(&owner->main.xcounts);
  mi_lock(&heaps_lock);
  nsteps += owner->ended_steps;
  for (const mi_lheap_t* lh = owner->lheaps; lh != NULL; lh = lh->next) {
    npages += mi_load_relaxed(&lh->xcounts.pages);                        /* statistics */
    nsteps += steps(&lh->xcounts);
  }
  mi_unlock(&heaps_lock);
  return npages == 0 ? 0 : 1 + nsteps;
}

void mi_heap_owner_ends(mi_owner_t* owner) {
  mi_lheap_t* lh;
  mi_lock(&heaps_lock);
  while ((lh = owner->lheaps) != NULL) {
    lheap_unlink(mi_load_relaxed(&lh->xheap), lh);                        /* changed under the lock */
    mi_lheap_end(lh);
    mi_meta_free(MI_META_LHEAP, lh);
  }
  while ((lh = owner->unused) != NULL) {
    owner->unused = lh->heap_next;
    mi_meta_free(MI_META_LHEAP, lh);
  }
  mi_unlock(&heaps_lock);
}

/* ---- making and ending ---- */

mi_heap_t* mi_heap_make(uint16_t arena, int tag, bool allow_destroy) {
  mi_heap_t* heap = mi_meta_alloc(MI_META_HEAP, sizeof *heap);
  if (heap == NULL) return NULL;
  heap->prev = NULL;
  heap->lheaps = NULL;
  heap->pages = NULL;
  /* Not shown to others yet. */
  for (unsigned chunk = 0; chunk < MI_OWNER_CHUNKS; chunk++)
    mi_store_relaxed(&heap->xlheaps[chunk], chunk == 0 ? heap->first : NULL);
  for (unsigned i = 0; i < MI_OWNER_FIRST; i++) mi_store_relaxed(&heap->first[i], NULL);  /* the same */
  heap->is_main = false;
  heap->arena = arena;
  heap->tag = tag;
  heap->allow_destroy = allow_destroy;
  heap->weighs = false;
  mi_lock(&heaps_lock);
  mi_store_relaxed(&heap->xid, ++last_id);  /* shown to others together with its first page */
  heap->next = heaps;
  if (heaps != NULL) heaps->prev = heap;
  heaps = heap;
  mi_add_relaxed(&nheaps, 1);
  mi_unlock(&heaps_lock);
  return heap;
}

void mi_heap_rename(mi_heap_t* heap, const char* name, size_t n) {
  mi_assert(n < MI_NAME_WORDS * sizeof(uint64_t));
  if (heap == &mi_main_heap) return;
  uint64_t words[1 + MI_NAME_WORDS] = { mi_load_relaxed(&heap->xid) };    /* constant while it lives */
  memcpy(&words[1], name, n);
  mi_lock(&heaps_lock);
  mi_heap_name_set(&heap->name, words);
  mi_unlock(&heaps_lock);
}

/* A held page of an ending heap. One that dies keeps the heap's name, so that frees go on pinning it. */
static void page_reassign(mi_heap_t* heap, mi_page_t* page, bool keep_blocks) {
  mi_assert(mi_load_relaxed(&page->xheap) == heap && !mi_page_is_listed(page));
  if (!keep_blocks) mi_page_used_set(page, 0);
  if (mi_page_used(page) == 0) { mi_pool_page_free(page); return; }
  mi_heap_pages_remove(heap, page);
  mi_store_release(&page->xheap, &mi_main_heap);                          /* pairs with mi_free_slow */
  mi_pool_page_put(page);
}

/* The first page that can be taken; NULL: none. *rest: some are held by remote frees, which take them out
   themselves. One at a time: so in the child of fork no more than one is held by who is gone. */
static mi_page_t* page_take(mi_heap_t* heap, bool* rest) {
  mi_assert(mi_heap_is_listed(heap));
  mi_page_t* taken = NULL;
  mi_xlist_t list;
  *rest = false;
  mi_lock(mi_heap_pages_lock(heap));
  for (mi_page_t *page = heap->pages, *next; page != NULL && taken == NULL; page = next) {
    next = page->heap_next;
    /* Left by fork, in any state: it stays so, in the main heap. */
    if (mi_load_relaxed(&page->xowner) == MI_ID_GONE) {
      mi_heap_pages_unlink(heap, page);
      mi_store_release(&page->xheap, &mi_main_heap);                      /* pairs with mi_free_slow */
    }
    else if (mi_remote_acquire(&page->xword, true, &list)) {              /* H1 */
      mi_page_take_list(page, list);
      taken = page;
    }
    else *rest = true;
  }
  mi_unlock(mi_heap_pages_lock(heap));
  return taken;
}

void mi_heap_end(mi_heap_t* heap, bool keep_blocks) {
  mi_assert(heap != &mi_main_heap);
  mi_lock(&heaps_lock);
  for (mi_lheap_t* lh; (lh = heap->lheaps) != NULL; ) {
    /* Nobody allocates from it: its pages are ours to pool. */
    if (lh->owner->id != MI_ID_GONE) mi_lheap_end(lh);
    lheap_unlink(heap, lh);
    lheap_drop(lh);
  }
  if (heap->prev != NULL) heap->prev->next = heap->next; else heaps = heap->next;
  if (heap->next != NULL) heap->next->prev = heap->prev;
  mi_sub_relaxed(&nheaps, 1);
  mi_unlock(&heaps_lock);
  for (bool rest = true; rest; ) {
    mi_page_t* page = page_take(heap, &rest);
    if (page != NULL) page_reassign(heap, page, keep_blocks);
    else if (rest) mi_os_yield();
    rest = rest || page != NULL;
  }
  for (unsigned chunk = 1; chunk < MI_OWNER_CHUNKS; chunk++) {
    mi_xlheap_t* places = mi_load_relaxed(&heap->xlheaps[chunk]);         /* nobody uses the heap any more */
    if (places != NULL) mi_meta_free(MI_META_PLACES + chunk, places);
  }
  mi_assert(heap->pages == NULL && heap->lheaps == NULL);
  mi_meta_free(MI_META_HEAP, heap);
  mi_report_pending();
  mi_purger_ended();                     /* nobody may come later */
}

void mi_heap_before_fork(void) {
  mi_lock(&heaps_lock);
  mi_heap_pages_before_fork();
}

void mi_heap_after_fork(bool child) {
  mi_heap_pages_after_fork(child);
  (child ? &mi_lock_reset : &mi_unlock)(&heaps_lock);
}
