/* aligned.h's checks of sized and aligned frees: every size that a block can have been asked for is
   right, others are not. */
#include "test.h"
#include "thread.h"

static const size_t largest = 600000;
/* As the frees ask. */
static bool suits(const void* p, size_t size, size_t align) {
  return mi_block_suits_plainly(p, size, align == 0 ? 1 : align) || mi_block_suits(p, size, align);
}
static size_t next(size_t size) { return size + 1 + size / 37; }

/* Nobody who says what he asked for is accused. */
static void as_asked(void) {
  for (size_t size = 0; size < largest; size = next(size)) {
    mi_free_size(mi_malloc(size), size);
    mi_free_size(mi_zalloc(size), size);
    mi_free_size_aligned(mi_malloc(size), size, 1);
    CHECK(suits(NULL, size, 0) && suits(NULL, size, 1) && suits(NULL, size, 64));
    for (size_t align = 1; align <= 1 << 19; align *= 2) {
      mi_free_size_aligned(mi_malloc_aligned(size, align), size, align);
      mi_free_aligned(mi_malloc_aligned(size, align), align);
      mi_free_size(mi_malloc_aligned(size, align), size);
      void* p = mi_malloc_aligned_at(size, align, 8);
      CHECK(p != NULL && suits(p, size, 0) && suits(p, size, align) && mi_block_suits_align(p, align));
      mi_free(p);
      if (MI_HARD || MI_CHECK) align *= 8;
    }
    mi_free_size(mi_valloc(size), size);
    mi_free_size(mi_pvalloc(size), size);
  }
  mi_free_size(NULL, 100);
  mi_free_size_aligned(NULL, 100, 64);
  mi_free_aligned(NULL, 64);
  mi_thread_done();
  test_nothing_left();
}

/* Nor after resizing, also where the block stays and is larger than what was asked for. */
static void after_a_realloc(void) {
  uint64_t seed = 1;
  for (int round = 0; round < 20000; round++) {
    const bool by_alignment = round % 3 == 0;
    const size_t align = by_alignment ? (size_t)1 << test_random(&seed) % 18 : 1;
    const size_t most = (size_t)1 << (4 + test_random(&seed) % 18);
    size_t size = test_random(&seed) % most;
    void* p = mi_malloc_aligned(size, align);
    for (int k = 0; k < 4; k++) {
      size = test_random(&seed) % most;
      p = by_alignment ? mi_realloc_aligned(p, size, align) : mi_realloc(p, size);
    }
    CHECK_AT(p != NULL && suits(p, size, by_alignment ? align : 1) && suits(p, size, 0),
             "size = %zu, usable = %zu", size, mi_usable_size(p));
    CHECK(mi_block_suits(p, size, by_alignment ? align : 1) && mi_block_suits(p, size, 0));
    mi_free(p);
  }
  void* p = mi_malloc(MI_ARENA_SIZE / 2 + MI_MiB);       /* a mapping of its own, grown and shrunk */
  CHECK(suits(p, MI_ARENA_SIZE / 2 + MI_MiB, 1));
  p = mi_realloc(p, MI_ARENA_SIZE);
  CHECK(suits(p, MI_ARENA_SIZE, 1));
  p = mi_realloc(p, 100000);
  CHECK(suits(p, 100000, 1));
  mi_free_size(p, 100000);
  mi_thread_done();
  test_nothing_left();
}

/* Nor after mi_expand to less than a realloc would leave in place, in pages of one block and of many. */
static void after_an_expand(void) {
  for (size_t size = 1; size < largest; size = next(size)) {
    const size_t less[] = { 0, 1, size / 30, size / 3, size / 2, size };
    for (size_t i = 0; i < sizeof less / sizeof *less; i++) {
      void* p = mi_malloc(size);
      void* other = mi_malloc(size);
      CHECK_AT(mi_expand(p, less[i]) == p, "%zu of %zu", less[i], size);
      CHECK_AT(suits(p, less[i], 1) && suits(p, less[i], 0), "%zu of %zu", less[i], size);
      CHECK(suits(p, size, 1) && suits(other, size, 1));
      mi_free_size(p, less[i]);
      mi_free_size(other, size);
    }
  }
  void* p = mi_malloc(MI_ARENA_SIZE / 2 + MI_MiB);       /* a mapping of its own */
  CHECK(mi_expand(p, 10) == p);
  mi_free_size(p, 10);
  mi_thread_done();
  test_nothing_left();
}

/* What fits is believed in that page, and in no later life of it. */
static void of_that_page_only(void) {
  void* p = mi_malloc(MI_ARENA_SIZE / 8);
  test_expect_errors();
  CHECK(mi_expand(p, 100) == p && suits(p, 100, 1) && !suits(p, mi_usable_size(p) + 1, 1));
  mi_free(p);
  p = mi_malloc(MI_ARENA_SIZE / 8);
  CHECK(!suits(p, 100, 1));
  mi_free(p);
  p = mi_malloc(100000);                                 /* cached, and used again */
  CHECK(mi_expand(p, 100) == p && suits(p, 100, 1));
  mi_free(p);
  p = mi_malloc(100000);
  CHECK(!suits(p, 100, 1));
  mi_free(p);
}

/* A block that stays because some address behind its start happens to be aligned. */
static void after_an_aligned_realloc(void) {
  void* p[64];
  size_t stayed = 0;
  for (size_t i = 0; i < 64; i++) {
    void* q = p[i] = mi_malloc(112);
    const size_t offset = 64 - (uintptr_t)q % 64;
    p[i] = mi_realloc_aligned_at(q, 112, 64, offset);
    CHECK(p[i] != NULL && ((uintptr_t)p[i] + offset) % 64 == 0 && mi_block_suits_align(p[i], 64));
    CHECK(suits(p[i], 112, 64));
    stayed += p[i] == q && (uintptr_t)q % 64 != 0;
  }
  CHECK(stayed > 0);
  for (size_t i = 0; i < 64; i++) mi_free_size_aligned(p[i], 112, 64);
  mi_thread_done();
  test_nothing_left();
}

/* What no request would have been given this block for: told, and the block is freed. */
static void wrong(void) {
  test_expect_errors();
  for (size_t size = 100; size < largest; size = next(size)) {
    void* p = mi_malloc(size);
    const size_t usable = mi_usable_size(p);
    const size_t bad[] = { usable + 1, 2 * usable, usable / 2 - 1, 1, 0, SIZE_MAX, (size_t)PTRDIFF_MAX };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
      test_last_error = 0;
      CHECK_AT(!suits(p, bad[i], 1) && test_last_error == EINVAL, "%zu of %zu", bad[i], usable);
    }
    CHECK(!suits(p, usable + 1, 0) && (mi_is_pow2(usable) || !suits(p, usable / 3, 0) || usable % 4096 == 0));
    test_last_error = 0;
    mi_free_size(p, usable + 1);
    CHECK(test_last_error == EINVAL && mi_usable_size(p) == 0);
  }
  void* p = mi_malloc(48);
  void* q = mi_malloc(48);
  for (size_t align = 1; align <= 4096; align *= 2) {
    const bool both = ((uintptr_t)p | (uintptr_t)q) % align == 0;
    const bool ok = mi_block_suits_align(p, align) & mi_block_suits_align(q, align);
    CHECK(ok == both);
  }
  mi_free(p);
  mi_free(q);
}

TEST_MAIN("sized_free", TEST(as_asked), TEST(after_a_realloc), TEST(after_an_expand),
          TEST(after_an_aligned_realloc), TEST(of_that_page_only), TEST(wrong))
