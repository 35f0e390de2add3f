/* Shapes of use whose resident memory bench/memory watches: MODE ARGUMENTS.., sizes in MiB.
     fragments LIVE FREED MOST   blocks of 16 to MOST bytes, FREED of them freed at random; then rest
     handoff LIVE TOTAL          two threads allocate, a third, which never does, frees blocks at random
     service CYCLES              requests on four threads, see below
   Lines on stdout, times by the monotonic clock: `pid N`, `own BYTES` (resident before the first block),
   `live TIME BYTES` every 10 ms, `phase NAME TIME`. What the program itself needs is touched before
   `own` is said, and comes from mmap. The sizes and their order are the same every time. Each page of a
   block is written to. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static _Atomic size_t live;  /* bytes asked for and not yet freed; relaxed: a figure, it publishes nothing */

/* ---- reports: no function that allocates */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void say(const char* what, const char* name, double time, size_t bytes) {
  char line[100];
  int n = snprintf(line, sizeof line, "%s", what);
  if (name != NULL) n += snprintf(line + n, sizeof line - (size_t)n, "\t%s", name);
  if (time > 0) n += snprintf(line + n, sizeof line - (size_t)n, "\t%.6f", time);
  if (name == NULL) n += snprintf(line + n, sizeof line - (size_t)n, "\t%zu", bytes);
  line[n++] = '\n';
  if (write(1, line, (size_t)n) != n) _exit(3);
}
static void say_phase(const char* name) { say("phase", name, now(), 0); }

static void* report(void* unused) {
  (void)unused;
  for (;;) {
    say("live", NULL, now(), atomic_load_explicit(&live, memory_order_relaxed));
    nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
  }
  return NULL;
}

static size_t resident(void) {
  size_t pages = 0;
  FILE* f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%*u %zu", &pages) != 1) _exit(3);
  fclose(f);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void begin(void) {
  pthread_t t;
  pthread_create(&t, NULL, report, NULL);
  say("own", NULL, 0, resident());
  say_phase("start");
}

/* Nothing for two seconds and a little. No destructor runs: the memory stays as it is to the end. */
static void idle(void) {
  say_phase("idle");
  nanosleep(&(struct timespec){ 2, 300000000 }, NULL);
  say_phase("end");
  _exit(0);
}

/* ---- blocks */

typedef struct { uint64_t state; } rng_t;

static uint32_t next_random(rng_t* r) {                        /* xorshift64* */
  r->state ^= r->state >> 12, r->state ^= r->state << 25, r->state ^= r->state >> 27;
  return (uint32_t)((r->state * 2685821657736338717u) >> 32);
}
static size_t between(rng_t* r, size_t low, size_t high) { return low + next_random(r) % (high - low + 1); }

/* As many in each octave from 2^low to 2^high. */
static size_t octaves(rng_t* r, size_t low, size_t high) {
  const size_t least = (size_t)1 << between(r, low, high - 1);
  return between(r, least, 2 * least - 1);
}

typedef struct { char* p; size_t size; } item_t;

static item_t item_new(size_t size) {
  const item_t b = { malloc(size), size };
  if (b.p == NULL) { fprintf(stderr, "no memory for %zu bytes\n", size); exit(1); }
  for (size_t i = 0; i < size; i += 4096) b.p[i] = 1;
  b.p[size - 1] = 1;
  atomic_fetch_add_explicit(&live, size, memory_order_relaxed);
  return b;
}
static void item_free(item_t b) {
  atomic_fetch_sub_explicit(&live, b.size, memory_order_relaxed);
  free(b.p);
}

static void* table(size_t bytes) {
  void* p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (p == MAP_FAILED) exit(1);
  return p;
}

/* ---- fragments */

static void fragments(size_t total, size_t freed, size_t most) {
  size_t high = 5, n = 0;
  while (((size_t)1 << high) < most) high++;
  /* The mean of an octave is 1.5 times its least size. */
  const size_t mean = (3 * ((size_t)1 << high) / 2 - 24) / (high - 4);
  const size_t limit = total / mean * 5 / 4 + 1000;
  item_t* items = table(limit * sizeof *items);
  rng_t rng = { 1 };
  begin();
  while (live < total && n < limit) items[n++] = item_new(octaves(&rng, 4, high));
  say_phase("free");
  for (const size_t least = live - freed; live > least;) {
    const size_t i = next_random(&rng) % n;
    item_free(items[i]);
    items[i] = items[--n];
  }
  idle();
}

/* ---- handoff: what the threads share is one table under a lock, in batches, so that the lock is no
   part of the story */

enum { BATCH = 64, SLOTS = 1 << 16 };
typedef struct { item_t of[BATCH]; } batch_t;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t change;
  batch_t* batches;
  size_t n, most, total, made;
  int producers;
} hand = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

static void* produce(void* seed) {
  rng_t rng = { (uint64_t)(uintptr_t)seed };
  for (int more = 1; more;) {
    batch_t b;
    size_t bytes = 0;
    for (size_t i = 0; i < BATCH; i++) b.of[i] = item_new(octaves(&rng, 4, 14)), bytes += b.of[i].size;
    pthread_mutex_lock(&hand.lock);
    while ((live > hand.most + MIB && hand.n > 0) || hand.n == SLOTS)
      pthread_cond_wait(&hand.change, &hand.lock);
    hand.batches[hand.n++] = b;
    hand.made += bytes;
    more = hand.made < hand.total;
    if (!more) hand.producers--;
    pthread_cond_broadcast(&hand.change);
    pthread_mutex_unlock(&hand.lock);
  }
  return NULL;
}

