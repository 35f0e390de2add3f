/* See steps.h. */
#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>

#include "steps/steps.h"

enum { STACK = 256 * 1024, MOST = 4, STEPS_MAX = 1000000, WAITS_MAX = 1000, ALONE_MAX = 20, LOCKS = 16 };

typedef struct { ucontext_t context; void (*run)(void); bool ended; } actor_t;

/* An order: who begins, and before which steps it is the other's turn. */
typedef struct { int first; unsigned n; size_t at[MOST]; } order_t;

static actor_t actors[2];
static char stacks[2][STACK] __attribute__((aligned(64)));
static ucontext_t outside;
static int current = -1;                 /* who runs; -1: neither */
static order_t order;
static unsigned ninterrupts;             /* so far */
static size_t nsteps, nchoices;  /* steps; the last of them at which the other could have gone on, + 1 */
static size_t nwaits, nalone;            /* waits; those where the other had ended */
static struct { const mi_lock_t* lock; int holder; } locks[LOCKS];

static step_t* recorded;
static size_t nrecorded, max_recorded;

static void fail(const char* what) {
  current = -1;
  test_fail("order", order.first, "%s; interrupted %u times, before step %zu, %zu, %zu, %zu", what, order.n,
            order.at[0], order.at[1], order.at[2], order.at[3]);
}

static void crashed(int sig) { fail(sig == SIGABRT ? "aborted" : "SIGSEGV"); }

/* ---- switching ---- */

static void other_goes_on(void) {
  const int me = current;
  if (actors[1 - me].ended) return;
  current = 1 - me;
  if (swapcontext(&actors[me].context, &actors[1 - me].context) != 0) fail("swapcontext");
}

static void actor_main(int me) {
  actors[me].run();
  actors[me].ended = true;
  current = actors[1 - me].ended ? -1 : 1 - me;
  setcontext(current < 0 ? &outside : &actors[current].context);
  fail("setcontext");
}

static void step(void) {
  if (nsteps >= STEPS_MAX) fail("it does not end");
  if (!actors[1 - current].ended) nchoices = nsteps + 1;
  const bool turn = ninterrupts < order.n && order.at[ninterrupts] == nsteps;
  nsteps++;
  if (!turn) return;
  ninterrupts++;
  other_goes_on();
}

void step_here(const volatile void* at, step_kind_t kind, memory_order memory) {
  if (recorded != NULL && nrecorded < max_recorded) recorded[nrecorded++] = (step_t){ at, kind, memory };
  if (current < 0) return;
  step();
}

/* Until the other has done something. */
static void wait_for_other(void) {
  if (++nwaits > WAITS_MAX) fail("both wait, for ever");
  if (actors[1 - current].ended && ++nalone > ALONE_MAX) fail("it waits for ever");
  other_goes_on();
}

/* ---- in place of the core's ---- */

void __real_mi_lock(mi_lock_t* lock);
bool __real_mi_trylock(mi_lock_t* lock) __attribute__((weak));   /* the core may have none */
void __real_mi_unlock(mi_lock_t* lock);
void __real_mi_os_yield(void);
void __wrap_mi_lock(mi_lock_t* lock);
bool __wrap_mi_trylock(mi_lock_t* lock);
void __wrap_mi_unlock(mi_lock_t* lock);
void __wrap_mi_os_yield(void);

static int* holder_of(const mi_lock_t* lock) {
  for (int i = 0; i < LOCKS; i++) {
    if (locks[i].lock == NULL) { locks[i].lock = lock; locks[i].holder = -1; }
    if (locks[i].lock == lock) return &locks[i].holder;
  }
  fail("too many locks");
  return NULL;
}

void __wrap_mi_lock(mi_lock_t* lock) {
  if (current < 0) { __real_mi_lock(lock); return; }
  step();
  if (*holder_of(lock) == current) fail("it takes a lock that it has");
  while (*holder_of(lock) >= 0) wait_for_other();
  *holder_of(lock) = current;
}

bool __wrap_mi_trylock(mi_lock_t* lock) {
  if (current < 0) return __real_mi_trylock(lock);
  step();
  if (*holder_of(lock) >= 0) return false;
  *holder_of(lock) = current;
  return true;
}

void __wrap_mi_unlock(mi_lock_t* lock) {
  if (current < 0) { __real_mi_unlock(lock); return; }
  if (*holder_of(lock) != current) fail("it opens a lock that it has not");
  *holder_of(lock) = -1;
  step();
}

void __wrap_mi_os_yield(void) {
  if (current < 0) { __real_mi_os_yield(); return; }
  wait_for_other();
}

/* ---- all orders ---- */

static void play(const scenario_t* s) {
  nsteps = nchoices = nwaits = nalone = ninterrupts = 0;
  memset(locks, 0, sizeof locks);
  s->set();
  for (int i = 0; i < 2; i++) {
    if (getcontext(&actors[i].context) != 0) fail("getcontext");
    actors[i].run = s->actor[i];
    actors[i].ended = false;
    actors[i].context.uc_stack = (stack_t){ .ss_sp = stacks[i], .ss_size = STACK };
    makecontext(&actors[i].context, (void (*)(void))&actor_main, 1, i);
  }
  current = order.first;
  if (swapcontext(&outside, &actors[current].context) != 0) fail("swapcontext");
  s->check();
}

/* Those that begin with this order and are interrupted up to `more` times more. */
static size_t play_all(const scenario_t* s, unsigned more) {
  play(s);
  size_t n = 1;
  const size_t from = order.n == 0 ? 0 : order.at[order.n - 1] + 1, to = nchoices;
  if (more == 0) return n;
  order.n++;
  for (size_t i = from; i < to; i++) {
    order.at[order.n - 1] = i;
    n += play_all(s, more - 1);
  }
  order.at[--order.n] = 0;
  return n;
}

void steps_all(const scenario_t* scenario, unsigned most) {
  size_t n = 0;
  CHECK(most <= MOST);
  signal(SIGSEGV, &crashed);
  signal(SIGBUS, &crashed);
  signal(SIGABRT, &crashed);
  for (order.first = 0; order.first < 2; order.first++) n += play_all(scenario, most);
  printf("# %zu orders\n", n);
}

size_t steps_record(void (*actor)(void), step_t* steps, size_t max) {
  recorded = steps;
  nrecorded = 0;
  max_recorded = max;
  actor();
  recorded = NULL;
  return nrecorded;
}
