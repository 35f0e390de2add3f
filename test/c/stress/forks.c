/* Forks while others do what takes locks, holds pages and pins: each kind by itself, from the main thread and
   from others; with handlers of fork that allocate; in a signal's handler. Every child allocates, frees what
   it inherited, ends a heap, visits, takes statistics, and ends. FORKS of each kind, or for STRESS_SECONDS
   each; STRESS_SEED. Arguments: names of tests. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "blocks.h"
#include "include/mimalloc-stats.h"

enum { SLOTS = 256, WORKERS = 2 };
#define HUGE_BYTES (MI_HARD ? 3 * MI_MiB : 600 * MI_MiB)                  /* a mapping of its own */

static long nforks, seconds, seed;
static mi_atomic(void*) slots[SLOTS];
static mi_heap_t* shared;                /* all allocate from it, none ends it but a child */
static mi_atomic(bool) stop;

/* What a worker offers to children: a heap of its own that it visits, which they end, and blocks of one that
   it deletes, which they free. Whoever takes one out has it. */
enum { OFFERED = 300 };
typedef struct { mi_atomic(mi_heap_t*) xheap; mi_atomic(void*) xblocks[OFFERED]; } offer_t;
static offer_t offers[WORKERS];
static _Thread_local offer_t* own_offer; /* NULL: nobody's */

static void put(uint64_t* r, void* p) { mi_free(mi_exchange_acq_rel(&slots[test_random(r) % SLOTS], p)); }

/* ---- what others do meanwhile ---- */

static void churn(uint64_t* r) {
  for (int i = 0; i < 200; i++) {
    put(r, mi_malloc(random_size(r)));
    put(r, mi_heap_malloc(shared, random_size(r)));
  }
}

static bool nothing(const mi_heap_t* heap, const mi_heap_area_t* area, void* p, size_t size, void* arg) {
  (void)heap; (void)area; (void)p; (void)size; (void)arg;
  return true;
}

static void end_heaps(uint64_t* r) {
  void* p[OFFERED];
  mi_heap_t* heap = mi_heap_new();
  for (int i = 0; i < OFFERED; i++)
    CHECK((p[i] = mi_heap_malloc(heap, i == 1 ? HUGE_BYTES : random_size(r))) != NULL);
  for (int i = 0; i < OFFERED; i += 3) mi_free(p[i]);
  const bool destroy = test_random(r) % 2, offers_it = !destroy && own_offer != NULL;
  for (int i = 0; offers_it && i < OFFERED; i++)  /* pairs with use_offers, by fork */
    if (i % 3 != 0) mi_store_release(&own_offer->xblocks[i], p[i]);
  (destroy ? &mi_heap_destroy : &mi_heap_delete)(heap);
  for (int i = 0; !destroy && i < OFFERED; i++)
    if (i % 3 != 0) mi_free(offers_it ? mi_exchange_acq_rel(&own_offer->xblocks[i], NULL) : p[i]);
}

static void visit_heaps(uint64_t* r) {
  mi_heap_t* heap = mi_heap_new();
  put(r, mi_heap_malloc(heap, HUGE_BYTES));
  for (int i = 0; i < 100; i++) put(r, mi_heap_malloc(heap, random_size(r)));
  if (own_offer != NULL) mi_store_release(&own_offer->xheap, heap);       /* pairs with use_offers, by fork */
  for (int i = 0; i < 10; i++) CHECK(mi_heap_visit_blocks(heap, true, &nothing, NULL));
  if (own_offer != NULL) mi_store_release(&own_offer->xheap, NULL);       /* the same */
  mi_heap_delete(heap);
}

static void huge_blocks(uint64_t* r) {
  void* p = mi_malloc(HUGE_BYTES);
  CHECK(p != NULL && (p = mi_realloc(p, 2 * HUGE_BYTES)) != NULL);
  /* few at a time: the address space may be limited */
  mi_free(mi_exchange_acq_rel(&slots[test_random(r) % 4], p));
}

static void collect(uint64_t* r) {
  churn(r);
  mi_collect(test_random(r) % 2);
}

/* Detached: one that ended and is not joined yet would be a leak to ThreadSanitizer in the child. The
   allocator's key is older than `ended`, so its destructor has run when this one says so. */
