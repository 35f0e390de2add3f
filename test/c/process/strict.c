/* A small program that may make no system calls any more but read, write and exit, for longer than memory
   waits to go back: it allocates and frees. 77: no such sandbox here. */
#define _GNU_SOURCE
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { N = 60, SIZE = 1000, SECONDS = 1 };
static char* p[N];
static unsigned r = 1;

static void end(int status) {
  syscall(SYS_exit, status);
}

/* In between it frees all, and allocates but one size. */
static void use(void) {
  for (int i = 0; i < 20000; i++) {
    const size_t k = (unsigned)rand_r(&r) % N, size = 1 + (unsigned)rand_r(&r) % SIZE;
    free(p[k]);
    p[k] = malloc(size);
    if (p[k] == NULL) end(1);
    memset(p[k], 1, size);
  }
  for (int k = 0; k < N; k++) { free(p[k]); p[k] = NULL; }
  for (int i = 0; i < 5000; i++) free(malloc(100));
}

/* The kernel's own function, in this process; the one that needs no counter of the processor's. */
static long seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return t.tv_sec;
}

int main(void) {
  for (int i = 0; i < 10; i++) use();
  const long begin = seconds();
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return 77;
  while (seconds() <= begin + SECONDS) use();
  end(0);
}
