/* A small allocator round the four verbatim headers: two pages of up to three blocks, transitions in the shape
   of cbits/core's page.c, queue.c, lheap.c, pool.c, free.c, heap.c and visit.c (actors.c); of slices.c, purge.c, cache.c,
   holes.c, pool_round.c and purger.c (memory.c); step for step as docs/protocols.md has them.
   Called by scenarios.c. Function names are those of the state picture.

   An owner's id is 16 * its actor; in a setup any owner may act, also GONE, who is no actor. Slots count from 1. */
#ifndef MODEL_ACTORS_H
#define MODEL_ACTORS_H

#include "engine.h"
#include "pool_bits.h"
#include "due.h"
#define MI_NAME_WORDS 1u
#include "heap_name.h"

enum { PAGES = 2, BLOCKS = 3, BINS = 2, OWNERS = 5, NOBODY = -1, GONE = 4 };
enum { PIECES = 2 };                            /* system pages of a slice: what a hole is one of */
enum { SINGLE = BINS };                         /* the class of a page of one block, which is not marked and never pooled */
enum { MAIN = 0, OTHER = 1, SHARED = 2, SHARED_2 = 3 };  /* heaps; the last two are mi_heap_new's: they can end, their pages carry 0 for an owner */

/* Where a page is; as mi_where_t, but for pages that are watched, retired or lost. */
typedef enum { DEAD, CACHED, QUEUED, PARKED, FULL, POOLED, WAITED, SEARCHED, ALONE } where_t;

/* The memory of a block. Block 1 lies in the first system page of its slice; block 2 begins there and ends in the second, in
   which block 3 lies. */
typedef struct {
  model_cell_t mark;       /* the page's key while free */
  model_cell_t word;       /* the next slot of the list while free; the user's while live, */
  model_cell_t tail;       /* .. as the block's last byte is */
  int lists;               /* ghost, at the end: how many lists it was found in */
  bool live;               /* ghost */
  mi_xkey_t xmark, xlink;  /* the two words again, of a block that is freed twice: what races there is no fault of the protocol */
} block_t;

enum { FIRST_BYTE = 99, LAST_BYTE = 98 };       /* the user's */

typedef struct {
  const char* name;
  model_cell_t free, local_free, used, lheap, key;  /* line 0: the holder's */
  model_cell_t where, left_out;
  model_cell_t bin;                             /* constant in one life */
  mi_atomic(uint64_t) xheap;                    /* changed by the holder only */
  mi_atomic(uint64_t) xowner;
  mi_atomic(uint64_t) xtop;                     /* 1 + class: what is a block's start; with the real recip */
  mi_xword_t xword;
  mi_xkey_t xkey;                               /* the key again */
  mi_xkey_t xfreed;                             /* where a free claims a single page's block: its memory may be gone */
  block_t block[BLOCKS + 1];                    /* by slot */
  int holder;                                   /* ghost: which owner may touch line 0 */
  int life;                                     /* ghost: how often it died */
  int pins;                                     /* ghost: frees that rely on it not to die */
} page_t;

/* A block's address, and ghosts: which life of the page it is of, and whether its heap can end, so that it may be freed too late. */
typedef struct { page_t* page; int slot, life, bin; bool ends; } pointer_t;

extern page_t pages[PAGES];
extern mi_xbits_t pool[BINS];                   /* bit i: pages[i] waits for adoption */
extern mi_xbits_t arena_free;                   /* bit i: slice i is free */
extern model_cell_t queue[OWNERS], parked[OWNERS];  /* of the owner's local heap: bit i is pages[i] */

extern bool has_ended[OWNERS];

/* The block that two free at the same moment: its page and slot; none: NULL. How many frees of it were told. */
extern page_t* twice_page;
extern int twice_slot, told;

bool is_twice(const page_t* g, int slot);

extern int nblocks;                             /* of a page */
extern int looks;                               /* of one free; 1 unless the setting says more */

/* The setting: everything DEAD and free; pages will have so many blocks. Played are remote frees and pools, and: */
enum { ROUNDS = 1,                              /* rounds that look for holes in pooled pages; */
       CACHE = 2 };                             /* pages that died are cached, and free slices purged */
void setting(int nblocks);
void setting_of(int nblocks, unsigned what);

