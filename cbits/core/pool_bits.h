/* Abandon and adopt: the pool's index (docs/protocols.md, section 4: P2, A1).
   Includes only the atomics and the ownership word, so that test/c/model runs it verbatim.
   Any thread.

   A pool is a bitmap with a bit for each slice. A bit is a hint that a POOLED page starts there:
   the ownership word alone decides who gets the page. So a bit too many costs a look; a page that
   is pooled and has no bit is found by the remote free that empties it. */
#ifndef MI_POOL_BITS_H
#define MI_POOL_BITS_H

#include "remote.h"

typedef mi_atomic(uint64_t) mi_xbits_t;

/* P2. The page at slice i is pooled. True if the bit was not set before. */
static inline bool mi_pool_bit_set(mi_xbits_t* bits, size_t i) {
  const uint64_t bit = (uint64_t)1 << (i % 64);
  return (mi_or_acq_rel(&bits[i / 64], bit) & bit) == 0;                 /* P2 pairs with A1: shows the page's words */
}

/* Before the page at slice i is freed or when it was adopted another way: its bit need not stay.
   True if it was set. */
static inline bool mi_pool_bit_clear(mi_xbits_t* bits, size_t i) {
  const uint64_t bit = (uint64_t)1 << (i % 64);
  return (mi_and_acq_rel(&bits[i / 64], ~bit) & bit) != 0;               /* pairs with P2, A1 */
}

/* A1. Takes the first bit at or after slice *i, below n; false if there is none. */
static inline bool mi_pool_bit_take(mi_xbits_t* bits, size_t n, size_t* i) {
  for (size_t word = *i / 64; word < (n + 63) / 64; word++) {
    uint64_t w = mi_load_relaxed(&bits[word]);                           /* a hint: the swap below decides */
    if (word == *i / 64) w &= ~(uint64_t)0 << (*i % 64);
    while (w != 0) {
      const uint64_t bit = w & (0 - w);
      if (mi_and_acq_rel(&bits[word], ~bit) & bit) {                     /* A1 pairs with P2 */
        *i = word * 64 + (size_t)__builtin_ctzll(bit);
        return true;
      }
      w &= ~bit;
    }
  }
  return false;
}

#endif
