/* malloc and all its friends on the thread ring: glibc's replacement list, and the sized and aligned
   frees of C23. Only in libmimalloc; the Haskell package leaves malloc alone.
   Any thread. What differs from mi_*: realloc(p, 0) frees, and misuse ends the process.

   Weak is what glibc's archive has weak, or not at all: a program that has one of them itself is linked
   with our archive as with glibc's. So nothing here calls a weak one: it may be the program's, which calls
   ours. */
#include <errno.h>
#include <malloc.h>

#include "core/commit.h"
#include "core/memory.h"
#include "core/options.h"
#include "core/stats.h"
#include "thread.h"

#define EXPORT mi_decl_export
#define WEAK   mi_decl_export __attribute__((weak))

bool mi_abort_by_default = true;

__attribute__((constructor)) static void preload_begin(void) { mi_process_init(); }

static void* own_realloc(void* p, size_t size) {
  if (mi_unlikely(size == 0 && p != NULL)) {
    mi_thread_free(p);
    return NULL;
  }
  return mi_realloc(p, size);
}

/* glibc's takes any alignment and rounds it up to a power of two. */
static void* own_memalign(size_t align, size_t size) {
  const bool odd = !mi_is_pow2(align) && align <= MI_SIZE_LIMIT;
  return mi_memalign(odd ? (size_t)1 << (align == 0 ? 0 : mi_log2(align) + 1) : align, size);
}

EXPORT void* malloc(size_t size) { return mi_thread_malloc(size); }
EXPORT void  free(void* p) { mi_thread_free(p); }
EXPORT void* realloc(void* p, size_t size) { return own_realloc(p, size); }
WEAK void  cfree(void* p) { mi_thread_free(p); }
WEAK void  free_sized(void* p, size_t size) { mi_thread_free_size(p, size, 1); }
WEAK void  free_aligned_sized(void* p, size_t align, size_t size) { mi_thread_free_size(p, size, align); }
WEAK void* calloc(size_t n, size_t size) { return mi_calloc(n, size); }
WEAK void* memalign(size_t align, size_t size) { return own_memalign(align, size); }
WEAK void* aligned_alloc(size_t align, size_t size) { return mi_aligned_alloc(align, size); }
WEAK int   posix_memalign(void** p, size_t align, size_t size) { return mi_posix_memalign(p, align, size); }
WEAK void* valloc(size_t size) { return mi_valloc(size); }
WEAK void* pvalloc(size_t size) { return mi_pvalloc(size); }
WEAK size_t malloc_usable_size(void* p) { return mi_usable_size(p); }
EXPORT bool mi_is_redirected(void) { return true; }

WEAK void* reallocarray(void* p, size_t n, size_t size) {
  size_t total;
  return mi_mul(n, size, &total) ? own_realloc(p, total) : mi_reallocarray(p, n, size);
}

/* glibc's own names for its functions, which old programs and wrappers call. A static program's malloc would
   be linked twice else. */
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void*, size_t),
    *__libc_memalign(size_t, size_t);
void *__libc_valloc(size_t), *__libc_pvalloc(size_t);
void __libc_free(void*);
EXPORT void* __libc_malloc(size_t size) { return mi_thread_malloc(size); }
EXPORT void  __libc_free(void* p) { mi_thread_free(p); }
EXPORT void* __libc_calloc(size_t n, size_t size) { return mi_calloc(n, size); }
EXPORT void* __libc_realloc(void* p, size_t size) { return own_realloc(p, size); }
EXPORT void* __libc_memalign(size_t align, size_t size) { return own_memalign(align, size); }
EXPORT void* __libc_valloc(size_t size) { return mi_valloc(size); }
EXPORT void* __libc_pvalloc(size_t size) { return mi_pvalloc(size); }

/* ---- glibc's statistics ---- */

WEAK int malloc_trim(size_t pad) {
  (void)pad;
  const size_t before = mi_load_relaxed(&mi_commit_totals.xpurged);        /* a statistic */
  mi_collect_all();
  return mi_load_relaxed(&mi_commit_totals.xpurged) != before;
}

/* 1 for a parameter that there is, whatever it is set to: these are numbers of another allocator's. */
WEAK int mallopt(int parameter, int value) {
  (void)value;
  return (parameter <= M_TRIM_THRESHOLD && parameter >= M_ARENA_MAX) || parameter == M_MXFAST
         || parameter == M_NLBLKS || parameter == M_GRAIN || parameter == M_KEEP;
}

/* arena: committed bytes but those of blocks with mappings of their own, which are hblkhd; uordblks +
   fordblks: live and not; keepcost: free, and not purged yet; ordblks: pages. All zero if there is no memory
   to find out. */
static struct mallinfo2 own_mallinfo(void) {
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

WEAK struct mallinfo2 mallinfo2(void) { return own_mallinfo(); }

static int at_most_int(size_t n) { return (int)mi_min(n, INT_MAX); }

WEAK struct mallinfo mallinfo(void) {
  const struct mallinfo2 i = own_mallinfo();
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

WEAK void malloc_stats(void) { mi_stats_print(NULL); }

/* XML with glibc's elements where they mean something here; `options` has to be 0. */
WEAK int malloc_info(int options, FILE* f) {
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
