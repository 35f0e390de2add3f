/* What memory is retained: each decision is a predicate here, one sentence and one expression, and who acts
   on it calls it. Where a measurement chose a constant it stands beside it (instructions are callgrind's, of
   a program of one thread); the other constants have a reason only. Changes nothing. Holder, but for what
   says any-thread. Three decisions stand elsewhere: when a page has become sparser (remote.h, which the model
   runs as it is); when a capability that sleeps is drained (ghc/drainer.c); when GHC is to collect
   (pressure.h). */
#ifndef MI_POLICY_H
#define MI_POLICY_H

#include "where.h"

/* ---- retired pages ---- */

/* A page in which nothing lives is retired if it is the only one of its queue, until the queue is idle. A
   block of 500 bytes and one of 3000, allocated and freed by turns, cost 87 instructions each; 1240 where no
   page is retired. */
mi_inline bool mi_policy_retires(const mi_page_t* page) {
  return !MI_HARD && page->next == NULL && page->prev == NULL;
}

/* ---- parked pages ---- */

/* One of 64 blocks of 8 KiB, whichever, freed and allocated: 364 instructions; 1087 where no page is parked.
   One of 30000 blocks of up to 1 KiB: 121; 140 with one page of a class, 151 with none. */
#define MI_PARKED_SLICES (MI_HARD ? 2u : 64u)   /* of an owner */

/* A class has a page parked too many: more than it earned by frees in such pages, or all classes together
   have too many slices. */
mi_inline bool mi_policy_parks_fewer(const mi_lheap_t* lh, unsigned bin) {
  return lh->nparked[bin] > 1 + lh->park_more[bin]
         || (lh->parked_slices > MI_PARKED_SLICES && lh->nparked[bin] > 0);
}

/* What a class earns by each free in such a page. Each page that is given up for another costs it one: so it
   keeps what it has if every other page that is parked is freed in. */
#define MI_PARK_EARNED 2u

/* A class whose owner frees in pages in which nothing was left may have more of them. */
mi_inline bool mi_policy_parks_more(const mi_lheap_t* lh, unsigned bin) {
  return lh->park_more[bin] < MI_PARKED_SLICES;
}

/* An owner takes a page back that it gave up full, when it frees a block in it, if its class is this or
   smaller: a medium page is nobody's until somebody needs it, so that a round finds what is free in it. */
#define MI_TAKEN_BACK_LAST MI_BIN_SMALL_LAST

/* ---- sparse pages, which are given up for others, or get holes ---- */

/* 500000 blocks of 16 to 515 bytes, of which a tenth lives when the others have been freed in any order in
   1.5 seconds: 118 MiB are resident three seconds later; 139 where no page is sparse, and with 1 in place of
   3; 136 with 6. */
#define MI_SPARSE_TIMES 3u

/* So few live blocks leave a page sparse: a live block keeps up to an OS page more than it fills, and
   neighbours share that. */
mi_inline uint32_t mi_policy_sparse_limit(uint32_t nblocks, size_t size) {
  return (uint32_t)(MI_SPARSE_TIMES * nblocks * size / (size + MI_HOLE_SIZE));
}

/* A page is sparse, of what was ever handed out. */
mi_inline bool mi_policy_is_sparse(mi_page_t* page) {
  return mi_page_live(page) < page->capacity
         && mi_page_live(page) <= mi_policy_sparse_limit(page->capacity, mi_page_size(page));
}

/* So many live blocks are left in a page when its owner's frees take a slow path again: when it has become
   sparse, and whenever half of the rest is gone. The same program: 139 MiB if no page is watched. 100000
   blocks of 1 KiB, of which 70000 are freed at once and 25000 later by frees alone: 27 MiB; 101 if a page is
   watched until it is sparse and not again. */
mi_inline uint32_t mi_policy_watch_limit(mi_page_t* page) {
  return (uint32_t)mi_min(mi_policy_sparse_limit(page->reserved, mi_page_size(page)), mi_page_live(page) / 2);
}

/* ---- cached pages: any thread ---- */

/* A block of 128 KiB allocated and freed: 389 instructions; 1689 where none is cached. */
#define MI_CACHE_SLICES 8u  /* the largest single page that is cached; one of each size in a column */

