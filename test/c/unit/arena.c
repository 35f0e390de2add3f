/* arena.h: claiming, giving back, resizing, purging. */
#include <pthread.h>
#include <sys/mman.h>

#include "core/os.h"
#include "core/pagemap.h"
#include "test.h"

static mi_page_t* claim(size_t size, size_t align, bool* zero) {
  bool dummy;
  mi_page_t* page = mi_memory_claim(size, align, MI_ARENA_NONE, zero != NULL ? zero : &dummy);
  CHECK(page != NULL && (uintptr_t)page->start % mi_max(align, MI_SLICE_SIZE) == 0);
  return page;
}

static void claim_and_give(void) {
  mi_page_t* page[300];
  uint64_t r = 1;
  for (int i = 0; i < 300; i++) {
    const size_t n = 1 + test_random(&r) % 16;
    page[i] = claim(n * MI_SLICE_SIZE - test_random(&r) % 1000, MI_SLICE_SIZE << test_random(&r) % 4, NULL);
    if (page[i]->arena != MI_ARENA_NONE) CHECK_EQ(mi_page_nslices(page[i]), n);
    memset(page[i]->start, i, MI_SLICE_SIZE);
    page[i]->start[n * MI_SLICE_SIZE - 1001] = 1;
  }
  for (int i = 0; i < 300; i++) {
    CHECK(test_all(page[i]->start, MI_SLICE_SIZE / 2, (uint8_t)i));
    mi_memory_give(page[i]);
  }
  test_nothing_left();
}

static void every_alignment(void) {
  for (size_t align = 1; align <= 64 * MI_MiB; align *= 2) mi_memory_give(claim(100000, align, NULL));
  test_nothing_left();
}

static void zero_or_not(void) {
  mi_option_set(mi_option_purge_delay, -1);
  bool zero = false;
  mi_page_t* page = claim(8 * MI_SLICE_SIZE, 1, &zero);
  CHECK(zero && test_all(page->start, 8 * MI_SLICE_SIZE, 0));
  memset(page->start, 1, 8 * MI_SLICE_SIZE);
  mi_memory_give(page);
  page = claim(9 * MI_SLICE_SIZE, 1, &zero);
  CHECK(!zero);
  mi_option_set(mi_option_purge_delay, 0);
  memset(page->start, 1, 9 * MI_SLICE_SIZE);
  mi_memory_give(page);
  page = claim(9 * MI_SLICE_SIZE, 1, &zero);
  CHECK(zero && test_all(page->start, 9 * MI_SLICE_SIZE, 0));
  mi_memory_give(page);
}

/* What was given back and not purged is not called zero when its neighbours are. */
static void zero_in_part(void) {
  mi_option_set(mi_option_purge_delay, -1);
  bool zero;
  mi_page_t* page = claim(1, 1, &zero);
  memset(page->start, 1, MI_SLICE_SIZE);
  mi_memory_give(page);
  page = claim(4 * MI_SLICE_SIZE, 1, &zero);
  CHECK(zero == test_all(page->start, 4 * MI_SLICE_SIZE, 0));
  mi_memory_give(page);
}

static void committed_is_counted(void) {
  mi_option_set(mi_option_purge_delay, 100000);
  const size_t before = mi_commit_totals.xcommitted;
  mi_page_t* page = claim(10 * MI_SLICE_SIZE, 1, NULL);
  CHECK_EQ(mi_commit_totals.xcommitted, before + 10 * MI_SLICE_SIZE);
  mi_memory_give(page);
  CHECK_EQ(mi_commit_totals.xcommitted, before + 10 * MI_SLICE_SIZE);
  mi_purge_all();
  CHECK_EQ(mi_commit_totals.xcommitted, before);
  CHECK(mi_commit_totals.xpeak_committed >= before + 10 * MI_SLICE_SIZE);
}

