/* The pool: pages without an owner, which anybody may adopt. How a page gets there, and leaves it; and how a
   page ends. Holder: of a page, unless it says any-thread. */
#ifndef MI_POOL_H
#define MI_POOL_H

#include "heap_pages.h"
#include "page.h"

/* Frees a page that is in no queue and in which nothing is live. If something is, after all (mend.h), it is
   pooled. */
void mi_pool_page_free(mi_page_t* page);

/* P1 and P2; or frees the page, if nothing is live. */
void mi_pool_page_put(mi_page_t* page);
/* The same for a page without holes that carried `home` in xowner when the caller took it from the pool: id|1
   of who gave it up full, or 0. */
void mi_pool_page_put_of(mi_page_t* page, uintptr_t home);

/* It was taken another way than by adoption: its bit need not stay. */
void mi_pool_unindex(mi_page_t* page);
/* Any thread: P2, after a page went to POOLED. `bin` was read while the page could not change (before P1,
   R4). */
void mi_pool_index(const mi_page_t* page, unsigned bin);
/* Any thread: P3, after a page went to POOLED: a round (pool_round.h) is to look at it. It may be another's
   by now. */
void mi_pool_page_changed(const mi_page_t* page);
/* The same, after a free in a page that was POOLED before. */
void mi_pool_page_sparser(const mi_page_t* page);
/* Any thread: takes a page of this class and heap, with the list that came with it; NULL if none is found.
   *look_from: where to look first, of who looks. */
mi_page_t* mi_pool_adopt(mi_heap_t* heap, unsigned bin, uint32_t* look_from, mi_xlist_t* list);

#endif
