/* Memory for pages: from whichever arena has it, a new one, or a mapping of its own.
   Any thread; a page is given back and resized by its holder. */
#ifndef MI_MEMORY_H
#define MI_MEMORY_H

#include "mapping.h"
#include "slices.h"

/* A page of `size` bytes, committed, its start aligned (to a slice at least): its structure with
   start, nslices and arena set, not yet mapped; *zero: its memory is. From the arena with that
   number only, unless MI_ARENA_NONE. NULL if there is no memory. */
mi_page_t* mi_memory_claim(size_t size, size_t align, uint16_t number, bool* zero);
/* The same for who wants zeros: only what was used before is cleared. (Where all of it was used, and it is
   not much, the caller clears it: *zero is false then.) */
mi_page_t* mi_memory_claim_cleared(size_t size, size_t align, uint16_t number, bool* zero);
/* The same from any arena that is there, and only if part of it was used before; else NULL. */
mi_page_t* mi_memory_claim_touched(size_t size, size_t align, bool* zero);
/* The same where MI_HEADROOM_MOST bytes are free, or a half of that and so on to twice the size, of which the
   page is the start: for a block that grows. In an arena's upper half, so that what is claimed first-fit does
   not come to lie behind it. NULL if there is no such room now and none is to be had. */
mi_page_t* mi_memory_claim_headroom(size_t size, uint16_t number, bool* zero);
/* Is the page's arena too small for such a place, and may a larger one be had? Then a block that goes on
   growing in it will have to be copied. */
bool mi_memory_is_narrow(const mi_page_t* page);
/* Gives all slices of an unmapped page back. */
void mi_memory_give(mi_page_t* page);
/* Changes the size of a single page in place; false if that cannot be. */
bool mi_memory_resize(mi_page_t* page, size_t size);

/* The live page that p, any address, points into; NULL if there is none. */
mi_page_t* mi_memory_page_of(const void* p);

/* The most bytes that a block can have, whatever else is freed: from the arena with that number, or
   MI_ARENA_NONE. */
size_t mi_memory_most(uint16_t number);

/* Committed bytes that may be resident: without what was given back inside pages. A statistic. */
size_t mi_memory_committed(void);
/* A number that changes when slices become free. */
uint64_t mi_memory_changes(void);

#endif
