/* What is due, and who sees to it: one clock for all memory that waits to be given back, and the word of the thread that does so
   (docs/protocols.md, section 5). Includes only the atomics, so that test/c/model runs the protocol verbatim.
   Any thread. clock.c has the one of this process. */
#ifndef MI_DUE_H
#define MI_DUE_H

#include "atomic.h"

typedef struct {
  mi_atomic(uint64_t) xsince;       /* since when something waits, milliseconds; 0: nothing does, or a round is seeing to it */
  mi_atomic(uint64_t) xthread;      /* the process that has the thread; 0: there is none */
} mi_due_t;

/* T1. Something waits, and that can be seen (a bit is set, by an atomic change). False: nobody knows yet, so T2. */
static inline bool mi_due_is_scheduled(mi_due_t* d) {
  return mi_or_acq_rel(&d->xsince, 0) != 0;                              /* T1 pairs with T3: it sees the bit, or I its 0 */
}

/* T2. After this who scheduled looks for the thread when it holds nothing any more (mi_purger_look), and starts one if there is none. */
static inline void mi_due_schedule(mi_due_t* d, uint64_t now) {
  uint64_t none = 0;
  mi_cas_acq_rel(&d->xsince, &none, now);                                /* T2 pairs with T3, T4. Another asker may have been first; a plain store would hide what he shows */
}

/* T3. A round begins: before it looks for anything. What is scheduled from here on is for the next. */
static inline void mi_due_round(mi_due_t* d) {
  mi_exchange_acq_rel(&d->xsince, 0);                                    /* T3 pairs with T1, T2: all changes of this word are read-modify-writes, so it shows what each asker did */
}

/* `self`: the process, not 0. False: there is one. */
static inline bool mi_due_thread_begins(mi_due_t* d, uint64_t self) {
  uint64_t none = 0;
  return mi_cas_acq_rel(&d->xthread, &none, self);                       /* pairs with T4 of the one before */
}

/* T4. By the thread, which found nothing due. True: it ends. False: something was scheduled meanwhile, and there is no other thread. */
static inline bool mi_due_thread_ends(mi_due_t* d, uint64_t self) {
  mi_exchange_acq_rel(&d->xthread, 0);                                   /* T4 pairs with mi_due_thread_begins; shown to T2 by the next */
  return !mi_due_is_scheduled(d) || !mi_due_thread_begins(d, self);
}

#endif
