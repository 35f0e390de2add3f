/* See lheap.h. Owner-only, but for what says any-thread. */
#include <string.h>

#include "cache.h"
#include "holes.h"
#include "lheap.h"
#include "memory.h"
#include "mend.h"
#include "report.h"
#include "os.h"
#include "pool.h"
#include "purger.h"
#include "sampler.h"

/* ---- pages that come: fresh, adopted, taken back ---- */

/* A page for this class, at the front of its queue. NULL if there is no memory. */
static mi_page_t* page_fresh(mi_lheap_t* lh, unsigned bin) {
  mi_heap_t* heap = mi_load_relaxed(&lh->xheap);  /* this owner may use it: it is not deleted */
  const size_t size = mi_bin_size(bin);
  const size_t nslices = size <= MI_SMALL_MAX ? 1 : MI_MEDIUM_SLICES;
  bool zero;
  mi_page_t* page = heap->arena == MI_ARENA_NONE ? mi_cache_take_class(bin) : NULL;
  const bool cached = page != NULL;
  if (!cached) page = mi_memory_claim(nslices * MI_SLICE_SIZE, MI_SLICE_SIZE, heap->arena, &zero);
  if (page == NULL) return NULL;
  if (!mi_page_init(page, size, bin, heap, lh->xid)) { mi_memory_give(page); return NULL; }
  if (mi_heap_is_listed(heap)) mi_heap_pages_add(heap, page);
  mi_page_dead_to_queued(lh, page);
  mi_lheap_count(cached ? &lh->xcounts.adopted_pages : &lh->xcounts.fresh_pages, 1);
  return page;
}

/* Held by us, who took it: into this local heap's queue. H1 and A4 end here. */
static void page_attach(mi_lheap_t* lh, mi_page_t* page, mi_xlist_t list) {
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_OWNED
            && mi_page_heap(page) == mi_load_relaxed(&lh->xheap));
  mi_page_take_list(page, list);
  if (mi_page_has_waited(page)) mi_holes_undo(page);
  if (mi_sample_is_on()) mi_page_cut(page, 0);
  /* H1, A4: only an equal id means something to a reader; pairs with is_free: shows the marks. */
  mi_store_release(&page->xowner, lh->xid);
  if (mi_page_where(page) == MI_WHERE_FULL) mi_page_full_to_queued(lh, page, false);
  else mi_page_pooled_to_queued(lh, page);
  mi_lheap_count(&lh->xcounts.adopted_pages, 1);
}

/* One that another owner gave up. */
static mi_page_t* page_adopt(mi_lheap_t* lh, unsigned bin) {
  mi_xlist_t list;
  /* This owner may use it: it is not deleted. */
  mi_page_t* page = mi_pool_adopt(mi_load_relaxed(&lh->xheap), bin, &lh->look_from[bin], &list);
  if (page != NULL) page_attach(lh, page, list);                          /* A4 */
  return page;
}

bool mi_lheap_take_back(mi_lheap_t* lh, mi_page_t* page) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&page->xword, true, &list)) return false;        /* H1 */
  mi_pool_unindex(page);  /* it may have become POOLED meanwhile */
  if (mi_page_heap(page) == mi_load_relaxed(&lh->xheap)) {                     /* its owner reads it */
    mi_queue_park_more(lh, mi_page_bin(page));
    page_attach(lh, page, list);
    mi_queue_watch(page);
    return true;
  }
  mi_page_take_list(page, list);  /* another owner's, who had the same id in another sub-process */
  mi_pool_page_put(page);
  return false;
}

/* ---- a block of a class ---- */

/* A write to a free block, or a block that was freed twice and taken once. */
mi_cold static void free_is_damaged(mi_page_t* page) {
  /* A hint: what was pushed before is seen. */
  if (!page->doubted && mi_xword_head(mi_load_relaxed(&page->xword)) == 0) {
    mi_page_drop_free(page);
    return;
  }
  mi_report_later(MI_ERROR_CORRUPT, page->free, mi_page_size(page));
  mi_mend(page);
}

/* A page of the queue with something free, moved to its front; full pages leave. NULL if there is none, or if
   the block is a sample: *sample. */
