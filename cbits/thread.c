/* The thread ring. See thread.h; the functions are described in mimalloc.h. Any thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/cache.h"
#include "core/meta.h"
#include "core/os_object.h"
#include "core/report.h"
#include "core/owner.h"
#include "core/pressure.h"
#include "core/profile.h"
#include "core/sample.h"
#include "core/pool_round.h"
#include "core/purge.h"
#include "core/purger.h"
#include "core/family.h"
#include "core/label.h"
#include "core/visit.h"
#include "thread.h"

/* ---- the thread's owner ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t end_key;            /* its destructor is how a thread's end is noticed */
static bool has_key;
static mi_atomic(bool) xunnoticed;       /* some threads' ends are not */
static mi_atomic(bool) xunregistered;    /* the handlers of fork are not */

static mi_heap_t* my_main(void) { return mi_local()->main != NULL ? mi_local()->main : &mi_main_heap; }
static mi_owner_t* my_owner(void) { return mi_local()->lheap->owner; }      /* NULL if it has no heap */

static void owner_end(void) {
  mi_owner_t* owner = my_owner();
  if (owner == NULL) return;
  mi_local()->lheap = &mi_lheap_empty;
  mi_owner_end(owner);
  mi_purger_ended();                     /* nobody may come later */
}

static void thread_exit(void* owner) {
  (void)owner;
  mi_local()->ended = true;
  owner_end();
}

/* ---- fork ---- */

static void before_fork(void) {
  mi_fork_enter();
  mi_purger_stop();
  mi_heap_before_fork();
  mi_owner_before_fork();
  mi_arena_before_fork();
  mi_mapping_before_fork();
  mi_sample_before_fork();
  mi_label_before_fork();
  mi_meta_before_fork();
}

/* What others, who are gone, had begun. */
static void mend_child(void) {
  mi_local_after_fork();
  mi_callback_after_fork();
  mi_pressure_after_fork();
  mi_page_after_fork();
  mi_cache_after_fork();
  mi_purge_after_fork();
  mi_owner_mend(mi_thread_id());
}

static void after_fork(bool child) {
  if (!mi_fork_leave(child)) return;
  if (child) mend_child();
  mi_meta_after_fork(child);
  mi_label_after_fork(child);
  mi_sample_after_fork(child);
  mi_mapping_after_fork(child);
  mi_arena_after_fork(child);
  mi_owner_after_fork(child);
  mi_heap_after_fork(child);
  mi_purger_after_fork(child);
  mi_fork_left();
}

static void after_fork_parent(void) { after_fork(false); }
static void after_fork_child(void) { after_fork(true); }

/* ---- what a process does once ---- */

static void reserve_memory(void) {
  const size_t huge = mi_option_get_size(mi_option_reserve_huge_os_pages);
  const size_t memory = mi_option_get_size(mi_option_reserve_os_memory);
  const bool report = mi_option_is_enabled(mi_option_verbose);
  if (huge > 0 && mi_reserve_huge_os_pages_at(huge, -1, 0) != 0 && report)
    mi_report_message("mimalloc: no %zu GiB of huge pages to reserve\n", huge);
  if (memory > 0 && mi_reserve_os_memory(memory, true, false) != 0 && report)
    mi_report_message("mimalloc: no %zu bytes to reserve\n", memory);
}

static void process_begin_once(void) {
  const bool verbose = mi_option_is_enabled(mi_option_verbose);
  has_key = pthread_key_create(&end_key, &thread_exit) == 0;              /* first: the next may allocate */
  if (!has_key) mi_store_relaxed(&xunnoticed, true);                      /* shown by pthread_once */
  mi_store_relaxed(&mi_purger_xreplaces_free, mi_is_redirected());        /* shown by pthread_once */
  mi_fork_set_mend(&after_fork_child);
  const bool has_handlers = mi_os_atfork(&before_fork, &after_fork_parent, &after_fork_child);
  if (!has_handlers) mi_store_relaxed(&xunregistered, true);              /* a hint: the swap decides */
  if (verbose && !has_key)
    mi_report_message("mimalloc: all thread keys are taken: ends of threads are not noticed\n");
  if (verbose && !has_handlers) mi_report_message("mimalloc: no memory for handlers of fork\n");
  reserve_memory();
}

/* There was no memory for the handlers of fork: once more, by a thread that begins to allocate; one alone
   needs them least. Where our malloc is the C library's, this may be called by the function that registers
   them, with its lock taken. But there the library's constructor comes first, and glibc has room for the
   first 48. (A handler of fork of others in which a thread allocates for the first time would wait here for
   ever in C libraries that keep that lock while fork runs, as glibc before 2.36.) */
mi_cold static void register_again(void) {
  bool unregistered = true;
  if (mi_is_redirected()) return;
  if (!mi_cas_acq_rel(&xunregistered, &unregistered, false)) return;      /* pairs with itself */
  if (mi_os_atfork(&before_fork, &after_fork_parent, &after_fork_child)) return;
  mi_store_release(&xunregistered, true);                                 /* pairs with register_again */
}

