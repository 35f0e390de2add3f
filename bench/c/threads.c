/* Many short-lived threads: each makes some blocks of many sizes, frees most, and ends; what it leaves, the
   thread that started it frees. COUNT: threads that each thread starts, a few at once. */
#include "bench.h"

enum { BLOCKS = 300, LEFT = 20, ATONCE = 4 };
typedef struct { pthread_t id; rng_t rng; void* left[LEFT]; } child_t;

static void* child(void* arg) {
  child_t* c = arg;
  void* block[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) block[i] = block_new(between(&c->rng, 8, i % 20 == 0 ? 20000 : 400));
  for (int i = LEFT; i < BLOCKS; i++) block_free(block[i]);
  memcpy(c->left, block, sizeof c->left);
  count_thread();
  return NULL;
}

static void work(size_t thread) {
  child_t c[ATONCE];
  for (size_t i = 0; i < count; i += ATONCE) {
    for (int j = 0; j < ATONCE; j++) {
      c[j].rng.state = (thread + 1) * 1000003 + i + (size_t)j;
      pthread_create(&c[j].id, NULL, child, &c[j]);
    }
    for (int j = 0; j < ATONCE; j++) {
      pthread_join(c[j].id, NULL);
      for (int k = 0; k < LEFT; k++) block_free(c[j].left[k]);
    }
  }
}
