/* See drain.h; mi_cap_drain_.. are described in mimalloc-cap.h. docs/protocols.md, section 10, Draining. */
#include "Rts.h"

#include "core/options.h"
#include "core/os.h"
#include "core/owner.h"
#include "core/purger.h"
#include "ghc/drain.h"
#include "ghc/fast.h"
#include "include/mimalloc-cap.h"

/* ---- one drains ---- */

static mi_atomic(uint64_t) xdrainer;       /* the process in which somebody drains; 0: nobody does */

/* A process that was forked while somebody drained has nobody who does. */
static void drain_begin(void) {
  const uint64_t self = mi_os_process_id();
  for (;;) {
    uint64_t found = 0;
    if (mi_cas_acquire(&xdrainer, &found, self)) return;                  /* pairs with drain_end */
    if (found != self && mi_cas_acquire(&xdrainer, &found, self)) return; /* pairs with drain_end: this is a copy */
    mi_os_sleep_ms(1);
  }
}

static void drain_end(void) { mi_store_release(&xdrainer, 0); }           /* pairs with drain_begin */

/* The capability is held, by this thread. */
static void drain(uint32_t number) {
  mi_lheap_t* lh = mi_load_acquire(&mi_fast.lheaps[number]);              /* pairs with cap_begin, mi_cap_heap_set_default */
  if (lh == NULL) return;
  mi_owner_enter(lh->owner);
  mi_owner_abandon(lh->owner);
  mi_owner_leave(lh->owner);
}

static void drain_each(const bool wanted[MI_CAPS_MAX]) {
  if (rtsSupportsBoundThreads()) mi_hold_each(wanted, &drain);
  else if (wanted[0]) drain(0);                                           /* the one thread of Haskell is in here */
}

static void drain_from(uint32_t first) {
  bool wanted[MI_CAPS_MAX];
  drain_begin();
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) wanted[i] = i >= first && mi_cap_activity((int)i) != 0;
  drain_each(wanted);
  drain_end();
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
  if (any) {
    drain_begin();
    drain_each(wanted);
    drain_end();
  }
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) activity[i] = mi_cap_activity((int)i);
  return any;
}

void mi_cap_drain_idle(uint64_t activity[]) { drain_idle(activity, 0); }

/* ---- disabled capabilities, by themselves ---- */

/* Nobody tells that GHC has disabled a capability, so a thread looks every purge_delay, and four times as seldom while nothing changes. A
   capability is drained when it is disabled and has done nothing since the look before. Where it goes on (bound threads do), or is enabled
   for a moment and so gets work, more and more time passes between two drains. */
enum { QUIET = 4, REST_MOST = 256 };

static mi_atomic(uint64_t) xwatched;       /* the process that has the thread */
static mi_atomic(bool) xknown;             /* .. when the runtime system knows it, so that it is not ended under it */

static uint64_t look_ms(void) {
  const long delay = mi_option_get(mi_option_purge_delay);
  return delay < 0 ? 1000 : mi_max((uint64_t)delay, 50);
}

static uint64_t sum(const uint64_t activity[MI_CAPS_MAX]) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) total += activity[i];
  return total;
}

static void* watch(void* arg) {
  uint64_t activity[MI_CAPS_MAX] = { 0 }, before = 1;
  uint32_t enabled = 0, rest = 1, left = 0;
  rts_setInCallCapability(-1, 0);                                         /* makes this thread known */
  mi_store_release(&xknown, true);                                        /* pairs with mi_drain_watch */
  for (;;) {
    const bool quiet = sum(activity) == before;
    before = sum(activity);
    mi_os_sleep_ms(look_ms() * (quiet ? QUIET : 1));
    if (__atomic_load_n(&stable_ptr_table, __ATOMIC_RELAXED) == NULL) return arg;   /* hs_exit */
    const uint32_t now = __atomic_load_n(&enabled_capabilities, __ATOMIC_RELAXED);  /* GHC's: a hint */
    if (now != enabled) rest = 1, left = 0;
    enabled = now;
    if (mi_option_get(mi_option_purge_delay) < 0 || (left > 0 && --left > 0)) continue;
    if (drain_idle(activity, enabled)) left = rest = (uint32_t)mi_min(2 * rest, REST_MOST);
    mi_purge(false);
  }
}

void mi_drain_watch(void) {
  const uint64_t self = mi_os_process_id();
  uint64_t found = mi_load_relaxed(&xwatched);                            /* the swap decides */
  if (found == self || !rtsSupportsBoundThreads() || !mi_cas_acq_rel(&xwatched, &found, self)) return;   /* pairs with itself */
  mi_store_relaxed(&xknown, false);                                           /* no other is begun here */
  if (!mi_os_thread_start(&watch)) { mi_exchange_acq_rel(&xwatched, 0); return; }  /* pairs with itself: another tries again */
  while (!mi_load_acquire(&xknown)) mi_os_yield();                        /* pairs with watch */
}
