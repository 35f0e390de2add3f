/* The thread that purges when nobody else does: a program that has stopped allocating gets its memory back, too.
   Any thread. Called by lheap.c and the rings; it calls keep.h.

   It is made when the process has committed MI_PURGER_MIN bytes, at the end of a slow path that allocates, where a thread may be
   made; from then on whoever begins a round of purging wakes it (mi_os_wake). Between rounds it sleeps. */
#ifndef MI_PURGER_H
#define MI_PURGER_H

#include "arena.h"

#define MI_PURGER_MIN (MI_HARD ? MI_MiB : 32 * MI_MiB)

mi_cold void mi_purger_start(void);
extern mi_atomic(bool) mi_purger_started;

/* At the end of a slow path, with nothing half done and no lock held. */
mi_inline void mi_purger_tend(void) {
  if (mi_likely(mi_load_relaxed(&mi_arena_totals.xcommitted) < MI_PURGER_MIN || mi_load_relaxed(&mi_purger_started))) return;  /* hints */
  mi_purger_start();
}

/* What else it does, piece by piece, each with the thread stopped: true if there is another. Set by who makes owners, since what
   is called lies above. */
void mi_purger_also(bool (*piece)(void));
/* Asks for that, purge_delay from now. */
extern mi_atomic(uint64_t) mi_purger_xalso_at;  /* milliseconds; 0: nobody asked */
mi_cold void mi_purger_ask(void);
mi_inline void mi_purger_later(void) {
  if (mi_unlikely(mi_load_relaxed(&mi_purger_xalso_at) == 0)) mi_purger_ask();  /* a time only */
}

/* Keeps it from working: for fork, and for who looks at everything. In the child of fork there is none. */
void mi_purger_stop(void);
void mi_purger_go_on(void);
void mi_purger_after_fork(bool child);

#endif
