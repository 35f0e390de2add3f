/* See mapping.h. Any thread. */
#include <errno.h>

#include "clock.h"
#include "commit.h"
#include "mapping.h"
#include "meta.h"
#include "pagemap.h"
#include "where.h"

static mi_lock_t mappings_lock = MI_LOCK_INIT(MI_RANK_MAPPINGS);
/* The lock's, as are next and prev; start and xsize change under it once they are here. */
static mi_mapping_t* mappings;
/* The lock's: given back and not unmapped yet. */
static mi_mapping_t* waiting;
static mi_file_t* waiting_files;
mi_atomic(bool) mi_mapping_xwaits;       /* changed under the lock */

static void mapping_link(mi_mapping_t* m) {
  mi_lock(&mappings_lock);
  m->next = mappings;
  m->prev = NULL;
  if (mappings != NULL) mappings->prev = m;
  mappings = m;
  mi_unlock(&mappings_lock);
}

/* Under the lock. */
static void mapping_unlink(mi_mapping_t* m) {
  if (m->prev != NULL) m->prev->next = m->next; else mappings = m->next;
  if (m->next != NULL) m->next->prev = m->prev;
}

/* Under the lock. False: so did visit. */
static bool list_each(mi_mapping_t* list, bool (*visit)(mi_page_t* page, void* arg), void* arg) {
  for (mi_mapping_t *m = list, *next; m != NULL; m = next) {
    next = m->next;
    if (!visit(&m->page, arg)) return false;
  }
  return true;
}

void mi_mapping_each(bool (*visit)(mi_page_t* page, void* arg), void* arg) {
  mi_lock(&mappings_lock);
  list_each(mappings, visit, arg);
  mi_unlock(&mappings_lock);
}

void mi_mapping_each_committed(bool (*visit)(mi_page_t* page, void* arg), void* arg) {
  mi_lock(&mappings_lock);
  if (list_each(mappings, visit, arg)) list_each(waiting, visit, arg);
  mi_unlock(&mappings_lock);
}

typedef struct { const void* p; mi_page_t* page; } mapping_search_t;
static bool mapping_is_elsewhere(mi_page_t* page, void* search) {
  mapping_search_t* s = search;
  if ((uintptr_t)s->p - (uintptr_t)page->start >= mi_page_size(page)) return true;
  /* Pairs with mi_remote_birth. */
  if (mi_xword_state(mi_load_acquire(&page->xword)) != MI_PAGE_DEAD) s->page = page;
  return false;
}

mi_page_t* mi_mapping_page_of(const void* p) {
  mapping_search_t search = { p, NULL };
  mi_mapping_each(&mapping_is_elsewhere, &search);
  return search.page;
}

/* ---- one of them ---- */

/* Committed, and its first entry in the page map can be made. NULL if not. */
static uint8_t* mapping_make(size_t size, size_t align) {
  if (!mi_commit_allows(size)) return NULL;
  uint8_t* p = mi_os_reserve(size, align);
  if (p == NULL) {
    mi_lock(&mi_arena_lock);
    if (mi_arena_release(true)) p = mi_os_reserve(size, align);
    if (p != NULL) mi_arena_refused_set(mi_min(mi_arena_refused(), size));
    mi_unlock(&mi_arena_lock);
  }
  if (p == NULL) return NULL;
  if (mi_os_commit(p, size) && mi_pagemap_prepare(p, MI_SLICE_SIZE) && mi_commit_add(size, false)) return p;
  mi_os_release(p, size);
  return NULL;
}

static void nslices_set(mi_page_t* page, size_t size) {
  mi_store_relaxed(&page->xnslices, (uint32_t)mi_min(mi_divide_up(size, MI_SLICE_SIZE), UINT32_MAX));
}

mi_page_t* mi_mapping_claim(size_t size, size_t align, bool* zero) {
  size = mi_align_up(size, mi_os_page_size());
  uint8_t* start = mapping_make(size, align);
  mi_mapping_t* m = start == NULL ? NULL : mi_meta_alloc(MI_META_PAGE, sizeof *m);
  if (m == NULL) {
    if (start != NULL) {
      mi_os_release(start, size);
      mi_commit_sub(size);
    }
    errno = ENOMEM;
    return NULL;
  }
  m->page.start = start;
  m->page.arena = MI_ARENA_NONE;
  nslices_set(&m->page, size);
  mi_store_relaxed(&m->page.xsize, size);  /* mi_memory_give needs it even before the page is made */
  mi_add_relaxed(&mi_commit_totals.xreserved, size);
  mi_add_relaxed(&mi_commit_totals.xmappings, 1);                           /* statistics */
  mi_add_relaxed(&mi_commit_totals.xmapped, size);
  mapping_link(m);
  *zero = true;
  return &m->page;
}

/* It is in no list. */
static void mapping_unmap(mi_mapping_t* m) {
  const size_t size = mi_page_size(&m->page);
  mi_os_release(m->page.start, size);
  mi_sub_relaxed(&mi_commit_totals.xreserved, size);                      /* a statistic */
  mi_commit_sub(size);
  mi_meta_free(MI_META_PAGE, &m->page);
}

void mi_mapping_give(mi_page_t* page) {
  mi_mapping_t* m = mi_mapping_of(page);
  const bool waits = mi_local()->frees_late;
  mi_sub_relaxed(&mi_commit_totals.xmapped, mi_page_size(page));            /* statistics */
  mi_sub_relaxed(&mi_commit_totals.xmappings, 1);
  mi_lock(&mappings_lock);
  mapping_unlink(m);
  if (waits) {
    m->next = waiting;
    waiting = m;
    mi_store_relaxed(&mi_mapping_xwaits, true);                            /* the lock's */
  }
  mi_unlock(&mappings_lock);
  if (waits) mi_clock_schedule(); else mapping_unmap(m);
}

