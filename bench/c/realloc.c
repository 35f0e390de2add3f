/* Buffers that grow by a half, or by a little at a time, as strings and vectors do. COUNT:
   rounds of each thread. */
#include "bench.h"

static char* grown(char* p, size_t size) {
  p = realloc(p, size);
  if (p == NULL) { fprintf(stderr, "no memory for %zu bytes\n", size); exit(1); }
  p[size - 1] = 1, p[0] = 5;
  tally.made++;
  return p;
}

/* From one size to another; by a fixed step, or by a part of what it is. */
static void buffer(size_t from, size_t to, size_t step, size_t part) {
  char* p = NULL;
  for (size_t size = from; size < to; size += step + (part == 0 ? 0 : size / part)) p = grown(p, size);
  block_free(p);
}

static void work(size_t thread) {
  rng_t rng = { thread + 1 };
  for (size_t i = 0; i < count; i++) {
    for (int j = 0; j < 300; j++) {
      buffer(10, 20000, 0, 2);
      char* p = NULL;
      for (size_t size = between(&rng, 1, 20); size < 3000; size += between(&rng, 1, 20)) p = grown(p, size);
      block_free(p);
    }
    buffer(5000, (size_t)16 << 20, 0, 4);
    buffer(100000, (size_t)1 << 20, 16384, 0);
  }
}
