/* visit.h: every live block of a heap once, and no other. */
#include <pthread.h>

#include "core/pool_round.h"
#include "core/purger.h"
#include "core/visit.h"
#include "test.h"

enum { N = 2000 };
static uint8_t* p[N];
static size_t seen[N], nareas, nblocks, used, stop_at;

static bool visitor(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size, void* arg) {
  CHECK(heap == arg && area->block_size > 0 && area->committed <= area->reserved);
  CHECK_EQ(size, area->block_size);      /* of the area itself, too */
  if (block == NULL) { nareas++; used += area->used; return nareas != stop_at; }
  nblocks++;
  CHECK((uint8_t*)block >= (uint8_t*)area->blocks);
  for (int i = 0; i < N; i++) if (p[i] == block) seen[i]++;
  mi_free(mi_malloc(10));                /* allocating elsewhere is allowed */
  return true;
}

static void heap_of_many(void) {
  owners_begin();
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  for (size_t i = 0; i < N; i++)
    CHECK((p[i] = mi_alloc_malloc(mi_heap_lheap(heap, owners[i % NOWNERS]), i % 100 == 0 ? 70000 + i : i))
          != NULL);
  for (int i = 0; i < N; i += 3) { o_free(i % 5, p[i]); p[i] = NULL; }
  size_t live = 0;
  for (int i = 0; i < N; i++) live += p[i] != NULL;
  for (int round = 0; round < 2; round++) {
    nareas = nblocks = used = 0;
    CHECK(mi_visit_heap(heap, NULL, round == 0, &visitor, heap));
    CHECK(nareas > 8 && used == live);
    CHECK_EQ(nblocks, round == 0 ? live : 0);
    CHECK_EQ(mi_check_all(), 0);
  }
  for (int i = 0; i < N; i++) CHECK_EQ(seen[i], p[i] != NULL);
  nareas = 0;
  stop_at = 3;
  CHECK(!mi_visit_heap(heap, NULL, true, &visitor, heap));
  CHECK_EQ(nareas, 3);
  CHECK_EQ(mi_check_all(), 0);
  mi_os_fail_in(1, 1);
  CHECK(!mi_visit_heap(heap, NULL, true, &visitor, heap));
  mi_os_fail_in(0, 0);
  for (int i = 0; i < N; i++) o_free(i % 7, p[i]);
  mi_heap_end(heap, false);
  owners_end();
  mi_thread_done();
  test_nothing_left();
}

/* Blocks with mappings of their own are visited in the main heap, too, but not those of another heap; and
   stay as they were. */
static void main_heap_mappings(void) {
  const size_t size = MI_ARENA_SIZE / 2 + MI_MiB;
  for (int i = 0; i < 3; i++) CHECK((p[i] = mi_malloc(size)) != NULL);
  CHECK((p[3] = mi_malloc_aligned_at(size, 4096, 8)) != NULL);
  uint8_t* offset = p[3];
  p[3] = mi_memory_page_of(offset)->start;
  mi_heap_t* heap = mi_heap_new();
  p[4] = mi_heap_malloc(heap, size);
  for (size_t round = 1; round <= 2; round++) {
    CHECK(mi_heap_visit_blocks(&mi_main_heap, true, &visitor, &mi_main_heap));
    for (int i = 0; i < 4; i++) CHECK_EQ(seen[i], round);
    CHECK_EQ(seen[4], 0);
  }
  CHECK(mi_heap_visit_blocks(heap, true, &visitor, heap) && seen[4] == 1);
  for (int i = 0; i < 3; i++) mi_free(p[i]);
  mi_free(offset);
  mi_heap_destroy(heap);
  mi_thread_done();
  test_nothing_left();
}

