/* lheap.h: queues, full pages that come back, retired pages, collecting. Linked so that calls of
   mi_page_collect come here, and of the clock (tests.mk). */
#include <unistd.h>

#include "core/policy.h"
#include "core/stats.h"
#include "test.h"

static mi_lheap_t* lh(int i) { return &owners[i]->main; }

/* Every class: fill several pages, so that full ones leave; free all in another order; it comes back.
   Parked, and given up. */
static void full_and_back(bool parked) {
  static void* block[4 * 4096];
  owners_begin();
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    const size_t size = mi_bin_size(bin);
    const size_t n =
        3 * mi_min(4096, (size <= MI_SMALL_MAX ? 1 : MI_MEDIUM_SLICES) * MI_SLICE_SIZE / size) + 1;
    const uint64_t full = lh(0)->xcounts.full_pages;
    for (size_t i = 0; i < n; i++) CHECK((block[i] = o_malloc(0, size)) != NULL);
    if (!parked) mi_queue_unpark_all(lh(0));
    CHECK(parked ? MI_HARD || lh(0)->nparked[bin] == 1 : lh(0)->xcounts.full_pages >= full + 3);
    CHECK_EQ(mi_check_all(), 0);
    if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), n);
    for (size_t i = 0; i + 1 < n; i += 2) o_free(0, block[i]);
    CHECK_EQ(mi_check_all(), 0);
    const uint64_t fresh = lh(0)->xcounts.fresh_pages;
    for (size_t i = 0; i + 1 < n; i += 2) CHECK((block[i] = o_malloc(0, size)) != NULL);
    CHECK_EQ(lh(0)->xcounts.fresh_pages, fresh);           /* all found room where it had been */
    for (size_t i = n; i > 0; i--) o_free(0, block[i - 1]);
    mi_lheap_collect(lh(0), true);
    CHECK_EQ(lh(0)->xcounts.pages, 0);
  }
  owners_end();
  test_nothing_left();
}

static void parked_and_back(void) { full_and_back(true); }
static void given_up_and_back(void) { full_and_back(false); }

/* A full page that others free into is pooled, and the allocator finds it there; a parked one it has. */
static void freed_by_others(bool parked) {
  static void* block[10000];
  owners_begin();
  for (int i = 0; i < 10000; i++) block[i] = o_malloc(0, 64);
  if (!parked) mi_queue_unpark_all(lh(0));
  for (int i = 0; i < 10000; i += 2) o_free(1 + i % 7, block[i]);
  CHECK_EQ(mi_check_all(), 0);
  const uint64_t fresh = lh(0)->xcounts.fresh_pages;
  for (int i = 0; i < 10000; i += 2) block[i] = o_malloc(0, 64);
  CHECK_EQ(lh(0)->xcounts.fresh_pages, fresh);
  CHECK(parked || lh(0)->xcounts.adopted_pages > 0);
  for (int i = 0; i < 10000; i++) o_free(7, block[i]);
  for (int i = 0; i < NOWNERS; i++) mi_owner_drain(owners[i], true);
  owners_end();
  test_nothing_left();
}

static void full_and_freed_by_others(void) { freed_by_others(false); }
static void parked_and_freed_by_others(void) { freed_by_others(true); }

enum { PAGES = 80, IN_PAGE = 8, BIG = 8192 };
static void* big[PAGES * IN_PAGE];               /* eight fill a page */
static mi_page_t* nth_page(int i) { return mi_page_of(big[i * IN_PAGE]); }
static bool is_parked(int i) { return mi_page_where(nth_page(i)) == MI_WHERE_PARKED; }
static bool is_full(int i) { return mi_xword_state(nth_page(i)->xword) == MI_PAGE_FULL; }
static unsigned nparked(void) { return lh(0)->nparked[mi_bin_of(BIG)]; }
static mi_queue_t* big_queue(void) { return &lh(0)->queue[mi_bin_of(BIG)]; }

