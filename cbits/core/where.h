/* Where a page is: what is asked of that byte, and the transitions that change nothing else; those that
   change a queue or a count, too, are in queue.c. Each asserts where the page is, then says where it goes.
   docs/DESIGN.md, section 3, draws them all, and `make lint` compares. Holder, but for what says
   any-thread. */
#ifndef MI_WHERE_H
#define MI_WHERE_H

#include "types.h"

/* In a queue of page->lheap, or in its list of parked pages? Any thread: a hint, but for the holder. */
mi_inline bool mi_page_is_listed(const mi_page_t* page) {
  const mi_where_t where = mi_page_where(page);
  return where == MI_WHERE_QUEUED || where == MI_WHERE_WATCHED || where == MI_WHERE_RETIRED
         || where == MI_WHERE_PARKED;
}

/* Given up for anybody to adopt, however long it has waited. */
mi_inline bool mi_page_is_pooled(const mi_page_t* page) {
  const mi_where_t where = mi_page_where(page);
  return where == MI_WHERE_POOLED || where == MI_WHERE_WAITED || where == MI_WHERE_SEARCHED;
}

/* Long enough to have holes: no other page has any. */
mi_inline bool mi_page_has_waited(const mi_page_t* page) {
  const mi_where_t where = mi_page_where(page);
  return where == MI_WHERE_WAITED || where == MI_WHERE_SEARCHED;
}

/* ---- given up: who holds the page for a moment ---- */

/* Something was freed in it, as its word says; or it is given up for anybody. */
mi_inline void mi_page_full_to_pooled(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_FULL);
  mi_page_where_set(page, MI_WHERE_POOLED);
}

mi_inline void mi_page_pooled_to_waited(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_POOLED);
  mi_page_where_set(page, MI_WHERE_WAITED);
}

mi_inline void mi_page_waited_to_searched(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_WAITED);
  mi_page_where_set(page, MI_WHERE_SEARCHED);
}

/* A holder found something freed in it. */
mi_inline void mi_page_searched_to_waited(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_SEARCHED);
  mi_page_where_set(page, MI_WHERE_WAITED);
}

/* ---- ends: nothing in it lives ---- */

mi_inline void mi_page_full_to_dead(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_FULL);
  mi_page_where_set(page, MI_WHERE_DEAD);
}

mi_inline void mi_page_pooled_to_dead(mi_page_t* page) {
  mi_assert(mi_page_is_pooled(page));
  mi_page_where_set(page, MI_WHERE_DEAD);
}

mi_inline void mi_page_single_to_dead(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_SINGLE);
  mi_page_where_set(page, MI_WHERE_DEAD);
}

/* ---- single pages ---- */

mi_inline void mi_page_dead_to_single(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_DEAD);
  mi_page_where_set(page, MI_WHERE_SINGLE);
}

mi_inline void mi_page_single_to_lost(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_SINGLE);
  mi_page_where_set(page, MI_WHERE_LOST);
}

/* ---- the table of cache.h ---- */

mi_inline void mi_page_single_to_cached(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_SINGLE);
  mi_page_where_set(page, MI_WHERE_CACHED);
}

mi_inline void mi_page_cached_to_single(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_CACHED);
  mi_page_where_set(page, MI_WHERE_SINGLE);
}

mi_inline void mi_page_dead_to_cached(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_DEAD);
  mi_page_where_set(page, MI_WHERE_CACHED);
}

mi_inline void mi_page_cached_to_dead(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_CACHED);
  mi_page_where_set(page, MI_WHERE_DEAD);
}

#endif
