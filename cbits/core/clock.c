/* See clock.h. */
#include "clock.h"
#include "options.h"
#include "os.h"
#include "policy.h"

typedef bool (*mi_pause_t)(void);

mi_due_t mi_due;
static mi_atomic(mi_pause_t) xpause;

void mi_clock_set_pause(mi_pause_t is_paused) {
  mi_store_release(&xpause, is_paused);                                   /* pairs with mi_clock_is_paused */
}

bool mi_clock_is_paused(void) {
  const mi_pause_t is_paused = mi_load_acquire(&xpause);                  /* pairs with mi_clock_set_pause */
  return mi_unlikely(is_paused != NULL) && is_paused();
}

/* The delay is looked up when it is needed: one that was lowered holds at once. */
uint64_t mi_clock_round_ms(void) {
  return mi_policy_round_ms(mi_option_quick(mi_option_purge_delay));
}

bool mi_clock_is_over(uint64_t since, uint64_t now) {
  const uint64_t round = mi_clock_round_ms();
  return round != 0 && (now < since || now - since >= round);
}

uint64_t mi_clock_at(void) {
  const uint64_t since = mi_load_relaxed(&mi_due.xsince), round = mi_clock_round_ms();   /* a time only */
  return since == 0 || round == 0 ? 0 : since + round;
}

void mi_clock_set(void) {
  const uint64_t now = mi_os_now_ms();
  mi_due_schedule(&mi_due, mi_max(now, 1));
}
