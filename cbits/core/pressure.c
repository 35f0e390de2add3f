/* See pressure.h. Statistics and thresholds are relaxed: they publish nothing. */
#include "check.h"
#include "pressure.h"

#define STEP  MI_MiB                     /* a capability looks at the sum when it has held so much more; .. */
#define STEPS 64                         /* .. or, where much may be made, so many times on the way */
#define SHARE 10  /* of the time at most one part in so many goes to collections that were asked for */
/* Memory that is made in less time was not written to: touching new pages takes far longer. */
#define NS_PER_MIB 2000
#define UNTOUCHED  (512 * MI_MiB)          /* so much of that may wait for a collection */
#define NDEAR 3                          /* so many in a row: one alone may have been interrupted */
#define NBARREN 2                        /* the same: what dies is old, and only a major one finds it */
/* For want of memory, in vain: who catches the exception may let go of something and try again. */
#define NVAIN 3

/* By capability; the last is shared by all past the table. Balances wrap: what one made another may have
   freed. `xsince`: made since its holder looked last. */
typedef struct { mi_atomic(uint64_t) xheld, xsince; } mi_cachealign entry_t;
static entry_t ledger[MI_CAPS_MAX + 1];
/* The entries below this number and the last one are added up: no other was written to. */
static mi_atomic(uint32_t) xcaps;
static mi_atomic(uint64_t) xshared, xshared_looked;  /* held by any thread; the same at the last look */

static mi_atomic(int64_t) xbudget = -1;
static mi_atomic(size_t) xstep = STEP;
static mi_atomic(uint32_t) xwaiting;
static mi_atomic(uint64_t) xturns, xminor, xmajor, xminor_freed, xmajor_freed;
/* As last decided, for statistics. */
static mi_atomic(uint64_t) xnext = MI_PRESSURE_FLOOR, xnext_major = MI_PRESSURE_MAJOR_FLOOR;

/* Of major collections for want of memory, by whether one arena only would do: how many in a row were in
   vain; the smallest request of these; when the last one will have cost less than its share. Hints. */
static struct { mi_atomic(uint32_t) xn; mi_atomic(size_t) xleast; mi_atomic(uint64_t) xuntil; } vain[2];
/* book.after_major, for whoever has not taken the books. */
static mi_atomic(uint64_t) xafter_major;

/* The books are written by who has taken them, for a look or for a turn. */
enum { FREE, LOOKING, COLLECTING };
static mi_atomic(int) xtaken = FREE;
static struct {
  uint64_t live;                         /* the collector's own bytes, at the last look */
  uint64_t live_least;                   /* the fewest of them since the last major collection */
  uint32_t ncaps;                        /* likewise */
  uint32_t collections, majors;          /* seen */
  /* The fewest bytes held since the last collection, since the last major one. */
  uint64_t after_minor, after_major;
  size_t   floor;                        /* from MI_PRESSURE_FLOOR to floor_most(), or to UNTOUCHED */
  uint64_t began, ended;                 /* this turn, the last one */
  uint64_t major_from;                   /* when the last major one will have cost less than its share */
  uint64_t before;                       /* held before the collection that is under way */
  uint64_t paused, paused_held;          /* when this turn paused, or 0; held then */
  unsigned ndear, nbarren;               /* minor ones in a row that were dear, that brought little */
  bool     fruitful;                     /* the last minor one brought most of what was made */
  bool     asked;  /* the collections since the last look were asked for, for all that is known */
} book = { .floor = MI_PRESSURE_FLOOR, .ncaps = 1, .live_least = UINT64_MAX };

static bool book_take(int what) {
  int expected = FREE;
  return mi_cas_acq_rel(&xtaken, &expected, what);                        /* pairs with book_give */
}
static void book_give(void) {
  mi_assert(mi_load_relaxed(&xtaken) != FREE);                            /* ours */
  mi_store_release(&xtaken, FREE);                                        /* pairs with book_take */
}

