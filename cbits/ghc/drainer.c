/* drain.h. How a capability is held by a thread that is on none.
   An enabled one is taken as by whoever calls Haskell from C. A disabled one cannot be taken so. But a
   Haskell thread that is bound and locked to it stays there, unless a collection begins just when it is about
   to run. So each capability that may be disabled gets such a thread at its first use, its drainer, which
   waits for an MVar (drainers.cmm). It costs an OS thread that sleeps, 17 KB resident.
   (To raise the number of capabilities for a moment would do it, too, but is not safe in every program. GHC
   stops its timer while the number is set, and waits for a Haskell thread then: a busy thread may never let
   that run. And the child of a fork in that moment may find locks of base's that nobody opens.) */
#define _GNU_SOURCE   /* pthread_setname_np */
#include <pthread.h>

#include "Rts.h"

#include "core/os.h"
#include "ghc/drain.h"
#include "include/mimalloc-cap.h"

/* The state of a capability's drainer stands in the lowest bits, above it the process in which that holds: a
   forked one has none. */
typedef enum { NONE, STARTS, COMES, WAITS, ASKED, STATES } state_t;

typedef struct {
  mi_atomic(uint64_t) xstate;
  mi_atomic(uintptr_t) xthread;     /* COMES: the OS thread that will be it */
  HsStablePtr mvar;  /* from WAITS on; the next drainer, and a forked process, goes on with it */
} drainer_t;

static drainer_t drainers[MI_CAPS_MAX];

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

/* ---- a drainer's life ---- */

extern StgClosure mi_drainer_closure, mi_drainers_wake_closure;

/* Success: it came to another capability, and returned. GHC may have moved it before it was locked, and moves
   even a locked one that is about to run on a disabled capability when a collection begins.
   Interrupted: by hs_exit. */
static SchedulerStatus drainer_ended(void) {
  HaskellObj result;
  SchedulerStatus status = Interrupted;
  Capability* cap = rts_lock();
  if (mi_drain_noted(&cap)) {
    rts_eval(&cap, &mi_drainer_closure, &result);
    status = rts_getSchedStatus(cap);
  }
  rts_unlock(cap);
  return status;
}

/* By the drainer, whatever it was. */
static void become(uint32_t number, state_t to) {
  if (!change(number, COMES, to) && !change(number, WAITS, to)) change(number, ASKED, to);
}

/* Before COMES, so that nobody takes what a thread wrote that is gone for his own; and after it, because one
   that took too long may have written meanwhile. */
static bool drainer_comes(uint32_t number) {
  mi_store_relaxed(&drainers[number].xthread, mi_os_thread());  /* compared with, by equality only */
  if (!change(number, STARTS, COMES)) return false;                       /* it took too long */
  mi_store_relaxed(&drainers[number].xthread, mi_os_thread());            /* the same */
  return true;
}

static void* drainer(void* arg) {
  const uint32_t number = (uint32_t)(uintptr_t)arg;
  if (!drainer_comes(number)) return NULL;
  pthread_setname_np(pthread_self(), "mi_drainer");                       /* for who looks at threads */
  rts_setInCallCapability((int)number, 0);
  SchedulerStatus status;
  while ((status = drainer_ended()) == Success && number < GHC_ENABLED) become(number, COMES);
  if (status != Interrupted) hs_thread_done();    /* hs_exit frees by itself what this would, perhaps now */
  become(number, NONE);
  return NULL;
}

/* Who asks for a capability when the runtime system has ended ends the process with an error. So whoever
   starts a drainer keeps that from ending until the drainer is about to ask: some 50 us, or until the system
   has a processor for it. (A drainer that loses its processor between saying so and asking, for as long as
   all of hs_exit takes, would still be too late.) If it takes too long, the drainer shall not ask any more,
   and a later look starts another: the capability of who waits may be held, so that no collection begins. */
enum { START_YIELDS = 100, START_MS = 200 };

