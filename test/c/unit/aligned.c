/* aligned.h: every power of two, offsets, limits. */
#include "test.h"

static mi_lheap_t* lh;
static void begin(void) { owners_begin(); lh = &owners[0]->main; }
static void end(void) { owners_end(); test_nothing_left(); }

static void try_one(size_t size, size_t align, size_t offset, bool zero) {
  uint8_t* p = mi_aligned_block(lh, size, align, offset, zero);
  CHECK_AT(p != NULL && ((uintptr_t)p + offset) % align == 0, "size = %zu, align = %zu, offset = %zu, p = %p",
           size, align, offset, (void*)p);
  const size_t usable = mi_block_usable(p);
  CHECK_AT(usable >= size, "size = %zu, align = %zu, offset = %zu, usable = %zu", size, align, offset,
           usable);
  if (zero) CHECK_AT(test_all(p, usable, 0), "size = %zu, align = %zu, offset = %zu", size, align, offset);
  memset(p, 0xee, mi_min(usable, 3 * MI_MiB));
  p[usable - 1] = 0xee;
  o_free((int)(size % 2), p);
}

static const size_t sizes[] = { 0,     1,     15,    16,    17,     24,      33,     48,   100,
                                200,   1000,  1024,  1025,  4095,   4096,    5000,   8192, 8193,
                                20000, 65535, 65536, 65537, 100000, 1000000, 3000000 };
#define NSIZES (sizeof sizes / sizeof *sizes)

static void every_power(void) {
  begin();
  for (size_t align = 1; align <= 64 * MI_MiB; align *= 2) {
    for (size_t s = 0; s < NSIZES; s++)
      for (int zero = 0; zero < 2; zero++) try_one(sizes[s], align, 0, zero);
  }
  end();
}

static void offsets(void) {
  begin();
  for (size_t align = 1; align <= 64 * MI_MiB; align *= 4) {
    const size_t off[] = { 1,         7,         8,     16,        24,        40,
                           align / 2, align - 1, align, align + 8, 3 * align, 5 * align + 1 };
    for (size_t s = 0; s < NSIZES; s += 2)
      for (size_t o = 0; o < 12; o++) try_one(sizes[s], align, off[o], (s + o) % 4 == 0);
  }
  try_one(100, 64, SIZE_MAX, false);
  try_one(100, 64, SIZE_MAX - 63, true);
  end();
}

/* A multiple of the alignment needs no larger class than the size itself. */
static void no_waste(void) {
  begin();
  for (size_t align = 16; align <= MI_SLICE_SIZE; align *= 2) {
    for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
      const size_t size = mi_bin_size(bin);
      if (size % align != 0) continue;
      void* p = mi_aligned_block(lh, size, align, 0, false);
      CHECK_EQ(mi_block_usable(p), size);
      o_free(0, p);
    }
  }
  end();
}

static void neighbours(void) {
  begin();
  uint8_t* p[300];
  for (size_t i = 0; i < 300; i++) {
    const size_t align = (size_t)16 << i % 9;
    CHECK((p[i] = mi_aligned_block(lh, 100 + i, align, i % 3 * 8, false)) != NULL);
    test_fill(p[i], mi_block_usable(p[i]), i);
  }
  for (size_t i = 0; i < 300; i++) CHECK(test_filled(p[i], mi_block_usable(p[i]), i));
  for (size_t i = 0; i < 300; i++) o_free((int)(i % 4), p[i]);
  end();
}

static void bad_alignment(void) {
  begin();
  test_expect_errors();
  const size_t bad[] = { 0, 3, 5, 6, 12, 24, 100, 4097, SIZE_MAX, SIZE_MAX - 1, ((size_t)1 << 63) + 1 };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    errno = 0;
    CHECK(mi_aligned_block(lh, 100, bad[i], 0, false) == NULL && errno == EINVAL
          && test_last_error == EINVAL);
    CHECK(mi_aligned_block(lh, 100, bad[i], 8, true) == NULL);
  }
  end();
}

static void too_large(void) {
  begin();
  test_expect_errors();
  for (size_t offset = 0; offset < 16; offset += 8) for (unsigned bit = 0; bit < 64; bit++) {
    errno = 0;
    CHECK(mi_aligned_block(lh, SIZE_MAX - bit, (size_t)1 << bit, offset, false) == NULL && errno == ENOMEM);
    CHECK(mi_aligned_block(lh, (size_t)PTRDIFF_MAX - bit, (size_t)1 << bit, offset, false) == NULL
          && errno == ENOMEM);
    if (bit >= 47)
      CHECK(mi_aligned_block(lh, 100, (size_t)1 << bit, offset, false) == NULL && errno == ENOMEM);
  }
  end();
}

/* ---- the C library's names ---- */

static void posix(void) {
  test_expect_errors();
  void* p = &p;
  errno = 9;
  CHECK_EQ(mi_posix_memalign(&p, 0, 10), EINVAL);
  CHECK_EQ(mi_posix_memalign(&p, 4, 10), EINVAL);
  CHECK_EQ(mi_posix_memalign(&p, 24, 10), EINVAL);
  CHECK_EQ(mi_posix_memalign(NULL, 64, 10), EINVAL);
  CHECK_EQ(mi_posix_memalign(&p, 64, SIZE_MAX), ENOMEM);
  CHECK(p == &p && errno == 9);
  for (size_t align = 8; align <= MI_MiB; align *= 2) {
    CHECK_EQ(mi_posix_memalign(&p, align, 100), 0);
    CHECK((uintptr_t)p % align == 0 && errno == 9);
    mi_free(p);
  }
  CHECK((p = mi_memalign(4096, 5)) != NULL && (uintptr_t)p % 4096 == 0);
  mi_free(p);
  CHECK((p = mi_aligned_alloc(256, 5)) != NULL && (uintptr_t)p % 256 == 0);
  mi_free_aligned(p, 256);
  CHECK((p = mi_valloc(5)) != NULL && (uintptr_t)p % mi_os_page_size() == 0);
  mi_free_size(p, 5);
  CHECK((p = mi_pvalloc(mi_os_page_size() + 1)) != NULL && mi_usable_size(p) >= 2 * mi_os_page_size());
  mi_free_size_aligned(p, 2 * mi_os_page_size(), 8);
  CHECK(mi_pvalloc(SIZE_MAX) == NULL && mi_valloc(SIZE_MAX) == NULL && mi_aligned_alloc(3, 3) == NULL);
  CHECK(mi_calloc_aligned(SIZE_MAX / 2, 3, 16) == NULL && errno == ENOMEM);
  mi_collect(true);
  test_nothing_left();
}

TEST_MAIN("aligned", TEST(every_power), TEST(offsets), TEST(no_waste), TEST(neighbours), TEST(bad_alignment),
          TEST(too_large), TEST(posix))
