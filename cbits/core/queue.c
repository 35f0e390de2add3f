/* See queue.h. Owner-only. */
#include "mend.h"
#include "pool.h"
#include "queue.h"

/* ---- queues ---- */

/* direct[] of the sizes that queue `bin` serves follows its first page. */
static void direct_update(mi_lheap_t* lh, unsigned bin) {
  const size_t last = mi_bin_size(bin) / MI_GRANULE;
  if (bin > MI_BIN_LAST || last >= MI_DIRECT_COUNT) return;
  mi_page_t* page = lh->queue[bin].first != NULL ? lh->queue[bin].first : &mi_page_empty;
  const size_t first = bin == 1 ? 0 : mi_bin_size(bin - 1) / MI_GRANULE + 1;
  for (size_t w = first; w <= last; w++) lh->direct[w] = page;
}

static void list_remove(mi_queue_t* q, mi_page_t* page) {
  mi_assert(page->prev == NULL ? q->first == page : page->prev->next == page);
  mi_assert(page->next == NULL ? q->last == page : page->next->prev == page);
  if (page->prev != NULL) page->prev->next = page->next; else q->first = page->next;
  if (page->next != NULL) page->next->prev = page->prev; else q->last = page->prev;
  page->next = page->prev = NULL;
}

static void list_push(mi_queue_t* q, mi_page_t* page, bool front) {
  mi_assert(page->next == NULL && page->prev == NULL);
  page->next = front ? q->first : NULL;
  page->prev = front ? NULL : q->last;
  if (page->next != NULL) page->next->prev = page; else q->last = page;
  if (page->prev != NULL) page->prev->next = page; else q->first = page;
}

static void queue_remove(mi_lheap_t* lh, mi_page_t* page) {
  mi_queue_t* q = &lh->queue[mi_page_bin(page)];
  mi_assert(page->lheap == lh);
  list_remove(q, page);
  page->lheap = NULL;
  mi_lheap_count(&lh->xcounts.pages, (uint64_t)-1);
  if (q->first == NULL || q->first->prev == NULL) direct_update(lh, mi_page_bin(page));
}

static void queue_push(mi_lheap_t* lh, mi_page_t* page, bool front) {
  mi_assert(page->lheap == NULL && mi_page_heap(page) == mi_load_relaxed(&lh->xheap));
  mi_queue_t* q = &lh->queue[mi_page_bin(page)];
  page->lheap = lh;
  list_push(q, page, front);
  mi_lheap_count(&lh->xcounts.pages, 1);
  if (q->first == page) direct_update(lh, mi_page_bin(page));
}

void mi_queue_to_front(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(page->lheap == lh && mi_page_where(page) == MI_WHERE_QUEUED);
  queue_remove(lh, page);
  queue_push(lh, page, true);
}

void mi_page_queued_to_pooled(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_page_where_set(page, MI_WHERE_POOLED);
  queue_remove(lh, page);
}

void mi_page_queued_to_waited(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_page_where_set(page, MI_WHERE_WAITED);
  queue_remove(lh, page);
}

void mi_queue_page_free(mi_lheap_t* lh, mi_page_t* page) {
  mi_page_queued_to_pooled(lh, page);
  mi_lheap_count(&lh->xcounts.retired_pages, 1);
  mi_pool_page_free(page);
}

/* ---- retired pages: empty, alone in their queue, there until it is idle. One block that nobody has keeps
   `used` above 0, so that a program that frees and allocates the same block stays on the fast path. ---- */

static void page_queued_to_retired(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_assert(mi_page_used(page) == 0 && page->next == NULL && page->prev == NULL);
  mi_page_where_set(page, MI_WHERE_RETIRED);
  mi_page_left_out_set(page, -1);                                         /* first, as in mi_page_leave_out */
  mi_page_used_set(page, 1);
}

static void page_retired_to_queued(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_RETIRED);
  mi_page_where_set(page, MI_WHERE_QUEUED);
  mi_page_leave_out_none(page);
}

static bool is_retired(mi_page_t* page) { return mi_page_where(page) == MI_WHERE_RETIRED; }

void mi_queue_unretire(mi_page_t* page) { if (is_retired(page)) page_retired_to_queued(page); }

/* A page joins a queue: a retired one is not alone in it any more. */
static void queue_unretire_first(mi_lheap_t* lh, unsigned bin) {
  mi_page_t* first = lh->queue[bin].first;
  if (first == NULL || !is_retired(first)) return;
  mi_queue_unretire(first);
  if (mi_page_used(first) == 0) mi_queue_page_free(lh, first);
}

