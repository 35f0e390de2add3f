/* What the programs here share: NAME THREADS COUNT [VARIANT] runs `work` in THREADS threads and ends. They
   measure nothing: bench/preload does. The work is the same every time, and the line they print proves that
   it was done: how many blocks were made, how many freed, and a sum over what stood in those that were
   freed; it is the same under every allocator. Every block is written to at both ends; `block_free` reads
   the first byte again. */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdatomic.h>
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
static inline size_t between(rng_t* r, size_t low, size_t high) {
  return low + next_random(r) % (high - low + 1);
}

static size_t nthreads, count, variant;
static void work(size_t thread);

typedef struct { size_t made, freed, sum; } tally_t;
static _Thread_local tally_t tally;
static _Atomic size_t all_made, all_freed, all_sum;

/* The end of every thread that makes or frees blocks. */
static inline void count_thread(void) {
  atomic_fetch_add(&all_made, tally.made), atomic_fetch_add(&all_freed, tally.freed),
      atomic_fetch_add(&all_sum, tally.sum);
  tally = (tally_t){ 0, 0, 0 };
}

static inline void* block_new(size_t size) {
  char* p = malloc(size);
  if (p == NULL) { fprintf(stderr, "no memory for %zu bytes\n", size); exit(1); }
  p[size - 1] = 2, p[0] = (char)(1 + (size & 63));
  tally.made++;
  return p;
}

static inline void block_free(void* block) {
  if (block == NULL) return;
  tally.sum += *(unsigned char*)block;
  tally.freed++;
  free(block);
}

static void* begin(void* thread) { work((size_t)(uintptr_t)thread); count_thread(); return NULL; }

static inline void in_threads(void* (*function)(void*), size_t n) {
  pthread_t t[MOST_THREADS];
  for (size_t i = 0; i < n; i++) pthread_create(&t[i], NULL, function, (void*)(uintptr_t)i);
  for (size_t i = 0; i < n; i++) pthread_join(t[i], NULL);
}

int main(int argc, char** argv) {
  nthreads = argc > 1 ? strtoul(argv[1], NULL, 10) : 2;
  count = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
  variant = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
  if (nthreads == 0 || nthreads > MOST_THREADS) return 2;
  in_threads(begin, nthreads);
  printf("made %zu freed %zu sum %zu\n", all_made, all_freed, all_sum);
  return 0;
}

#endif