mi_inline bool mi_policy_caches(size_t nslices) { return nslices <= MI_CACHE_SLICES; }
/* Is it worth looking there for a page for so many bytes? */
mi_inline bool mi_policy_looks_in_cache(size_t size) { return size <= MI_CACHE_SLICES * MI_SLICE_SIZE; }

/* So many pages of a class are cached. 300 threads, one after the other, with 2000 blocks of up to 1 KiB
   each: 3.0 MiB resident at most, 485 page faults; 3.9 and 737 with none. */
mi_inline unsigned mi_policy_cached_of(unsigned bin) {
  return MI_HARD ? 1 : bin <= MI_BIN_SMALL_LAST ? MI_CACHE_SLICES : MI_CACHE_SLICES / 4;
}

/* A block larger than any page of a class that would touch new memory has the cached pages of all classes
   given back first: they may lie between slices that are free. */
mi_inline bool mi_policy_empties_cache(size_t size) { return size > MI_MEDIUM_SLICES * MI_SLICE_SIZE; }

/* ---- structures: any thread ---- */

/* Slabs of a kind (32 KiB each) that stay resident with nothing in them: heaps or threads that come and go
   then take nothing from the system and give nothing back. */
#define MI_META_EMPTY 8u

/* ---- housekeeping: how often a slow path does more than it must ---- */

/* Ticks between sweeps; a power of two. A slow path that skips housekeeping is one tick. */
#define MI_SWEEP_EVERY 256u
#define MI_SLOW_TICKS  8u                /* .. any other */
/* Slices given back, slow paths, or slow halves of free, between two looks at the clock. */
#define MI_CLOCK_TICKS 16u
#define MI_ADOPT_LOOKS 128u              /* at pooled pages before a fresh one is taken; */
#define MI_ADOPT_SWAP  4u                /* .. a swap counts as so many */
/* Who finds no free slices while others are being purged tries again: so often at once, then after a
   millisecond each. A tenth of a second at most: who purges may have no processor. */
#define MI_CLAIM_YIELDS 200
#define MI_CLAIM_SLEEPS 100

/* ---- requests that fail ---- */

/* A request that the system refuses, of who has 16384 pages with free blocks: 1.7 us; 98 where all of them
   are looked at for each. */
#define MI_VAIN_PAGES 32u                /* that each request that fails may look at, on the average */
#define MI_VAIN_MS    100u

/* A local heap that brought nothing when it was collected for a request that failed is collected for another
   when so many have failed that each looks at a few pages, or after a tenth of a second. */
mi_inline bool mi_policy_collects_again(const mi_lheap_t* lh, uint64_t now) {
  return lh->vain_pages <= (uint64_t)MI_VAIN_PAGES * lh->vain_failures || now - lh->vain_at >= MI_VAIN_MS;
}

/* ---- rounds, and the thread that makes them: any thread ---- */

/* A round begins half of purge_delay (milliseconds) after something was left for it, and gives back what was
   left for the one before: so memory goes back after a half to one delay. 0: never. */
mi_inline uint64_t mi_policy_round_ms(long delay) { return delay < 0 ? 0 : mi_max((uint64_t)delay / 2, 1); }

#define MI_ROUND_PAGES 64u  /* that the thread looks at in one piece: whoever forks or visits waits for it; */
#define MI_ROUND_PAGES_BY_OTHERS 16u     /* .. and that a slow path does */
#define MI_ROUND_PAUSE_MS 1u  /* between two pieces of the thread: others need the kernel's lock, too */
#define MI_PURGE_SLEEP_MS 500u           /* the longest that the thread sleeps; */
#define MI_PURGE_WAIT_MS  50u            /* .. and where it has work, but may not do it yet */
/* It looks whether all other threads have ended before its sleeps since the last look come to more than this:
   then it ends, and the process with it. A look takes 10 us. */
#define MI_PURGE_LOOK_MS 250u
#define MI_PURGE_RETRY_MS 1000u          /* after a thread could not be made */
#define MI_PURGE_ASK_MS   10u            /* after there was but one thread; asking takes 10 us */
/* No round is made in a program so small: it may have a page of each small class. Such a program makes no
   system call for what it freed, which a sandbox may not expect. */
