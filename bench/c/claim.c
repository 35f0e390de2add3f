/* claim GIB..: what a block of 100 KB costs when so many GiB have single free slices only, and one that is
   freed again. Microseconds of wall time, by itself under each allocator: cc -O2 bench/c/claim.c -o claim &&
   LD_PRELOAD=build/libmimalloc.so ./claim 1 4 8 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SMALL = 8192, IN_A_SLICE = 8, BLOCKS = 2000, BLOCK = 100000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static char* made(size_t size) {
  char* p = malloc(size);
  if (p == NULL) { fprintf(stderr, "no memory for %zu bytes\n", size); exit(1); }
  return p;
}

/* Fills the memory with small blocks and frees those of every second slice. */
static void make_holes(size_t gib) {
  const size_t n = (gib << 30) / SMALL;
  char** p = (char**)(void*)made(n * sizeof *p);
  for (size_t i = 0; i < n; i++) {
    p[i] = made(SMALL);
    p[i][0] = 1;
  }
  for (size_t i = 0; i < n; i++) if (i / IN_A_SLICE % 2 != 0) free(p[i]);
}

int main(int argc, char** argv) {
  size_t have = 0;
  for (int a = 1; a < argc; a++) {
    static char* p[BLOCKS];
    const size_t gib = strtoul(argv[a], NULL, 10);
    double worst = 0, sum = 0;
    if (gib > have) make_holes(gib - have);
    have = gib > have ? gib : have;
    for (int i = 0; i < BLOCKS; i++) {
      const double start = now();
      p[i] = made(BLOCK);
      const double took = now() - start;
      sum += took;
      worst = took > worst ? took : worst;
    }
    const double start = now();
    for (int i = 0; i < BLOCKS; i++) {
      free(p[i]);
      p[i] = made(BLOCK);
    }
    printf("%zu GiB: %.2f us each, worst %.1f; freed and made again %.2f\n", gib, sum / BLOCKS, worst,
           (now() - start) / BLOCKS);
  }
  return 0;
}
