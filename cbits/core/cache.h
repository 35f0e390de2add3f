/* Pages that were freed a moment ago, cached whole for whoever wants one like it: a buffer that a program
   makes and frees in turn costs no bitmap and no page map, and short-lived threads find each class where the
   last one had it. Any thread.

   A cached page is DEAD, its slices are claimed and mapped to it as before; it belongs to who has it out of
   the table. */
#ifndef MI_CACHE_H
#define MI_CACHE_H

#include "page.h"

/* The caller's page, of n slices, DEAD; or NULL. `slot`: an owner's; any number is right, the same one finds
   it again. */
mi_page_t* mi_cache_take(uint32_t slot, size_t nslices);
/* Takes the caller's single page, whose word is DEAD, and caches it, or gives it back to its arena. */
void mi_cache_put(uint32_t slot, mi_page_t* page);

/* The same for pages of a class, more than one block each: who needs such a page next touches no more of it
   than was touched. */
mi_page_t* mi_cache_take_class(unsigned bin);
void mi_cache_put_class(mi_page_t* page);
/* Gives these back: they may lie between what is free. */
void mi_cache_flush_classes(void);
/* Is anything cached? A hint. */
bool mi_cache_any(void);
/* Gives the caller's page, which is DEAD, back to its arena. */
void mi_cache_release(mi_page_t* page);

/* Gives all back that is cached. */
void mi_cache_flush(void);
/* In the child of fork: who was giving back what is cached is gone. */
void mi_cache_after_fork(void);

#endif
