/* Resizing. Owner-only, but for mi_block_expand. Called by the rings. */
#ifndef MI_REALLOC_H
#define MI_REALLOC_H

#include "aligned.h"
#include "free.h"

/* Any thread that has the block: p if the block has or can be given newsize bytes where it is; else NULL. */
void* mi_block_expand(void* p, size_t newsize);

/* A block of newsize bytes with p's contents up to the smaller size; p is freed unless NULL is
   returned. align 0: none asked for. zero: what is beyond the old size is zero (docs/DESIGN.md, section 6). */
void* mi_lheap_realloc(mi_lheap_t* lh, void* p, size_t newsize, size_t align, size_t offset, bool zero);

#endif