static void fill_pages(int from, int n) {
  for (int i = from * IN_PAGE; i < (from + n) * IN_PAGE; i++) CHECK((big[i] = o_malloc(0, BIG)) != NULL);
}
static void free_pages(int n) {
  for (int i = 0; i < n * IN_PAGE; i++) o_free(0, big[i]);
}
/* The owner frees and allocates, at random, in n full pages. */
static void churn_pages(int n, int steps) {
  uint64_t r = 1;
  for (int i = 0; i < steps; i++) {
    void** b = &big[test_random(&r) % (uint64_t)(n * IN_PAGE)];
    o_free(0, *b);
    CHECK((*b = o_malloc(0, BIG)) != NULL && lh(0)->parked_slices <= 64);
  }
}

/* One page of a class is parked until its holder frees in it: the next block is that one. More, where
   that is often so. */
static void parked(void) {
  if (test_skips(MI_HARD, "no more than two pages are parked")) return;
  owners_begin();
  fill_pages(0, 5);
  CHECK(is_full(0) && is_full(2) && is_parked(3) && nparked() == 1);
  CHECK_EQ(mi_page_live(nth_page(3)), IN_PAGE);
  CHECK_EQ(mi_stats_use(owners[0]->id).blocks, 5 * IN_PAGE);
  void* p = big[3 * IN_PAGE + 5];
  o_free(0, p);
  CHECK(is_parked(4) && big_queue()->first == nth_page(3) && nparked() == 1);
  CHECK_EQ(mi_check_all(), 0);
  CHECK(o_malloc(0, BIG) == p);
  churn_pages(5, 200);
  CHECK_EQ(nparked(), 4);
  const uint64_t full = lh(0)->xcounts.full_pages, fresh = lh(0)->xcounts.fresh_pages;
  churn_pages(5, 200);
  CHECK(nparked() == 4 && lh(0)->xcounts.full_pages == full && lh(0)->xcounts.fresh_pages == fresh);
  CHECK_EQ(mi_stats_use(owners[0]->id).blocks, 5 * IN_PAGE);
  CHECK_EQ(mi_check_all(), 0);
  fill_pages(5, PAGES - 5);                       /* more than may be parked, and none of them freed in */
  CHECK_EQ(nparked(), 1);
  churn_pages(PAGES, 5000);
  CHECK(nparked() > 20);
  CHECK_EQ(mi_check_all(), 0);
  free_pages(PAGES);
  mi_lheap_collect(lh(0), true);
  CHECK_EQ(lh(0)->xcounts.pages, 0);
  owners_end();
  test_nothing_left();
}

/* Of an owner that only makes what others free next to nothing stays when it sleeps, whatever the one did
   that had its structure before. */
static void parked_by_a_maker(void) {
  owners_begin();
  fill_pages(0, 20);
  churn_pages(20, 1000);
  CHECK(MI_HARD || lh(0)->park_more[mi_bin_of(BIG)] > 5);
  free_pages(20);
  owners_end();
  owners_begin();
  for (int i = 0; i < NOWNERS; i++) CHECK_EQ(lh(i)->park_more[mi_bin_of(BIG)], 0);
  fill_pages(0, PAGES);
  for (int i = 0; i < PAGES * IN_PAGE; i++) o_free(1, big[i]);
  CHECK(lh(0)->xcounts.pages <= 2);
  owners_end();
  test_nothing_left();
}

