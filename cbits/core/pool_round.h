/* Rounds over the pages that wait for adoption and in which something changed: those that have waited get
   holes (holes.h). Any thread. */
#ifndef MI_POOL_ROUND_H
#define MI_POOL_ROUND_H

#include "types.h"

typedef struct { size_t arena, slice; } mi_pool_place_t;   /* where a round is */

/* With rounds stopped (purger.h); followed by mi_report_pending when they go on. So many pages of a round;
   true if there are more. `now`: what is pooled now gets its holes, too. */
bool mi_pool_round(mi_pool_place_t* at, size_t npages, bool now);
/* A hint: is there a page for one? */
bool mi_pool_round_finds(void);

#endif
