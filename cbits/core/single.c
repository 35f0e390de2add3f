/* See single.h. Owner-only. */
#include "cache.h"
#include "memory.h"
#include "os.h"
#include "single.h"

/* From an arena. For a large block: slices that were touched before, at best; and new ones only once the
   cache has given back what may lie between free ones. But not where zeros are wanted (*zero). */
static mi_page_t* single_claim(size_t size, size_t align, uint16_t arena, bool* zero) {
  if (*zero) return mi_memory_claim_cleared(size, align, arena, zero);
  if (mi_policy_empties_cache(size) && arena == MI_ARENA_NONE) {
    mi_page_t* page = mi_memory_claim_touched(size, align, zero);
    if (page != NULL) return page;
    mi_cache_flush_classes();
  }
  return mi_memory_claim(size, align, arena, zero);
}

static void* single_revive(mi_lheap_t* lh, size_t size) {
  /* This owner may use it: it is not deleted. */
  if (mi_heap_is_listed(mi_load_relaxed(&lh->xheap))) return NULL;
  size = mi_align_up(size, mi_os_page_size());
  mi_page_t* page = mi_cache_take(lh->owner->slot, mi_divide_up(size, MI_SLICE_SIZE));
  if (page == NULL) return NULL;
  mi_page_revive(page, size, lh->xid | 1);
  mi_lheap_count(&lh->xcounts.adopted_pages, 1);
  return page->start;
}

mi_inline void* malloc_again(mi_lheap_t* lh, size_t size) {
  void* p = single_revive(lh, size);
  if (p != NULL) lh->tick++;  /* only on success: the empty local heap is all threads', never written to */
  return p;
}

void* mi_single_malloc_cached(mi_lheap_t* lh, size_t size) {
  if (!mi_policy_looks_in_cache(size) || !mi_lheap_may_skip(lh)) return NULL;
  return malloc_again(lh, size);
}

void* mi_single_malloc_again(mi_lheap_t* lh, size_t size) {
  return mi_policy_looks_in_cache(size) ? malloc_again(lh, size) : NULL;
}

void* mi_single_malloc(mi_lheap_t* lh, size_t size, size_t align, bool headroom, bool* zero) {
  mi_assert(mi_is_pow2(align) && size <= MI_ADDRESSES);
  mi_heap_t* heap = mi_load_relaxed(&lh->xheap);                          /* as above */
  size = mi_align_up(mi_max(size, 1), mi_os_page_size());
  mi_page_t* page = headroom ? mi_memory_claim_headroom(size, heap->arena, zero) : NULL;
  if (page == NULL && align <= MI_SLICE_SIZE) {
    void* p = single_revive(lh, size);
    if (p != NULL) { *zero = false; return p; }
  }
  if (page == NULL) page = single_claim(size, align, heap->arena, zero);
  if (page == NULL) return NULL;
  if (!mi_page_init(page, size, MI_BIN_SINGLE, heap, lh->xid == 0 ? 0 : lh->xid | 1)) {
    mi_memory_give(page);
    return NULL;
  }
  if (mi_heap_is_listed(heap)) mi_heap_pages_add(heap, page);
  mi_lheap_count(&lh->xcounts.fresh_pages, 1);
  return page->start;
}
