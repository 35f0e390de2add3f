/* For C and C++ files that shall allocate here without being changed: the C library's names become ours.
   Include it behind all other headers, in every file that passes a block on to another, since what malloc
   itself gave cannot be freed with mi_free. The preload library and the shared library need no such header:
   they have malloc itself. Names that are not followed by a parenthesis stay what they are. */
#ifndef MIMALLOC_OVERRIDE_H
#define MIMALLOC_OVERRIDE_H

/* What these declare must not be renamed. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#ifdef __cplusplus
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#endif

#include "mimalloc.h"

/* C */
#define malloc(size)                        mi_malloc(size)
#define calloc(count, size)                 mi_calloc(count, size)
#define realloc(p, size)                    mi_realloc(p, size)
#define free(p)                             mi_free(p)
#define aligned_alloc(alignment, size)      mi_aligned_alloc(alignment, size)
#define free_sized(p, size)                 mi_free_size(p, size)
#define free_aligned_sized(p, alignment, size) mi_free_size_aligned(p, size, alignment)
#undef  strdup
#define strdup(s)                           mi_strdup(s)
#undef  strndup
#define strndup(s, n)                       mi_strndup(s, n)
#define realpath(name, resolved)            mi_realpath(name, resolved)

/* POSIX, Linux, the BSDs and macOS */
#define posix_memalign(p, alignment, size)  mi_posix_memalign(p, alignment, size)
#define memalign(alignment, size)           mi_memalign(alignment, size)
#define valloc(size)                        mi_valloc(size)
#define pvalloc(size)                       mi_pvalloc(size)
#define reallocarray(p, count, size)        mi_reallocarray(p, count, size)
#define reallocarr(p, count, size)          mi_reallocarr(p, count, size)
#define reallocf(p, size)                   mi_reallocf(p, size)
#define cfree(p)                            mi_cfree(p)
#define malloc_usable_size(p)               mi_malloc_usable_size(p)
#define malloc_size(p)                      mi_malloc_size(p)
#define malloc_good_size(size)              mi_malloc_good_size(size)

/* Microsoft's, but for those of wide strings, whose characters have 16 bits there */
#define _expand(p, size)                    mi__expand(p, size)
#define _msize(p)                           mi_usable_size(p)
#define _recalloc(p, count, size)           mi_recalloc(p, count, size)
#define _strdup(s)                          mi_strdup(s)
#define _strndup(s, n)                      mi_strndup(s, n)
#define _mbsdup(s)                          mi_mbsdup(s)
#define _dupenv_s(buf, size, name)          mi_dupenv_s(buf, size, name)
#define _aligned_malloc(size, alignment)    mi_malloc_aligned(size, alignment)
#define _aligned_realloc(p, size, alignment) mi_realloc_aligned(p, size, alignment)
#define _aligned_recalloc(p, count, size, alignment) mi_aligned_recalloc(p, count, size, alignment)
#define _aligned_msize(p, alignment, offset) mi_usable_size(p)
#define _aligned_free(p)                    mi_free(p)
#define _aligned_offset_malloc(size, alignment, offset) mi_malloc_aligned_at(size, alignment, offset)
#define _aligned_offset_realloc(p, size, alignment, offset) mi_realloc_aligned_at(p, size, alignment, offset)
#define _aligned_offset_recalloc(p, count, size, alignment, offset) \
  mi_aligned_offset_recalloc(p, count, size, alignment, offset)

#endif
