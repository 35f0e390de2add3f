/* malloc and all its friends on the thread ring: glibc's replacement list, the sized and aligned
   frees of C23, and C++'s new and delete. Only in libmimalloc; the Haskell package leaves malloc alone.
   Any thread. What differs from mi_*: realloc(p, 0) frees, and misuse ends the process. */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "core/options.h"
#include "thread.h"

#define EXPORT mi_decl_export

const bool mi_abort_by_default = true;

__attribute__((constructor)) static void preload_begin(void) { mi_process_init(); }

EXPORT void* malloc(size_t size) { return mi_thread_malloc(size); }
EXPORT void  free(void* p) { mi_thread_free(p); }
EXPORT void  cfree(void* p) { mi_thread_free(p); }
EXPORT void  free_sized(void* p, size_t size) { (void)size; mi_thread_free(p); }
EXPORT void  free_aligned_sized(void* p, size_t align, size_t size) { (void)align; (void)size; mi_thread_free(p); }
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
EXPORT int   malloc_trim(size_t pad) { (void)pad; mi_collect(true); return 1; }
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

/* The names that C++ gives its operators; nothrow_t is never looked at. */
typedef struct mi_nothrow_s mi_nothrow_t;

/* No memory for a nothrow form. The new-handler may throw, which C cannot catch: the C++ library's own
   form calls ours that throws, and catches. Without that library there is no handler. */
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
EXPORT void* _ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const mi_nothrow_t* t) { return nothrow_aligned(n, align, t); }
EXPORT void* _ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const mi_nothrow_t* t) { return nothrow_aligned(n, align, t); }
EXPORT void _ZdlPv(void* p) { mi_thread_free(p); }
EXPORT void _ZdaPv(void* p) { mi_thread_free(p); }
EXPORT void _ZdlPvm(void* p, size_t n) { (void)n; mi_thread_free(p); }
EXPORT void _ZdaPvm(void* p, size_t n) { (void)n; mi_thread_free(p); }
EXPORT void _ZdlPvRKSt9nothrow_t(void* p, const mi_nothrow_t* t) { (void)t; mi_thread_free(p); }
EXPORT void _ZdaPvRKSt9nothrow_t(void* p, const mi_nothrow_t* t) { (void)t; mi_thread_free(p); }
EXPORT void _ZdlPvSt11align_val_t(void* p, size_t align) { (void)align; mi_thread_free(p); }
EXPORT void _ZdaPvSt11align_val_t(void* p, size_t align) { (void)align; mi_thread_free(p); }
EXPORT void _ZdlPvmSt11align_val_t(void* p, size_t n, size_t align) { (void)n; (void)align; mi_thread_free(p); }
EXPORT void _ZdaPvmSt11align_val_t(void* p, size_t n, size_t align) { (void)n; (void)align; mi_thread_free(p); }
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void* p, size_t align, const mi_nothrow_t* t) { (void)align; (void)t; mi_thread_free(p); }
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void* p, size_t align, const mi_nothrow_t* t) { (void)align; (void)t; mi_thread_free(p); }
