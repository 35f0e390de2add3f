/* free.h: own, remote, by all owners, of offset blocks; errno; what is left. Misuse: test/c/misuse. */
#include "test.h"

static void null_is_nothing(void) {
  errno = 42;
  mi_free(NULL);
  mi_free_as(NULL, NULL, 16);
  CHECK_EQ(mi_block_usable(NULL), 0);
  CHECK_EQ(errno, 42);
}

static void errno_is_kept(void) {
  owners_begin();
  mi_option_set(mi_option_purge_delay, 0);       /* with system calls on the way */
  for (size_t size = 0; size < 100 * MI_MiB; size = size * 3 + 7) {
    void *p = o_malloc(0, size), *q = o_malloc(0, size);
    CHECK(p != NULL && q != NULL);
    errno = 4242;
    o_free(0, p);
    CHECK_EQ(errno, 4242);
    o_free(1, q);
    CHECK_EQ(errno, 4242);
  }
  test_expect_errors();
  mi_free(&errno);
  CHECK(errno == 4242 && test_nerrors == 1);
  owners_end();
}

/* Each of eight owners allocates, each frees what the others made, in every pairing. */
static void eight_by_eight(void) {
  enum { EACH = 500 };
  static void* p[NOWNERS][EACH];
  owners_begin();
  for (int shift = 0; shift < NOWNERS; shift++) {
    for (int o = 0; o < NOWNERS; o++) for (int i = 0; i < EACH; i++) {
      const size_t size = (size_t)(i * 97 % 5000) + (i % 100 == 0 ? 70000 : 0);
      CHECK((p[o][i] = o_malloc(o, size)) != NULL);
      test_fill(p[o][i], mi_min(size, 100), (uint64_t)(o * EACH + i));
    }
    CHECK_EQ(mi_check_all(), 0);
    if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), NOWNERS * EACH);
    for (int i = 0; i < EACH; i++) for (int o = 0; o < NOWNERS; o++) {
      const size_t size = (size_t)(i * 97 % 5000) + (i % 100 == 0 ? 70000 : 0);
      CHECK(test_filled(p[o][i], mi_min(size, 100), (uint64_t)(o * EACH + i)));
      o_free((o + shift) % NOWNERS, p[o][i]);
    }
    CHECK_EQ(mi_check_all(), 0);
    CHECK_EQ(mi_check_live_blocks(), 0);
  }
  for (int o = 0; o < NOWNERS; o++) mi_owner_drain(owners[o], true);
  test_nothing_left();
  owners_end();
}

/* One page whose blocks are freed by all owners in turn, full and not full. */
static void one_page_many_freers(void) {
  owners_begin();
  for (size_t n = 1; n <= 70; n++) {
    void* p[70];
    for (size_t i = 0; i < n; i++) p[i] = o_malloc(0, 1024);     /* 64 fill a page */
    for (size_t i = 0; i < n; i++) {
      o_free((int)(i % NOWNERS), p[i]);
      CHECK_EQ(mi_check_all(), 0);
      if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), n - i - 1);
    }
    mi_owner_drain(owners[0], true);
    test_nothing_left();
  }
  owners_end();
}

/* Nothing of the freer's is needed: no heap, and an id that never was. */
static void by_nobody(void) {
  owners_begin();
  void* p[3000];
  for (int i = 0; i < 3000; i++) p[i] = o_malloc(i % 3, (size_t)i);
  for (int i = 0; i < 3000; i++) mi_free_as(p[i], NULL, 0xabcdef0);
  for (int o = 0; o < NOWNERS; o++) mi_owner_drain(owners[o], true);
  test_nothing_left();
  owners_end();
}

static void offset_blocks(void) {
  owners_begin();
  for (int who = 0; who < 2; who++) for (size_t size = 1; size < 10 * MI_MiB; size = size * 3 + 5) {
    for (size_t align = 32; align <= 4 * MI_MiB; align *= 8) {
      uint8_t* p = mi_aligned_block(&owners[0]->main, size, align, 24, false);
      CHECK(p != NULL && ((uintptr_t)p + 24) % align == 0);
      CHECK(mi_block_usable(p) >= size);
      memset(p, 1, mi_block_usable(p));
      CHECK_EQ(mi_check_all(), 0);
      o_free(who, p);
    }
  }
  mi_owner_drain(owners[0], true);
  test_nothing_left();
  owners_end();
}

static void find(void) {
  owners_begin();
  mi_block_t* block = NULL;
  uint8_t* p = o_malloc(0, 100);
  CHECK(mi_block_find(p, &block, false) == mi_page_of(p) && block == (void*)p);
  CHECK(mi_block_find(p + 1, &block, false) == NULL && mi_block_find(p + 16, &block, false) == NULL);
  CHECK(mi_block_find(&block, &block, false) == NULL);
  CHECK(mi_block_usable(p + 1) == 0 && mi_block_usable(&block) == 0);
  o_free(0, p);
  CHECK(mi_block_find(p, &block, false) == NULL && mi_block_usable(p) == 0);
  owners_end();
}

TEST_MAIN("free", TEST(null_is_nothing), TEST(errno_is_kept), TEST(eight_by_eight),
          TEST(one_page_many_freers), TEST(by_nobody), TEST(offset_blocks), TEST(find))
