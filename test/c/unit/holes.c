/* holes.h, pool_round.h, and how pages come there: what is free between live blocks goes back, and is
   known to be free. */
#include <pthread.h>
#include <sys/mman.h>

#include "core/holes.h"
#include "core/pool_round.h"
#include "core/purger.h"
#include "core/stats.h"
#include "core/visit.h"
#include "test.h"

enum { MOST = 3 * 4096 };
static void* block[MOST];
static size_t n, size;

static bool stays(size_t i) { return i % (n / 3) % 37 == 3; }   /* one in each page at least */

/* Three pages of a class, of which owner 0 keeps a few blocks and gives the rest back. */
static void few_stay(unsigned bin) {
  size = mi_bin_size(bin);
  n = 3 * mi_min(4096, (size <= MI_SMALL_MAX ? 1 : MI_MEDIUM_SLICES) * MI_SLICE_SIZE / size);
  for (size_t i = 0; i < n; i++) {
    CHECK((block[i] = o_malloc(0, size)) != NULL);
    test_fill(block[i], size, i);
  }
  for (size_t i = 0; i < n; i++) if (!stays(i)) o_free(0, block[i]);
}

static size_t holes(void) { return mi_bitmap_count(mi_arena_at(0)->holes, mi_arena_nholes(mi_arena_at(0))); }

static bool is_resident(const mi_arena_t* a, size_t hole) {
  unsigned char there;
  CHECK_EQ(mincore(a->start + hole * MI_HOLE_SIZE, MI_HOLE_SIZE, &there), 0);
  return (there & 1) != 0;
}

/* Every class: OS pages without a live block are no more there; a double free of any block is
   told; all comes back. */
static void holes_and_back(void) {
  CHECK_EQ(mi_reserve_os_memory(256 * MI_MiB, true, false), 0);   /* all of them in one arena */
  owners_begin();
  test_expect_errors();
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    few_stay(bin);
    mi_owner_abandon(owners[0]);
    const bool pooled = size >= 512;  /* of smaller ones hardly an OS page is free of live blocks */
    mi_purger_run_pages();
    const mi_arena_t* a = mi_arena_at(0);
    const size_t nholes = mi_arena_nholes(a);
    CHECK_AT(!pooled || holes() * MI_HOLE_SIZE > n * size / 4, "bin = %u, %zu holes", bin, holes());
    if (!TEST_SANITIZED)
      for (size_t i = mi_bitmap_next(a->holes, nholes, 0); i < nholes;
           i = mi_bitmap_next(a->holes, nholes, i + 1))
        CHECK_AT(!is_resident(a, i), "bin = %u", bin);
    CHECK_EQ(mi_check_all(), 0);
    for (size_t i = 0; i < n; i++) {
      if (stays(i)) { CHECK(test_filled(block[i], size, i) && mi_block_usable(block[i]) == size); continue; }
      test_nerrors = 0;
      o_free(i % 3, block[i]);
      CHECK_AT(test_one_error(EAGAIN) && mi_block_usable(block[i]) == 0, "bin = %u, i = %zu", bin, i);
      if (i % 16 == 0)
        CHECK(mi_realloc_block(&owners[1]->main, block[i], 10, 0, 0, false) == NULL && errno == EINVAL);
    }
    CHECK_EQ(mi_check_all(), 0);
    const uint64_t fresh = owners[1]->main.xcounts.fresh_pages;
    for (size_t i = 0; i < n; i++) if (!stays(i)) CHECK((block[i] = o_malloc(1, size)) != NULL);
    CHECK_EQ(owners[1]->main.xcounts.fresh_pages, fresh);
    CHECK(!pooled || holes() == 0);
    for (size_t i = 0; i < n; i++) if (!stays(i)) test_fill(block[i], size, i);
    for (size_t i = 0; i < n; i++) CHECK_AT(test_filled(block[i], size, i), "bin = %u", bin);
    CHECK_EQ(mi_check_all(), 0);
    for (size_t i = 0; i < n; i++) o_free(2, block[i]);
    for (int o = 0; o < NOWNERS; o++) mi_owner_drain(owners[o], true);
  }
  owners_end();
  test_nothing_left();
}