/* Large pages count eight: the class gives up its own, the others' stay. */
static void parked_slices(void) {
  if (test_skips(MI_HARD, "no more than two pages are parked")) return;
  static void* large[12 * 8];
  owners_begin();
  fill_pages(0, 40);
  churn_pages(40, 3000);
  const unsigned before = nparked();
  CHECK(before > 20);
  for (int i = 0; i < 12 * 8; i++) large[i] = o_malloc(0, MI_MEDIUM_MAX);
  uint64_t r = 1;
  for (int i = 0; i < 2000; i++) {
    void** b = &large[test_random(&r) % (12 * 8)];
    o_free(0, *b);
    *b = o_malloc(0, MI_MEDIUM_MAX);
    CHECK(lh(0)->parked_slices <= 64);
  }
  CHECK(nparked() == before && lh(0)->nparked[MI_BIN_LAST] > 0);
  CHECK_EQ(mi_check_all(), 0);
  for (int i = 0; i < 12 * 8; i++) o_free(0, large[i]);
  free_pages(40);
  owners_end();
  test_nothing_left();
}

/* A page comes back to a queue whose one page is empty and kept for a while: that one goes. */
static void parked_and_retired(void) {
  if (test_skips(MI_HARD, "no more than two pages are parked")) return;
  owners_begin();
  fill_pages(0, 2);
  void* last = o_malloc(0, BIG);
  CHECK(is_parked(1) && mi_page_of(last) == big_queue()->first);
  o_free(0, last);
  CHECK_EQ(big_queue()->first->xwhere, MI_WHERE_RETIRED);
  o_free(0, big[IN_PAGE]);
  CHECK(big_queue()->first == nth_page(1) && big_queue()->last == nth_page(1));
  CHECK_EQ(mi_check_all(), 0);
  for (int i = 0; i < 2 * IN_PAGE; i++) if (i != IN_PAGE) o_free(0, big[i]);
  owners_end();
  test_nothing_left();
}

/* All that is in parked pages freed by another: the owner's next pages are these, no other class's. If it
   ends instead, or collects, nothing is left. */
static void parked_and_emptied_by_others(void) {
  if (test_skips(MI_HARD, "no more than two pages are parked")) return;
  for (int how = 0; how < 3; how++) {
    void* other[17];
    owners_begin();
    fill_pages(0, 9);
    churn_pages(9, 500);
    CHECK_EQ(nparked(), 8);
    for (int i = 0; i < 17; i++) other[i] = o_malloc(0, 4096);   /* 16 fill a page, which is parked */
    for (int i = 0; i < 17; i++) o_free(2, other[i]);
    for (int i = 0; i < 9 * IN_PAGE; i++) o_free(1, big[i]);
    CHECK_EQ(nparked(), 8);
    CHECK_EQ(mi_check_all(), 0);
    if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), 0);
    if (how == 0) {
      const uint64_t fresh = lh(0)->xcounts.fresh_pages, adopted = lh(0)->xcounts.adopted_pages;
      fill_pages(0, 9);
      CHECK(lh(0)->xcounts.fresh_pages == fresh && lh(0)->xcounts.adopted_pages == adopted);
      CHECK_EQ(lh(0)->nparked[mi_bin_of(4096)], 1);
      free_pages(9);
    }
    if (how == 1) {
      mi_lheap_collect(lh(0), false);
      CHECK_EQ(lh(0)->xcounts.pages, 0);
    }
    owners_end();
    test_nothing_left();
  }
}

/* What was freed in the one that is given up is not forgotten for new memory. */
static void freed_in_the_one_given_up(void) {
  if (test_skips(MI_HARD, "no more than two pages are parked")) return;
  owners_begin();
  fill_pages(0, 2);
  CHECK(is_parked(0));
  o_free(1, big[0]);
  CHECK(o_malloc(0, BIG) == big[0]);
  CHECK_EQ(lh(0)->xcounts.fresh_pages, 2);
  free_pages(2);
  owners_end();
  test_nothing_left();
}

