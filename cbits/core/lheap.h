/* Local heaps: where an owner and a heap meet. The slow half of malloc and free, and every change of
   a page's state; the functions are named by the transitions in docs/DESIGN.md, section 3.
   Owner-only, but for what says any-thread. */
#ifndef MI_LHEAP_H
#define MI_LHEAP_H

#include "heap.h"
#include "options.h"
#include "page.h"

#define MI_SWEEP_EVERY 256u               /* ticks between sweeps; a power of two. A slow path is 8, a short one, which hurries, is 1 */

/* May the next allocation do without what the slow path does now and then? */
mi_inline bool mi_lheap_may_hurry(const mi_lheap_t* lh) {
  return (lh->tick + 1) % MI_SWEEP_EVERY != 0 && !mi_load_relaxed(&mi_has_deferred_free);  /* a hint */
}

/* `xid`: what its pages carry in xowner; 0 for a heap other than the main one. */
void mi_lheap_init(mi_lheap_t* lh, mi_owner_t* owner, mi_heap_t* heap, uintptr_t xid);
/* Pools or frees every page. */
void mi_lheap_end(mi_lheap_t* lh);

/* The slow path of an allocation of `size` bytes, at most MI_SIZE_LIMIT. NULL and errno if there is no
   memory; *zero: the block is all zeros. */
void* mi_lheap_malloc_slow(mi_lheap_t* lh, size_t size, bool* zero);
/* A block over MI_MEDIUM_MAX whose page was kept (keep.h); NULL if there is none, or it is time for the slow path. */
mi_noinline void* mi_lheap_malloc_kept(mi_lheap_t* lh, size_t size);
/* A block with a page of its own, aligned to any power of two. */
void* mi_lheap_malloc_single(mi_lheap_t* lh, size_t size, size_t align, bool* zero);
/* The same, for a block that grows; `room`: to go on, if there is any (mi_memory_claim_headroom). */
void* mi_lheap_malloc_growing(mi_lheap_t* lh, size_t size, bool room, bool* zero);
/* `used` is 0: the block that was freed last was the page's last, so free the page, or keep it a while; or the page was parked. */
void mi_lheap_page_emptied(mi_page_t* page);
/* full_to_owned: a block of a page that this owner gave up is being freed by it. False: it has another holder by now. */
bool mi_lheap_full_to_owned(mi_lheap_t* lh, mi_page_t* page);
/* No page is parked any more (docs/memory-policy.md, section 3). */
void mi_lheap_unpark(mi_lheap_t* lh);
/* A page of this owner's is neither parked nor watched any more: it is in its queue, if in any, and `used` is what it says. */
void mi_lheap_page_unpark(mi_page_t* page);
/* Any thread: asks each local heap to collect by force in its next slow path. */
void mi_lheap_ask_all(void);
/* Collects remote frees, frees empty pages; force: also those that are kept a while, and pools those that are sparse. */
void mi_lheap_collect(mi_lheap_t* lh, bool force);

/* Any thread, which holds the page: it is in no queue and nothing in it is live. If something is, after all (mend.h), it is pooled. */
void mi_lheap_page_free(mi_page_t* page);
/* Any thread: a remote free left this to be done. `bin` was read before it: the page may be another's since. `owner`: the
   freer's, or NULL; near to whom a page is kept for the next, and whose
   local heap learns that it frees in pages it gave up. */
void mi_lheap_remote_todo(mi_page_t* page, unsigned bin, mi_remote_t todo, mi_owner_t* owner);
/* Any thread, which holds the page: P1 and P2; or frees the page, if nothing is live. */
void mi_lheap_page_to_pool(mi_page_t* page);
/* The same for a page without holes that carried `home` in xowner when the caller took it from the pool: id|1 of who gave it up full, or 0. */
void mi_lheap_page_to_pool_of(mi_page_t* page, uintptr_t home);
/* Ends every slow half of a free, with nothing held: `lh` of the one who frees, NULL if it has none. */
void mi_lheap_freed(mi_lheap_t* lh);
/* Any thread: there is something for the next round (pooled.h) in this page, or was. */
void mi_lheap_page_changed(const mi_page_t* page);

#endif