void mi_queue_unretire_all(mi_lheap_t* lh) {
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) queue_unretire_first(lh, bin);
}

/* ---- watched pages: an owner that took a full page back by a free may go on to free on the fast path alone
   for a long time. `used` comes to 0 when the page has become sparse. ---- */

static void page_queued_to_watched(mi_page_t* page, uint32_t limit) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_assert(limit > 0 && limit < mi_page_used(page) && page->lheap->xid != 0);
  mi_page_where_set(page, MI_WHERE_WATCHED);
  mi_page_leave_out(page, limit);
}

static void page_watched_to_queued(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_WATCHED);
  mi_page_where_set(page, MI_WHERE_QUEUED);
  mi_page_leave_out_none(page);
}

void mi_queue_watch(mi_page_t* page) {
  const uint32_t limit = mi_policy_watch_limit(page);
  if (limit != 0) page_queued_to_watched(page, limit);
}

void mi_queue_unwatch_slow(mi_page_t* page) { page_watched_to_queued(page); }

/* If its queue is idle by now the next sweep gives it up. If not it is watched further. */
static void watched_page_freed(mi_page_t* page) {
  mi_queue_unwatch(page);
  mi_queue_watch(page);
}

/* ---- pages that come, and full ones ---- */

void mi_page_dead_to_queued(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_DEAD);
  mi_page_where_set(page, MI_WHERE_QUEUED);
  queue_unretire_first(lh, mi_page_bin(page));
  queue_push(lh, page, true);
}

void mi_page_pooled_to_queued(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_is_pooled(page));
  mi_page_where_set(page, MI_WHERE_QUEUED);
  queue_unretire_first(lh, mi_page_bin(page));
  queue_push(lh, page, false);
}

void mi_page_full_to_queued(mi_lheap_t* lh, mi_page_t* page, bool front) {
  mi_assert(mi_page_where(page) == MI_WHERE_FULL);
  mi_page_where_set(page, MI_WHERE_QUEUED);
  queue_unretire_first(lh, mi_page_bin(page));
  queue_push(lh, page, front);
}

/* Out of its queue: nothing is left in it. */
static void page_queued_to_full(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_page_where_set(page, MI_WHERE_FULL);
  queue_remove(lh, page);
}

/* Gives up a page in which nothing is left. False if something was remotely freed meanwhile: it is in its
   queue again. */
static bool full_page_leave(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_FULL);
  mi_assert(page->free == &mi_nil && page->local_free == &mi_nil && page->capacity == page->reserved);
  mi_store_relaxed(&page->xowner, lh->xid == 0 ? 0 : lh->xid | 1);        /* F1: shown by the swap */
  if (mi_remote_release(&page->xword, MI_PAGE_FULL, mi_page_used(page))) {        /* F1 */
    mi_lheap_count(&lh->xcounts.full_pages, 1);
    return true;
  }
  mi_store_relaxed(&page->xowner, lh->xid);
  mi_page_full_to_queued(lh, page, true);
  mi_queue_page_collect(lh, page);
  return false;
}

/* ---- parked pages: nothing is left in them. Where blocks come and go at random one of them is freed soon,
   and their owner finds them OWNED still: two swaps less. One of a class; more where the owner frees in them,
   fewer where it does not: what others empty stays as long as the owner does nothing. ---- */

void mi_queue_park_more(mi_lheap_t* lh, unsigned bin) {
  if (mi_policy_parks_more(lh, bin)) lh->park_more[bin] += MI_PARK_EARNED;
}

static bool is_exhausted(mi_page_t* page) {
  /* A hint. */
  return page->free == &mi_nil && page->local_free == &mi_nil && page->capacity == page->reserved
         && mi_xword_head(mi_load_relaxed(&page->xword)) == 0;
}

static void parked_push(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(lh->xid != 0 && page->lheap == NULL);
  const unsigned bin = mi_page_bin(page);
  mi_page_leave_out(page, page->reserved - 1u);  /* the holder's next free takes the slow path */
  page->lheap = lh;
  list_push(&lh->parked[bin], page, true);
  lh->nparked[bin]++;
  lh->parked_slices += mi_page_nslices(page);
  mi_lheap_count(&lh->xcounts.pages, 1);
}

static void parked_remove(mi_lheap_t* lh, mi_page_t* page) {
  const unsigned bin = mi_page_bin(page);
  mi_assert(page->lheap == lh && lh->nparked[bin] > 0);
  list_remove(&lh->parked[bin], page);
  page->lheap = NULL;
  lh->nparked[bin]--;
  lh->parked_slices -= mi_page_nslices(page);
  mi_lheap_count(&lh->xcounts.pages, (uint64_t)-1);
  mi_page_leave_out_none(page);
}

