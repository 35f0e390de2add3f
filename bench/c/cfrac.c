/* Tiny short-lived objects, as a program with numbers of any length makes them. COUNT: objects of each thread. */
#include "bench.h"

enum { LIVE = 64 };

static void work(size_t thread) {
  void* live[LIVE] = { NULL };
  rng_t rng = { thread + 1 };
  for (size_t i = 0; i < count; i++) {
    const uint32_t r = next_random(&rng);
    void** b = &live[r % LIVE];
    free(*b);
    *b = block_new(8 + (r >> 8) % 5 * 8);
  }
  for (int i = 0; i < LIVE; i++) free(live[i]);
}
