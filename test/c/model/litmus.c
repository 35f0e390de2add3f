/* The engine tested by the classic litmus programs: after all executions of each, the set of results
   seen must be exactly the one that C11 allows (without load buffering, which the engine does not play).
   A result is a small number that the actors make of what they read. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t x, y;
static int r1, r2, r3;
static unsigned seen;              /* bit k: result k */

static void setup(void) {
  x = y = 0;
  r1 = r2 = r3 = 0;
  model_atomic(&x, "x");
  model_atomic(&y, "y");
}

static void finish(void) { seen |= 1u << (r1 + 4 * r2 + 16 * r3); }

/* r1 + 4 * r2 */
#define RESULT(a, b) (1u << ((a) + 4 * (b)))

/* Message passing. */
static void mp_write_relaxed(void) { mi_store_relaxed(&x, 1); mi_store_relaxed(&y, 1); }
static void mp_write_release(void) { mi_store_relaxed(&x, 1); mi_store_release(&y, 1); }
static void mp_read_relaxed(void) { r1 = (int)mi_load_relaxed(&y); r2 = (int)mi_load_relaxed(&x); }
static void mp_read_acquire(void) { r1 = (int)mi_load_acquire(&y); r2 = (int)mi_load_relaxed(&x); }

/* Through somebody's read-modify-write (release sequence), or somebody's store (none). */
static void pass_rmw(void) { mi_add_relaxed(&y, 1); }
static void pass_store(void) { if (mi_load_relaxed(&y) == 1) mi_store_relaxed(&y, 2); }
static void read_2(void) { r1 = mi_load_acquire(&y) == 2; r2 = r1 && mi_load_relaxed(&x) == 0; }

/* Store buffering. */
static void sb_1(void) { mi_store_release(&x, 1); r1 = (int)mi_load_acquire(&y); }
static void sb_2(void) { mi_store_release(&y, 1); r2 = (int)mi_load_acquire(&x); }

/* Coherence: two loads of one atomic never go back. */
static void write_1_2(void) { mi_store_relaxed(&x, 1); mi_store_relaxed(&x, 2); }
static void read_read(void) { r1 = (int)mi_load_relaxed(&x); r2 = (int)mi_load_relaxed(&x); }

/* Read-modify-writes lose nothing. */
static void add_1(void) { mi_add_relaxed(&x, 1); r1 = 1; }
static void add_2(void) { mi_add_relaxed(&x, 1); r2 = 1; }
static void finish_sum(void) { seen |= 1u << x; }

/* A compare-and-swap may fail by an old value; it succeeds only by the newest (2 is: nothing follows it). */
static void cas_twice(void) {
  uint64_t w = 9;
  mi_cas_relaxed(&x, &w, 3);
  r1 = (int)w;
  r2 = mi_cas_relaxed(&x, &w, 3);
}

static const struct { model_scenario_t scenario; unsigned allowed; } tests[] = {
  { { "litmus MP", setup, { { "w", mp_write_relaxed }, { "r", mp_read_relaxed } }, finish },
    RESULT(0, 0) | RESULT(0, 1) | RESULT(1, 0) | RESULT(1, 1) },
  { { "litmus MP+rel+rlx", setup, { { "w", mp_write_release }, { "r", mp_read_relaxed } }, finish },
    RESULT(0, 0) | RESULT(0, 1) | RESULT(1, 0) | RESULT(1, 1) },
  { { "litmus MP+rel+acq", setup, { { "w", mp_write_release }, { "r", mp_read_acquire } }, finish },
    RESULT(0, 0) | RESULT(0, 1) | RESULT(1, 1) },
  { { "litmus MP+rmw", setup, { { "w", mp_write_release }, { "p", pass_rmw }, { "r", read_2 } }, finish },
    RESULT(0, 0) | RESULT(1, 0) },
  { { "litmus MP+store", setup, { { "w", mp_write_release }, { "p", pass_store }, { "r", read_2 } }, finish },
    RESULT(0, 0) | RESULT(1, 0) | RESULT(1, 1) },
  { { "litmus SB", setup, { { "1", sb_1 }, { "2", sb_2 } }, finish },
    RESULT(0, 0) | RESULT(0, 1) | RESULT(1, 0) | RESULT(1, 1) },
  { { "litmus CoRR", setup, { { "w", write_1_2 }, { "r", read_read } }, finish },
    RESULT(0, 0) | RESULT(0, 1) | RESULT(0, 2) | RESULT(1, 1) | RESULT(1, 2) | RESULT(2, 2) },
  { { "litmus RMW", setup, { { "1", add_1 }, { "2", add_2 } }, finish_sum }, 1u << 2 },
  { { "litmus CAS", setup, { { "w", write_1_2 }, { "c", cas_twice } }, finish },
    RESULT(0, 0) | RESULT(0, 1) | RESULT(1, 0) | RESULT(1, 1) | RESULT(2, 1) },
};

int main(void) {
  int status = 0;
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
    seen = 0;
    model_explore(&tests[i].scenario, false);
    if (seen == tests[i].allowed) continue;
    printf("not ok model %s: results %x, not %x\n", tests[i].scenario.name, seen, tests[i].allowed);
    status = 1;
  }
  return status;
}
