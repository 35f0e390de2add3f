/* See pressure.h. Statistics and thresholds are relaxed: they publish nothing. */
#include "pressure.h"

#define FLOOR MI_PRESSURE_FLOOR
#define STEP  MI_MiB                     /* a capability looks at the sum when it has held so much more */

/* By capability; the last is shared by all past the table. Balances wrap: what one made another may have freed. */
typedef struct { mi_atomic(uint64_t) xheld; size_t since; } mi_cachealign entry_t;
static entry_t ledger[MI_CAPS_MAX + 1];

static mi_atomic(int64_t) xbudget = -1;
static mi_atomic(size_t) xstep = STEP, xnext = FLOOR, xnext_major = 2 * FLOOR;
static mi_atomic(bool) xbusy;
static mi_atomic(uint64_t) xminor, xmajor, xminor_freed, xmajor_freed;
static uint64_t live_before;             /* of who is busy */

static uint64_t sum(void) {
  uint64_t total = 0;
  for (size_t i = 0; i <= MI_CAPS_MAX; i++) total += mi_load_relaxed(&ledger[i].xheld);
  return (int64_t)total < 0 ? 0 : total;                                  /* read while others go on */
}

/* How much may be made before it is looked at again. */
static size_t growth(uint64_t live) { return mi_max(FLOOR, live / 4); }

/* The thresholds after a collection that left so much. After a minor one that for major ones stays, or falls, and the next
   collection is not later than that: what minor ones promote while it is alive dies out of their reach. */
static void set_thresholds(uint64_t live, bool major) {
  const int64_t budget = mi_load_relaxed(&xbudget);
  const size_t fixed = budget > 0 ? (size_t)budget : 0;
  const size_t next_major = live + mi_max(2 * FLOOR, live / 2);
  if (major || fixed != 0 || next_major < mi_load_relaxed(&xnext_major)) mi_store_relaxed(&xnext_major, fixed != 0 ? fixed : next_major);
  mi_store_relaxed(&xnext, fixed != 0 ? fixed : mi_min(live + growth(live), mi_load_relaxed(&xnext_major)));
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

void mi_pressure_end(bool major) {
  const uint64_t live = sum();
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
