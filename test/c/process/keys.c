/* A program that makes so many thread keys before ours that the C library allocates for ours, in the first
   allocation of each thread: that allocation is served by us. (glibc has room for 32 keys in each thread.)
   The ends of threads are noticed all the same. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimalloc-stats.h"

enum { KEYS = 40, THREADS = 100, TURNS = 100 };
static pthread_key_t theirs[KEYS];

/* Before the library's (thread.c), which is 102. */
__attribute__((constructor(101))) static void before_ours(void) {
  for (int i = 0; i < KEYS; i++) if (pthread_key_create(&theirs[i], NULL) != 0) abort();
}

static void* allocates(void* arg) {
  char* p = malloc(100);
  if (p == NULL || !mi_is_in_heap_region(p)) abort();
  memset(p, 1, 100);
  for (int i = 0; i < KEYS; i++) if (pthread_setspecific(theirs[i], p) != 0) abort();
  free(p);
  return arg;
}

static int64_t owners(void) {
  mi_stats_t s;
  mi_stats_get(sizeof s, &s);
  return s.threads.current;
}

int main(void) {
  pthread_t t[THREADS];
  allocates(NULL);
  for (int turn = 0; turn < TURNS; turn++) {
    for (int i = 0; i < THREADS; i++) if (pthread_create(&t[i], NULL, &allocates, NULL) != 0) return 2;
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  }
  pthread_key_t last;
  if (pthread_key_create(&last, NULL) != 0) return 2;
  printf("keys before ours: %u to %u; the next %u; threads with heaps: %ld\n", theirs[0], theirs[KEYS - 1],
         last, (long)owners());
  return theirs[KEYS - 1] >= 32 && last > theirs[KEYS - 1] + 1 && owners() == 1 ? 0 : 1;
}
