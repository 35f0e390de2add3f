/* See lheap.h. */
#include <string.h>

#include "abandon.h"
#include "hollow.h"
#include "keep.h"
#include "lheap.h"
#include "mend.h"
#include "options.h"
#include "os.h"
#include "policy.h"
#include "purge.h"
#include "purger.h"

mi_lheap_t mi_lheap_empty = { .direct = { [0 ... MI_DIRECT_COUNT - 1] = &mi_page_empty } };

#define FREE_TICKS    16                 /* slow halves of free between two looks at the clock */
#define ADOPT_LOOKS   128                /* at pooled pages before a fresh one is taken; a swap counts as four */
#define LOOK_SLICES   0xfffffu           /* in look_from: a place in an arena, in 16 slices */
_Static_assert((uint64_t)MI_ARENAS_MAX * (LOOK_SLICES + 1) <= (uint64_t)1 << 32, "look_from has room for each arena's number");

/* How many pool bits of a class are set, in all arenas: is it worth looking? */
static mi_atomic(size_t) npooled[MI_BIN_COUNT];

static void count(mi_atomic(uint64_t)* counter, uint64_t n) {
  mi_store_relaxed(counter, mi_load_relaxed(counter) + n);                /* one writer; a statistic */
}

static mi_heap_t* heap_of(mi_page_t* page) { return mi_load_relaxed(&page->xheap); }  /* by its holder, who alone changes it */

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
  count(&lh->xcounts.pages, (uint64_t)-1);
  if (q->first == NULL || q->first->prev == NULL) direct_update(lh, mi_page_bin(page));
}

static void queue_push(mi_lheap_t* lh, mi_page_t* page, bool front) {
  mi_assert(page->lheap == NULL && heap_of(page) == mi_load_relaxed(&lh->xheap));
  mi_queue_t* q = &lh->queue[mi_page_bin(page)];
  page->lheap = lh;
  list_push(q, page, front);
  count(&lh->xcounts.pages, 1);
  if (q->first == page) direct_update(lh, mi_page_bin(page));
}

/* ---- retired pages: empty, alone in their queue, kept a while. One block that nobody has keeps
   `used` above 0, so that a program that frees and allocates the same block stays on the fast path. ---- */

static void page_queued_to_retired(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_assert(mi_page_used(page) == 0 && page->next == NULL && page->prev == NULL);
  mi_page_where_set(page, MI_WHERE_RETIRED);
  page->sweeps_left = MI_RETIRE_SWEEPS;
  mi_page_left_out_set(page, -1);                                         /* first, as in mi_page_leave_out */
  mi_page_used_set(page, 1);
  page->lheap->nretired++;
}

static void page_retired_to_queued(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_RETIRED);
  mi_page_where_set(page, MI_WHERE_QUEUED);
  mi_page_leave_out_none(page);
  page->lheap->nretired--;
}

static bool is_retired(mi_page_t* page) { return mi_page_where(page) == MI_WHERE_RETIRED; }

static void page_unretire(mi_page_t* page) { if (is_retired(page)) page_retired_to_queued(page); }

/* ---- watched pages: an owner that took a full page back by a free may go on to free on the fast path alone, for long. `used` comes to 0
   when the page has become sparse. ---- */

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

static void page_watch(mi_page_t* page) {
  const uint32_t limit = mi_policy_watch_limit(page);
  if (limit != 0) page_queued_to_watched(page, limit);
}

static void page_unwatch(mi_page_t* page) { if (mi_page_where(page) == MI_WHERE_WATCHED) page_watched_to_queued(page); }

/* Its queue is not to be given up just now: it is watched further. */
static void watched_page_freed(mi_page_t* page) {
  page_unwatch(page);
  page_watch(page);
}

/* Out of its queue: its owner gives it up, or frees it. */
static void page_queued_to_pooled(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_page_where_set(page, MI_WHERE_POOLED);
  queue_remove(lh, page);
}

/* The same, and it has waited enough. */
static void page_queued_to_waited(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_page_where_set(page, MI_WHERE_WAITED);
  queue_remove(lh, page);
}

static void queued_page_free(mi_lheap_t* lh, mi_page_t* page) {
  page_queued_to_pooled(lh, page);
  count(&lh->xcounts.retired_pages, 1);
  mi_lheap_page_free(page);
}

static void parked_page_freed(mi_lheap_t* lh, mi_page_t* page);