/* The start of the mapping when it has grown where there is no room for both sizes; NULL: it is as it was.
   Once it has moved nothing may fail: so the memory for an entry in the page map comes first. */
static uint8_t* mapping_grow(uint8_t* start, size_t old_size, size_t size) {
  void* spare = mi_pagemap_spare();
  if (spare == NULL) return NULL;
  uint8_t* p = mi_os_grow(start, old_size, size, MI_SLICE_SIZE);
  mi_pagemap_prepare_with(p != NULL ? p : start, spare);
  return p;
}

/* The start of the mapping when it has the new size, where the page map has an entry; NULL: it is as it
   was. */
static uint8_t* mapping_move(uint8_t* start, size_t old_size, size_t size) {
  if (mi_os_resize(start, old_size, size)) return start;
  if (size <= old_size) return NULL;
  uint8_t* p = mi_os_reserve(size, MI_SLICE_SIZE);
  if (p == NULL) return mapping_grow(start, old_size, size);
  mi_os_result_t result = MI_OS_NOT;
  if (mi_pagemap_prepare(p, MI_SLICE_SIZE)) result = mi_os_move(start, old_size, p, size);
  if (result == MI_OS_NOT) mi_os_release(p, size);
  return result == MI_OS_DONE ? p : NULL;
}

/* Nobody finds an address in it while it moves. */
static bool mapping_resize(mi_page_t* page, size_t old_size, size_t size) {
  mi_lock(&mappings_lock);
  uint8_t* start = mapping_move(page->start, old_size, size);
  if (start != NULL) {
    page->start = start;
    nslices_set(page, size);
    mi_store_relaxed(&page->xsize, size);
  }
  mi_unlock(&mappings_lock);
  return start != NULL;
}

/* Addresses of arenas in which nothing lives go back. False: there are none. */
static bool arenas_release(void) {
  mi_lock(&mi_arena_lock);
  const bool any = mi_arena_release(true);
  mi_unlock(&mi_arena_lock);
  return any;
}

bool mi_mapping_resize(mi_page_t* page, size_t old_size, size_t size) {
  const size_t more = size > old_size ? size - old_size : 0;
  if (page->arena != MI_ARENA_NONE || (more > 0 && !mi_commit_allows(more))) return false;
  if (!mapping_resize(page, old_size, size)
      && (more == 0 || !arenas_release() || !mapping_resize(page, old_size, size)))
    return false;
  /* Statistics; they wrap to less when it shrinks. */
  mi_add_relaxed(&mi_commit_totals.xreserved, size - old_size);
  mi_add_relaxed(&mi_commit_totals.xmapped, size - old_size);
  if (more > 0) mi_commit_add(more, true);                                 /* asked above */
  else mi_commit_sub(old_size - size);
  return true;
}

/* ---- files ---- */

static void file_unmap(mi_file_t* file) {
  mi_os_release(file->start, mi_align_up(file->size, mi_os_page_size()));
  mi_meta_free(MI_META_FILE, file);
}

mi_file_t* mi_mapping_file(int fd, size_t size) {
  mi_assert(size > 0);
  mi_mapping_unmap_waiting(false);       /* a process has so many mappings and no more */
  mi_file_t* file = mi_meta_alloc(MI_META_FILE, sizeof *file);
  if (file == NULL) return NULL;
  *file = (mi_file_t){ .start = mi_os_map_file(fd, size), .size = size };
  if (file->start == NULL && errno == ENOMEM && mi_mapping_unmap_waiting(true))
    file->start = mi_os_map_file(fd, size);
  if (file->start != NULL) return file;
  const int error = errno;
  mi_meta_free(MI_META_FILE, file);
  errno = error;
  return NULL;
}

void mi_mapping_file_give(mi_file_t* file) {
  if (!mi_local()->frees_late) {
    file_unmap(file);
    return;
  }
  mi_lock(&mappings_lock);
  file->next = waiting_files;
  waiting_files = file;
  mi_store_relaxed(&mi_mapping_xwaits, true);                              /* the lock's */
  mi_unlock(&mappings_lock);
  mi_clock_schedule();
}

/* ---- what waits ---- */

/* The question is asked under the lock: whoever put something there had begun the pause before he took it. */
bool mi_mapping_unmap_those(bool anyway) {
  mi_mapping_t* m = NULL;
  mi_file_t* file = NULL;
  mi_lock(&mappings_lock);
  if (anyway || !mi_clock_is_paused()) {
    m = waiting;
    file = waiting_files;
    waiting = NULL;
    waiting_files = NULL;
    mi_store_relaxed(&mi_mapping_xwaits, false);                           /* the lock's */
  }
  mi_unlock(&mappings_lock);
  const bool any = m != NULL || file != NULL;
  for (mi_mapping_t* next; m != NULL; m = next) {
    next = m->next;
    mapping_unmap(m);
  }
  for (mi_file_t* next; file != NULL; file = next) {
    next = file->next;
    file_unmap(file);
  }
  return any;
}

/* ---- fork ---- */

void mi_mapping_before_fork(void) { mi_lock(&mappings_lock); }
void mi_mapping_after_fork(bool child) {
  if (child && mi_load_relaxed(&mi_mapping_xwaits)) mi_clock_schedule();  /* one thread only */
  (child ? &mi_lock_reset : &mi_unlock)(&mappings_lock);
}
