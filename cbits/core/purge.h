/* Free slices that wait to be purged, in all arenas: what is freed is due one round later, and is given back
   in pieces. Any thread. When that is done is purger.h's. */
#ifndef MI_PURGE_H
#define MI_PURGE_H

#include "slices.h"

/* Purges of what is due at most MI_PURGE_PIECE; `now`: also of what was freed since. True: there may be
   more. */
bool mi_purge_some(bool now);
/* Everything that is free. */
void mi_purge_all(void);
/* What was freed since the last time is due from now on. True if there is any. */
bool mi_purge_age(void);
/* Bytes that wait to be purged; a hint. */
size_t mi_purge_waiting(void);

/* Has somebody slices claimed to purge them, which are back soon? How often one began or ended. Hints. */
bool mi_purge_is_under_way(void);
size_t mi_purge_turns(void);

/* In the child of fork, before the locks are open: who was purging is gone. One thread only. */
void mi_purge_after_fork(void);

#endif