void mi_lheap_page_emptied(mi_page_t* page) {
  mi_lheap_t* lh = page->lheap;
  mi_assert(mi_page_used(page) == 0 && lh != NULL);
  if (mi_page_where(page) == MI_WHERE_PARKED) parked_page_freed(lh, page);
  else if (mi_page_where(page) == MI_WHERE_WATCHED) watched_page_freed(page);
  else if (is_retired(page)) {                                            /* it was empty before, as it seemed (mend.h) */
    if (mi_mend_is_empty(page)) mi_page_used_set(page, 1);
  }
  else if (!mi_policy_retires(page)) queued_page_free(lh, page);
  else if (mi_mend_is_empty(page)) page_queued_to_retired(page);
  mi_lheap_freed(lh);
}

/* A page joins a queue: a retired one is not alone in it any more. */
static void queue_unretire(mi_lheap_t* lh, unsigned bin) {
  mi_page_t* first = lh->queue[bin].first;
  if (first == NULL || !is_retired(first)) return;
  page_unretire(first);
  if (mi_page_used(first) == 0) queued_page_free(lh, first);
}

static bool page_collect(mi_lheap_t* lh, mi_page_t* page) {
  uint32_t nremote;
  const bool any = mi_page_collect(page, &nremote);
  if (nremote > 0) count(&lh->xcounts.remote_freed, nremote);
  return any;
}

static void sweep_retired(mi_lheap_t* lh) {
  for (unsigned bin = 1; bin <= MI_BIN_LAST && lh->nretired > 0; bin++) {
    mi_page_t* page = lh->queue[bin].first;
    if (page == NULL || !is_retired(page)) continue;
    page_collect(lh, page);
    if (mi_page_live(page) > 0) page->sweeps_left = MI_RETIRE_SWEEPS;
    else if (--page->sweeps_left == 0) {
      page_retired_to_queued(page);
      queued_page_free(lh, page);
    }
  }
}

/* ---- transitions ---- */

/* Holder. What is pooled meanwhile and shows its bit late leaves one too many. */
static void pool_unindex(mi_page_t* page) {
  if (mi_page_is_single(page)) return;
  mi_arena_t* a = mi_arena_at(page->arena);
  mi_bits_t* bits = mi_arena_pool(a, mi_page_bin(page));
  const size_t i = mi_arena_slice_of(a, page->start);
  if (mi_bitmap_run(bits, a->nslices, i, 1) != 0 && mi_pool_clear(bits, i)) mi_sub_relaxed(&npooled[mi_page_bin(page)], 1);  /* hints */
}

/* Holder: nothing in it is live, as it seems; it is in no queue. OWNED -> DEAD. A heap that may be destroyed has no owners' frees,
   so that nothing is miscounted in it. */
void mi_lheap_page_free(mi_page_t* page) {
  mi_assert(page->lheap == NULL && !mi_page_is_listed(page));
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_OWNED);
  mi_heap_t* heap = heap_of(page);
  if (heap->is_main && !mi_mend_is_empty(page)) { mi_lheap_page_to_pool(page); return; }
  if (mi_heap_is_listed(heap)) mi_heap_page_remove(heap, page);
  pool_unindex(page);
  if (mi_page_has_waited(page)) mi_hollow_forget(page);
  mi_page_die(page);
  if (mi_page_is_single(page)) mi_keep_give(page);
  else mi_keep_put_class(page);
}

static void page_dead_to_queued(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_DEAD);
  mi_page_where_set(page, MI_WHERE_QUEUED);
  queue_unretire(lh, mi_page_bin(page));
  queue_push(lh, page, true);
}

/* A page for this class, at the front of its queue. NULL if there is no memory. */
static mi_page_t* page_fresh(mi_lheap_t* lh, unsigned bin) {
  mi_heap_t* heap = mi_load_relaxed(&lh->xheap);                          /* this owner may use it: it is not deleted */
  const size_t size = mi_bin_size(bin);
  const size_t nslices = size <= MI_SMALL_MAX ? 1 : MI_MEDIUM_SLICES;
  bool zero;
  mi_page_t* page = heap->arena == MI_ARENA_NONE ? mi_keep_take_class(bin) : NULL;
  const bool kept = page != NULL;
  if (!kept) page = mi_memory_claim(nslices * MI_SLICE_SIZE, MI_SLICE_SIZE, heap->arena, &zero);
  if (page == NULL) return NULL;
  if (!mi_page_init(page, size, bin, heap, lh->xid)) { mi_memory_give(page); return NULL; }
  if (mi_heap_is_listed(heap)) mi_heap_page_add(heap, page);
  page_dead_to_queued(lh, page);
  count(kept ? &lh->xcounts.adopted_pages : &lh->xcounts.fresh_pages, 1);
  return page;
}

