/* Tiny short-lived objects in a deep recursion, as a program with numbers of any length makes them: each
   level makes a number, adds to it what the level below returned, frees both and returns the sum, a new one.
   COUNT: descents of each thread. */
#include "bench.h"

enum { DEPTH = 400, MOST_LIMBS = 5 };
typedef struct { uint32_t n, limb[]; } number_t;

static number_t* number_new(uint32_t n) {
  number_t* a = block_new(sizeof *a + n * sizeof a->limb[0]);
  a->n = n;
  return a;
}

static number_t* sum(const number_t* a, const number_t* b) {
  if (a->n < b->n) return sum(b, a);
  number_t* s = number_new(a->n);
  uint64_t carry = 0;
  for (uint32_t i = 0; i < a->n; i++) {
    carry += (uint64_t)a->limb[i] + (i < b->n ? b->limb[i] : 0);
    s->limb[i] = (uint32_t)carry;
    carry >>= 32;
  }
  return s;
}

static __attribute__((noinline)) number_t* descend(rng_t* rng, int depth) {
  number_t* a = number_new(1 + next_random(rng) % MOST_LIMBS);
  for (uint32_t i = 0; i < a->n; i++) a->limb[i] = (uint32_t)depth * 2654435761u + i;
  if (depth == 0) return a;
  number_t* below = descend(rng, depth - 1);
  number_t* s = sum(a, below);
  block_free(a), block_free(below);
  return s;
}

static void work(size_t thread) {
  rng_t rng = { thread + 1 };
  for (size_t i = 0; i < count; i++) {
    number_t* a = descend(&rng, DEPTH);
    tally.sum += a->limb[0];
    block_free(a);
  }
}