static void page_queued_to_parked(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_assert(page->free == &mi_nil && page->local_free == &mi_nil && mi_page_used(page) == page->reserved);
  mi_page_where_set(page, MI_WHERE_PARKED);
  queue_remove(lh, page);
  parked_push(lh, page);
}

static void page_parked_to_queued(mi_lheap_t* lh, mi_page_t* page, bool front) {
  mi_assert(mi_page_where(page) == MI_WHERE_PARKED);
  mi_page_where_set(page, MI_WHERE_QUEUED);
  parked_remove(lh, page);
  queue_unretire_first(lh, mi_page_bin(page));
  queue_push(lh, page, front);
}

static void page_parked_to_full(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_PARKED);
  mi_page_where_set(page, MI_WHERE_FULL);
  parked_remove(lh, page);
}

/* It is given up. If others freed in it, it goes to its queue, or is freed if that was all. */
static void parked_page_leave(mi_lheap_t* lh, mi_page_t* page) {
  page_parked_to_full(lh, page);
  if (!mi_queue_page_collect(lh, page)) full_page_leave(lh, page);
  else if (mi_page_used(page) == 0) mi_pool_page_free(page);
  else mi_page_full_to_queued(lh, page, false);
}

static void page_park(mi_lheap_t* lh, mi_page_t* page) {
  const unsigned bin = mi_page_bin(page);
  mi_queue_unretire(page);
  mi_queue_unwatch(page);
  if (mi_page_used(page) != page->reserved) {                             /* a damaged list lost some */
    page_queued_to_full(lh, page);
    full_page_leave(lh, page);
    return;
  }
  page_queued_to_parked(lh, page);
  while (mi_policy_parks_fewer(lh, bin)) {
    parked_page_leave(lh, lh->parked[bin].last);
    if (lh->park_more[bin] > 0) lh->park_more[bin]--;
  }
}

/* Its holder freed in it. The queue's first page may have handed out the queue's last block before. */
static void parked_page_freed(mi_lheap_t* lh, mi_page_t* page) {
  const unsigned bin = mi_page_bin(page);
  mi_page_t* first = lh->queue[bin].first;
  const bool exhausted = first != NULL && is_exhausted(first);
  mi_queue_park_more(lh, bin);
  mi_lheap_count(&lh->xcounts.adopted_pages, 1);
  page_parked_to_queued(lh, page, exhausted);
  if (exhausted && page->next == first) page_park(lh, first);
}

/* Pages of other heaps than a main one have no free of their holder's. */
bool mi_queue_page_leave(mi_lheap_t* lh, mi_page_t* page) {
  if (lh->xid != 0) { page_park(lh, page); return true; }
  mi_queue_unretire(page);  /* nor is it watched: that are main heaps' */
  page_queued_to_full(lh, page);
  return full_page_leave(lh, page);
}

bool mi_queue_unpark_freed(mi_lheap_t* lh, unsigned bin) {
  if (lh->xid == 0) return false;
  for (mi_page_t* page = lh->parked[bin].first; page != NULL; page = page->next) {
    if (mi_xword_head(mi_load_relaxed(&page->xword)) == 0) continue;      /* a hint */
    page_parked_to_queued(lh, page, true);
    return true;
  }
  return false;
}

void mi_queue_unpark_class(mi_lheap_t* lh, unsigned bin) {
  while (lh->xid != 0 && lh->parked[bin].first != NULL) parked_page_leave(lh, lh->parked[bin].first);
}

void mi_queue_unpark_all(mi_lheap_t* lh) {
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) mi_queue_unpark_class(lh, bin);
}

void mi_queue_page_unpark(mi_page_t* page) {
  if (mi_page_where(page) == MI_WHERE_PARKED) page_parked_to_queued(page->lheap, page, false);
  else mi_queue_unwatch(page);
}

/* ---- a free that leaves `used` 0 ---- */

void mi_queue_page_emptied(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_used(page) == 0 && page->lheap == lh);
  if (mi_page_where(page) == MI_WHERE_PARKED) parked_page_freed(lh, page);
  else if (mi_page_where(page) == MI_WHERE_WATCHED) watched_page_freed(page);
  else if (is_retired(page)) {  /* it was empty before, as it seemed (mend.h) */
    if (mi_mend_is_empty(page)) mi_page_used_set(page, 1);
  }
  else if (!mi_policy_retires(page)) mi_queue_page_free(lh, page);
  else if (mi_mend_is_empty(page)) page_queued_to_retired(page);
}