static void page_pooled_to_queued(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_is_pooled(page));
  mi_page_where_set(page, MI_WHERE_QUEUED);
  queue_unretire(lh, mi_page_bin(page));
  queue_push(lh, page, false);
}

static void page_full_to_queued(mi_lheap_t* lh, mi_page_t* page, bool front) {
  mi_assert(mi_page_where(page) == MI_WHERE_FULL);
  mi_page_where_set(page, MI_WHERE_QUEUED);
  queue_unretire(lh, mi_page_bin(page));
  queue_push(lh, page, front);
}

/* Held by us, who took it: into this local heap's queue. H1 and A4 end here. */
static void page_attach(mi_lheap_t* lh, mi_page_t* page, mi_xlist_t list) {
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_OWNED && heap_of(page) == mi_load_relaxed(&lh->xheap));
  mi_page_take_list(page, list);
  if (mi_page_has_waited(page)) mi_hollow_fill(page);
  mi_store_release(&page->xowner, lh->xid);                               /* H1, A4: only an equal id means something to a reader; pairs with is_free: shows the marks */
  if (mi_page_where(page) == MI_WHERE_FULL) page_full_to_queued(lh, page, false);
  else page_pooled_to_queued(lh, page);
  count(&lh->xcounts.adopted_pages, 1);
}

/* Out of its queue: nothing is left in it. */
static void page_queued_to_full(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  mi_page_where_set(page, MI_WHERE_FULL);
  queue_remove(lh, page);
}

/* Gives up a page in which nothing is left. False if something was remotely freed meanwhile: it is in its queue again. */
static bool full_page_leave(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_FULL);
  mi_assert(page->free == &mi_nil && page->local_free == &mi_nil && page->capacity == page->reserved);
  mi_store_relaxed(&page->xowner, lh->xid == 0 ? 0 : lh->xid | 1);        /* F1: shown by the swap */
  if (mi_remote_release(&page->xword, MI_PAGE_FULL, mi_page_used(page))) {        /* F1 */
    count(&lh->xcounts.full_pages, 1);
    return true;
  }
  mi_store_relaxed(&page->xowner, lh->xid);
  page_full_to_queued(lh, page, true);
  page_collect(lh, page);
  return false;
}

/* ---- parked pages: nothing is left in them. Where blocks come and go at random one of them is freed soon, and their owner finds
   them OWNED still: two swaps less. One of a class; more where the owner frees in them, fewer where it does not: what others empty
   stays as long as the owner does nothing. ---- */

/* The owner freed in a page of this class in which nothing was left; a page that is given up takes one back. */
static void park_more(mi_lheap_t* lh, unsigned bin) {
  if (mi_policy_parks_more(lh, bin)) lh->park_more[bin] += 2;
}

static bool is_exhausted(mi_page_t* page) {
  return page->free == &mi_nil && page->local_free == &mi_nil && page->capacity == page->reserved && mi_xword_head(mi_load_relaxed(&page->xword)) == 0;  /* a hint */
}

static void parked_push(mi_lheap_t* lh, mi_page_t* page) {
  mi_assert(lh->xid != 0 && page->lheap == NULL);
  const unsigned bin = mi_page_bin(page);
  mi_page_leave_out(page, page->reserved - 1u);                           /* its holder's next free comes by */
  page->lheap = lh;
  list_push(&lh->parked[bin], page, true);
  lh->nparked[bin]++;
  lh->parked_slices += mi_page_nslices(page);
  count(&lh->xcounts.pages, 1);
}

static void parked_remove(mi_lheap_t* lh, mi_page_t* page) {
  const unsigned bin = mi_page_bin(page);
  mi_assert(page->lheap == lh && lh->nparked[bin] > 0);
  list_remove(&lh->parked[bin], page);
  page->lheap = NULL;
  lh->nparked[bin]--;
  lh->parked_slices -= mi_page_nslices(page);
  count(&lh->xcounts.pages, (uint64_t)-1);
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
  queue_unretire(lh, mi_page_bin(page));
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
  if (!page_collect(lh, page)) full_page_leave(lh, page);
  else if (mi_page_used(page) == 0) mi_lheap_page_free(page);
  else page_full_to_queued(lh, page, false);
}

