/* Random sizes of 8 to 16000 bytes, small ones more often, in a set of each thread; one block in 50 is freed
   by another thread. COUNT: blocks of each thread. */
#include "bench.h"

enum { SET = 2000, SHARED = 256 };
static _Atomic(void*) shared[SHARED];
static _Atomic size_t ended;

static void work(size_t thread) {
  static _Thread_local void* set[SET];
  rng_t rng = { thread + 1 };
  for (size_t i = 0; i < count; i++) {
    void** b = &set[next_random(&rng) % SET];
    void* gone = *b;
    if (i % 50 == 0) gone = atomic_exchange(&shared[next_random(&rng) % SHARED], gone);
    block_free(gone);
    *b = block_new(between(&rng, 8, (size_t)64 << next_random(&rng) % 8) % 16000 + 8);
  }
  for (int i = 0; i < SET; i++) block_free(set[i]);
  if (atomic_fetch_add(&ended, 1) == nthreads - 1) for (int i = 0; i < SHARED; i++) block_free(shared[i]);
}