uint64_t mi_pressure_held(void) {
  uint64_t total = mi_load_relaxed(&xshared) + mi_load_relaxed(&ledger[MI_CAPS_MAX].xheld);
  for (size_t i = 0, n = mi_load_relaxed(&xcaps); i < n; i++) total += mi_load_relaxed(&ledger[i].xheld);
  return (int64_t)total < 0 ? 0 : total;                                  /* read while others go on */
}

/* ---- the policy ---- */

static uint64_t floor_most(void) {
  return mi_max(MI_PRESSURE_FLOOR_MOST(book.ncaps), (book.live + book.after_minor) / 4);
}

/* Was so much made since the last turn that it cannot have been written to? Then most of it is not
   resident. */
static bool is_untouched(uint64_t made, uint64_t now) {
  return now - book.ended < made / MI_MiB * NS_PER_MIB;
}

/* How much may be made before a minor collection is due: a quarter of what lives here; where they are dear or
   bring little up to a quarter of what lives in both heaps, and more while it is not written to. */
static uint64_t minor_growth(uint64_t held, uint64_t now) {
  const bool untouched = is_untouched(held - book.after_minor, now);
  return mi_max(untouched ? book.floor : mi_min(book.floor, floor_most()), book.after_minor / 4);
}

/* How much before a major one is due, which costs in proportion to the collector's own heap: half of what
   lives in both heaps, in its time. */
static uint64_t major_growth(void) {
  return mi_max(MI_PRESSURE_MAJOR_FLOOR, (book.live + book.after_major) / 2);
}
/* And at any time: half of what lives here and as much as the collector's heap, which is there twice anyway
   while it is copied. What that heap has grown by since counts, too: both are resident. But a minor one comes
   before each, which may bring it all. */
static uint64_t major_growth_most(uint64_t minor) {
  const uint64_t least = mi_min(book.live_least, book.live), grown = book.live - least;
  const uint64_t most = least + book.after_major / 2;
  return mi_max(mi_max(MI_PRESSURE_MAJOR_FLOOR, minor + minor / 2), most - mi_min(most, grown));
}

/* A fixed budget may be small: then a capability looks before it has made much of it. */
static size_t step_for(int64_t budget, uint64_t minor) {
  return budget > 0 ? mi_min(STEP, mi_max((uint64_t)budget / 16, 1)) : mi_max(STEP, minor / STEPS);
}

static mi_pressure_due_t book_decide(uint64_t held, uint64_t now) {
  const int64_t budget = mi_load_relaxed(&xbudget);
  book.after_minor = mi_min(book.after_minor, held);
  book.after_major = mi_min(book.after_major, held);
  mi_store_relaxed(&xafter_major, book.after_major);                      /* a statistic */
  const uint64_t minor = minor_growth(held, now);
  const uint64_t most = major_growth_most(minor);
  const bool in_time = now >= book.major_from && minor <= floor_most();
  uint64_t next_major = book.after_major + (in_time ? mi_min(major_growth(), most) : most);
  const bool barren = book.nbarren >= NBARREN;
  uint64_t next = barren ? next_major : mi_min(book.after_minor + minor, next_major);
  if (budget > 0) next = next_major = (uint64_t)budget;
  mi_store_relaxed(&xstep, step_for(budget, minor));
  mi_store_relaxed(&xnext, next);
  mi_store_relaxed(&xnext_major, next_major);
  if (budget == 0 || held < next) return MI_PRESSURE_NONE;
  /* After a minor one whoever collects asks again: so it is found out when minor ones bring much again. */
  return held >= next_major && budget < 0 && !barren ? MI_PRESSURE_MAJOR : MI_PRESSURE_MINOR;
}

/* Where collections are cheap there are twice as many, if minor ones bring much. That a major one is cheap
   says the same of minor ones. */
static void floor_ease(uint64_t now) {
  if ((now - book.began) * 4 * SHARE < book.began - book.ended && book.fruitful)
    book.floor = mi_max(book.floor / 2, MI_PRESSURE_FLOOR);
}