static void* consume(void* unused) {
  (void)unused;
  rng_t rng = { 99 };
  pthread_mutex_lock(&hand.lock);
  for (;;) {
    while (hand.producers > 0 && (live <= hand.most || hand.n == 0))
      pthread_cond_wait(&hand.change, &hand.lock);
    if (hand.producers == 0) break;
    const size_t i = next_random(&rng) % hand.n;
    const batch_t b = hand.batches[i];
    hand.batches[i] = hand.batches[--hand.n];
    pthread_cond_broadcast(&hand.change);
    pthread_mutex_unlock(&hand.lock);
    for (size_t k = 0; k < BATCH; k++) item_free(b.of[k]);
    pthread_mutex_lock(&hand.lock);
  }
  pthread_mutex_unlock(&hand.lock);
  return NULL;
}

static void handoff(size_t most, size_t total) {
  pthread_t t[3];
  hand.batches = table(SLOTS * sizeof *hand.batches);
  hand.most = most, hand.total = total, hand.producers = 2;
  begin();
  pthread_create(&t[2], NULL, consume, NULL);
  for (uintptr_t i = 0; i < 2; i++) pthread_create(&t[i], NULL, produce, (void*)(i + 1));
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  idle();
}

/* ---- service: ten minutes in half one. A tick is 10 ms; of 600 ticks 120 are a peak, five times the load,
   and in the last 150 nothing is called. A request makes blocks of 40 KiB together; it frees three fifths of
   them at its end, the others at a later tick, some of them four cycles later, a quarter of them on another
   thread. The sizes drift from tens of bytes to tens of KiB and back. The load is a function of the tick, so
   that live bytes are the same for all: who is late catches up. */

enum { TICK_NS = 10000000, CYCLE = 600, PEAK = 200, PEAK_END = 320, PAUSE = 450, THREADS = 4, WHEEL = 4096 };

typedef struct kept { struct kept* next; size_t size; } kept_t;
static struct { pthread_mutex_t lock; kept_t* due[WHEEL]; } wheel[THREADS];
static size_t ncycles;
static struct timespec start;

static void keep(rng_t* rng, size_t thread, size_t tick, item_t b) {
  const size_t lives = between(rng, 0, 4) > 0 ? between(rng, 1, 200) : between(rng, 400, 1800);
  const size_t whose = between(rng, 0, 3) > 0 ? thread : (thread + 1) % THREADS;
  kept_t* k = (kept_t*)b.p;
  pthread_mutex_lock(&wheel[whose].lock);
  kept_t** due = &wheel[whose].due[(tick + lives) % WHEEL];
  *k = (kept_t){ *due, b.size }, *due = k;
  pthread_mutex_unlock(&wheel[whose].lock);
}

static void expire(size_t thread, size_t tick) {
  pthread_mutex_lock(&wheel[thread].lock);
  kept_t* k = wheel[thread].due[tick % WHEEL];
  wheel[thread].due[tick % WHEEL] = NULL;
  pthread_mutex_unlock(&wheel[thread].lock);
  while (k != NULL) {
    kept_t* next = k->next;
    item_free((item_t){ (char*)k, k->size });
    k = next;
  }
}

static void request(rng_t* rng, size_t thread, size_t tick, size_t octave) {
  enum { BYTES = 40 << 10, MOST = BYTES / 16 + 1 };
  item_t own[MOST];
  size_t n = 0;
  for (size_t bytes = 0; bytes < BYTES;) {
    const item_t b = item_new(octaves(rng, octave, octave + 4));
    bytes += b.size;
    if (between(rng, 0, 4) < 2) keep(rng, thread, tick, b);
    else own[n++] = b;
  }
  while (n > 0) item_free(own[--n]);
}

static void* serve(void* argument) {
  const size_t thread = (size_t)(uintptr_t)argument;
  rng_t rng = { thread + 1 };
  size_t tick = 0;                                             /* pauses do not count */
  for (size_t at = 0; at < ncycles * CYCLE; at++) {
    const uint64_t ns = (uint64_t)start.tv_nsec + at * TICK_NS;
    const struct timespec until = { start.tv_sec + (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    const size_t in = at % CYCLE;
    if (in >= PAUSE) continue;
    expire(thread, tick);
    /* the least octave goes from 4 to 12 and back in four cycles */
    const size_t phase = at / (CYCLE / 4) % 16;
    const size_t octave = 4 + (phase < 8 ? phase : 16 - phase);
    for (size_t i = in >= PEAK && in < PEAK_END ? 20 : 4; i > 0; i--) request(&rng, thread, tick, octave);
    tick++;
  }
  return NULL;
}

static void service(size_t cycles) {
  pthread_t t[THREADS];
  ncycles = cycles;
  for (size_t i = 0; i < THREADS; i++) pthread_mutex_init(&wheel[i].lock, NULL);
  begin();
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (size_t i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, serve, (void*)(uintptr_t)i);
  for (size_t i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  say_phase("end");
  _exit(0);
}

int main(int argc, char** argv) {
  size_t a[4] = { 0 };
  for (int i = 2; i < argc && i < 6; i++) a[i - 2] = strtoul(argv[i], NULL, 10);
  const char* mode = argc > 2 ? argv[1] : "";
  say("pid", NULL, 0, (size_t)getpid());
  if (strcmp(mode, "fragments") == 0) fragments(a[0] * MIB, a[1] * MIB, a[2]);
  if (strcmp(mode, "handoff") == 0) handoff(a[0] * MIB, a[1] * MIB);
  if (strcmp(mode, "service") == 0) service(a[0]);
  fprintf(stderr, "fragments LIVE FREED MOST | handoff LIVE TOTAL | service CYCLES\n");
  return 2;
}