/* A class that nothing is taken from any more keeps no page parked. */
static void parked_and_idle(void) {
  if (test_skips(MI_HARD, "no more than two pages are parked")) return;
  owners_begin();
  mi_option_set(mi_option_purge_delay, 10);
  fill_pages(0, 9);
  churn_pages(9, 500);
  for (int t = 0; t < 6000 && nparked() > 0; t++) {
    for (int i = 0; i < 256; i++) o_free(0, o_malloc(0, 600000));
    usleep(5000);
  }
  CHECK_EQ(nparked(), 0);
  for (int i = 0; i < 9 * IN_PAGE; i++) o_free(1, big[i]);
  CHECK(lh(0)->xcounts.pages <= 1);
  owners_end();
  test_nothing_left();
}

static void own_page_freed_by_others(void) {
  void* block[100];
  owners_begin();
  for (int i = 0; i < 100; i++) block[i] = o_malloc(0, 200);
  for (int i = 0; i < 100; i++) o_free(1 + i % 7, block[i]);
  CHECK_EQ(mi_check_all(), 0);
  CHECK_EQ(mi_check_live_blocks(), 0);
  mi_lheap_collect(lh(0), false);
  CHECK_EQ(lh(0)->xcounts.pages, 0);
  if (!MI_HARD) CHECK_EQ(lh(0)->xcounts.remote_freed, 100);
  owners_end();
  test_nothing_left();
}

/* One block, again and again: the page stays, but where the queue seems idle. */
static void retired_page_stays(void) {
  if (test_skips(MI_HARD, "no page is retired")) return;
  owners_begin();
  for (int i = 0; i < 1000; i++) {
    void* p = o_malloc(0, 500);
    CHECK(p != NULL);
    o_free(0, p);
    CHECK_EQ(mi_check_all(), 0);
  }
  CHECK(lh(0)->xcounts.fresh_pages <= 3);
  CHECK_EQ(lh(0)->queue[mi_bin_of(500)].first->xwhere, MI_WHERE_RETIRED);
  CHECK_EQ(mi_check_live_blocks(), 0);
  void* p = o_malloc(0, 500);
  CHECK_EQ(mi_check_live_blocks(), MI_CHECK >= 2);
  o_free(0, p);
  mi_lheap_collect(lh(0), true);
  CHECK_EQ(lh(0)->xcounts.pages, 0);
  owners_end();
  test_nothing_left();
}

/* The owner goes on with other sizes, until the queue of this one is idle or it has been long. */
static void until_idle(size_t size) {
  for (int t = 0; t < 6000 && lh(0)->queue[mi_bin_of(size)].first != NULL; t++) {
    for (int i = 0; i < 64; i++) o_free(0, o_malloc(0, 100000));
    usleep(2000);
  }
  CHECK(lh(0)->queue[mi_bin_of(size)].first == NULL);
}

/* ... but not for ever, when the owner goes on with other sizes. */
static void retired_page_goes(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 10);
  o_free(0, o_malloc(0, 500));
  until_idle(500);
  CHECK(lh(0)->xcounts.pages == 0 && mi_check_all() == 0);
  owners_end();
  test_nothing_left();
}

/* .. nor when somebody else freed what was in it. */
static void retired_and_freed_by_others(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 10);
  o_free(0, o_malloc(0, 500));
  void *p = o_malloc(0, 500), *q = o_malloc(0, 500);
  o_free(0, q);
  o_free(1, p);
  until_idle(500);
  CHECK(lh(0)->xcounts.pages == 0 && mi_check_all() == 0);
  owners_end();
  test_nothing_left();
}

/* The one free block of a page again and again: no page more, and what is done now and then is done. */
static void one_block_again(void) {
  owners_begin();
  void* other = o_malloc(0, 3000);
  void* remote = o_malloc(0, 4096);
  void* first = o_malloc(0, 4096);
  o_free(0, other);
  o_free(1, remote);
  o_free(0, first);
  for (int i = 0; i < 2000; i++) {
    void* p = o_malloc(0, 4096);
    test_fill(p, 64, (uint64_t)i);
    o_free(0, p);
  }
  CHECK(lh(0)->xcounts.pages <= 2);                        /* with the retired page of `other` */
  if (!MI_HARD) CHECK_EQ(lh(0)->xcounts.remote_freed, 1);
  CHECK_EQ(mi_check_all(), 0);
  mi_lheap_collect(lh(0), true);
  owners_end();
  test_nothing_left();
}