static pthread_key_t ended;
static void say_ended(void* gone) { sem_post(gone); }
typedef struct { uint64_t r; sem_t gone; } life_t;
static void* short_life(void* arg) {
  life_t* life = arg;
  churn(&life->r);
  CHECK_EQ(pthread_setspecific(ended, &life->gone), 0);
  return NULL;
}
static void come_and_go(uint64_t* r) {
  static _Thread_local life_t life;
  pthread_t t;
  pthread_attr_t detached;
  life.r = test_random(r);
  CHECK(sem_init(&life.gone, 0, 0) == 0 && pthread_attr_init(&detached) == 0);
  CHECK_EQ(pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED), 0);
  CHECK_EQ(pthread_create(&t, &detached, &short_life, &life), 0);
  pthread_attr_destroy(&detached);
  while (sem_wait(&life.gone) != 0) CHECK(errno == EINTR);
}

typedef struct { void (*work)(uint64_t* r); uint64_t r; offer_t* offer; } worker_t;
static void* worker(void* arg) {
  worker_t* w = arg;
  own_offer = w->offer;
  while (!mi_load_relaxed(&stop)) w->work(&w->r);                         /* asks only that it ends */
  return NULL;
}

/* ---- the child ---- */

static size_t nvisited;
static bool count_one(const mi_heap_t* heap, const mi_heap_area_t* area, void* p, size_t size, void* arg) {
  (void)heap; (void)area; (void)size; (void)arg;
  nvisited += p != NULL;
  return true;
}

static void use(uint64_t* r) {
  void* p[200];
  for (int i = 0; i < 200; i++) {
    const size_t size = random_size(r);
    p[i] = written(mi_malloc(size), size, test_random(r));
  }
  for (int i = 0; i < 200; i++) release(p[i]);
  mi_free(mi_malloc(HUGE_BYTES));
}

static void use_offers(uint64_t* r) {
  for (int w = 0; w < WORKERS; w++) {
    mi_heap_t* heap = mi_exchange_acq_rel(&offers[w].xheap, NULL);       /* pairs with visit_heaps, by fork */
    for (int i = 0; i < OFFERED; i++) mi_free(mi_exchange_acq_rel(&offers[w].xblocks[i], NULL));
    if (heap != NULL) (test_random(r) % 2 ? &mi_heap_destroy : &mi_heap_delete)(heap);
  }
}

static void* use_in_thread(void* r) { use(r); return NULL; }

static void in_child(uint64_t r, bool again) {
  const struct rlimit awake = { 20, 25 };
  alarm(300);                            /* only who hangs needs so long */
  CHECK_EQ(setrlimit(RLIMIT_CPU, &awake), 0);            /* or, awake, so much of a processor */
  use(&r);
  for (int i = 0; i < SLOTS; i++) put(&r, NULL);
  for (int i = 0; i < SLOTS; i++) mi_free(mi_exchange_acq_rel(&slots[i], NULL));
  use_offers(&r);
  CHECK(mi_heap_visit_blocks(mi_heap_get_backing(), true, &count_one, NULL));
  CHECK(mi_heap_visit_blocks(shared, true, &count_one, NULL));
  char text[64];
  mi_stats_get_json(sizeof text, text);
  (test_random(&r) % 2 ? &mi_heap_destroy : &mi_heap_delete)(shared);
  shared = NULL;
  end_heaps(&r);
  mi_collect(true);
  if (!TEST_SANITIZED) {                 /* ThreadSanitizer allows none here */
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, &use_in_thread, &r), 0);
    pthread_join(t, NULL);
  }
  if (again) {
    int status;
    const pid_t pid = fork();
    if (pid == 0) { use(&r); _exit(0); }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
  }
  _exit(0);
}

static volatile sig_atomic_t is_child;   /* of a signal's handler: what was forked before is another's */

static void wait_for(pid_t pid) {
  int status = 0;
  CHECK(pid > 0);
  while (waitpid(pid, &status, 0) < 0) {
    if (is_child && errno == ECHILD) break;
    CHECK(errno == EINTR);
  }
  CHECK_AT(status == 0, "status = %#x", status);
}

static void fork_once(uint64_t* r) {
  const uint64_t x = test_random(r);
  const pid_t pid = fork();
  if (pid == 0) in_child(x, x % 8 == 0);
  wait_for(pid);
}

typedef struct { long n; time_t until; uint64_t r; } forker_t;
static void* forker(void* arg) {
  forker_t* f = arg;
  for (long i = 0; f->until != 0 ? time(NULL) < f->until : i < f->n; i++) {
    for (uint64_t k = test_random(&f->r) % 100; k > 0; k--) sched_yield();
    fork_once(&f->r);
  }
  return NULL;
}

static void nothing_is_left(void) {
  for (int i = 0; i < SLOTS; i++) mi_free(slots[i]);
  mi_heap_destroy(shared);
  mi_thread_done();
  test_nothing_left();
}

