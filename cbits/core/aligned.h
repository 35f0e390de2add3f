/* Aligned blocks. Owner-only. Called by the rings and realloc.c. */
#ifndef MI_ALIGNED_H
#define MI_ALIGNED_H

#include "alloc.h"

/* A block p of `size` bytes with p + offset a multiple of `align`, any power of two; zeroed if `zero`.
   NULL and errno: EINVAL for another alignment, ENOMEM. */
void* mi_lheap_aligned(mi_lheap_t* lh, size_t size, size_t align, size_t offset, bool zero);

#endif