/* A retired page from which somebody else frees the last block. */
static void retired_and_remote(void) {
  owners_begin();
  void *a = o_malloc(0, 500), *b = o_malloc(0, 500);
  o_free(0, a);
  o_free(1, b);
  a = o_malloc(0, 500);
  o_free(0, a);
  b = o_malloc(0, 500);
  o_free(1, b);
  CHECK_EQ(mi_check_all(), 0);
  for (int i = 0; i < 500; i++) o_free(0, o_malloc(0, 100000));
  CHECK_EQ(mi_check_all(), 0);
  owners_end();
  test_nothing_left();
}

static void single_of_every_size(void) {
  owners_begin();
  for (size_t size = MI_MEDIUM_MAX + 1; size < MI_GiB; size = size * 3 / 2) {
    for (size_t align = 1; align <= 4 * MI_MiB; align *= 16) {
      bool zero = false;
      uint8_t* p = mi_alloc_malloc_single(lh(0), size, align, &zero);
      CHECK(p != NULL && (uintptr_t)p % align == 0 && mi_block_usable(p) >= size);
      CHECK(!zero || (p[0] == 0 && p[size - 1] == 0));
      p[0] = p[size - 1] = 1;
      CHECK_EQ(mi_check_all(), 0);
      o_free((int)(align % 7), p);
    }
  }
  owners_end();
  test_nothing_left();
}

static void full_to_owned(void) {
  owners_begin();
  void* p[5000];
  for (int i = 0; i < 5000; i++) p[i] = o_malloc(0, 1024);
  mi_page_t* page = mi_page_of(p[0]);
  CHECK(mi_xword_state(page->xword) == MI_PAGE_FULL && page->xowner == (owners[0]->id | 1));
  o_free(0, p[0]);
  CHECK(mi_xword_state(page->xword) == MI_PAGE_OWNED && page->xowner == owners[0]->id
        && page->lheap == lh(0));
  CHECK(!mi_lheap_take_back(lh(0), page));
  for (int i = 1; i < 5000; i++) o_free(0, p[i]);
  owners_end();
  test_nothing_left();
}

/* Random sizes, owners and orders; the walker after every thousand steps. */
static void churn(void) {
  enum { LIVE = 2000 };
  static struct { uint8_t* p; size_t size; uint64_t seed; } b[LIVE];
  uint64_t r = 42;
  owners_begin();
  for (int step = 0; step < 200000; step++) {
    const size_t k = test_random(&r) % LIVE;
    const int who = (int)(test_random(&r) % NOWNERS);
    if (b[k].p != NULL) {
      CHECK(test_filled(b[k].p, mi_min(b[k].size, 64), b[k].seed));
      o_free(who, b[k].p);
      b[k].p = NULL;
    }
    else {
      b[k].size = test_random(&r) % ((size_t)16 << test_random(&r) % 13);
      b[k].seed = test_random(&r);
      CHECK((b[k].p = o_malloc(who, b[k].size)) != NULL);
      test_fill(b[k].p, mi_min(b[k].size, 64), b[k].seed);
    }
    if (step % 5000 == 0) {
      mi_owner_end(owners[who]);
      owners[who] = mi_owner_begin(MI_OWNER_CAPABILITY, mi_id_of_capability((uint32_t)who));
      CHECK_EQ(mi_check_all(), 0);
    }
  }
  for (int k = 0; k < LIVE; k++) o_free(k % NOWNERS, b[k].p);
  owners_end();
  test_nothing_left();
}

/* ---- requests that fail ---- */

