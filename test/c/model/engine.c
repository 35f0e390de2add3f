/* The exhaustive scheduler (engine.h). Calls only the C library and, for the trace, remote.h's
   fields of the ownership word.

   Exploration. An execution is a list of choices: which actor takes the next atomic operation, and,
   where more than one value can be read, which. Depth first: run, then change the last choice that
   has an untried alternative, replay up to it, go on. No bound on preemptions. Sleep sets leave out
   orders that only swap neighbouring operations on different atomics, or two loads: an actor whose
   operation was tried at a node sleeps in that node's later branches until somebody touches the same atomic.

   Memory. Each atomic keeps all its writes, in order; each write carries the view it publishes; each
   actor has a view: vector clock, and for each atomic the oldest write it may still read.
   - A load may read any write from there on. Left out are old writes that were overtaken only while
     this actor stood before the load: that equals doing the load earlier, which is another branch.
   - A read-modify-write reads the newest write. It hands on the view of what it replaced (release sequence).
   - A compare-and-swap that fails is a load with its failure order, and so may fail by an old value.
   - A store begins a new release sequence, also behind the same actor's own (as from C17/C++20 on).
   Not covered: a load that reads from a write later in the order (no load buffering), and a store that
   goes in front of a newer one in modification order. */
#include "engine.h"
#include "remote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* What an actor knows. */
typedef struct { uint16_t clock[MODEL_ACTORS]; uint8_t at[MODEL_LOCS]; } view_t;

typedef struct { uint64_t value; view_t view; } message_t;
typedef struct { uint64_t* address; const char* name; int n; message_t message[MODEL_HISTORY]; } loc_t;

typedef struct {
  view_t view;
  void (*run)(void);
  bool finished;
  int loc;            /* the operation it stands before: on which atomic, */
  bool writes;        /* whether it may write, */
  int since;          /* and how many writes the atomic had when the actor came there; */
  bool stale[MODEL_LOCS];  /* what it read last was old then */
  uint64_t until_0;   /* it may not be done before these bits are 0 */
  jmp_buf start, context;
  bool made;          /* start is there */
  char stack[64 * 1024];
} actor_t;

/* A choice. Of actors: sets as bits. Of values: `chosen` below `n`. */
typedef struct { bool of_values; uint8_t enabled, sleep, done; int chosen, n; } node_t;

typedef struct {
  int actor; model_site_t site; const char* object;
  uint64_t before, after; bool writes, stale; const char* note;
} step_t;

static const model_scenario_t* scenario;
static actor_t actors[MODEL_ACTORS];
static loc_t locs[MODEL_LOCS];
static int nlocs, self;
static node_t nodes[MODEL_STEPS];
static int nnodes, depth;        /* choices known; choices made in this execution */
static step_t steps[MODEL_STEPS];
static int nsteps;
static long nexecutions;
static bool quiet_run;
bool model_skip_hopeless;
static bool covered;             /* this execution is left */
static jmp_buf scheduler;

/* ---- the trace ---- */

static const char* actor_name(int i) { return i == 0 ? "setting" : scenario->actor[i - 1].name; }

static void print_value(const char* object, uint64_t v) {
  static const char* const states[] = { "DEAD", "OWNED", "FULL", "POOLED" };
  if (strstr(object, "xword") == NULL) { printf("0x%llx", (unsigned long long)v); return; }
  printf("%s v%u head %u count %u", states[mi_xword_state(v)], (unsigned)(v / MI_XVERSION_ONE),
         mi_xword_head(v), mi_xword_count(v));
  if ((v & MI_XPIN_MASK) != 0) printf(" pins %u", (unsigned)((v & MI_XPIN_MASK) / MI_XPIN_ONE));
}

/* The step's name: what the comment on its source line begins with, up to " pairs" or ":". */
static void print_step_name(model_site_t site) {
  char line[256] = "", name[32] = "";
  FILE* f = fopen(site.file, "r");
  for (int i = 0; f != NULL && i < site.line && fgets(line, sizeof line, f) != NULL; i++) {}
  if (f != NULL) fclose(f);
  const char* from = strstr(line, "/* ");
  if (from != NULL && from[3] >= 'A' && from[3] <= 'Z' && from[4] >= '0' && from[4] <= '9') {
    from += 3;
    size_t n = strcspn(from, ":.*\n");
    const char* pairs = strstr(from, " pairs");
    if (pairs != NULL && (size_t)(pairs - from) < n) n = (size_t)(pairs - from);
    if (n >= sizeof name) n = sizeof name - 1;
    memcpy(name, from, n);
  }
  printf("%-8s", name);
}

