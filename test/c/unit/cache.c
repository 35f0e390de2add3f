/* cache.h: pages that died a moment ago. */
#include <pthread.h>
#include <unistd.h>

#include "test.h"

enum { PUT = 12 };

static mi_page_t* dead_page(size_t nslices) {
  bool zero;
  mi_page_t* page = mi_memory_claim(nslices * MI_SLICE_SIZE, 1, MI_ARENA_NONE, &zero);
  CHECK(page != NULL && mi_page_init(page, nslices * MI_SLICE_SIZE, MI_BIN_SINGLE, &mi_main_heap, 0));
  mi_xlist_t list;
  CHECK(mi_remote_acquire(&page->xword, true, &list));
  mi_page_used_set(page, 0);
  mi_page_die(page);
  return page;
}

static mi_page_t* dead_class_page(unsigned bin) {
  bool zero;
  const size_t nslices = bin <= MI_BIN_SMALL_LAST ? 1 : MI_MEDIUM_SLICES;
  mi_page_t* page = mi_memory_claim(nslices * MI_SLICE_SIZE, 1, MI_ARENA_NONE, &zero);
  CHECK(page != NULL && mi_page_init(page, mi_bin_size(bin), bin, &mi_main_heap, 16) && mi_page_extend(page));
  mi_page_where_set(page, MI_WHERE_POOLED);                                 /* it was in no queue */
  mi_page_die(page);
  return page;
}

/* What was put is taken by who asks for that size with that slot, once. */
static void put_and_take(void) {
  for (size_t n = 1; n <= MI_CACHE_SLICES; n++) {
    mi_page_t* page = dead_page(n);
    mi_cache_put(3, page);
    CHECK(mi_cache_take(4, n) == NULL && mi_cache_take(3, n + 1) == NULL);
    if (n > 1) CHECK(mi_cache_take(3, n - 1) == NULL);
    CHECK(mi_page_of(page->start) == page && mi_memory_page_of(page->start) == NULL);
    CHECK(mi_cache_take(3, n) == page && mi_cache_take(3, n) == NULL);
    mi_page_revive(page, n * MI_SLICE_SIZE - 5000, 0);
    CHECK_EQ(mi_xword_state(page->xword), MI_PAGE_FULL);
    CHECK_EQ(mi_block_usable(page->start), n * MI_SLICE_SIZE - 5000);
    mi_free_slow(page->start, NULL, 16);         /* nobody's: not kept */
    CHECK(mi_page_is_none(mi_page_of(page->start)));
  }
  CHECK(mi_cache_take(3, MI_CACHE_SLICES + 1) == NULL);
  test_nothing_left();
}

/* Of two of a size the older one goes; what is too large is not kept. */
static void one_of_a_size(void) {
  mi_page_t *a = dead_page(2), *b = dead_page(2), *c = dead_page(MI_CACHE_SLICES + 1);
  mi_cache_put(0, a);
  mi_cache_put(64, b);                            /* the same place */
  mi_cache_put(0, c);
  CHECK(mi_page_is_none(mi_page_of(a->start)) && mi_page_is_none(mi_page_of(c->start)));
  CHECK(mi_cache_take(0, 2) == b);
  mi_cache_put(0, b);
  test_nothing_left();
}

/* Pages of a class are found by it; eight, of large blocks two. */
static void put_and_take_classes(void) {
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    mi_page_t* page[PUT];
    const int most = MI_HARD ? 1 : bin <= MI_BIN_SMALL_LAST ? 8 : 2;
    for (int i = 0; i < PUT; i++) mi_cache_put_class(page[i] = dead_class_page(bin));
    for (int i = 0; i < PUT; i++) CHECK_EQ(mi_page_is_none(mi_page_of(page[i]->start)), i >= most);
    CHECK(mi_memory_page_of(page[0]->start) == NULL && mi_block_usable(page[0]->start) == 0);
    CHECK(mi_cache_take_class(bin - 1 == 0 ? MI_BIN_LAST : bin - 1) == NULL);
    for (int i = 0; i < most; i++) CHECK(mi_cache_take_class(bin) == page[i]);
    CHECK(mi_cache_take_class(bin) == NULL);
    mi_cache_release(page[0]);
    for (int i = 1; i < most; i++) mi_cache_put_class(page[i]);
    mi_cache_flush_classes();
    for (int i = 0; i < most; i++) CHECK(mi_page_is_none(mi_page_of(page[i]->start)));
  }
  test_nothing_left();
}

static void not_without_delay(void) {
  mi_option_set(mi_option_purge_delay, 0);
  mi_page_t* small = dead_class_page(5);
  mi_cache_put_class(small);
  CHECK((mi_cache_take_class(5) == NULL) == !MI_HARD);
  if (MI_HARD) mi_cache_put_class(small);
  mi_page_t* a = dead_page(2);
  mi_cache_put(0, a);
  CHECK((mi_cache_take(0, 2) == NULL) == !MI_HARD);
  if (MI_HARD) mi_cache_put(0, a);
  test_nothing_left();
}

