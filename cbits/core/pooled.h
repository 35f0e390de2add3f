/* Rounds over the pages that wait for adoption: those that have waited since the last round get holes (hollow.h).
   Any thread. Called by the thread that purges, and by the rings. */
#ifndef MI_POOLED_H
#define MI_POOLED_H

#include "lheap.h"

/* With the purging thread stopped; followed by mi_error_tell when it goes on. `force`: every page, without a wait. True if
   there will be more to do in the next round. */
bool mi_pooled_round(bool force);

#endif