static const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

/* Of the setting only the notes. */
static void print_trace(void) {
  int number = 0;
  for (int i = 0; i < nsteps; i++) {
    const step_t* s = &steps[i];
    if (s->actor == 0 && s->note == NULL) continue;
    printf("  %3d  %-8s ", ++number, actor_name(s->actor));
    if (s->note != NULL) {
      printf("         %s %s\n", s->note, s->object);
      continue;
    }
    print_step_name(s->site);
    printf(" %-13s %-8s ", s->site.op, s->object);
    print_value(s->object, s->before);
    if (s->writes) { printf(" -> "); print_value(s->object, s->after); }
    else if (strncmp(s->site.op, "cas", 3) == 0) printf(" (failed%s)", s->stale ? ", an old value" : "");
    else if (s->stale) printf(" (an old value)");
    printf("   %s:%d\n", base_name(s->site.file), s->site.line);
  }
}

_Noreturn void model_fail(const char* format, ...) {
  char why[256];
  va_list args;
  va_start(args, format);
  vsnprintf(why, sizeof why, format, args);
  va_end(args);
  printf("not ok model %s: %s (execution %ld, %s)\n", scenario->name, why, nexecutions + 1, actor_name(self));
  if (!quiet_run) print_trace();
  fflush(stdout);
  exit(1);
}

static step_t* record(model_site_t site, const char* object) {
  if (nsteps == MODEL_STEPS) model_fail("does not end");
  step_t* s = &steps[nsteps++];
  *s = (step_t){ .actor = self, .site = site, .object = object };
  return s;
}

void model_note(const char* what, const char* object) {
  record((model_site_t){ 0 }, object)->note = what;
}

int model_self(void) { return self; }

/* ---- memory ---- */

static void view_join(view_t* to, const view_t* from) {
  for (int i = 0; i < MODEL_ACTORS; i++) if (to->clock[i] < from->clock[i]) to->clock[i] = from->clock[i];
  for (int i = 0; i < MODEL_LOCS; i++) if (to->at[i] < from->at[i]) to->at[i] = from->at[i];
}

void model_atomic(uint64_t* p, const char* name) {
  if (nlocs == MODEL_LOCS) model_fail("too many atomics");
  loc_t* l = &locs[nlocs++];
  l->address = p;
  l->name = name;
  l->n = 1;
  l->message[0] = (message_t){ .value = *p };
}

static void yield(void) {
  if (_setjmp(actors[self].context) == 0) _longjmp(scheduler, 1);
}

/* Stands before an operation on p until the scheduler says go. */
static int stand(const uint64_t* p, bool writes) {
  int i = 0;
  while (i < nlocs && locs[i].address != p) i++;
  if (i == nlocs) model_fail("an operation on an atomic that was not named");
  actor_t* a = &actors[self];
  a->loc = i;
  a->writes = writes;
  a->since = locs[i].n;
  if (self != 0) yield();
  return i;
}

_Noreturn void model_covered(void) {
  covered = true;
  _longjmp(scheduler, 1);
}

static int choose(int n) {
  if (n == 1) return 0;
  if (depth == nnodes) {
    if (nnodes == MODEL_STEPS) model_fail("does not end");
    nodes[nnodes++] = (node_t){ .of_values = true, .n = n };
  }
  return nodes[depth++].chosen;
}

/* Which write a load reads: the newest is choice 0. `other_than`: a failing compare-and-swap
   cannot have read this. */
static int choose_message(int i, const uint64_t* other_than) {
  const actor_t* a = &actors[self];
  int old[MODEL_HISTORY], n = 1;
  old[0] = locs[i].n - 1;
  for (int k = a->since - 2; k >= a->view.at[i]; k--) {
    if (other_than == NULL || locs[i].message[k].value != *other_than) old[n++] = k;
  }
  return old[choose(n)];
}

static uint64_t read_message(int i, int k, model_order_t order) {
  view_t* v = &actors[self].view;
  v->at[i] = (uint8_t)k;
  if (order & MODEL_ACQUIRE) view_join(v, &locs[i].message[k].view);
  return locs[i].message[k].value;
}