static void page_park(mi_lheap_t* lh, mi_page_t* page) {
  const unsigned bin = mi_page_bin(page);
  page_unretire(page);
  page_unwatch(page);
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

/* Its holder's free came by. Its queue's first page may have had the last block of the queue before. */
static void parked_page_freed(mi_lheap_t* lh, mi_page_t* page) {
  const unsigned bin = mi_page_bin(page);
  mi_page_t* first = lh->queue[bin].first;
  const bool exhausted = first != NULL && is_exhausted(first);
  park_more(lh, bin);
  count(&lh->xcounts.adopted_pages, 1);
  page_parked_to_queued(lh, page, exhausted);
  if (exhausted && page->next == first) page_park(lh, first);
}

/* Nothing left in it, and it is in its queue. False if something was remotely freed meanwhile, which is in `free` then. Pages of other
   heaps than a main one have no free of their holder's. */
static bool page_leave(mi_lheap_t* lh, mi_page_t* page) {
  if (lh->xid != 0) { page_park(lh, page); return true; }
  page_unretire(page);                                                    /* nor is it watched: that are main heaps' */
  page_queued_to_full(lh, page);
  return full_page_leave(lh, page);
}

/* Has somebody else freed something in a parked page of this class? Then it is in the queue. */
static bool parked_find(mi_lheap_t* lh, unsigned bin) {
  if (lh->xid == 0) return false;
  for (mi_page_t* page = lh->parked[bin].first; page != NULL; page = page->next) {
    if (mi_xword_head(mi_load_relaxed(&page->xword)) == 0) continue;      /* a hint */
    page_parked_to_queued(lh, page, true);
    return true;
  }
  return false;
}

static void parked_to_full(mi_lheap_t* lh, unsigned bin) {
  while (lh->xid != 0 && lh->parked[bin].first != NULL) parked_page_leave(lh, lh->parked[bin].first);
}

/* `bin` was read while the page could not change (before P1, R4); arena and start are the same in its next life. */
static void pool_index(const mi_page_t* page, unsigned bin) {
  mi_assert(bin >= 1 && bin <= MI_BIN_LAST && page->arena != MI_ARENA_NONE);
  mi_arena_t* a = mi_arena_at(page->arena);
  if (mi_pool_set(mi_arena_pool(a, bin), mi_arena_slice_of(a, page->start))) mi_add_relaxed(&npooled[bin], 1);  /* P2; the count is a hint */
}

void mi_lheap_page_changed(const mi_page_t* page) {
  mi_arena_t* a = mi_arena_at(page->arena);
  const size_t i = mi_arena_slice_of(a, page->start);
  if ((mi_load_relaxed(&a->changed[i / 64]) >> (i % 64) & 1) != 0) return;  /* a hint: a round is still to come, or has still to look at it */
  mi_pool_set(a->changed, i);
  mi_clock_ask();
}

/* A single page goes to FULL: its block is live, and whoever frees that frees the page. `home`: what it carries in xowner then, 0 if
   it may have holes. */
void mi_lheap_page_to_pool_of(mi_page_t* page, uintptr_t home) {
  uint32_t nremote;
  const unsigned bin = mi_page_bin(page);
  const bool single = mi_page_is_single(page);
  bool dug;
  mi_assert(page->lheap == NULL && !mi_page_is_listed(page) && single == !(mi_page_is_pooled(page) || mi_page_where(page) == MI_WHERE_FULL));
  if (mi_page_where(page) == MI_WHERE_FULL) mi_page_full_to_pooled(page);
  mi_store_relaxed(&page->xowner, home);                                  /* P1: shown by the swap */
  do {
    mi_page_collect(page, &nremote);
    if (nremote > 0 && mi_page_where(page) == MI_WHERE_DUG) mi_page_dug_to_waited(page);  /* whoever freed them saw a page that was held */
    if (mi_page_used(page) == 0) { mi_lheap_page_free(page); return; }
    dug = mi_page_where(page) == MI_WHERE_DUG;
  } while (!mi_remote_release(&page->xword, single ? MI_PAGE_FULL : MI_PAGE_POOLED, mi_page_used(page)));  /* P1: from here on it may be anybody's */
  if (!single) pool_index(page, bin);                                     /* P2 */
  if (!single && !dug) mi_lheap_page_changed(page);
}

void mi_lheap_page_to_pool(mi_page_t* page) { mi_lheap_page_to_pool_of(page, 0); }

bool mi_lheap_full_to_owned(mi_lheap_t* lh, mi_page_t* page) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&page->xword, true, &list)) return false;        /* H1 */
  pool_unindex(page);                                                     /* it may have become POOLED meanwhile */
  if (heap_of(page) == mi_load_relaxed(&lh->xheap)) {                     /* its owner reads it */
    park_more(lh, mi_page_bin(page));
    page_attach(lh, page, list);
    page_watch(page);
    return true;
  }
  mi_page_take_list(page, list);                                          /* another owner's, who had the same id in another sub-process */
  mi_lheap_page_to_pool(page);
  return false;
}

