/* See pressure.h. Statistics and thresholds are relaxed: they publish nothing. */
#include "pressure.h"

#define NS_PER_MIB 20000                 /* about what it costs to touch a MiB that is not in a cache */
#define STEP  MI_MiB                     /* a capability looks at the sum when it has held so much more */

/* By capability; the last is shared by all past the table. Balances wrap: what one made another may have freed. */
typedef struct { mi_atomic(uint64_t) xheld; size_t since; } mi_cachealign entry_t;
static entry_t ledger[MI_CAPS_MAX + 1];

static mi_atomic(int64_t) xbudget = -1;
static mi_atomic(size_t) xstep = STEP, xnext = MI_PRESSURE_FLOOR, xnext_major = 2 * MI_PRESSURE_FLOOR;
static mi_atomic(size_t) xfloor = MI_PRESSURE_FLOOR;
static mi_atomic(bool) xbusy;
static mi_atomic(uint64_t) xminor, xmajor, xminor_freed, xmajor_freed;
static uint64_t live_before;             /* of who is busy */
static unsigned ndear;                   /* collections in a row that cost too much; one alone may have been interrupted */

static uint64_t sum(void) {
  uint64_t total = 0;
  for (size_t i = 0; i <= MI_CAPS_MAX; i++) total += mi_load_relaxed(&ledger[i].xheld);
  return (int64_t)total < 0 ? 0 : total;                                  /* read while others go on */
}

/* How much may be made before it is looked at again. */
static size_t growth(uint64_t live) { return mi_max(mi_load_relaxed(&xfloor), live / 4); }

/* The thresholds after a collection that left so much. After a minor one that for major ones stays, or falls, but not below
   what any program may have; and the next collection is not later than that: what minor ones promote while it is alive dies
   out of their reach. */
static void set_thresholds(uint64_t live, bool major) {
  const int64_t budget = mi_load_relaxed(&xbudget);
  const size_t least = 2 * mi_load_relaxed(&xfloor), now = mi_load_relaxed(&xnext_major);
  size_t next_major = live + mi_max(least, live / 2), next;
  if (!major) next_major = mi_max(mi_min(next_major, now), least);
  next = mi_min(live + growth(live), next_major);
  if (budget > 0) next = next_major = (size_t)budget;
  mi_store_relaxed(&xnext_major, next_major);
  mi_store_relaxed(&xnext, next);
}

static bool is_due(void) {
  const int64_t budget = mi_load_relaxed(&xbudget);
  if (budget == 0) return false;
  const uint64_t live = sum();
  if (budget < 0 && live + 2 * growth(live) < mi_load_relaxed(&xnext)) set_thresholds(live, false);  /* less lives than did: the budget shrinks */
  return live >= mi_load_relaxed(&xnext);
}

bool mi_pressure_hold(uint32_t number, size_t bytes) {
  entry_t* e = &ledger[mi_min(number, MI_CAPS_MAX)];
  if (mi_unlikely(number >= MI_CAPS_MAX)) {
    mi_add_relaxed(&e->xheld, bytes);                                     /* a statistic, of several capabilities */
    return bytes >= mi_load_relaxed(&xstep) && is_due();
  }
  mi_store_relaxed(&e->xheld, mi_load_relaxed(&e->xheld) + bytes);        /* one writer; a statistic */
  e->since += bytes;
  if (mi_likely(e->since < mi_load_relaxed(&xstep))) return false;
  e->since = 0;
  return is_due();
}

void mi_pressure_drop(uint32_t number, size_t bytes) {
  entry_t* e = &ledger[mi_min(number, MI_CAPS_MAX)];
  if (mi_unlikely(number >= MI_CAPS_MAX)) mi_sub_relaxed(&e->xheld, bytes);   /* a statistic, of several capabilities */
  else mi_store_relaxed(&e->xheld, mi_load_relaxed(&e->xheld) - bytes);   /* one writer; a statistic */
}

bool mi_pressure_begin(void) {
  if (mi_load_relaxed(&xbusy) || mi_exchange_acq_rel(&xbusy, true)) return false;  /* pairs with mi_pressure_end */
  live_before = sum();
  if (live_before >= mi_load_relaxed(&xnext) && mi_load_relaxed(&xbudget) != 0) return true;
  mi_store_release(&xbusy, false);                                        /* pairs with the exchange above */
  return false;
}

static uint64_t freed_since(uint64_t live) { return live < live_before ? live_before - live : 0; }

bool mi_pressure_after_minor(void) {
  const uint64_t live = sum();
  mi_add_relaxed(&xminor, 1);                                             /* statistics */
  mi_add_relaxed(&xminor_freed, freed_since(live));
  live_before = live;
  return live >= mi_load_relaxed(&xnext_major);
}

/* What a collection costs depends on how many capabilities have to wait for each other. Where it is dear there are half as many,
   and more again when they are cheap. */
static void adapt(uint64_t ns) {
  const size_t least = mi_load_relaxed(&xfloor);
  const uint64_t allowed = least / MI_MiB * NS_PER_MIB;
  ndear = ns > allowed ? ndear + 1 : 0;
  if (ndear >= 3 && least < MI_PRESSURE_FLOOR_MOST) mi_store_relaxed(&xfloor, 2 * least);
  if (ns < allowed / 4 && least > MI_PRESSURE_FLOOR) mi_store_relaxed(&xfloor, least / 2);
}

void mi_pressure_end(bool major, uint64_t ns) {
  if (!major) adapt(ns);
  const uint64_t live = major ? sum() : live_before;                      /* as right after the collection: others go on */
  if (major) {
    mi_add_relaxed(&xmajor, 1);                                           /* statistics */
    mi_add_relaxed(&xmajor_freed, freed_since(live));
  }
  set_thresholds(live, major);
  mi_store_release(&xbusy, false);                                        /* pairs with mi_pressure_begin */
}

void mi_pressure_set(int64_t budget) {
  mi_store_relaxed(&xbudget, budget < 0 ? -1 : budget);
  mi_store_relaxed(&xstep, budget > 0 ? mi_min(STEP, mi_max((size_t)budget / 16, 1)) : STEP);
  mi_store_relaxed(&xnext_major, SIZE_MAX);
  set_thresholds(sum(), true);
}

void mi_pressure_stats(mi_pressure_stats_t* stats) {
  *stats = (mi_pressure_stats_t){
    .budget = mi_load_relaxed(&xbudget), .held = sum(), .next = mi_load_relaxed(&xnext), .next_major = mi_load_relaxed(&xnext_major),
    .minor = mi_load_relaxed(&xminor), .major = mi_load_relaxed(&xmajor),  /* statistics */
    .minor_freed = mi_load_relaxed(&xminor_freed), .major_freed = mi_load_relaxed(&xmajor_freed),
  };
}

bool mi_pressure_busy(void) { return mi_load_relaxed(&xbusy); }           /* a hint */

/* Who was at it is gone. One thread only. */
void mi_pressure_after_fork(void) { mi_store_relaxed(&xbusy, false); }
