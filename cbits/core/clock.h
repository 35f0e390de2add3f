/* The clock of this process (due.h), in the unit and with the delay of the options.
   Any thread. */
#ifndef MI_CLOCK_H
#define MI_CLOCK_H

#include "base.h"
#include "due.h"
#include "local.h"

extern mi_due_t mi_due;

/* A slow path counts the slices that it gives back, so that it reads the clock only now and then. */
mi_inline void mi_clock_tick(size_t nslices) { mi_local()->clock_ticks += (uint32_t)nslices; }

/* How long after something was scheduled a round begins (policy.h); 0: never. */
uint64_t mi_clock_round_ms(void);
/* Is the round over that began at `since`, by mi_os_now_ms? A clock that was set back ends it. */
bool mi_clock_is_over(uint64_t since, uint64_t now);
/* When the next round is due, by mi_os_now_ms; 0: never. */
uint64_t mi_clock_at(void);
mi_cold void mi_clock_set(void);

/* Must what was freed late (frees_late in local.h) stay as it is for now? Then there are no rounds. The ring
   that frees late says so (mi_clock_set_pause), before it does. Any thread, under any lock: that function
   takes none. */
bool mi_clock_is_paused(void);
void mi_clock_set_pause(bool (*is_paused)(void));

/* Something waits; what shows it was changed by an atomic operation of its own. */
mi_inline void mi_clock_schedule(void) { if (!mi_due_is_scheduled(&mi_due)) mi_clock_set(); }
/* The same behind an exchange that put something where a round will look. The round exchanges these places,
   too, also empty ones, after it has set xsince to 0. So who comes behind it sees that 0; a load will do. */
mi_inline void mi_clock_schedule_behind_exchange(void) {
  if (mi_load_relaxed(&mi_due.xsince) == 0) mi_clock_set();               /* shown by that exchange */
}

#endif