void mi_process_begin(void) {
  bool* within = &mi_local()->beginning;
  if (*within) return;
  *within = true;
  const bool again = mi_load_relaxed(&xunregistered);                     /* a hint */
  pthread_once(&once, &process_begin_once);
  if (mi_unlikely(again)) register_again();
  *within = false;
}

/* Before the constructors of whoever else is in this object; the shared library's run before everybody's
   (Makefile). So our handlers of fork are the first that are registered: the outermost are those of others,
   who may have locks of their own that we know nothing of. They stay, and this object with them: it may be a
   plugin that is linked with the archive. */
__attribute__((constructor(102))) static void process_loaded(void) {
  mi_process_begin();
  mi_os_object_keep();
}

/* After the constructor by which a static program tells the unwinder of its frames, which has no priority. */
__attribute__((constructor)) static void process_profiled(void) { mi_profile_process_begin(); }

__attribute__((destructor)) static void process_end(void) {
  if (mi_option_is_enabled(mi_option_show_stats)) mi_stats_print(NULL);
  mi_profile_process_end();
}

/* An id is of one owner at a time: one whose thread ended unnoticed is taken over by the thread that has the
   id now, or ended by it. */
static mi_owner_t* owner_begin(void) {
  /* Set before such a thread ended. */
  mi_owner_t* left = mi_load_relaxed(&xunnoticed) ? mi_owner_of_thread(mi_thread_id()) : NULL;
  /* Nobody else changes it. */
  if (left != NULL && mi_load_relaxed(&left->main.xheap) == my_main()) return left;
  if (left != NULL) mi_owner_end(left);
  return mi_owner_begin_in(MI_OWNER_THREAD, mi_thread_id(), my_main());
}

mi_lheap_t* mi_thread_lheap_own(void) {
  if (mi_likely(my_owner() != NULL)) {
    if (mi_unlikely(mi_local()->ended)) mi_local()->late_calls++;
    /* Another ended the heap that was the default here; not while this thread allocated, so it sees that. */
    if (mi_unlikely(mi_load_relaxed(&mi_local()->lheap->xheap) == NULL))
      mi_local()->lheap = &my_owner()->main;
    return mi_local()->lheap;
  }
  mi_owner_t* owner = owner_begin();
  if (owner == NULL) return mi_report_fail(MI_ERROR_NO_MEMORY, sizeof(mi_owner_t));
  mi_local()->lheap = &owner->main;        /* from here on allocation works: what follows may allocate */
  mi_process_begin();
  if (!mi_local()->ended && has_key && pthread_setspecific(end_key, owner) != 0) {
    mi_store_relaxed(&xunnoticed, true);  /* seen by who has this id next: this thread has ended then */
  }
  if (mi_unlikely(mi_local()->ended)) mi_local()->late_calls++;
  return mi_local()->lheap;
}

void* mi_thread_leave(void* p) {
  if (mi_unlikely(mi_local()->ended) && --mi_local()->late_calls == 0) owner_end();
  return p;
}

mi_lheap_t* mi_thread_lheap_of(mi_heap_t* heap) {
  mi_lheap_t* lh = mi_thread_lheap_own();
  if (lh == NULL) return NULL;
  if (mi_unlikely(heap == NULL)) return mi_thread_leave(mi_report_fail(MI_ERROR_ARGUMENT, 0));
  lh = mi_heap_lheap(heap, lh->owner);
  return lh != NULL ? lh : mi_thread_leave(mi_report_fail(MI_ERROR_NO_MEMORY, sizeof(mi_lheap_t)));
}

mi_noinline void* mi_thread_malloc_slow(size_t size) {
  void* p = mi_alloc_malloc_queued(mi_local()->lheap, size);
  if (mi_likely(p != NULL)) return p;
  mi_lheap_t* lh = mi_thread_lheap_own();
  return lh == NULL ? NULL : mi_thread_leave(mi_alloc_malloc_generic(lh, size));
}

mi_noinline void mi_thread_free_slow(void* p) { mi_free_slow(p, my_owner(), mi_thread_id()); }

void mi_thread_join(mi_heap_t* main) {
  if (my_owner() == NULL) mi_local()->main = main;
}

void mi_thread_init(void) { if (mi_thread_lheap_own() != NULL) mi_thread_leave(NULL); }
void mi_thread_done(void) { owner_end(); }
void mi_process_init(void) { mi_thread_init(); }
void mi_process_done(void) { mi_collect(true); }

/* ---- blocks ---- */

/* `expression` in terms of lh; NULL if the thread can have no heap. */
#define WITH_LHEAP(expression) \
  mi_lheap_t* lh = mi_thread_lheap_own(); \
  return lh == NULL ? NULL : mi_thread_leave(expression)

