/* False sharing: each thread makes a small block, writes to it for long and frees it, again and again;
   an allocator that gives it a piece of a line that another thread writes to is slow. VARIANT 1: first
   it gets a block that one thread made for all, which lies beside the others', and frees that. COUNT:
   blocks of each thread. */
#include "bench.h"

enum { SIZE = 8, WRITES = 20000 };
static void* first[MOST_THREADS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_first(void) { for (size_t i = 0; i < nthreads; i++) first[i] = block_new(SIZE); }

static void work(size_t thread) {
  if (variant == 1) pthread_once(&once, make_first);
  block_free(first[thread]);
  for (size_t i = 0; i < count; i++) {
    volatile char* p = block_new(SIZE);
    for (int j = 0; j < WRITES; j++) p[j % SIZE]++;
    block_free((void*)p);
  }
}
