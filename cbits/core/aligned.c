/* See aligned.h. */
#include <string.h>

#include "aligned.h"
#include "arena.h"
#include "free.h"
#include "options.h"

/* Page starts are multiples of the slice, and a class whose size is a multiple of the alignment has
   only aligned blocks; rounding the size up to the alignment finds such a class: classes are
   multiples of their step, and of the alignment too where that is larger than the step. */
static void* aligned_block(mi_lheap_t* lh, size_t size, size_t align, bool zero) {
  if (align <= MI_SLICE_SIZE) {
    size = mi_align_up(mi_max(size, 1), align);
    return zero ? mi_lheap_zalloc(lh, size) : mi_lheap_malloc(lh, size);
  }
  bool is_zero = false;
  void* p = mi_lheap_malloc_single(lh, size, align, &is_zero);
  if (p != NULL && zero && !is_zero) memset(p, 0, mi_page_size(mi_page_of(p)));
  return p;
}

/* No class helps when the offset is no multiple of the alignment: room for both in a larger block,
   and a note that says so. */
static void* offset_block(mi_lheap_t* lh, size_t size, size_t align, size_t offset, bool zero) {
  size_t total;
  if (__builtin_add_overflow(size, align + 2 * sizeof(uintptr_t), &total) || total > MI_SIZE_LIMIT) {
    return mi_error_fail(MI_ERROR_TOO_LARGE, size);
  }
  uint8_t* block = zero ? mi_lheap_zalloc(lh, total) : mi_lheap_malloc(lh, total);
  if (block == NULL) return NULL;
  const uintptr_t least = (uintptr_t)block + 2 * sizeof(uintptr_t) + offset;
  uint8_t* p = block + 2 * sizeof(uintptr_t) + (mi_align_up(least, align) - least);
  mi_page_t* page = mi_page_of(block);
  if (page->arena == MI_ARENA_NONE && !mi_pagemap_prepare(p, 1)) {         /* an arena has its leaves */
    mi_free_as(block, lh->owner, lh->owner->id);
    return mi_error_fail(MI_ERROR_NO_MEMORY, size);
  }
  mi_page_set_offset(page, block, p);
  return p;
}

void* mi_lheap_aligned(mi_lheap_t* lh, size_t size, size_t align, size_t offset, bool zero) {
  if (!mi_is_pow2(align)) return mi_error_fail(MI_ERROR_ALIGNMENT, size);
  if (size > MI_SIZE_LIMIT || align > MI_SIZE_LIMIT - size) return mi_error_fail(MI_ERROR_TOO_LARGE, size);
  if (offset % align == 0) return aligned_block(lh, size, align, zero);
  return offset_block(lh, size, align, offset % align, zero);
}
