/* Atomics: the one place that names <stdatomic.h>.
   Any thread.
   The protocols (remote.h, pool_bits.h, due.h) include only this file and each other: test/c/model
   replaces it by one whose operations yield to an exhaustive scheduler (-DMI_MODEL_ATOMICS="file").
   Orders are part of the names, so that each use says what it needs. */
#ifndef MI_ATOMIC_H
#define MI_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef MI_MODEL_ATOMICS
#include MI_MODEL_ATOMICS
#else
#include <stdatomic.h>

#define mi_atomic(T) _Atomic(T)

#define mi_load_relaxed(p)        atomic_load_explicit((p), memory_order_relaxed)
#define mi_load_acquire(p)        atomic_load_explicit((p), memory_order_acquire)
#define mi_store_relaxed(p, v)    atomic_store_explicit((p), (v), memory_order_relaxed)
#define mi_store_release(p, v)    atomic_store_explicit((p), (v), memory_order_release)
#define mi_exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define mi_and_acquire(p, v)      atomic_fetch_and_explicit((p), (v), memory_order_acquire)
#define mi_and_acq_rel(p, v)      atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)
#define mi_or_acq_rel(p, v)       atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define mi_add_relaxed(p, v)      atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define mi_sub_relaxed(p, v)      atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)

/* One writer, many readers: no other thread writes *p, so a plain instruction on memory will do;
   the compiler makes three of a relaxed load and store. mi_own_decrement: is it 0 now?
   mi_add_loaded: x + *p, loaded relaxed, of which the compiler makes two. */
#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__) && !defined(__SANITIZE_THREAD__)
static inline void mi_own_increment(mi_atomic(uint32_t) * p) {
  __asm__ volatile("addl $1, %0" : "+m"(*p) : : "cc");
}
static inline uintptr_t mi_add_loaded(uintptr_t x, const mi_atomic(uintptr_t) * p) {
  __asm__("addq %1, %0" : "+r"(x) : "m"(*p) : "cc");
  return x;
}
static inline bool mi_own_decrement(mi_atomic(uint32_t)* p) {
  bool zero;
  __asm__ volatile("subl $1, %0" : "+m"(*p), "=@ccz"(zero));
  return zero;
}
#else
static inline uintptr_t mi_add_loaded(uintptr_t x, const mi_atomic(uintptr_t) * p) {
  return x + mi_load_relaxed(p);
}
static inline void mi_own_increment(mi_atomic(uint32_t)* p) { mi_store_relaxed(p, mi_load_relaxed(p) + 1); }
static inline bool mi_own_decrement(mi_atomic(uint32_t)* p) {
  const uint32_t n = mi_load_relaxed(p) - 1;
  mi_store_relaxed(p, n);
  return n == 0;
}
#endif

/* Advice: *p, which may be in another's cache, is about to be written. */
static inline void mi_prefetch_write(const void* p) {
#if defined(__x86_64__)
  /* Nothing, where the processor is too old for it. */
  __asm__ volatile("prefetchw %0" : : "m"(*(const char*)p));
#else
  __builtin_prefetch(p, 1);
#endif
}

/* Compare-and-swap; on failure *expected is what was found. The strong one never fails by chance. */
#define mi_cas_acquire(p, expected, desired)                                                \
  atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_acquire, \
                                          memory_order_relaxed)
#define mi_cas_release(p, expected, desired)                                                \
  atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_release, \
                                          memory_order_relaxed)
#define mi_cas_acq_rel(p, expected, desired)                                                \
  atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_acq_rel, \
                                          memory_order_acquire)
#endif

#endif