/* Of the main heap. The thread that freed it may want another of its size. */
static void single_page_free(mi_page_t* page, const mi_owner_t* owner) {
  mi_page_die(page);
  mi_keep_put(owner->slot, page);
}

void mi_lheap_remote_todo(mi_page_t* page, unsigned bin, mi_remote_t todo, mi_owner_t* owner) {
  if (todo == MI_REMOTE_INDEX) {
    pool_index(page, bin);
    mi_lheap_page_changed(page);
    if (owner != NULL && mi_load_relaxed(&page->xowner) == (owner->id | 1)) park_more(&owner->main, bin);  /* a hint */
  }
  if (todo == MI_REMOTE_SPARSER) mi_lheap_page_changed(page);
  if (todo != MI_REMOTE_LAST) return;
  mi_assert(!mi_page_is_listed(page) && mi_page_left_out(page) == 0);
  mi_page_used_set(page, 0);
  page->doubted = true;
  if (owner != NULL && mi_page_is_single(page) && !mi_heap_is_listed(heap_of(page))) { single_page_free(page, owner); return; }
  mi_lheap_page_free(page);
}

/* One pooled page of this class and heap from this arena, at or after slice *i, where it ends. */
static mi_page_t* adopt_from(mi_lheap_t* lh, mi_heap_t* heap, mi_arena_t* a, unsigned bin, size_t* i, unsigned* looks) {
  mi_bits_t* bits = mi_arena_pool(a, bin);
  mi_xlist_t list;
  for (; *looks > 0 && (*i = mi_bitmap_next(bits, a->nslices, *i)) < a->nslices; ++*i, (*looks)--) {
    if (mi_load_relaxed(&a->pages[*i].xheap) != heap) continue;           /* a hint: not worth the swap */
    if (!mi_pool_take(bits, a->nslices, i)) return NULL;                  /* A1: this one, or one behind it */
    *looks -= mi_min(*looks - 1, 3);
    mi_page_t* page = &a->pages[*i];
    mi_sub_relaxed(&npooled[bin], 1);                                     /* a hint */
    if (mi_load_relaxed(&page->xheap) != heap) {                          /* a hint: A3 decides. A bit without a page does no harm */
      if (mi_pool_set(bits, *i)) mi_add_relaxed(&npooled[bin], 1);
      continue;
    }
    if (!mi_remote_acquire(&page->xword, false, &list)) continue;         /* A2 */
    if (heap_of(page) == heap && mi_page_bin(page) == bin) {              /* A3 */
      page_attach(lh, page, list);                                        /* A4 */
      return page;
    }
    mi_page_take_list(page, list);
    mi_lheap_page_to_pool(page);
  }
  return NULL;
}

/* Who looked at many pages in vain leaves off there, and looks on behind them the next time: other heaps' pages do not hide a heap's
   own for ever. */
static mi_page_t* page_adopt(mi_lheap_t* lh, unsigned bin) {
  mi_heap_t* heap = mi_load_relaxed(&lh->xheap);                          /* this owner may use it: it is not deleted */
  unsigned looks = ADOPT_LOOKS;
  if (mi_load_relaxed(&npooled[bin]) == 0) return NULL;                   /* a hint */
  for (uint32_t from = lh->look_from[bin], again = 1; again != 0 && looks > 0; from = 0) {
    size_t i = (size_t)(from & LOOK_SLICES) * 16;
    for (size_t n = from / (LOOK_SLICES + 1); n < mi_arena_count() && looks > 0; n++, i = 0) {
      mi_arena_t* a = mi_arena_at(n);
      mi_page_t* page = mi_arena_serves(a, heap->arena) ? adopt_from(lh, heap, a, bin, &i, &looks) : NULL;
      if (page != NULL) return page;
      if (looks == 0) lh->look_from[bin] = (uint32_t)(n * (LOOK_SLICES + 1) + mi_min(i / 16, LOOK_SLICES));
    }
    if (looks > 0) lh->look_from[bin] = 0;
    again = from;                                                         /* from the start, what was left out */
  }
  return NULL;
}

