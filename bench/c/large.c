/* Blocks of 5 to 25 MiB, a few alive at a time, of which a part is written. COUNT: blocks of each thread. */
#include "bench.h"

enum { SET = 8 };

static void work(size_t thread) {
  void* set[SET] = { NULL };
  rng_t rng = { thread + 1 };
  for (size_t i = 0; i < count; i++) {
    void** b = &set[next_random(&rng) % SET];
    block_free(*b);
    const size_t size = between(&rng, 5 << 20, 25 << 20);
    char* p = *b = block_new(size);
    for (size_t at = size / 100; at < size; at += size / 100) p[at] = 3;
  }
  for (int i = 0; i < SET; i++) block_free(set[i]);
}
