/* What an OS thread has for itself, of every layer. Two ways to find it, chosen here and nowhere else:
   thread-local storage; or, where MI_LOCAL_BY_KEY is set (the Haskell package), a thread key, because GHC's
   linker for object files knows no thread-local storage. Each thread has its own: no field is shared.
   Any thread. local.c, or ghc/local_key.c, has them. */
#ifndef MI_LOCAL_H
#define MI_LOCAL_H

#include "types.h"

#define MI_ERRORS_LATER 8

typedef struct {
  mi_lheap_t* lheap;        /* the thread ring's: the default local heap, or one that is empty for ever */
  mi_heap_t*  main;         /* the main heap of this thread's sub-process; NULL: of the process */
  bool        ended;        /* its destructors run: heaps are made for one call only */
  bool        beginning;    /* within what a process does once: what is called there allocates */
  bool        in_callback;  /* once inside, none is called a second time */
  bool        frees_late;   /* it frees for a runtime system that may be ending: others may still read that */
  unsigned    late_calls;   /* calls under way after its end: a callback in one may make another */
  /* A bit for each rank that it has, or is about to take; the field's address is the thread's number. */
  unsigned    held_ranks;
  uint32_t    clock_ticks;  /* what slow paths gave back, in slices, since this thread looked at the clock */
  /* Of the pages that are born here, the next; none if a multiple of what is drawn at once (page.c). */
  uint64_t    life;
  uint64_t    heartbeat;    /* how often the deferred-free function was called here */
  unsigned    nerrors;      /* that wait to be reported (report.c) */
  bool        samples;      /* it is about to note a sample: none is made meanwhile */
  bool        allocated;    /* in a slow path, since the last look for what goes back early */
  struct { int error; const void* p; size_t size; } errors[MI_ERRORS_LATER];
} mi_local_t;

#define MI_LOCAL_INIT { .lheap = &mi_lheap_empty }

/* In the child of fork: what other threads had is free. */
void mi_local_after_fork(void);

#if MI_LOCAL_BY_KEY
mi_local_t* mi_local_by_key(void);
mi_inline mi_local_t* mi_local(void) { return mi_local_by_key(); }
#else
extern mi_tls mi_local_t mi_local_own;
mi_inline mi_local_t* mi_local(void) { return &mi_local_own; }
#endif

#endif