static void main_heap(void) {
  for (size_t i = 0; i < N; i++) p[i] = mi_malloc(i);
  for (int i = 0; i < N; i += 2) { mi_free(p[i]); p[i] = NULL; }
  CHECK(mi_heap_visit_blocks(&mi_main_heap, true, &visitor, &mi_main_heap));
  for (int i = 0; i < N; i++) CHECK_EQ(seen[i], p[i] != NULL);
  CHECK(!mi_heap_visit_blocks(NULL, true, &visitor, &mi_main_heap)
        && !mi_heap_visit_blocks(&mi_main_heap, true, NULL, NULL));
  for (int i = 0; i < N; i++) mi_free(p[i]);
  mi_thread_done();
  test_nothing_left();
}

/* The thread that purges takes pages for a moment: no block is missed for that. */
static mi_heap_t* purged;
static void* block[200];
static mi_atomic(bool) visited;
static bool count_blocks(const mi_heap_t* heap, const mi_heap_area_t* area, void* b, size_t size,
                         void* count) {
  (void)heap; (void)area; (void)size;
  *(size_t*)count += b != NULL;
  return true;
}
static void* fill_and_end(void* arg) {
  for (int i = 0; i < 200; i++) CHECK((block[i] = mi_heap_malloc(purged, 20000)) != NULL);
  return arg;
}
static void* purge_as_it_does(void* arg) {
  while (!mi_load_relaxed(&visited)) mi_purger_run_pages();
  return arg;
}
static void while_pages_are_purged(void) {
  pthread_t t;
  purged = mi_heap_new();
  CHECK_EQ(pthread_create(&t, NULL, &fill_and_end, NULL), 0);
  pthread_join(t, NULL);
  for (int i = 0; i < 200; i += 10) mi_free(block[i]);
  CHECK_EQ(pthread_create(&t, NULL, &purge_as_it_does, NULL), 0);
  for (int round = 0; round < 2000; round++) {
    size_t n = 0;
    CHECK(mi_heap_visit_blocks(purged, true, &count_blocks, &n));
    CHECK_EQ(n, 180);
  }
  mi_store_relaxed(&visited, true);
  pthread_join(t, NULL);
  mi_heap_destroy(purged);
  mi_thread_done();
  test_nothing_left();
}

/* A page that is parked, in which another freed some; one that is retired; and one that a visitor's free
   parks in the middle of a visit. */
static void* freed_by_visitor;
static bool freeing_visitor(const mi_heap_t* heap, const mi_heap_area_t* area, void* b, size_t size,
                            void* arg) {
  (void)size, (void)arg, (void)heap;
  if (b == NULL) { used += area->used; return true; }
  nblocks++;
  if (freed_by_visitor != NULL) o_free(0, freed_by_visitor), freed_by_visitor = NULL;
  return true;
}

static void parked_pages(void) {
  if (test_skips(MI_HARD, "no more than two pages are parked")) return;
  for (int frees = 0; frees < 2; frees++) {
    owners_begin();
    /* three pages: one FULL, one parked, one exhausted */
    for (int i = 0; i < 24; i++) CHECK((p[i] = o_malloc(0, 8192)) != NULL);
    o_free(0, o_malloc(0, 100));
    mi_lheap_t* lh = &owners[0]->main;
    CHECK(lh->nparked[mi_bin_of(8192)] == 1 && lh->queue[mi_bin_of(100)].first->xwhere == MI_WHERE_RETIRED);
    if (frees == 0) for (int i = 8; i < 11; i++) o_free(1, p[i]);
    /* the page is taken; it is the last to be looked at again */
    freed_by_visitor = frees == 0 ? NULL : p[0];
    used = nblocks = 0;
    CHECK(mi_visit_heap(&mi_main_heap, owners[0], true, &freeing_visitor, NULL));
    if (frees == 0) CHECK(used == 21 && nblocks == 21);
    CHECK_EQ(mi_check_all(), 0);
    if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), frees == 0 ? 21 : 23);
    for (int i = frees; i < 24; i++) if (frees == 1 || i < 8 || i >= 11) o_free(0, p[i]);
    owners_end();
    test_nothing_left();
  }
}

TEST_MAIN("visit", TEST(heap_of_many), TEST(main_heap), TEST(main_heap_mappings), TEST(parked_pages),
          TEST(while_pages_are_purged))
