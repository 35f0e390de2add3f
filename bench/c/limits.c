/* limits WHAT [NUMBER]: one figure of what a program meets at the edges, under whatever allocator is
   preloaded; bench/limits runs them and has the goals. Each line is a name and a number, separated by a tab.
   Times are the processor's.

   huge         a block of 2^44 bytes, or as large as is granted: milliseconds, KiB resident with it
   refused      a request beyond the address space: microseconds
   fails        a request for 1 GiB where 512 MiB are allowed: microseconds
   locked       all memory is locked, then 100 KB and 3 MiB are needed: MiB resident
   locked8      the same with 8 MiB allowed: MiB that can be had, 64 KiB at a time
   block        the largest block, MiB
   stacks       threads with stacks of 8 MiB that allocate; bench/limits limits the addresses of these two
   claim GIB    100 KB where only single slices are free in so many GiB: microseconds
   trickle      800 MB of an ended thread are freed by and by: seconds in ten, MiB given back
   heaps N      so many heaps: KiB resident of each, milliseconds of a pass over all statistics
   used N       the same with a block in each
   text N       so many heaps with a block in each: milliseconds of all statistics as JSON
   words N      the same as words */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* Of the processor, in the whole process: the machine may be busy. */
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static size_t resident(void) {
  char text[128] = "";
  FILE* f = fopen("/proc/self/statm", "r");
  if (f == NULL || fgets(text, sizeof text, f) == NULL) exit(1);
  fclose(f);
  return strtoul(strchr(text, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void figure(const char* name, double value) { printf("%s\t%.3f\n", name, value); }

static char* made(size_t size) {
  char* p = malloc(size);
  if (p == NULL) { fprintf(stderr, "no memory for %zu bytes\n", size); exit(1); }
  p[0] = 1;
  return p;
}

static void allow(int what, size_t bytes) {
  const struct rlimit limit = { bytes, bytes };
  if (setrlimit(what, &limit) != 0) exit(1);
}

static void huge(void) {
  free(made(100));
  for (size_t size = (size_t)1 << 44; size >= MIB; size /= 2) {
    const size_t before = resident();
    const double began = now();
    void* volatile p = malloc(size);
    const double took = now() - began;
    if (p == NULL) continue;
    figure("milliseconds", took / 1000);
    figure("KiB resident", ((double)resident() - (double)before) / KIB);
    return;
  }
}

/* The shortest of some turns. */
static void in_vain(size_t size) {
  enum { TURNS = 50, TIMES = 100 };
  double least = 1e9;
  free(made(100));
  for (int turn = 0; turn < TURNS; turn++) {
    const double began = now();
    for (int i = 0; i < TIMES; i++) {
      void* volatile p = malloc(size);
      if (p != NULL) exit(1);
    }
    const double took = (now() - began) / TIMES;
    least = took < least ? took : least;
  }
  figure("microseconds", least);
}

static void locked(void) {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) exit(77);
  memset(made(100000), 1, 100000);
  memset(made(3 * MIB), 1, 3 * MIB);
  figure("MiB resident", (double)resident() / MIB);
}

static void locked8(void) {
  size_t n = 0;
  allow(RLIMIT_MEMLOCK, 8 * MIB);
  if ((geteuid() == 0 && setuid(65534) != 0) || mlockall(MCL_CURRENT | MCL_FUTURE) != 0) exit(77);
  while (n < 1000 && malloc(64 * KIB) != NULL) n++;
  figure("MiB", (double)n / 16);
}

static void block(void) {
  free(made(100));
  for (size_t mib = 200; mib > 0; mib--) {
    void* volatile p = malloc(mib * MIB);
    if (p == NULL) continue;
    figure("MiB", (double)mib);
    return;
  }
}

static void* waits(void* lock) {
  void* volatile p = malloc(100000);
  pthread_mutex_lock(lock);
  pthread_mutex_unlock(lock);
  free(p);
  return p == NULL ? NULL : lock;
}

static void stacks(void) {
  enum { MOST = 100 };
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_t t[MOST];
  pthread_attr_t attributes;
  int n = 0, ok = 0;
  free(made(100));
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 8 * MIB);
  pthread_mutex_lock(&lock);
  while (n < MOST && pthread_create(&t[n], &attributes, &waits, &lock) == 0) n++;
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < n; i++) {
    void* had;
    pthread_join(t[i], &had);
    ok += had != NULL;
  }
  figure("threads", ok);
}

