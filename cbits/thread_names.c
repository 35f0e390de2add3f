/* What other versions of mimalloc call things, and functions of theirs that say less or more than ours:
   mimalloc.h. And what a program with threads that sleep calls. Any thread. */
#include <errno.h>

#include "core/memory.h"
#include "core/cache.h"
#include "core/report.h"
#include "core/owner.h"
#include "core/purger.h"
#include "core/pool_round.h"
#include "core/visit.h"
#include "thread.h"

/* ---- threads that sleep ---- */

void mi_thread_idle(void) {
  mi_owner_t* owner = mi_local()->lheap->owner;
  if (owner != NULL) mi_owner_abandon(owner);
}

/* Pages that a round empties are cached or due, hence purged after it. */
void mi_collect_all(void) {
  mi_lheap_schedule_drains();
  mi_collect(true);
  mi_purger_run(true);
}

void mi_arenas_purge(void) {
  mi_purger_run_pages();
  mi_purger_run(true);
  mi_report_pending();
}

/* Pages are adopted by whoever needs them, whatever their threads do. */
void mi_thread_set_in_threadpool(void) { }

/* ---- blocks, and their usable sizes with them ---- */

/* p. Writes its usable bytes; 0 for NULL. */
static void* sized(void* p, size_t* block_size) {
  if (block_size != NULL) *block_size = mi_usable_size(p);
  return p;
}

void* mi_umalloc(size_t size, size_t* block_size) { return sized(mi_malloc(size), block_size); }
void* mi_umalloc_small(size_t size, size_t* block_size) { return sized(mi_malloc(size), block_size); }
void* mi_ucalloc(size_t n, size_t size, size_t* block_size) { return sized(mi_calloc(n, size), block_size); }
void* mi_uzalloc_small(size_t size, size_t* block_size) { return sized(mi_zalloc(size), block_size); }
void* mi_umalloc_aligned(size_t size, size_t align, size_t* block_size) {
  return sized(mi_malloc_aligned(size, align), block_size);
}
void* mi_uzalloc_aligned(size_t size, size_t align, size_t* block_size) {
  return sized(mi_zalloc_aligned(size, align), block_size);
}

void* mi_urealloc(void* p, size_t newsize, size_t* block_size_pre, size_t* block_size_post) {
  sized(p, block_size_pre);
  return sized(mi_realloc(p, newsize), block_size_post);
}

void mi_free_small(void* p) { mi_free(p); }
int mi__posix_memalign(void** p, size_t align, size_t size) { return mi_posix_memalign(p, align, size); }
size_t mi_arena_min_alignment(void) { return MI_SLICE_SIZE; }

void mi_ufree(void* p, size_t* block_size) { mi_free(sized(p, block_size)); }

void* mi__expand(void* p, size_t newsize) {
  void* q = mi_expand(p, newsize);
  if (q == NULL) errno = ENOMEM;
  return q;
}

void* mi_aligned_recalloc(void* p, size_t n, size_t size, size_t align) {
  return mi_recalloc_aligned(p, n, size, align);
}
void* mi_aligned_offset_recalloc(void* p, size_t n, size_t size, size_t align, size_t offset) {
  return mi_recalloc_aligned_at(p, n, size, align, offset);
}

/* ---- heaps ---- */

mi_heap_t* mi_heap_main(void) { return mi_heap_get_backing(); }

bool mi_heap_contains(const mi_heap_t* heap, const void* p) {
  return mi_heap_check_owned(heap == NULL ? mi_heap_main() : (mi_heap_t*)(uintptr_t)heap, p);
}
bool mi_any_heap_contains(const void* p) { return mi_memory_page_of(p) != NULL; }

void* mi_heap_zalloc_small(mi_heap_t* heap, size_t size) { return mi_heap_zalloc(heap, size); }
void mi_heap_set_numa_affinity(mi_heap_t* heap, int numa_node) { (void)heap; (void)numa_node; }