static mi_page_t* queue_find(mi_lheap_t* lh, unsigned bin, bool* sample) {
  mi_page_t* page = lh->queue[bin].first;
  while (page != NULL) {
    mi_page_t* next = page->next;
    if (mi_unlikely(sample != NULL && mi_sampler_is_due(lh, page))) {
      *sample = true;
      return NULL;
    }
    mi_queue_unwatch(page);
    /* Its own. */
    if (mi_unlikely(page->free != &mi_nil && mi_load_relaxed(&page->free->xmark) != page->key))
      free_is_damaged(page);
    if (mi_queue_page_collect(lh, page) || mi_page_extend(page) || !mi_queue_page_leave(lh, page)) {
      if (page->prev != NULL) mi_queue_to_front(lh, page);
      return page;
    }
    page = next;
  }
  return NULL;
}

void* mi_lheap_block(mi_lheap_t* lh, unsigned bin, bool* sample) {
  mi_assert(bin >= 1 && bin <= MI_BIN_LAST);
  for (;;) {
    mi_page_t* page = queue_find(lh, bin, sample);
    if (mi_unlikely(sample != NULL && *sample)) return NULL;
    /* It came there from those that were parked. */
    if (page == NULL && (lh->queue[bin].first != NULL || mi_queue_unpark_freed(lh, bin))) continue;
    if (page == NULL) page = page_adopt(lh, bin);
    if (page == NULL) page = page_fresh(lh, bin);
    if (page == NULL) return NULL;
    if (mi_unlikely(mi_sample_is_on())) mi_sampler_fill(lh, page, sample == NULL);
    mi_block_t* block = page->free;
    /* Its own; fresh, adopted or damaged: queue_find sees to it. */
    if (block == &mi_nil || mi_load_relaxed(&block->xmark) != page->key) continue;
    page->free = block->next;
    mi_own_increment(&page->xused);
    mi_store_relaxed(&block->xmark, 0);                                   /* as in mi_alloc_pop */
    return block;
  }
}

/* ---- idle queues: nothing was allocated from them for a while, so their pages may be anybody's ---- */

/* Can much of it be of use to others, or go back? */
static bool is_sparse(mi_page_t* page) {
  mi_assert(mi_page_where(page) == MI_WHERE_QUEUED);
  return mi_policy_is_sparse(page) && !mi_arena_at(page->arena)->pinned;
}

/* The pages have waited enough. How many were looked at. */
static size_t give_up_sparse(mi_lheap_t* lh, unsigned bin) {
  size_t n = 0;
  mi_queue_unpark_class(lh, bin);
  for (mi_page_t *page = lh->queue[bin].first, *next; page != NULL; page = next, n++) {
    next = page->next;
    const bool watched = mi_page_where(page) == MI_WHERE_WATCHED;
    mi_queue_unretire(page);
    mi_queue_unwatch(page);
    mi_queue_page_collect(lh, page);
    if (mi_page_used(page) == 0) {
      mi_queue_page_free(lh, page);
      continue;
    }
    if (!is_sparse(page)) {
      if (watched) mi_queue_watch(page);
      continue;
    }
    mi_page_queued_to_waited(lh, page);
    mi_pool_page_put(page);
  }
  return n;
}

/* Of what the next allocation takes, if nobody frees: what is taken from a queue shows in it, but where it is
   the same block again and again, or one with the same 16 bits; then its page is adopted again. */
static uint16_t next_block(mi_lheap_t* lh, unsigned bin) {
  mi_page_t* page = lh->queue[bin].first;
  if (page == NULL) return 0;
  /* Its holder. */
  const uintptr_t p = page->free != &mi_nil ? (uintptr_t)page->free : mi_load_relaxed(&page->xtop);
  return (uint16_t)(p >> MI_GRANULE_SHIFT ^ p >> 20);  /* its place in the slice, and the slice's */
}

static void sweep_idle(mi_lheap_t* lh) {
  const uint64_t now = mi_os_now_ms();
  if (!mi_clock_is_over(lh->swept_at, now)) return;
  if (!mi_purger_affords()) {
    mi_clock_schedule();                 /* a round counts the time, by which it may again */
    return;
  }
  lh->swept_at = now;
  size_t n = 0;
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    if (next_block(lh, bin) == lh->seen[bin]) n += give_up_sparse(lh, bin);
    lh->seen[bin] = next_block(lh, bin);
  }
  mi_purger_charge(mi_policy_sweep_us(n));
}

/* ---- now and then ---- */

/* How often a drain of every local heap was scheduled. */
static mi_atomic(uint32_t) xdrains_scheduled;