/* ---- idle queues: nothing was allocated from them for a while, so their pages may be anybody's ---- */

/* Can much of it be of use to others, or go back? */
static bool is_sparse(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  return mi_policy_is_sparse(page) && !mi_arena_at(page->arena)->pinned;
}

/* The pages have waited enough. */
static void give_up_sparse(mi_lheap_t* lh, unsigned bin) {
  parked_to_full(lh, bin);
  for (mi_page_t *page = lh->queue[bin].first, *next; page != NULL; page = next) {
    next = page->next;
    if (is_retired(page)) {
      if (mi_page_used(page) <= 1) continue;                              /* empty: sweep_retired's */
      page_unretire(page);
    }
    const bool watched = mi_page_where(page) == MI_WHERE_WATCHED;
    page_unwatch(page);
    page_collect(lh, page);
    if (!is_sparse(page)) {
      if (watched) page_watch(page);
      continue;
    }
    page_queued_to_waited(lh, page);
    mi_lheap_page_to_pool(page);
  }
}

/* Of what the next allocation takes, if nobody frees: what is taken from a queue shows in it, but where it is the same block again
   and again, or one with the same 16 bits; then its page is adopted again. */
static uint16_t next_block(mi_lheap_t* lh, unsigned bin) {
  mi_page_t* page = lh->queue[bin].first;
  if (page == NULL) return 0;
  const uintptr_t p = page->free != &mi_nil ? (uintptr_t)page->free : mi_load_relaxed(&page->xtop);  /* its holder */
  return (uint16_t)(p >> MI_GRANULE_SHIFT ^ p >> 20);                     /* its place in the slice, and the slice's */
}

static void sweep_idle(mi_lheap_t* lh) {
  const uint64_t now = mi_os_now_ms(), round = mi_clock_round_ms();
  if (round == 0 || (now < lh->idle_at && lh->idle_at <= now + round) || !mi_purger_affords()) return;
  lh->idle_at = now + round;
  const uint64_t since = mi_os_cpu_us();
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    if (next_block(lh, bin) == lh->seen[bin]) give_up_sparse(lh, bin);
    lh->seen[bin] = next_block(lh, bin);
  }
  mi_purger_charge(since);
}

/* At the end of the slow half of a free, where nothing is held: what a slow path of malloc does now and then. A program that only frees
   gets its memory back, too. */
void mi_lheap_freed(mi_lheap_t* lh) {
  if (lh != NULL && ++lh->free_tick % FREE_TICKS == 0) {
    if (lh->nretired > 0 && lh->free_tick % MI_SWEEP_EVERY == 0) sweep_retired(lh);
    sweep_idle(lh);
  }
  mi_error_tell();
  mi_purger_tend();
}

/* ---- allocation ---- */

/* A write to a free block, or a block that was freed twice and taken once. */
mi_cold static void free_is_damaged(mi_page_t* page) {
  if (!page->doubted && mi_xword_head(mi_load_relaxed(&page->xword)) == 0) { mi_page_drop_free(page); return; }  /* a hint: what was pushed before is seen */
  mi_error_later(MI_ERROR_CORRUPT, page->free, mi_page_size(page));
  mi_mend(page);
}

/* A page of the queue with something in `free`, moved to its front; full pages leave. NULL if there is none. */
static mi_page_t* queue_find(mi_lheap_t* lh, unsigned bin) {
  mi_page_t* page = lh->queue[bin].first;
  while (page != NULL) {
    mi_page_t* next = page->next;
    page_unwatch(page);
    if (mi_unlikely(page->free != &mi_nil && mi_load_relaxed(&page->free->xmark) != page->key)) free_is_damaged(page);  /* its own */
    if (page_collect(lh, page) || mi_page_extend(page) || !page_leave(lh, page)) {
      if (page->prev != NULL) {
        queue_remove(lh, page);
        queue_push(lh, page, true);
      }
      return page;
    }
    page = next;
  }
  return NULL;
}