static void user_memory(void) {
  static uint8_t memory[40 * 65536];
  uint16_t number;
  bool zero;
  errno = 0;
  CHECK(!mi_arena_add(memory + 1, 2 * MI_SLICE_SIZE - 65000, true, false, true, &number) || number == 0);
  CHECK(!mi_arena_add(NULL, MI_MiB, true, false, true, &number));
  CHECK_EQ(errno, EINVAL);
  CHECK(!mi_arena_add(memory, 100, true, false, true, &number));
  CHECK(mi_arena_add(memory + 100, sizeof memory - 100, true, false, true, &number));
  mi_arena_t* a = mi_arena_at(number);
  CHECK(a->nslices >= 38 && a->start >= memory + 100
        && a->start + a->nslices * MI_SLICE_SIZE <= memory + sizeof memory);
  CHECK(mi_arena_of_address(a->start) == a && mi_arena_of_address(a->start - 1) != a);
  mi_page_t* other = claim(MI_SLICE_SIZE, 1, NULL);
  CHECK(other->arena != number);                 /* exclusive: only for who names it */
  size_t n = 0;
  mi_page_t* page[40];
  while ((page[n] = mi_memory_claim(MI_SLICE_SIZE, 1, number, &zero)) != NULL) n++;
  CHECK_EQ(n, a->nslices);                       /* and no other is used when it is full */
  while (n > 0) mi_memory_give(page[--n]);
  CHECK(mi_memory_claim(a->nslices * MI_SLICE_SIZE + 1, 1, number, &zero) == NULL);
  mi_memory_give(other);
}

static void resize_in_place(void) {
  mi_page_t* page = claim(4 * MI_SLICE_SIZE, 1, NULL);
  CHECK(mi_memory_resize(page, 8 * MI_SLICE_SIZE));
  CHECK_EQ(mi_page_nslices(page), 8);
  memset(page->start, 1, 8 * MI_SLICE_SIZE);
  mi_page_t* next = claim(1, 1, NULL);
  CHECK(next->start == page->start + 8 * MI_SLICE_SIZE || next->arena != page->arena
        || next->start < page->start);
  if (next->start == page->start + 8 * MI_SLICE_SIZE) CHECK(!mi_memory_resize(page, 9 * MI_SLICE_SIZE));
  CHECK(mi_memory_resize(page, 1) && mi_page_nslices(page) == 1);
  CHECK(!mi_memory_resize(page, (size_t)1 << 40));
  mi_memory_give(page);
  mi_memory_give(next);
  test_nothing_left();
}

static void mapping(void) {
  const size_t size = MI_ARENA_SIZE / 2 + MI_MiB;
  mi_page_t* page = claim(size, 1, NULL);
  CHECK_EQ(page->arena, MI_ARENA_NONE);
  page->start[0] = 1;
  page->start[size - 1] = 2;
  CHECK(!mi_memory_resize(page, size * 2));
  CHECK(mi_mapping_resize(page, size, size * 2));
  CHECK(page->start[0] == 1 && page->start[size - 1] == 2 && page->start[size * 2 - 1] == 0);
  mi_page_t* in_arena = claim(1, 1, NULL);
  CHECK(!mi_mapping_resize(in_arena, MI_SLICE_SIZE, size));
  mi_memory_give(in_arena);
  mi_store_relaxed(&page->xsize, size * 2);
  mi_memory_give(page);
  test_nothing_left();
}

/* However small the user says arenas shall be: pages are in arenas, and none is smaller than a MiB. */
static void tiny_reserve(void) {
  mi_option_set(mi_option_arena_reserve, 0);
  for (size_t size = MI_SLICE_SIZE; size <= MI_MEDIUM_SLICES * MI_SLICE_SIZE; size *= 2)
    CHECK(claim(size, 1, NULL)->arena != MI_ARENA_NONE);
  CHECK(mi_arena_at(0)->nslices * MI_SLICE_SIZE >= MI_ARENA_MIN);
}

/* ---- purging ---- */