void* mi_malloc(size_t size) { return mi_thread_malloc(size); }
static mi_noinline void* zalloc_slow(size_t size) { WITH_LHEAP(mi_alloc_zalloc(lh, size)); }
void* mi_zalloc(size_t size) {
  void* p = mi_alloc_zalloc_fast(mi_local()->lheap, size);
  return mi_likely(p != NULL) ? p : zalloc_slow(size);
}
char* mi_strdup(const char* s) { WITH_LHEAP(mi_alloc_strdup(lh, s)); }
char* mi_strndup(const char* s, size_t n) { WITH_LHEAP(mi_alloc_strndup(lh, s, n)); }
char* mi_realpath(const char* name, char* resolved) { WITH_LHEAP(mi_alloc_realpath(lh, name, resolved)); }

void mi_free(void* p) { mi_thread_free(p); }
void mi_cfree(void* p) { if (mi_is_in_heap_region(p)) mi_thread_free(p); }
mi_noinline void mi_thread_free_size_slow(void* p, size_t size, size_t align) {
  mi_block_suits(p, size, align);  /* the block is one, whatever was said of it */
  mi_thread_free(p);
}
mi_noinline void mi_thread_free_aligned_slow(void* p, size_t align) {
  mi_block_suits_align(p, align);
  mi_thread_free(p);
}
void mi_free_size(void* p, size_t size) { mi_thread_free_size(p, size, 0); }
void mi_free_size_aligned(void* p, size_t size, size_t align) { mi_thread_free_size(p, size, align); }
void mi_free_aligned(void* p, size_t align) { mi_thread_free_aligned(p, align); }

size_t mi_usable_size(const void* p) { return mi_block_usable(p); }
size_t mi_malloc_size(const void* p) { return mi_block_usable(p); }
size_t mi_malloc_usable_size(const void* p) { return mi_block_usable(p); }
size_t mi_good_size(size_t size) { return mi_size_good(size); }
size_t mi_malloc_good_size(size_t size) { return mi_size_good(size); }

/* ---- resizing ---- */

void* mi_thread_resize(void* p, size_t size, size_t align, size_t offset, bool zero) {
  WITH_LHEAP(mi_realloc_block(lh, p, size, align, offset, zero));
}

/* `old`: its usable bytes if it is of this thread's page of more than one block; else 0. */
static mi_noinline void* realloc_move(void* p, size_t old, size_t size) {
  if (old == 0 || size > MI_MEDIUM_MAX) return mi_thread_resize(p, size, 0, 0, false);
  void* q = mi_thread_malloc(size);
  if (mi_unlikely(q == NULL)) return NULL;
  memcpy(q, p, mi_min(old, size));
  mi_thread_free(p);
  return q;
}

void* mi_realloc(void* p, size_t size) {
  const size_t old = mi_block_size_local(p, mi_thread_id());
  return mi_likely(old != 0 && mi_policy_block_stays(old, size)) ? p : realloc_move(p, old, size);
}
void* mi_reallocarray(void* p, size_t n, size_t size) { return mi_reallocn(p, n, size); }
void* mi_expand(void* p, size_t size) { return mi_block_expand(p, size); }

/* NetBSD's: the pointer is at *pp; the error is returned, and errno kept. */
int mi_reallocarr(void* pp, size_t n, size_t size) {
  void* p;
  const int saved = errno;
  if (pp == NULL) return EINVAL;
  memcpy(&p, pp, sizeof p);
  void* q = mi_reallocarray(p, n, size);
  const int error = q == NULL ? errno : 0;
  if (q != NULL) memcpy(pp, &q, sizeof q);
  errno = saved;
  return error;
}

/* ---- aligned ---- */

void* mi_thread_aligned(size_t size, size_t align, size_t offset, bool zero) {
  WITH_LHEAP(mi_aligned_block(lh, size, align, offset, zero));
}

void* mi_memalign(size_t align, size_t size) { return mi_thread_aligned(size, align, 0, false); }
void* mi_aligned_alloc(size_t align, size_t size) { return mi_thread_aligned(size, align, 0, false); }

/* All others that resize and align. */
MI_FAMILY(mi_, , , mi_thread_aligned, mi_thread_resize, mi_thread_free)
MI_FAMILY_OWN(mi_, mi_thread_aligned)

/* ---- housekeeping ---- */

void mi_collect(bool force) {
  mi_owner_t* owner = my_owner();
  mi_callback_deferred_free(force);
  if (owner != NULL) mi_owner_drain(owner, force);
  mi_purger_run(force);
  if (!force) {
    mi_purger_ended();
    return;
  }
  mi_purger_run_pages();
  mi_report_pending();
}

__attribute__((weak)) bool mi_is_redirected(void) { return false; }  /* preload.c says true */

void mi_collect_reduce(size_t target_size) {
  if (mi_memory_committed() > target_size) mi_collect(true);
}

int mi_version(void) { return MI_MALLOC_VERSION; }

bool mi_heap_visit_blocks(const mi_heap_t* heap, bool visit_blocks, mi_block_visit_fun* visitor, void* arg) {
  if (heap == NULL || visitor == NULL) return false;
  return mi_visit_heap((mi_heap_t*)(uintptr_t)heap, my_owner(), visit_blocks, visitor, arg);
}

bool mi_is_in_heap_region(const void* p) {
  return mi_arena_of_address(p) != NULL || mi_memory_page_of(p) != NULL;
}