/* Where they are dear, or bring little, there are half as many. */
static void floor_adapt(uint64_t made, uint64_t freed, uint64_t now) {
  const uint64_t cost = now - book.began, since = book.began - book.ended;
  book.ndear = cost * (SHARE - 1) > since ? book.ndear + 1 : 0;
  const uint64_t most = is_untouched(made, book.began) ? mi_max(floor_most(), UNTOUCHED) : floor_most();
  book.fruitful = freed >= made / 4 * 3;
  book.nbarren = freed < made / 4 ? book.nbarren + 1 : 0;
  if (freed < made / 4 || book.ndear >= NDEAR) book.floor = mi_min(2 * book.floor, most);
  else floor_ease(now);
}

/* ---- the ledger ---- */

/* The first use of a capability's entry. */
static mi_noinline void caps_raise(uint32_t ncaps) {
  /* A maximum: whoever adds up sees it with the entry, or soon. Pairs with itself. */
  for (uint32_t n = mi_load_relaxed(&xcaps); n < ncaps && !mi_cas_acq_rel(&xcaps, &n, ncaps); ) {}
}

mi_inline entry_t* entry_of(uint32_t number) {
  if (mi_unlikely(number >= mi_load_relaxed(&xcaps))) caps_raise(number + 1);           /* a maximum */
  return &ledger[number];
}

/* Of several capabilities, which look by turns. */
static mi_noinline bool hold_past_the_table(size_t bytes) {
  entry_t* e = &ledger[MI_CAPS_MAX];
  mi_add_relaxed(&e->xheld, bytes);                                       /* a statistic */
  /* A hint: of two at the same moment, both may look. */
  if (mi_add_relaxed(&e->xsince, bytes) + bytes < mi_load_relaxed(&xstep)) return false;
  mi_store_relaxed(&e->xsince, 0);
  return true;
}

bool mi_pressure_hold(uint32_t number, size_t bytes) {
  if (mi_unlikely(number >= MI_CAPS_MAX)) return hold_past_the_table(bytes);
  entry_t* e = entry_of(number);
  const uint64_t since = mi_load_relaxed(&e->xsince) + bytes;             /* one writer */
  const bool enough = since >= mi_load_relaxed(&xstep);
  mi_store_relaxed(&e->xheld, mi_load_relaxed(&e->xheld) + bytes);        /* one writer; a statistic */
  mi_store_relaxed(&e->xsince, mi_unlikely(enough) ? 0 : since);          /* one writer */
  return enough;
}

void mi_pressure_drop(uint32_t number, size_t bytes) {
  /* A statistic, of several capabilities. */
  if (mi_unlikely(number >= MI_CAPS_MAX)) {
    mi_sub_relaxed(&ledger[MI_CAPS_MAX].xheld, bytes);
    return;
  }
  entry_t* e = entry_of(number);
  mi_store_relaxed(&e->xheld, mi_load_relaxed(&e->xheld) - bytes);        /* one writer; a statistic */
}

void mi_pressure_hold_shared(size_t bytes) { mi_add_relaxed(&xshared, bytes); }      /* a statistic */
void mi_pressure_drop_shared(size_t bytes) { mi_sub_relaxed(&xshared, bytes); }      /* a statistic */

bool mi_pressure_shared_enough(void) {
  const uint64_t held = mi_load_relaxed(&xshared), looked = mi_load_relaxed(&xshared_looked);
  if (held < looked) mi_store_relaxed(&xshared_looked, held);  /* the fewest since, or one of them */
  return held >= looked + mi_load_relaxed(&xstep);
}

/* ---- turns ---- */

