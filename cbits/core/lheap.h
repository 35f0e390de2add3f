/* Local heaps: where an owner and a heap meet. A block of a class from one of its pages, or a page for it;
   what is done now and then. Owner-only, but for what says any-thread. */
#ifndef MI_LHEAP_H
#define MI_LHEAP_H

#include "heap_pages.h"
#include "callback.h"
#include "options.h"
#include "queue.h"

/* May the next allocation do without what the slow path does now and then? */
mi_inline bool mi_lheap_may_skip(const mi_lheap_t* lh) {
  /* A hint. */
  return (lh->tick + 1) % MI_SWEEP_EVERY != 0 && mi_load_relaxed(&mi_callback_xwanted) == 0;
}

/* `xid`: what its pages carry in xowner; 0 for a heap other than the main one. */
void mi_lheap_init(mi_lheap_t* lh, mi_owner_t* owner, mi_heap_t* heap, uintptr_t xid);
/* Pools or frees every page. */
void mi_lheap_end(mi_lheap_t* lh);

/* A block of a class. NULL and errno if there is no memory; or if it is the turn of a sample (sampler.h), and
   `sample` is not NULL: *sample is true then. */
void* mi_lheap_block(mi_lheap_t* lh, unsigned bin, bool* sample);
/* `used` is 0: the block that was freed last was the page's last, so free the page, or retire it; or the page
   was parked. */
void mi_lheap_page_emptied(mi_page_t* page);
/* H1: a block of a page that this owner gave up is being freed by it. False: it has another holder by now. */
bool mi_lheap_take_back(mi_lheap_t* lh, mi_page_t* page);

/* Gives parked pages up, collects remote frees, frees empty pages; force: also those that are retired, and
   pools those that are sparse. */
void mi_lheap_collect(mi_lheap_t* lh, bool force);
/* The same by force, for a request that failed: not all of it each time where it brings nothing. */
void mi_lheap_make_room(mi_lheap_t* lh);
/* Any thread: asks each local heap to collect by force in its next slow path. */
void mi_lheap_schedule_drains(void);

/* What a slow path does now and then: idle queues, the deferred-free function, and a drain that was
   scheduled. */
void mi_lheap_housekeep(mi_lheap_t* lh);
/* Ends every slow half of a free, with nothing held: `lh` of the one who frees, NULL if it has none. */
void mi_lheap_freed(mi_lheap_t* lh);

#endif