static void* malloc_bin(mi_lheap_t* lh, unsigned bin) {
  mi_assert(bin >= 1 && bin <= MI_BIN_LAST);
  for (;;) {
    mi_page_t* page = queue_find(lh, bin);
    if (page == NULL && (lh->queue[bin].first != NULL || parked_find(lh, bin))) continue;  /* it came there from those that were parked */
    if (page == NULL) page = page_adopt(lh, bin);
    if (page == NULL) page = page_fresh(lh, bin);
    if (page == NULL) return NULL;
    mi_block_t* block = page->free;
    if (block == &mi_nil || mi_load_relaxed(&block->xmark) != page->key) continue;  /* its own; fresh, adopted or damaged: queue_find sees to it */
    page->free = block->next;
    mi_own_increment(&page->xused);
    mi_store_relaxed(&block->xmark, 0);                                   /* as in mi_page_pop */
    return block;
  }
}

/* From an arena. A large one that would touch new memory: what lies between kept pages is better. */
static mi_page_t* single_claim(size_t size, size_t align, uint16_t arena, bool* zero) {
  if (size > MI_MEDIUM_SLICES * MI_SLICE_SIZE && arena == MI_ARENA_NONE) {
    mi_page_t* page = mi_memory_claim_touched(size, align, zero);
    if (page != NULL) return page;
    mi_keep_flush_classes();
  }
  return mi_memory_claim(size, align, arena, zero);
}

static void* single_again(mi_lheap_t* lh, size_t size) {
  if (mi_heap_is_listed(mi_load_relaxed(&lh->xheap))) return NULL;        /* this owner may use it: it is not deleted */
  size = mi_align_up(size, mi_os_page_size());
  mi_page_t* page = mi_keep_take(lh->owner->slot, mi_divide_up(size, MI_SLICE_SIZE));
  if (page == NULL) return NULL;
  mi_page_again(page, size, lh->xid | 1);
  count(&lh->xcounts.adopted_pages, 1);
  return page->start;
}

void* mi_lheap_malloc_kept(mi_lheap_t* lh, size_t size) {
  if (size > MI_KEEP_SLICES * MI_SLICE_SIZE || !mi_lheap_may_hurry(lh)) return NULL;
  void* p = single_again(lh, size);
  if (p != NULL) lh->tick++;                                              /* else it may be nobody's, which has no pages */
  return p;
}

/* `room`: for a block that grows. */
static void* malloc_single(mi_lheap_t* lh, size_t size, size_t align, bool room, bool* zero) {
  mi_assert(mi_is_pow2(align) && size <= MI_ADDRESSES);
  mi_heap_t* heap = mi_load_relaxed(&lh->xheap);                          /* as above */
  size = mi_align_up(mi_max(size, 1), mi_os_page_size());
  mi_page_t* page = room ? mi_memory_claim_headroom(size, heap->arena, zero) : NULL;
  if (page == NULL && align <= MI_SLICE_SIZE) {
    void* p = single_again(lh, size);
    *zero = false;
    if (p != NULL) return p;
  }
  if (page == NULL) page = single_claim(size, align, heap->arena, zero);
  if (page == NULL) return NULL;
  if (!mi_page_init(page, size, MI_BIN_SINGLE, heap, lh->xid == 0 ? 0 : lh->xid | 1)) { mi_memory_give(page); return NULL; }
  if (mi_heap_is_listed(heap)) mi_heap_page_add(heap, page);
  count(&lh->xcounts.fresh_pages, 1);
  return page->start;
}

/* Everybody is asked to drain: counted. */
static mi_atomic(uint32_t) xdrains_asked;

void mi_lheap_ask_all(void) { mi_add_relaxed(&xdrains_asked, 1); }        /* publishes nothing: whoever sees it does what it may do at any time */

static void drain_as_asked(mi_lheap_t* lh) {
  lh->drains_seen = mi_load_relaxed(&xdrains_asked);                      /* as above */
  mi_lheap_collect(lh, true);
}

/* What is done now and then: retired pages, purging, the deferred-free function. */
static void tick(mi_lheap_t* lh) {
  const uint32_t before = lh->tick;
  lh->tick += 8;
  if (mi_unlikely(lh->drains_seen != mi_load_relaxed(&xdrains_asked))) drain_as_asked(lh);  /* as above */
  if (mi_unlikely(mi_load_relaxed(&mi_has_deferred_free))) mi_deferred_free_call(false, lh->tick);  /* a hint */
  if (before / MI_SWEEP_EVERY == lh->tick / MI_SWEEP_EVERY) return;
  if (lh->nretired > 0) sweep_retired(lh);
  sweep_idle(lh);
}

