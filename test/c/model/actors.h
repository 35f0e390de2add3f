/* A small allocator round the two verbatim headers: two pages of up to three blocks, transitions in the shape
   of cbits/core's page.c, lheap.c, free.c, heap.c and visit.c, step for step as docs/protocols.md has them.
   Implemented in actors.c, called by scenarios.c. Function names are those of the state picture.

   An owner's id is 16 * its actor; in a setup any owner may act, also GONE, who is no actor.
   Slots count from 1. */
#ifndef MODEL_ACTORS_H
#define MODEL_ACTORS_H

#include "engine.h"
#include "pool_bits.h"
#include "due.h"

enum { PAGES = 2, BLOCKS = 3, BINS = 2, OWNERS = 5, NOBODY = -1, GONE = 4 };
enum { SINGLE = BINS };  /* the class of a page of one block, which is not marked and never pooled */
/* heaps; the last two are mi_heap_new's: they can end, their pages carry 0 for an owner */
enum { MAIN = 0, OTHER = 1, SHARED = 2, SHARED_2 = 3 };

typedef struct {
  model_cell_t mark;       /* the page's key while free */
  model_cell_t word;       /* the next slot of the list while free; the user's while live */
  int lists;               /* ghost, at the end: how many lists it was found in */
  bool live;               /* ghost */
  mi_xkey_t xmark, xlink;  /* the two words again, of a block that is freed twice: what races there is no
                              fault of the protocol */
} block_t;

typedef struct {
  const char* name;
  model_cell_t free, local_free, used, lheap, key;  /* line 0: the holder's */
  model_cell_t bin;                             /* constant in one life */
  mi_atomic(uint64_t) xheap;                    /* changed by the holder only */
  mi_atomic(uint64_t) xowner;
  mi_atomic(uint64_t) xtop;                     /* 1 + class: what is a block's start; with the real recip */
  mi_xword_t xword;
  mi_xkey_t xkey;                               /* the key again */
  block_t block[BLOCKS + 1];                    /* by slot */
  int holder;                                   /* ghost: which owner may touch line 0 */
  int life;                                     /* ghost: how often it died */
  int pins;                                     /* ghost: frees that rely on it not to die */
} page_t;

/* A block's address, and ghosts: which life of the page it is of, and whether its heap can end, so that it
   may be freed too late. */
typedef struct { page_t* page; int slot, life, bin; bool ends; } pointer_t;

extern page_t pages[PAGES];
extern mi_xbits_t pool[BINS];                   /* bit i: pages[i] waits for adoption */
extern mi_xbits_t arena_free;                   /* bit i: slice i is free */
extern model_cell_t queue[OWNERS];              /* of the owner's local heap: bit i is pages[i] */

/* The block that two free at the same moment: its page and slot; none: NULL. How many frees
   of it were told. */
extern page_t* twice_page;
extern int twice_slot, told;

extern int looks;                               /* of one free; 1 unless the setting says more */

/* The setting: everything DEAD and free; pages will have so many blocks. */
void setting(int nblocks);

/* Who runs: an owner's number. In a setup as_owner says for whom. */
void as_owner(int owner);

/* Owner-only. */
page_t* page_fresh(int heap, int bin);
int  page_malloc(page_t* g);                    /* a slot, or 0: nothing left */
void page_collect(page_t* g);
bool page_to_full(page_t* g);
void page_to_pool(page_t* g);                   /* frees it if nothing is live */
page_t* pool_adopt(int heap, int bin);
page_t* page_single(int heap);                  /* a page of its own for a block, given up full */
void page_reassign(page_t* g);  /* its heap is deleted: any thread; takes it if it can, for the main heap */
void page_destroy(page_t* g);                   /* its heap is destroyed: the same, and the page dies */
void page_visit(page_t* g, int heap);           /* any thread; takes it if it can, looks, gives it back */
void owner_end(int owner);                      /* pools or frees what is in the owner's queue */
bool in_queue(const page_t* g);                 /* of the one who runs */

/* Any thread. */
void block_free(page_t* g, int slot);
pointer_t pointer_to(page_t* g, int slot);
void twice_free(pointer_t p);                   /* of the block that another frees, too */
void pointer_free(pointer_t p);                 /* perhaps too late: then nothing may happen */

/* The end of an execution. */
void check_all(void);
void check_told(void);                          /* where a block was freed twice: one of the frees was told */
void check_twice(void);  /* or is not yet: what is live is counted when that is found */

/* What is due (due.h): `thread`: one runs, an actor that is due_thread. */
void due_setting(bool thread);
void due_thread(void);
void due_asker(unsigned i);
void due_check(void);

#endif