/* Half of the forks from here, half from another thread. */
static void forks_by(void* (*fork_all)(void* f), void (*work)(uint64_t* r)) {
  pthread_t t[WORKERS], other;
  worker_t w[WORKERS];
  alarm(0);
  shared = mi_heap_new();
  for (int i = 0; i < WORKERS; i++) {
    w[i] = (worker_t){ work, (uint64_t)(seed + i), &offers[i] };
    CHECK_EQ(pthread_create(&t[i], NULL, &worker, &w[i]), 0);
  }
  for (int half = 0; half < 2; half++) {
    forker_t f = { nforks / 2, seconds != 0 ? time(NULL) + seconds / 2 : 0, (uint64_t)(seed + 100 + half) };
    if (half == 0) fork_all(&f);
    else {
      CHECK_EQ(pthread_create(&other, NULL, fork_all, &f), 0);
      pthread_join(other, NULL);
    }
  }
  mi_store_relaxed(&stop, true);
  for (int i = 0; i < WORKERS; i++) pthread_join(t[i], NULL);
  nothing_is_left();
}
static void forks(void (*work)(uint64_t* r)) { forks_by(&forker, work); }

static void while_blocks_are_traded(void) { forks(&churn); }
static void while_heaps_end(void) { forks(&end_heaps); }
static void while_heaps_are_visited(void) { forks(&visit_heaps); }
static void while_mappings_move(void) { forks(&huge_blocks); }
static void while_memory_is_collected(void) { forks(&collect); }
static void while_threads_come_and_go(void) { forks(&come_and_go); }

/* ---- two threads fork at once ---- */

static pthread_barrier_t both_forked;    /* neither ends before: see short_life */
static void* forker_of_two(void* f) {
  forker(f);
  pthread_barrier_wait(&both_forked);
  return NULL;
}
static void by_two_at_once(void) {
  pthread_t other;
  alarm(0);
  CHECK_EQ(pthread_barrier_init(&both_forked, NULL, 2), 0);
  shared = mi_heap_new();
  forker_t f[2] = { { nforks / 2, seconds != 0 ? time(NULL) + seconds : 0, (uint64_t)seed },
                    { nforks / 2, seconds != 0 ? time(NULL) + seconds : 0, (uint64_t)seed + 1 } };
  CHECK_EQ(pthread_create(&other, NULL, &forker_of_two, &f[1]), 0);
  forker_of_two(&f[0]);
  pthread_join(other, NULL);
}

/* ---- with handlers of fork that are older than ours: they are called while ours has the locks ---- */

static mi_atomic(bool) handlers_work;
static void in_handler(void) {
  static _Thread_local uint64_t r;
  if (!mi_load_relaxed(&handlers_work)) return;                           /* set before the first fork */
  for (int i = 0; i < 20; i++) {
    put(&r, mi_malloc(random_size(&r)));
    if (shared != NULL) put(&r, mi_heap_malloc(shared, random_size(&r)));
  }
  if (test_random(&r) % 4 == 0) end_heaps(&r);
  if (test_random(&r) % 8 == 0) mi_collect(test_random(&r) % 2);
}
__attribute__((constructor(101))) static void before_ours(void) {
  pthread_atfork(&in_handler, &in_handler, &in_handler);
}

static void with_handlers_that_allocate(void) {
  mi_store_relaxed(&handlers_work, true);
  forks(&churn);
}

/* ---- in a signal's handler ---- */

static mi_atomic(long) nhandled, nanswered;      /* signals in which it forked; .. and in which it may not */
static bool asks_first;                  /* there are threads, and what is interrupted may be fork */

/* What it interrupts is in the middle of something, so the child goes on there before it does anything. */
static void fork_in_signal(int sig, siginfo_t* info, void* context) {
  const int saved = errno;
  (void)sig, (void)info;
  const bool forks = !asks_first || test_may_fork(context);
  const pid_t pid = forks ? fork() : -1;
  if (!forks) {}
  else if (pid == 0) {
    alarm(300);
    is_child = true;
  } else {
    wait_for(pid);
    nhandled++;
  }
  nanswered++;                           /* pairs with sender */
  errno = saved;
}

static void signals_begin(int sig) {
  const struct sigaction action = { .sa_sigaction = &fork_in_signal, .sa_flags = SA_RESTART | SA_SIGINFO };
  CHECK_EQ(sigaction(sig, &action, NULL), 0);
}

