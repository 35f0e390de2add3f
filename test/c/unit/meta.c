/* meta.h: memory for structures. */
#include <pthread.h>

#include "core/meta.h"
#include "test.h"

static void zeroed_and_aligned(void) {
  unsigned kind = 0;
  for (size_t size = 1; size < 4000000; size = size * 3 + 1, kind++) {
    for (int i = 0; i < 5; i++) {
      uint8_t* p = mi_meta_alloc(kind, size);
      CHECK(p != NULL && (uintptr_t)p % 64 == 0 && test_all(p, size, 0));
      memset(p, 1, size);
    }
  }
}

static void same_kind_again(void) {
  void* heap = mi_meta_alloc(MI_META_HEAP, 500);
  void* page = mi_meta_alloc(MI_META_PAGE, 500);
  memset(heap, 1, 500);
  mi_meta_free(MI_META_HEAP, heap);
  void* other = mi_meta_alloc(MI_META_PAGE, 500);
  CHECK(other != heap && other != page);
  CHECK(mi_meta_alloc(MI_META_HEAP, 500) == heap);
  CHECK(((uint8_t*)heap)[499] == 1);     /* heaps and pages keep what they had: others may still read it */
  mi_meta_free(MI_META_LHEAP, memset(mi_meta_alloc(MI_META_LHEAP, 500), 1, 500));
  CHECK(test_all(mi_meta_alloc(MI_META_LHEAP, 500), 500, 0));
}

static void larger_than_a_region(void) {
  const size_t before = mi_meta_committed(), reserved = mi_meta_reserved();
  uint8_t* p = mi_meta_alloc(MI_META_PLACES + 14, 8 * MI_MiB);
  CHECK(p != NULL && test_all(p, 8 * MI_MiB, 0));
  CHECK(mi_meta_committed() == before + 8 * MI_MiB && mi_meta_reserved() == reserved + 8 * MI_MiB);
  mi_meta_free(MI_META_PLACES + 14, p);
  CHECK(mi_meta_committed() == before && mi_meta_reserved() == reserved
        && mi_meta_peak_committed() == before + 8 * MI_MiB);
  mi_meta_restart_peak();
  CHECK_EQ(mi_meta_peak_committed(), before);
}

/* What many structures occupied goes back when they are gone, in whatever order they go, but for a little;
   and the next ones of the kind are zero again. Pages are the exception: what was in one stays readable. */
enum { MANY = 20000 };
static uint64_t* many[MANY];
static size_t resident_after(mi_meta_kind_t kind, uint64_t seed) {
  const size_t before = mi_meta_committed(), rss = test_rss();
  for (size_t i = 0; i < MANY; i++) {
    CHECK((many[i] = mi_meta_alloc(kind, 1000)) != NULL);
    many[i][0] = many[i][124] = i + 1;
  }
  CHECK(mi_meta_committed() >= MANY * 1000 && mi_meta_committed() <= before + MANY * 1100);
  CHECK(TEST_SANITIZED || test_rss() <= rss + mi_meta_committed() - before + MI_MiB);
  for (size_t i = MANY - 1; i > 0; i--) {
    const size_t k = test_random(&seed) % (i + 1);
    uint64_t* p = many[k];
    many[k] = many[i];
    many[i] = p;
  }
  for (size_t i = 0; i < MANY; i++) {
    CHECK(many[i][0] == many[i][124] && many[i][0] != 0);
    mi_meta_free(kind, many[i]);
  }
  return mi_meta_committed() - before;
}
static void many_come_and_go(void) {
  for (uint64_t round = 1; round < 4; round++) {
    const size_t rss = test_rss();
    CHECK(resident_after(MI_META_LHEAP, round) <= MI_MiB / 2);
    CHECK(TEST_SANITIZED || test_rss() <= rss + MI_MiB);
  }
  CHECK(test_all(mi_meta_alloc(MI_META_LHEAP, 1000), 1000, 0));
  CHECK(resident_after(MI_META_HEAP, 5) <= MI_MiB / 2);
  CHECK(resident_after(MI_META_PAGE, 6) >= MANY * 1000);
  CHECK(resident_after(MI_META_PAGE, 7) == 0);
}

static void no_memory(void) {
  size_t n = 0;
  mi_os_fail_in(1, SIZE_MAX);
  errno = 0;
  while (mi_meta_alloc(MI_META_OWNER, 4096) != NULL) n++;
  CHECK(n <= MI_MiB / 4096);
  CHECK_EQ(errno, ENOMEM);
  mi_os_fail_in(2, 1);                           /* reserved, but not committed */
  CHECK(mi_meta_alloc(MI_META_OWNER, 4096) == NULL);
  mi_os_fail_in(0, 0);
  CHECK(mi_meta_alloc(MI_META_OWNER, 4096) != NULL);
}

static void* churn(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg, *kept[16] = { NULL };
  for (int i = 0; i < 20000; i++) {
    const size_t k = test_random(&r) % 16;
    if (kept[k] != NULL) {
      CHECK(kept[k][0] == (uint64_t)(uintptr_t)arg && kept[k][63] == k);
      mi_meta_free(MI_META_LHEAP, kept[k]);
    }
    kept[k] = mi_meta_alloc(MI_META_LHEAP, 512);
    CHECK(kept[k] != NULL && test_all(kept[k], 512, 0));
    kept[k][0] = (uint64_t)(uintptr_t)arg;
    kept[k][63] = k;
  }
  return NULL;
}

static void threads(void) {
  pthread_t t[4];
  for (uintptr_t i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, &churn, (void*)(i + 1)), 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
}

TEST_MAIN("meta", TEST(zeroed_and_aligned), TEST(same_kind_again), TEST(larger_than_a_region),
          TEST(many_come_and_go), TEST(no_memory), TEST(threads))
