/* Half the threads only allocate, half only free: every free is remote. COUNT: blocks in all. */
#include "queue.h"

enum { BATCH = 120 };
static queue_t queue = QUEUE_EMPTY;

static void work(size_t thread) {
  const size_t pairs = nthreads < 2 ? 1 : nthreads / 2;
  const size_t batches = count / pairs / BATCH;
  rng_t rng = { thread + 1 };
  if (thread >= 2 * pairs) return;
  for (size_t i = 0; i < batches; i++) {
    if (thread % 2 == 0) {
      void** batch = block_new(BATCH * sizeof(void*));
      for (int j = 0; j < BATCH; j++) batch[j] = block_new(between(&rng, 16, 300));
      put(&queue, batch);
    }
    else {
      void** batch = take(&queue);
      for (int j = 0; j < BATCH; j++) block_free(batch[j]);
      free(batch), tally.freed++;
    }
  }
}
