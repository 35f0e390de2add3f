/* See types.h. What stands where there is no block, no page, no local heap: never written. */
#include "types.h"

mi_block_t mi_nil;
mi_page_t mi_page_empty = { .free = &mi_nil, .local_free = &mi_nil, .key = 1 };
mi_lheap_t mi_lheap_empty = { .direct = { [0 ... MI_DIRECT_COUNT - 1] = &mi_page_empty } };
