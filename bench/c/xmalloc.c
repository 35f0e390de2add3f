/* Half the threads only allocate, half only free: every free is remote. COUNT: blocks in all. */
#include "bench.h"

enum { BATCH = 120, QUEUE = 100 };
static struct { pthread_mutex_t lock; pthread_cond_t change; void** batch[QUEUE]; size_t first, n; } q =
  { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

static void put(void** batch) {
  pthread_mutex_lock(&q.lock);
  while (q.n == QUEUE) pthread_cond_wait(&q.change, &q.lock);
  q.batch[(q.first + q.n++) % QUEUE] = batch;
  pthread_cond_broadcast(&q.change);
  pthread_mutex_unlock(&q.lock);
}

static void** take(void) {
  pthread_mutex_lock(&q.lock);
  while (q.n == 0) pthread_cond_wait(&q.change, &q.lock);
  void** batch = q.batch[q.first];
  q.first = (q.first + 1) % QUEUE, q.n--;
  pthread_cond_broadcast(&q.change);
  pthread_mutex_unlock(&q.lock);
  return batch;
}

static void work(size_t thread) {
  const size_t pairs = nthreads < 2 ? 1 : nthreads / 2;
  const size_t batches = count / pairs / BATCH;
  rng_t rng = { thread + 1 };
  if (thread >= 2 * pairs) return;
  for (size_t i = 0; i < batches; i++) {
    if (thread % 2 == 0) {
      void** batch = block_new(BATCH * sizeof(void*));
      for (int j = 0; j < BATCH; j++) batch[j] = block_new(between(&rng, 16, 300));
      put(batch);
    }
    else {
      void** batch = take();
      for (int j = 0; j < BATCH; j++) free(batch[j]);
      free(batch);
    }
  }
}
