/* The exhaustive scheduler: runs two or three actors in every order that differs, with C11's
   acquire, release and relaxed as the operations name them. Implemented in engine.c, called by
   actors.c and scenarios.c. One OS thread; actors are coroutines.

   Atomics are plain uint64_t that were named with model_atomic; the operations are in model_atomic.h.
   Plain memory that more than one actor touches is a model_cell_t, read and written through
   model_get and model_set, which report a race: two accesses, one of them a write, of which
   neither happens before the other. */
#ifndef MODEL_ENGINE_H
#define MODEL_ENGINE_H

#include "model_atomic.h"

enum {
  MODEL_ACTORS = 4,    /* actor 0 is the setting: setup runs as it, alone, before all others */
  MODEL_LOCS = 24,     /* atomics */
  MODEL_HISTORY = 64,  /* writes to one atomic in one execution */
  MODEL_STEPS = 512    /* of one execution: more is reported as one that does not end */
};

/* Plain memory. */
typedef struct {
  const char* name;
  uint64_t value;
  int writer;                      /* who wrote last, and when and where */
  uint16_t write_clock;
  model_site_t write_site;
  uint16_t read_clock[MODEL_ACTORS];
  model_site_t read_site[MODEL_ACTORS];
} model_cell_t;

uint64_t model_read(model_cell_t* cell, model_site_t site);
void model_write(model_cell_t* cell, uint64_t value, model_site_t site);
#define model_get(cell)        model_read((cell), MODEL_SITE("read"))
#define model_set(cell, value) model_write((cell), (value), MODEL_SITE("write"))

typedef struct {
  const char* name;
  void (*setup)(void);                                   /* makes everything anew; names the atomics */
  struct { const char* name; void (*run)(void); } actor[MODEL_ACTORS - 1];
  void (*finish)(void);                                  /* looks at what was left; no accesses are tracked */
} model_scenario_t;

/* Set: all compare-and-swaps stand in loops that do nothing else to others, so one that must fail, because
   what it expects was old when it was read, need not be played: the loop is played with what it finds. */
extern bool model_skip_hopeless;

/* Runs every execution of the scenario; prints the first bad one and returns false. */
bool model_explore(const model_scenario_t* scenario, bool quiet);

/* Waits until these bits of the atomic are 0, which the real code does by looking again
   and again. Relaxed. */
void model_wait(const uint64_t* p, uint64_t bits, model_site_t site);
#define model_await(p, bits)   model_wait((p), (bits), MODEL_SITE("await"))

/* Ends the execution: whatever could come of it comes of another one too. */
_Noreturn void model_covered(void);

void model_atomic(uint64_t* p, const char* name);
int model_self(void);
void model_note(const char* what, const char* object);   /* a line for the trace; the strings must stay */

/* A wrong execution: prints it and ends the program. */
_Noreturn void model_fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

#endif
