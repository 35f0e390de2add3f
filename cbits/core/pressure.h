/* Pressure: how many bytes live in foreign pointers, of which the garbage collector knows nothing, and when it should be asked
   to collect because of them. A ledger by capability, which its holder writes and anybody adds up; and one decision at a time.
   Plain arithmetic: who collects is the ring's user. After .NET's ledger of memory pressure: ask only while it helps.
   Called by the rings. */
#ifndef MI_PRESSURE_H
#define MI_PRESSURE_H

#include "atomic.h"
#include "base.h"

#define MI_PRESSURE_FLOOR      (8 * MI_MiB) /* what may live without anybody asking, at first */
#define MI_PRESSURE_FLOOR_MOST (64 * MI_MiB)/* .. and where collections are dear */

/* Owner-only: by the holder of capability `number`. True: a collection is due, whoever asks for it begins with mi_pressure_begin. */
bool mi_pressure_hold(uint32_t number, size_t bytes);
void mi_pressure_drop(uint32_t number, size_t bytes);

/* Any thread. One at a time: false, another is at it, or it is not due any more. Then a minor collection with its finalizers;
   true from mi_pressure_after_minor: a major one with its finalizers too; then mi_pressure_end, which is told how many nanoseconds that took. */
bool mi_pressure_begin(void);
bool mi_pressure_after_minor(void);
void mi_pressure_end(bool major, uint64_t ns);

/* Is anybody between mi_pressure_begin and mi_pressure_end? Who is over the budget waits for him: what it makes meanwhile would
   count for what lives. */
bool mi_pressure_busy(void);

/* -1: the budget follows what lives; 0: never ask; else ask whenever so many bytes live. */
void mi_pressure_set(int64_t budget);

/* Counters go up only. Bytes. */
typedef struct {
  int64_t  budget;                  /* as set */
  uint64_t held;                    /* live in foreign pointers: a gauge */
  uint64_t next;                    /* a collection is due when so many live: a gauge */
  uint64_t next_major;              /* .. and a major one when after a minor one more than so many live: a gauge */
  uint64_t minor, major;            /* collections asked for */
  uint64_t minor_freed, major_freed;/* bytes that they gave back */
} mi_pressure_stats_t;
void mi_pressure_stats(mi_pressure_stats_t* stats);

/* In the child of fork nobody is at it. */
void mi_pressure_after_fork(void);

#endif
