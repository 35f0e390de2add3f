/* drain.h. One capability after the other is taken, as who calls Haskell from C takes one. A disabled one cannot be taken, so the number is
   raised for a moment. Who sets it in that moment keeps what he set, unless that is what it was raised to: base does nothing then, so nobody
   sees it, and it is set back.
   (rts_pause, of GHC 9.2 and later, takes all at once. But who waits in it holds no capability, so forkProcess may come in between: then the
   child waits for that thread, which it has not, for ever.) */
#include <pthread.h>
#include <signal.h>

#include "Rts.h"

#include "ghc/drain.h"
#include "include/mimalloc-cap.h"

/* The number before it was raised, and what it was raised to. In the child of a fork that came in between they are still so. */
static uint32_t before, raised;

static void set_back(void) {
  if (raised != 0 && enabled_capabilities == raised) setNumCapabilities(before);
  raised = 0;
}

static void hold(uint32_t number, void (*act)(uint32_t number)) {
  rts_setInCallCapability((int)number, 0);
  Capability* cap = rts_lock();
  if (mi_cap_number() == (int)number) act(number);      /* not if it was disabled meanwhile */
  rts_unlock(cap);
}

/* Those below `n`. */
static void hold_below(uint32_t n, const bool wanted[MI_CAPS_MAX], void (*act)(uint32_t number)) {
  for (uint32_t i = 0; i < n; i++) if (wanted[i]) hold(i, act);
  rts_setInCallCapability(-1, 0);
}

typedef struct { uint32_t n; const bool* wanted; void (*act)(uint32_t number); } held_t;

static void* hold_raised(void* arg) {
  const held_t* held = arg;
  set_back();
  if (held->n > enabled_capabilities) {
    before = enabled_capabilities;
    raised = held->n;
    setNumCapabilities(held->n);
  }
  hold_below(held->n, held->wanted, held->act);
  set_back();
  hs_thread_done();
  return NULL;
}

/* Setting the number waits for whoever else stops all capabilities (forkProcess does). A worker thread of GHC's that waits so is lined up with
   the idle ones and may never be woken, while GHC's timer stands still: with one busy thread no other would run any more. So it is done by a
   thread of its own, without signals; where there can be none, disabled capabilities wait for the next time. */
void mi_hold_each(const bool wanted[MI_CAPS_MAX], void (*act)(uint32_t number)) {
  held_t held = { 0, wanted, act };
  sigset_t all, old;
  pthread_t thread;
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) if (wanted[i]) held.n = i + 1;
  if (held.n <= enabled_capabilities && raised == 0) { hold_below(held.n, wanted, act); return; }
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const bool made = pthread_create(&thread, NULL, &hold_raised, &held) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (made) pthread_join(thread, NULL);
  else hold_below(held.n < enabled_capabilities ? held.n : enabled_capabilities, wanted, act);
}
