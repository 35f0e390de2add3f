/* The structures: the map of the program. Drawn and explained in docs/DESIGN.md, sections 2, 3 and 5;
   the numbered invariants are in docs/protocols.md, section 2.

   Field groups: constant (while the page lives), the holder's, and anybody's; the last have an `x`
   and are atomic. */
#ifndef MI_TYPES_H
#define MI_TYPES_H

#include "atomic.h"
#include "base.h"
#include "check.h"
#include "remote.h"
#include "sizes.h"

typedef struct mi_page_s  mi_page_t;
typedef struct mi_lheap_s mi_lheap_t;
typedef struct mi_heap_s  mi_heap_t;
typedef struct mi_owner_s mi_owner_t;
typedef struct mi_arena_s mi_arena_t;

/* A free block. It lies in memory that was and will be the user's: any type may alias it. */
typedef struct mi_block_s {
  mi_atomic(uint64_t) xmark;        /* its page's key: "this block is free" */
  struct mi_block_s* next;
} __attribute__((may_alias)) mi_block_t;

_Static_assert(sizeof(mi_block_t) <= MI_GRANULE, "a free block's two words must fit the smallest block");

/* Ends every list; its mark is 0, which is no page's key, so that popping it fails. */
extern mi_block_t mi_nil;

#define MI_ARENA_NONE ((uint16_t)0xffff)    /* page->arena of a block with a mapping of its own */

/* Where a page is: docs/DESIGN.md, section 3, has the picture. Only its holder changes that, and only by
   functions that are named by the two ends of a transition (page_queued_to_parked): where.h and queue.c. Who
   takes a page by a swap of its word (A2, H1, R4) holds it, and finds it where it was left. */
typedef enum {
  MI_WHERE_DEAD,  /* nowhere: its slice is free, or inside another page, or about to be either */
  MI_WHERE_CACHED,  /* dead, but its slices are claimed and mapped still: in the table of cache.h */
  MI_WHERE_QUEUED,                  /* in a queue of `lheap` */
  MI_WHERE_WATCHED,  /* in a queue; a holder's free takes the slow path when it has become sparse */
  MI_WHERE_RETIRED,                 /* alone in its queue, and empty: freed when the queue is idle */
  MI_WHERE_PARKED,  /* no block of it is free: in a list of `lheap` that malloc does not look at */
  /* No block of it was free when its owner gave it up. Who frees one since changes the word alone. */
  MI_WHERE_FULL,
  MI_WHERE_POOLED,                  /* given up, for anybody to adopt; */
  MI_WHERE_WAITED,                  /* .. and nobody did for a round: it may get holes (holes.h); */
  MI_WHERE_SEARCHED,  /* .. and a round looked for holes; since then no holder found anything freed in it */
  MI_WHERE_SINGLE,                  /* has one block, which lives */
  /* A single page whose memory is not ours any more (mi_move_slices): its slices stay claimed for ever. */
  MI_WHERE_LOST
} mi_where_t;

struct mi_page_s {
  /* the holder's */
  mi_block_t* free;                 /* what malloc pops */
  mi_block_t* local_free;           /* what the holder freed */
  /* Counted down by the holder's frees; at 0 the free takes the slow path. Live blocks, but for those left
     out (xleft_out). */
  mi_atomic(uint32_t) xused;
  uint16_t    capacity;             /* blocks that were ever in a list */
  /* Remote frees came in this life: if one of them was a double free, `used` is too low (mend.h). */
  bool        doubted;
  mi_atomic(uint8_t) xwhere;        /* mi_where_t; a visitor reads it */
  uint64_t    key;  /* of this life of the page: no other has it. The mark of its free blocks. Not 0 */
  mi_lheap_t* lheap;                /* the local heap in whose queue the page is, or parked; else NULL */
  mi_page_t  *next, *prev;          /* in that queue or list; else NULL */
  mi_atomic(size_t) xsize;          /* of a block, bytes; changed only when a single page is resized */

  /* anybody's, and constants that anybody reads */
  mi_atomic(uintptr_t) xowner mi_cachealign;  /* id of the owner; id|1: gave the page up full; 0: nobody's */
  mi_atomic(uintptr_t) xtop;        /* the last block below capacity */
  uint64_t    recip;  /* odd, size * recip = 2^64 + e with 0 < e <= 2 size; 1 for a single page */
  mi_xword_t  xword;                /* ownership and remote list */
  uint8_t*    start;
  mi_xkey_t   xkey;                 /* the key once more */
  mi_atomic(mi_heap_t*) xheap;      /* changed by the holder only; read as a hint by adopters */
  mi_atomic(uint32_t) xnslices;     /* changed only when a single page is resized */
  uint16_t    reserved;             /* blocks that fit the page */
  mi_atomic(uint8_t) xbin;
  /* A block of it is not as a request would have made it: what frees say of sizes is believed (aligned.h). */
  mi_atomic(bool) xbelieved;

