/* A block with a page of its own: cached, or from memory.
   Owner-only. */
#ifndef MI_SINGLE_H
#define MI_SINGLE_H

#include "lheap.h"

/* A block over MI_MEDIUM_MAX whose page was cached (cache.h); NULL if there is none, or it is time for the
   slow path. */
mi_noinline void* mi_single_malloc_cached(mi_lheap_t* lh, size_t size);
/* The same where the caller knows that it is not time for that. */
void* mi_single_malloc_again(mi_lheap_t* lh, size_t size);

/* A block aligned to any power of two; `headroom`: to grow in place, if there is any
   (mi_memory_claim_headroom). *zero: are zeros wanted? And then: it is all zeros. NULL if there is no
   memory. */
void* mi_single_malloc(mi_lheap_t* lh, size_t size, size_t align, bool headroom, bool* zero);

#endif