static void purge_after_delay(void) {
  mi_option_set(mi_option_purge_delay, 1000000);
  claim(MI_ROUND_COMMITTED, 1, NULL);             /* so that rounds are made */
  mi_page_t* page = claim(MI_SLICE_SIZE, 1, NULL);
  memset(page->start, 1, MI_SLICE_SIZE);
  mi_memory_give(page);
  mi_purger_run(false);
  CHECK_EQ(mi_commit_totals.xpurged, 0);
  mi_option_set(mi_option_purge_delay, 50);
  usleep(80000);
  mi_purger_run(false);                         /* a round ends: the page was free for part of it */
  mi_page_t* late = claim(3 * MI_SLICE_SIZE, 1, NULL);
  CHECK(late->start == page->start);
  mi_memory_give(late);                           /* one slice of it was due, and is not any more */
  CHECK_EQ(mi_commit_totals.xpurged, 0);
  usleep(80000);
  mi_purger_run(false);
  CHECK_EQ(mi_commit_totals.xpurged, 0);
  usleep(80000);
  mi_purger_run(false);
  CHECK_EQ(mi_commit_totals.xpurged, 3 * MI_SLICE_SIZE);
}

static void purge_in_pieces(void) {
  enum { N = 1024 };                             /* 64 MiB in single slices */
  static mi_page_t* page[N];
  mi_option_set(mi_option_purge_delay, 1);
  for (int i = 0; i < N; i++) memset((page[i] = claim(MI_SLICE_SIZE, 1, NULL))->start, 1, MI_SLICE_SIZE);
  const size_t full = test_rss();
  for (int i = 0; i < N; i++) mi_memory_give(page[i]);
  usleep(30000);
  mi_purger_run_piece();
  usleep(30000);
  size_t calls = 0;
  for (size_t last = 0; mi_commit_totals.xpurged < N * MI_SLICE_SIZE;
       last = mi_commit_totals.xpurged, calls++) {
    mi_purger_run_piece();
    CHECK(mi_commit_totals.xpurged - last <= MI_PURGE_PIECE);
    CHECK(calls < 1000);
  }
  CHECK(calls >= N * MI_SLICE_SIZE / MI_PURGE_PIECE - 1);
  CHECK(test_rss() + 48 * MI_MiB < full);
  test_nothing_left();
}

/* Of slices that are marked together some may have been purged by another meanwhile: these are
   not counted twice. */
static void purged_by_two(void) {
  mi_option_set(mi_option_purge_delay, 1000000);
  mi_page_t* page = claim(8 * MI_SLICE_SIZE, 1, NULL);
  mi_arena_t* a = mi_arena_at(page->arena);
  const size_t first = mi_arena_slice_of(a, page->start);
  mi_memory_give(page);
  mi_purge_all();
  CHECK(mi_commit_totals.xcommitted == 0 && mi_commit_totals.xpurged == 8 * MI_SLICE_SIZE);
  mi_memory_give(claim(3 * MI_SLICE_SIZE, 1, NULL));
  mi_bitmap_set(a->due, first, 8);               /* as if the other had come between our look and our claim */
  mi_purge_all();
  CHECK_EQ(mi_commit_totals.xcommitted, 0);
  CHECK_EQ(mi_commit_totals.xpurged, 11 * MI_SLICE_SIZE);
  test_nothing_left();
}

static void purge_never(void) {
  mi_option_set(mi_option_purge_delay, -1);
  mi_memory_give(claim(10 * MI_SLICE_SIZE, 1, NULL));
  usleep(5000);
  mi_purger_run(false);
  CHECK_EQ(mi_commit_totals.xpurged, 0);
}

