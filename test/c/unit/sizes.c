/* sizes.h: the classes, and what they waste. */
#include "test.h"

static void granules(void) {
  CHECK_EQ(mi_granules(0), 1);
  for (size_t n = 1; n <= 4096; n++) CHECK_EQ(mi_granules(n), (n + 15) / 16);
}

static void every_bin(void) {
  size_t last = 0;
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    const size_t size = mi_bin_size(bin);
    CHECK(size > last && size % MI_GRANULE == 0);
    CHECK_EQ(mi_bin_of(size), bin);
    CHECK_EQ(mi_bin_of(last + 1), bin);
    if (bin < MI_BIN_LAST) CHECK_EQ(mi_bin_of(size + 1), bin + 1);
    last = size;
  }
  CHECK_EQ(last, MI_MEDIUM_MAX);
  CHECK_EQ(mi_bin_of(0), 1);
}

static void waste(void) {
  for (unsigned bin = 9; bin <= MI_BIN_LAST; bin++)
    CHECK((mi_bin_size(bin) - mi_bin_size(bin - 1)) * 8 <= mi_bin_size(bin - 1));
  for (size_t n = 129; n <= MI_MEDIUM_MAX; n++) {
    const size_t good = mi_bin_size(mi_bin_of(n));
    CHECK_AT(good >= n && (good - n) * 8 < good, "n = %zu", n);
  }
}

static void good_size(void) {
  size_t last = 0;
  for (size_t n = 0; n <= 3 * MI_MEDIUM_MAX; n++) {
    const size_t good = mi_size_good(n);
    CHECK(good >= n && good >= last && good % MI_GRANULE == 0);
    CHECK_EQ(mi_size_good(good), good);
    last = good;
  }
  CHECK_EQ(mi_size_good(MI_SIZE_LIMIT + 1), MI_SIZE_LIMIT + 1);
  CHECK_EQ(mi_size_good(SIZE_MAX), SIZE_MAX);
  CHECK(mi_size_good(MI_SIZE_LIMIT) >= MI_SIZE_LIMIT);
}

TEST_MAIN("sizes", TEST(granules), TEST(every_bin), TEST(waste), TEST(good_size))
