/* See alloc.h. Owner-only. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cache.h"
#include "commit.h"
#include "memory.h"
#include "purge.h"
#include "os.h"
#include "purger.h"
#include "sampler.h"

size_t mi_size_good(size_t size) {
  if (size <= MI_MEDIUM_MAX) return mi_bin_size(mi_bin_of(size));
  return size > MI_SIZE_LIMIT ? size : mi_align_up(size, mi_os_page_size());
}

size_t mi_size_pages(size_t size) {
  return size > MI_SIZE_LIMIT ? size : mi_align_up(mi_max(size, 1), mi_os_page_size());
}

/* ---- the slow path ---- */

/* A sample of a class (sampler.h): its page is a single one, and says that its block has the class's size. */
mi_cold static void* malloc_sample(mi_lheap_t* lh, size_t size, bool* zero) {
  const unsigned bin = mi_bin_of(size);
  const bool room = mi_sample_has_room();
  /* The place first: a block that is no sample has no page of its own. */
  const uint32_t place = room ? mi_sampler_note(lh, NULL, size, mi_bin_size(bin)) : 0;
  void* p = place != 0 ? mi_single_malloc(lh, size, MI_SLICE_SIZE, false, zero) : NULL;
  if (p == NULL) {
    if (place != 0) mi_sample_end(place);
    if (place != 0 || !room) mi_sample_drop();                            /* else it is counted */
    *zero = false;
    return mi_lheap_block(lh, bin, NULL);
  }
  mi_page_t* page = mi_page_of(p);
  /* Shown to others together with the block. A mapping of its own ends by its size. */
  if (page->arena != MI_ARENA_NONE) mi_store_relaxed(&page->xsize, mi_bin_size(bin));
  mi_sample_move(place, page->start, size);
  mi_store_relaxed(&page->xsample, place);
  return p;
}

/* A block with a page of its own, while sampling is on. */
mi_cold static void single_passes(mi_lheap_t* lh, void* p, size_t size) {
  mi_page_t* page = mi_page_of(p);
  if (mi_sampler_passes(lh, mi_page_size(page))) mi_sampler_take(lh, page, size, mi_page_size(page));
}

mi_inline void* malloc_once(mi_lheap_t* lh, size_t size, size_t align, bool headroom, bool* zero) {
  if (size <= MI_MEDIUM_MAX && align == 0) {
    bool sample = false;
    void* p = mi_lheap_block(lh, mi_bin_of(size), &sample);
    if (mi_unlikely(sample)) return malloc_sample(lh, size, zero);
    *zero = false;
    return p;
  }
  void* p = mi_single_malloc(lh, size, mi_max(align, MI_SLICE_SIZE), headroom, zero);
  if (mi_unlikely(p != NULL && mi_sample_is_on())) single_passes(lh, p, size);
  return p;
}

/* No memory: what this local heap can give back, what is cached and what waits may be enough. False if that
   is nothing, so that asking again is in vain: a program may ask for too much again and again. */
mi_cold static bool make_room(mi_lheap_t* lh) {
  const uint64_t before = mi_memory_changes();
  const size_t committed = mi_load_relaxed(&mi_commit_totals.xcommitted);  /* a hint */
  mi_lheap_make_room(lh);
  const bool unmapped = mi_mapping_unmap_waiting(true);
  if (mi_cache_any()) mi_purger_run(true);
  else if (mi_commit_is_limited()) mi_purge_some(true);
  /* A hint. */
  const bool fewer = mi_load_relaxed(&mi_commit_totals.xcommitted) < committed;
  return unmapped || fewer || mi_memory_changes() != before;
}

/* Where there is no room for the page of a medium block there may be some for the block alone. */
mi_cold static void* malloc_alone(mi_lheap_t* lh, size_t size, size_t align, bool* zero) {
  if (size <= MI_SMALL_MAX || size > MI_MEDIUM_MAX || align != 0) return NULL;
  *zero = false;
  return mi_single_malloc(lh, size, MI_SLICE_SIZE, false, zero);
}

