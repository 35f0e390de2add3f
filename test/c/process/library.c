/* A library that registers handlers of fork when it is loaded, and allocates in them; and that has a lock of
   its own, which they take and under which its thread allocates. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void* kept[16];                   /* the lock's */
static __thread void* own[16];

static void use(void** blocks) {
  for (int i = 0; i < 16; i++) {
    free(blocks[i]);
    if ((blocks[i] = malloc((size_t)1 << (2 * i % 20))) == NULL) abort();
  }
}

static void prepare(void) { use(own); pthread_mutex_lock(&lock); use(kept); }
static void after(void) { use(kept); pthread_mutex_unlock(&lock); use(own); }
__attribute__((constructor)) static void loaded(void) { pthread_atfork(&prepare, &after, &after); }

void library_work(void);
void library_work(void) {
  pthread_mutex_lock(&lock);
  use(kept);
  pthread_mutex_unlock(&lock);
}
