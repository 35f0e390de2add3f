/* See heap.h. */
#include "heap.h"

mi_heap_t mi_heap_main = { .xid = 1, .arena = MI_ARENA_NONE, .is_main = true, .lock = MI_LOCK_INIT(MI_RANK_HEAP) };

static size_t weight(mi_page_t* page) { return mi_page_nslices(page) * MI_SLICE_SIZE; }

void mi_heap_page_add(mi_heap_t* heap, mi_page_t* page) {
  if (heap->weighs) mi_pressure_hold_shared(weight(page));
  mi_lock(&heap->lock);
  page->heap_next = heap->pages;
  page->heap_prev = NULL;
  if (heap->pages != NULL) heap->pages->heap_prev = page;
  heap->pages = page;
  mi_unlock(&heap->lock);
}

void mi_heap_page_unlink(mi_heap_t* heap, mi_page_t* page) {
  if (heap->weighs) mi_pressure_drop_shared(weight(page));
  if (page->heap_prev != NULL) page->heap_prev->heap_next = page->heap_next; else heap->pages = page->heap_next;
  if (page->heap_next != NULL) page->heap_next->heap_prev = page->heap_prev;
  page->heap_next = page->heap_prev = NULL;
}

void mi_heap_page_remove(mi_heap_t* heap, mi_page_t* page) {
  mi_lock(&heap->lock);
  mi_heap_page_unlink(heap, page);
  mi_unlock(&heap->lock);
}

void mi_heap_page_resized(mi_page_t* page, size_t nslices) {
  if (!mi_load_relaxed(&page->xheap)->weighs) return;                     /* the block is live: its heap does not end meanwhile */
  mi_pressure_hold_shared(weight(page));
  mi_pressure_drop_shared(nslices * MI_SLICE_SIZE);
}
