/* Bursts of one size: many blocks allocated, then all freed, in order, backwards or shuffled. COUNT: bursts of each thread. */
#include "bench.h"

enum { BURST = 10000 };
static const size_t sizes[] = { 16, 32, 48, 64, 96, 128, 256, 512, 1024, 2048, 4096 };

static void work(size_t thread) {
  rng_t rng = { thread + 1 };
  void** b = malloc(BURST * sizeof *b);
  for (size_t i = 0; i < count; i++) {
    const size_t size = sizes[i % (sizeof sizes / sizeof *sizes)];
    for (int j = 0; j < BURST; j++) b[j] = block_new(size);
    for (int j = 0; i % 3 == 2 && j < BURST; j++) {
      const size_t k = next_random(&rng) % BURST;
      void* p = b[j];
      b[j] = b[k], b[k] = p;
    }
    for (int j = 0; j < BURST; j++) free(b[i % 3 == 1 ? BURST - 1 - j : j]);
  }
  free(b);
}