static void pinned_is_not_purged(void) {
  static uint8_t memory[10 * 65536];
  uint16_t number;
  bool zero;
  mi_option_set(mi_option_purge_delay, 0);
  CHECK(mi_arena_add(memory, sizeof memory, true, true, true, &number));
  mi_page_t* page = mi_memory_claim(MI_SLICE_SIZE, 1, number, &zero);
  memset(page->start, 1, MI_SLICE_SIZE);
  mi_memory_give(page);
  mi_purge_all();
  CHECK_EQ(page->start[0], 1);
  page = mi_memory_claim(MI_SLICE_SIZE, 1, number, &zero);
  CHECK(!zero);
  mi_memory_give(page);
}

static void no_memory(void) {
  bool zero;
  mi_os_fail_in(1, SIZE_MAX);
  errno = 0;
  CHECK(mi_memory_claim(MI_SLICE_SIZE, 1, MI_ARENA_NONE, &zero) == NULL);
  CHECK(mi_memory_claim(MI_ARENA_SIZE, 1, MI_ARENA_NONE, &zero) == NULL);
  CHECK_EQ(errno, ENOMEM);
  mi_os_fail_in(0, 0);
  mi_memory_give(claim(MI_SLICE_SIZE, 1, NULL));
  test_nothing_left();
}

/* ---- how much is reserved ---- */

/* The first arena is small, each next as large as all before, up to arena_reserve. */
static void small_first(void) {
  size_t sum = 0;
  mi_option_set(mi_option_arena_reserve, 64 * 1024);
  claim(1, 1, NULL);
  CHECK(mi_commit_totals.xreserved == MI_ARENA_FIRST && MI_ARENA_FIRST <= 4 * MI_MiB);
  while (mi_commit_totals.xreserved < 4 * MI_GiB) claim(MI_MEDIUM_SLICES * MI_SLICE_SIZE, 1, NULL);
  for (size_t i = 0; i < mi_arena_count(); i++) {
    const size_t size = mi_arena_at(i)->nslices * MI_SLICE_SIZE;
    CHECK_AT(size <= mi_max(MI_ARENA_FIRST, mi_max(mi_min(sum, 64 * MI_MiB), sum / 8 + MI_SLICE_SIZE)),
             "arena %zu, %zu bytes", i, size);
    sum += size;
  }
  CHECK(mi_arena_count() < 40);
}

/* The system refuses large reservations: smaller ones are tried; and again larger ones when
   it grants these. */
static void smaller_arena(void) {
  for (size_t sum = 0; sum < 32 * MI_MiB; sum += MI_MiB) claim(MI_MiB, 1, NULL);
  const size_t n = mi_arena_count(), before = mi_commit_totals.xreserved;
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 1, 2);
  while (mi_arena_count() == n) claim(MI_SLICE_SIZE, 1, NULL);
  CHECK(mi_commit_totals.xreserved > before
        && mi_commit_totals.xreserved <= before + mi_min(MI_ARENA_SIZE, before) / 4 + MI_SLICE_SIZE);
  while (mi_arena_count() < n + 8) claim(MI_SLICE_SIZE, 1, NULL);
  CHECK(mi_arena_at(n + 7)->nslices * MI_SLICE_SIZE >= mi_min(MI_ARENA_SIZE, before));
}

/* The first block that is larger than the next arena has a mapping of its own, which goes with it; the next
   one like it has room. */
static void large_blocks(void) {
  const size_t size = MI_HARD ? 3 * MI_MiB / 2 : 20 * MI_MiB;
  mi_page_t* small = claim(1, 1, NULL);
  const size_t before = mi_commit_totals.xreserved;
  mi_page_t* page = claim(size - 5000, 1, NULL);
  CHECK(page->arena == MI_ARENA_NONE && mi_commit_totals.xmappings == 1);
  mi_memory_give(page);
  CHECK(mi_commit_totals.xreserved == before && mi_commit_totals.xmappings == 0);
  page = claim(size - 5000, 1, NULL);
  CHECK(page->arena != MI_ARENA_NONE);
  mi_memory_give(page), mi_memory_give(small);
  test_nothing_left();
}

/* Where the system has no more addresses, those of arenas in which all is free are given back; from then on
   large blocks have mappings of their own. */
