/* alloc.h: every class boundary, alignment, zeroing, limits, text. */
#include "test.h"

static mi_lheap_t* lh;
static mi_owner_t* me;
static void begin(void) {
  CHECK((me = mi_owner_begin(MI_OWNER_CAPABILITY, 16)) != NULL);
  lh = &me->main;
}
static void end(void) {
  mi_owner_end(me);
  test_nothing_left();
}
static void release(void* p) { mi_free_as(p, me, me->id); }

static void try_size(size_t size) {
  uint8_t* p = mi_alloc_malloc(lh, size);
  CHECK_AT(p != NULL && (uintptr_t)p % 16 == 0, "size = %zu", size);
  CHECK_EQ(mi_block_usable(p), mi_size_good(size));
  CHECK(mi_block_usable(p) >= size);
  test_fill(p, size < 1 ? 1 : size, size);       /* all of it is ours */
  uint8_t* q = mi_alloc_malloc(lh, size);
  CHECK(q != NULL && q != p && (q >= p + mi_size_good(size) || p >= q + mi_size_good(size)));
  memset(q, 0xaa, mi_block_usable(q));
  CHECK(test_filled(p, size, size));
  release(q);
  release(p);
}

static void every_boundary(void) {
  begin();
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    for (size_t d = 0; d < 3; d++) try_size(mi_bin_size(bin) - 1 + d);
  }
  for (size_t n = MI_MEDIUM_MAX; n < 40 * MI_MiB; n = n * 5 / 4)
    for (size_t d = 0; d < 3; d++) try_size(mi_align_down(n, 4096) - 1 + d);
  for (size_t n = 0; n <= 2 * MI_DIRECT_MAX; n++) try_size(n);
  end();
}

static void zero_size_is_unique(void) {
  begin();
  void* p[1000];
  for (int i = 0; i < 1000; i++) {
    CHECK((p[i] = mi_alloc_malloc(lh, 0)) != NULL);
    CHECK(mi_block_usable(p[i]) >= 1);
    for (int k = 0; k < i; k++) CHECK(p[k] != p[i]);
  }
  for (int i = 0; i < 1000; i++) release(p[i]);
  end();
}

static void too_large(void) {
  begin();
  test_expect_errors();
  const size_t sizes[] = { (size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4095,
                           (size_t)1 << 63 };
  for (size_t i = 0; i < 5; i++) {
    errno = 0;
    CHECK(mi_alloc_malloc(lh, sizes[i]) == NULL && errno == ENOMEM && test_last_error == EOVERFLOW);
    errno = 0;
    CHECK(mi_alloc_zalloc(lh, sizes[i]) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(mi_alloc_zalloc(lh, mi_size_times(sizes[i], 1)) == NULL && errno == ENOMEM);
    CHECK(mi_alloc_zalloc(lh, mi_size_times(1, sizes[i])) == NULL
          && mi_alloc_malloc(lh, mi_size_times(sizes[i], 1)) == NULL);
  }
  errno = 0;                                     /* allowed, but there is no such memory */
  CHECK(mi_alloc_malloc(lh, PTRDIFF_MAX) == NULL && errno == ENOMEM && test_last_error == ENOMEM);
  CHECK(mi_alloc_malloc(lh, (size_t)1 << 50) == NULL);
  end();
}

static void products(void) {
  begin();
  test_expect_errors();
  const size_t half = (size_t)1 << 32;
  errno = 0;
  CHECK(mi_alloc_zalloc(lh, mi_size_times(half, half)) == NULL && errno == ENOMEM
        && test_last_error == EOVERFLOW);
  CHECK(mi_alloc_malloc(lh, mi_size_times(half + 1, half)) == NULL
        && mi_alloc_malloc(lh, mi_size_times(SIZE_MAX, SIZE_MAX)) == NULL);
  CHECK(mi_alloc_zalloc(lh, mi_size_times(SIZE_MAX / 2 + 1, 2)) == NULL);
  void *p = mi_alloc_zalloc(lh, mi_size_times(0, SIZE_MAX)),
       *q = mi_alloc_malloc(lh, mi_size_times(SIZE_MAX, 0));
  CHECK(p != NULL && q != NULL && p != q);
  release(p);
  release(q);
  p = mi_alloc_zalloc(lh, 100);
  CHECK(p != NULL && mi_block_usable(p) >= 100 && test_all(p, mi_block_usable(p), 0));
  release(p);
  end();
}

/* Blocks that were written before come back zeroed, all usable bytes. */
static void zeroed(void) {
  begin();
  for (int round = 0; round < 2; round++) {
    for (size_t size = 0; size < 3 * MI_MiB; size = size * 9 / 8 + 1) {
      uint8_t* p[3];
      for (int i = 0; i < 3; i++) {
        p[i] = mi_alloc_zalloc(lh, size);
        CHECK_AT(p[i] != NULL && test_all(p[i], mi_block_usable(p[i]), 0), "size = %zu", size);
        memset(p[i], 0xff, mi_block_usable(p[i]));
      }
      for (int i = 0; i < 3; i++) release(p[i]);
    }
  }
  end();
}

static void text(void) {
  begin();
  char* s = mi_alloc_strdup(lh, "hello");
  CHECK(s != NULL && strcmp(s, "hello") == 0);
  release(s);
  s = mi_alloc_strndup(lh, "hello", 3);
  CHECK(s != NULL && strcmp(s, "hel") == 0);
  release(s);
  s = mi_alloc_strndup(lh, "hello", SIZE_MAX);
  CHECK(s != NULL && strcmp(s, "hello") == 0);
  release(s);
  s = mi_alloc_strdup(lh, "");
  CHECK(s != NULL && *s == 0);
  release(s);
  CHECK(mi_alloc_strdup(lh, NULL) == NULL && mi_alloc_strndup(lh, NULL, 3) == NULL);
  s = mi_alloc_realpath(lh, "/usr/../etc", NULL);
  CHECK(s != NULL && strcmp(s, "/etc") == 0 && mi_block_usable(s) > 0);
  release(s);
  errno = 0;
  CHECK(mi_alloc_realpath(lh, "/no/such/file", NULL) == NULL && errno == ENOENT);
  char here[4096];
  CHECK(mi_alloc_realpath(lh, "/etc/.", here) == here && strcmp(here, "/etc") == 0);
  end();
}

/* Many blocks of all sizes at once do not overlap. */
static void no_overlap(void) {
  enum { N = 5000 };
  static uint8_t* p[N];
  static size_t size[N];
  uint64_t r = 3;
  begin();
  for (int i = 0; i < N; i++) {
    size[i] = test_random(&r) % ((size_t)1 << (3 + test_random(&r) % 14));
    CHECK((p[i] = mi_alloc_malloc(lh, size[i])) != NULL);
    test_fill(p[i], mi_block_usable(p[i]), (uint64_t)i);
  }
  for (int i = 0; i < N; i++) CHECK(test_filled(p[i], mi_block_usable(p[i]), (uint64_t)i));
  if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), N);
  for (int i = 0; i < N; i++) release(p[(i * 7919) % N]);
  end();
}