static void flushed_after_the_delay(void) {
  mi_page_t *a = dead_page(2), *b = dead_class_page(70);
  mi_page_t* much = dead_page(MI_ROUND_COMMITTED / MI_SLICE_SIZE);        /* so that rounds are made */
  mi_option_set(mi_option_purge_delay, 1000000);
  mi_cache_put(0, a), mi_cache_put_class(b);
  mi_purger_run(false);
  CHECK(mi_cache_take(0, 2) == a && mi_cache_take_class(70) == b);
  mi_purger_run(true);                                /* and so no time to flush is set */
  mi_option_set(mi_option_purge_delay, 1);
  mi_cache_put(0, a);
  usleep(5000);
  mi_purger_run(false);
  CHECK(mi_cache_take(0, 2) == NULL && mi_page_is_none(mi_page_of(a->start)));
  mi_cache_put_class(b);
  usleep(5000);
  mi_purger_run(false);
  CHECK(mi_cache_take_class(70) == NULL && mi_page_is_none(mi_page_of(b->start)));
  mi_cache_release(much);
  test_nothing_left();
}

/* What is put while another flushes is flushed then or next time: never is something kept of
   which nobody knows. */
static mi_atomic(int) round_begun, round_ended;
static void spin(int n) { for (volatile int i = 0; i < n; i++) {} }
static void* flush_each_round(void* arg) {
  for (int n = 1; n <= *(const int*)arg; n++) {
    test_await(&round_begun, n);
    spin(n % 64);
    mi_purger_run(true);
    mi_store_release(&round_ended, n);
  }
  return NULL;
}

static void put_while_another_flushes(void) {
  pthread_t flusher;
  int rounds = 2000;                             /* the suite `steps` plays every order */
  mi_option_set(mi_option_purge_delay, 1);
  pthread_create(&flusher, NULL, &flush_each_round, &rounds);
  for (int n = 1; n <= rounds; n++) {
    mi_page_t *before = dead_page(1), *a = n % 2 == 0 ? dead_page(1) : dead_class_page(20);
    mi_cache_put(1, before);                      /* so that a time to flush is set */
    mi_store_release(&round_begun, n);
    spin(n / 64 % 64);
    if (n % 2 == 0) mi_cache_put(0, a);
    else mi_cache_put_class(a);
    test_await(&round_ended, n);
    /* A later round, which may have to wait for what it may cost. */
    for (int t = 0; t < 2000 && !mi_page_is_none(mi_page_of(a->start)); t++) {
      usleep(6000);
      mi_purger_run(false);
    }
    CHECK_AT(mi_page_is_none(mi_page_of(a->start)), "round %d", n);
  }
  pthread_join(flusher, NULL);
  test_nothing_left();
}

/* As a program sees it: the same block again, its pages not touched; freed twice, it is a double free. */
static void by_malloc_and_free(void) {
  void* p = mi_malloc(195000);
  mi_free(p);
  CHECK(mi_malloc(190000) == p);
  CHECK_EQ(mi_usable_size(p), 192512);
  mi_free(p);
  CHECK_EQ(mi_usable_size(p), 0);
  CHECK(!mi_check_owned(p));
  test_expect_errors();
  mi_free(p);
  CHECK(mi_realloc(p, 10) == NULL);
  CHECK_EQ(test_nerrors, 2);
  mi_collect(true);
  test_nothing_left();
}

/* Threads that come and go one after the other: each finds its classes' pages where the last one had them. */
static const uint8_t* seen[MI_BIN_LAST + 1];
static size_t nseen;
static void* some_of_each_class(void* arg) {
  void* block[MI_BIN_LAST + 1];
  (void)arg;
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) CHECK((block[bin] = mi_malloc(mi_bin_size(bin))) != NULL);
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    nseen += seen[bin] == block[bin];
    seen[bin] = block[bin];
    mi_free(block[bin]);
  }
  return NULL;
}

static void short_lived_threads(void) {
  mi_option_set(mi_option_purge_delay, 10000);
  mi_collect(true);
  for (int i = 0; i < 20; i++) {
    pthread_t t;
    nseen = 0;
    pthread_create(&t, NULL, &some_of_each_class, NULL);
    pthread_join(t, NULL);
    if (i > 0) CHECK_EQ(nseen, MI_BIN_LAST);
  }
  mi_collect(true);
  test_nothing_left();
}

/* Without an end: nothing is to be done, and it stays until it is asked for. */
static void kept_for_ever(void) {
  if (test_skips(MI_HARD, "the cache is small")) return;
  mi_option_set(mi_option_purge_delay, -1);
  mi_page_t *a = dead_page(2), *b = dead_class_page(9);
  mi_cache_put(0, a), mi_cache_put_class(b);
  CHECK_EQ(mi_clock_at(), 0);
  usleep(2000);
  mi_purger_run(false);
  CHECK(mi_cache_take(0, 2) == a && mi_cache_take_class(9) == b);
  mi_cache_put(0, a), mi_cache_put_class(b);
  mi_purger_run(true);
  CHECK(mi_page_is_none(mi_page_of(a->start)) && mi_page_is_none(mi_page_of(b->start)));
  test_nothing_left();
}

