/* Moving a block's OS pages to another place, which copies nothing.
   Holder of both pages. */
#ifndef MI_MOVE_H
#define MI_MOVE_H

#include "slices.h"

/* Moves all slices' contents from one page to the start of another, at least as large. Holder of both, who
   gives the first back next: what the system moved of it is zero, and committed no more. MI_OS_NOT: they are
   where they were, and the other is ours. MI_OS_LOST: they are where they were, and the other, whose block
   may only be freed, is not. */
mi_os_result_t mi_move_slices(mi_page_t* from, mi_page_t* to);

#endif
