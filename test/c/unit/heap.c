/* heap.h: heaps made, used by eight owners, deleted and destroyed; and by threads while others free. */
#include <pthread.h>

#include "core/heap.h"
#include "test.h"

enum { N = 4000 };
static void* p[N];
static size_t size_of(int i) {
  return (size_t)i % 50 == 0 ? 66000 + (size_t)i * 10 : 1 + (size_t)i * 131 % 9000;
}

static void* h_malloc(mi_heap_t* heap, int owner, size_t size) {
  mi_lheap_t* lh = mi_heap_lheap(heap, owners[owner]);
  CHECK(lh != NULL);
  return mi_alloc_malloc(lh, size);
}

static void fill_heap(mi_heap_t* heap) {
  for (int i = 0; i < N; i++) {
    CHECK((p[i] = h_malloc(heap, i % NOWNERS, size_of(i))) != NULL);
    test_fill(p[i], mi_min(64, size_of(i)), (uint64_t)i);
  }
}

static mi_heap_t* make(void) {
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  CHECK(heap != NULL);
  return heap;
}

/* A bit that stays behind a page costs every heap that looks for one. */
static size_t in_pools(void) {
  size_t n = 0;
  for (size_t i = 0; i < mi_arena_count(); i++) {
    for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++)
      n += mi_bitmap_count(mi_arena_pool(mi_arena_at(i), bin), mi_arena_at(i)->nslices);
  }
  return n;
}

static void destroy(void) {
  owners_begin();
  for (int round = 0; round < 3; round++) {
    mi_heap_t* heap = make();
    fill_heap(heap);
    for (int i = 0; i < N; i += 3) o_free((i + round) % NOWNERS, p[i]);
    CHECK_EQ(mi_check_all(), 0);
    mi_heap_end(heap, false);
    CHECK_EQ(in_pools(), 0);
    test_nothing_left();
  }
  owners_end();
}

static void delete_keeps_blocks(void) {
  owners_begin();
  mi_heap_t* heap = make();
  fill_heap(heap);
  for (int i = 0; i < N; i += 3) { o_free(i % 5, p[i]); p[i] = NULL; }
  mi_heap_end(heap, true);
  CHECK_EQ(mi_check_all(), 0);
  size_t n = 0;
  for (int i = 0; i < N; i++) n += p[i] != NULL;
  if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), n);
  for (int i = 0; i < N; i++) {
    if (p[i] == NULL) continue;
    CHECK(test_filled(p[i], mi_min(64, size_of(i)), (uint64_t)i) && mi_page_of(p[i])->xheap == &mi_main_heap);
    o_free((i * 7) % NOWNERS, p[i]);
  }
  owners_end();
  CHECK_EQ(in_pools(), 0);
  test_nothing_left();
}

/* What a deleted heap left is used by the main heap. */
static void deleted_pages_are_adopted(void) {
  owners_begin();
  mi_heap_t* heap = make();
  for (int i = 0; i < N; i++) p[i] = h_malloc(heap, 0, 64);
  for (int i = 0; i < N; i += 2) o_free(1, p[i]);
  mi_heap_end(heap, true);
  for (int i = 0; i < N; i += 2) CHECK((p[i] = o_malloc(2, 64)) != NULL);
  CHECK(owners[2]->main.xcounts.adopted_pages > 0);
  for (int i = 0; i < N; i++) o_free(2, p[i]);
  owners_end();
  test_nothing_left();
}

static void heaps_do_not_mix(void) {
  owners_begin();
  mi_heap_t *a = make(), *b = make();
  CHECK(a->xid != b->xid && a->xid > 1 && b->xid > 1);
  for (int i = 0; i < N; i++) p[i] = h_malloc(i % 2 ? a : b, 0, 80);
  for (int i = 0; i < N; i++) {
    CHECK(mi_page_of(p[i])->xheap == (i % 2 ? a : b));
    if (i % 4 < 2) { o_free(1, p[i]); p[i] = h_malloc(i % 2 ? a : b, 1, 80); }
  }
  for (int i = 0; i < N; i++) CHECK(mi_page_of(p[i])->xheap == (i % 2 ? a : b));
  mi_heap_end(a, false);
  for (int i = 0; i < N; i += 2) o_free(3, p[i]);
  mi_heap_end(b, false);
  owners_end();
  test_nothing_left();
}