#define MI_ROUND_COMMITTED (4 * MI_MiB)
mi_inline bool mi_policy_round_pays(size_t committed) { return MI_HARD || committed >= MI_ROUND_COMMITTED; }
_Static_assert(MI_ROUND_COMMITTED / MI_SLICE_SIZE > MI_BIN_SMALL_LAST, "what a small program may have");

/* Pages that a sweep looks at in a microsecond, which it takes anyway. Measured: 16 to 100, where they are in
   the processor's caches. */
#define MI_SWEEP_PAGES_PER_US 8u
mi_inline uint64_t mi_policy_sweep_us(size_t npages) { return 1 + npages / MI_SWEEP_PAGES_PER_US; }

/* Committed, before there is a thread by default. */
#define MI_PURGE_THREAD_MIN  (MI_HARD ? MI_MiB : 8 * MI_MiB)
/* Where there is no thread, so much may wait, or a fifth of what is committed; a thirty-second, where this
   thread has only freed of late. 1 GiB of 1.25 in blocks of 16 B to 1 MiB freed at random: 1.14 of what lives
   is resident; 1.61 with a fifth and no holes, 1.5 under glibc. */
#define MI_PURGE_EARLY_BYTES (8 * MI_MiB)
mi_inline bool mi_policy_is_early_due(size_t waiting, size_t committed, bool frees_only) {
  return waiting > MI_PURGE_EARLY_BYTES && waiting > committed / (frees_only ? 32 : 5);
}
#define MI_PURGE_EARLY_TICKS 64u  /* slices given back between two counts of what waits: 4 MiB at most */

/* So many pieces of MI_PURGE_PIECE, or of a round, may a slow path do: at least twice as much as was given
   back since the last look at the clock, so that what waits becomes less (suite bursts). */
mi_inline uint32_t mi_policy_pieces(uint32_t ticks) {
  return 1 + 2 * ticks / (MI_PURGE_PIECE / MI_SLICE_SIZE);
}

/* What it may cost in any ten seconds, in microseconds of processor time: 2 % of a processor, less what the
   piece takes that is begun with the last of it. What was spent may be spent again ten seconds later, in
   steps: so it is all there for a burst. */
#define MI_CREDIT_MOST   (MI_HARD ? 1900000 : 190000)
#define MI_CREDIT_STEPS  41u
#define MI_CREDIT_STEP_MS 250u
_Static_assert((MI_CREDIT_STEPS - 1) * MI_CREDIT_STEP_MS >= 10000, "what is spent in a step counts so long");
/* Less is for slices, which bring more for the same time. */
#define MI_CREDIT_PAGES  (MI_CREDIT_MOST / 10 * 3)
#define MI_CREDIT_TIMES  2                           /* what is done in pages counts so often */
#define MI_CREDIT_EARLY  (MI_CREDIT_MOST / 10 * 7)   /* less is not for what comes back in vain */

/* What went back before it was due was taken again: in ten seconds it was, with what is committed, more
   than there was at once in that time. A program that fills 100 MiB with blocks of 64 KiB and frees them
   all, again and again, fills it 392 times in two seconds; 198 times where that may take all the budget. */
mi_inline bool mi_policy_early_is_in_vain(size_t early, size_t committed, size_t most) {
  return early + committed > most / 4 * 5;
}

/* ---- arenas: any thread ---- */

/* 40 MiB and 100 MiB, as a block or as many, allocated, touched and freed at once or three times a second,
   take as long where large arenas go as where they stay. */
#define MI_ARENA_GOES (32 * MI_MiB)

/* An arena in which all is free goes after a round if it is large and little of it is resident still: the
   program may have set itself a limit of addresses, or of what it may write to, and need them for something
   else. Where they are known to be few all go that were purged. */
mi_inline bool mi_policy_arena_goes(size_t bytes, size_t resident, bool few) {
  return bytes >= MI_ARENA_GOES ? resident <= MI_PURGE_EARLY_BYTES : few && resident == 0;
}

/* Arenas go while at most half of the numbers are used: a number is used up for ever if something else is at
   the old addresses of its arena when that is to come back. */