/* A heap that is bound to an arena takes no kept page from elsewhere, and leaves none of an exclusive one. */
static void bound_heap(void) {
  for (int exclusive = 0; exclusive < 2; exclusive++) {
    mi_arena_id_t id;
    size_t size;
    CHECK_EQ(mi_reserve_os_memory_ex(4 * MI_MiB, true, false, exclusive == 1, &id), 0);
    uint8_t* area = mi_arena_area(id, &size);
    mi_heap_t* heap = mi_heap_new_in_arena(id);
    for (unsigned bin = 1; bin <= MI_BIN_LAST; bin += 13) {
      mi_cache_put_class(dead_class_page(bin));
      void *p = mi_heap_malloc(heap, mi_bin_size(bin)), *q = mi_heap_malloc(heap, 100000),
           *r = mi_heap_malloc(heap, MI_MiB);
      CHECK((uint8_t*)p - area < (ptrdiff_t)size && (uint8_t*)p >= area);
      mi_free(q), mi_free(r), mi_free(p);
    }
    mi_heap_destroy(heap);
    for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
      mi_page_t* page = mi_cache_take_class(bin);
      if (page == NULL) continue;
      CHECK(exclusive == 0 || !mi_arena_at(page->arena)->exclusive);
      mi_cache_release(page);
    }
    mi_collect(true);
    test_nothing_left();
  }
}

/* What a deleted heap leaves is the main heap's, but its arena is not: nothing of it is kept for others. */
static void left_by_a_bound_heap(void) {
  mi_arena_id_t id;
  void* left[2 * MI_BIN_LAST];
  CHECK_EQ(mi_reserve_os_memory_ex(16 * MI_MiB, true, false, true, &id), 0);
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  int n = 0;
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin += 13)
    CHECK((left[n++] = mi_heap_malloc(heap, mi_bin_size(bin))) != NULL);
  CHECK((left[n++] = mi_heap_malloc(heap, 100000)) != NULL);
  mi_heap_delete(heap);
  while (n > 0) mi_free(left[--n]);
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) CHECK(mi_cache_take_class(bin) == NULL);
  for (uint32_t slot = 0; slot < 64; slot++) CHECK(mi_cache_take(slot, 2) == NULL);
  mi_collect(true);
  test_nothing_left();
}

/* A kept page is not zero, however it is taken. */
static void nothing(bool force, unsigned long long heartbeat, void* arg) {
  (void)force, (void)heartbeat, (void)arg;
}
static void kept_is_not_zero(void) {
  for (int slow = 0; slow < 2; slow++) {
    /* with one, each allocation takes the slow path */
    mi_register_deferred_free(slow ? &nothing : NULL, NULL);
    for (int i = 0; i < 600; i++) {
      uint8_t* p = mi_zalloc(200000);
      CHECK(test_all(p, 200000, 0));
      memset(p, 1, 200000);
      mi_free(p);
    }
  }
  mi_register_deferred_free(NULL, NULL);
  mi_collect(true);
  test_nothing_left();
}

/* A large block that would touch new memory takes what lies between kept pages first; what it
   claimed is as it was. */
static void large_before_kept(void) {
  mi_option_set(mi_option_purge_delay, -1);
  mi_collect(true);
  mi_page_t* page[PUT];
  for (int i = 0; i < PUT; i++) page[i] = dead_class_page(30 + (unsigned)i);
  for (int i = 0; i < PUT; i++) mi_cache_put_class(page[i]);
  const size_t committed = mi_commit_totals.xcommitted, peak = mi_commit_totals.xpeak_committed;
  uint8_t* p = mi_malloc(PUT * MI_SLICE_SIZE);
  CHECK(p == page[0]->start && mi_commit_totals.xcommitted == committed
        && mi_commit_totals.xpeak_committed == peak);
  CHECK_EQ(mi_check_all(), 0);
  for (int i = 0; i < 3; i++) mi_cache_put_class(page[i] = dead_class_page(30));
  uint8_t* small = mi_malloc(MI_MEDIUM_SLICES * MI_SLICE_SIZE);              /* not large */
  CHECK(mi_cache_take_class(30) == page[0]);
  mi_cache_put_class(page[0]);
  mi_free(p);
  CHECK(mi_malloc(PUT * MI_SLICE_SIZE) == p && mi_cache_take_class(30) == page[0]);  /* nor new */
  mi_cache_put_class(page[0]);
  mi_free(p), mi_free(small);
  mi_collect(true);
  test_nothing_left();
}

TEST_MAIN("cache", TEST(put_and_take), TEST(one_of_a_size), TEST(put_and_take_classes),
          TEST(not_without_delay), TEST(flushed_after_the_delay), TEST(put_while_another_flushes),
          TEST(by_malloc_and_free), TEST(short_lived_threads), TEST(large_before_kept), TEST(kept_for_ever),
          TEST(bound_heap), TEST(left_by_a_bound_heap), TEST(kept_is_not_zero))
