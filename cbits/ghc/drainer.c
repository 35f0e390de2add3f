/* drain.h. How a capability is held by a thread that is on none.
   An enabled one is taken as by whoever calls Haskell from C. A disabled one cannot be taken so. But a
   Haskell thread that comes back from a safe call gets the capability that it had, even if that is disabled
   by now. So each capability that may be disabled gets such a thread at its first use, its drainer, which
   sleeps in a safe call until it is asked or it is time to look (drainers.cmm). It costs an OS thread, 17 KB
   resident.
   hs_exit waits for threads in safe calls. So there is one more, the sentinel, which waits as Haskell threads
   do: hs_exit ends it before it waits for others, and its OS thread ends the drainers.
   (To raise the number of capabilities for a moment would do it, too, but is not safe in every program. GHC
   stops its timer while the number is set, and waits for a Haskell thread then: a busy thread may never let
   that run. And the child of a fork in that moment may find locks of base's that nobody opens.) */
#define _GNU_SOURCE   /* pthread_setname_np */
#include <pthread.h>

#include "Rts.h"

#include "core/options.h"
#include "core/os.h"
#include "core/purger.h"
#include "ghc/drain.h"
#include "include/mimalloc-cap.h"

/* The state of a drainer stands in the lowest bits, above it the process in which that holds: a forked one
   has none.
   STARTS: its OS thread begins. COMES: that asks for the capability. WAITS: it is there. ASKED: to drain.
   AWAY: its capability was disabled before it was there; it comes when that is enabled. */
typedef enum { NONE, STARTS, COMES, WAITS, ASKED, AWAY, STATES } state_t;

typedef struct {
  mi_atomic(uint64_t) xstate;
  mi_atomic(uintptr_t) xthread;     /* COMES: the OS thread that will be it */
  mi_atomic(uint32_t) xbell;
  uint32_t number;                  /* of the capability */
  /* the drainer's: */
  uintptr_t no_exceptions;          /* the thread's queue of exceptions, when it is empty */
  uint64_t activity;                /* at its last look */
  uint32_t rest, left;              /* looks from one drain to the next; those that are left */
  bool quiet;                       /* nothing happened between its last two looks */
} drainer_t;

/* Capability 0 is never disabled: in its place is the sentinel. */
static drainer_t drainers[MI_CAPS_MAX];
enum { SENTINEL = 0 };
static mi_atomic(bool) xended;      /* hs_exit has begun */
static mi_atomic(bool) xlacks;      /* a hint: others may have none, after fork or without memory */

/* GHC's, which others write: a hint */
#define GHC_ENABLED __atomic_load_n(&enabled_capabilities, __ATOMIC_RELAXED)

static uint64_t word(state_t state) { return mi_os_process_id() * STATES + state; }

static bool is(uint32_t number, state_t state) {
  const uint64_t found = mi_load_acquire(&drainers[number].xstate);       /* pairs with change */
  return found % STATES == state && found == word(state);
}

/* False: it was not in this state. */
static bool change(uint32_t number, state_t from, state_t to) {
  uint64_t found = word(from);
  return mi_cas_acq_rel(&drainers[number].xstate, &found, word(to));      /* pairs with itself, is */
}

static bool rts_ends(void) { return mi_load_acquire(&xended); }           /* pairs with sentinel */

/* ---- when it drains by itself ---- */

/* GHC does not report that it has disabled a capability. So its drainer looks every purge_delay, within these
   limits, and four times as seldom while nothing changes there. It drains when the capability is disabled and
   has done nothing since the look before. Where that goes on (bound threads do), more and more time passes
   between two drains. */
enum { QUIET = 4, REST_MOST = 256, LOOK_LEAST_MS = 50, LOOK_MOST_MS = 250 };

static uint64_t look_ms(bool quiet) {
  const long delay = mi_option_get(mi_option_purge_delay);
  const uint64_t ms = delay < 0 ? LOOK_MOST_MS : mi_min(mi_max((uint64_t)delay, LOOK_LEAST_MS), LOOK_MOST_MS);
  return ms * (quiet ? QUIET : 1);
}

/* Capability-held, in its drainer. Is it to drain by itself? */
static bool look(drainer_t* d) {
  const uint64_t before = d->activity;
  d->activity = mi_cap_activity((int)d->number);
  d->quiet = d->activity == before;
  if (d->number < GHC_ENABLED) d->rest = 1, d->left = 0;
  if (d->number < GHC_ENABLED || !d->quiet || before == 0) return false;
  if (mi_option_get(mi_option_purge_delay) < 0 || (d->left > 0 && --d->left > 0)) return false;
  d->left = d->rest = (uint32_t)mi_min(2 * d->rest, REST_MOST);
  return true;
}

/* ---- what the Haskell thread does ---- */