/* Whoever frees the last block of a page with holes frees the page, and its next life has none. */
static void last_free(void) {
  owners_begin();
  for (unsigned bin = 20; bin <= MI_BIN_LAST; bin += 12) {
    few_stay(bin);
    mi_owner_abandon(owners[0]);
    mi_purger_run_pages();
    CHECK(holes() > 0);
    for (size_t i = 0; i < n; i++) if (stays(i)) o_free(1, block[i]);
    CHECK_EQ(holes(), 0);
    test_nothing_left();
  }
  owners_end();
}

/* The heap of such pages may be visited, deleted and destroyed. */
static size_t nlive;
static bool see(const mi_heap_t* heap, const mi_heap_area_t* area, void* b, size_t bytes, void* arg) {
  (void)heap; (void)area; (void)bytes; (void)arg;
  nlive += b != NULL;
  return true;
}
static mi_heap_t* heap_with_holes(bool allow_destroy) {
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, allow_destroy);
  n = 400;
  for (size_t i = 0; i < 400; i++)
    CHECK((block[i] = mi_alloc_malloc(mi_heap_lheap(heap, owners[0]), 3000)) != NULL);
  for (size_t i = 0; i < 400; i++) if (!stays(i)) o_free(0, block[i]);
  mi_owner_abandon(owners[0]);
  mi_purger_run_pages();
  CHECK(holes() > 0);
  nlive = 0;
  CHECK(mi_visit_heap(heap, owners[1], true, &see, NULL) && nlive == 12 && holes() > 0);
  CHECK_EQ(mi_check_all(), 0);
  return heap;
}
static void ends_of_heaps(void) {
  owners_begin();
  mi_heap_end(heap_with_holes(true), false);
  CHECK_EQ(holes(), 0);
  mi_heap_end(heap_with_holes(false), true);
  CHECK(holes() > 0 && mi_check_all() == 0);
  for (size_t i = 0; i < 400; i++) if (stays(i)) o_free(i % NOWNERS, block[i]);
  owners_end();
  test_nothing_left();
}

/* No holes are made where a list is damaged; who takes the page reports it. */
static void damaged_list(void) {
  owners_begin();
  few_stay(mi_bin_of(2000));
  mi_owner_abandon(owners[0]);
  for (size_t i = 0; i < n; i++) if (!stays(i)) memset(block[i], 0x55, 16);
  test_expect_errors();
  mi_purger_run_pages();
  for (size_t i = 0; i < n; i++) if (stays(i)) CHECK(test_filled(block[i], size, i));
  for (int i = 0; i < 100; i++) CHECK(o_malloc(1, 2000) != NULL);
  CHECK(test_nerrors > 0 && test_last_error == EFAULT);
}

/* Slow paths of another class, as time goes by: with sweeps, that is. */
static void meanwhile(int owner, int ms) {
  for (int t = 0; t < ms; t += 2) {
    void* large[64];
    for (int i = 0; i < 64; i++) CHECK((large[i] = o_malloc(owner, 60000)) != NULL);
    for (int i = 0; i < 64; i++) o_free(owner, large[i]);
    usleep(2000);
  }
}

/* A queue that nothing was taken from for purge_delay gives its pages up at a sweep of its owner; one
   in use does not. */
