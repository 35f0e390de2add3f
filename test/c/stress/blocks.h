/* Blocks that carry a pattern, for the stress programs: their size and seed in front, both ends filled. */
#ifndef STRESS_BLOCKS_H
#define STRESS_BLOCKS_H

#include "test.h"

typedef struct { uint64_t seed; size_t size; } head_t;     /* in front of every block's pattern */

__attribute__((noreturn)) static inline void wrong(const void* p, const char* what) {
  printf("not ok stress: %s: block %p\n", what, p);
  abort();
}

static inline size_t shown(size_t size) { return mi_min(size - sizeof(head_t), 200); }

static inline void* written(void* p, size_t size, uint64_t seed) {
  head_t* h = p;
  if (p == NULL || (uintptr_t)p % 8 != 0 || mi_usable_size(p) < size) wrong(p, "no block, or too small");
  *h = (head_t){ seed, size };
  test_fill(h + 1, shown(size), seed);
  if (size > 1000) ((uint8_t*)p)[size - 1] = (uint8_t)seed;
  return p;
}

static inline void checked(const void* p) {
  const head_t* h = p;
  if (mi_usable_size(p) < h->size) wrong(p, "usable size below the size");
  if (!test_filled(h + 1, shown(h->size), h->seed)) wrong(p, "the pattern is gone");
  if (h->size > 1000 && ((const uint8_t*)p)[h->size - 1] != (uint8_t)h->seed)
    wrong(p, "its last byte is gone");
}

static inline void release(void* p) {
  if (p == NULL) return;
  checked(p);
  memset(p, 0x5a, sizeof(head_t));
  mi_free(p);
}

/* Mostly small, now and then a page's worth, seldom megabytes. */
static inline size_t random_size(uint64_t* r) {
  const uint64_t kind = test_random(r) % 1000;
  const size_t most = kind < 700   ? 256
                      : kind < 930 ? 2048
                      : kind < 985 ? 40000
                      : kind < 999 ? 300000
                                   : 6 * MI_MiB;
  return sizeof(head_t) + test_random(r) % most;
}

static inline void* zeroed(void* p, size_t n) {
  if (p != NULL && !test_all(p, n, 0)) wrong(p, "not zero");
  return p;
}

/* After realloc: what fits of the old contents is there. */
static inline void* moved(void* p, head_t old, size_t size, uint64_t seed) {
  if (p == NULL || !test_filled((head_t*)p + 1, mi_min(shown(old.size), shown(size)), old.seed))
    wrong(p, "realloc lost something");
  return written(p, size, seed);
}

/* Argument i of the program, or a variable of the environment, or something else. */
static inline long argument(int argc, char** argv, int i, const char* name, long otherwise) {
  const char* text = argc > i ? argv[i] : getenv(name);
  return text != NULL ? atol(text) : otherwise;
}

#endif
