/* The pages of a local heap: the queue of each class, which malloc looks at, and the list of parked pages,
   which it does not. Pages in them that are retired or watched. Transitions that change a queue or a list.
   Owner-only. */
#ifndef MI_QUEUE_H
#define MI_QUEUE_H

#include "page.h"
#include "policy.h"

/* ---- transitions (docs/DESIGN.md, section 3) ---- */

void mi_page_dead_to_queued(mi_lheap_t* lh, mi_page_t* page);
void mi_page_pooled_to_queued(mi_lheap_t* lh, mi_page_t* page);
void mi_page_full_to_queued(mi_lheap_t* lh, mi_page_t* page, bool front);
/* Out of its queue: its owner gives it up, or frees it. */
void mi_page_queued_to_pooled(mi_lheap_t* lh, mi_page_t* page);
/* The same, and it has waited enough. */
void mi_page_queued_to_waited(mi_lheap_t* lh, mi_page_t* page);

/* ---- queues ---- */

/* Collects what others freed in a page of this local heap; true if something is in `free` then. */
mi_inline bool mi_queue_page_collect(mi_lheap_t* lh, mi_page_t* page) {
  uint32_t nremote;
  const bool any = mi_page_collect(page, &nremote);
  if (nremote > 0) mi_lheap_count(&lh->xcounts.remote_freed, nremote);
  return any;
}
/* A page of a queue becomes its first. */
void mi_queue_to_front(mi_lheap_t* lh, mi_page_t* page);
/* Frees a page of a queue: nothing in it is live, as it seems. */
void mi_queue_page_free(mi_lheap_t* lh, mi_page_t* page);
/* Nothing is left in a page of a queue: it leaves. False if something was remotely freed meanwhile, which is
   in `free` then. */
bool mi_queue_page_leave(mi_lheap_t* lh, mi_page_t* page);

/* `used` is 0: its holder freed the last block of a page, as it seems, or the first of a parked page. */
void mi_queue_page_emptied(mi_lheap_t* lh, mi_page_t* page);

/* ---- retired pages ---- */

void mi_queue_unretire(mi_page_t* page);
/* Frees all of them. */
void mi_queue_unretire_all(mi_lheap_t* lh);

/* ---- watched pages ---- */

/* A page of a queue: watched, if it can become sparse. */
void mi_queue_watch(mi_page_t* page);
void mi_queue_unwatch_slow(mi_page_t* page);
mi_inline void mi_queue_unwatch(mi_page_t* page) {
  if (mi_unlikely(mi_page_where(page) == MI_WHERE_WATCHED)) mi_queue_unwatch_slow(page);
}

/* ---- parked pages ---- */

/* The owner freed in a page of this class in which nothing was left: more of them may be parked. */
void mi_queue_park_more(mi_lheap_t* lh, unsigned bin);
/* Has somebody else freed something in a parked page of this class? Then it is in the queue. */
bool mi_queue_unpark_freed(mi_lheap_t* lh, unsigned bin);
/* No page of this class is parked any more; those of which nothing is free are given up. */
void mi_queue_unpark_class(mi_lheap_t* lh, unsigned bin);
/* .. of any class (docs/memory-policy.md, section 3). */
void mi_queue_unpark_all(mi_lheap_t* lh);
/* A page of this owner's is neither parked nor watched any more: it is in its queue, if in any, and `used` is
   the number of its live blocks, unless it is retired. */
void mi_queue_page_unpark(mi_page_t* page);

#endif