void mi_drainer_start(uint32_t number) {
  uint64_t found = mi_load_acquire(&drainers[number].xstate);             /* pairs with change */
  if (found % STATES != NONE && found / STATES == mi_os_process_id()) return;
  /* pairs with change: another starts it */
  if (!mi_cas_acq_rel(&drainers[number].xstate, &found, word(STARTS))) return;
  if (mi_os_thread_start(&drainer, (void*)(uintptr_t)number)) {
    for (int i = 0; i < START_YIELDS && is(number, STARTS); i++) mi_os_yield();
    for (int ms = 0; ms < START_MS && is(number, STARTS); ms++) mi_os_sleep_ms(1);
  }
  change(number, STARTS, NONE);
}

void mi_drainers_start(void) {
  for (uint32_t i = 1; i < GHC_ENABLED && i < MI_CAPS_MAX; i++) {
    if (mi_cap_activity((int)i) != 0) mi_drainer_start(i);
  }
}

void mi_drainers_ready(void) {
  mi_drainers_start();
  for (uint32_t i = 1; i < MI_CAPS_MAX; i++) while (is(i, COMES)) mi_os_sleep_ms(1);
}

/* Is this capability the one whose drainer this thread is? */
static bool is_mine(uint32_t number) {
  return number < MI_CAPS_MAX && (is(number, COMES) || is(number, WAITS) || is(number, ASKED))
      && mi_load_relaxed(&drainers[number].xthread) == mi_os_thread();    /* equal only if I wrote it */
}

/* Capability-held, in the drainer. What it is to wait for: `mvar`, or what the one before it had. NULL: this
   is another capability than its own. */
HsStablePtr mi_drainer_enter(HsStablePtr mvar) {
  const uint32_t number = (uint32_t)mi_cap_number();
  const bool mine = is_mine(number);
  if (mine && drainers[number].mvar == NULL) drainers[number].mvar = mvar;
  else hs_free_stable_ptr(mvar);
  return mine && change(number, COMES, WAITS) ? drainers[number].mvar : NULL;
}

/* ---- what it does ---- */

/* Written by who drains; one at a time does (drain.c). */
static void (*what)(uint32_t number);
static uint32_t next;

/* Capability-held, in the drainer. False: this is another capability than its own. */
HsBool mi_drainer_act(void) {
  const uint32_t number = (uint32_t)mi_cap_number();
  if (!is_mine(number)) return false;
  if (is(number, ASKED)) {
    what(number);
    change(number, ASKED, WAITS);
  }
  return true;
}

/* Capability-held, in the thread that wakes. The next one that is asked; NULL: there is no more. */
HsStablePtr mi_drainer_next(void) {
  while (next < MI_CAPS_MAX) if (is(next++, ASKED)) return drainers[next - 1].mvar;
  return NULL;
}

static void hold(uint32_t number, void (*act)(uint32_t number)) {
  rts_setInCallCapability((int)number, 0);
  Capability* cap = rts_lock();
  if (mi_cap_number() == (int)number) act(number);      /* not if it was disabled meanwhile */
  rts_unlock(cap);
}

static void wake_asked(void) {
  HaskellObj result;
  Capability* cap = rts_lock();
  do {
    next = 0;
    rts_eval(&cap, &mi_drainers_wake_closure, &result);
  } while (rts_getSchedStatus(cap) == Killed);  /* somebody threw an exception to it */
  rts_unlock(cap);
}

void mi_hold_each(const bool wanted[MI_CAPS_MAX], void (*act)(uint32_t number)) {
  bool asked = false;
  what = act;
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) {
    if (!wanted[i]) continue;
    if (i < GHC_ENABLED) hold(i, act);
    else asked |= change(i, WAITS, ASKED);
  }
  rts_setInCallCapability(-1, 0);                       /* the thread may be the program's own */
  if (asked) wake_asked();
  for (uint32_t i = 0; asked && i < MI_CAPS_MAX; i++) while (is(i, ASKED)) mi_os_sleep_ms(1);
}
