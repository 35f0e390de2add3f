/* See aligned.h. */
#include <string.h>

#include "aligned.h"
#include "memory.h"
#include "free.h"
#include "report.h"
#include "os.h"

/* Page starts are multiples of the slice, and a class whose size is a multiple of the alignment has
   only aligned blocks; rounding the size up to the alignment finds such a class: classes are
   multiples of their step, and of the alignment too where that is larger than the step. */
static void* aligned_block(mi_lheap_t* lh, size_t size, size_t align, bool zero) {
  if (align <= MI_SLICE_SIZE) {
    size = mi_align_up(mi_max(size, 1), align);
    void* p = zero ? mi_alloc_zalloc(lh, size) : mi_alloc_malloc(lh, size);
    mi_assert(((uintptr_t)p & (align - 1)) == 0);
    return p;
  }
  bool is_zero = zero;
  void* p = mi_alloc_malloc_single(lh, size, align, &is_zero);
  if (p != NULL && zero && !is_zero) memset(p, 0, mi_page_size(mi_page_of(p)));
  return p;
}

/* No class helps when the offset is no multiple of the alignment: room for both in a larger block,
   and a note that says so. */
static void* offset_block(mi_lheap_t* lh, size_t size, size_t align, size_t offset, bool zero) {
  size_t total;
  if (__builtin_add_overflow(size, align + 2 * sizeof(uintptr_t), &total) || total > MI_SIZE_LIMIT) {
    return mi_report_fail(MI_ERROR_TOO_LARGE, size);
  }
  uint8_t* block = zero ? mi_alloc_zalloc(lh, total) : mi_alloc_malloc(lh, total);
  if (block == NULL) return NULL;
  const uintptr_t least = (uintptr_t)block + 2 * sizeof(uintptr_t) + offset;
  uint8_t* p = block + 2 * sizeof(uintptr_t) + (mi_align_up(least, align) - least);
  mi_page_t* page = mi_page_of(block);
  if (page->arena == MI_ARENA_NONE && !mi_pagemap_prepare(p, 1)) {         /* an arena has its leaves */
    mi_free_as(block, lh->owner, lh->owner->id);
    return mi_report_fail(MI_ERROR_NO_MEMORY, size);
  }
  mi_assert((((uintptr_t)p + offset) & (align - 1)) == 0 && p + size <= block + mi_page_size(page));
  mi_page_set_offset(page, block, p);
  return p;
}

void* mi_aligned_block(mi_lheap_t* lh, size_t size, size_t align, size_t offset, bool zero) {
  if (!mi_is_pow2(align)) return mi_report_fail(MI_ERROR_ALIGNMENT, size);
  if (size > MI_SIZE_LIMIT || align > MI_SIZE_LIMIT - size) return mi_report_fail(MI_ERROR_TOO_LARGE, size);
  offset &= align - 1;
  return offset == 0 ? aligned_block(lh, size, align, zero) : offset_block(lh, size, align, offset, zero);
}

/* ---- what a sized free may say ---- */

/* The usable bytes of a block for this request. */
static size_t size_given(size_t size, size_t align) {
  if (align > MI_SLICE_SIZE) return mi_align_up(mi_max(size, 1), mi_os_page_size());
  return mi_size_good(mi_align_up(mi_max(size, 1), align));
}

/* By a request for these bytes; or a realloc left it where it is, which wastes no more than half. `size` is
   at most `usable`. */
static bool size_suits(size_t usable, size_t size, size_t align) {
  mi_assert(size <= usable && mi_is_pow2(align));
  return size >= usable / 2 || size_given(size, align) == usable;
}

void mi_block_believe(mi_page_t* page) {
  /* Read by who frees the block, who has it from its resizer. */
  mi_store_relaxed(&page->xbelieved, true);
}
static bool is_believed(mi_page_t* page) { return mi_load_relaxed(&page->xbelieved); }          /* as above */

/* By any alignment that the pointer has. */
static bool size_suits_somehow(const void* p, size_t usable, size_t size) {
  for (size_t align = 1; align <= 2 * MI_SLICE_SIZE && ((uintptr_t)p & (align - 1)) == 0; align *= 2) {
    if (size_suits(usable, size, align)) return true;
  }
  return false;
}

bool mi_block_suits_align(const void* p, size_t align) {
  mi_block_t* block;
  mi_page_t* page = p == NULL ? NULL : mi_block_find(p, &block, false);
  /* An offset block: something behind p is aligned. */
  if (page == NULL || block != p || !mi_is_pow2(align) || ((uintptr_t)p & (align - 1)) == 0) return true;
  if (is_believed(page)) return true;
  mi_report_misuse(MI_ERROR_FREE_ALIGNMENT, p, mi_page_size(page));
  return false;
}

bool mi_block_suits(const void* p, size_t size, size_t align) {
  mi_block_t* block;
  mi_page_t* page = p == NULL ? NULL : mi_block_find(p, &block, false);
  if (page == NULL) return true;
  if (!mi_block_suits_align(p, mi_max(align, 1))) return false;
  const size_t usable = mi_page_size(page) - ((uintptr_t)p - (uintptr_t)block);
  const bool known = mi_is_pow2(align);
  if (size <= usable
      && (block != p || is_believed(page)
          || (known ? size_suits(usable, size, align) : size_suits_somehow(p, usable, size))))
    return true;
  mi_report_misuse(MI_ERROR_FREE_SIZE, p, mi_page_size(page));
  return false;
}