static void arenas_go(void) {
  const size_t size = MI_HARD ? 3 * MI_MiB / 2 : 20 * MI_MiB;
  mi_page_t* small = claim(1, 1, NULL);
  mi_memory_give(claim(size, 1, NULL));
  mi_page_t* page = claim(size, 1, NULL);
  const mi_arena_t* a = mi_arena_at(page->arena);
  memset(page->start, 1, size);
  const uint8_t* start = a->start;
  const size_t before = mi_commit_totals.xreserved;
  mi_memory_give(page);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 1, 1);
  page = claim(3 * size, 1, NULL);
  CHECK(a->xgone && mi_arena_of_address(start) != a
        && mi_commit_totals.xreserved
               == before + mi_align_up(3 * size, MI_SLICE_SIZE) - a->nslices * MI_SLICE_SIZE);
  mi_memory_give(page);
  CHECK(claim(4 * size, 1, NULL)->arena == MI_ARENA_NONE);
  CHECK(!mi_arena_at(small->arena)->xgone && mi_check_all() == 0);
}

/* Large ones go after a round even where nothing was refused, and come back for blocks like those. */
static void large_arenas_go(void) {
  enum { MIB = 40 };
  mi_option_set(mi_option_arena_reserve, MI_GiB / MI_KiB);
  mi_option_set(mi_option_purge_delay, 1000000);
  mi_page_t* small = claim(1, 1, NULL);
  mi_memory_give(claim(70 * MI_MiB, 1, NULL));
  mi_page_t* page = claim(MIB * MI_MiB, 1, NULL);
  mi_arena_t* a = mi_arena_at(page->arena);
  const size_t count = mi_arena_count(), reserved = mi_commit_totals.xreserved;
  CHECK(a->nslices * MI_SLICE_SIZE >= MIB * MI_MiB && a != mi_arena_at(small->arena));
  mi_arena_release_purged();
  mi_memory_give(page);
  mi_arena_release_purged();
  CHECK(!a->xgone);                              /* so much is resident, as far as is known */
  mi_purge_all();
  mi_page_t* little = claim(MI_PURGE_EARLY_BYTES / 2, 1, NULL);
  mi_arena_release_purged();
  CHECK(!a->xgone);
  mi_memory_give(little);
  mi_arena_release_purged();
  CHECK(a->xgone && !mi_arena_at(small->arena)->xgone
        && mi_commit_totals.xreserved == reserved - a->nslices * MI_SLICE_SIZE);
  for (size_t i = 0; i < 16; i++) {
    page = claim(MIB * MI_MiB - i * MI_SLICE_SIZE, 1, NULL);
    CHECK_AT(page->arena == a->number && mi_arena_count() == count, "%zu", i);
    mi_memory_give(page);
    mi_purge_all();
    mi_arena_release_purged();
  }
  CHECK(a->xgone && mi_check_all() == 0);
}

/* ---- looking for free slices ---- */

/* Arenas in which single slices are free: who looks for two looks at each once, and then not again
   until two are free. */
static void looks_once(void) {
  enum { N = 3000 };
  static mi_page_t* page[N];
  bool zero;
  for (int i = 0; i < N; i++) page[i] = claim(1, 1, NULL);
  while (test_free_slices() > 0) claim(1, 1, NULL);
  for (int i = 0; i < N; i += 2) mi_memory_give(page[i]);
  const size_t scans = mi_commit_totals.xscans;
  CHECK(mi_memory_claim_touched(2 * MI_SLICE_SIZE, 1, &zero) == NULL);
  CHECK(mi_commit_totals.xscans > scans && mi_commit_totals.xscans <= scans + 2 * mi_arena_count());
  for (size_t n = 2; n < 200; n++) {
    const size_t before = mi_commit_totals.xscans;
    CHECK(mi_memory_claim_touched(n * MI_SLICE_SIZE, 1, &zero) == NULL && mi_commit_totals.xscans == before);
    mi_memory_give(claim(1, 1, NULL));                /* one is free: of no use to who wants two */
    CHECK(mi_commit_totals.xscans <= before + 2);
  }
  mi_memory_give(page[1]);
  mi_page_t* three = claim(3 * MI_SLICE_SIZE, 1, NULL);
  CHECK(three->start == page[0]->start || three->start == page[2]->start || three->arena == page[1]->arena);
}