  /* what is seldom looked at */
  /* Among the pages of a heap made by mi_heap_new (the heap's lock). */
  mi_page_t  *heap_next mi_cachealign, *heap_prev;
  mi_atomic(uintptr_t) xinner;      /* of a single page whose block is an offset one: its pointer; else 0 */
  mi_xkey_t   xfreed;               /* a single page's: the key of the last life whose block others freed */
  /* Number of the arena, or MI_ARENA_NONE; like start, never another in an arena's structure. */
  uint16_t    arena;
  /* Holder's: live blocks that are not in `used`, so that it comes to 0 while they live; -1: `used` has one
     that nobody has. */
  mi_atomic(int16_t) xleft_out;
  /* Holder's: the session of the profile in which `free` was cut (sampler.h): what is allocated when that is
     empty is a sample. 0, or that of an earlier session: it was not cut. */
  uint32_t    sample_cut;
  /* Of a single page whose block is a sample: its place in the table (sample.h); else 0. Constant, but for
     who resizes the block. */
  mi_atomic(uint32_t) xsample;
  /* When it was made, in steps of MI_BORN_MS of mi_os_now_ms. One that is revived is as old as before: there
     the clock would cost a fifth (486 instructions for a block of 200000 bytes and its end, not 407). */
  mi_atomic(uint32_t) xborn;
};

#define MI_BORN_MS 256u

_Static_assert(sizeof(mi_page_t) == 192, "three cache lines: the holder's, everybody's, and the rest");
_Static_assert(offsetof(mi_page_t, xowner) == 64 && offsetof(mi_page_t, heap_next) == 128,
               "a remote free touches the second line only");

/* The fields that statistics read while the holder goes on: relaxed, they publish nothing. */
mi_inline uint32_t mi_page_used(mi_page_t* page) { return mi_load_relaxed(&page->xused); }
mi_inline void mi_page_used_set(mi_page_t* page, uint32_t used) { mi_store_relaxed(&page->xused, used); }
mi_inline size_t mi_page_size(mi_page_t* page) { return mi_load_relaxed(&page->xsize); }
mi_inline unsigned mi_page_bin(const mi_page_t* page) { return mi_load_relaxed(&page->xbin); }
mi_inline uint32_t mi_page_nslices(mi_page_t* page) { return mi_load_relaxed(&page->xnslices); }
mi_inline int32_t mi_page_left_out(const mi_page_t* page) { return mi_load_relaxed(&page->xleft_out); }

/* Live blocks, those in the remote list among them: the true count, wherever the page is. `used` alone is
   that of pages that are neither watched, retired nor parked. */
mi_inline uint32_t mi_page_live(mi_page_t* page) {
  return mi_page_used(page) + (uint32_t)mi_page_left_out(page);
}
mi_inline void mi_page_live_set(mi_page_t* page, uint32_t live) {
  mi_assert(mi_page_left_out(page) <= (int32_t)live);
  mi_page_used_set(page, live - (uint32_t)mi_page_left_out(page));
}

mi_inline void mi_page_left_out_set(mi_page_t* page, int32_t n) {
  mi_store_relaxed(&page->xleft_out, (int16_t)n);
}

/* From here on so many live blocks are left out of `used`. As many live as before. What becomes less is
   written first: who reads statistics meanwhile sees fewer, not more. */
mi_inline void mi_page_leave_out(mi_page_t* page, uint32_t n) {
  mi_assert(mi_page_left_out(page) == 0 && n < mi_page_used(page));
  mi_page_used_set(page, mi_page_used(page) - n);
  mi_page_left_out_set(page, (int32_t)n);
}
/* None is left out any more. */
mi_inline void mi_page_leave_out_none(mi_page_t* page) {
  const uint32_t live = mi_page_live(page);
  mi_page_left_out_set(page, 0);
  mi_page_used_set(page, live);
}

mi_inline mi_where_t mi_page_where(const mi_page_t* p) { return (mi_where_t)mi_load_relaxed(&p->xwhere); }
/* where.h and queue.c only. */
mi_inline void mi_page_where_set(mi_page_t* p, mi_where_t to) { mi_store_relaxed(&p->xwhere, (uint8_t)to); }

/* By its holder, who alone changes it. */
mi_inline mi_heap_t* mi_page_heap(mi_page_t* page) { return mi_load_relaxed(&page->xheap); }

typedef struct { mi_page_t *first, *last; } mi_queue_t;

/* Counters of a local heap: written by its owner, read by anybody. */
typedef struct {
  mi_atomic(uint64_t) pages;        /* in its queues and parked: a gauge, all others count up */
  mi_atomic(uint64_t) fresh_pages;  /* taken from an arena or the OS */
  mi_atomic(uint64_t) adopted_pages;/* taken from a pool, taken back, or from the cache */
  mi_atomic(uint64_t) full_pages;   /* given up full */
  mi_atomic(uint64_t) remote_freed; /* blocks collected from remote lists */
  mi_atomic(uint64_t) retired_pages;/* emptied and freed (mimalloc's name), not those that are retired now */
} mi_lheap_counts_t;