mi_pressure_due_t mi_pressure_look(const mi_collector_t* collector) {
  if (!book_take(LOOKING))
    return mi_pressure_held() >= mi_load_relaxed(&xnext) && mi_load_relaxed(&xbudget) != 0 ? MI_PRESSURE_MINOR
                                                                                           : MI_PRESSURE_NONE;
  const uint64_t held = mi_pressure_held();
  mi_store_relaxed(&xshared_looked, mi_load_relaxed(&xshared));
  /* What a collection found dead is given back at the start of the next one, or sooner: the least that is
     seen meanwhile counts, and half of what was made before is taken for dead. */
  if (collector->majors != book.majors) {
    book.after_major = held;
    book.live_least = UINT64_MAX;
  }
  if (collector->collections != book.collections && book.paused == 0 && !book.asked)
    book.after_minor = (book.after_minor + mi_max(book.after_minor, held)) / 2;
  book.majors = collector->majors;
  book.collections = collector->collections;
  book.asked = false;
  book.live = collector->live;
  book.live_least = mi_min(book.live_least, book.live);
  book.ncaps = collector->ncaps;
  const mi_pressure_due_t due = book_decide(held, collector->now);
  book_give();
  return due;
}

/* What was made in the pause is no result of the collection, and the pause no part of its cost. */
static mi_pressure_due_t turn_resume(uint64_t now) {
  const uint64_t held = mi_pressure_held(), made = held - mi_min(held, book.paused_held);
  book.before += made;
  book.after_minor += made;
  book.began += now - book.paused;
  book.paused = 0;
  return MI_PRESSURE_FINISH;
}

mi_pressure_due_t mi_pressure_begin(uint64_t now) {
  if (mi_load_relaxed(&xtaken) != FREE || !book_take(COLLECTING)) return MI_PRESSURE_NONE;
  if (book.paused != 0) return turn_resume(now);
  book.before = mi_pressure_held();
  book.began = now;
  const mi_pressure_due_t due = book_decide(book.before, now);
  if (due == MI_PRESSURE_NONE) book_give();
  return due;
}

bool mi_pressure_pause(uint64_t now) {
  if (mi_load_relaxed(&xbudget) >= 0) return false;
  book.paused = mi_max(now, 1);
  book.paused_held = mi_pressure_held();
  book_give();
  return true;
}

static uint64_t freed_by(uint64_t held) { return held < book.before ? book.before - held : 0; }

mi_pressure_due_t mi_pressure_after_minor(uint64_t now) {
  mi_assert(mi_load_relaxed(&xtaken) == COLLECTING);                      /* by the caller */
  const uint64_t held = mi_pressure_held(), made = book.before - mi_min(book.before, book.after_minor);
  floor_adapt(made, freed_by(held), now);
  mi_add_relaxed(&xminor, 1);                                             /* statistics */
  mi_add_relaxed(&xminor_freed, freed_by(held));
  book.before = book.after_minor = held;
  book.asked = true;
  book.ended = book.began = now;
  book_decide(held, now);
  return held >= mi_load_relaxed(&xnext_major) ? MI_PRESSURE_MAJOR : MI_PRESSURE_NONE;
}

void mi_pressure_end(mi_pressure_due_t last, uint64_t now) {
  mi_assert(mi_load_relaxed(&xtaken) == COLLECTING);                      /* by the caller */
  const uint64_t held = mi_pressure_held();
  if (last == MI_PRESSURE_MAJOR) {
    mi_add_relaxed(&xmajor, 1);                                           /* statistics */
    mi_add_relaxed(&xmajor_freed, freed_by(held));
    floor_ease(now);
    book.after_minor = book.after_major = held;
    book.major_from = now + (now - book.began) * (SHARE - 1);
    book.ended = now;
    book_decide(held, now);
  }
  mi_add_relaxed(&xturns, 1);  /* who waits for it looks again anyway */
  book_give();
}

/* ---- for want of memory ---- */

/* What was made since the last major collection and is held. The least that was held meanwhile is seen at
   looks: nearly the least. */
static uint64_t made_since_major(void) {
  const uint64_t held = mi_pressure_held();
  return held - mi_min(held, mi_load_relaxed(&xafter_major));             /* a statistic */
}

/* A collection finds what was made since the last major one, or what lived after that and has died since. The
   latter is given up for a while after several were in vain; the former comes to so many bytes at most. Where
   no limit says what is left, a request smaller than all that failed needs little of it, any other all. */
