/* A queue of batches of blocks, for the programs that hand blocks from thread to thread. */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

#include "bench.h"

enum { QUEUE = 100 };
typedef struct { pthread_mutex_t lock; pthread_cond_t change; void** batch[QUEUE]; size_t first, n; } queue_t;
#define QUEUE_EMPTY { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER }

static void put(queue_t* q, void** batch) {
  pthread_mutex_lock(&q->lock);
  while (q->n == QUEUE) pthread_cond_wait(&q->change, &q->lock);
  q->batch[(q->first + q->n++) % QUEUE] = batch;
  pthread_cond_broadcast(&q->change);
  pthread_mutex_unlock(&q->lock);
}

static void** take(queue_t* q) {
  pthread_mutex_lock(&q->lock);
  while (q->n == 0) pthread_cond_wait(&q->change, &q->lock);
  void** batch = q->batch[q->first];
  q->first = (q->first + 1) % QUEUE, q->n--;
  pthread_cond_broadcast(&q->change);
  pthread_mutex_unlock(&q->lock);
  return batch;
}

#endif
