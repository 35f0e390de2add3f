/* See realloc.h. */
#include <errno.h>
#include <string.h>

#include "memory.h"
#include "move.h"
#include "policy.h"
#include "heap_pages.h"
#include "cache.h"
#include "purger.h"
#include "report.h"
#include "sampler.h"
#include "realloc.h"

/* A single page's only block, held by the caller: room for `size` bytes behind its start, if it can be
   without moving. */
static bool single_resize(mi_page_t* page, size_t size) {
  mi_assert(mi_page_is_single(page) && size <= MI_ADDRESSES);
  size = mi_align_up(mi_max(size, 1), mi_os_page_size());
  /* Not an offset block (its field is the caller's), nor one with a mapping of its own. */
  if (mi_load_relaxed(&page->xinner) != 0 || page->arena == MI_ARENA_NONE) return false;
  const size_t nslices = mi_page_nslices(page);
  if (mi_divide_up(size, MI_SLICE_SIZE) != nslices && !mi_memory_resize(page, size)) return false;
  mi_heap_pages_resized(page, nslices);
  mi_store_relaxed(&page->xsize, size);
  return true;
}

/* A page with a mapping of its own: grown or shrunk with it; the block moves without being copied. */
static void* mapping_resize(mi_page_t* page, size_t size) {
  mi_assert(mi_page_is_single(page) && page->arena == MI_ARENA_NONE);
  size = mi_align_up(size, mi_os_page_size());
  /* Not an offset block (the caller's field): its inner pointer would move. */
  if (mi_load_relaxed(&page->xinner) != 0) return NULL;
  mi_page_map(page, false);                                               /* nobody else has the block */
  const size_t nslices = mi_page_nslices(page);
  const bool ok = mi_mapping_resize(page, mi_page_size(page), size);
  if (ok) mi_heap_pages_resized(page, nslices);
  mi_store_relaxed(&page->xtop, (uintptr_t)page->start);  /* shown to others together with the block */
  mi_page_map(page, true);  /* its leaf exists: mi_mapping_resize made it */
  return ok ? page->start : NULL;
}

void* mi_block_expand(void* p, size_t newsize) {
  mi_block_t* block;
  if (p == NULL || newsize > MI_ADDRESSES) return NULL;
  mi_page_t* page = mi_block_find(p, &block, true);
  if (page == NULL) return NULL;
  const size_t at = (uintptr_t)p - (uintptr_t)block;
  const size_t usable = mi_page_size(page) - at;
  if (newsize <= usable) {
    if (!mi_policy_block_stays(usable, newsize)) mi_block_believe(page);
  }
  else if (!mi_page_is_single(page) || at != 0 || !single_resize(page, newsize)) return NULL;
  mi_sampler_expanded(page, newsize);
  return p;
}

/* p's block where it is, or its mapping elsewhere; NULL: it has to be copied. */
static void* block_resize(mi_page_t* page, mi_block_t* block, void* p, size_t newsize) {
  mi_assert((uintptr_t)p - (uintptr_t)block < mi_page_size(page));
  const size_t at = (uintptr_t)p - (uintptr_t)block;
  const size_t usable = mi_page_size(page) - at;
  const bool large = newsize > MI_MEDIUM_MAX && mi_page_is_single(page) && at == 0;
  if (large && page->arena == MI_ARENA_NONE) return mapping_resize(page, newsize);
  if (large && !(mi_policy_leaves_early(usable, newsize) && mi_memory_is_narrow(page))
      && single_resize(page, newsize))
    return p;
  return mi_policy_block_stays(usable, newsize) ? p : NULL;
}

/* The contents of a single page's block, `old` bytes, in a new one that is larger. */
static void* block_grown(mi_lheap_t* lh, mi_page_t* page, size_t old, size_t newsize) {
  mi_assert(mi_page_is_single(page) && old < newsize);
  bool zero;
  void* q = mi_alloc_malloc_growing(lh, newsize, mi_policy_wants_headroom(old, newsize), &zero);
  if (q == NULL) return NULL;
  const mi_os_result_t moved =
      mi_policy_moves(mi_page_nslices(page), zero) ? mi_move_slices(page, mi_page_of(q)) : MI_OS_NOT;
  if (moved == MI_OS_LOST) {  /* q is not ours any more: nothing moves from now on */
    mi_free_as(q, lh->owner, lh->owner->id);
    q = mi_alloc_malloc_growing(lh, newsize, false, &zero);
    if (q == NULL) return NULL;
  }
  if (moved != MI_OS_DONE) memcpy(q, page->start, old);
  return q;
}

static void zero_tail(void* p, size_t from) {
  const size_t usable = mi_block_usable(p);
  if (from < usable) memset((uint8_t*)p + from, 0, usable - from);
}

void* mi_realloc_block(mi_lheap_t* lh, void* p, size_t newsize, size_t align, size_t offset, bool zero) {
  if (align != 0 && !mi_is_pow2(align)) return mi_report_fail(MI_ERROR_ALIGNMENT, newsize);
  if (newsize > MI_SIZE_LIMIT) return mi_report_fail(MI_ERROR_TOO_LARGE, newsize);
  if (newsize > MI_ADDRESSES) return mi_report_fail(MI_ERROR_NO_MEMORY, newsize);
  if (p == NULL) return mi_aligned_block(lh, newsize, mi_max(align, 1), offset, zero);
  mi_block_t* block;
  mi_page_t* page = mi_block_find(p, &block, true);
  if (page == NULL) { errno = EINVAL; return NULL; }                      /* reported by mi_block_find */
  const size_t old_size = mi_page_size(page);
  const size_t old = old_size - ((uintptr_t)p - (uintptr_t)block);
  const bool fits = align == 0 || (((uintptr_t)p + offset) & (align - 1)) == 0;
  if (fits && align <= MI_SLICE_SIZE) {  /* a mapping moves to a multiple of the slice */
    void* same = block_resize(page, block, p, newsize);
    if (same != NULL) {
      if (mi_page_is_single(page)) mi_sampler_resized(lh, page, newsize, old_size);
      if (align != 0 && (offset & (align - 1)) != 0) mi_block_believe(page);
      if (zero) zero_tail(same, mi_min(old, newsize));
      /* Slices went back, and nobody may come later. */
      if (same == p && mi_page_size(page) - ((uintptr_t)p - (uintptr_t)block) < old) mi_purger_ended();
      return same;
    }
  }
  const bool grows =
      align == 0 && newsize > mi_max(old, MI_MEDIUM_MAX) && mi_page_is_single(page) && page->start == p;
  void* q = grows ? block_grown(lh, page, old, newsize)
                  : mi_aligned_block(lh, newsize, mi_max(align, 1), offset, false);
  if (q == NULL) return NULL;
  if (!grows) memcpy(q, p, mi_min(old, newsize));
  if (zero) zero_tail(q, mi_min(old, newsize));
  mi_free_as(p, lh->owner, lh->owner->id);
  return q;
}
