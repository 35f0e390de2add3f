/* Bursts of blocks of one size, after the well-known "heap benches". COUNT: bursts of each thread.
   VARIANT 0: all are freed in the order they were made in, or backwards.
   VARIANT 1: they are freed shuffled, and a third only in the next burst, in between blocks
   of another size. */
#include "bench.h"

enum { BURST = 10000, KEPT = BURST / 3 };
static const size_t sizes[] = { 16, 32, 48, 64, 96, 128, 256, 512, 1024, 2048, 4096 };

static void shuffle(rng_t* rng, void** b) {
  for (size_t j = 0; j < BURST; j++) {
    const size_t k = next_random(rng) % BURST;
    void* p = b[j];
    b[j] = b[k], b[k] = p;
  }
}

static void work(size_t thread) {
  rng_t rng = { thread + 1 };
  void** b = calloc(BURST, sizeof *b);
  for (size_t i = 0; i < count; i++) {
    const size_t size = sizes[i % (sizeof sizes / sizeof *sizes)];
    for (size_t j = 0; j < BURST; j++) if (b[j] == NULL) b[j] = block_new(size);
    if (variant == 1) shuffle(&rng, b);
    for (size_t j = variant == 1 ? KEPT : 0; j < BURST; j++) {
      const size_t k = variant == 0 && i % 2 == 1 ? BURST - 1 - j : j;
      block_free(b[k]);
      b[k] = NULL;
    }
  }
  for (size_t j = 0; j < BURST; j++) block_free(b[j]);
  free(b);
}