typedef struct { pthread_t to; forker_t* forks; mi_atomic(bool) done; } sender_t;
static void* sender(void* arg) {
  sender_t* s = arg;
  forker_t* f = s->forks;
  const long first = nhandled;
  while (f->until != 0 ? time(NULL) < f->until : nhandled - first < f->n) {
    const long before = mi_load_acquire(&nanswered);                      /* pairs with fork_in_signal */
    usleep((useconds_t)(test_random(&f->r) % 2000));
    CHECK_EQ(pthread_kill(s->to, SIGUSR1), 0);
    while (mi_load_acquire(&nanswered) == before) usleep(50);             /* pairs with fork_in_signal */
  }
  mi_store_release(&s->done, true);      /* pairs with interrupted, interrupted_in_fork */
  return NULL;
}

/* This thread forks, and once more wherever a signal meets it. */
static void* interrupted_in_fork(void* f) {
  sender_t s = { .to = pthread_self(), .forks = f };
  uint64_t r = (uint64_t)seed + 7;
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &sender, &s), 0);
  while (!mi_load_acquire(&s.done)) {    /* pairs with sender */
    churn(&r);
    fork_once(&r);
    if (is_child) in_child(r, false);
  }
  pthread_join(t, NULL);
  return NULL;
}

/* The same in a process with threads, of which one that is not the first forks. */
static void in_signals_in_fork_of_another(void) {
  pthread_t t;
  if (test_skips(!test_knows_libc(), "in another thread: the C library may wait for itself")) return;
  forker_t f = { nforks, seconds != 0 ? time(NULL) + seconds / 2 : 0, (uint64_t)seed + 1 };
  asks_first = true;
  signals_begin(SIGUSR1);
  CHECK_EQ(pthread_create(&t, NULL, &interrupted_in_fork, &f), 0);
  pthread_join(t, NULL);
}

/* One thread, which forks: a signal's handler forks in the middle of that. */
static void in_signals_in_fork(void) {
  const time_t until = seconds != 0 ? time(NULL) + seconds / 2 : 0;
  struct itimerval timer = { { 0, 1000 }, { 0, 1000 } };
  uint64_t r = (uint64_t)seed;
  alarm(0);
  shared = mi_heap_new();
  signals_begin(SIGPROF);
  CHECK_EQ(setitimer(ITIMER_PROF, &timer, NULL), 0);
  while (until != 0 ? time(NULL) < until : nhandled < nforks) {
    churn(&r);
    fork_once(&r);
    if (is_child) in_child(r, false);
  }
  memset(&timer, 0, sizeof timer);
  CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0 && signal(SIGPROF, SIG_IGN) != SIG_ERR);
  if (is_child) in_child(r, false);
  in_signals_in_fork_of_another();
  nothing_is_left();
}

/* This thread does what takes locks, and forks wherever a signal meets it. */
static void* interrupted(void* f) {
  static void (*const works[])(uint64_t* r) = { &churn, &end_heaps, &visit_heaps, &huge_blocks, &collect };
  sender_t s = { .to = pthread_self(), .forks = f };
  uint64_t r = ((forker_t*)f)->r;
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &sender, &s), 0);
  while (!mi_load_acquire(&s.done)) {    /* pairs with sender */
    works[test_random(&r) % 5](&r);
    if (TEST_SANITIZED) usleep(1);       /* signals wait for such a call there */
    if (is_child) in_child(r, r % 8 == 0);
  }
  pthread_join(t, NULL);
  return NULL;
}

static void in_signals_among_threads(void) {
  signals_begin(SIGUSR1);
  forks_by(&interrupted, &churn);
}

int main(int argc, char** argv) {
  static const test_t tests[] = {
    TEST(while_blocks_are_traded), TEST(while_heaps_end),           TEST(while_heaps_are_visited),
    TEST(while_mappings_move),     TEST(while_memory_is_collected), TEST(while_threads_come_and_go),
    TEST(by_two_at_once),          TEST(with_handlers_that_allocate), TEST(in_signals_in_fork),
    TEST(in_signals_among_threads)
  };
  if (pthread_key_create(&ended, &say_ended) != 0) return 1;
  nforks = argument(1, argv, 1, "FORKS", 24);
  seed = argument(1, argv, 2, "STRESS_SEED", (long)time(NULL));
  seconds = argument(1, argv, 3, "STRESS_SECONDS", 0);
  printf("# forks: %ld of each kind, seed %ld\n", nforks, seed);
  fflush(stdout);
  return test_run("forkstress", tests, sizeof tests / sizeof *tests, argc, argv);
}
