/* See bitmap.h. Any thread. */
#include "bitmap.h"

/* Bits i .. of its word, at most n: the mask, and how many bits it has. */
static uint64_t word_mask(size_t i, size_t n, size_t* len) {
  const size_t at = i % 64;
  *len = mi_min(n, 64 - at);
  return (*len == 64 ? ~(uint64_t)0 : (((uint64_t)1 << *len) - 1)) << at;
}

void mi_bitmap_set(mi_bits_t* map, size_t i, size_t n) {
  for (size_t len; n > 0; i += len, n -= len) {
    const uint64_t mask = word_mask(i, n, &len);
    mi_or_acq_rel(&map[i / 64], mask);  /* pairs with claim_word: shows the memory behind the bits */
  }
}

bool mi_bitmap_clear(mi_bits_t* map, size_t i, size_t n) {
  bool any = false;
  for (size_t len; n > 0; i += len, n -= len) {
    const uint64_t mask = word_mask(i, n, &len);
    /* A hint: what is set later is its setter's. */
    if ((mi_load_relaxed(&map[i / 64]) & mask) == 0) continue;
    any |= (mi_and_acq_rel(&map[i / 64], ~mask) & mask) != 0;             /* pairs with mi_bitmap_set */
  }
  return any;
}

/* All bits of the mask or none. */
static bool claim_word(mi_bits_t* word, uint64_t mask) {
  uint64_t w = mi_load_relaxed(word);                                     /* only the swap decides */
  while ((w & mask) == mask) {
    if (mi_cas_acquire(word, &w, w & ~mask)) return true;                 /* pairs with mi_bitmap_set */
  }
  return false;
}

bool mi_bitmap_claim_at(mi_bits_t* map, size_t i, size_t n) {
  size_t len;
  for (size_t done = 0; done < n; done += len) {
    const uint64_t mask = word_mask(i + done, n - done, &len);
    if (!claim_word(&map[(i + done) / 64], mask)) {
      mi_bitmap_set(map, i, done);
      return false;
    }
  }
  return true;
}

size_t mi_bitmap_next(const mi_bits_t* map, size_t nbits, size_t i) {
  while (i < nbits) {
    const uint64_t w = mi_load_relaxed(&map[i / 64]) >> (i % 64);         /* a snapshot: claims decide */
    if (w != 0) return mi_min(nbits, i + (size_t)__builtin_ctzll(w));
    i = mi_align_down(i, 64) + 64;
  }
  return nbits;
}

size_t mi_bitmap_run(const mi_bits_t* map, size_t nbits, size_t i, size_t max) {
  const size_t end = mi_min(nbits, max > nbits - i ? nbits : i + max);
  const size_t start = i;
  while (i < end) {
    const uint64_t zeros = ~mi_load_relaxed(&map[i / 64]) >> (i % 64);    /* a snapshot: claims decide */
    if (zeros != 0) return mi_min(end, i + (size_t)__builtin_ctzll(zeros)) - start;
    i = mi_align_down(i, 64) + 64;
  }
  return end - start;
}

size_t mi_bitmap_run_before(const mi_bits_t* map, size_t i, size_t max) {
  size_t run = 0;
  while (run < max && run < i) {
    const size_t at = i - run;  /* look at the bits below: from the top of their word on */
    /* A snapshot: claims decide. */
    const uint64_t zeros = ~mi_load_relaxed(&map[(at - 1) / 64]) << (63 - (at - 1) % 64);
    if (zeros != 0) return mi_min(max, run + (size_t)__builtin_clzll(zeros));
    run += (at - 1) % 64 + 1;
  }
  return mi_min(run, max);
}

/* The lowest bit of w from which on n bits are set, n at most 64: each turn keeps those that have twice as
   many set above. 64: none. */
static unsigned run_in_word(uint64_t w, size_t n) {
  for (size_t have = 1, more; have < n && w != 0; have += more) {
    more = mi_min(have, n - have);
    w &= w >> more;
  }
  return w == 0 ? 64 : (unsigned)__builtin_ctzll(w);
}

size_t mi_bitmap_find_run(const mi_bits_t* map, size_t nbits, size_t n, size_t i) {
  size_t run = 0;  /* set bits that end where this word begins */
  for (size_t at = mi_align_down(i, 64); at < nbits; at += 64) {
    uint64_t w = mi_load_relaxed(&map[at / 64]);                          /* a snapshot: claims decide */
    if (at < i) w &= ~(uint64_t)0 << (i - at);
    const size_t low = w == ~(uint64_t)0 ? 64 : (size_t)__builtin_ctzll(~w);
    if (run + low >= n) return at - run;
    if (low == 64) { run += 64; continue; }
    const unsigned in = n <= 64 ? run_in_word(w, n) : 64;
    if (in < 64) return at + in;
    run = (size_t)__builtin_clzll(~w);
  }
  return nbits;
}

bool mi_bitmap_claim_run(mi_bits_t* map, size_t nbits, size_t n, size_t align, size_t offset, size_t* i,
                         bool* missed) {
  size_t at = *i;
  for (;;) {
    at = mi_bitmap_find_run(map, nbits, n, at);
    at += (offset - at) & (align - 1);
    if (at >= nbits || n > nbits - at) return false;
    const size_t run = mi_bitmap_run(map, nbits, at, n);
    if (run < n) { at += run + 1; continue; }
    if (mi_bitmap_claim_at(map, at, n)) break;
    *missed = true;
    at++;  /* somebody was quicker: look on behind */
  }
  *i = at;
  return true;
}

size_t mi_bitmap_count(const mi_bits_t* map, size_t nbits) {
  size_t total = 0;  /* bits at and above nbits are never set */
  for (size_t w = 0; w < mi_bitmap_words(nbits); w++) {
    const uint64_t word = mi_load_relaxed(&map[w]);                       /* a snapshot */
    if (word != 0) total += mi_popcount(word);
  }
  return total;
}
