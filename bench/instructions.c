/* instructions WHAT SIZE N  - calls of one kind, N times, all from the functions named measured_*: callgrind
   tells what those called. Run by bench/instructions, once for each allocator. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIVE = 64, BATCH = 100 };
static void* block[BATCH];
static size_t size, n;
#define MEASURED __attribute__((noinline, noipa)) static void

/* The block just freed again. */
MEASURED measured_pair(void) { for (size_t i = 0; i < n; i++) { void* volatile p = malloc(size); free(p); } }
MEASURED measured_calloc(void) {
  for (size_t i = 0; i < n; i++) { void* volatile p = calloc(1, size); free(p); }
}
MEASURED measured_aligned(void) {
  for (size_t i = 0; i < n; i++) { void* volatile p = aligned_alloc(size < 4096 ? 64 : 4096, size); free(p); }
}

/* One of those alive, whichever: what comes now and then (a page that is full, one that is empty) is
   part of the figure. */
MEASURED measured_churn(void) {
  uint32_t r = 1;
  for (size_t i = 0; i < n; i++) {
    r = r * 1664525 + 1013904223;
    void** b = &block[(r >> 20) % LIVE];
    free(*b);
    *b = malloc(size);
  }
}

/* A few bytes more or less, in place. */
MEASURED measured_realloc(void) {
  void* p = malloc(size);
  for (size_t i = 0; i < n; i++) p = realloc(p, i % 2 == 0 ? size - 1 : size);
  free(p);
}

/* One thread makes, the other frees, by turns. */
static pthread_barrier_t turn;
MEASURED measured_make(void) { for (int j = 0; j < BATCH; j++) block[j] = malloc(size); }
MEASURED measured_remote(void) { for (int j = 0; j < BATCH; j++) free(block[j]); }
static void* maker(void* unused) {
  (void)unused;
  for (size_t i = 0; i < n / BATCH; i++) {
    measured_make();
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
  }
  return NULL;
}
static void remote(void) {
  pthread_t t;
  pthread_barrier_init(&turn, NULL, 2);
  pthread_create(&t, NULL, maker, NULL);
  for (size_t i = 0; i < n / BATCH; i++) {
    pthread_barrier_wait(&turn);
    measured_remote();
    pthread_barrier_wait(&turn);
  }
  pthread_join(t, NULL);
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const char* what = argv[1];
  size = strtoul(argv[2], NULL, 10), n = strtoul(argv[3], NULL, 10);
  if (strcmp(what, "pair") == 0) measured_pair();
  else if (strcmp(what, "churn") == 0) measured_churn();
  else if (strcmp(what, "calloc") == 0) measured_calloc();
  else if (strcmp(what, "aligned") == 0) measured_aligned();
  else if (strcmp(what, "realloc") == 0) measured_realloc();
  else if (strcmp(what, "remote") == 0) remote();
  else return 2;
  return 0;
}
