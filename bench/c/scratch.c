/* Cache-scratch: each thread gets a small block that one thread made, frees it, and then writes to small blocks of its own
   for long; an allocator that gives it a piece of a line that another thread writes to is slow. COUNT: blocks of each thread. */
#include "bench.h"

enum { SIZE = 8, WRITES = 20000 };
static void* first[MOST_THREADS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_first(void) { for (size_t i = 0; i < nthreads; i++) first[i] = block_new(SIZE); }

static void work(size_t thread) {
  pthread_once(&once, make_first);
  free(first[thread]);
  for (size_t i = 0; i < count; i++) {
    volatile char* p = block_new(SIZE);
    for (int j = 0; j < WRITES; j++) p[j % SIZE]++;
    free((void*)p);
  }
}
