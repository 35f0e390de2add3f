/* See drain.h; mi_cap_drain_.. are described in mimalloc-cap.h. docs/protocols.md, section 10, Draining. */
#include "Rts.h"

#include "core/os.h"
#include "core/owner.h"
#include "ghc/drain.h"
#include "ghc/fast.h"
#include "include/mimalloc-cap.h"

/* ---- one drains, until hs_exit ---- */

/* the process in which somebody drains; 0: nobody does; ENDED: nobody may any more */
static mi_atomic(uint64_t) xdrainer;
#define ENDED UINT64_MAX
enum { PATIENCE_MS = 100 };

bool mi_rts_lives(void) { return __atomic_load_n(&stable_ptr_table, __ATOMIC_RELAXED) != NULL; }

/* Has hs_exit call mi_drain_ends; in a forked process it does so already. Twice does no harm. */
extern StgClosure mi_at_exit_closure;
static mi_atomic(bool) xregistered;

void mi_drain_registered(void) { mi_store_release(&xregistered, true); }  /* pairs with itself */

static bool drain_may(void) {
  if (!rtsSupportsBoundThreads() || mi_load_acquire(&xregistered)) return true;  /* pairs with itself */
  if (!mi_rts_lives()) return false;
  HaskellObj result;
  Capability* cap = rts_lock();
  rts_eval(&cap, (HaskellObj)&mi_at_exit_closure, &result);
  const bool registered = rts_getSchedStatus(cap) == Success;             /* else hs_exit came before it */
  if (registered) mi_drain_registered();
  rts_unlock(cap);
  return registered;
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

void mi_drain_held(uint32_t number) {
  /* pairs with cap_begin, mi_cap_heap_set_default */
  mi_lheap_t* lh = mi_load_acquire(&mi_fast.lheaps[number]);
  if (lh == NULL) return;
  mi_owner_enter(lh->owner);
  mi_owner_abandon(lh->owner);
  mi_owner_leave(lh->owner);
}

static void drain_each(const bool wanted[MI_CAPS_MAX]) {
  if (rtsSupportsBoundThreads()) mi_drain_each(wanted);
  else if (wanted[0]) mi_drain_held(0);  /* the one thread of Haskell is in here */
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

/* Those that have done nothing since activity[] was written. */
void mi_cap_drain_idle(uint64_t activity[]) {
  bool wanted[MI_CAPS_MAX], any = false;
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) {
    wanted[i] = activity[i] != 0 && mi_cap_activity((int)i) == activity[i];
    any |= wanted[i];
  }
  if (any && mi_drain_begin()) {
    drain_each(wanted);
    mi_drain_end();
  }
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) activity[i] = mi_cap_activity((int)i);
}
