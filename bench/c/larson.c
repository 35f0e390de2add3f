/* A server after Larson and Krishnan: each thread replaces random blocks of its set, then hands the
   set to a successor and ends. So most frees are of a block that an ended thread made. COUNT:
   generations of each thread. */
#include "bench.h"

enum { SET = 5000, REPLACED = 20000 };
typedef struct { rng_t rng; void* block[SET]; } set_t;

static void* generation(void* arg) {
  set_t* s = arg;
  for (int i = 0; i < REPLACED; i++) {
    void** b = &s->block[next_random(&s->rng) % SET];
    block_free(*b);
    *b = block_new(between(&s->rng, 8, 500));
  }
  count_thread();
  return NULL;
}

static void work(size_t thread) {
  set_t* s = calloc(1, sizeof *s);
  s->rng.state = thread + 1;
  for (size_t i = 0; i < count; i++) {
    pthread_t t;
    pthread_create(&t, NULL, generation, s);
    pthread_join(t, NULL);
  }
  for (int i = 0; i < SET; i++) block_free(s->block[i]);
  free(s);
}
