/* Rounds over the pages that wait for adoption and in which something changed: those that have waited get holes (hollow.h).
   Any thread. */
#ifndef MI_POOLED_H
#define MI_POOLED_H

#include "lheap.h"

/* With rounds stopped (mi_purger_stop); followed by mi_error_tell when they go on. So many pages of a round; true if there are more. */
bool mi_pooled_piece(size_t npages);
/* A whole round, which waits for nothing: what is pooled now gets its holes. Pieces by others come between its own. */
void mi_pooled_now(void);

#endif
