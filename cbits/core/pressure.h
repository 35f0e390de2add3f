/* Pressure: how many bytes are held by what a garbage collector frees, of which it knows nothing, and when it
   should be asked to collect because of them. A ledger by capability, which its holder writes and anybody
   adds up; the books, with one decision at a time. Plain arithmetic: who collects is the ring's user, and
   what the collector says of itself is an argument. After .NET's ledger of memory pressure, OCaml's custom
   blocks and GHC's -F: bytes here weigh like the collector's own. docs/memory-policy.md, section 10. */
#ifndef MI_PRESSURE_H
#define MI_PRESSURE_H

#include "atomic.h"
#include "base.h"

/* What may be made at first before anybody asks. Less fits a processor's cache, and a collection would cost
   more. */
#define MI_PRESSURE_FLOOR      (4 * MI_MiB)
#define MI_PRESSURE_MAJOR_FLOOR (16 * MI_MiB) /* the same for a major collection */
/* .. and where collections are dear or bring little, however little lives. Dear are those for which many
   capabilities stop. */
#define MI_PRESSURE_FLOOR_MOST(ncaps) ((8 + 8 * (uint64_t)(ncaps)) * MI_MiB)

/* The collector, as it is now. Counters go up only, and may wrap. */
typedef struct {
  uint64_t live;                    /* bytes of its own heap that outlived a collection */
  uint32_t collections, majors;     /* all that there were, whoever asked; the major ones of these */
  uint32_t ncaps;                   /* capabilities that there were so far */
  uint64_t now;                     /* nanoseconds, by any clock that does not go back */
} mi_collector_t;

/* MI_PRESSURE_FINISH: what ends a turn that paused. */
typedef enum { MI_PRESSURE_NONE, MI_PRESSURE_MINOR, MI_PRESSURE_MAJOR, MI_PRESSURE_FINISH } mi_pressure_due_t;

/* Owner-only: by the holder of capability `number`. True: enough was made to look whether a collection is
   due. */
bool mi_pressure_hold(uint32_t number, size_t bytes);
void mi_pressure_drop(uint32_t number, size_t bytes);

/* Any thread, at the cost of an atomic addition. */
void mi_pressure_hold_shared(size_t bytes);
void mi_pressure_drop_shared(size_t bytes);
/* Any thread: as the result of mi_pressure_hold. */
bool mi_pressure_shared_enough(void);

/* Any thread, while no collection is under way: what is due? Sees collections that nobody asked for: what
   they found is not asked for again. */
mi_pressure_due_t mi_pressure_look(const mi_collector_t* collector);

/* Any thread. One at a time: MI_PRESSURE_NONE, another is at it, or nothing is due any more. Else that
   collection, with its finalizers; after a minor one a major one likewise, if mi_pressure_after_minor says
   so; then mi_pressure_end, which is told what the last one was. */
mi_pressure_due_t mi_pressure_begin(uint64_t now);
/* After the minor collection and before its finalizers: false under a fixed budget, where they come at once.
   True: nobody is at it, and the next mi_pressure_begin says MI_PRESSURE_FINISH: the finalizers, then
   mi_pressure_after_minor. */
bool mi_pressure_pause(uint64_t now);
mi_pressure_due_t mi_pressure_after_minor(uint64_t now);
void mi_pressure_end(mi_pressure_due_t last, uint64_t now);

/* Is anybody between mi_pressure_begin and mi_pressure_end? Who is over the budget waits for him, until
   mi_pressure_turns has changed: what it makes meanwhile would count for what lives. */
bool mi_pressure_busy(void);
uint64_t mi_pressure_turns(void);
/* Who waits says so before and after. Whoever had a turn lets them go first. */
uint64_t mi_pressure_wait(void);         /* the turns so far */
void mi_pressure_waited(void);
bool mi_pressure_awaited(void);

/* Any thread. There is no memory for so many bytes, from any arena or from one only: may a major collection
   help, whatever is due? `room`: what a limit leaves without one, SIZE_MAX if there is none. False: several
   in a row have not, and found nothing dead that had lived after the one before; too little was made since;
   and they have not yet cost less than their share of the time. */
bool mi_pressure_may_help(bool one_arena, size_t size, size_t room, uint64_t now);
/* It was made, from `began` to `now`, and freed so many bytes of all, or in the arena. */
void mi_pressure_asked(bool one_arena, size_t size, uint64_t freed, uint64_t began, uint64_t now);
/* And then there was memory. */
void mi_pressure_helped(bool one_arena);

/* -1: the budget follows what lives; 0: never ask; else ask whenever so many bytes live. */
void mi_pressure_set(int64_t budget);

/* Counters go up only. Bytes. */
typedef struct {
  int64_t  budget;                  /* as set */
  uint64_t held;                    /* live: a gauge */
  uint64_t next;                    /* a collection is due when so many live: a gauge; 0: never */
  uint64_t next_major;              /* .. and a major one: a gauge; 0: never */
  uint64_t minor, major;            /* collections asked for */
  uint64_t minor_freed, major_freed;/* bytes that they gave back */
} mi_pressure_stats_t;
void mi_pressure_stats(mi_pressure_stats_t* stats);
uint64_t mi_pressure_held(void);

/* In the child of fork nobody is at it. */
void mi_pressure_after_fork(void);

#endif
