/* What the programs here share: NAME THREADS COUNT runs `work` in THREADS threads and ends. They print nothing and measure
   nothing: bench/preload does. Every block is written to at both ends. */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_THREADS 64

typedef struct { uint64_t state; } rng_t;

static inline uint32_t next_random(rng_t* r) {                 /* xorshift64* */
  r->state ^= r->state >> 12, r->state ^= r->state << 25, r->state ^= r->state >> 27;
  return (uint32_t)((r->state * 2685821657736338717u) >> 32);
}
static inline size_t between(rng_t* r, size_t low, size_t high) { return low + next_random(r) % (high - low + 1); }

static inline void* block_new(size_t size) {
  char* p = malloc(size);
  if (p == NULL) { fprintf(stderr, "no memory for %zu bytes\n", size); exit(1); }
  p[0] = 1, p[size - 1] = 2;
  return p;
}

static size_t nthreads, count;
static void work(size_t thread);

static void* begin(void* thread) { work((size_t)(uintptr_t)thread); return NULL; }

static inline void in_threads(void* (*function)(void*), size_t n) {
  pthread_t t[MOST_THREADS];
  for (size_t i = 0; i < n; i++) pthread_create(&t[i], NULL, function, (void*)(uintptr_t)i);
  for (size_t i = 0; i < n; i++) pthread_join(t[i], NULL);
}

int main(int argc, char** argv) {
  nthreads = argc > 1 ? strtoul(argv[1], NULL, 10) : 2;
  count = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
  if (nthreads == 0 || nthreads > MOST_THREADS) return 2;
  in_threads(begin, nthreads);
  return 0;
}

#endif