static void idle_queues(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 1000000);
  few_stay(mi_bin_of(3000));
  mi_lheap_t* lh = &owners[0]->main;
  size_t next = 0;
  for (; next < 40; next++) {
    while (stays(next)) next++;
    CHECK((block[next] = o_malloc(0, 3000)) != NULL);
    lh->swept_at = UINT64_MAX;                    /* a look between each two */
    meanwhile(0, 4);
    if (!MI_HARD)
      CHECK(mi_page_of(block[next])->xowner == lh->xid && lh->queue[mi_bin_of(3000)].first != NULL);
  }
  while (next-- > 0) if (!stays(next)) o_free(0, block[next]);
  mi_option_set(mi_option_purge_delay, 20);
  for (int t = 0; t < 3000 && lh->queue[mi_bin_of(3000)].first != NULL; t++) meanwhile(0, 20);
  CHECK(lh->queue[mi_bin_of(3000)].first == NULL && mi_due.xsince != 0);
  mi_purger_run_pages();
  CHECK(holes() * MI_HOLE_SIZE > n * size / 2 && mi_check_all() == 0);
  for (size_t i = 0; i < n; i++) if (stays(i)) o_free(0, block[i]);
  owners_end();
  test_nothing_left();
}

/* Pages that became sparse while their queue was in use are given up by frees alone that come later. */
static void freed_in_two_steps(void) {
  enum { PAGES = 40, EACH = 64, FIRST = 16, LAST = 3, SIZE = MI_SLICE_SIZE / EACH };
  owners_begin();
  mi_lheap_t* lh = &owners[0]->main;
  mi_option_set(mi_option_purge_delay, 1000000);
  for (size_t i = 0; i < PAGES * EACH; i++) CHECK((block[i] = o_malloc(0, SIZE)) != NULL);
  for (size_t i = 0; i < PAGES * EACH; i++) if (i % EACH >= FIRST) o_free(0, block[i]);
  CHECK(mi_load_relaxed(&lh->xcounts.pages) >= PAGES - 1);
  mi_option_set(mi_option_purge_delay, 20);
  for (size_t left = FIRST; left > LAST; left--) {
    for (size_t i = left - 1; i < PAGES * EACH; i += EACH) o_free(0, block[i]);
    usleep(20000);
  }
  CHECK_AT(mi_load_relaxed(&lh->xcounts.pages) <= PAGES / 4, "%zu pages", (size_t)lh->xcounts.pages);
  for (size_t i = 0; i < PAGES * EACH; i++) if (i % EACH < LAST) o_free(0, block[i]);
  owners_end();
  test_nothing_left();
}

/* Also a page that was empty once, and kept, when it was alone in its queue. */
static void idle_and_once_retired(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 20);
  o_free(0, o_malloc(0, 5000));
  void *p = o_malloc(0, 5000), *q = o_malloc(0, 5000);
  o_free(0, q);
  for (int t = 0; t < 3000 && owners[0]->main.queue[mi_bin_of(5000)].first != NULL; t++) meanwhile(0, 20);
  CHECK(owners[0]->main.queue[mi_bin_of(5000)].first == NULL);
  o_free(0, p);
  owners_end();
  test_nothing_left();
}

/* The thread comes to a page twice before it purges there: whoever needs it soon finds it whole. Swept pages
   have waited already. */
static void not_at_first_sight(void) {
  owners_begin();
  few_stay(mi_bin_of(2000));
  mi_owner_abandon(owners[0]);
  mi_pool_place_t at = { 0, 0 };
  for (int rounds = 0; rounds < 2; rounds++) {
    CHECK(holes() == 0);
    mi_purger_stop();
    while (mi_pool_round(&at, 64, false)) {}
    mi_purger_go_on();
  }
  CHECK(holes() > 0);
}

