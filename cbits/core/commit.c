/* See commit.h. Any thread. */
#include <errno.h>

#include "commit.h"
#include "os.h"

mi_commit_totals_t mi_commit_totals;

size_t mi_commit_limit(void) {
  const size_t limit = mi_option_get_size(mi_option_commit_limit);
  return mi_likely(limit == 0) ? SIZE_MAX : limit;
}

static bool is_over_limit(size_t committed) { return committed > mi_commit_limit(); }

size_t mi_commit_room(void) {
  const size_t limit = mi_commit_limit(), committed = mi_load_relaxed(&mi_commit_totals.xcommitted);
  return limit == SIZE_MAX ? SIZE_MAX : limit - mi_min(limit, committed);  /* a statistic */
}

/* A hint. */
bool mi_commit_allows(size_t bytes) {
  return !is_over_limit(mi_load_relaxed(&mi_commit_totals.xcommitted) + bytes);
}

/* The least that is committed is a slice. */
void mi_commit_failed(size_t bytes) {
  if (!mi_commit_allows(mi_max(bytes, MI_SLICE_SIZE)))
    mi_add_relaxed(&mi_commit_totals.xrefused, 1);                        /* a statistic */
}

bool mi_commit_is_limited(void) {
  return mi_commit_limit() != SIZE_MAX || mi_os_must_commit();
}

bool mi_commit_add(size_t bytes, bool own) {
  const size_t now = mi_add_relaxed(&mi_commit_totals.xcommitted, bytes) + bytes;     /* a statistic */
  if (!own && is_over_limit(now)) {
    mi_sub_relaxed(&mi_commit_totals.xcommitted, bytes);
    errno = ENOMEM;
    return false;
  }
  size_t peak = mi_load_relaxed(&mi_commit_totals.xpeak_committed);
  /* Pairs with itself. */
  while (now > peak && !mi_cas_acq_rel(&mi_commit_totals.xpeak_committed, &peak, now)) {}
  return true;
}