/* Memory that was freed is used again: a thousand rounds need no more than a few. */
static void steady_state(void) {
  begin();
  size_t peak = 0;
  for (int round = 0; round < 200; round++) {
    void* p[300];
    for (int i = 0; i < 300; i++) CHECK((p[i] = mi_alloc_malloc(lh, (size_t)i * (size_t)i)) != NULL);
    for (int i = 0; i < 300; i++) release(p[(i * 7) % 300]);
    if (round == 20) peak = mi_commit_totals.xpeak_committed;
  }
  CHECK(mi_commit_totals.xpeak_committed <= peak + 4 * MI_MiB);
  end();
}

/* ---- zeroed blocks ---- */

enum { DIRTY_MIB = 40 };

static void make_dirty(size_t size) {
  for (int i = 0; i < 2; i++) {                  /* the first one may have a mapping of its own */
    void* p = mi_malloc(size);
    CHECK(p != NULL);
    memset(p, 1, size);
    mi_free(p);
  }
}
static void zeroes_begin(void) {
  mi_option_set(mi_option_purge_delay, -1);      /* what is freed stays as it is */
  mi_option_set(mi_option_arena_reserve, MI_GiB / MI_KiB);
}

/* What was used and is much is not written to for a zeroed block, nor is what was not used. */
static void zeroed_is_not_touched(void) {
  if (test_skips(TEST_SANITIZED, "what is resident is the sanitizer's, too")) return;
  const size_t size = DIRTY_MIB * MI_MiB;
  zeroes_begin();
  make_dirty(size);
  const size_t dirty = test_rss();
  void* p = mi_calloc(1, size);
  CHECK(p != NULL && test_rss() < dirty - size / 2 && test_all(p, size, 0));
  mi_free(p);
  make_dirty(size);
  mi_os_fail_call(MI_OS_PURGE, MI_OS_HALF, 1, SIZE_MAX);
  CHECK((p = mi_calloc(1, size)) != NULL && test_all(p, size, 0));
  mi_os_fail_call(MI_OS_PURGE, MI_OS_AT_START, 0, 0);
  mi_free(p);
}

/* Some slices of it are dirty. */
static void zeroed_in_part(void) {
  const size_t size = 20 * MI_MiB, part = 600 * MI_KiB;
  mi_arena_id_t id;
  if (test_skips(TEST_SANITIZED, "what is resident is the sanitizer's, too")) return;
  zeroes_begin();
  CHECK_EQ(mi_reserve_os_memory_ex(2 * size, true, false, true, &id), 0);
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  uint8_t* p = mi_heap_malloc(heap, part);
  CHECK(p != NULL);
  memset(p, 1, part);
  mi_free(p);
  const size_t before = test_rss();
  uint8_t* q = mi_heap_calloc(heap, 1, size);
  CHECK(q == p);                                 /* it begins with what is dirty */
  CHECK_AT(test_rss() < before + MI_MiB, "%zu more", test_rss() - before);
  CHECK(test_all(q, size, 0));
  mi_free(q);
}

/* The same again and again is written to: its pages are touched anyway. */
static void zeroed_again(void) {
  const size_t size = DIRTY_MIB * MI_MiB;
  zeroes_begin();
  for (int i = 0; i < 6; i++) {
    uint8_t* p = mi_calloc(1, size);
    CHECK_AT(p != NULL && test_all(p, size, 0), "%d", i);
    memset(p, 1, size);
    mi_free(p);
  }
}

TEST_MAIN("alloc", TEST(every_boundary), TEST(zero_size_is_unique), TEST(too_large), TEST(products),
          TEST(zeroed), TEST(text), TEST(no_overlap), TEST(steady_state),
          TEST(zeroed_is_not_touched), TEST(zeroed_in_part), TEST(zeroed_again))
