/* little block | stacks: a program with few addresses, a limit that was there before it began. `block`: there
   is one block of nearly all, whatever larger ones were asked for in vain or freed before. `stacks`: threads
   with stacks of 8 MiB begin, and each allocates. The second argument: how many MiB, how many threads at
   least. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

static void* made(size_t size) {
  void* volatile p = malloc(size);
  return p;
}

static size_t block(void) {
  void* small = made(1000);
  if (small == NULL) return 0;
  for (size_t mib = 8; mib <= 160; mib *= 2) free(made(mib * MIB));
  for (size_t mib = 400; mib > 0; mib--) {
    char* p = made(mib * MIB);
    if (p == NULL) continue;
    p[0] = p[mib * MIB - 1] = 1;
    free(p);
    free(small);
    return mib;
  }
  return 0;
}

static void* waits(void* lock) {
  void *p = made(100000), *q = made(10);
  const int ok = p != NULL && q != NULL;
  pthread_mutex_lock(lock);
  pthread_mutex_unlock(lock);
  free(p);
  free(q);
  return ok ? lock : NULL;
}

static size_t stacks(void) {
  enum { MOST = 100 };
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_t t[MOST];
  pthread_attr_t attributes;
  size_t n = 0, ok = 0;
  free(made(10));
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 8 * MIB);
  pthread_mutex_lock(&lock);
  while (n < MOST && pthread_create(&t[n], &attributes, &waits, &lock) == 0) n++;
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < n; i++) {
    void* had;
    pthread_join(t[i], &had);
    ok += had != NULL;
  }
  return ok;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const size_t most = strcmp(argv[1], "block") == 0 ? block() : stacks();
  printf("%s: %zu\n", argv[1], most);
  return most >= strtoul(argv[2], NULL, 10) ? 0 : 1;
}
