/* Blocks with mappings of their own, and the list of them all; files that are mapped; and those of both that
   were given back and wait to be unmapped, because somebody may still read them (frees_late in local.h; how
   long: mi_clock_is_paused).
   Any thread; a page is given back and resized by its holder. */
#ifndef MI_MAPPING_H
#define MI_MAPPING_H

#include "arena.h"

/* A block with a mapping of its own. The page map has the first slice and that of the page's `xinner`. */
typedef struct mi_mapping_s mi_mapping_t;
struct mi_mapping_s {
  mi_page_t     page;
  /* The list of all of them, or of those that wait, by next (the lock's). */
  mi_mapping_t *next, *prev;
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

/* A file's bytes, to be read. `weight`: what whoever has it counts for it. */
typedef struct mi_file_s mi_file_t;
struct mi_file_s {
  mi_file_t* next;                  /* while it waits to be unmapped (the lock's) */
  uint8_t*   start;
  size_t     size, weight;
};
/* NULL, and the system's error in errno. */
mi_file_t* mi_mapping_file(int fd, size_t size);
void mi_mapping_file_give(mi_file_t* file);

extern mi_atomic(bool) mi_mapping_xwaits;   /* something waits */
mi_noinline bool mi_mapping_unmap_those(bool anyway);
/* Unmaps what waits, but not in a pause, unless `anyway`. True: there was something. */
mi_inline bool mi_mapping_unmap_waiting(bool anyway) {
  /* A hint. */
  return mi_unlikely(mi_load_relaxed(&mi_mapping_xwaits)) && mi_mapping_unmap_those(anyway);
}

/* Calls visit for each, under the list's lock, so that none ends or is moved meanwhile; until it returns
   false. */
void mi_mapping_each(bool (*visit)(mi_page_t* page, void* arg), void* arg);
/* The same, and for those that wait: they are no blocks any more, but still committed. */
void mi_mapping_each_committed(bool (*visit)(mi_page_t* page, void* arg), void* arg);
/* The live page that p points into; NULL. */
mi_page_t* mi_mapping_page_of(const void* p);

void mi_mapping_before_fork(void);
void mi_mapping_after_fork(bool child);

#endif
