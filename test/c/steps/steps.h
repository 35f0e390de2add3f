/* Two actors, each a coroutine of the one thread there is, and every order of their steps in which one is
   interrupted at most a few times. A step is an atomic operation of the core (step.h), a lock, or a wait
   (mi_lock, mi_os_yield: the linker puts ours in their place). All is deterministic. What it cannot show is
   what weak memory does: that is the model's (test/c/model). */
#ifndef STEPS_H
#define STEPS_H

#include "test.h"

typedef struct {
  void (*set)(void);                     /* before each order */
  void (*actor[2])(void);
  void (*check)(void);                   /* after each order, when both have ended */
} scenario_t;

/* Plays every order in which the actors are interrupted at most `most` times, beginning with either. */
void steps_all(const scenario_t* scenario, unsigned most);

/* What an actor that nobody interrupts does, from steps_record to the end of it: at most `max` steps.
   Returns how many. */
typedef struct { const volatile void* at; step_kind_t kind; memory_order order; } step_t;
size_t steps_record(void (*actor)(void), step_t* steps, size_t max);

#endif