/* Is this capability the one that this thread was to come to? */
static bool is_mine(uint32_t number) {
  return number < MI_CAPS_MAX && is(number, COMES)
      && mi_load_relaxed(&drainers[number].xthread) == mi_os_thread();    /* equal only if I wrote it */
}

static bool sentinel_start(void);

/* Capability-held, in a drainer. NULL: this is another capability than its own. */
drainer_t* mi_drainer_enter(uintptr_t no_exceptions) {
  const uint32_t number = (uint32_t)mi_cap_number();
  if (!is_mine(number) || !change(number, COMES, WAITS)) return NULL;
  drainers[number].no_exceptions = no_exceptions;
  mi_store_relaxed(&xlacks, true);                                        /* a hint */
  return &drainers[number];
}

/* In a drainer's safe call. False: it ends. */
StgWord mi_drainer_wait(drainer_t* d) {
  if (rts_ends()) return false;
  mi_os_wait_at(&d->xbell, look_ms(d->quiet));
  if (rts_ends()) return false;
  if (!is(d->number, ASKED)) mi_purger_run(false);
  return true;
}

/* Capability-held, in a drainer. False: it ends, to begin anew: somebody throws an exception at it; or there
   is no sentinel (yet), so that hs_exit, if it has begun, waits for it. */
StgWord mi_drainer_act(drainer_t* d, uintptr_t exceptions) {
  mi_assert(mi_cap_number() == (int)d->number);
  if (mi_cap_number() != (int)d->number) return false;
  const bool asked = is(d->number, ASKED);
  if (look(d) || asked) mi_drain_held(d->number);
  if (asked) change(d->number, ASKED, WAITS);
  if (mi_load_relaxed(&xlacks)) mi_drainers_start();                      /* a hint */
  return sentinel_start() && is(SENTINEL, WAITS) && exceptions == d->no_exceptions;
}

/* Capability-held, in the sentinel. False: this is not capability 0, which is never disabled. (When hs_exit
   ends a thread on one that is, its OS thread may wait for ever.) */
StgWord mi_sentinel_enter(HsStablePtr thread) {
  static HsStablePtr kept;
  if (kept != NULL) hs_free_stable_ptr(kept);           /* of one that ended, perhaps in the parent */
  kept = thread;
  mi_drain_registered();
  if (mi_cap_number() != 0) return false;
  change(SENTINEL, COMES, WAITS);
  return true;
}

/* ---- their OS threads ---- */

extern StgClosure mi_drainer_closure, mi_sentinel_closure;

/* All else is done by then, so that who has started it gives the capability back when it is asked for: else
   that might be disabled before. Of those that were started, the one that changes the state is it. */
static bool comes(uint32_t number, const char* name) {
  if (!is(number, STARTS)) return false;                                  /* it took too long */
  pthread_setname_np(pthread_self(), name);                               /* for who looks at threads */
  mi_os_thread_begins();
  rts_setInCallCapability((int)number, 0);
  return change(number, STARTS, COMES);
}

/* A capability is held, this one most likely: then what is asked is done here. False: it was on another. */
static bool begins_anew(uint32_t number) {
  if (change(number, WAITS, COMES)) return true;
  if (!is(number, ASKED)) return false;
  if (mi_cap_number() == (int)number) mi_drain_held(number);
  return change(number, ASKED, COMES);
}

/* The Haskell thread ends at hs_exit, or when somebody throws an exception at it; then it begins anew, while
   the capability is held, enabled or not. Or it was not on its capability: GHC may have moved it before it
   ran there, if that is disabled by now. What says whose it is is written anew each time: who started it may
   just have written that it is nobody's. */
static SchedulerStatus drain_there(uint32_t number) {
  HaskellObj result;
  SchedulerStatus status;
  mi_store_relaxed(&drainers[number].xthread, mi_os_thread());  /* compared with, by equality only */
  Capability* cap = rts_lock();
  do {
    rts_eval(&cap, &mi_drainer_closure, &result);
    status = rts_getSchedStatus(cap);
  } while (!rts_ends() && (begins_anew(number) || status == Killed));
  rts_unlock(cap);
  return status;
}

/* Waits so long, and then until its capability is enabled. False: hs_exit comes first. */
static bool comes_anew(uint32_t number, uint64_t ms) {
  if (number >= GHC_ENABLED) change(number, COMES, AWAY);
  do {
    mi_os_wait_at(&drainers[number].xbell, ms);
    if (number < GHC_ENABLED) change(number, AWAY, COMES);
    ms = look_ms(false);
  } while (!rts_ends() && is(number, AWAY));
  return !rts_ends();
}

/* So often it tries again at once. Then it waits longer and longer. */
enum { TRIES = 20 };

