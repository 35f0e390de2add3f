/* Allocation. The fast half. docs/DESIGN.md, section 4.
   Owner-only: the local heap is the identity. Functions on sizes (mi_size_): any thread.

   The call tree of an allocation:
     mi_alloc_malloc                 size has a page in `direct`, and that a free block: pop, done
       mi_alloc_malloc_generic       anything else
         mi_alloc_malloc_queued      .. the first page of its queue has one, or one of its own is cached
         mi_alloc_malloc_slow        .. the queue's pages, adoption, a fresh page */
#ifndef MI_ALLOC_H
#define MI_ALLOC_H

#include <string.h>

#include "options.h"
#include "single.h"

mi_noinline void* mi_alloc_malloc_generic(mi_lheap_t* lh, size_t size);
/* The slow path of an allocation of `size` bytes, at most MI_SIZE_LIMIT. NULL and errno if there is no
   memory. *zero: are zeros wanted? And then: the block is all zeros. */
void* mi_alloc_malloc_slow(mi_lheap_t* lh, size_t size, bool* zero);
/* A block with a page of its own, aligned to any power of two. */
void* mi_alloc_malloc_single(mi_lheap_t* lh, size_t size, size_t align, bool* zero);
/* The same for a block that grows; no zeros are wanted. `headroom`: where it can go on growing, if there is
   any (mi_memory_claim_headroom). */
void* mi_alloc_malloc_growing(mi_lheap_t* lh, size_t size, bool headroom, bool* zero);

/* Pops a block; NULL if there is none, or if it was written to. FAST */
mi_inline void* mi_alloc_pop(mi_page_t* page) {
  mi_block_t* block = mi_returned(page->free);
  /* Shown with the list; so is that a live one has none. */
  if (mi_unlikely(mi_load_relaxed(&block->xmark) != page->key)) return NULL;
  mi_block_t* next = block->next;
  page->free = next;
  mi_prefetch_write(next);  /* another thread may have freed it */
  mi_own_increment(&page->xused);
  mi_store_relaxed(&block->xmark, 0);  /* the caller's, who shows it to others */
  return block;
}

/* A small block from a page with a free one; NULL: take the generic way. FAST */
mi_inline void* mi_alloc_malloc_fast(mi_lheap_t* lh, size_t size) {
  if (mi_unlikely(size > MI_DIRECT_MAX)) return NULL;
  return mi_alloc_pop(lh->direct[(size + MI_GRANULE - 1) / MI_GRANULE]);
}

/* The same, zeroed: all usable bytes. FAST */
mi_inline void* mi_alloc_zalloc_fast(mi_lheap_t* lh, size_t size) {
  if (mi_unlikely(size > MI_DIRECT_MAX)) return NULL;
  mi_page_t* page = lh->direct[(size + MI_GRANULE - 1) / MI_GRANULE];
  void* p = mi_alloc_pop(page);
  return mi_likely(p != NULL) ? memset(p, 0, mi_page_size(page)) : NULL;
}

/* Fills `free`, which is empty, of a page with what its holder freed, or with one more block of those that
   come one at a time. False: neither is there. FAST */
mi_inline bool mi_alloc_refill(mi_page_t* page) {
  mi_assert(page->free == &mi_nil);
  if (mi_load_relaxed(&page->local_free->xmark) == page->key) {           /* its own */
    page->free = page->local_free;
    page->local_free = &mi_nil;
  }
  else {
    if (page->capacity == page->reserved || page->local_free != &mi_nil
        || 2 * mi_page_size(page) <= MI_EXTEND_BYTES)
      return false;
    /* A hint: those that others freed go first. */
    if (mi_xword_head(mi_load_relaxed(&page->xword)) != 0 || !mi_page_extend(page)) return false;
  }
  return true;
}

/* A block of a queue's first page whose `free` is empty: what a page of a few blocks comes to again and
   again. Not when it is time for a sweep, which the slow path sees to. FAST */
mi_inline void* mi_alloc_malloc_own(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(page->lheap == lh && mi_page_is_listed(page));
  if (page->free != &mi_nil) return NULL;
  if (mi_unlikely(!mi_lheap_may_skip(lh)) || !mi_alloc_refill(page)) return NULL;
  lh->tick++;
  return mi_alloc_pop(page);
}

/* The same from the first page of its queue: what has no place in `direct`, and what the holder freed. Or a
   page of its own that was cached. FAST */
mi_inline void* mi_alloc_malloc_queued(mi_lheap_t* lh, size_t size) {
  if (size > MI_MEDIUM_MAX) return mi_single_malloc_cached(lh, size);
  mi_page_t* page = lh->queue[mi_bin_of(size)].first;
  if (page == NULL) return NULL;
  void* p = mi_alloc_pop(page);
  return mi_likely(p != NULL) ? p : mi_alloc_malloc_own(lh, page);
}

mi_inline void* mi_alloc_malloc(mi_lheap_t* lh, size_t size) {
  void* p = mi_alloc_malloc_fast(lh, size);
  return mi_likely(p != NULL) ? p : mi_alloc_malloc_generic(lh, size);
}

/* n * size; if that overflows, a size that every request fails with, since it is too large. */
mi_inline size_t mi_size_times(size_t n, size_t size) {
  size_t total;
  return mi_likely(mi_mul(n, size, &total)) ? total : SIZE_MAX;
}

/* The bytes a block for `size` has / `size` in whole pages of the system, one at least; what is over
   PTRDIFF_MAX is given back as it is. */
size_t mi_size_good(size_t size);
size_t mi_size_pages(size_t size);

/* Sizes over PTRDIFF_MAX: NULL and errno. Zeroed: all usable bytes. */
void* mi_alloc_zalloc(mi_lheap_t* lh, size_t size);
/* Copies of text; s == NULL gives NULL. */
char* mi_alloc_strdup(mi_lheap_t* lh, const char* s);
char* mi_alloc_strndup(mi_lheap_t* lh, const char* s, size_t n);
char* mi_alloc_realpath(mi_lheap_t* lh, const char* name, char* resolved);

#endif
