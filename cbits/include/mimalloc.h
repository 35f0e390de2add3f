/* mimalloc for GHC: an allocator whose heaps belong to capabilities.

   Names and signatures follow mimalloc 2.2's public interface, so that programs written for it
   compile. Sizes in bytes. Every block is 16-byte aligned; a block of size 0 is unique. A request that
   fails returns NULL and sets errno: ENOMEM (also over PTRDIFF_MAX, or for a product that overflows) or
   EINVAL (a bad alignment).

   Everything here is any-thread: it may be called from every thread at any time, and uses the
   calling OS thread's heap. The Haskell package has the capability family too: mimalloc-cap.h. */
#ifndef MIMALLOC_H
#define MIMALLOC_H

#define MI_MALLOC_VERSION 100     /* ours: 1.00; not mimalloc's */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifndef __cplusplus
#define mi_attr_noexcept
#elif __cplusplus >= 201103L
#define MI_CXX11 1
#define mi_attr_noexcept noexcept
#else
#define MI_CXX11 0
#define mi_attr_noexcept throw()
#endif
#define mi_cdecl
#if defined(__GNUC__) || defined(__clang__)
#ifdef MI_PROTECTED_NAMES           /* the Haskell package sets it for its own files: they call each other,
                                       whoever else has these names */
#define mi_decl_export              __attribute__((visibility("protected")))
#else
#define mi_decl_export              __attribute__((visibility("default")))
#endif
#define mi_decl_nodiscard           __attribute__((warn_unused_result))
#define mi_decl_restrict
#define mi_attr_malloc              __attribute__((malloc))
#define mi_attr_alloc_size(s)       __attribute__((alloc_size(s)))
#define mi_attr_alloc_size2(n, s)   __attribute__((alloc_size(n, s)))
#define mi_attr_alloc_align(a)      __attribute__((alloc_align(a)))
#else
#define mi_decl_export
#define mi_decl_nodiscard
#define mi_decl_restrict
#define mi_attr_malloc
#define mi_attr_alloc_size(s)
#define mi_attr_alloc_size2(n, s)
#define mi_attr_alloc_align(a)
#endif
#define MI_SMALL_WSIZE_MAX 128
#define MI_SMALL_SIZE_MAX  (MI_SMALL_WSIZE_MAX * sizeof(void*))
#define MI_ALIGNMENT_MAX_SUPPORTED ((size_t)16 << 30)