void mi_subproc_destroy(mi_subproc_id_t subproc) { mi_subproc_delete(subproc); }
/* It makes no heap: the thread may join another one afterwards. */
mi_subproc_id_t mi_subproc_current(void) {
  mi_owner_t* owner = mi_local()->lheap->owner;
  /* Mine: read by me. */
  mi_heap_t* heap = owner == NULL ? mi_local()->main : mi_load_relaxed(&owner->main.xheap);
  return heap == &mi_main_heap ? NULL : heap;
}

/* `heap` of a thread: there is no other way to a local heap than through its heap and whoever calls. */
mi_theap_t* mi_heap_theap(mi_heap_t* heap) { return heap; }
mi_theap_t* mi_theap_get_default(void) { return mi_heap_get_default(); }
mi_theap_t* mi_theap_set_default(mi_theap_t* theap) { return mi_heap_set_default(theap); }
void mi_theap_collect(mi_theap_t* theap, bool force) { mi_heap_collect(theap, force); }
void* mi_theap_malloc(mi_theap_t* theap, size_t size) { return mi_heap_malloc(theap, size); }
void* mi_theap_zalloc(mi_theap_t* theap, size_t size) { return mi_heap_zalloc(theap, size); }
void* mi_theap_calloc(mi_theap_t* theap, size_t n, size_t size) { return mi_heap_calloc(theap, n, size); }
void* mi_theap_malloc_small(mi_theap_t* theap, size_t size) { return mi_heap_malloc(theap, size); }
void* mi_theap_zalloc_small(mi_theap_t* theap, size_t size) { return mi_heap_zalloc(theap, size); }
void* mi_theap_malloc_aligned(mi_theap_t* theap, size_t size, size_t align) {
  return mi_heap_malloc_aligned(theap, size, align);
}
void* mi_theap_realloc(mi_theap_t* theap, void* p, size_t newsize) {
  return mi_heap_realloc(theap, p, newsize);
}

/* No block has a page of its own that nobody may touch behind it, so none is sampled for one. */
void mi_heap_guarded_set_sample_rate(mi_heap_t* heap, size_t sample_rate, size_t seed) {
  (void)heap;
  (void)sample_rate;
  (void)seed;
}
void mi_heap_guarded_set_size_bound(mi_heap_t* heap, size_t min, size_t max) {
  (void)heap;
  (void)min;
  (void)max;
}
void mi_theap_guarded_set_sample_rate(mi_theap_t* theap, size_t sample_rate, size_t seed) {
  (void)theap;
  (void)sample_rate;
  (void)seed;
}
void mi_theap_guarded_set_size_bound(mi_theap_t* theap, size_t min, size_t max) {
  (void)theap;
  (void)min;
  (void)max;
}

bool mi_abandoned_visit_blocks(mi_subproc_id_t subproc_id, int heap_tag, bool visit_blocks,
                               mi_block_visit_fun* visitor, void* arg) {
  mi_heap_t* heap = subproc_id == NULL ? &mi_main_heap : subproc_id;
  if (visitor == NULL) return false;
  return (heap_tag >= 0 && heap_tag != heap->tag) || mi_visit_heap(heap, NULL, visit_blocks, visitor, arg);
}

/* The calling thread's page, so that its fields hold still. */
bool mi_unsafe_heap_page_is_under_utilized(mi_heap_t* heap, void* p, size_t perc_threshold) {
  mi_page_t* page = p == NULL ? NULL : mi_memory_page_of(p);
  /* The caller's. */
  if (page == NULL || mi_page_is_single(page) || (heap != NULL && mi_load_relaxed(&page->xheap) != heap))
    return false;
  /* The first of a queue is what is allocated from. */
  if (page->capacity < page->reserved || !mi_page_is_listed(page) || page->prev == NULL) return false;
  return (size_t)mi_page_live(page) * 100 < perc_threshold * page->reserved;
}

void mi_debug_show_arenas(void) { mi_arenas_print(); }
