/* Ground: the compiler, constants, configuration. Which compiler this is atomic.h and thread.h ask, too, for
   a few lines of assembly each. Any thread. It calls nothing. */
#ifndef MI_BASE_H
#define MI_BASE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define mi_likely(x)    __builtin_expect(!!(x), 1)
#define mi_unlikely(x)  __builtin_expect(!!(x), 0)
#define mi_noinline     __attribute__((noinline))
#define mi_inline       static inline __attribute__((always_inline))
#define mi_cold         __attribute__((cold, noinline))
#define mi_cachealign   __attribute__((aligned(64)))
#define mi_tls          __thread __attribute__((tls_model("initial-exec")))
/* x in the register in which a function returns: the compiler would move it there in the end. */
#if defined(__x86_64__) && !defined(__clang__)
#define mi_returned(x) ({ __typeof__(x) in_rax = (x); __asm__("" : "+a"(in_rax)); in_rax; })
#else
#define mi_returned(x) (x)
#endif
#define mi_printf_like(f, a) __attribute__((format(printf, f, a)))
#else
#error "needs GCC or Clang: attributes, __thread and the bit-scan builtins are used throughout"
#endif

/* MI_CHECK is the one checking knob: 0 off, 1 assertions, 2 assertions, entry counts and the whole-heap
   walker. */
#ifndef MI_CHECK
#define MI_CHECK 0
#endif

/* MI_HARD makes every rare path common: tiny arenas, purge at once, no retired pages, small extensions. */
#ifndef MI_HARD
#define MI_HARD 0
#endif

/* Whether a thread finds what it has for itself by a thread key (local.h). */
#ifndef MI_LOCAL_BY_KEY
#define MI_LOCAL_BY_KEY 0
#endif

#define MI_KiB ((size_t)1024)
#define MI_MiB (1024 * MI_KiB)
#define MI_GiB (1024 * MI_MiB)

#define MI_GRANULE_SHIFT 4  /* every block is a multiple of 16 bytes, 16-aligned */
#define MI_GRANULE       ((size_t)1 << MI_GRANULE_SHIFT)
#define MI_SLICE_SHIFT   16
#define MI_SLICE_SIZE    ((size_t)1 << MI_SLICE_SHIFT)      /* what an arena hands out */
#define MI_MEDIUM_SLICES 8
#define MI_HOLE_SIZE     (4 * MI_KiB)  /* what is purged inside pages, at least an OS page */
#define MI_DIRECT_MAX    ((size_t)1024)                     /* largest size with a place in `direct` */
#define MI_SMALL_MAX     (8 * MI_KiB)                       /* largest block of a small page */
#define MI_MEDIUM_MAX    (64 * MI_KiB)                      /* largest block of a medium page */
#define MI_EXTEND_BYTES  (MI_HARD ? (size_t)64 : 4 * MI_KiB) /* what a page grows its lists by */
/* The most that is reserved at a time; less when it cannot be had. */
#define MI_ARENA_SIZE    (MI_HARD ? 4 * MI_MiB : MI_GiB)
#define MI_ARENA_MIN     (MI_MiB)
/* The first one; the next are as large as all before together, up to the largest (mi_arena_most); then an
   eighth of all, if that is more. */
#define MI_ARENA_FIRST   (MI_HARD ? MI_MiB : 2 * MI_MiB)
/* The most, but for an eighth of all and what a block needs, where new memory is locked. */
#define MI_ARENA_LOCKED  (MI_MiB / 2)
#define MI_ARENAS_MAX    4096
#define MI_CAPS_MAX      256u                               /* capabilities with heaps of their own */
#define MI_OWNER_FIRST   16u  /* tables by owner: chunk k has 16 << k places, 4 million in all */
#define MI_OWNER_CHUNKS  18u
#define MI_PURGE_PIECE   (4 * MI_MiB)                       /* the most that goes back in one piece */
#define MI_SIZE_LIMIT    ((size_t)PTRDIFF_MAX)
#define MI_ADDRESSES     ((size_t)1 << 47)                  /* what a process has: more is not asked for */

_Static_assert(
    sizeof(void*) == 8 && sizeof(size_t) == 8,
    "64-bit only: the page map covers 48 address bits and the ownership word packs offsets and counts in 64");
_Static_assert(CHAR_BIT == 8, "bytes have eight bits");

/* Locks are taken in this order (docs/protocols.md, section 7); checked when MI_CHECK is on. */
typedef enum {
  MI_RANK_PURGER = 1,
  MI_RANK_HEAPS,
  MI_RANK_HEAP,
  MI_RANK_OWNERS,
  MI_RANK_ARENAS,
  MI_RANK_MAPPINGS,
  MI_RANK_SAMPLES,
  MI_RANK_LABELS,
  MI_RANK_META,
  MI_RANK_STRINGS
} mi_rank_t;

mi_inline size_t mi_min(size_t a, size_t b) { return a < b ? a : b; }
mi_inline size_t mi_max(size_t a, size_t b) { return a > b ? a : b; }
mi_inline bool mi_is_pow2(size_t x) { return x != 0 && (x & (x - 1)) == 0; }
/* Align: a power of two. */
mi_inline size_t mi_align_up(size_t x, size_t align) { return (x + align - 1) & ~(align - 1); }
mi_inline size_t mi_align_down(size_t x, size_t align) { return x & ~(align - 1); }
mi_inline size_t mi_divide_up(size_t x, size_t d) { return (x + d - 1) / d; }
mi_inline unsigned mi_log2(size_t x) { return 63u - (unsigned)__builtin_clzll(x); }                /* x > 0 */
/* Bits that are set: the compiler's own is a function of its library where the processor may have no such
   instruction. */
mi_inline unsigned mi_popcount(uint64_t x) {
  x -= (x >> 1) & 0x5555555555555555;
  x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
  return (unsigned)((((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101) >> 56);
}
/* The chunk that has an owner's place, and which of its places it is. */
mi_inline unsigned mi_owner_chunk(uint32_t slot) { return mi_log2((size_t)slot + MI_OWNER_FIRST) - 4; }
mi_inline size_t mi_owner_chunk_size(unsigned chunk) { return (size_t)MI_OWNER_FIRST << chunk; }
mi_inline size_t mi_owner_place(uint32_t slot) {
  return (size_t)slot + MI_OWNER_FIRST - mi_owner_chunk_size(mi_owner_chunk(slot));
}
_Static_assert(MI_OWNER_FIRST == 16, "mi_owner_chunk subtracts its logarithm");
/* n * size; false on overflow. */
mi_inline bool mi_mul(size_t n, size_t size, size_t* total) {
  return !__builtin_mul_overflow(n, size, total);
}

#endif