mi_inline bool mi_policy_arenas_go(size_t narenas) { return narenas <= MI_ARENAS_MAX / 2; }

/* An arena is an eighth of all of them or larger, so that there are few. */
mi_inline size_t mi_policy_arena_least(size_t bytes) { return mi_align_up(bytes / 8, MI_SLICE_SIZE); }

/* An arena for a block that large is a multiple of an eighth of that: one that has gone comes back for blocks
   that differ a little, and few numbers are used. */
mi_inline size_t mi_policy_arena_room(size_t room, bool few) {
  return few || room < MI_ARENA_GOES ? room : mi_align_up(room, (size_t)1 << (mi_log2(room) - 3));
}

/* ---- mappings of their own, which go with their block: any thread ---- */

/* A block has one if it is over half of the largest arena: two of them would not fit. A large alignment takes
   up as much room. */
mi_inline bool mi_policy_is_huge(size_t size, size_t align, size_t largest_arena) {
  return size > largest_arena / 2 || align > largest_arena / 4;
}

/* Of blocks that no arena has `room` for: all of the size of the first arena or more, once the system has
   refused one; else those that are larger than the next arena would be, where addresses are few, and if not,
   then the first of them (`demand`: of all that had one): many programs have one large block. */
mi_inline bool mi_policy_stands_alone(size_t room, size_t next, size_t demand, bool few, bool refused) {
  return room > MI_ARENA_FIRST && (refused || (room > next && (few || room > demand)));
}

/* ---- zeroed blocks: any thread ---- */

/* So many dirty slices in a row are given back to become zero; fewer are written to, because the page faults
   of who touches them again take longer than that. */
#define MI_CLEAR_BY_PURGE (32 * MI_MiB)
mi_inline bool mi_policy_clears_by_purge(size_t nslices) {
  return nslices >= MI_CLEAR_BY_PURGE / MI_SLICE_SIZE;
}

/* ---- blocks that grow: any thread ---- */

#define MI_HEADROOM_MOST  (32 * MI_MiB)  /* for a block that grows; as large a block is moved, not copied */
/* So large a block that has to be copied gets headroom, unless it doubles: that is seldom. */
#define MI_HEADROOM_MIN   (128 * MI_KiB)
#define MI_HEADROOM_EARLY MI_MiB            /* below this it is copied early */
/* Times its size, where an arena is made for its headroom and addresses are few: so that it is copied seldom;
   and at least, so that it is worth being copied. */
#define MI_HEADROOM_TIMES 8u
#define MI_HEADROOM_LEAST 2u

/* A block that grows a little at a time gets headroom. Eight blocks grown by turns, by an eighth each,
   to 12 MiB: 40 ms of processor time and 93 MiB at most; 65 ms and 94 MiB without headroom. */
mi_inline bool mi_policy_wants_headroom(size_t old, size_t newsize) {
  return old >= MI_HEADROOM_MIN && newsize < old / 4 * 7 && newsize <= MI_HEADROOM_MOST / 2;
}

/* .. and is copied while it is small, and not where it comes to the end of a small arena. */
mi_inline bool mi_policy_leaves_early(size_t old, size_t newsize) {
  return newsize > old && old < MI_HEADROOM_EARLY && mi_policy_wants_headroom(old, newsize);
}

/* A block that shrinks stays where it is if at most half of it is wasted. */
mi_inline bool mi_policy_block_stays(size_t old, size_t newsize) {
  return newsize <= old && newsize >= old / 2;
}

/* Mapping boundaries: each may be a mapping, of which a process has 65530 on Linux. */
#define MI_BOUNDARIES_MAX 8192u

/* Pages are moved: a smaller block is copied as fast, to memory that is warm; but to memory that is not
   (`clean`) it would be resident twice. */
mi_inline bool mi_policy_moves(size_t nslices, bool clean) {
  return nslices >= (clean ? MI_MiB : MI_HEADROOM_MOST) / MI_SLICE_SIZE;
}
_Static_assert(MI_MiB / MI_SLICE_SIZE > MI_CACHE_SLICES,
               "what a move leaves behind is committed no more, so it may not be cached for the next block");

#endif
