/* See heap.h. */
#include "heap.h"

mi_heap_t mi_main_heap = { .xid = 1, .arena = MI_ARENA_NONE, .is_main = true, .lock = MI_LOCK_INIT(MI_RANK_HEAP) };

void mi_heap_page_add(mi_heap_t* heap, mi_page_t* page) {
  mi_lock(&heap->lock);
  page->heap_next = heap->pages;
  page->heap_prev = NULL;
  if (heap->pages != NULL) heap->pages->heap_prev = page;
  heap->pages = page;
  mi_unlock(&heap->lock);
}

void mi_heap_page_unlink(mi_heap_t* heap, mi_page_t* page) {
  if (page->heap_prev != NULL) page->heap_prev->heap_next = page->heap_next; else heap->pages = page->heap_next;
  if (page->heap_next != NULL) page->heap_next->heap_prev = page->heap_prev;
  page->heap_next = page->heap_prev = NULL;
}

void mi_heap_page_remove(mi_heap_t* heap, mi_page_t* page) {
  mi_lock(&heap->lock);
  mi_heap_page_unlink(heap, page);
  mi_unlock(&heap->lock);
}
