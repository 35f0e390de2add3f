/* Resizing. Owner-only, but for mi_block_expand. */
#ifndef MI_REALLOC_H
#define MI_REALLOC_H

#include "aligned.h"
#include "free.h"

/* Any thread that has the block: p if the block has or can be given newsize bytes where it is; else NULL. */
void* mi_block_expand(void* p, size_t newsize);

/* The size of a live block of owner `id`'s, given its start; 0 for anything else. FAST */
mi_inline size_t mi_block_size_local(const void* p, uintptr_t id) {
  mi_page_t* page = mi_page_of(p);
  if (mi_load_relaxed(&page->xowner) != id || !mi_page_is_start(page, p)) return 0;  /* as in mi_free_local */
  return mi_block_is_marked(p, &page->key) ? 0 : mi_page_size(page);
}

/* A block of newsize bytes with p's contents up to the smaller size; p is freed unless NULL is
   returned. align 0: none asked for. zero: what is beyond the old size is zero. */
void* mi_realloc_block(mi_lheap_t* lh, void* p, size_t newsize, size_t align, size_t offset, bool zero);

#endif