/* Publishes nothing: whoever sees it does what it may do at any time. */
void mi_lheap_schedule_drains(void) { mi_add_relaxed(&xdrains_scheduled, 1); }

static void drain_as_scheduled(mi_lheap_t* lh) {
  lh->drains_seen = mi_load_relaxed(&xdrains_scheduled);                      /* as above */
  mi_lheap_collect(lh, true);
}

void mi_lheap_housekeep(mi_lheap_t* lh) {
  const uint32_t before = lh->tick;
  lh->tick += MI_SLOW_TICKS;
  /* As above. */
  if (mi_unlikely(lh->drains_seen != mi_load_relaxed(&xdrains_scheduled))) drain_as_scheduled(lh);
  /* A hint. */
  if (mi_unlikely((mi_load_relaxed(&mi_callback_xwanted) & MI_WANTS_DEFERRED_FREE) != 0))
    mi_callback_deferred_free(false);
  mi_sampler_look(lh);
  if (before / MI_SWEEP_EVERY != lh->tick / MI_SWEEP_EVERY) sweep_idle(lh);
}

/* At the end of the slow half of a free, where nothing is held: what a slow path of malloc does now and then.
   A program that only frees gets its memory back, too. */
mi_inline void freed(mi_lheap_t* lh) {
  if (lh != NULL && ++lh->free_tick % MI_CLOCK_TICKS == 0) sweep_idle(lh);
  mi_report_pending();
  mi_purger_freed();
}

void mi_lheap_freed(mi_lheap_t* lh) { freed(lh); }

void mi_lheap_page_emptied(mi_page_t* page) {
  mi_lheap_t* lh = page->lheap;
  mi_queue_page_emptied(lh, page);
  freed(lh);
}

/* ---- the whole local heap ---- */

void mi_lheap_init(mi_lheap_t* lh, mi_owner_t* owner, mi_heap_t* heap, uintptr_t xid) {
  mi_assert(xid == 0 || xid == owner->id);
  for (size_t w = 0; w < MI_DIRECT_COUNT; w++) lh->direct[w] = &mi_page_empty;
  if (xid != 0) memset(lh->park_more, 0, sizeof lh->park_more);           /* it may have been another's */
  lh->xid = xid;
  lh->drains_seen = mi_load_relaxed(&xdrains_scheduled);                      /* it has nothing */
  lh->vain_pages = 0;
  lh->sample_session = 0;
  lh->owner = owner;
  mi_store_relaxed(&lh->xheap, heap);  /* shown to others together with the local heap */
}

/* How many pages were looked at. */
static size_t collect(mi_lheap_t* lh, bool force) {
  size_t n = 0;
  mi_queue_unpark_all(lh);
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    for (mi_page_t *page = lh->queue[bin].first, *next; page != NULL; page = next, n++) {
      next = page->next;
      if (force) mi_queue_unretire(page);
      mi_queue_unwatch(page);
      mi_queue_page_collect(lh, page);
      if (mi_page_used(page) == 0) mi_queue_page_free(lh, page);
    }
    if (force) give_up_sparse(lh, bin);
  }
  return n;
}

void mi_lheap_collect(mi_lheap_t* lh, bool force) { collect(lh, force); }

/* What the owner frees itself shows: a page that it empties is free or retired. So whatever else there is was
   freed by others, which shows in the pages only. */
void mi_lheap_make_room(mi_lheap_t* lh) {
  const uint64_t now = mi_os_now_ms();
  mi_queue_unretire_all(lh);
  if (!mi_policy_collects_again(lh, now)) {
    lh->vain_failures++;
    return;
  }
  const uint64_t before = mi_load_relaxed(&lh->xcounts.retired_pages);    /* its one writer */
  const size_t n = collect(lh, true);
  const bool any = mi_load_relaxed(&lh->xcounts.retired_pages) != before; /* the same */
  lh->vain_pages = any ? 0 : (uint32_t)mi_min(n, UINT32_MAX);
  lh->vain_failures = 0;
  lh->vain_at = now;
}

void mi_lheap_end(mi_lheap_t* lh) {
  mi_queue_unpark_all(lh);
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    mi_page_t* page;
    while ((page = lh->queue[bin].first) != NULL) {
      mi_queue_unretire(page);
      mi_queue_unwatch(page);
      mi_page_queued_to_pooled(lh, page);
      mi_pool_page_put(page);
    }
  }
  mi_assert(mi_load_relaxed(&lh->xcounts.pages) == 0);  /* its one writer */
}
