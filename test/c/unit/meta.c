/* meta.h: memory for structures. */
#include <pthread.h>

#include "core/meta.h"
#include "test.h"

static void zeroed_and_aligned(void) {
  for (size_t size = 1; size < 100000; size = size * 3 + 1) {
    uint8_t* p = mi_meta_alloc(MI_META_PLACES, size);
    CHECK(p != NULL && (uintptr_t)p % 128 == 0 && test_all(p, size, 0));
    memset(p, 1, size);
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

static void larger_than_a_chunk(void) {
  uint8_t* p = mi_meta_alloc(MI_META_PLACES + 14, 8 * MI_MiB);
  CHECK(p != NULL && test_all(p, 8 * MI_MiB, 0));
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

TEST_MAIN("meta", TEST(zeroed_and_aligned), TEST(same_kind_again), TEST(larger_than_a_chunk), TEST(no_memory), TEST(threads))