/* Pages that are in good use stay whose they are, and so do those that cannot be purged. */
static void not_given_up(void) {
  owners_begin();
  n = 3 * 128;
  for (size_t i = 0; i < n; i++) block[i] = o_malloc(0, 512);
  for (size_t i = 0; i < n; i += 2) o_free(0, block[i]);
  mi_lheap_collect(&owners[0]->main, true);
  CHECK_EQ(owners[0]->main.xcounts.pages, 3);
  for (size_t i = 1; i < n; i += 2) if (i % 16 != 1) o_free(0, block[i]);
  mi_lheap_collect(&owners[0]->main, true);
  CHECK_EQ(owners[0]->main.xcounts.pages, 0);
  CHECK(mi_due.xsince != 0 || MI_HARD);
  mi_arena_id_t arena;
  void* memory = mi_os_reserve(2 * MI_MiB, MI_SLICE_SIZE);
  CHECK(memory != NULL && mi_manage_os_memory_ex(memory, 2 * MI_MiB, true, true, true, -1, true, &arena));
  uint16_t number;
  CHECK(mi_arena_of_id(arena, &number));
  mi_heap_t* heap = mi_heap_make(number, 0, true);
  mi_lheap_t* lh = mi_heap_lheap(heap, owners[0]);
  for (size_t i = 0; i < n; i++) CHECK((block[i] = mi_alloc_malloc(lh, 2000)) != NULL);
  for (size_t i = 0; i < n; i++) if (i % 16 != 0) o_free(0, block[i]);
  mi_lheap_collect(lh, true);
  CHECK(lh->xcounts.pages > 0);
  mi_owner_abandon(owners[0]);
  mi_purger_run_pages();
  CHECK_EQ(mi_bitmap_count(mi_arena_at(number)->holes, mi_arena_nholes(mi_arena_at(number))), 0);
  mi_heap_end(heap, false);
}

/* What is freed in such a page is found by a round, also if a visitor took it from the page's
   list in between. */
static void freed_and_visited(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 1000);
  for (size_t i = 0; i < 128; i++) CHECK((block[i] = o_malloc(0, 2000)) != NULL);
  for (size_t i = 0; i < 128; i += 2) o_free(0, block[i]);
  mi_owner_abandon(owners[0]);
  for (int visits = 0; visits < 2; visits++) {
    mi_purger_run_pages();
    const size_t before = holes();
    for (size_t i = 1; i < 128; i += 2) if (i % 32 != 1 && i / 64 == (size_t)visits) o_free(1, block[i]);
    if (visits == 1) CHECK(mi_visit_heap(&mi_main_heap, owners[1], true, &see, NULL));
    mi_purger_run_pages();
    CHECK_AT(holes() >= before + 20, "visits = %d: %zu and %zu", visits, before, holes());
  }
  CHECK(mi_page_of(block[1])->xowner == 0 && mi_check_all() == 0);
}

/* Where a heap's pages go to the pool, somebody is asked to look at them. */
static void asked(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 1000);
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, false);
  for (size_t i = 0; i < 400; i++)
    CHECK((block[i] = mi_alloc_malloc(mi_heap_lheap(heap, owners[0]), 2000)) != NULL);
  for (size_t i = 0; i < 400; i++) if (i % 32 != 0) o_free(0, block[i]);
  mi_store_relaxed(&mi_due.xsince, 0);
  mi_heap_end(heap, true);
  CHECK(mi_due.xsince != 0);
  mi_purger_run_pages();
  mi_store_relaxed(&mi_due.xsince, 0);
  mi_purger_run_pages();                               /* there is nothing left to do */
  CHECK_EQ(mi_due.xsince, 0);
}

/* OS pages that are locked stay: nothing is said to be given back. */
static void locked_memory(void) {
  owners_begin();
  few_stay(mi_bin_of(2000));
  /* which make it do nothing */
  if (test_skips(TEST_SANITIZED || mlock(mi_arena_at(0)->start, n * size) != 0, "memory may not be locked"))
    return;
  mi_owner_abandon(owners[0]);
  const size_t committed = mi_memory_committed(), purged = mi_commit_totals.xpurged;
  mi_purger_run_pages();
  CHECK(holes() == 0 && mi_memory_committed() == committed && mi_commit_totals.xpurged == purged
        && mi_check_all() == 0);
}

