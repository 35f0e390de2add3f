/* hollow.h, pooled.h, and how pages come there: what is free between live blocks goes back, and is known to be free. */
#include <pthread.h>
#include <sys/mman.h>

#include "core/hollow.h"
#include "core/pooled.h"
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

static void round_of_holes(void) {
  mi_purger_stop();
  mi_pooled_round(true);
  mi_purger_go_on();
}

static size_t holes(void) { return mi_bitmap_count(mi_arena_at(0)->holes, mi_arena_nholes(mi_arena_at(0))); }

static bool is_resident(const mi_arena_t* a, size_t hole) {
  unsigned char there;
  CHECK_EQ(mincore(a->start + hole * MI_HOLE_SIZE, MI_HOLE_SIZE, &there), 0);
  return (there & 1) != 0;
}

/* Every class: OS pages without a live block are no more there; a double free of any block is told; all comes back. */
static void holes_and_back(void) {
  owners_begin();
  test_expect_errors();
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    few_stay(bin);
    mi_lheap_collect(&owners[0]->main, true);
    const bool pooled = size >= 512;             /* with 37 a page and smaller ones hardly an OS page is free of live blocks */
    CHECK_AT(!pooled || owners[0]->main.xcounts.pages == 0, "bin = %u", bin);
    round_of_holes();
    const mi_arena_t* a = mi_arena_at(0);
    const size_t nholes = mi_arena_nholes(a);
    CHECK_AT(!pooled || holes() * MI_HOLE_SIZE > n * size / 4, "bin = %u, %zu holes", bin, holes());
    if (!TEST_SANITIZED) for (size_t i = mi_bitmap_next(a->holes, nholes, 0); i < nholes; i = mi_bitmap_next(a->holes, nholes, i + 1)) CHECK_AT(!is_resident(a, i), "bin = %u", bin);
    CHECK_EQ(mi_check_all(), 0);
    for (size_t i = 0; i < n; i++) {
      if (stays(i)) { CHECK(test_filled(block[i], size, i) && mi_block_usable(block[i]) == size); continue; }
      test_nerrors = 0;
      o_free(i % 3, block[i]);
      CHECK_AT(test_one_error(EAGAIN) && mi_block_usable(block[i]) == 0, "bin = %u, i = %zu", bin, i);
    }
    CHECK_EQ(mi_check_all(), 0);
    const uint64_t fresh = owners[1]->main.xcounts.fresh_pages;
    for (size_t i = 0; i < n; i++) if (!stays(i)) CHECK((block[i] = o_malloc(pooled, size)) != NULL);
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
    round_of_holes();
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
  for (size_t i = 0; i < 400; i++) CHECK((block[i] = mi_lheap_malloc(mi_heap_lheap(heap, owners[0]), 3000)) != NULL);
  for (size_t i = 0; i < 400; i++) if (!stays(i)) o_free(0, block[i]);
  mi_owner_abandon(owners[0]);
  round_of_holes();
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

/* Nothing is dug where a list is damaged; whoever takes the page is told. */
static void damaged_list(void) {
  owners_begin();
  few_stay(mi_bin_of(2000));
  mi_owner_abandon(owners[0]);
  for (size_t i = 0; i < n; i++) if (!stays(i)) memset(block[i], 0x55, 16);
  test_expect_errors();
  round_of_holes();
  for (size_t i = 0; i < n; i++) if (stays(i)) CHECK(test_filled(block[i], size, i));
  for (int i = 0; i < 100; i++) CHECK(o_malloc(1, 2000) != NULL);
  CHECK(test_nerrors > 0 && test_last_error == EFAULT);
}

/* A queue that nothing was taken from for purge_delay gives its pages up at a sweep of its owner; one in use does not. */
static void idle_queues(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 20);
  few_stay(mi_bin_of(2000));
  const uint64_t before = owners[0]->main.xcounts.pages;
  void* large[64];
  for (int t = 0; t < 4000 && owners[0]->main.xcounts.pages + 2 >= before; t++) {
    if (t % 100 == 99) usleep(10000);
    for (int i = 0; i < 64; i++) large[i] = o_malloc(0, 60000);
    for (int i = 0; i < 64; i++) o_free(0, large[i]);
  }
  CHECK(owners[0]->main.queue[mi_bin_of(2000)].first == NULL);
  if (!MI_HARD) CHECK(owners[0]->main.queue[mi_bin_of(60000)].first != NULL);
  round_of_holes();
  CHECK(holes() * MI_HOLE_SIZE > n * size / 2 && mi_check_all() == 0);
  for (size_t i = 0; i < n; i++) if (stays(i)) o_free(0, block[i]);
  owners_end();
  test_nothing_left();
}

/* What statistics call committed may be resident: holes are not. */
static void holes_are_not_committed(void) {
  owners_begin();
  few_stay(mi_bin_of(6000));
  mi_owner_abandon(owners[0]);
  mi_snapshot_t before, after;
  CHECK(mi_snapshot_take(&before));
  round_of_holes();
  CHECK(mi_snapshot_take(&after));
  CHECK_EQ(before.totals.committed_bytes, after.totals.committed_bytes + holes() * MI_HOLE_SIZE);
  CHECK(after.totals.used_bytes == before.totals.used_bytes && after.totals.purged_bytes == before.totals.purged_bytes + holes() * MI_HOLE_SIZE);
}

/* Threads free into each other's pages, which get holes all the time. */
static void* dig_for_ever(void* arg) {
  while (!mi_load_relaxed(&test_stop)) round_of_holes();
  return arg;
}
static void under_way(void) {
  enum { THREADS = 3 };
  pthread_t t[THREADS + 1];
  mi_option_set(mi_option_purge_delay, 1);
  CHECK_EQ(pthread_create(&t[THREADS], NULL, &dig_for_ever, NULL), 0);
  for (uintptr_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, &test_churn, (void*)(i + 1)), 0);
  sleep(2);
  mi_store_relaxed(&test_stop, true);
  for (int i = 0; i <= THREADS; i++) pthread_join(t[i], NULL);
  CHECK_EQ(mi_check_all(), 0);
  test_nothing_left();
}

TEST_MAIN("hollow", TEST(holes_and_back), TEST(last_free), TEST(ends_of_heaps), TEST(damaged_list), TEST(idle_queues),
          TEST(holes_are_not_committed), TEST(under_way))
