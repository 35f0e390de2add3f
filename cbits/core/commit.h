/* What is committed, in all, and the limit to it. The totals that statistics show.
   Any thread. */
#ifndef MI_COMMIT_H
#define MI_COMMIT_H

#include "options.h"
#include "types.h"

/* Totals over all arenas and mappings. */
typedef struct {
  mi_atomic(size_t) xreserved, xcommitted, xpeak_committed, xpurged;   /* bytes; purged: in all */
  mi_atomic(size_t) xmappings, xmapped; /* blocks with a mapping of their own, and their bytes */
  mi_atomic(size_t) xscans;         /* times that an arena was searched for free slices */
  mi_atomic(uint64_t) xrefused;     /* requests for a block that failed because of the limit */
} mi_commit_totals_t;
extern mi_commit_totals_t mi_commit_totals;

/* Does the limit allow so many bytes more? A hint: mi_commit_add decides. */
bool mi_commit_allows(size_t bytes);
/* Is there a limit to what is committed, so that free slices that were not purged are in the way of
   others? */
bool mi_commit_is_limited(void);
/* The limit that the user set, and what it leaves; SIZE_MAX if there is none. */
size_t mi_commit_limit(void);
size_t mi_commit_room(void);
/* Counts bytes. False, and nothing done, if the limit is in the way. Not asked for the user's own memory. */
bool mi_commit_add(size_t bytes, bool own);
/* A request for a block of so many bytes failed: was it the limit? Then that is counted. */
mi_cold void mi_commit_failed(size_t bytes);
/* A statistic. */
mi_inline void mi_commit_sub(size_t bytes) { mi_sub_relaxed(&mi_commit_totals.xcommitted, bytes); }

#endif
