/* Holes: OS pages of a small or medium page that no live block touches, given back while the page is
   nobody's. Mark and link of a free block that is touched may be gone, so it is in no list; whoever adopts
   the page puts it back into one. Holder, but for what says any-thread. */
#ifndef MI_HOLES_H
#define MI_HOLES_H

#include "memory.h"
#include "page.h"

/* A bit for each block of a page. */
typedef struct { uint64_t bits[MI_SLICE_SIZE / MI_GRANULE / 64]; } mi_block_bits_t;
_Static_assert(MI_SLICE_SIZE / MI_GRANULE >= MI_MEDIUM_SLICES * MI_SLICE_SIZE / MI_SMALL_MAX,
               "one bit for each block of any page: small pages have the most");
mi_inline bool mi_block_bit(const mi_block_bits_t* of, size_t i) {
  return (of->bits[i / 64] >> (i % 64) & 1) != 0;
}

/* The blocks that are free: in `free`, in `local_free`, or touched by a hole. Returns how many. */
uint32_t mi_holes_free_blocks(mi_page_t* page, mi_block_bits_t* is_free);

/* A page that has waited: gives the OS pages back that no live block touches. False: it has no holes. */
bool mi_holes_make(mi_page_t* page);
/* Every block is in a list again. */
void mi_holes_undo(mi_page_t* page);
/* Nothing is live in it, nor will any block be looked at. */
void mi_holes_forget(mi_page_t* page);

/* Any thread. Does a hole touch this block of a small or medium page? Then it is free. */
bool mi_holes_touch(mi_page_t* page, const mi_block_t* block);

#endif