/* Small blocks, of which those of every second 64 KiB are freed. */
static void claim(size_t gib) {
  enum { SMALL = 8192, IN_A_SLICE = 8, BLOCKS = 2000, BLOCK = 100000 };
  const size_t n = (gib << 30) / SMALL;
  char** small = (char**)(void*)made(n * sizeof *small);
  for (size_t i = 0; i < n; i++) small[i] = made(SMALL);
  for (size_t i = 0; i < n; i++) if (i / IN_A_SLICE % 2 != 0) free(small[i]);
  const double began = now();
  for (int i = 0; i < BLOCKS; i++) made(BLOCK);
  figure("microseconds", (now() - began) / BLOCKS);
}

enum { BLOCKS = 4000000, ROUNDS = 1000 };
static char** trickling;

static void* maker(void* nothing) {
  for (size_t i = 0; i < BLOCKS; i++) memset(trickling[i] = made(200), 1, 200);
  return nothing;
}

static void trickle(void) {
  pthread_t t;
  uint64_t r = 1;
  trickling = (char**)(void*)made(BLOCKS * sizeof *trickling);
  pthread_create(&t, NULL, &maker, NULL);
  pthread_join(t, NULL);
  for (size_t i = BLOCKS - 1; i > 0; i--) {
    r = r * 6364136223846793005u + 1442695040888963407u;
    const size_t j = (r >> 33) % (i + 1);
    char* p = trickling[i];
    trickling[i] = trickling[j], trickling[j] = p;
  }
  const size_t before = resident();
  const double began = now();
  for (size_t round = 0, next = 0; round < ROUNDS; round++) {
    for (size_t i = 0; i < BLOCKS / ROUNDS * 4 / 5; i++) free(trickling[next++]);
    usleep(9000);
  }
  figure("seconds", (now() - began) / 1e6);
  sleep(2);
  figure("MiB given back", ((double)before - (double)resident()) / MIB);
}

/* What only some allocators have. */
static void* function(const char* name) {
  void* f = dlsym(RTLD_DEFAULT, name);
  if (f == NULL) exit(77);
  return f;
}

static void structure_of_all(void* f) {
  static char stats[1 << 16];
  ((void (*)(size_t, void*))f)(sizeof stats, stats);
}

static void text_of_all(void* f) {
  char* text = ((char* (*)(size_t, char*))f)(0, NULL);
  if (text == NULL) exit(1);
  free(text);
}

/* Asked twice, as by who does not know how many there are: the block for them is one more to be counted. */
static void words_of_all(void* f) {
  size_t (*words)(uint64_t*, size_t) = (size_t (*)(uint64_t*, size_t))f;
  const size_t room = words(NULL, 0) + 100;
  uint64_t* w = malloc(room * sizeof *w);
  if (w == NULL || words(w, room) > room) exit(1);
  free(w);
}

static void heaps(size_t n, size_t size, const char* asked, void (*ask)(void* f)) {
  void* (*heap_new)(void) = (void* (*)(void))function("mi_heap_new");
  void* (*heap_malloc)(void*, size_t) = (void* (*)(void*, size_t))function("mi_heap_malloc");
  void* statistics = function(asked);
  double least = 1e9;
  free(made(100));
  const size_t before = resident();
  for (size_t i = 0; i < n; i++) {
    void* heap = heap_new();
    if (heap == NULL || (size > 0 && heap_malloc(heap, size) == NULL)) exit(1);
  }
  figure("KiB", ((double)resident() - (double)before) / KIB / (double)n);
  for (int turn = 0; turn < 5; turn++) {
    const double began = now();
    ask(statistics);
    least = now() - began < least ? now() - began : least;
  }
  figure("milliseconds", least / 1000);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  const size_t number = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
  if (strcmp(what, "huge") == 0) huge();
  else if (strcmp(what, "refused") == 0) in_vain((size_t)1 << 60);
  else if (strcmp(what, "fails") == 0) allow(RLIMIT_AS, 512 * MIB), in_vain(1024 * MIB);
  else if (strcmp(what, "locked") == 0) locked();
  else if (strcmp(what, "locked8") == 0) locked8();
  else if (strcmp(what, "block") == 0) block();
  else if (strcmp(what, "stacks") == 0) stacks();
  else if (strcmp(what, "claim") == 0) claim(number);
  else if (strcmp(what, "trickle") == 0) trickle();
  else if (strcmp(what, "heaps") == 0) heaps(number, 0, "mi_stats_get", &structure_of_all);
  else if (strcmp(what, "used") == 0) heaps(number, 48, "mi_stats_get", &structure_of_all);
  else if (strcmp(what, "text") == 0) heaps(number, 48, "mi_stats_get_json", &text_of_all);
  else if (strcmp(what, "words") == 0) heaps(number, 48, "mi_stats_words", &words_of_all);
  else return 2;
  return 0;
}
