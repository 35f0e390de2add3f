/* malloc and all its friends on the thread ring: glibc's replacement list, the sized and aligned
   frees of C23, and C++'s new and delete. Only in libmimalloc; the Haskell package leaves malloc alone.
   Any thread. What differs from mi_*: realloc(p, 0) frees, and misuse ends the process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>

#include "core/commit.h"
#include "core/memory.h"
#include "core/options.h"
#include "core/stats.h"
#include "thread.h"

#define EXPORT mi_decl_export

bool mi_abort_by_default = true;

__attribute__((constructor)) static void preload_begin(void) { mi_process_init(); }

EXPORT void* malloc(size_t size) { return mi_thread_malloc(size); }
EXPORT void  free(void* p) { mi_thread_free(p); }
EXPORT void  cfree(void* p) { mi_thread_free(p); }
EXPORT void  free_sized(void* p, size_t size) { mi_thread_free_size(p, size, 1); }
EXPORT void  free_aligned_sized(void* p, size_t align, size_t size) { mi_thread_free_size(p, size, align); }
EXPORT void* calloc(size_t n, size_t size) { return mi_calloc(n, size); }
/* glibc's takes any alignment and rounds it up to a power of two. */
EXPORT void* memalign(size_t align, size_t size) {
  const bool odd = !mi_is_pow2(align) && align <= MI_SIZE_LIMIT;
  return mi_memalign(odd ? (size_t)1 << (align == 0 ? 0 : mi_log2(align) + 1) : align, size);
}
EXPORT void* aligned_alloc(size_t align, size_t size) { return mi_aligned_alloc(align, size); }
EXPORT int   posix_memalign(void** p, size_t align, size_t size) { return mi_posix_memalign(p, align, size); }
EXPORT void* valloc(size_t size) { return mi_valloc(size); }
EXPORT void* pvalloc(size_t size) { return mi_pvalloc(size); }
EXPORT size_t malloc_usable_size(void* p) { return mi_usable_size(p); }
EXPORT bool  mi_is_redirected(void) { return true; }

EXPORT void* realloc(void* p, size_t size) {
  if (mi_unlikely(size == 0 && p != NULL)) {
    free(p);
    return NULL;
  }
  return mi_realloc(p, size);
}

EXPORT void* reallocarray(void* p, size_t n, size_t size) {
  size_t total;
  return mi_mul(n, size, &total) ? realloc(p, total) : mi_reallocarray(p, n, size);
}

/* glibc's own names for its functions, which old programs and wrappers call. A static program's malloc would
   be linked twice else. */
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void*, size_t),
    *__libc_memalign(size_t, size_t);
void *__libc_valloc(size_t), *__libc_pvalloc(size_t);
void __libc_free(void*);
EXPORT void* __libc_malloc(size_t size) { return mi_thread_malloc(size); }
EXPORT void  __libc_free(void* p) { mi_thread_free(p); }
EXPORT void* __libc_calloc(size_t n, size_t size) { return calloc(n, size); }
EXPORT void* __libc_realloc(void* p, size_t size) { return realloc(p, size); }
EXPORT void* __libc_memalign(size_t align, size_t size) { return memalign(align, size); }
EXPORT void* __libc_valloc(size_t size) { return valloc(size); }
EXPORT void* __libc_pvalloc(size_t size) { return pvalloc(size); }

/* ---- glibc's statistics ---- */

EXPORT int malloc_trim(size_t pad) {
  (void)pad;
  const size_t before = mi_load_relaxed(&mi_commit_totals.xpurged);        /* a statistic */
  mi_collect_all();
  return mi_load_relaxed(&mi_commit_totals.xpurged) != before;
}

/* 1 for a parameter that there is, whatever it is set to: these are numbers of another allocator's. */
EXPORT int mallopt(int parameter, int value) {
  (void)value;
  return (parameter <= M_TRIM_THRESHOLD && parameter >= M_ARENA_MAX) || parameter == M_MXFAST
         || parameter == M_NLBLKS || parameter == M_GRAIN || parameter == M_KEEP;
}

/* arena: committed bytes but those of blocks with mappings of their own, which are hblkhd; uordblks +
   fordblks: live and not; keepcost: free, and not purged yet; ordblks: pages. All zero if there is no memory
   to find out. */
EXPORT struct mallinfo2 mallinfo2(void) {
  struct mallinfo2 info = { 0 };
  mi_snapshot_t s;
  if (!mi_snapshot_take(&s)) return info;
  const size_t mapped = mi_load_relaxed(&mi_commit_totals.xmapped);        /* a statistic */
  const size_t committed = s.totals.committed_bytes - s.totals.structure_bytes;
  size_t pages = 0;
  for (size_t i = 0; i < s.classes.n; i++) pages += s.classes.parts[i].page_bytes;
  info.hblks = s.totals.mappings;
  info.hblkhd = mapped;
  info.ordblks = s.totals.pages - s.totals.mappings;
  info.uordblks = s.totals.used_bytes - mi_min(mapped, s.totals.used_bytes);
  info.arena = mi_max(committed - mi_min(mapped, committed), info.uordblks);
  info.fordblks = info.arena - info.uordblks;
  info.keepcost = mi_min(committed - mi_min(pages, committed), info.fordblks);
  mi_snapshot_drop(&s);
  return info;
}

static int at_most_int(size_t n) { return (int)mi_min(n, INT_MAX); }

EXPORT struct mallinfo mallinfo(void) {
  const struct mallinfo2 i = mallinfo2();
  return (struct mallinfo){
    .arena = at_most_int(i.arena),
    .ordblks = at_most_int(i.ordblks),
    .hblks = at_most_int(i.hblks),
    .hblkhd = at_most_int(i.hblkhd),
    .uordblks = at_most_int(i.uordblks),
    .fordblks = at_most_int(i.fordblks),
    .keepcost = at_most_int(i.keepcost),
  };
}