/* A page in slices that were used before goes back to its end, also where no block has been yet. */
static void beyond_capacity(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 100000);
  for (size_t i = 0; i < 100; i++) {
    CHECK((block[i] = o_malloc(0, 60000)) != NULL);
    memset(block[i], 1, 60000);
  }
  for (size_t i = 0; i < 100; i++) o_free(0, block[i]);
  mi_owner_abandon(owners[0]);
  CHECK((block[0] = o_malloc(0, 200)) != NULL);
  const mi_page_t* page = mi_page_of(block[0]);
  mi_owner_abandon(owners[0]);
  if (!TEST_SANITIZED)
    CHECK(is_resident(mi_arena_at(0), (size_t)((page->start - mi_arena_at(0)->start) / MI_HOLE_SIZE) + 10)
          || MI_HARD);
  mi_purger_run_pages();
  CHECK(holes() >= MI_SLICE_SIZE / MI_HOLE_SIZE - 2 && mi_check_all() == 0);
  CHECK((block[1] = o_malloc(1, 200)) != NULL && mi_page_of(block[1]) == page);
  CHECK_EQ(holes(), 0);
}

/* Many other heaps' pages in the pool do not hide a heap's own. */
static void own_page_is_found(void) {
  enum { HEAPS = 300 };
  owners_begin();
  mi_heap_t* last = NULL;
  for (int i = 0; i <= HEAPS; i++) {
    last = mi_heap_make(MI_ARENA_NONE, 0, true);
    CHECK(last != NULL && mi_alloc_malloc(mi_heap_lheap(last, owners[0]), 2000) != NULL);
    mi_owner_abandon(owners[0]);
  }
  const uint64_t fresh = mi_heap_lheap(last, owners[0])->xcounts.fresh_pages;
  for (int i = 0; i < 200; i++) {
    CHECK(mi_alloc_malloc(mi_heap_lheap(last, owners[0]), 2000) != NULL);
    mi_owner_abandon(owners[0]);
  }
  CHECK_AT(mi_heap_lheap(last, owners[0])->xcounts.fresh_pages <= fresh + 20, "%d",
           (int)(mi_heap_lheap(last, owners[0])->xcounts.fresh_pages - fresh));
}

/* What statistics call committed may be resident: holes are not. */
static void holes_are_not_committed(void) {
  owners_begin();
  few_stay(mi_bin_of(6000));
  mi_owner_abandon(owners[0]);
  mi_snapshot_t before, after;
  CHECK(mi_snapshot_take(&before));
  mi_purger_run_pages();
  CHECK(mi_snapshot_take(&after));
  CHECK_EQ(before.totals.committed_bytes, after.totals.committed_bytes + holes() * MI_HOLE_SIZE);
  CHECK(after.totals.used_bytes == before.totals.used_bytes
        && after.totals.purged_bytes == before.totals.purged_bytes + holes() * MI_HOLE_SIZE);
}

/* Threads free into each other's pages, which get holes all the time. */
static void* dig_for_ever(void* arg) {
  while (!mi_load_relaxed(&test_stop)) mi_purger_run_pages();
  return arg;
}
static void under_way(void) {
  enum { THREADS = 3 };
  pthread_t t[THREADS + 1];
  mi_option_set(mi_option_purge_delay, 1);
  CHECK_EQ(pthread_create(&t[THREADS], NULL, &dig_for_ever, NULL), 0);
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK_EQ(pthread_create(&t[i], NULL, &test_churn, (void*)(i + 1)), 0);
  sleep(2);
  mi_store_relaxed(&test_stop, true);
  for (int i = 0; i <= THREADS; i++) pthread_join(t[i], NULL);
  CHECK_EQ(mi_check_all(), 0);
  test_nothing_left();
}

TEST_MAIN("holes", TEST(holes_and_back), TEST(last_free), TEST(ends_of_heaps), TEST(damaged_list),
          TEST(idle_queues), TEST(freed_in_two_steps), TEST(idle_and_once_retired),
          TEST(not_at_first_sight), TEST(not_given_up), TEST(freed_and_visited), TEST(asked),
          TEST(locked_memory), TEST(beyond_capacity), TEST(own_page_is_found),
          TEST(holes_are_not_committed), TEST(under_way))
