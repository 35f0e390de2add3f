/* A library that registers handlers of fork when it is loaded, and allocates in them; and that has a lock of its own, which they take and
   under which its thread allocates. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void* kept[16];

static void use(void) {
  for (int i = 0; i < 16; i++) {
    free(kept[i]);
    if ((kept[i] = malloc((size_t)1 << (2 * i % 20))) == NULL) abort();
  }
}

static void prepare(void) { use(); pthread_mutex_lock(&lock); use(); }
static void after(void) { use(); pthread_mutex_unlock(&lock); }
__attribute__((constructor)) static void loaded(void) { pthread_atfork(&prepare, &after, &after); }

void library_work(void);
void library_work(void) {
  pthread_mutex_lock(&lock);
  use();
  pthread_mutex_unlock(&lock);
}