static void write_message(int i, uint64_t value, model_order_t order, bool rmw) {
  loc_t* l = &locs[i];
  view_t* v = &actors[self].view;
  if (l->n == MODEL_HISTORY) model_fail("does not end");
  message_t* m = &l->message[l->n];
  *m = (message_t){ .value = value };
  if (rmw) m->view = l->message[l->n - 1].view;
  v->at[i] = (uint8_t)l->n;
  m->view.at[i] = (uint8_t)l->n;
  if (order & MODEL_RELEASE) view_join(&m->view, v);
  l->n++;
  *l->address = value;
  v->clock[self]++;                /* what follows is not published by this write */
}

uint64_t model_load(const uint64_t* p, model_order_t order, model_site_t site) {
  const int i = stand(p, false);
  const int k = choose_message(i, NULL);
  step_t* s = record(site, locs[i].name);
  s->stale = actors[self].stale[i] = k != locs[i].n - 1;
  return s->before = read_message(i, k, order);
}

void model_store(uint64_t* p, uint64_t value, model_order_t order, model_site_t site) {
  const int i = stand(p, true);
  step_t* s = record(site, locs[i].name);
  s->before = *p;
  s->after = value;
  s->writes = true;
  write_message(i, value, order, false);
}

uint64_t model_rmw(uint64_t* p, model_rmw_t kind, uint64_t operand, model_order_t order, model_site_t site) {
  const int i = stand(p, true);
  const uint64_t old = read_message(i, locs[i].n - 1, order);
  uint64_t value = operand;
  switch (kind) {
    case MODEL_SWAP: break;
    case MODEL_AND: value = old & operand; break;
    case MODEL_OR:  value = old | operand; break;
    case MODEL_ADD: value = old + operand; break;
    case MODEL_SUB: value = old - operand; break;
  }
  step_t* s = record(site, locs[i].name);
  s->before = old;
  s->after = value;
  s->writes = true;
  write_message(i, value, order, true);
  return old;
}

bool model_cas(uint64_t* p, uint64_t* expected, uint64_t desired, model_order_t order, model_order_t failed,
               model_site_t site) {
  const int i = stand(p, true);
  if (model_skip_hopeless && actors[self].stale[i] && *p != *expected) model_covered();
  const int k = choose_message(i, expected);
  const bool newest = k == locs[i].n - 1;
  const bool success = newest && *p == *expected;
  step_t* s = record(site, locs[i].name);
  s->stale = !newest;
  s->writes = success;
  s->after = desired;
  s->before = read_message(i, k, success ? order : failed);
  actors[self].stale[i] = !newest;
  if (success) write_message(i, desired, order, true);
  else *expected = s->before;
  return success;
}

void model_wait(const uint64_t* p, uint64_t bits, model_site_t site) {
  actors[self].until_0 = bits;
  const int i = stand(p, false);
  actors[self].until_0 = 0;
  record(site, locs[i].name)->before = read_message(i, locs[i].n - 1, MODEL_RELAXED);
}

/* ---- plain memory ---- */

static void race(const model_cell_t* c, model_site_t site, int other, model_site_t theirs) {
  model_fail("race on %s: %s at %s:%d, and %s's %s at %s:%d", c->name, site.op, base_name(site.file),
             site.line, actor_name(other), theirs.op, base_name(theirs.file), theirs.line);
}

uint64_t model_read(model_cell_t* c, model_site_t site) {
  const view_t* v = &actors[self].view;
  if (c->write_clock > v->clock[c->writer]) race(c, site, c->writer, c->write_site);
  c->read_clock[self] = v->clock[self];
  c->read_site[self] = site;
  return c->value;
}

void model_write(model_cell_t* c, uint64_t value, model_site_t site) {
  const view_t* v = &actors[self].view;
  if (c->write_clock > v->clock[c->writer]) race(c, site, c->writer, c->write_site);
  for (int i = 0; i < MODEL_ACTORS; i++) {
    if (c->read_clock[i] > v->clock[i]) race(c, site, i, c->read_site[i]);
  }
  c->writer = self;
  c->write_clock = v->clock[self];
  c->write_site = site;
  c->value = value;
}

/* ---- the scheduler ---- */