/* Claims and gives by four threads at once in an arena that is always nearly full; after it all
   is free and found. */
static uint16_t crowded;
static void* crowd(void* seed) {
  uint64_t r = (uintptr_t)seed;
  mi_page_t* page[12] = { NULL };
  bool zero;
  for (int i = 0; i < 30000; i++) {
    mi_page_t** p = &page[test_random(&r) % 12];
    if (*p != NULL) mi_memory_give(*p);
    *p = mi_memory_claim((1 + test_random(&r) % (i % 16 == 0 ? 40 : 5)) * MI_SLICE_SIZE, 1, crowded, &zero);
  }
  for (int i = 0; i < 12; i++) if (page[i] != NULL) mi_memory_give(page[i]);
  return NULL;
}

static void crowd_finds_all(void) {
  static uint8_t memory[130 * 65536];
  bool zero;
  CHECK(mi_arena_add(memory, sizeof memory, true, true, true, &crowded));
  const size_t n = mi_arena_at(crowded)->nslices;
  for (int round = 0; round < 3; round++) {
    pthread_t t[4];
    for (uintptr_t i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, &crowd, (void*)(i + 1)), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    mi_page_t* page = mi_memory_claim(n * MI_SLICE_SIZE, 1, crowded, &zero);
    CHECK(page != NULL);
    mi_memory_give(page);
  }
  test_nothing_left();
}

/* ---- where every page counts that can be written to ---- */

static void counts_no_more(void) {
  mi_os_set_must_commit(true);
  mi_option_set(mi_option_purge_delay, 100000);
  const size_t size = 64 * MI_SLICE_SIZE;
  CHECK_EQ(mi_reserve_os_memory(2 * size, true, false), 0);
  mi_page_t *one = claim(1, 1, NULL), *page = claim(size, 1, NULL);
  test_accounted();                                  /* which takes memory itself, at first */
  const size_t before = test_accounted();
  memset(page->start, 1, size);
  mi_memory_give(page);
  mi_purge_some(true);
  CHECK_EQ(test_accounted(), before - size);
  bool zero;
  page = claim(size, 1, &zero);
  CHECK(zero && test_all(page->start, size, 0));
  CHECK_EQ(test_accounted(), before);
  memset(page->start, 1, size);
  mi_memory_give(page), mi_memory_give(one);
  test_nothing_left();
}

/* A part that could be committed is not any more when the rest could not; and no new arena
   is tried for it. */
static void commit_fails(void) {
  mi_os_set_must_commit(true);
  bool zero;
  mi_page_t* one = claim(1, 1, NULL);
  for (mi_os_way_t way = MI_OS_AT_START; way <= MI_OS_HALF; way++) {
    const size_t before = test_accounted(), n = mi_arena_count(), nfree = test_free_slices();
    mi_os_fail_call(MI_OS_COMMIT, way, 1, SIZE_MAX);
    for (int i = 0; i < 3; i++)
      CHECK(mi_memory_claim(4 * MI_SLICE_SIZE, 1, MI_ARENA_NONE, &zero) == NULL && errno == ENOMEM);
    mi_os_fail_call(MI_OS_COMMIT, way, 0, 0);
    CHECK(mi_arena_count() == n && test_free_slices() == nfree);
    CHECK_EQ(test_accounted(), before);
  }
  mi_page_t* page = claim(4 * MI_SLICE_SIZE, 1, NULL);
  memset(page->start, 1, 4 * MI_SLICE_SIZE);
  mi_memory_give(page), mi_memory_give(one);
  test_nothing_left();
}

