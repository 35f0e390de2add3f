/* Statistics: what is live, read while everybody goes on. Any thread; takes no lock and stops nobody.
   Called by the rings. */
#ifndef MI_STATS_H
#define MI_STATS_H

#include "types.h"

typedef struct { uint64_t blocks, bytes; } mi_use_t;

/* Live blocks and their usable bytes: of the owner `id`, in the pages it holds or gave up full; 0: of
   everybody. Exact when nobody allocates or frees meanwhile, else a recent value for each page. */
mi_use_t mi_stats_use(uintptr_t id);

#endif
