/* No thread is made within a free: the C library calls free with a lock held that pthread_create takes (the
   stacks of ended threads). A malloc may make it. The thread is asked for by the environment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __thread int in_free;
static int within, made;

int pthread_create(pthread_t* t, const pthread_attr_t* a, void* (*run)(void*), void* arg) {
  int (*next)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) =
      dlsym(RTLD_NEXT, "pthread_create");
  if (in_free) within++; else made++;
  return next(t, a, run, arg);
}

enum { N = 3000, SIZE = 4000 };
static char* p[N];

/* Frees everything, slowly enough for the clock. */
static void drop(void) {
  in_free = 1;
  for (int i = 0; i < N; i++) { free(p[i]); if (i % 100 == 0) usleep(1000); }
  in_free = 0;
}

int main(void) {
  for (int round = 0; round < 2000 && made == 0; round++) {
    for (int i = 0; i < N; i++) memset(p[i] = malloc(SIZE), 1, SIZE);
    drop();
    for (int i = 0; i < 100; i++) { void* volatile q = malloc((size_t)(70000 + 70000 * i)); free(q); }
  }
  printf("%d made by malloc, %d by free\n", made, within);
  return within != 0 || made == 0;
}