static void actor_main(void) {
  _setjmp(actors[self].start);      /* every later execution begins here, wherever the last one stopped */
  actors[self].run();
  actors[self].finished = true;
  _longjmp(scheduler, 1);
}

/* Coroutines get their stacks through a ucontext, once; after that they are switched by _setjmp and
   _longjmp, which unlike swapcontext make no system call. */
static void first_start(actor_t* a) {
  ucontext_t u;
  getcontext(&u);
  u.uc_stack.ss_sp = a->stack;
  u.uc_stack.ss_size = sizeof a->stack;
  u.uc_link = NULL;
  makecontext(&u, actor_main, 0);
  a->made = true;
  setcontext(&u);
}

/* Runs actor i, from its start or from where it stands, to its next operation or its end. */
static void go(int i, bool from_start) {
  self = i;
  if (_setjmp(scheduler) == 0) {
    if (!actors[i].made) first_start(&actors[i]);
    _longjmp(from_start ? actors[i].start : actors[i].context, 1);
  }
  self = 0;
}

static bool independent(const actor_t* a, const actor_t* b) {
  return a->loc != b->loc || (!a->writes && !b->writes);
}

static void begin(void) {
  depth = nsteps = nlocs = 0;
  covered = false;
  self = 0;
  memset(&actors[0].view, 0, sizeof actors[0].view);
  actors[0].view.clock[0] = 1;
  scenario->setup();
  actors[0].view.clock[0]++;
  for (int i = 1; i < MODEL_ACTORS; i++) {
    actor_t* a = &actors[i];
    a->run = scenario->actor[i - 1].run;
    a->finished = a->run == NULL;
    a->view = actors[0].view;
    a->view.clock[0]--;
    a->view.clock[i] = 1;
    a->until_0 = 0;
    memset(a->stale, 0, sizeof a->stale);
    if (!a->finished) go(i, true);
  }
}

/* Who may go on, as a set. If nobody can, all have finished. */
static uint8_t find_enabled(void) {
  uint8_t enabled = 0;
  int waiting = 0;
  for (int i = 1; i < MODEL_ACTORS; i++) {
    const actor_t* a = &actors[i];
    if (a->finished) continue;
    if (a->until_0 != 0 && (*locs[a->loc].address & a->until_0) != 0) waiting = i;
    else enabled |= (uint8_t)(1 << i);
  }
  if (enabled == 0 && waiting != 0)
    model_fail("%s waits for ever for %s", actor_name(waiting), locs[actors[waiting].loc].name);
  return enabled;
}

static int lowest(unsigned set) { return __builtin_ctz(set); }

/* One execution; false if it was left because only orders that were tried before remain. */
static bool execute(void) {
  uint8_t sleep = 0;
  begin();
  for (;;) {
    const uint8_t enabled = find_enabled();
    if (enabled == 0) break;
    if (depth == nnodes) {
      if ((enabled & ~sleep) == 0) return false;
      if (nnodes == MODEL_STEPS) model_fail("does not end");
      nodes[nnodes++] = (node_t){ .enabled = enabled, .sleep = sleep, .chosen = lowest(enabled & ~sleep) };
    }
    const node_t* node = &nodes[depth++];
    const int chosen = node->chosen;
    sleep = 0;
    for (int i = 1; i < MODEL_ACTORS; i++) {
      if (((node->sleep | node->done) >> i & 1) && independent(&actors[i], &actors[chosen]))
        sleep |= (uint8_t)(1 << i);
    }
    go(chosen, false);
    if (covered) return false;
  }
  scenario->finish();
  return true;
}

/* Changes the last choice that has an alternative; false if there is none. */
static bool next(void) {
  while (nnodes > 0) {
    node_t* node = &nodes[nnodes - 1];
    if (node->of_values) {
      if (++node->chosen < node->n) return true;
    }
    else {
      node->done |= (uint8_t)(1 << node->chosen);
      const unsigned rest = node->enabled & ~(unsigned)(node->sleep | node->done);
      if (rest != 0) {
        node->chosen = lowest(rest);
        return true;
      }
    }
    nnodes--;
  }
  return false;
}

bool model_explore(const model_scenario_t* s, bool quiet) {
  scenario = s;
  quiet_run = quiet;
  nnodes = 0;
  nexecutions = 0;
  do {
    if (execute()) nexecutions++;
  } while (next());
  printf("ok model %s (%ld executions)\n", s->name, nexecutions);
  return true;
}