static size_t nlooks;                    /* at a page, for what others freed in it */
bool __real_mi_page_collect(mi_page_t* page, uint32_t* nremote);
bool __wrap_mi_page_collect(mi_page_t* page, uint32_t* nremote);
bool __wrap_mi_page_collect(mi_page_t* page, uint32_t* nremote) {
  nlooks++;
  return __real_mi_page_collect(page, nremote);
}

static uint64_t played_ms;               /* 0: the system's clock */
uint64_t __real_mi_os_now_ms(void);
uint64_t __wrap_mi_os_now_ms(void);
uint64_t __wrap_mi_os_now_ms(void) { return played_ms != 0 ? played_ms : __real_mi_os_now_ms(); }

enum { MANY = 300 };                     /* pages */
static void* small[MANY * 1024];         /* a page of 1024 each */
static void begin_to_fail(void) {
  test_expect_errors();
  mi_option_set(mi_option_purge_delay, -1);
  played_ms = 1000;
  owners_begin();
  for (int i = 0; i < MANY * 1024; i++) CHECK((small[i] = o_malloc(0, 64)) != NULL);
  for (int i = 0; i < MANY * 1024; i += 2) o_free(0, small[i]);
  CHECK_EQ(lh(0)->xcounts.pages, MANY);
}
static void fail(void) { CHECK(o_malloc(0, MI_ADDRESSES) == NULL); }

/* Each looks at a few pages, on the average, in each of two ways, but for the first. */
static void failing_is_cheap(void) {
  enum { TIMES = 100 };
  begin_to_fail();
  nlooks = 0;
  for (int i = 0; i < TIMES; i++) fail();
  CHECK_AT(nlooks >= MANY && nlooks <= 2 * (MANY + TIMES * MI_VAIN_PAGES), "%zu", nlooks);
}

/* What others freed is found when some time went by, or when others have failed; then at once. What the owner
   freed itself is there at once. */
static void failing_finds_what_was_freed(void) {
  begin_to_fail();
  for (int way = 0, from = 0; way < 2; way++, from += MANY / 3 * 1024) {
    fail();
    for (int i = from + 1; i < from + MANY / 3 * 1024; i += 2) o_free(1, small[i]);
    fail();
    CHECK(lh(0)->vain_failures == 1 && lh(0)->xcounts.pages > (uint64_t)(MANY - MANY / 3 * way - 1));
    void* p = o_malloc(0, 1000);
    o_free(0, p);
    CHECK(MI_HARD || mi_page_where(mi_page_of(p)) == MI_WHERE_RETIRED);
    fail();
    CHECK(lh(0)->queue[mi_bin_of(1000)].first == NULL);
    if (way == 0) played_ms += MI_VAIN_MS;
    int n = 0;
    for (; lh(0)->xcounts.pages > (uint64_t)(MANY - MANY / 3 * (way + 1)); n++) fail();
    CHECK_AT(n <= (way == 0 ? 1 : MANY / (int)MI_VAIN_PAGES), "%d", n);
  }
  const int from = MANY / 3 * 2 * 1024;
  for (int i = from + 1; i < MANY * 1024; i += 2) o_free(1, small[i]);
  fail();
  CHECK_EQ(lh(0)->xcounts.pages, 0);
  owners_end();
  test_nothing_left();
}

TEST_MAIN("lheap", TEST(parked_and_back), TEST(given_up_and_back), TEST(full_and_freed_by_others),
          TEST(parked_and_freed_by_others), TEST(parked), TEST(parked_by_a_maker), TEST(parked_slices),
          TEST(parked_and_retired), TEST(parked_and_emptied_by_others), TEST(freed_in_the_one_given_up),
          TEST(parked_and_idle), TEST(own_page_freed_by_others), TEST(retired_page_stays),
          TEST(retired_page_goes), TEST(retired_and_freed_by_others), TEST(one_block_again),
          TEST(retired_and_remote), TEST(single_of_every_size), TEST(full_to_owned), TEST(churn),
          TEST(failing_is_cheap), TEST(failing_finds_what_was_freed))
