/* Blocks with mappings of their own, and the list of them all.
   Any thread; a page is given back and resized by its holder. */
#ifndef MI_MAPPING_H
#define MI_MAPPING_H

#include "arena.h"

/* A block with a mapping of its own. The page map has the first slice and that of the page's `xinner`. */
typedef struct mi_mapping_s mi_mapping_t;
struct mi_mapping_s {
  mi_page_t     page;
  mi_mapping_t *next, *prev;        /* the list of all of them (its lock) */
};
/* Whose arena is MI_ARENA_NONE. */
mi_inline mi_mapping_t* mi_mapping_of(mi_page_t* page) { return (mi_mapping_t*)(void*)page; }

/* A page of `size` bytes whose start is aligned (to a slice at least), as mi_memory_claim makes it. NULL and
   ENOMEM. */
mi_page_t* mi_mapping_claim(size_t size, size_t align, bool* zero);
void mi_mapping_give(mi_page_t* page);
/* Moves a page with a mapping of its own to one of the new size; false leaves it. Its page map entry is the
   caller's. */
bool mi_mapping_resize(mi_page_t* page, size_t old_size, size_t size);

/* Calls visit for each, under the list's lock, so that none ends or is moved meanwhile; until it returns
   false. */
void mi_mapping_each(bool (*visit)(mi_page_t* page, void* arg), void* arg);
/* The live page that p points into; NULL. */
mi_page_t* mi_mapping_page_of(const void* p);

void mi_mapping_before_fork(void);
void mi_mapping_after_fork(bool child);

#endif