mi_inline void mi_lheap_count(mi_atomic(uint64_t)* counter, uint64_t n) {
  mi_store_relaxed(counter, mi_load_relaxed(counter) + n);                /* one writer; a statistic */
}

/* Where an owner and a heap meet. Owner-only, but for the counters. */
struct mi_lheap_s {
  mi_page_t*  direct[MI_DIRECT_COUNT];  /* by granules: the page to pop from */
  /* Constant: what its pages carry in xowner. The owner's id, or 0 (heap made by mi_heap_new). */
  uintptr_t   xid;
  mi_owner_t* owner;
  mi_atomic(mi_heap_t*) xheap;      /* NULL: the heap was deleted; the owner may use this structure again */
  uint32_t    tick;                 /* of slow paths so far: policy.h, MI_SLOW_TICKS */
  mi_queue_t  queue[MI_BIN_COUNT];
  /* Of the same owner, but for its main one and those that are unused (the lock of the list of heaps). */
  mi_lheap_t *next, *prev;
  mi_lheap_t *heap_next, *heap_prev;/* of the same heap; next of unused (the same lock) */
  uint64_t    swept_at;             /* when idle queues were looked for last, milliseconds */
  uint32_t    free_tick;            /* slow paths of its owner's frees so far */
  uint32_t    drains_seen;          /* how many drains were scheduled, at its last slow path */
  /* When it was collected last for a request that failed, if that brought nothing: how many pages that looked
     at (else 0), how many requests failed since, and when, milliseconds. */
  uint32_t    vain_pages, vain_failures;
  uint64_t    vain_at;
  mi_atomic(bool) xdefault;         /* its owner may point to it even when its heap has ended (heap.c) */
  /* Of what the next allocation from each queue would take, at the last look: 16 bits that are seldom
     equal. */
  uint16_t    seen[MI_BIN_COUNT];
  uint32_t    look_from[MI_BIN_COUNT];  /* where adoption looks first: pool.c packs an arena and a slice */
  mi_lheap_counts_t xcounts;
  uint32_t    sample_session;       /* of the profile, since which its lists are cut at points (sampler.h) */

  /* Only where xid is not 0, in a main heap: others park no page, and their memory ends here
     (MI_LHEAP_SIZE). */
  /* Pages in which nothing is left, in the hope of a free; the last one parked first. */
  mi_queue_t  parked[MI_BIN_COUNT];
  /* How many; how many more than one there may be. */
  uint8_t     nparked[MI_BIN_COUNT], park_more[MI_BIN_COUNT];
  uint32_t    parked_slices;        /* of all of them */
};

#define MI_LHEAP_SIZE offsetof(mi_lheap_t, parked)

/* Never written (types.c). */
extern mi_page_t mi_page_empty;     /* what `direct` holds where there is no page: its free list is empty */
extern mi_lheap_t mi_lheap_empty;   /* of who has none: no queue of it has a page */

typedef enum { MI_OWNER_UNUSED, MI_OWNER_THREAD, MI_OWNER_CAPABILITY } mi_owner_kind_t;

#define MI_ID_STEP 16u  /* ids are multiples of it: bit 0 says that the owner gave a page up full */
/* What a page of a thread that fork left behind carries: nobody's id. */
#define MI_ID_GONE (~(uintptr_t)(MI_ID_STEP - 1))
mi_inline uintptr_t mi_id_of_capability(uint32_t number) { return MI_ID_STEP * ((uintptr_t)number + 1); }
mi_inline uint32_t mi_id_capability(uintptr_t id) { return (uint32_t)(id / MI_ID_STEP - 1); }
mi_inline bool mi_id_is_capability(uintptr_t id) { return id != 0 && id <= mi_id_of_capability(MI_CAPS_MAX); }

/* Where the profile's next point falls in what an owner allocates (sampler.h): the session that this belongs
   to; bytes on average between two points, and to the next one; the state of what draws. */
typedef struct { uint32_t session; uint64_t rate, left, random; } mi_points_t;

struct mi_owner_s {
  uintptr_t   id;                   /* a multiple of MI_ID_STEP, never 0 */
  uint32_t    slot;                 /* in the owner table, for ever */
  mi_atomic(int) xkind;             /* mi_owner_kind_t */
  mi_lheap_t* lheaps;               /* all of them but `main` (the lock of the list of heaps) */
  /* Those that it pointed to when their heap ended, linked by heap_next (the same lock). */
  mi_lheap_t* unused;
  uint64_t    ended_steps;          /* of local heaps that are gone (the same lock) */
  mi_owner_t* next_free;            /* while unused (the table's lock) */
  mi_atomic(uint32_t) xbusy;        /* entered (MI_CHECK = 2) */
  mi_points_t points;
  const char* label;                /* of what it allocates from here on (the profile); NULL: none */
  mi_lheap_t  main;                 /* of the main heap */
};

#endif
