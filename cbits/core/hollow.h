/* Purging inside free blocks: a block larger than OS pages that is free in a page with live ones keeps its first OS page, where
   its mark and link are, and gives the others back. For medium pages that wait for adoption, which nobody allocates from.
   Any thread. Called by the thread that purges, free.c and the rings. */
#ifndef MI_HOLLOW_H
#define MI_HOLLOW_H

#include "lheap.h"

/* A block of a medium page that is nobody's was freed: in a while there is something to do. */
void mi_hollow_note(void);
/* With the purging thread stopped; followed by mi_error_tell when it goes on. Does what is due at `now` (UINT64_MAX:
   everything); returns when there will be more to do, 0 for never. */
uint64_t mi_hollow_purge(uint64_t now);

#endif
