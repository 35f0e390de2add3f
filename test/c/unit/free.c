/* free.h: own, remote, by all owners, of offset blocks; errno; what is left. Misuse: test/c/misuse. */
#include <pthread.h>

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

/* By the id of its heap: what is left of a destroyed heap is not touched, whoever has its memory. */
static void of_a_heap(void) {
  enum { N = 300 };
  static void *p[N], *q[N];
  owners_begin();
  for (size_t size = 16; size <= 3 * MI_MiB; size = size * 7 + 48) {
    mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
    const uint64_t heap_id = heap->xid;
    const int n = size < 100000 ? N : 10;
    for (int i = 0; i < n; i++) CHECK((p[i] = mi_alloc_malloc(mi_heap_lheap(heap, owners[0]), size)) != NULL);
    mi_free_of_heap(NULL, heap_id, owners[0]);
    mi_free_of_heap(p[0], 0, owners[0]);
    mi_free_of_heap(p[0], heap_id + 1, owners[0]);
    CHECK(mi_block_usable(p[0]) >= size);
    for (int i = 0; i < n / 2; i++) mi_free_of_heap(p[i], heap_id, i % 2 ? owners[1] : NULL);
    CHECK(mi_block_usable(p[0]) == 0 && mi_block_usable(p[n / 2]) >= size && mi_check_all() == 0);
    mi_heap_end(heap, false);
    for (int i = 0; i < n; i++) mi_free_of_heap(p[i], heap_id, owners[0]);
    heap = mi_heap_make(MI_ARENA_NONE, 0, true);   /* in the same place, with another id */
    for (int i = 0; i < n; i++) {
      q[i] = i % 2 ? o_malloc(0, size) : mi_alloc_malloc(mi_heap_lheap(heap, owners[0]), size);
      CHECK(q[i] != NULL);
    }
    for (int i = 0; i < n; i++) mi_free_of_heap(p[i], heap_id, owners[1]);
    for (int i = 0; i < n; i++) CHECK(mi_block_usable(q[i]) >= size);
    for (int i = 1; i < n; i += 2) o_free(0, q[i]);
    mi_heap_end(heap, false);
    CHECK_EQ(mi_check_all(), 0);
  }
  mi_owner_drain(owners[0], true);
  test_nothing_left();
  owners_end();
}

/* .. also while it ends: no block is freed for another, and nothing is taken for a mistake. */
enum { NENDED = 200 };
static mi_atomic(void*) ended[NENDED];
static mi_atomic(uint64_t) ended_id;
static mi_atomic(bool) ended_stop;

static void* free_what_ends(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  while (!mi_load_acquire(&ended_stop)) {
    void* b = mi_exchange_acq_rel(&ended[test_random(&r) % NENDED], NULL);
    mi_free_of_heap(b, mi_load_acquire(&ended_id), NULL);
  }
  return NULL;
}

static void of_a_heap_that_ends(void) {
  static void* kept[NENDED];
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &free_what_ends, (void*)7), 0);
  for (int round = 0; round < 1000; round++) {
    const size_t size = round % 3 == 0 ? 70000 : 1000;
    mi_heap_t* heap = mi_heap_new();
    for (int i = 0; i < NENDED; i++) mi_store_release(&ended[i], NULL);  /* of the last one */
    mi_store_release(&ended_id, heap->xid);
    for (int i = 0; i < NENDED; i++) mi_store_release(&ended[i], mi_heap_malloc(heap, size));
    mi_heap_destroy(heap);
    for (int i = 0; i < NENDED; i++) CHECK((kept[i] = mi_malloc(size)) != NULL);
    for (int i = 0; i < NENDED; i++) mi_free(kept[i]);
  }
  mi_store_release(&ended_stop, true);
  pthread_join(t, NULL);
  mi_collect(true);
  test_nothing_left();
}

TEST_MAIN("free", TEST(null_is_nothing), TEST(errno_is_kept), TEST(eight_by_eight),
          TEST(one_page_many_freers), TEST(by_nobody), TEST(offset_blocks), TEST(find),
          TEST(of_a_heap), TEST(of_a_heap_that_ends))
