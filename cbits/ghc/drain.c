/* See drain.h; mi_cap_drain_.. are described in mimalloc-cap.h. docs/protocols.md, section 10, Draining. */
#include "Rts.h"

#include "core/options.h"
#include "core/os.h"
#include "core/owner.h"
#include "core/purger.h"
#include "ghc/drain.h"
#include "ghc/fast.h"
#include "include/mimalloc-cap.h"

/* ---- one drains, until hs_exit ---- */

/* the process in which somebody drains; 0: nobody does; ENDED: nobody may any more */
static mi_atomic(uint64_t) xdrainer;
#define ENDED UINT64_MAX
enum { PATIENCE_MS = 100 };

static bool rts_lives(void) { return __atomic_load_n(&stable_ptr_table, __ATOMIC_RELAXED) != NULL; }

/* Has hs_exit call mi_drain_ends; in a forked process it does so already. Twice does no harm. */
extern StgClosure mi_at_exit_closure;
static mi_atomic(bool) xnoted;

bool mi_drain_noted(Capability** cap) {
  if (mi_load_acquire(&xnoted)) return true;                              /* pairs with itself */
  HaskellObj result;
  rts_eval(cap, (HaskellObj)&mi_at_exit_closure, &result);
  const bool noted = rts_getSchedStatus(*cap) == Success;                 /* else hs_exit came before it */
  if (noted) mi_store_release(&xnoted, true);                             /* pairs with itself */
  return noted;
}

static bool drain_may(void) {
  if (!rtsSupportsBoundThreads() || mi_load_acquire(&xnoted)) return true;  /* pairs with itself */
  if (!rts_lives()) return false;
  Capability* cap = rts_lock();
  const bool may = mi_drain_noted(&cap);
  rts_unlock(cap);
  return may;
}

/* A process that was forked while somebody drained has nobody who does. */
bool mi_drain_begin(void) {
  if (!drain_may()) return false;
  const uint64_t self = mi_os_process_id();
  for (;;) {
    uint64_t found = 0;
    if (mi_cas_acquire(&xdrainer, &found, self)) return true;             /* pairs with mi_drain_end */
    if (found == ENDED) return false;
    /* pairs with mi_drain_end: this is a copy */
    if (found != self && mi_cas_acquire(&xdrainer, &found, self)) return true;
    mi_os_sleep_ms(1);
  }
}

void mi_drain_end(void) { mi_store_release(&xdrainer, 0); }  /* pairs with mi_drain_begin, mi_drain_ends */

/* At hs_exit, which has all capabilities and keeps them. Whoever asked for one waits for ever, and does no
   harm; whoever is about to ask would come too late, and end the process with an error. The two cannot be
   told apart, so they get some time. */
void mi_drain_ends(void* nothing) {
  (void)nothing;
  const uint64_t self = mi_os_process_id();
  for (int ms = 0; ms < PATIENCE_MS; ms++, mi_os_sleep_ms(1)) {
    uint64_t found = 0;
    if (mi_cas_acquire(&xdrainer, &found, ENDED) || found == ENDED) return;  /* pairs with mi_drain_end */
    /* pairs with mi_drain_end: this is a copy */
    if (found != self && mi_cas_acquire(&xdrainer, &found, ENDED)) return;
  }
}

/* The capability is held, by this thread. */
static void drain(uint32_t number) {
  /* pairs with cap_begin, mi_cap_heap_set_default */
  mi_lheap_t* lh = mi_load_acquire(&mi_fast.lheaps[number]);
  if (lh == NULL) return;
  mi_owner_enter(lh->owner);
  mi_owner_abandon(lh->owner);
  mi_owner_leave(lh->owner);
}

static void drain_each(const bool wanted[MI_CAPS_MAX]) {
  if (rtsSupportsBoundThreads()) mi_hold_each(wanted, &drain);
  else if (wanted[0]) drain(0);  /* the one thread of Haskell is in here */
}

static void drain_from(uint32_t first) {
  bool wanted[MI_CAPS_MAX];
  if (!mi_drain_begin()) return;
  if (rtsSupportsBoundThreads()) mi_drainers_ready();
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) wanted[i] = i >= first && mi_cap_activity((int)i) != 0;
  drain_each(wanted);
  mi_drain_end();
}

void mi_cap_drain_all(void) { drain_from(0); }
void mi_cap_drain_disabled(void) { drain_from(enabled_capabilities); }

/* Those that have done nothing since activity[] was written, from this one on. */
static bool drain_idle(uint64_t activity[MI_CAPS_MAX], uint32_t first) {
  bool wanted[MI_CAPS_MAX], any = false;
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) {
    wanted[i] = i >= first && activity[i] != 0 && mi_cap_activity((int)i) == activity[i];
    any |= wanted[i];
  }
  if (any && mi_drain_begin()) {
    drain_each(wanted);
    mi_drain_end();
  }
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) activity[i] = mi_cap_activity((int)i);
  return any;
}

void mi_cap_drain_idle(uint64_t activity[]) { drain_idle(activity, 0); }

/* ---- disabled capabilities, by themselves ---- */

/* Nobody tells that GHC has disabled a capability, so a thread looks every purge_delay, and four times as
   seldom while nothing changes. A capability is drained when it is disabled and has done nothing since the
   look before. Where it goes on (bound threads do), or is enabled for a moment and so gets work, more and
   more time passes between two drains. */
enum { QUIET = 4, REST_MOST = 256 };

static mi_atomic(uint64_t) xwatched;       /* the process that has the thread */

static uint64_t look_ms(void) {
  const long delay = mi_option_get(mi_option_purge_delay);
  return delay < 0 ? 1000 : mi_max((uint64_t)delay, 50);
}

static uint64_t sum(const uint64_t activity[MI_CAPS_MAX]) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) total += activity[i];
  return total;
}

/* In a forked process there is none, nor where one could not be made. */
static void start_drainers(void) {
  if (!mi_drain_begin()) return;
  mi_drainers_start();
  mi_drain_end();
}

static void* watch(void* arg) {
  uint64_t activity[MI_CAPS_MAX] = { 0 }, before = 1;
  uint32_t enabled = 0, rest = 1, left = 0;
  for (;;) {
    const bool quiet = sum(activity) == before;
    before = sum(activity);
    mi_os_sleep_ms(look_ms() * (quiet ? QUIET : 1));
    if (mi_load_relaxed(&xdrainer) == ENDED || !rts_lives()) return arg;  /* hs_exit; a hint */
    const uint32_t now = __atomic_load_n(&enabled_capabilities, __ATOMIC_RELAXED);  /* GHC's: a hint */
    if (now != enabled) rest = 1, left = 0;
    enabled = now;
    if (!mi_load_acquire(&xnoted)) continue;  /* pairs with itself: no drainer is there yet */
    start_drainers();
    if (mi_option_get(mi_option_purge_delay) < 0 || (left > 0 && --left > 0)) continue;
    if (drain_idle(activity, enabled)) left = rest = (uint32_t)mi_min(2 * rest, REST_MOST);
    mi_purger_run(false);
  }
}

void mi_drain_watch(void) {
  const uint64_t self = mi_os_process_id();
  uint64_t found = mi_load_relaxed(&xwatched);                            /* the swap decides */
  /* pairs with itself */
  if (found == self || !rtsSupportsBoundThreads() || !mi_cas_acq_rel(&xwatched, &found, self)) return;
  /* pairs with itself: another tries again */
  if (!mi_os_thread_start(&watch, NULL)) mi_exchange_acq_rel(&xwatched, 0);
}
