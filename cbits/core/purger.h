/* Giving memory back: rounds, each half of purge_delay after something was scheduled (clock.h), in pieces;
   and the thread that makes them when nobody else does. Any thread.

   Where no thread of ours runs, slow paths of malloc and free make the rounds, in pieces (mi_policy_pieces).
   A thread is begun at the end of a slow path, where nothing is held, if the option purge_thread says so: by
   default only in a process that has threads already and has committed MI_PURGE_THREAD_MIN, or has mappings
   that wait. It ends when nothing has been due for a round, and is begun again. Where the C library's free is
   ours, only slow paths of malloc begin it: the C library frees with a lock held that it takes to make a
   thread (of the stacks of ended ones).

   Whatever else gives memory back ends as a slow path of free does, since nobody may come later: the end of a
   heap, or of a thread; an owner that gives its pages up; a collection that is not forced; a mapped file; a
   block that shrinks in place.

   No round is made where little is committed (mi_policy_round_pays): what waits stays marked until then.

   All of it together may use 2 % of a processor in any ten seconds: what is due waits for that. What is done
   inside pages counts twice and leaves three tenths of that to the rest, because it brings less. */
#ifndef MI_PURGER_H
#define MI_PURGER_H

#include "commit.h"
#include "clock.h"
#include "mapping.h"
#include "cache.h"
#include "local.h"
#include "report.h"
#include "os.h"
#include "policy.h"

extern mi_atomic(bool) mi_purger_xround;   /* a round is under way */
extern mi_atomic(size_t) mi_purger_xowners;  /* how many threads and capabilities allocate; by owner.c */
/* The C library's free is ours. Written once, as the process begins (pthread_once shows it); relaxed, since
   it publishes nothing. */
extern mi_atomic(bool) mi_purger_xreplaces_free;
mi_noinline void mi_purger_look(bool may_start);

/* Is there enough for a thread: memory, or mappings that wait, files too, whose bytes are not committed? */
mi_inline bool mi_purger_thread_pays(void) {
  return mi_load_relaxed(&mi_commit_totals.xcommitted) >= MI_PURGE_THREAD_MIN               /* hints */
         || mi_load_relaxed(&mi_mapping_xwaits);
}

/* No thread of ours runs, and one may be begun. A hint. */
mi_inline bool mi_purger_lacks_thread(void) {
  const long option = mi_option_quick(mi_option_purge_thread);
  if (mi_load_relaxed(&mi_due.xthread) != 0) return false;                /* a hint */
  return option < 0 ? mi_purger_thread_pays() && mi_os_has_threads() : option > 0;
}

mi_inline void mi_purger_look_if_due(bool may_start) {
  const bool round = mi_load_relaxed(&mi_purger_xround);                  /* a hint */
  if (!round && mi_load_relaxed(&mi_due.xsince) == 0) return;             /* a hint */
  if (++mi_local()->clock_ticks >= MI_CLOCK_TICKS || round || (may_start && mi_purger_lacks_thread()))
    mi_purger_look(may_start);
}

/* At the end of a slow path of malloc, with nothing half done and no lock held. Keeps errno. */
mi_inline void mi_purger_allocated(void) {
  mi_local()->allocated = true;
  mi_purger_look_if_due(true);
}
/* The same for one of free. */
mi_inline void mi_purger_freed(void) { mi_purger_look_if_due(!mi_load_relaxed(&mi_purger_xreplaces_free)); }
/* The same for whatever else gives memory back. It looks at the clock whatever was counted: a thread that
   could not be begun some time ago may be begun by now. */
mi_inline void mi_purger_ended(void) {
  mi_clock_tick(MI_CLOCK_TICKS);
  mi_purger_freed();
}

/* Makes a round, if it is time for one and nobody else is at it; force: gives back all that is cached or
   free, at once. */
void mi_purger_run(bool force);
/* The same round, a piece of it only. */
void mi_purger_run_piece(void);

/* A whole round over the pages of the pool, which waits for nothing: what is pooled now gets its holes.
   Pieces by others come between its own. Followed by mi_report_pending. */
void mi_purger_run_pages(void);

/* For others who look for OS pages inside pages: may they, and what it took, for all that is known without
   asking the system for its time. */
bool mi_purger_affords(void);
void mi_purger_charge(uint64_t us);

/* Have main ended and all who allocated? */
bool mi_purger_nobody_allocates(void);

/* Does a thread of ours run? A hint. */
bool mi_purger_has_thread(void);

/* Keeps rounds from being made and the thread from being begun: for fork, and for who looks at everything. In
   the child of fork there is none. */
void mi_purger_stop(void);
void mi_purger_go_on(void);
void mi_purger_after_fork(bool child);

#endif