EXPORT void malloc_stats(void) { mi_stats_print(NULL); }

/* XML with glibc's elements where they mean something here; `options` has to be 0. */
EXPORT int malloc_info(int options, FILE* f) {
  mi_snapshot_t s;
  if (options != 0 || f == NULL) return EINVAL;
  if (!mi_snapshot_take(&s)) return ENOMEM;
  fprintf(f, "<malloc version=\"1\">\n<sizes>\n");
  for (size_t i = 0; i < s.classes.n; i++) {
    const mi_part_t* p = &s.classes.parts[i];
    fprintf(f, "  <size to=\"%zu\" count=\"%zu\" total=\"%zu\" pages=\"%zu\" reserved=\"%zu\"/>\n",
            (size_t)p->key, (size_t)p->blocks, (size_t)p->bytes, (size_t)p->pages, (size_t)p->page_bytes);
  }
  fprintf(f, "</sizes>\n<total type=\"live\" count=\"%zu\" size=\"%zu\"/>\n", (size_t)s.totals.used_blocks,
          (size_t)s.totals.used_bytes);
  /* A statistic. */
  fprintf(f, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", (size_t)s.totals.mappings,
          (size_t)mi_load_relaxed(&mi_commit_totals.xmapped));
  fprintf(f, "<system type=\"current\" size=\"%zu\"/>\n<system type=\"max\" size=\"%zu\"/>\n",
          (size_t)s.totals.committed_bytes, (size_t)s.totals.peak_committed_bytes);
  fprintf(f, "<aspace type=\"total\" size=\"%zu\"/>\n</malloc>\n", (size_t)s.totals.reserved_bytes);
  mi_snapshot_drop(&s);
  return 0;
}

/* ---- C++ ---- */

/* The names that C++ gives its operators; nothrow_t is never looked at. */
typedef struct mi_nothrow_s mi_nothrow_t;

/* No memory for a nothrow form. The new-handler may throw, which C cannot catch: the C++ library's own
   form calls ours that throws, and catches. Without that library there is no handler. In a static program
   that form is not to be found: ours stands in its place, and calls no handler. */
static mi_cold void* nothrow_new(size_t n, const mi_nothrow_t* t) {
  void* (*next)(size_t, const mi_nothrow_t*);
  *(void**)&next = dlsym(RTLD_NEXT, "_ZnwmRKSt9nothrow_t");
  return next == NULL ? NULL : next(n, t);
}
static mi_cold void* nothrow_new_aligned(size_t n, size_t align, const mi_nothrow_t* t) {
  void* (*next)(size_t, size_t, const mi_nothrow_t*);
  *(void**)&next = dlsym(RTLD_NEXT, "_ZnwmSt11align_val_tRKSt9nothrow_t");
  return next == NULL ? NULL : next(n, align, t);
}
static void* nothrow(size_t n, const mi_nothrow_t* t) {
  void* p = mi_thread_malloc(n);
  return mi_likely(p != NULL) ? p : nothrow_new(n, t);
}
static void* nothrow_aligned(size_t n, size_t align, const mi_nothrow_t* t) {
  void* p = mi_malloc_aligned(n, align);
  return mi_likely(p != NULL) ? p : nothrow_new_aligned(n, align, t);
}

EXPORT void* _Znwm(size_t n) { return mi_new(n); }
EXPORT void* _Znam(size_t n) { return mi_new(n); }
EXPORT void* _ZnwmRKSt9nothrow_t(size_t n, const mi_nothrow_t* t) { return nothrow(n, t); }
EXPORT void* _ZnamRKSt9nothrow_t(size_t n, const mi_nothrow_t* t) { return nothrow(n, t); }
EXPORT void* _ZnwmSt11align_val_t(size_t n, size_t align) { return mi_new_aligned(n, align); }
EXPORT void* _ZnamSt11align_val_t(size_t n, size_t align) { return mi_new_aligned(n, align); }
EXPORT void* _ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const mi_nothrow_t* t) {
  return nothrow_aligned(n, align, t);
}
EXPORT void* _ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const mi_nothrow_t* t) {
  return nothrow_aligned(n, align, t);
}
EXPORT void _ZdlPv(void* p) { mi_thread_free(p); }
EXPORT void _ZdaPv(void* p) { mi_thread_free(p); }
EXPORT void _ZdlPvm(void* p, size_t n) { mi_thread_free_size(p, n, 1); }
EXPORT void _ZdaPvm(void* p, size_t n) { mi_thread_free_size(p, n, 1); }
EXPORT void _ZdlPvRKSt9nothrow_t(void* p, const mi_nothrow_t* t) { (void)t; mi_thread_free(p); }
EXPORT void _ZdaPvRKSt9nothrow_t(void* p, const mi_nothrow_t* t) { (void)t; mi_thread_free(p); }
EXPORT void _ZdlPvSt11align_val_t(void* p, size_t align) { mi_thread_free_aligned(p, align); }
EXPORT void _ZdaPvSt11align_val_t(void* p, size_t align) { mi_thread_free_aligned(p, align); }
EXPORT void _ZdlPvmSt11align_val_t(void* p, size_t n, size_t align) { mi_thread_free_size(p, n, align); }
EXPORT void _ZdaPvmSt11align_val_t(void* p, size_t n, size_t align) { mi_thread_free_size(p, n, align); }
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void* p, size_t align, const mi_nothrow_t* t) {
  (void)t;
  mi_thread_free_aligned(p, align);
}
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void* p, size_t align, const mi_nothrow_t* t) {
  (void)t;
  mi_thread_free_aligned(p, align);
}
