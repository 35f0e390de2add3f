/* policy WHAT N  - workloads that one mechanism of core/policy.h each is for. Run by bench/policy, with that
   mechanism and without it. What is counted by callgrind prints nothing; the others print two figures: MiB
   resident, and a count or a time (bench/policy has their names). */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint32_t r = 1;
static uint32_t rnd(void) { return r = r * 1664525 + 1013904223; }
static uint32_t below(uint32_t n) { return (uint32_t)((uint64_t)rnd() * n >> 32); }

static void* fresh(size_t size) {
  char* p = malloc(size);
  if (p == NULL) exit(1);
  return memset(p, 1, size);
}

static long resident_kb(void) {
  long pages = 0;
  FILE* f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1) exit(1);
  fclose(f);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void print(long kb, long other) { printf("%.1f\t%ld\n", (double)kb / 1024, other); }

static struct rusage usage(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u;
}

/* Two classes by turns, one block alive. */
static void turns(size_t n) {
  for (size_t i = 0; i < n; i++) { void* volatile p = malloc(i % 2 == 0 ? 500 : 3000); free(p); }
}

static void pair(size_t n) {
  for (size_t i = 0; i < n; i++) { void* volatile p = malloc(128 * 1024); free(p); }
}

/* One of `live` blocks, whichever: of one size, or of up to so many bytes. */
static void churn(size_t n, uint32_t live, uint32_t size, int any) {
  void** block = calloc(live, sizeof *block);
  for (size_t i = 0; i < n; i++) {
    void** b = &block[below(live)];
    free(*b);
    *b = malloc(any ? 1 + below(size) : size);
  }
}

static void* worker(void* seed) {
  enum { BLOCKS = 2000 };
  void* block[BLOCKS];
  r = (uint32_t)(uintptr_t)seed;
  for (int i = 0; i < BLOCKS; i++) block[i] = fresh(1 + below(1024));
  for (int i = 0; i < BLOCKS; i++) free(block[i]);
  return NULL;
}

/* One after the other. */
static void threads(size_t n) {
  for (size_t i = 0; i < n; i++) {
    pthread_t t;
    if (pthread_create(&t, NULL, worker, (void*)(i + 1)) != 0) exit(1);
    pthread_join(t, NULL);
  }
  print(usage().ru_maxrss, usage().ru_minflt);
}

static void mix(void** block, size_t n) {
  for (size_t i = n - 1; i > 0; i--) {
    const size_t j = below((uint32_t)i + 1);
    void* b = block[i];
    block[i] = block[j];
    block[j] = b;
  }
}

/* Nine in ten are freed, in any order, in 1.5 seconds. What is resident three seconds later counts; a little
   goes on meanwhile. */
static void fragments(size_t n) {
  void** block = malloc(n * sizeof *block);
  for (size_t i = 0; i < n; i++) block[i] = fresh(16 + below(500));
  mix(block, n);
  const struct timespec pause = { 0, 15000000 };
  for (size_t i = 0; i < n / 10 * 9; i++) {
    free(block[i]);
    if (i % (n / 100) == 0) nanosleep(&pause, NULL);
  }
  for (int i = 0; i < 200; i++) { nanosleep(&pause, NULL); free(fresh(64)); }
  print(resident_kb(), usage().ru_minflt);
}

/* By turns, by an eighth each, to so many MiB. */
static void growing(size_t mib) {
  enum { BLOCKS = 8 };
  char* block[BLOCKS] = { 0 };
  for (size_t size = 1024; size < mib << 20; size += size / 8)
    for (int i = 0; i < BLOCKS; i++) {
      if ((block[i] = realloc(block[i], size)) == NULL) exit(1);
      memset(block[i] + size / 9 * 8, 1, size - size / 9 * 8);
    }
  const struct rusage u = usage();
  print(u.ru_maxrss, (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000
                         + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000);
}

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

enum { PIECE = 64 * 1024 };
static void fill(void** block, size_t n) { for (size_t i = 0; i < n; i++) block[i] = fresh(PIECE); }
static void empty(void** block, size_t n) { for (size_t i = 0; i < n; i++) free(block[i]); }

/* Blocks of 1 KiB, of which seven tenths are freed at once, and a quarter of them all a second later in 1.5
   seconds, by a process that allocates nothing more. */
static void steps(size_t n) {
  enum { STEPS = 100 };
  void** block = malloc(n * sizeof *block);
  size_t i = 0;
  for (; i < n; i++) block[i] = fresh(1024);
  mix(block, n);
  for (i = 0; i < n / 10 * 7; i++) free(block[i]);
  sleep(1);
  const struct timespec pause = { 0, 1500000000 / STEPS };
  for (; i < n / 20 * 19; i++) {
    free(block[i]);
    if (i % (n / 4 / STEPS) == 0) nanosleep(&pause, NULL);
  }
  sleep(3);
  print(resident_kb(), usage().ru_minflt);
}

/* So many MiB, freed at once by a process of one thread that does nothing more. */
static void burst(size_t mib) {
  const size_t n = (mib << 20) / PIECE;
  void** block = malloc(n * sizeof *block);
  fill(block, n);
  empty(block, n);
  print(resident_kb(), usage().ru_minflt);
}

/* The same again and again, for two seconds: how often. */
static void bursts(size_t mib) {
  const size_t n = (mib << 20) / PIECE;
  void** block = malloc(n * sizeof *block);
  long times = 0;
  for (const uint64_t end = now_us() + 2000000; now_us() < end; times++) {
    fill(block, n);
    empty(block, n);
  }
  print(resident_kb(), times);
}

/* Requests that the system refuses, of who has so many MiB of 64-byte blocks, every second one free. */
static void fails(size_t mib) {
  enum { TIMES = 2000 };
  const size_t n = (mib << 20) / 64;
  void** block = malloc(n * sizeof *block);
  for (size_t i = 0; i < n; i++) block[i] = fresh(64);
  for (size_t i = 0; i < n; i += 2) free(block[i]);
  const struct rlimit limit = { (rlim_t)mib << 23, (rlim_t)mib << 23 };
  if (setrlimit(RLIMIT_AS, &limit) != 0) exit(1);
  const uint64_t began = now_us();
  for (int i = 0; i < TIMES; i++) if (malloc(mib << 23) != NULL) exit(1);
  print(resident_kb(), (long)((now_us() - began) * 1000 / TIMES));
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const char* what = argv[1];
  const size_t n = strtoul(argv[2], NULL, 10);
  if (strcmp(what, "turns") == 0) turns(n);
  else if (strcmp(what, "pair") == 0) pair(n);
  else if (strcmp(what, "few") == 0) churn(n, 64, 8192, 0);
  else if (strcmp(what, "many") == 0) churn(n, 30000, 1024, 1);
  else if (strcmp(what, "threads") == 0) threads(n);
  else if (strcmp(what, "fragments") == 0) fragments(n);
  else if (strcmp(what, "steps") == 0) steps(n);
  else if (strcmp(what, "growing") == 0) growing(n);
  else if (strcmp(what, "burst") == 0) burst(n);
  else if (strcmp(what, "bursts") == 0) bursts(n);
  else if (strcmp(what, "fails") == 0) fails(n);
  else return 2;
  return 0;
}
