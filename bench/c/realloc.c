/* Buffers that grow by a half, or by a little at a time, as strings and vectors do. COUNT: rounds of each thread. */
#include "bench.h"

static char* grown(char* p, size_t size) {
  p = realloc(p, size);
  if (p == NULL) { fprintf(stderr, "no memory for %zu bytes\n", size); exit(1); }
  p[size - 1] = 1;
  return p;
}

static void work(size_t thread) {
  rng_t rng = { thread + 1 };
  for (size_t i = 0; i < count; i++) {
    for (int j = 0; j < 300; j++) {
      char* p = NULL;
      for (size_t size = 10; size < (size_t)20000; size += size / 2) p = grown(p, size);
      free(p);
      p = NULL;
      for (size_t size = between(&rng, 1, 20); size < 3000; size += between(&rng, 1, 20)) p = grown(p, size);
      free(p);
    }
    char* p = NULL;
    for (size_t size = 5000; size < (size_t)30 << 20; size += size / 8) p = grown(p, size);
    free(p);
    p = NULL;
    for (size_t size = 100000; size < (size_t)4 << 20; size += 16384) p = grown(p, size);
    free(p);
  }
}
