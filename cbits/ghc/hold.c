/* drain.h. One capability after the other is taken, as who calls Haskell from C takes one. A disabled one cannot be taken, so the number is
   raised for a moment. Who sets it in that moment keeps what he set, unless that is what it was raised to: base does nothing then, so nobody
   sees it, and it is set back.
   (rts_pause, of GHC 9.2 and later, takes all at once. But who waits in it holds no capability, so forkProcess may come in between: then the
   child waits for that thread, which it has not, for ever.) */
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

void mi_hold_each(const bool wanted[MI_CAPS_MAX], void (*act)(uint32_t number)) {
  uint32_t n = 0;
  set_back();
  for (uint32_t i = 0; i < MI_CAPS_MAX; i++) if (wanted[i]) n = i + 1;
  if (n > enabled_capabilities) {
    before = enabled_capabilities;
    raised = n;
    setNumCapabilities(n);
  }
  for (uint32_t i = 0; i < n; i++) if (wanted[i]) hold(i, act);
  rts_setInCallCapability(-1, 0);
  set_back();
}
