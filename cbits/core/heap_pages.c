/* See heap_pages.h. */
#include "heap_pages.h"

mi_heap_t mi_main_heap = { .xid = 1, .arena = MI_ARENA_NONE, .is_main = true };

static struct {
  mi_lock_t lock;
} mi_cachealign locks[MI_HEAP_LOCKS] = { [0 ... MI_HEAP_LOCKS - 1] = { MI_LOCK_INIT(MI_RANK_HEAP) } };

mi_lock_t* mi_heap_pages_lock(const mi_heap_t* heap) {
  return &locks[((uintptr_t)heap >> 7) * 0x9e3779b97f4a7c15u >> 59].lock;
}
_Static_assert(MI_HEAP_LOCKS == 1u << (64 - 59), "five bits of a product are the number of a lock");

static size_t weight(mi_page_t* page) { return mi_page_nslices(page) * MI_SLICE_SIZE; }

void mi_heap_pages_add(mi_heap_t* heap, mi_page_t* page) {
  mi_assert(mi_heap_is_listed(heap) && page->heap_next == NULL && page->heap_prev == NULL);
  if (heap->weighs) mi_pressure_hold_shared(weight(page));
  mi_lock(mi_heap_pages_lock(heap));
  page->heap_next = heap->pages;
  page->heap_prev = NULL;
  if (heap->pages != NULL) heap->pages->heap_prev = page;
  heap->pages = page;
  mi_unlock(mi_heap_pages_lock(heap));
}

void mi_heap_pages_unlink(mi_heap_t* heap, mi_page_t* page) {
  mi_assert(page->heap_prev == NULL ? heap->pages == page : page->heap_prev->heap_next == page);
  mi_assert(page->heap_next == NULL || page->heap_next->heap_prev == page);
  if (heap->weighs) mi_pressure_drop_shared(weight(page));
  if (page->heap_prev != NULL) page->heap_prev->heap_next = page->heap_next;
  else heap->pages = page->heap_next;
  if (page->heap_next != NULL) page->heap_next->heap_prev = page->heap_prev;
  page->heap_next = page->heap_prev = NULL;
}

void mi_heap_pages_remove(mi_heap_t* heap, mi_page_t* page) {
  mi_lock(mi_heap_pages_lock(heap));
  mi_heap_pages_unlink(heap, page);
  mi_unlock(mi_heap_pages_lock(heap));
}

/* One before the other, which nobody else does: each is taken by itself. */
void mi_heap_pages_before_fork(void) {
  for (size_t i = 0; i < MI_HEAP_LOCKS; i++) mi_lock(&locks[i].lock);
}

void mi_heap_pages_after_fork(bool child) {
  for (size_t i = 0; i < MI_HEAP_LOCKS; i++) (child ? &mi_lock_reset : &mi_unlock)(&locks[i].lock);
}

void mi_heap_pages_resized(mi_page_t* page, size_t nslices) {
  mi_assert(nslices > 0);
  /* The block is live: its heap does not end meanwhile. */
  if (!mi_load_relaxed(&page->xheap)->weighs) return;
  mi_pressure_hold_shared(weight(page));
  mi_pressure_drop_shared(nslices * MI_SLICE_SIZE);
}