/* Inline, so that each caller has its own. `align`: 0, or of a block with a page of its own. */
mi_inline void* malloc_slow(mi_lheap_t* lh, size_t size, size_t align, bool headroom, bool* zero) {
  if (mi_unlikely(size > MI_ADDRESSES || align > MI_ADDRESSES))
    return mi_report_fail(MI_ERROR_NO_MEMORY, size);
  mi_lheap_housekeep(lh);
  mi_mapping_unmap_waiting(false);  /* so that who makes one large block after the other does not have two */
  void* p = malloc_once(lh, size, align, headroom, zero);
  if (mi_unlikely(p == NULL) && make_room(lh)) p = malloc_once(lh, size, align, headroom, zero);
  if (mi_unlikely(p == NULL)) p = malloc_alone(lh, size, align, zero);
  mi_report_pending();
  mi_purger_allocated();
  if (mi_likely(p != NULL)) return p;
  mi_commit_failed(size);
  return mi_report_fail(MI_ERROR_NO_MEMORY, size);
}

/* The short cuts of mi_alloc_malloc_queued, while sampling is on and nothing else wants the slow path whole,
   with a look for the points. NULL: the slow path. */
static mi_noinline void* malloc_sampling(mi_lheap_t* lh, size_t size) {
  if (!mi_sampler_may_skip(lh)) return NULL;
  if (size > MI_MEDIUM_MAX) {
    void* p = mi_single_malloc_again(lh, size);
    if (p != NULL) single_passes(lh, p, size);
    return p;
  }
  mi_page_t* page = lh->queue[mi_bin_of(size)].first;
  if (page == NULL || page->free != &mi_nil || page->sample_cut == lh->sample_session) return NULL;
  if (!mi_alloc_refill(page)) return NULL;
  mi_sampler_fill(lh, page, false);
  lh->tick++;
  return mi_alloc_pop(page);             /* NULL: the block is a sample */
}

void* mi_alloc_malloc_slow(mi_lheap_t* lh, size_t size, bool* zero) {
  if (mi_unlikely(mi_sample_is_on())) {
    void* p = malloc_sampling(lh, size);
    if (p != NULL) { *zero = false; return p; }
  }
  return malloc_slow(lh, size, 0, false, zero);
}

void* mi_alloc_malloc_single(mi_lheap_t* lh, size_t size, size_t align, bool* zero) {
  return malloc_slow(lh, size, align, false, zero);
}

void* mi_alloc_malloc_growing(mi_lheap_t* lh, size_t size, bool headroom, bool* zero) {
  *zero = false;
  return malloc_slow(lh, size, MI_SLICE_SIZE, headroom, zero);
}

/* ---- what the rings call ---- */

static void* malloc_zero(mi_lheap_t* lh, size_t size, bool* zero) {
  void* p = mi_alloc_malloc_queued(lh, size);
  if (mi_likely(p != NULL)) { *zero = false; return p; }
  if (mi_unlikely(size > MI_SIZE_LIMIT)) return mi_report_fail(MI_ERROR_TOO_LARGE, size);
  return mi_alloc_malloc_slow(lh, size, zero);
}

void* mi_alloc_malloc_generic(mi_lheap_t* lh, size_t size) {
  bool zero = false;
  return malloc_zero(lh, size, &zero);
}

void* mi_alloc_zalloc(mi_lheap_t* lh, size_t size) {
  bool zero = true;
  void* p = mi_alloc_zalloc_fast(lh, size);
  if (mi_likely(p != NULL)) return p;
  p = malloc_zero(lh, size, &zero);
  return p == NULL || zero ? p : memset(p, 0, mi_page_size(mi_page_of(p)));
}

static char* copy_text(mi_lheap_t* lh, const char* s, size_t length) {
  char* copy = mi_alloc_malloc(lh, length + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, s, length);
  copy[length] = 0;
  return copy;
}

char* mi_alloc_strdup(mi_lheap_t* lh, const char* s) {
  return s == NULL ? NULL : copy_text(lh, s, strlen(s));
}
char* mi_alloc_strndup(mi_lheap_t* lh, const char* s, size_t n) {
  return s == NULL ? NULL : copy_text(lh, s, strnlen(s, n));
}

char* mi_alloc_realpath(mi_lheap_t* lh, const char* name, char* resolved) {
  char buffer[PATH_MAX];
  if (resolved != NULL) return realpath(name, resolved);
  return realpath(name, buffer) == NULL ? NULL : mi_alloc_strdup(lh, buffer);
}
