/* The thread ring: who am I, for an OS thread. Its fast paths, and what its files share.
   Everything here is any-thread: it uses the calling thread's own heap. */
#ifndef MI_THREAD_H
#define MI_THREAD_H

#include "core/aligned.h"
#include "core/alloc.h"
#include "core/free.h"
#include "core/local.h"

/* The thread's id: the thread pointer, which no other live thread has. */
/* UBSan takes fs:0 for a null pointer: sanitized builds check, too. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !MI_CHECK
/* The ABI keeps it at fs:0. */
mi_inline uintptr_t mi_thread_id(void) { return *(const uintptr_t __seg_fs*)0; }
#else
mi_inline uintptr_t mi_thread_id(void) { return (uintptr_t)__builtin_thread_pointer(); }
#endif

/* This thread's local heap: the default one, made if need be / its local heap of that heap. NULL and
   errno if there is no memory. Each is followed by mi_thread_leave, which passes p on: a thread that
   is ending leaves nothing behind. */
mi_lheap_t* mi_thread_lheap_own(void);
mi_lheap_t* mi_thread_lheap_of(mi_heap_t* heap);
void* mi_thread_leave(void* p);
/* The general functions of the thread's families (core/family.h): from its default heap / from that heap. */
void* mi_thread_aligned(size_t size, size_t align, size_t offset, bool zero);
void* mi_thread_resize(void* p, size_t size, size_t align, size_t offset, bool zero);
void* mi_thread_heap_aligned(mi_heap_t* heap, size_t size, size_t align, size_t offset, bool zero);
void* mi_thread_heap_resize(mi_heap_t* heap, void* p, size_t size, size_t align, size_t offset, bool zero);
/* A thread that has no heap yet gets this main heap: of its sub-process. */
void mi_thread_join(mi_heap_t* main);
/* What a process does once, when somebody first allocates in it: from then on it may fork. Any ring. */
void mi_process_begin(void);

mi_noinline void* mi_thread_malloc_slow(size_t size);
mi_noinline void mi_thread_free_slow(void* p);

mi_inline void* mi_thread_malloc(size_t size) {
  void* p = mi_alloc_malloc_fast(mi_local()->lheap, size);
  return mi_likely(p != NULL) ? p : mi_thread_malloc_slow(size);
}

mi_inline void mi_thread_free(void* p) {
  if (!mi_free_local(p, mi_thread_id())) mi_thread_free_slow(p);
}

/* Frees a block that its caller knows the size and alignment of (0: not the alignment); reports it first if
   that is not so. */
mi_noinline void mi_thread_free_size_slow(void* p, size_t size, size_t align);
mi_noinline void mi_thread_free_aligned_slow(void* p, size_t align);
mi_inline void mi_thread_free_size(void* p, size_t size, size_t align) {
  if (mi_unlikely(!mi_block_suits_plainly(p, size, align == 0 ? 1 : align)))
    mi_thread_free_size_slow(p, size, align);
  else mi_thread_free(p);
}
mi_inline void mi_thread_free_aligned(void* p, size_t align) {
  if (mi_unlikely(((uintptr_t)p & (align - 1)) != 0)) mi_thread_free_aligned_slow(p, align);
  else mi_thread_free(p);
}

#endif
