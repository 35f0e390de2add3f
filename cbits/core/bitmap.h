/* Atomic bitmaps. What a set bit means: mi_arena_s in arena.h.
   Any thread. Indices and lengths in bits; the caller keeps them in range. */
#ifndef MI_BITMAP_H
#define MI_BITMAP_H

#include "atomic.h"
#include "base.h"

typedef mi_atomic(uint64_t) mi_bits_t;

mi_inline size_t mi_bitmap_words(size_t nbits) { return (nbits + 63) / 64; }

void mi_bitmap_set(mi_bits_t* map, size_t i, size_t n);
/* Clears n bits from i; true if one of them was set. */
bool mi_bitmap_clear(mi_bits_t* map, size_t i, size_t n);
/* Clears n bits from i if all of them are set. Else nothing is changed, but bits in all words except the last
   may have been clear for a moment. */
bool mi_bitmap_claim_at(mi_bits_t* map, size_t i, size_t n);
/* The first run of n set bits at or after *i whose index is `offset` modulo `align`, a power of two: claimed,
   *i is its start. `missed` becomes true if that failed on the way, as above. */
bool mi_bitmap_claim_run(mi_bits_t* map, size_t nbits, size_t n, size_t align, size_t offset, size_t* i,
                         bool* missed);
/* The first set bit at or after i; nbits if there is none. */
size_t mi_bitmap_next(const mi_bits_t* map, size_t nbits, size_t i);
/* How many bits from i on are set, at most max. */
size_t mi_bitmap_run(const mi_bits_t* map, size_t nbits, size_t i, size_t max);
/* How many bits in front of i are set, at most max. */
size_t mi_bitmap_run_before(const mi_bits_t* map, size_t i, size_t max);
/* Where the first run of n set bits at or after i begins; nbits if there is none. A word at a time. */
size_t mi_bitmap_find_run(const mi_bits_t* map, size_t nbits, size_t n, size_t i);
size_t mi_bitmap_count(const mi_bits_t* map, size_t nbits);

#endif
