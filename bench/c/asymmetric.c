/* Asymmetric sharing: one thread allocates for all the others. Each of those frees most of what it gets,
   keeps some for long, and makes and frees many blocks of its own in between, so that its frees are now
   local, now remote. COUNT: batches for each of the other threads. */
#include "queue.h"

enum { BATCH = 100, OWN = 400, KEPT = 3000 };
static queue_t queue[MOST_THREADS] = { [0 ... MOST_THREADS - 1] = QUEUE_EMPTY };

static void give(size_t others) {
  rng_t rng = { 1 };
  for (size_t i = 0; i < count * others; i++) {
    void** batch = block_new(BATCH * sizeof(void*));
    for (int j = 0; j < BATCH; j++) batch[j] = block_new(between(&rng, 16, j % 10 == 0 ? 2000 : 200));
    put(&queue[1 + i % others], batch);
  }
}

static void use(size_t thread) {
  static _Thread_local void *kept[KEPT], *own[OWN];
  rng_t rng = { thread + 1 };
  for (size_t i = 0; i < count; i++) {
    void** batch = take(&queue[thread]);
    for (int j = 0; j < BATCH; j++) {
      void** k = &kept[next_random(&rng) % KEPT];
      if (j % 4 == 0) block_free(*k), *k = batch[j];
      else block_free(batch[j]);
    }
    free(batch), tally.freed++;
    for (int j = 0; j < OWN; j++) {
      void** o = &own[next_random(&rng) % OWN];
      block_free(*o);
      *o = block_new(between(&rng, 16, 200));
    }
  }
  for (int j = 0; j < KEPT; j++) block_free(kept[j]);
  for (int j = 0; j < OWN; j++) block_free(own[j]);
}

static void work(size_t thread) {
  if (thread == 0) give(nthreads - 1);
  else use(thread);
}
