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
  mi_found_t f;
  if (p == NULL || newsize > MI_ADDRESSES || !mi_block_hold(p, &f)) return NULL;
  const size_t at = (uintptr_t)p - (uintptr_t)f.block;
  const size_t usable = mi_page_size(f.page) - at;
  const bool ok = newsize <= usable
                  || (mi_page_is_single(f.page) && at == 0 && single_resize(f.page, newsize));
  if (newsize <= usable && !mi_policy_block_stays(usable, newsize)) mi_block_believe(f.page);
  if (ok) mi_sampler_expanded(f.page, newsize);
  mi_block_let_go(&f);
  return ok ? p : NULL;
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

/* For its contents to be read, while q was allocated for them the block had been let go. False: its heap was
   destroyed meanwhile, and q is freed. */
static bool hold_again(mi_lheap_t* lh, const void* p, mi_found_t* f, void* q) {
  const uint64_t key = f->key;
  if (!f->ends) return true;
  bool ok = mi_block_hold(p, f);
  if (ok && f->key != key) {
    mi_block_let_go(f);
    mi_report_misuse(MI_ERROR_DOUBLE_FREE, p, 0);
    ok = false;
  }
  if (ok) return true;
  mi_free_as(q, lh->owner, lh->owner->id);
  errno = EINVAL;
  return false;
}

/* The contents of a single page's block, `old` bytes, in a new one that is larger. */
static void* block_grown(mi_lheap_t* lh, void* p, mi_found_t* f, size_t old, size_t newsize) {
  mi_assert(old < newsize);
  bool zero;
  void* q = mi_alloc_malloc_growing(lh, newsize, mi_policy_wants_headroom(old, newsize), &zero);
  if (q == NULL || !hold_again(lh, p, f, q)) return NULL;
  const mi_os_result_t moved =
      mi_policy_moves(mi_page_nslices(f->page), zero) ? mi_move_slices(f->page, mi_page_of(q)) : MI_OS_NOT;
  if (moved == MI_OS_LOST) {  /* q is not ours any more: nothing moves from now on */
    mi_block_let_go(f);
    mi_free_as(q, lh->owner, lh->owner->id);
    q = mi_alloc_malloc_growing(lh, newsize, false, &zero);
    if (q == NULL || !hold_again(lh, p, f, q)) return NULL;
  }
  if (moved != MI_OS_DONE) memcpy(q, p, old);
  mi_block_let_go(f);
  return q;
}

/* The first n bytes of a block's contents in a new one. */
static void* block_copied(mi_lheap_t* lh, void* p, mi_found_t* f, size_t n, size_t newsize, size_t align,
                          size_t offset) {
  void* q = mi_aligned_block(lh, newsize, align, offset, false);
  if (q == NULL || !hold_again(lh, p, f, q)) return NULL;
  memcpy(q, p, n);
  mi_block_let_go(f);
  return q;
}

static void zero_tail(void* p, size_t from, size_t usable) {
  if (from < usable) memset((uint8_t*)p + from, 0, usable - from);
}

/* A block that is held: resized without being copied, and what comes new is zero if `zero`. NULL: it has to
   be copied. */
static void* resized(mi_lheap_t* lh, void* p, const mi_found_t* f, size_t newsize, bool offset, bool zero) {
  const size_t at = (uintptr_t)p - (uintptr_t)f->block, old_size = mi_page_size(f->page);
  void* same = block_resize(f->page, f->block, p, newsize);
  if (same == NULL) return NULL;
  if (mi_page_is_single(f->page)) mi_sampler_resized(lh, f->page, newsize, old_size);
  if (offset) mi_block_believe(f->page);
  if (zero) zero_tail(same, mi_min(old_size - at, newsize), mi_page_size(f->page) - at);
  return same;
}

void* mi_realloc_block(mi_lheap_t* lh, void* p, size_t newsize, size_t align, size_t offset, bool zero) {
  if (align != 0 && !mi_is_pow2(align)) return mi_report_fail(MI_ERROR_ALIGNMENT, newsize);
  if (newsize > MI_SIZE_LIMIT) return mi_report_fail(MI_ERROR_TOO_LARGE, newsize);
  if (newsize > MI_ADDRESSES) return mi_report_fail(MI_ERROR_NO_MEMORY, newsize);
  if (p == NULL) return mi_aligned_block(lh, newsize, mi_max(align, 1), offset, zero);
  mi_found_t f;
  if (!mi_block_hold(p, &f)) { errno = EINVAL; return NULL; }             /* reported */
  const size_t old = mi_page_size(f.page) - ((uintptr_t)p - (uintptr_t)f.block);
  const bool single = mi_page_is_single(f.page);
  const bool fits = align == 0 || (((uintptr_t)p + offset) & (align - 1)) == 0;
  void* same = NULL;
  if (fits && align <= MI_SLICE_SIZE)    /* a mapping moves to a multiple of the slice */
    same = resized(lh, p, &f, newsize, align != 0 && (offset & (align - 1)) != 0, zero);
  const bool grows = align == 0 && newsize > mi_max(old, MI_MEDIUM_MAX) && single && f.block == p;
  const bool shrunk = same == p && mi_page_size(f.page) - ((uintptr_t)p - (uintptr_t)f.block) < old;
  mi_block_let_go(&f);
  if (shrunk) mi_purger_ended();         /* slices went back, and nobody may come later */
  if (same != NULL) return same;
  void* q = grows ? block_grown(lh, p, &f, old, newsize)
                  : block_copied(lh, p, &f, mi_min(old, newsize), newsize, mi_max(align, 1), offset);
  if (q == NULL) return NULL;
  if (zero) zero_tail(q, mi_min(old, newsize), mi_block_usable(q));
  mi_free_as(p, lh->owner, lh->owner->id);
  return q;
}
