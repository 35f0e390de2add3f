/* Two frees of one block at the same moment, one of them its holder's, which cannot be told from a single
   free: the block
   comes to be in a local list and in the remote one, and once that is collected `used` is one too low. What a
   block is can still be seen: it is free if, and only if, it carries its page's key. docs/protocols.md,
   section 6. Holder. */
#ifndef MI_MEND_H
#define MI_MEND_H

#include "holes.h"

/* `used` is 0, or 1 in a retired page. True if no block is live; else that is reported (mi_report_later), and
   the page mended. */
bool mi_mend_is_empty(mi_page_t* page);
/* The lists anew, and `used`, by what each block carries. */
void mi_mend(mi_page_t* page);

#endif