static void* malloc_any(mi_lheap_t* lh, size_t size, bool* zero) {
  *zero = false;
  return size > MI_MEDIUM_MAX ? malloc_single(lh, size, MI_SLICE_SIZE, false, zero) : malloc_bin(lh, mi_bin_of(size));
}

/* No memory: what this owner can give back, and what is kept, may be enough. False if that is nothing, so that asking again is in vain:
   a program may ask for too much again and again. */
mi_cold static bool make_room(mi_lheap_t* lh) {
  const uint64_t before = mi_memory_changes();
  const size_t committed = mi_load_relaxed(&mi_commit_totals.xcommitted);  /* a hint */
  mi_lheap_collect(lh, true);
  if (mi_keep_any()) mi_purger_run(true);
  else if (mi_commit_is_limited()) mi_purge_some(true);
  return mi_memory_changes() != before || mi_load_relaxed(&mi_commit_totals.xcommitted) < committed;  /* a hint */
}

void* mi_lheap_malloc_slow(mi_lheap_t* lh, size_t size, bool* zero) {
  if (mi_unlikely(size > MI_ADDRESSES)) return mi_error_fail(MI_ERROR_NO_MEMORY, size);
  tick(lh);
  void* p = malloc_any(lh, size, zero);
  if (mi_unlikely(p == NULL) && make_room(lh)) p = malloc_any(lh, size, zero);
  mi_error_tell();
  mi_purger_tend();
  return mi_likely(p != NULL) ? p : mi_error_fail(MI_ERROR_NO_MEMORY, size);
}

static void* single(mi_lheap_t* lh, size_t size, size_t align, bool room, bool* zero) {
  if (mi_unlikely(size > MI_ADDRESSES || align > MI_ADDRESSES)) return mi_error_fail(MI_ERROR_NO_MEMORY, size);
  tick(lh);
  void* p = malloc_single(lh, size, align, room, zero);
  if (mi_unlikely(p == NULL) && make_room(lh)) p = malloc_single(lh, size, align, room, zero);
  mi_error_tell();
  mi_purger_tend();
  return mi_likely(p != NULL) ? p : mi_error_fail(MI_ERROR_NO_MEMORY, size);
}

void* mi_lheap_malloc_single(mi_lheap_t* lh, size_t size, size_t align, bool* zero) { return single(lh, size, align, false, zero); }

void* mi_lheap_malloc_growing(mi_lheap_t* lh, size_t size, bool room, bool* zero) { return single(lh, size, MI_SLICE_SIZE, room, zero); }

/* ---- the whole local heap ---- */

void mi_lheap_unpark(mi_lheap_t* lh) {
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) parked_to_full(lh, bin);
}

void mi_lheap_page_unpark(mi_page_t* page) {
  if (mi_page_where(page) == MI_WHERE_PARKED) page_parked_to_queued(page->lheap, page, false);
  else page_unwatch(page);
}

void mi_lheap_init(mi_lheap_t* lh, mi_owner_t* owner, mi_heap_t* heap, uintptr_t xid) {
  mi_assert(xid == 0 || xid == owner->id);
  for (size_t w = 0; w < MI_DIRECT_COUNT; w++) lh->direct[w] = &mi_page_empty;
  if (xid != 0) memset(lh->park_more, 0, sizeof lh->park_more);           /* it may have been another's */
  lh->xid = xid;
  lh->drains_seen = mi_load_relaxed(&xdrains_asked);                      /* it has nothing */
  lh->owner = owner;
  mi_store_relaxed(&lh->xheap, heap);                                     /* shown to others together with the local heap */
}

void mi_lheap_collect(mi_lheap_t* lh, bool force) {
  mi_lheap_unpark(lh);
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    for (mi_page_t *page = lh->queue[bin].first, *next; page != NULL; page = next) {
      next = page->next;
      if (force) page_unretire(page);
      page_unwatch(page);
      page_collect(lh, page);
      if (mi_page_used(page) == 0) queued_page_free(lh, page);
    }
    if (force) give_up_sparse(lh, bin);
  }
}

void mi_lheap_end(mi_lheap_t* lh) {
  mi_lheap_unpark(lh);
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    mi_page_t* page;
    while ((page = lh->queue[bin].first) != NULL) {
      page_unretire(page);
      page_unwatch(page);
      page_queued_to_pooled(lh, page);
      mi_lheap_page_to_pool(page);
    }
  }
  mi_assert(mi_load_relaxed(&lh->xcounts.pages) == 0 && lh->nretired == 0);  /* its one writer */
}
