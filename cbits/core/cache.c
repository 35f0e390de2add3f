/* See cache.h. */
#include "memory.h"
#include "clock.h"
#include "cache.h"
#include "options.h"
#include "os.h"
#include "policy.h"

#define COLUMNS 64u  /* for single pages: by the owner's slot, so that owners stay out of each other's way */
#define PLACES  MI_CACHE_SLICES           /* in a column: a cache line */

/* First the columns for single pages, a place for each number of slices; then one for each class. */
typedef struct { mi_atomic(mi_page_t*) xpage[PLACES]; } mi_cachealign mi_cache_column_t;
static mi_cache_column_t columns[COLUMNS + MI_BIN_LAST + 1];

void mi_cache_release(mi_page_t* page) {
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD);
  if (mi_page_where(page) == MI_WHERE_SINGLE) mi_page_single_to_dead(page);    /* a lost one stays lost */
  else if (mi_page_where(page) == MI_WHERE_CACHED) mi_page_cached_to_dead(page);
  mi_page_map(page, false);
  mi_memory_give(page);
}

mi_page_t* mi_cache_take(uint32_t slot, size_t nslices) {
  mi_assert(nslices > 0);
  if (!mi_policy_caches(nslices)) return NULL;
  mi_atomic(mi_page_t*)* place = &columns[slot % COLUMNS].xpage[nslices - 1];
  if (mi_load_relaxed(place) == NULL) return NULL;                        /* a hint */
  return mi_exchange_acq_rel(place, NULL);                                /* pairs with mi_cache_put */
}

static bool may_be_cached(mi_page_t* page) {
  /* Left by a heap that was deleted. */
  if (page->arena == MI_ARENA_NONE || !mi_arena_serves(mi_arena_at(page->arena), MI_ARENA_NONE)) return false;
  return MI_HARD || mi_option_quick(mi_option_purge_delay) != 0;
}

void mi_cache_put(uint32_t slot, mi_page_t* page) {
  mi_assert(mi_page_is_single(page) && mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD);
  if (mi_likely(mi_policy_caches(mi_page_nslices(page)) && mi_load_relaxed(&page->xinner) == 0
                && mi_page_where(page) == MI_WHERE_SINGLE && may_be_cached(page))) {
    mi_page_single_to_cached(page);  /* shown to others by the exchange */
    /* Pairs with mi_cache_take, mi_cache_flush. */
    page = mi_exchange_acq_rel(&columns[slot % COLUMNS].xpage[mi_page_nslices(page) - 1], page);
    mi_clock_schedule_behind_exchange();
  }
  if (mi_unlikely(page != NULL)) mi_cache_release(page);
}

/* Pages of a class: more than one block each. */
static unsigned places_of(unsigned bin) {
  mi_assert(bin >= 1 && bin <= MI_BIN_LAST && mi_policy_cached_of(bin) <= PLACES);
  return mi_policy_cached_of(bin);
}

mi_page_t* mi_cache_take_class(unsigned bin) {
  mi_assert(bin >= 1 && bin <= MI_BIN_LAST);
  for (unsigned i = 0; i < places_of(bin); i++) {
    mi_atomic(mi_page_t*)* place = &columns[COLUMNS + bin].xpage[i];
    if (mi_load_relaxed(place) == NULL) continue;                         /* a hint */
    mi_page_t* page = mi_exchange_acq_rel(place, NULL);                   /* pairs with mi_cache_put_class */
    if (page == NULL) continue;
    mi_page_cached_to_dead(page);
    return page;
  }
  return NULL;
}

void mi_cache_put_class(mi_page_t* page) {
  mi_assert(!mi_page_is_single(page) && mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD);
  const unsigned bin = mi_page_bin(page);
  const unsigned n = may_be_cached(page) ? places_of(bin) : 0;
  mi_page_dead_to_cached(page);                                           /* shown to others by the swap */
  for (unsigned i = 0; i < n; i++) {
    mi_page_t* none = NULL;
    if (mi_load_relaxed(&columns[COLUMNS + bin].xpage[i]) != NULL) continue;        /* a hint */
    /* Pairs with mi_cache_take_class, mi_cache_flush. */
    if (!mi_cas_acq_rel(&columns[COLUMNS + bin].xpage[i], &none, page)) continue;
    mi_clock_schedule_behind_exchange();
    return;
  }
  mi_cache_release(page);
}

bool mi_cache_any(void) {
  for (size_t i = 0; i < sizeof columns / sizeof *columns * PLACES; i++) {
    if (mi_load_relaxed(&columns[i / PLACES].xpage[i % PLACES]) != NULL) return true;   /* a hint */
  }
  return false;
}

void mi_cache_flush_classes(void) {
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    for (mi_page_t* page; (page = mi_cache_take_class(bin)) != NULL; ) mi_cache_release(page);
  }
}

void mi_cache_flush(void) {
  for (size_t i = 0; i < sizeof columns / sizeof *columns * PLACES; i++) {
    /* Pairs with both ways to put, also where there is none. */
    mi_page_t* page = mi_exchange_acq_rel(&columns[i / PLACES].xpage[i % PLACES], NULL);
    if (page != NULL) mi_cache_release(page);
  }
}

/* One thread only. */
void mi_cache_after_fork(void) { if (mi_cache_any()) mi_clock_schedule(); }