#ifdef __cplusplus
extern "C" {
#endif

/* ---- blocks ---- */

/* A block of at least `size` bytes, contents undefined; of `count * size` bytes set to zero. */
mi_decl_export mi_decl_nodiscard void* mi_malloc(size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_zalloc(size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_calloc(size_t count, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(1, 2);
mi_decl_export mi_decl_nodiscard void* mi_mallocn(size_t count, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(1, 2);
/* The same; a hint that size is at most MI_SMALL_SIZE_MAX. */
mi_decl_export mi_decl_nodiscard void* mi_malloc_small(size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_zalloc_small(size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);

/* Frees a block, whichever thread, capability or heap it is from; NULL is nothing. Keeps errno.
   Anything that is no live block is reported and left alone (see mi_register_error). cfree: of an address
   that is not in our memory (mi_is_in_heap_region) nothing, and nothing is reported. */
mi_decl_export void mi_free(void* p) mi_attr_noexcept;
mi_decl_export void mi_cfree(void* p) mi_attr_noexcept;
/* Mimalloc 3's, for blocks of the functions with `small`: the first of the two. */
mi_decl_export void mi_free_small(void* p) mi_attr_noexcept;
/* The same for blocks whose size or alignment the caller knows. What cannot be the block's is reported, and
   the block freed: a size that none of these functions would have given this block for (nor a resize that
   left it where it was), an alignment that it has not. */
mi_decl_export void mi_free_size(void* p, size_t size) mi_attr_noexcept;
mi_decl_export void mi_free_size_aligned(void* p, size_t size, size_t alignment) mi_attr_noexcept;
mi_decl_export void mi_free_aligned(void* p, size_t alignment) mi_attr_noexcept;

/* A block of the new size with the old contents up to the smaller of both; p is freed, unless this
   fails (reallocf frees it then too). In place when it can be. mi_realloc(p, 0) gives a block. A p that is no
   live block is reported: NULL and EINVAL. reallocarr: *pp is the pointer; returns 0, EINVAL or
   ENOMEM, keeps errno. */
mi_decl_export mi_decl_nodiscard void* mi_realloc(void* p, size_t newsize)
    mi_attr_noexcept mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_reallocn(void* p, size_t count, size_t size)
    mi_attr_noexcept mi_attr_alloc_size2(2, 3);
mi_decl_export mi_decl_nodiscard void* mi_reallocf(void* p, size_t newsize)
    mi_attr_noexcept mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_reallocarray(void* p, size_t count, size_t size)
    mi_attr_noexcept mi_attr_alloc_size2(2, 3);
mi_decl_export int mi_reallocarr(void* pp, size_t count, size_t size) mi_attr_noexcept;
/* Never moves: p if the block has, or could be given, newsize bytes; else NULL and p stays as it is. */
mi_decl_export void* mi_expand(void* p, size_t newsize) mi_attr_noexcept mi_attr_alloc_size(2);
/* The same, and errno is ENOMEM with NULL: Microsoft's. */
mi_decl_export void* mi__expand(void* p, size_t newsize) mi_attr_noexcept mi_attr_alloc_size(2);
/* As realloc; all beyond the size that was asked for before is zero, if p is from a function that zeroes
   (also after a shrink); of any other block, all beyond its usable size. */
mi_decl_export mi_decl_nodiscard void* mi_rezalloc(void* p, size_t newsize)
    mi_attr_noexcept mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_recalloc(void* p, size_t newcount, size_t size)
    mi_attr_noexcept mi_attr_alloc_size2(2, 3);

/* The bytes that may be used of a live block; 0 for NULL or anything else. */
mi_decl_export size_t mi_usable_size(const void* p) mi_attr_noexcept;
mi_decl_export size_t mi_malloc_size(const void* p) mi_attr_noexcept;
mi_decl_export size_t mi_malloc_usable_size(const void* p) mi_attr_noexcept;
/* What mi_usable_size of mi_malloc(size) would be. */
mi_decl_export size_t mi_good_size(size_t size) mi_attr_noexcept;
mi_decl_export size_t mi_malloc_good_size(size_t size) mi_attr_noexcept;

/* The functions of these names without u, and in *block_size what mi_usable_size of the block is, or was
   (pre, and before a free); 0 with NULL. Each of the pointers to a size may be NULL. */
mi_decl_export mi_decl_nodiscard void* mi_umalloc(size_t size, size_t* block_size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_umalloc_small(size_t size, size_t* block_size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_ucalloc(size_t count, size_t size, size_t* block_size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(1, 2);
mi_decl_export mi_decl_nodiscard void* mi_uzalloc_small(size_t size, size_t* block_size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_umalloc_aligned(size_t size, size_t alignment, size_t* block_size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_uzalloc_aligned(size_t size, size_t alignment, size_t* block_size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_urealloc(void* p, size_t newsize, size_t* block_size_pre,
    size_t* block_size_post) mi_attr_noexcept mi_attr_alloc_size(2);
mi_decl_export void mi_ufree(void* p, size_t* block_size) mi_attr_noexcept;

/* Copies, to be freed with mi_free; NULL of NULL. strndup: of at most n characters. realpath: as POSIX says,
   with its errno, in a block if resolved_name is NULL. */
mi_decl_export mi_decl_nodiscard char* mi_strdup(const char* s) mi_attr_noexcept mi_attr_malloc;
mi_decl_export mi_decl_nodiscard char* mi_strndup(const char* s, size_t n) mi_attr_noexcept mi_attr_malloc;
mi_decl_export mi_decl_nodiscard char* mi_realpath(const char* fname, char* resolved_name) mi_attr_noexcept;

/* ---- aligned blocks: alignment any power of two, else NULL and EINVAL; _at: p + offset is aligned ---- */

mi_decl_export mi_decl_nodiscard void* mi_malloc_aligned(size_t size, size_t alignment)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_malloc_aligned_at(size_t size, size_t alignment, size_t offset)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_zalloc_aligned(size_t size, size_t alignment)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_zalloc_aligned_at(size_t size, size_t alignment, size_t offset)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_calloc_aligned(size_t count, size_t size, size_t alignment)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(1, 2);
mi_decl_export mi_decl_nodiscard void* mi_calloc_aligned_at(size_t count, size_t size, size_t alignment,
    size_t offset) mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(1, 2);
mi_decl_export mi_decl_nodiscard void* mi_realloc_aligned(void* p, size_t newsize, size_t alignment)
    mi_attr_noexcept mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_realloc_aligned_at(void* p, size_t newsize, size_t alignment,
    size_t offset) mi_attr_noexcept mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_rezalloc_aligned(void* p, size_t newsize, size_t alignment)
    mi_attr_noexcept mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_rezalloc_aligned_at(void* p, size_t newsize, size_t alignment,
    size_t offset) mi_attr_noexcept mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_recalloc_aligned(void* p, size_t newcount, size_t size,
    size_t alignment) mi_attr_noexcept mi_attr_alloc_size2(2, 3);
mi_decl_export mi_decl_nodiscard void* mi_recalloc_aligned_at(void* p, size_t newcount, size_t size,
    size_t alignment, size_t offset) mi_attr_noexcept mi_attr_alloc_size2(2, 3);
/* Microsoft's names of the last but one and of the last. */
mi_decl_export mi_decl_nodiscard void* mi_aligned_recalloc(void* p, size_t newcount, size_t size,
    size_t alignment) mi_attr_noexcept mi_attr_alloc_size2(2, 3);
mi_decl_export mi_decl_nodiscard void* mi_aligned_offset_recalloc(void* p, size_t newcount, size_t size,
    size_t alignment, size_t offset) mi_attr_noexcept mi_attr_alloc_size2(2, 3);

/* POSIX and C11; the error is in errno, or returned and errno kept (posix_memalign: EINVAL also for an
   alignment that is no multiple of a pointer's size). valloc: aligned to the system's pages; pvalloc: the
   size rounded up to them, too. */
mi_decl_export int   mi_posix_memalign(void** p, size_t alignment, size_t size) mi_attr_noexcept;
mi_decl_export int   mi__posix_memalign(void** p, size_t alignment, size_t size) mi_attr_noexcept;
mi_decl_export mi_decl_nodiscard void* mi_memalign(size_t alignment, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_aligned_alloc(size_t alignment, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_valloc(size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_pvalloc(size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);

/* C++: the throwing forms call the new-handler, and try again if it comes back; without one they throw
   std::bad_alloc, or abort where there is no C++. No handler is called where it cannot help: for a product
   that is larger than PTRDIFF_MAX, a bad alignment, no heap. */
mi_decl_export mi_decl_nodiscard void* mi_new(size_t size) mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_new_aligned(size_t size, size_t alignment)
    mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_new_nothrow(size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_new_aligned_nothrow(size_t size, size_t alignment)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1);
mi_decl_export mi_decl_nodiscard void* mi_new_n(size_t count, size_t size)
    mi_attr_malloc mi_attr_alloc_size2(1, 2);
mi_decl_export mi_decl_nodiscard void* mi_new_realloc(void* p, size_t newsize) mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_new_reallocn(void* p, size_t newcount, size_t size)
    mi_attr_alloc_size2(2, 3);

/* 16-bit and 8-bit strings, copied; getenv, copied: 0, or EINVAL or ENOMEM; wide environments exist on
   Windows only: EINVAL. */
mi_decl_export mi_decl_nodiscard unsigned short* mi_wcsdup(const unsigned short* s)
    mi_attr_noexcept mi_attr_malloc;
mi_decl_export mi_decl_nodiscard unsigned char* mi_mbsdup(const unsigned char* s)
    mi_attr_noexcept mi_attr_malloc;
mi_decl_export int mi_dupenv_s(char** buf, size_t* size, const char* name) mi_attr_noexcept;
mi_decl_export int mi_wdupenv_s(unsigned short** buf, size_t* size, const unsigned short* name)
    mi_attr_noexcept;

/* ---- heaps: usable from every thread and capability at once ----

   A heap's blocks are freed like all others, by anybody, and are all freed with mi_heap_destroy. Heap
   functions take and return what the functions without `heap` do; from a NULL heap they give NULL and
   EINVAL. */

typedef struct mi_heap_s mi_heap_t;
typedef int mi_arena_id_t;
typedef void* mi_subproc_id_t;

/* A new heap. NULL and ENOMEM. _in_arena: its pages come from that arena alone. _ex: `tag` is the user's;
   a heap that may not be destroyed is deleted instead; arena 0: any. */
mi_decl_export mi_decl_nodiscard mi_heap_t* mi_heap_new(void) mi_attr_noexcept;
mi_decl_export mi_decl_nodiscard mi_heap_t* mi_heap_new_in_arena(mi_arena_id_t arena_id) mi_attr_noexcept;
mi_decl_export mi_decl_nodiscard mi_heap_t* mi_heap_new_ex(int tag, bool allow_destroy,
    mi_arena_id_t arena_id) mi_attr_noexcept;
/* What statistics call the heap besides its number; the process's main heap has no name. UTF-8, of which at
   most 47 bytes are kept, whole characters; each byte of control characters, quotes, backslashes and what is
   no UTF-8 becomes '?'. NULL or "": none. */
mi_decl_export void mi_heap_set_name(mi_heap_t* heap, const char* name) mi_attr_noexcept;
/* Ends a heap; nobody may allocate from it meanwhile, but others may free. delete: its live blocks go
   on living, in the process's main heap (also in a sub-process). destroy: they are freed; a later free of one
   is an error, reported. Threads whose default it was have their main heap as default again. */
mi_decl_export void mi_heap_delete(mi_heap_t* heap) mi_attr_noexcept;
mi_decl_export void mi_heap_destroy(mi_heap_t* heap) mi_attr_noexcept;
/* The heap that mi_malloc and its like use on this thread; set returns the old one. Backing: the
   thread's main heap. */
mi_decl_export mi_heap_t* mi_heap_set_default(mi_heap_t* heap) mi_attr_noexcept;
mi_decl_export mi_heap_t* mi_heap_get_default(void) mi_attr_noexcept;
mi_decl_export mi_heap_t* mi_heap_get_backing(void) mi_attr_noexcept;
/* Mimalloc 3's name of the last. */
mi_decl_export mi_heap_t* mi_heap_main(void) mi_attr_noexcept;
/* As mi_collect, for what this thread has of one heap. */
mi_decl_export void mi_heap_collect(mi_heap_t* heap, bool force) mi_attr_noexcept;

mi_decl_export mi_decl_nodiscard void* mi_heap_malloc(mi_heap_t* heap, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_zalloc(mi_heap_t* heap, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_malloc_small(mi_heap_t* heap, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_zalloc_small(mi_heap_t* heap, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_calloc(mi_heap_t* heap, size_t count, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(2, 3);
mi_decl_export mi_decl_nodiscard void* mi_heap_mallocn(mi_heap_t* heap, size_t count, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(2, 3);
mi_decl_export mi_decl_nodiscard char* mi_heap_strdup(mi_heap_t* heap, const char* s)
    mi_attr_noexcept mi_attr_malloc;
mi_decl_export mi_decl_nodiscard char* mi_heap_strndup(mi_heap_t* heap, const char* s, size_t n)
    mi_attr_noexcept mi_attr_malloc;
mi_decl_export mi_decl_nodiscard char* mi_heap_realpath(mi_heap_t* heap, const char* fname,
    char* resolved_name) mi_attr_noexcept;
/* The block may be of another heap: what is moved lives in this one then. */
mi_decl_export mi_decl_nodiscard void* mi_heap_realloc(mi_heap_t* heap, void* p, size_t newsize)
    mi_attr_noexcept mi_attr_alloc_size(3);
mi_decl_export mi_decl_nodiscard void* mi_heap_reallocn(mi_heap_t* heap, void* p, size_t count, size_t size)
    mi_attr_noexcept mi_attr_alloc_size2(3, 4);
mi_decl_export mi_decl_nodiscard void* mi_heap_reallocf(mi_heap_t* heap, void* p, size_t newsize)
    mi_attr_noexcept mi_attr_alloc_size(3);
mi_decl_export mi_decl_nodiscard void* mi_heap_rezalloc(mi_heap_t* heap, void* p, size_t newsize)
    mi_attr_noexcept mi_attr_alloc_size(3);
mi_decl_export mi_decl_nodiscard void* mi_heap_recalloc(mi_heap_t* heap, void* p, size_t newcount,
    size_t size) mi_attr_noexcept mi_attr_alloc_size2(3, 4);
mi_decl_export mi_decl_nodiscard void* mi_heap_malloc_aligned(mi_heap_t* heap, size_t size, size_t alignment)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_malloc_aligned_at(mi_heap_t* heap, size_t size,
    size_t alignment, size_t offset) mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_zalloc_aligned(mi_heap_t* heap, size_t size, size_t alignment)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_zalloc_aligned_at(mi_heap_t* heap, size_t size,
    size_t alignment, size_t offset) mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_calloc_aligned(mi_heap_t* heap, size_t count, size_t size,
    size_t alignment) mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(2, 3);
mi_decl_export mi_decl_nodiscard void* mi_heap_calloc_aligned_at(mi_heap_t* heap, size_t count, size_t size,
    size_t alignment, size_t offset) mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(2, 3);
mi_decl_export mi_decl_nodiscard void* mi_heap_realloc_aligned(mi_heap_t* heap, void* p, size_t newsize,
    size_t alignment) mi_attr_noexcept mi_attr_alloc_size(3);
mi_decl_export mi_decl_nodiscard void* mi_heap_realloc_aligned_at(mi_heap_t* heap, void* p, size_t newsize,
    size_t alignment, size_t offset) mi_attr_noexcept mi_attr_alloc_size(3);
mi_decl_export mi_decl_nodiscard void* mi_heap_rezalloc_aligned(mi_heap_t* heap, void* p, size_t newsize,
    size_t alignment) mi_attr_noexcept mi_attr_alloc_size(3);
mi_decl_export mi_decl_nodiscard void* mi_heap_rezalloc_aligned_at(mi_heap_t* heap, void* p, size_t newsize,
    size_t alignment, size_t offset) mi_attr_noexcept mi_attr_alloc_size(3);
mi_decl_export mi_decl_nodiscard void* mi_heap_recalloc_aligned(mi_heap_t* heap, void* p, size_t newcount,
    size_t size, size_t alignment) mi_attr_noexcept mi_attr_alloc_size2(3, 4);
mi_decl_export mi_decl_nodiscard void* mi_heap_recalloc_aligned_at(mi_heap_t* heap, void* p, size_t newcount,
    size_t size, size_t alignment, size_t offset) mi_attr_noexcept mi_attr_alloc_size2(3, 4);

/* As mi_new and mi_new_n, from that heap. */
mi_decl_export mi_decl_nodiscard void* mi_heap_alloc_new(mi_heap_t* heap, size_t size)
    mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_heap_alloc_new_n(mi_heap_t* heap, size_t count, size_t size)
    mi_attr_malloc mi_attr_alloc_size2(2, 3);

/* The heap a live block is of; NULL for anything else. */
mi_decl_export mi_heap_t* mi_heap_of(const void* p) mi_attr_noexcept;
/* Is p a live block of that heap? */
mi_decl_export bool mi_heap_contains_block(mi_heap_t* heap, const void* p) mi_attr_noexcept;
/* Does p, any address, point into a page of that heap (of this thread's default heap)? The main heap is the
   same for all threads here, so that of check_owned other threads' blocks of it are this thread's, too. */
mi_decl_export bool mi_heap_check_owned(mi_heap_t* heap, const void* p) mi_attr_noexcept;
mi_decl_export bool mi_check_owned(const void* p) mi_attr_noexcept;
/* Mimalloc 3's names: the first of the last two, NULL being the main heap / of any heap. */
mi_decl_export bool mi_heap_contains(const mi_heap_t* heap, const void* p) mi_attr_noexcept;
mi_decl_export bool mi_any_heap_contains(const void* p) mi_attr_noexcept;
/* Is p in a page of that heap (NULL: of any) of which less than so many hundredths of the blocks live, so
   that a block there had better move? Not the page that is allocated from, nor one that was never full. p is
   a live block, and its page this thread's. */
mi_decl_export bool mi_unsafe_heap_page_is_under_utilized(mi_heap_t* heap, void* p, size_t perc_threshold)
    mi_attr_noexcept;

/* A page, as a visitor sees it. Bytes, but `used`: live blocks. */
typedef struct mi_heap_area_s {
  void*  blocks;            /* the first block */
  size_t reserved;          /* of the page */
  size_t committed;         /* of blocks that were ever allocated */
  size_t used;
  size_t block_size;        /* usable */
  size_t full_block_size;   /* the same; mimalloc has padding in some builds */
  int    heap_tag;
} mi_heap_area_t;
typedef bool (mi_block_visit_fun)(const mi_heap_t* heap, const mi_heap_area_t* area, void* block,
    size_t block_size, void* arg);
/* Calls the visitor for each page (block NULL), and for each live block of it if visit_blocks, each time with
   the area's block_size; stops and returns false when the visitor does. No lock is held: it may allocate and
   free, but not in this heap. Nobody else may allocate from the heap, collect or visit it meanwhile, and no
   thread that did may end; of the main heap, only the pages that this thread or nobody holds are visited. */
mi_decl_export bool mi_heap_visit_blocks(const mi_heap_t* heap, bool visit_blocks,
    mi_block_visit_fun* visitor, void* arg);
/* The same for the pages of a sub-process's main heap that nobody holds: what ended threads left, and
   pages that are full. heap_tag: of the heap, or negative for any; nothing is visited of another. No
   option needs to be set. */
mi_decl_export bool mi_abandoned_visit_blocks(mi_subproc_id_t subproc_id, int heap_tag, bool visit_blocks,
    mi_block_visit_fun* visitor, void* arg);

/* Mimalloc 3's local heaps: what a thread has of a heap. Here a heap stands for what the calling thread has
   of it, so that one is never another thread's, and lives as long as the heap. Each function does what that
   with `heap` does. */
typedef mi_heap_t mi_theap_t;
mi_decl_export mi_theap_t* mi_heap_theap(mi_heap_t* heap) mi_attr_noexcept;
mi_decl_export mi_theap_t* mi_theap_get_default(void) mi_attr_noexcept;
mi_decl_export mi_theap_t* mi_theap_set_default(mi_theap_t* theap) mi_attr_noexcept;
mi_decl_export void mi_theap_collect(mi_theap_t* theap, bool force) mi_attr_noexcept;
mi_decl_export mi_decl_nodiscard void* mi_theap_malloc(mi_theap_t* theap, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_theap_zalloc(mi_theap_t* theap, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_theap_calloc(mi_theap_t* theap, size_t count, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size2(2, 3);
mi_decl_export mi_decl_nodiscard void* mi_theap_malloc_small(mi_theap_t* theap, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_theap_zalloc_small(mi_theap_t* theap, size_t size)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_theap_malloc_aligned(mi_theap_t* theap, size_t size,
    size_t alignment) mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(2);
mi_decl_export mi_decl_nodiscard void* mi_theap_realloc(mi_theap_t* theap, void* p, size_t newsize)
    mi_attr_noexcept mi_attr_alloc_size(3);

/* The node that a heap's memory is wanted on: accepted, the system chooses. */
mi_decl_export void mi_heap_set_numa_affinity(mi_heap_t* heap, int numa_node) mi_attr_noexcept;

/* Guard pages behind sampled blocks, in some builds of mimalloc: accepted, there are none here. */
mi_decl_export void mi_heap_guarded_set_sample_rate(mi_heap_t* heap, size_t sample_rate, size_t seed)
    mi_attr_noexcept;
mi_decl_export void mi_heap_guarded_set_size_bound(mi_heap_t* heap, size_t min, size_t max) mi_attr_noexcept;
mi_decl_export void mi_theap_guarded_set_sample_rate(mi_theap_t* theap, size_t sample_rate, size_t seed)
    mi_attr_noexcept;
mi_decl_export void mi_theap_guarded_set_size_bound(mi_theap_t* theap, size_t min, size_t max)
    mi_attr_noexcept;

/* ---- arenas: large reservations. Errors: ENOMEM or EINVAL, returned; ids are never 0 ---- */

/* The system's memory, committed as it is used, in ordinary pages, whatever `commit` and `allow_large` say.
   exclusive: only for heaps that are made in the arena; what outlives such a heap stays there, and nothing
   else comes to it. */
mi_decl_export int   mi_reserve_os_memory(size_t size, bool commit, bool allow_large) mi_attr_noexcept;
mi_decl_export int   mi_reserve_os_memory_ex(size_t size, bool commit, bool allow_large, bool exclusive,
    mi_arena_id_t* arena_id) mi_attr_noexcept;
/* The user's own memory, which stays mapped while the process runs and is never purged. is_zero: it is. Not
   is_committed: it may be such as nobody can touch (PROT_NONE); its slices of 64 KiB can be read and written
   to from then on, and the system gives memory to what is touched. False and EINVAL (smaller than 64 KiB once
   aligned) or ENOMEM. */
mi_decl_export bool  mi_manage_os_memory(void* start, size_t size, bool is_committed, bool is_large,
    bool is_zero, int numa_node) mi_attr_noexcept;
mi_decl_export bool  mi_manage_os_memory_ex(void* start, size_t size, bool is_committed, bool is_large,
    bool is_zero, int numa_node, bool exclusive, mi_arena_id_t* arena_id) mi_attr_noexcept;
/* What the start of such memory is rounded up to: 64 KiB. */
mi_decl_export size_t mi_arena_min_alignment(void) mi_attr_noexcept;
/* Explicit huge pages of 1 GiB worth each, all of them or none; the node and the time are not looked at.
   ENOMEM, and 0 in *pages_reserved, if the system has not so many set aside. */
mi_decl_export int   mi_reserve_huge_os_pages_interleave(size_t pages, size_t numa_nodes,
    size_t timeout_msecs) mi_attr_noexcept;
mi_decl_export int   mi_reserve_huge_os_pages_at(size_t pages, int numa_node, size_t timeout_msecs)
    mi_attr_noexcept;
mi_decl_export int   mi_reserve_huge_os_pages_at_ex(size_t pages, int numa_node, size_t timeout_msecs,
    bool exclusive, mi_arena_id_t* arena_id) mi_attr_noexcept;
mi_decl_export int   mi_reserve_huge_os_pages(size_t pages, double max_secs, size_t* pages_reserved)
    mi_attr_noexcept;
/* Where an arena is and how large; NULL and 0 for an id that is none. */
mi_decl_export void* mi_arena_area(mi_arena_id_t arena_id, size_t* size) mi_attr_noexcept;
/* A line each, to stderr or the registered output. */
mi_decl_export void  mi_arenas_print(void) mi_attr_noexcept;
mi_decl_export void  mi_debug_show_arenas(void) mi_attr_noexcept;
/* Gives all back that is free in arenas and in pages that nobody holds, at once. */
mi_decl_export void  mi_arenas_purge(void) mi_attr_noexcept;

/* ---- sub-processes: threads whose pages other sub-processes' threads never adopt ---- */

/* The one that threads are in at first: NULL / a new one; NULL and ENOMEM. */
mi_decl_export mi_subproc_id_t mi_subproc_main(void) mi_attr_noexcept;
mi_decl_export mi_subproc_id_t mi_subproc_new(void) mi_attr_noexcept;
/* Its pages are everybody's then, and its live blocks live on. Its threads have ended. destroy: mimalloc 3's
   name of it. */
mi_decl_export void mi_subproc_delete(mi_subproc_id_t subproc) mi_attr_noexcept;
mi_decl_export void mi_subproc_destroy(mi_subproc_id_t subproc) mi_attr_noexcept;
/* The one that this thread is in. */
mi_decl_export mi_subproc_id_t mi_subproc_current(void) mi_attr_noexcept;
/* Before the thread's first allocation; later it does nothing. */
mi_decl_export void mi_subproc_add_current_thread(mi_subproc_id_t subproc) mi_attr_noexcept;

/* ---- housekeeping ---- */

/* Collects what was remotely freed to this thread's heaps, frees empty pages; force: purges at once too. */
mi_decl_export void mi_collect(bool force) mi_attr_noexcept;
/* The same with force, if more than target_size bytes are committed. */
mi_decl_export void mi_collect_reduce(size_t target_size) mi_attr_noexcept;
/* For a thread that is going to sleep: gives up all pages that it holds, of every heap. It goes on as if it
   were new, and finds them again if nobody took them. Nothing is held for a thread that sleeps so: whoever
   frees the last block of a page frees the page. */
mi_decl_export void mi_thread_idle(void) mi_attr_noexcept;
/* Drains and purges all that there is: what this thread holds and what nobody does, which is all that
   sleeping threads had when they called mi_thread_idle, and capabilities when they were drained, at once.
   Every other owner, whose memory nobody else may touch, does it for itself the next time that an allocation
   of its takes the slow path, for each heap; what it had empty is purged from there as usual. So a capability
   of GHC's that sleeps keeps what it has: mi_cap_drain_all (mimalloc-cap.h), called before this, has it give
   that up. This function does not call that one, which waits for capabilities, and would wait for ever in a
   call that holds one. */
mi_decl_export void mi_collect_all(void) mi_attr_noexcept;
/* Says that this thread is one of a pool. Accepted: pages are adopted by whoever needs them in any case. */
mi_decl_export void mi_thread_set_in_threadpool(void) mi_attr_noexcept;
/* MI_MALLOC_VERSION of the library that runs. */
mi_decl_export int  mi_version(void) mi_attr_noexcept;
/* Does p, any address, point into an arena or a block? / Is the program's malloc this library's? */
mi_decl_export bool mi_is_in_heap_region(const void* p) mi_attr_noexcept;
mi_decl_export bool mi_is_redirected(void) mi_attr_noexcept;
/* Nobody needs to call these. init: makes this thread's heap. process_done: collects with force,
   nothing else. thread_done: ends this thread's heap; its live blocks live on, and its next
   allocation makes another. */
mi_decl_export void mi_process_init(void) mi_attr_noexcept;
mi_decl_export void mi_process_done(void) mi_attr_noexcept;
mi_decl_export void mi_thread_init(void) mi_attr_noexcept;
mi_decl_export void mi_thread_done(void) mi_attr_noexcept;
/* Milliseconds since the library was loaded and of the processor; bytes resident and committed, now and at
   most; page faults that needed the disk. Any pointer may be NULL. Resident is 0 where the system does not
   say: without /proc, or a descriptor to read it by. */
mi_decl_export void mi_process_info(size_t* elapsed_msecs, size_t* user_msecs, size_t* system_msecs,
    size_t* current_rss, size_t* peak_rss, size_t* current_commit, size_t* peak_commit, size_t* page_faults)
    mi_attr_noexcept;

typedef void (mi_output_fun)(const char* msg, void* arg);
/* The same for people, as mi_stats_print and mi_stats_print_out. */
mi_decl_export void mi_process_info_print(void) mi_attr_noexcept;
mi_decl_export void mi_process_info_print_out(mi_output_fun* out, void* arg) mi_attr_noexcept;

/* ---- statistics: taken while everybody goes on, one page after the other; nobody waits ---- */

/* The counters of mi_stats_get (bytes purged, pages, remote frees) and the peak of what is committed start
   anew; those of capabilities (mimalloc-cap.h) do not / does nothing: counters are merged when they are
   read. */
mi_decl_export void mi_stats_reset(void) mi_attr_noexcept;
mi_decl_export void mi_stats_merge(void) mi_attr_noexcept;
/* For people, to stderr or the registered output / to a function, a line a call; it may allocate. `out` is
   not looked at. Nothing is said if there is no memory for it. */
mi_decl_export void mi_stats_print(void* out) mi_attr_noexcept;
mi_decl_export void mi_stats_print_out(mi_output_fun* out, void* arg) mi_attr_noexcept;
mi_decl_export void mi_thread_stats_print_out(mi_output_fun* out, void* arg) mi_attr_noexcept;
/* mi_stats_get, mi_stats_get_json: mimalloc-stats.h. */

/* ---- errors, output, options ---- */

/* err: EAGAIN double free, EINVAL no block, EFAULT a free block was written to, ENOMEM, EOVERFLOW
   (too large a request). Called with no lock held; may allocate; not called again from inside itself.
   NULL: no function is called. */
typedef void (mi_error_fun)(int err, void* arg);
mi_decl_export void mi_register_error(mi_error_fun* fun, void* arg) mi_attr_noexcept;
/* Where all that is printed goes, a line a call; the same holds for it. NULL: to stderr. */
mi_decl_export void mi_register_output(mi_output_fun* out, void* arg) mi_attr_noexcept;
/* Called now and then from slow paths, and by mi_collect and mi_heap_collect with their `force`; the same
   holds for it. heartbeat: counts the calls in this thread. NULL: nobody is called. */
#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wlong-long"    /* before C++11 it is an extension */
#endif
typedef void (mi_deferred_free_fun)(bool force, unsigned long long heartbeat, void* arg);
#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
mi_decl_export void mi_register_deferred_free(mi_deferred_free_fun* deferred_free, void* arg)
    mi_attr_noexcept;

/* mimalloc's names and order, then ours. Each can be set by the environment: MIMALLOC_PURGE_DELAY=0,
   MIMALLOC_ARENA_RESERVE=64MiB and so on, in capitals or not, which is read once, before the first use, and
   not at all where the process has more rights than who started it (AT_SECURE). No value is 1. A size is in
   bytes there unless a unit is named (K, M, G, T, as KiB and KB, too), and is rounded up to KiB, which is
   what the functions take and give. Mimalloc's former names are heeded where there is no new one:
   MIMALLOC_RESET_DELAY, MIMALLOC_LARGE_OS_PAGES and so on. The default of each stands in brackets. Those
   without a comment are accepted and have no effect here. */
typedef enum mi_option_e {
  mi_option_show_errors,            /* print misuse to stderr [1] */
  mi_option_show_stats,             /* print statistics when the process ends [0] */
  mi_option_verbose,                /* print failed requests too [0] */
  mi_option_eager_commit,
  mi_option_arena_eager_commit,
  mi_option_purge_decommits,
  mi_option_allow_large_os_pages,   /* ask for transparent huge pages [0] */
  mi_option_reserve_huge_os_pages,  /* explicit huge pages reserved at the start, GiB [0] */
  mi_option_reserve_huge_os_pages_at,
  mi_option_reserve_os_memory,      /* memory reserved at the start, KiB [0] */
  mi_option_deprecated_segment_cache,
  mi_option_deprecated_page_reset,
  mi_option_abandoned_page_purge,
  mi_option_deprecated_segment_reset,
  mi_option_eager_commit_delay,
  mi_option_purge_delay,            /* freed memory is given back after half to all of so many milliseconds; 0
                                       at once, -1 never [250] */
  mi_option_use_numa_nodes,
  mi_option_disallow_os_alloc,      /* only what is reserved is used [0] */
  mi_option_os_tag,
  mi_option_max_errors,             /* lines of misuse that are printed [32]; -1: all */
  mi_option_max_warnings,
  mi_option_max_segment_reclaim,
  mi_option_destroy_on_exit,
  mi_option_arena_reserve,          /* the most reserved at a time, KiB; less at first [1 GiB] */
  mi_option_arena_purge_mult,
  mi_option_purge_extend_delay,
  mi_option_abandoned_reclaim_on_free,
  mi_option_disallow_arena_alloc,
  mi_option_retry_on_oom,
  mi_option_visit_abandoned,
  mi_option_guarded_min,
  mi_option_guarded_max,
  mi_option_guarded_precise,
  mi_option_guarded_sample_rate,
  mi_option_guarded_sample_seed,
  mi_option_target_segments_per_thread,
  mi_option_generic_collect,
  mi_option_allow_thp,              /* 0: asks the system for no transparent huge pages, even where it makes
                                       them by itself [1] */
  mi_option_abort_on_error,         /* misuse ends the process [0; 1 in the preload library and
                                       the checking build] */
  mi_option_purge_thread,           /* a thread of the library gives memory back: 0 never, 1 whenever
                                       something is due, -1 if the process has threads [-1]. For one
                                       that has threads, and that the system is told to end if it asks
                                       for another (a sandbox): 0 */
  mi_option_commit_limit,           /* the most that is committed at a time, KiB; beyond it allocation
                                       fails [0: no limit] */
  _mi_option_last,
  mi_option_large_os_pages = mi_option_allow_large_os_pages,
  mi_option_eager_region_commit = mi_option_arena_eager_commit,
  mi_option_reset_decommits = mi_option_purge_decommits,
  mi_option_reset_delay = mi_option_purge_delay,
  mi_option_abandoned_page_reset = mi_option_abandoned_page_purge,
  mi_option_limit_os_alloc = mi_option_disallow_os_alloc
} mi_option_t;
/* Of what is no option: 0, and nothing is set. set_default: unless the environment or a function has set it.
   get_size: in bytes, also where the option is in KiB; 0 for what is negative. */
mi_decl_export bool mi_option_is_enabled(mi_option_t option) mi_attr_noexcept;
mi_decl_export void mi_option_enable(mi_option_t option) mi_attr_noexcept;
mi_decl_export void mi_option_disable(mi_option_t option) mi_attr_noexcept;
mi_decl_export void mi_option_set_enabled(mi_option_t option, bool enable) mi_attr_noexcept;
mi_decl_export void mi_option_set_enabled_default(mi_option_t option, bool enable) mi_attr_noexcept;
mi_decl_export long mi_option_get(mi_option_t option) mi_attr_noexcept;
mi_decl_export long mi_option_get_clamp(mi_option_t option, long min, long max) mi_attr_noexcept;
mi_decl_export size_t mi_option_get_size(mi_option_t option) mi_attr_noexcept;
mi_decl_export void mi_option_set(mi_option_t option, long value) mi_attr_noexcept;
mi_decl_export void mi_option_set_default(mi_option_t option, long value) mi_attr_noexcept;
/* A line each, to stderr or the registered output / to a function. */
mi_decl_export void mi_options_print(void) mi_attr_noexcept;
mi_decl_export void mi_options_print_out(mi_output_fun* out, void* arg) mi_attr_noexcept;

/* ---- the checking build (MI_CHECK = 2); 0 in others ---- */

/* Walks every page; nobody may allocate or free meanwhile. Returns how many invariants are
   broken, prints each. */
mi_decl_export size_t mi_check_all(void) mi_attr_noexcept;
mi_decl_export size_t mi_check_live_blocks(void) mi_attr_noexcept;
/* The state of the whole heap on one screen, to stderr. */
mi_decl_export void mi_check_dump(void) mi_attr_noexcept;
/* How often an owner-only path was entered while somebody else was in it. */
mi_decl_export size_t mi_check_overlaps(void) mi_attr_noexcept;

#ifdef __cplusplus
}
#endif

/* Blocks for values of a type. */
#define mi_malloc_tp(tp)                ((tp*)mi_malloc(sizeof(tp)))
#define mi_zalloc_tp(tp)                ((tp*)mi_zalloc(sizeof(tp)))
#define mi_calloc_tp(tp, n)             ((tp*)mi_calloc(n, sizeof(tp)))
#define mi_mallocn_tp(tp, n)            ((tp*)mi_mallocn(n, sizeof(tp)))
#define mi_reallocn_tp(p, tp, n)        ((tp*)mi_reallocn(p, n, sizeof(tp)))
#define mi_recalloc_tp(p, tp, n)        ((tp*)mi_recalloc(p, n, sizeof(tp)))
#define mi_heap_malloc_tp(hp, tp)       ((tp*)mi_heap_malloc(hp, sizeof(tp)))
#define mi_heap_zalloc_tp(hp, tp)       ((tp*)mi_heap_zalloc(hp, sizeof(tp)))
#define mi_heap_calloc_tp(hp, tp, n)    ((tp*)mi_heap_calloc(hp, n, sizeof(tp)))
#define mi_heap_mallocn_tp(hp, tp, n)   ((tp*)mi_heap_mallocn(hp, n, sizeof(tp)))
#define mi_heap_reallocn_tp(hp, p, tp, n) ((tp*)mi_heap_reallocn(hp, p, n, sizeof(tp)))
#define mi_heap_recalloc_tp(hp, p, tp, n) ((tp*)mi_heap_recalloc(hp, p, n, sizeof(tp)))

#ifdef __cplusplus
#include <cstddef>
#include <cstdlib>
#include <new>
#if MI_CXX11
#include <memory>
#include <type_traits>
#include <utility>
#define mi_stl_alignof(T) alignof(T)
#else
#define mi_stl_alignof(T) __alignof__(T)
#endif
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define mi_stl_throw(exception) throw exception
#else
#define mi_stl_throw(exception) std::abort()
#endif

/* So many values can never be: no new-handler is asked. */
inline void mi_stl_too_many() {
#if MI_CXX11
  mi_stl_throw(std::bad_array_new_length());
#else
  mi_stl_throw(std::bad_alloc());
#endif
}

template <class T> struct mi_stl_references { typedef T& mutable_; typedef const T& constant; };
template <> struct mi_stl_references<void> { typedef void mutable_; typedef void constant; };

/* What all allocators of values of a type have, also those that C++20 has given up. */
template <class T> struct mi_stl_allocator_base {
  typedef T value_type;
  typedef std::size_t size_type;
  typedef std::ptrdiff_t difference_type;
  typedef T* pointer;
  typedef const T* const_pointer;
  typedef typename mi_stl_references<T>::mutable_ reference;
  typedef typename mi_stl_references<T>::constant const_reference;
  size_type max_size() const mi_attr_noexcept { return (~(size_type)0 >> 1) / sizeof(T); }
  template <class U> U* address(U& x) const mi_attr_noexcept { return &x; }
#if MI_CXX11
  typedef std::true_type propagate_on_container_copy_assignment;
  typedef std::true_type propagate_on_container_move_assignment;
  typedef std::true_type propagate_on_container_swap;
  template <class U, class... Args> void construct(U* p, Args&&... args) {
    ::new (static_cast<void*>(p)) U(std::forward<Args>(args)...);
  }
#else
  template <class U, class V> void construct(U* p, const V& value) { ::new (static_cast<void*>(p)) U(value); }
#endif
  template <class U> void destroy(U* p) mi_attr_noexcept { p->~U(); }
};

/* A standard allocator: std::vector<int, mi_stl_allocator<int>>. Too many values: std::bad_array_new_length;
   no memory: as mi_new. */
template <class T> struct mi_stl_allocator : mi_stl_allocator_base<T> {
  template <class U> struct rebind { typedef mi_stl_allocator<U> other; };
#if MI_CXX11
  typedef std::true_type is_always_equal;
  mi_stl_allocator() noexcept = default;
#else
  mi_stl_allocator() mi_attr_noexcept {}
#endif
  template <class U> mi_stl_allocator(const mi_stl_allocator<U>&) mi_attr_noexcept {}
  mi_stl_allocator select_on_container_copy_construction() const { return *this; }
  mi_decl_nodiscard T* allocate(std::size_t n, const void* = 0) {
    if (n > this->max_size()) mi_stl_too_many();
    if (mi_stl_alignof(T) <= 16) return static_cast<T*>(mi_new_n(n, sizeof(T)));
    return static_cast<T*>(mi_new_aligned(n * sizeof(T), mi_stl_alignof(T)));
  }
  void deallocate(T* p, std::size_t) { mi_free(p); }
};
template <class T, class U>
bool operator==(const mi_stl_allocator<T>&, const mi_stl_allocator<U>&) mi_attr_noexcept { return true; }
template <class T, class U>
bool operator!=(const mi_stl_allocator<T>&, const mi_stl_allocator<U>&) mi_attr_noexcept { return false; }

#if MI_CXX11
/* No memory: the new-handler may make some; without one this throws. */
inline void mi_stl_no_memory() {
  const std::new_handler handler = std::get_new_handler();
  if (handler == nullptr) mi_stl_throw(std::bad_alloc());
  handler();
}

/* The same from a heap: the one it is given, which it leaves alone, or one of its own, which ends with the
   last copy of the allocator. The blocks in that live on (mi_heap_stl_allocator) or are all freed then, and
   none before (mi_heap_destroy_stl_allocator). */
#define MI_HAS_HEAP_STL_ALLOCATOR 1
template <class T, bool destroys> struct mi_heap_stl_allocator_base : mi_stl_allocator_base<T> {
  typedef std::false_type is_always_equal;
  std::shared_ptr<mi_heap_t> heap;

  mi_heap_stl_allocator_base() : heap(made(), destroys ? &mi_heap_destroy : &mi_heap_delete) {}
  mi_heap_stl_allocator_base(mi_heap_t* h) : heap(h, [](mi_heap_t*) {}) {}
  template <class U>
  mi_heap_stl_allocator_base(const mi_heap_stl_allocator_base<U, destroys>& other) noexcept
      : heap(other.heap) {}
  mi_decl_nodiscard T* allocate(std::size_t n, const void* = nullptr) {
    if (n > this->max_size()) mi_stl_too_many();
    if (alignof(T) <= 16) return static_cast<T*>(mi_heap_alloc_new_n(heap.get(), n, sizeof(T)));
    for (;;) {
      void* p = mi_heap_malloc_aligned(heap.get(), n * sizeof(T), alignof(T));
      if (p != nullptr) return static_cast<T*>(p);
      mi_stl_no_memory();
    }
  }
  void deallocate(T* p, std::size_t) { if (!destroys) mi_free(p); }
  void collect(bool force) { mi_heap_collect(heap.get(), force); }
  template <class U>
  bool is_equal(const mi_heap_stl_allocator_base<U, destroys>& other) const noexcept {
    return heap == other.heap;
  }

 private:
  static mi_heap_t* made() {
    mi_heap_t* h;
    while ((h = mi_heap_new()) == nullptr) mi_stl_no_memory();
    return h;
  }
};
template <class T> struct mi_heap_stl_allocator : mi_heap_stl_allocator_base<T, false> {
  template <class U> struct rebind { typedef mi_heap_stl_allocator<U> other; };
  mi_heap_stl_allocator select_on_container_copy_construction() const { return *this; }
  mi_heap_stl_allocator() = default;
  mi_heap_stl_allocator(mi_heap_t* h) : mi_heap_stl_allocator_base<T, false>(h) {}
  template <class U>
  mi_heap_stl_allocator(const mi_heap_stl_allocator<U>& other) noexcept
      : mi_heap_stl_allocator_base<T, false>(other) {}
};
template <class T> struct mi_heap_destroy_stl_allocator : mi_heap_stl_allocator_base<T, true> {
  template <class U> struct rebind { typedef mi_heap_destroy_stl_allocator<U> other; };
  mi_heap_destroy_stl_allocator select_on_container_copy_construction() const { return *this; }
  mi_heap_destroy_stl_allocator() = default;
  mi_heap_destroy_stl_allocator(mi_heap_t* h) : mi_heap_stl_allocator_base<T, true>(h) {}
  template <class U>
  mi_heap_destroy_stl_allocator(const mi_heap_destroy_stl_allocator<U>& other) noexcept
      : mi_heap_stl_allocator_base<T, true>(other) {}
};
template <class T, class U>
bool operator==(const mi_heap_stl_allocator<T>& a, const mi_heap_stl_allocator<U>& b) noexcept {
  return a.is_equal(b);
}
template <class T, class U>
bool operator!=(const mi_heap_stl_allocator<T>& a, const mi_heap_stl_allocator<U>& b) noexcept {
  return !a.is_equal(b);
}
template <class T, class U>
bool operator==(const mi_heap_destroy_stl_allocator<T>& a,
                const mi_heap_destroy_stl_allocator<U>& b) noexcept {
  return a.is_equal(b);
}
template <class T, class U>
bool operator!=(const mi_heap_destroy_stl_allocator<T>& a,
                const mi_heap_destroy_stl_allocator<U>& b) noexcept {
  return !a.is_equal(b);
}
#endif  /* C++11 */
#endif

#endif
