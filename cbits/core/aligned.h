/* Aligned blocks. Owner-only. Called by the rings and realloc.c. */
#ifndef MI_ALIGNED_H
#define MI_ALIGNED_H

#include "alloc.h"

/* A block p of `size` bytes with p + offset a multiple of `align`, any power of two; zeroed if `zero`.
   NULL and errno: EINVAL for another alignment, ENOMEM. */
void* mi_lheap_aligned(mi_lheap_t* lh, size_t size, size_t align, size_t offset, bool zero);

/* For functions that always ask for an alignment, where 0 is a mistake: it stays one (3 is no power of two either). */
mi_inline size_t mi_align_asked(size_t align) { return align == 0 ? 3 : align; }

#endif