/* What another has got meanwhile is never handed out again. */
static void purge_loses(void) {
  mi_os_set_must_commit(true);
  mi_option_set(mi_option_purge_delay, 0);
  mi_page_t *one = claim(1, 1, NULL), *page = claim(4 * MI_SLICE_SIZE, 1, NULL);
  const size_t nfree = test_free_slices();
  mi_os_fail_call(MI_OS_DECOMMIT, MI_OS_TAKEN, 1, 1);
  mi_memory_give(page);
  CHECK(test_free_slices() == nfree && mi_commit_totals.xcommitted == MI_SLICE_SIZE);
  mi_page_t* other = claim(4 * MI_SLICE_SIZE, 1, NULL);
  CHECK(other->start != page->start);
  mi_memory_give(other), mi_memory_give(one);
}

/* Where a block that grows has room: a place for each, of half the room when there are no more;
   behind it no other. */
static void roomy(void) {
  if (test_skips(MI_HARD, "its arenas are smaller")) return;
  enum { N = 40 };
  CHECK_EQ(mi_reserve_os_memory(MI_GiB, true, false), 0);
  mi_page_t* page[N];
  bool zero;
  CHECK(mi_memory_claim_headroom(MI_HEADROOM_MOST / 2 + 1, MI_ARENA_NONE, &zero) == NULL);
  mi_memory_give(claim(1, 1, NULL));                /* there is an arena */
  const mi_arena_t* a = mi_arena_at(0);
  for (int i = 0; i < N; i++) {
    CHECK((page[i] = mi_memory_claim_headroom(200000, MI_ARENA_NONE, &zero)) != NULL
          && page[i] > &a->pages[a->nslices / 2 - 1]);
    CHECK_EQ(mi_page_nslices(page[i]), 4);
    const size_t room = i < 16 ? MI_HEADROOM_MOST : i < 32 ? MI_HEADROOM_MOST / 2 : MI_HEADROOM_MOST / 4;
    CHECK_EQ(mi_bitmap_run(a->free, a->nslices, mi_arena_slice_of(a, page[i]->start) + 4,
                           room / MI_SLICE_SIZE - 4),
             room / MI_SLICE_SIZE - 4);
  }
  for (int i = 0; i < N; i++) mi_memory_give(page[i]);
  test_nothing_left();
}

/* Only what somebody had before. */
static void touched(void) {
  mi_option_set(mi_option_purge_delay, -1);
  bool zero;
  mi_page_t *before = claim(1, 1, NULL), *p = claim(4 * MI_SLICE_SIZE, 1, NULL);
  const size_t committed = mi_commit_totals.xcommitted, peak = mi_commit_totals.xpeak_committed;
  CHECK(mi_memory_claim_touched(2 * MI_SLICE_SIZE, 1, &zero) == NULL);
  CHECK(mi_commit_totals.xcommitted == committed && mi_commit_totals.xpeak_committed == peak);
  mi_memory_give(p);
  CHECK(mi_memory_claim_touched(5 * MI_SLICE_SIZE, 1, &zero) == p && !zero);   /* in part */
  mi_memory_give(p), mi_memory_give(before);
}

TEST_MAIN("arena", TEST(claim_and_give), TEST(every_alignment), TEST(zero_or_not), TEST(zero_in_part),
          TEST(committed_is_counted), TEST(user_memory), TEST(resize_in_place), TEST(mapping),
          TEST(tiny_reserve), TEST(purge_after_delay), TEST(purge_in_pieces), TEST(purged_by_two),
          TEST(purge_never), TEST(pinned_is_not_purged), TEST(no_memory), TEST(small_first),
          TEST(smaller_arena), TEST(large_blocks), TEST(arenas_go), TEST(large_arenas_go),
          TEST(looks_once), TEST(crowd_finds_all),
          TEST(counts_no_more), TEST(commit_fails), TEST(purge_loses), TEST(roomy), TEST(touched))
