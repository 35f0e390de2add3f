/* driver WHAT SIZE WARM N  - N calls of malloc (or of free, WHAT = free, remote) that take the way to be
   counted. Linked with the library; run under callgrind by test/c/fastpath/run. The warm-up leaves the page
   with more than 2 N free blocks in the list that malloc pops, so that no slow path comes in between. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4000 };
static void* block[MOST];
static size_t size, warm, n;

/* With something in them, as a user's blocks have. */
static void allocate(size_t from, size_t to) {
  for (size_t i = from; i < to; i++) memset(block[i] = malloc(size), 0xff, size);
}

/* Freed blocks go to another list than the one malloc pops; a third of them again makes it change over. */
static void* warm_up(void* unused) {
  (void)unused;
  void* volatile keep = malloc(size);    /* the page is never empty */
  (void)keep;
  allocate(0, warm);
  for (size_t i = 0; i < warm; i++) free(block[i]);
  allocate(0, warm / 3);
  return NULL;
}

static void* elsewhere(void* unused) {
  warm_up(unused);
  allocate(0, n);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  size = (size_t)atol(argv[2]), warm = (size_t)atol(argv[3]), n = (size_t)atol(argv[4]);
  if (strcmp(argv[1], "remote") == 0) {
    pthread_t t;
    pthread_create(&t, NULL, elsewhere, NULL);
    pthread_join(t, NULL);
  }
  else {
    warm_up(NULL);
    allocate(warm / 3, warm / 3 + n);
    memmove(block, block + warm / 3, n * sizeof *block);
  }
  if (strcmp(argv[1], "malloc") != 0) for (size_t i = 0; i < n; i++) free(block[i]);
  return 0;
}
