/* See heaps.h. */
#include "heaps.h"
#include "meta.h"
#include "options.h"

static mi_lock_t heaps_lock = MI_LOCK_INIT(MI_RANK_HEAPS);    /* the list, and which owner has a local heap of which heap */
static mi_heap_t* heaps;
static uint64_t last_id = 1;
static mi_atomic(size_t) nheaps = 1;

size_t mi_heaps_count(void) { return mi_load_relaxed(&nheaps); }           /* a statistic */

/* ---- the local heaps of a heap ---- */

/* Under the list's lock. */
static mi_xlheap_t* heap_make_place(mi_heap_t* heap, uint32_t slot) {
  const unsigned chunk = mi_log2((size_t)slot + 64) - 6;
  if (mi_heap_place(heap, slot) == NULL) {
    mi_xlheap_t* places = mi_meta_alloc(MI_META_PLACES + chunk, (64u << chunk) * sizeof *places);
    if (places == NULL) return NULL;
    mi_store_release(&heap->xlheaps[chunk], places);                      /* pairs with mi_heap_place */
  }
  return mi_heap_place(heap, slot);
}

/* Under the list's lock: one whose heap was deleted, or a new one. */
static mi_lheap_t* lheap_make(mi_owner_t* owner) {
  mi_lheap_t* lh = owner->unused;
  if (lh != NULL) {
    owner->unused = lh->heap_next;
    return lh;
  }
  lh = mi_meta_alloc(MI_META_LHEAP, sizeof *lh);
  if (lh == NULL) return NULL;
  lh->next = owner->lheaps;
  owner->lheaps = lh;
  return lh;
}

mi_lheap_t* mi_heap_lheap(mi_heap_t* heap, mi_owner_t* owner) {
  if (heap->is_main) return &owner->main;
  mi_xlheap_t* place = mi_heap_place(heap, owner->slot);
  mi_lheap_t* lh = place == NULL ? NULL : mi_load_relaxed(place);         /* written by this owner, or when the heap ends */
  if (mi_likely(lh != NULL)) return lh;
  mi_lock(&heaps_lock);
  place = heap_make_place(heap, owner->slot);
  if (place != NULL && (lh = lheap_make(owner)) != NULL) {
    mi_lheap_init(lh, owner, heap, 0);
    lh->heap_next = heap->lheaps;
    heap->lheaps = lh;
    mi_store_release(place, lh);                                          /* pairs with nobody: only this owner reads it */
  }
  mi_unlock(&heaps_lock);
  return lh;
}

/* Under the list's lock. */
static void lheap_unlink(mi_heap_t* heap, mi_lheap_t* lh) {
  mi_lheap_t** link = &heap->lheaps;
  while (*link != lh) link = &(*link)->heap_next;
  *link = lh->heap_next;
  mi_store_relaxed(mi_heap_place(heap, lh->owner->slot), NULL);           /* under the lock; its owner is ending, or the heap is */
}

void mi_heap_drain_lheaps(mi_owner_t* owner, bool force) {
  if (owner->lheaps == NULL) return;
  mi_lock(&heaps_lock);
  for (mi_lheap_t* lh = owner->lheaps; lh != NULL; lh = lh->next) {
    if (mi_load_relaxed(&lh->xheap) != NULL) mi_lheap_collect(lh, force); /* changed under the lock */
  }
  mi_unlock(&heaps_lock);
}

void mi_heap_abandon_lheaps(mi_owner_t* owner) {
  if (owner->lheaps == NULL) return;
  mi_lock(&heaps_lock);
  for (mi_lheap_t* lh = owner->lheaps; lh != NULL; lh = lh->next) {
    if (mi_load_relaxed(&lh->xheap) != NULL) mi_lheap_end(lh);            /* changed under the lock */
  }
  mi_unlock(&heaps_lock);
}

/* Statistics all. */
static uint64_t steps(const mi_lheap_counts_t* c) {
  return mi_load_relaxed(&c->fresh_pages) + mi_load_relaxed(&c->adopted_pages) + mi_load_relaxed(&c->full_pages)
         + mi_load_relaxed(&c->retired_pages) + mi_load_relaxed(&c->remote_freed);
}

uint64_t mi_heap_activity(const mi_owner_t* owner) {
  uint64_t npages = mi_load_relaxed(&owner->main.xcounts.pages), nsteps = steps(&owner->main.xcounts);  /* statistics */
  mi_lock(&heaps_lock);
  for (const mi_lheap_t* lh = owner->lheaps; lh != NULL; lh = lh->next) {
    npages += mi_load_relaxed(&lh->xcounts.pages);                        /* statistics */
    nsteps += steps(&lh->xcounts);
  }
  mi_unlock(&heaps_lock);
  return npages == 0 ? 0 : 1 + nsteps;
}

void mi_heap_owner_ends(mi_owner_t* owner) {
  if (owner->lheaps == NULL) return;
  mi_lock(&heaps_lock);
  for (mi_lheap_t *lh = owner->lheaps, *next; lh != NULL; lh = next) {
    next = lh->next;
    mi_heap_t* heap = mi_load_relaxed(&lh->xheap);                        /* changed under the lock */
    if (heap != NULL) {
      lheap_unlink(heap, lh);
      mi_lheap_end(lh);
    }
    mi_meta_free(MI_META_LHEAP, lh);
  }
  owner->lheaps = owner->unused = NULL;
  mi_unlock(&heaps_lock);
}

