/* The families: what a ring's functions are that differ from ring to ring by their name and by whose heap
   they use. Written once here, for threads, for heaps and for capabilities. Each is of its ring's
   class: any-thread in the thread ring, owner-only in the ring of capabilities.

   A ring has a malloc, a zalloc and a realloc under its names, and two general functions for all the rest.
   Both take what mi_aligned_block and mi_realloc_block take, but for the local heap, which the ring finds:

     aligned(size, align, offset, zero)          `align` is a power of two
     resize(p, size, align, offset, zero)        or 0: no alignment is asked for */
#ifndef MI_FAMILY_H
#define MI_FAMILY_H

#include <errno.h>

#include "os.h"
#include "realloc.h"

/* `ring`: what the names begin with. SELF, ME: parameters and arguments that come first, each with its comma.
   `release`: frees a block. */
#define MI_FAMILY(ring, SELF, ME, aligned, resize, release) \
  void* ring##malloc_small(SELF size_t size) { return ring##malloc(ME size); } \
  void* ring##calloc(SELF size_t n, size_t size) { return ring##zalloc(ME mi_size_times(n, size)); } \
  void* ring##mallocn(SELF size_t n, size_t size) { return ring##malloc(ME mi_size_times(n, size)); } \
  \
  void* ring##malloc_aligned(SELF size_t size, size_t align) { return aligned(ME size, align, 0, false); } \
  void* ring##zalloc_aligned(SELF size_t size, size_t align) { return aligned(ME size, align, 0, true); } \
  void* ring##calloc_aligned(SELF size_t n, size_t size, size_t align) { \
    return aligned(ME mi_size_times(n, size), align, 0, true); \
  } \
  void* ring##malloc_aligned_at(SELF size_t size, size_t align, size_t offset) { \
    return aligned(ME size, align, offset, false); \
  } \
  void* ring##zalloc_aligned_at(SELF size_t size, size_t align, size_t offset) { \
    return aligned(ME size, align, offset, true); \
  } \
  void* ring##calloc_aligned_at(SELF size_t n, size_t size, size_t align, size_t offset) { \
    return aligned(ME mi_size_times(n, size), align, offset, true); \
  } \
  \
  void* ring##reallocn(SELF void* p, size_t n, size_t size) { \
    return resize(ME p, mi_size_times(n, size), 0, 0, false); \
  } \
  void* ring##reallocf(SELF void* p, size_t size) { \
    void* q = ring##realloc(ME p, size); \
    if (q == NULL) release(p); \
    return q; \
  } \
  void* ring##rezalloc(SELF void* p, size_t size) { return resize(ME p, size, 0, 0, true); } \
  void* ring##recalloc(SELF void* p, size_t n, size_t size) { \
    return resize(ME p, mi_size_times(n, size), 0, 0, true); \
  } \
  \
  void* ring##realloc_aligned(SELF void* p, size_t size, size_t align) { \
    return resize(ME p, size, mi_align_asked(align), 0, false); \
  } \
  void* ring##rezalloc_aligned(SELF void* p, size_t size, size_t align) { \
    return resize(ME p, size, mi_align_asked(align), 0, true); \
  } \
  void* ring##recalloc_aligned(SELF void* p, size_t n, size_t size, size_t align) { \
    return resize(ME p, mi_size_times(n, size), mi_align_asked(align), 0, true); \
  } \
  void* ring##realloc_aligned_at(SELF void* p, size_t size, size_t align, size_t offset) { \
    return resize(ME p, size, mi_align_asked(align), offset, false); \
  } \
  void* ring##rezalloc_aligned_at(SELF void* p, size_t size, size_t align, size_t offset) { \
    return resize(ME p, size, mi_align_asked(align), offset, true); \
  } \
  void* ring##recalloc_aligned_at(SELF void* p, size_t n, size_t size, size_t align, size_t offset) { \
    return resize(ME p, mi_size_times(n, size), mi_align_asked(align), offset, true); \
  }

/* What there is for a caller's own heap only. */
#define MI_FAMILY_OWN(ring, aligned) \
  void* ring##zalloc_small(size_t size) { return ring##zalloc(size); } \
  void* ring##valloc(size_t size) { return aligned(size, mi_os_page_size(), 0, false); } \
  void* ring##pvalloc(size_t size) { return aligned(mi_size_pages(size), mi_os_page_size(), 0, false); } \
  int ring##posix_memalign(void** p, size_t align, size_t size) { \
    const int saved = errno; \
    if (p == NULL || align % sizeof(void*) != 0 || !mi_is_pow2(align)) return EINVAL; \
    void* q = aligned(size, align, 0, false); \
    errno = saved; \
    if (q == NULL) return ENOMEM; \
    *p = q; \
    return 0; \
  }

#endif