/* Owners end first, the heap after them; and many more owners than one chunk of places. */
static void owners_end_first(void) {
  enum { OWNERS = 300 };
  static mi_owner_t* o[OWNERS];
  mi_heap_t* heap = make();
  for (uint32_t i = 0; i < OWNERS; i++) {
    CHECK((o[i] = mi_owner_begin(MI_OWNER_THREAD, 0x10000 + 16 * i)) != NULL);
    mi_lheap_t* lh = mi_heap_lheap(heap, o[i]);
    CHECK(lh != NULL && mi_heap_lheap(heap, o[i]) == lh);
    for (int k = 0; k < 10; k++) CHECK(mi_alloc_malloc(lh, 100) != NULL);
  }
  CHECK_EQ(mi_check_all(), 0);
  for (uint32_t i = 0; i < OWNERS; i += 2) mi_owner_end(o[i]);
  if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), 10 * OWNERS);
  mi_heap_end(heap, false);
  for (uint32_t i = 1; i < OWNERS; i += 2) mi_owner_end(o[i]);
  test_nothing_left();
}

static void in_an_arena(void) {
  static uint8_t memory[MI_MiB];
  uint16_t number;
  owners_begin();
  CHECK(mi_arena_add(memory, sizeof memory, true, false, true, &number));
  mi_heap_t* heap = mi_heap_make(number, 0, true);
  size_t n = 0;
  for (void* q; (q = h_malloc(heap, 0, 1000)) != NULL; n++)
    CHECK((uint8_t*)q > memory && (uint8_t*)q < memory + sizeof memory);
  CHECK(n > 800 && errno == ENOMEM);
  CHECK(h_malloc(heap, 1, 100000) == NULL);
  mi_heap_end(heap, false);
  owners_end();
}

/* ---- threads ---- */

static mi_atomic(void*) slot[256];
static mi_atomic(bool) stop;
static mi_atomic(size_t) nfreed;

static void* freer(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  while (!mi_load_acquire(&stop)) {
    void* q = mi_exchange_acq_rel(&slot[test_random(&r) % 256], NULL);
    if (q == NULL) continue;
    mi_free(q);
    mi_add_relaxed(&nfreed, 1);
  }
  return NULL;
}

/* A heap is deleted again and again while two threads free what was in it: no block is lost, and no
   free is taken for a double one (that would end the test). */
static void delete_while_others_free(void) {
  pthread_t t[2];
  uint64_t r = 7;
  for (uintptr_t i = 0; i < 2; i++) CHECK_EQ(pthread_create(&t[i], NULL, &freer, (void*)(i + 1)), 0);
  /* until they had their turn */
  for (int round = 0; round < 300 || mi_load_relaxed(&nfreed) <= 1000; round++) {
    mi_heap_t* heap = mi_heap_new();
    CHECK(heap != NULL);
    for (int i = 0; i < 300; i++) {
      void* q = mi_heap_malloc(heap, i % 3 == 0 ? 70000 : test_random(&r) % 3000);
      CHECK(q != NULL);
      mi_free(mi_exchange_acq_rel(&slot[test_random(&r) % 256], q));
    }
    mi_heap_delete(heap);
  }
  mi_store_release(&stop, true);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < 256; i++) mi_free(slot[i]);
  mi_collect(true);
  test_nothing_left();
}

static void* allocator(void* arg) {
  mi_heap_t* heap = arg;
  void* q[200];
  for (int i = 0; i < 200; i++) CHECK((q[i] = mi_heap_zalloc(heap, (size_t)i * 50)) != NULL);
  for (int i = 0; i < 200; i += 2) mi_free(q[i]);
  return NULL;
}

static void threads_come_and_go(void) {
  for (int round = 0; round < 30; round++) {
    mi_heap_t* heap = mi_heap_new();
    pthread_t t[8];
    for (int i = 0; i < 8; i++) CHECK_EQ(pthread_create(&t[i], NULL, &allocator, heap), 0);
    allocator(heap);
    for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
    mi_heap_destroy(heap);
    mi_collect(true);
    test_nothing_left();
  }
}

static void odd_arguments(void) {
  mi_heap_delete(NULL);
  mi_heap_destroy(NULL);
  mi_heap_delete(&mi_main_heap);                 /* the main heap stays */
  mi_heap_destroy(&mi_main_heap);
  void* q = mi_heap_malloc(&mi_main_heap, 10);
  CHECK(q != NULL);
  mi_free(q);
}

TEST_MAIN("heap", TEST(destroy), TEST(delete_keeps_blocks), TEST(deleted_pages_are_adopted),
          TEST(heaps_do_not_mix), TEST(owners_end_first), TEST(in_an_arena), TEST(delete_while_others_free),
          TEST(threads_come_and_go), TEST(odd_arguments))