/* ---- making and ending ---- */

mi_heap_t* mi_heap_make(uint16_t arena, int tag, bool allow_destroy) {
  mi_heap_t* heap = mi_meta_alloc(MI_META_HEAP, sizeof *heap);
  if (heap == NULL) return NULL;
  heap->prev = NULL;
  heap->lheaps = NULL;
  heap->pages = NULL;
  for (unsigned chunk = 0; chunk < MI_OWNER_CHUNKS; chunk++) mi_store_relaxed(&heap->xlheaps[chunk], NULL);  /* not shown to others yet */
  heap->is_main = false;
  heap->arena = arena;
  heap->tag = tag;
  heap->allow_destroy = allow_destroy;
  heap->weighs = false;
  mi_lock_init(&heap->lock, MI_RANK_HEAP);
  mi_lock(&heaps_lock);
  mi_store_relaxed(&heap->xid, ++last_id);                                /* shown to others together with its first page */
  heap->next = heaps;
  if (heaps != NULL) heaps->prev = heap;
  heaps = heap;
  mi_add_relaxed(&nheaps, 1);
  mi_unlock(&heaps_lock);
  return heap;
}

/* A held page of an ending heap. One that dies keeps the heap's name, so that frees go on pinning it. */
static void page_settle(mi_heap_t* heap, mi_page_t* page, bool keep_blocks) {
  if (!keep_blocks) mi_page_used_set(page, 0);
  if (mi_page_used(page) == 0) { mi_lheap_page_free(page); return; }
  mi_heap_page_remove(heap, page);
  mi_store_release(&page->xheap, &mi_heap_main);                          /* pairs with mi_free_slow */
  mi_lheap_page_to_pool(page);
}

/* Takes what can be taken from the list of pages; what a remote free holds it will take out itself. */
static void pages_settle(mi_heap_t* heap, bool keep_blocks) {
  mi_page_t* taken = NULL;
  mi_xlist_t list;
  mi_lock(&heap->lock);
  for (mi_page_t *page = heap->pages, *next; page != NULL; page = next) {
    next = page->heap_next;
    if (mi_load_relaxed(&page->xowner) == MI_ID_GONE) {                   /* left by fork, in any state: it stays so, in the main heap */
      mi_heap_page_unlink(heap, page);
      mi_store_release(&page->xheap, &mi_heap_main);                      /* pairs with mi_free_slow */
      continue;
    }
    if (!mi_remote_acquire(&page->xword, true, &list)) continue;          /* H1 */
    mi_page_take_list(page, list);
    page->next = taken;
    taken = page;
  }
  mi_unlock(&heap->lock);
  while (taken != NULL) {
    mi_page_t* page = taken;
    taken = page->next;
    page->next = NULL;
    page_settle(heap, page, keep_blocks);
  }
}

void mi_heap_end(mi_heap_t* heap, bool keep_blocks) {
  mi_lock(&heaps_lock);
  for (mi_lheap_t* lh; (lh = heap->lheaps) != NULL; ) {
    lheap_unlink(heap, lh);
    if (lh->owner->id != MI_ID_GONE) mi_lheap_end(lh);                    /* nobody allocates from it: its pages are ours to pool */
    mi_store_relaxed(&lh->xheap, NULL);                                   /* under the lock: its owner may use it again */
    lh->heap_next = lh->owner->unused;
    lh->owner->unused = lh;
  }
  if (heap->prev != NULL) heap->prev->next = heap->next; else heaps = heap->next;
  if (heap->next != NULL) heap->next->prev = heap->prev;
  mi_sub_relaxed(&nheaps, 1);
  mi_unlock(&heaps_lock);
  for (bool empty = false; !empty; ) {
    pages_settle(heap, keep_blocks);
    mi_lock(&heap->lock);
    empty = (heap->pages == NULL);
    mi_unlock(&heap->lock);
    if (!empty) mi_os_yield();                                            /* a remote free is about to take its page out */
  }
  for (unsigned chunk = 0; chunk < MI_OWNER_CHUNKS; chunk++) {
    mi_xlheap_t* places = mi_load_relaxed(&heap->xlheaps[chunk]);         /* nobody uses the heap any more */
    if (places != NULL) mi_meta_free(MI_META_PLACES + chunk, places);
  }
  mi_meta_free(MI_META_HEAP, heap);
  mi_error_tell();
}

void mi_heap_before_fork(void) {
  mi_lock(&heaps_lock);
  for (mi_heap_t* heap = heaps; heap != NULL; heap = heap->next) mi_lock(&heap->lock);
}

void mi_heap_after_fork(bool child) {
  void (*open_lock)(mi_lock_t*) = child ? &mi_lock_reset : &mi_unlock;
  for (mi_heap_t* heap = heaps; heap != NULL; heap = heap->next) {
    open_lock(&heap->lock);
    for (mi_page_t* page = child ? heap->pages : NULL; page != NULL; page = page->heap_next) mi_remote_unpin_all(&page->xword);
  }
  open_lock(&heaps_lock);
}