static void* drainer(void* arg) {
  const uint32_t number = (uint32_t)((drainer_t*)arg - drainers);
  if (!comes(number, "mi_drainer")) return NULL;
  uint64_t ms = 0;
  for (int tries = 1; drain_there(number) != Interrupted && comes_anew(number, ms); tries++) {
    if (tries > TRIES) ms = mi_min(2 * ms + 1, LOOK_MOST_MS);
  }
  return NULL;
}

/* Killed: somebody threw an exception to all threads. Success: it was on another capability. While one is
   held here, hs_exit goes no further. */
static SchedulerStatus sentinel_there(void) {
  HaskellObj result;
  SchedulerStatus status;
  Capability* cap = rts_lock();
  do {
    rts_eval(&cap, &mi_sentinel_closure, &result);
    status = rts_getSchedStatus(cap);
  } while (status == Killed);
  if (status == Success) change(SENTINEL, WAITS, COMES);
  else mi_store_release(&xended, true);                                   /* pairs with rts_ends */
  rts_unlock(cap);
  return status;
}

/* (hs_exit frees by itself what hs_thread_done would, perhaps now.) */
static void* sentinel(void* arg) {
  if (!comes(SENTINEL, "mi_sentinel")) return arg;
  while (sentinel_there() == Success) {}
  for (uint32_t i = 1; i < MI_CAPS_MAX; i++) mi_os_wake_at(&drainers[i].xbell);
  return NULL;
}

/* Who asks for a capability when the runtime system has ended ends the process with an error. So whoever
   starts such a thread keeps that from ending until the thread is about to ask: some 50 us, or until the
   system has a processor for it. (One that loses its processor between saying so and asking, for as long as
   all of hs_exit takes, would still be too late.) If it takes too long, it shall not ask any more, and a
   later look starts another: the capability of who waits may be held, so that no collection begins. */
enum { START_YIELDS = 100, START_MS = 200 };

/* False: there is none. */
static bool start(uint32_t number, void* (*run)(void* arg)) {
  drainer_t* d = &drainers[number];
  uint64_t found = mi_load_acquire(&d->xstate);                           /* pairs with change */
  if (found % STATES != NONE && found / STATES == mi_os_process_id()) return true;
  /* pairs with change: another starts it */
  if (!mi_cas_acq_rel(&d->xstate, &found, word(STARTS))) return true;
  d->number = number;
  mi_store_relaxed(&d->xthread, 0);       /* of one that is gone, in the parent; no thread's */
  if (mi_os_thread_start(run, d)) {
    for (int i = 0; i < START_YIELDS && is(number, STARTS); i++) mi_os_yield();
    for (int ms = 0; ms < START_MS && is(number, STARTS); ms++) mi_os_sleep_ms(1);
  }
  if (!change(number, STARTS, NONE)) return true;
  mi_store_relaxed(&xlacks, true);                                        /* a hint */
  return false;
}

static bool sentinel_start(void) { return start(SENTINEL, &sentinel); }

void mi_drainer_start(uint32_t number) {
  if (number == 0 || number >= MI_CAPS_MAX || rts_ends()) return;
  if (sentinel_start()) start(number, &drainer);
  if (change(number, AWAY, COMES)) mi_os_wake_at(&drainers[number].xbell);
}

void mi_drainers_start(void) {
  mi_store_relaxed(&xlacks, false);                                       /* a hint */
  for (uint32_t i = 1; i < GHC_ENABLED && i < MI_CAPS_MAX; i++) {
    if (mi_cap_activity((int)i) != 0) mi_drainer_start(i);
  }
}

void mi_drainers_ready(void) {
  mi_drainers_start();
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) while (is(i, COMES) && !rts_ends()) mi_os_sleep_ms(1);
}

/* ---- who asks ---- */

/* False: it was disabled meanwhile. */
static bool hold(uint32_t number) {
  rts_setInCallCapability((int)number, 0);
  Capability* cap = rts_lock();
  const bool here = mi_cap_number() == (int)number;
  if (here) mi_drain_held(number);
  rts_unlock(cap);
  return here;
}

/* Not one that is just beginning anew: it is there soon, or AWAY. */
static void ask(uint32_t number) {
  while (is(number, COMES) && !rts_ends()) mi_os_sleep_ms(1);
  if (change(number, WAITS, ASKED)) mi_os_wake_at(&drainers[number].xbell);
}

void mi_drain_each(const bool wanted[MI_CAPS_MAX]) {
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) {
    if (wanted[i] && !(i < GHC_ENABLED && hold(i))) ask(i);
  }
  rts_setInCallCapability(-1, 0);                       /* the thread may be the program's own */
  for (uint32_t i = 1; i < MI_CAPS_MAX; i++) while (is(i, ASKED) && !rts_ends()) mi_os_sleep_ms(1);
}
