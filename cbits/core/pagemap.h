/* The page map: an address, any address, to its page. docs/protocols.md, section 6.
   Look-ups any-thread; entries are written by the holder of the slices.

   Entries are relative to &mi_pagemap, so zero (what fresh memory holds) means "none": root entry 0
   leads to `empty`, leaf entry 0 to `none`, the all-zero page whose owner is nobody. */
#ifndef MI_PAGEMAP_H
#define MI_PAGEMAP_H

#include "types.h"

#define MI_PAGEMAP_LEAF 65536u      /* entries: 4 GiB of addresses */
#define MI_PAGEMAP_ROOT 65536u      /* entries: 48 bits of address */

typedef struct {
  union {
    mi_page_t none;
    mi_atomic(uintptr_t) empty[MI_PAGEMAP_LEAF];
  } zero;                           /* never written */
  mi_atomic(uintptr_t) root[MI_PAGEMAP_ROOT];   /* distance to a leaf, in words */
} mi_pagemap_t;

extern mi_pagemap_t mi_pagemap;

/* The page that p is in, or &mi_pagemap.zero.none. Bits 48.. of p are not looked at.
   Relaxed: an entry of the root is written once, before any block of its 4 GiB exists, so whoever has
   such a block has it after that write. */
mi_inline mi_page_t* mi_page_of(const void* p) {
  const uintptr_t base = (uintptr_t)&mi_pagemap;
  const uintptr_t word = mi_add_loaded((uint32_t)(uintptr_t)p >> MI_SLICE_SHIFT,
                                       &mi_pagemap.root[(uint16_t)((uintptr_t)p >> 32)]);
  mi_atomic(uintptr_t)* entry = (mi_atomic(uintptr_t)*)(base + word * sizeof(uintptr_t));
  return (mi_page_t*)mi_add_loaded(base, entry);  /* a live block's entry does not change while it lives */
}

/* Any-thread. Maps n slices from `start` to page (NULL: to none); false if a leaf cannot be had. */
bool mi_pagemap_set(const void* start, size_t nslices, const mi_page_t* page);
/* Makes the leaves for a range, so that mi_pagemap_set there cannot fail. */
bool mi_pagemap_prepare(const void* start, size_t size);
/* The same for one address that is not known yet: memory for a leaf, NULL if there is none, and what becomes
   of it: it is the leaf for p, if that has none, or it is given back. */
void* mi_pagemap_spare(void);
void mi_pagemap_prepare_with(const void* p, void* spare);
/* Any-thread. All memory is locked: from now on the map is not, so that the little that is used of it is all
   that counts. */
void mi_pagemap_unlock(void);

#endif