/* Who runs: an owner's number. In a setup as_owner says for whom. */
void as_owner(int owner);

/* Owner-only. */
page_t* page_fresh(int heap, int bin);
int  page_malloc(page_t* g);                    /* a slot, or 0: nothing left */
void page_collect(page_t* g);
bool page_to_full(page_t* g);
void page_to_pool(page_t* g);                   /* frees it if nothing is live */
void page_park(page_t* g);                      /* nothing is left in it */
bool page_unpark_freed(page_t* g);              /* if somebody else freed in it: to the queue */
void page_unpark(page_t* g);                    /* given up full, or back in the queue, or freed */
bool is_parked(const page_t* g);                /* of the one who runs */
page_t* pool_adopt(int heap, int bin);
page_t* page_single(int heap);                  /* a page of its own for a block, given up full */
void page_reassign(page_t* g);                    /* its heap is deleted: any thread; takes it if it can, for the main heap */
void page_destroy(page_t* g);                   /* its heap is destroyed: the same, and the page dies */
void page_visit(page_t* g, int heap);           /* any thread; takes it if it can, looks, gives it back */
void owner_end(int owner);                      /* pools or frees what is in the owner's queue, or parked */
bool in_queue(const page_t* g);                 /* of the one who runs */

/* Any thread. */
void block_free(page_t* g, int slot);
pointer_t pointer_to(page_t* g, int slot);
void twice_free(pointer_t p);                   /* of the block that another frees, too */
void pointer_free(pointer_t p);                 /* perhaps too late: then nothing may happen */

/* The end of an execution. */
void check_all(void);
void check_told(void);                          /* where a block was freed twice: one of the frees was told */
void check_twice(void);                         /* or is not yet: what is live is counted when that is found */

/* Of pages, for memory.c: holder. */
void take(page_t* g);
void where_set(page_t* g, where_t from, where_t to);
where_t where_is(page_t* g);
bool has_waited(page_t* g);
bool is_single(page_t* g);
size_t slice_of(const page_t* g);
int blocks_in(page_t* g);
uint64_t word_of(page_t* g, int slot);
void mark_set(page_t* g, int slot, uint64_t mark);
void word_set(page_t* g, int slot, uint64_t word);
void list_push(page_t* g, model_cell_t* list, int slot);
void take_list(page_t* g, mi_xlist_t list, bool counted);
void pool_put_of(page_t* g, uint64_t home);     /* P1, P2 */
void let_go(page_t* g);

/* ---- memory.c ---- */

void memory_setting(unsigned plays);
bool plays(unsigned what);

/* Slices: any thread; who claimed one may use it. *zero: nothing was written to it since it was last purged. */
page_t* slice_claim(bool* zero);
void slice_give(page_t* g);
void memory_is_zero(page_t* g);

/* The cache of dead pages: any thread. */
page_t* cache_take(int bin);                    /* NULL: there is none */
void cache_put(page_t* g);                      /* the caller's page, or its slice is given back */
void cache_flush(void);

/* Holes of a page: holder; but which blocks are touched may anybody ask. */
bool holes_make(page_t* g);                     /* false: it has none */
void holes_undo(page_t* g);
void holes_forget(page_t* g);
bool holes_touch(const page_t* g, int slot);
uint64_t holes_at_end(const page_t* g);         /* a bit for each piece */
bool touches(uint64_t pieces, int slot);

/* Rounds: who purges. */
void page_changed(const page_t* g);             /* any thread: a round is to look at it; */
void page_sparser(const page_t* g);             /* .. once more, now that it is sparser */
void round_pages(bool now);
void round_slices(void);
void memory_check(void);                        /* the end of an execution */
void memory_check_page(const page_t* g);
void memory_thread(void);                       /* in a setting: one runs (due_thread) */
void memory_nothing_waits(void);

/* A heap's name (heap_name.h): one who sets it, under a lock; who reads it gets a whole one, or none. */
void name_setting(void);
void name_change(uint64_t to);
void name_look(void);

/* What is due (due.h): `thread`: one runs, an actor that is due_thread. */
void due_setting(bool thread);
void due_thread(void);
void due_asker(unsigned i);
void due_look(void);                            /* who holds nothing begins a thread if something is due and none runs */
void due_check(void);

#endif