bool mi_pressure_may_help(bool one_arena, size_t size, size_t room, uint64_t now) {
  if (mi_load_relaxed(&vain[one_arena].xn) < NVAIN || now >= mi_load_relaxed(&vain[one_arena].xuntil))
    return true;                                                          /* hints */
  if (one_arena) return false;           /* what was made elsewhere is of no use */
  if (room == SIZE_MAX) room = size < mi_load_relaxed(&vain[one_arena].xleast) ? size - 1 : 0;  /* a hint */
  return made_since_major() + room >= size;
}

void mi_pressure_asked(bool one_arena, size_t size, uint64_t freed, uint64_t began, uint64_t now) {
  const uint64_t held = mi_pressure_held(), until = now + (now - began) * (SHARE - 1);
  mi_add_relaxed(&xmajor, 1);                                             /* statistics */
  mi_add_relaxed(&xmajor_freed, freed);
  /* a hint; held by less than after the last one: something has died that lived then */
  if (freed >= size || (one_arena ? freed != 0 : held < mi_load_relaxed(&xafter_major)))
    mi_pressure_helped(one_arena);
  else {
    const size_t least = mi_load_relaxed(&vain[one_arena].xn) == 0 ? SIZE_MAX
                                                                   : mi_load_relaxed(&vain[one_arena].xleast);
    mi_store_relaxed(&vain[one_arena].xleast, mi_min(least, size));       /* hints */
    mi_store_relaxed(&vain[one_arena].xuntil, until);
    mi_add_relaxed(&vain[one_arena].xn, 1);
  }
  if (!book_take(LOOKING)) return;  /* who has the books asks for collections anyway */
  book.after_major = held;
  book.major_from = mi_max(book.major_from, until);
  book_decide(held, now);
  book_give();
}

void mi_pressure_helped(bool one_arena) { mi_store_relaxed(&vain[one_arena].xn, 0); }  /* a hint */

void mi_pressure_set(int64_t budget) {
  mi_store_relaxed(&xbudget, budget < 0 ? -1 : budget);
  mi_store_relaxed(&xstep, step_for(budget, 0));
  /* Who has the books decides by the old budget, or the new one; the next look, by the new one. */
  if (!book_take(LOOKING)) return;
  book.after_minor = book.after_major = mi_pressure_held();
  book.paused = 0;
  book_decide(book.after_minor, 0);
  book_give();
}

void mi_pressure_stats(mi_pressure_stats_t* stats) {
  const int64_t budget = mi_load_relaxed(&xbudget);
  *stats = (mi_pressure_stats_t){
    .budget = budget,
    .held = mi_pressure_held(),
    .next = budget == 0 ? 0 : mi_load_relaxed(&xnext),
    .next_major = budget == 0 ? 0 : mi_load_relaxed(&xnext_major),
    .minor = mi_load_relaxed(&xminor),
    .major = mi_load_relaxed(&xmajor), /* statistics */
    .minor_freed = mi_load_relaxed(&xminor_freed),
    .major_freed = mi_load_relaxed(&xmajor_freed),
  };
}

bool mi_pressure_busy(void) { return mi_load_relaxed(&xtaken) == COLLECTING; }  /* a hint */
uint64_t mi_pressure_turns(void) { return mi_load_relaxed(&xturns); }     /* a hint */

uint64_t mi_pressure_wait(void) {
  mi_add_relaxed(&xwaiting, 1);                                           /* a count */
  return mi_pressure_turns();
}
void mi_pressure_waited(void) { mi_sub_relaxed(&xwaiting, 1); }           /* a count */
bool mi_pressure_awaited(void) { return mi_load_relaxed(&xwaiting) != 0; }  /* a hint */

/* Who was at it, or waited, is gone. One thread only. */
void mi_pressure_after_fork(void) {
  mi_store_relaxed(&xtaken, FREE);
  mi_store_relaxed(&xwaiting, 0);
}
