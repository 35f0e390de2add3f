/* Aligned blocks. Owner-only. */
#ifndef MI_ALIGNED_H
#define MI_ALIGNED_H

#include "alloc.h"
#include "free.h"

/* A block p of `size` bytes with p + offset a multiple of `align`, any power of two; zeroed if `zero`.
   NULL and errno: EINVAL for another alignment, ENOMEM. */
void* mi_aligned_block(mi_lheap_t* lh, size_t size, size_t align, size_t offset, bool zero);

/* For functions that always ask for an alignment, where 0 is a mistake: it stays one (3 is no power of two
   either). */
mi_inline size_t mi_align_asked(size_t align) { return align == 0 ? 3 : align; }

/* Frees that say what they free. Any thread. Is this a size that the block p may have been asked for by,
   aligned to `align` (a power of two; 0: not known), and p aligned so? False, and a report. What is no live
   block is the free's to report: true. */
mi_noinline bool mi_block_suits(const void* p, size_t size, size_t align);
mi_noinline bool mi_block_suits_align(const void* p, size_t align);
/* For who resizes a live block of the page where it is, so that no request would be given this block: to so
   little, or to an alignment that something behind its start happens to have. From here on a free of a block
   of the page may say whatever fits, while the page lives. */
void mi_block_believe(mi_page_t* page);

/* Most need no look at the block: of a class's size, or down to half of it or a granule less. The page of
   what is not ours has size 0. FAST */
mi_inline bool mi_block_suits_plainly(const void* p, size_t size, size_t align) {
  const size_t block_size = mi_page_size(mi_page_of(p));
  return ((uintptr_t)p & (align - 1)) == 0 && block_size - size <= mi_max(block_size / 2, MI_GRANULE);
}

#endif
