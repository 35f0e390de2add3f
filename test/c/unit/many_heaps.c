/* Many heaps: what one costs, that it leaves nothing, and that nothing becomes dear because there are many.
   Linked so that what statistics call of the core comes here (tests.mk). */
#include <pthread.h>

#include "core/meta.h"
#include "core/stats.h"
#include "include/mimalloc-stats.h"
#include "test.h"

enum {
  MANY = TEST_SANITIZED || MI_HARD ? 10000 : 100000,
  ONE_BY_ONE = TEST_SANITIZED || MI_HARD ? 50000 : 1000000
};
static mi_heap_t* heaps[MANY];

static void make(size_t n, bool blocks) {
  for (size_t i = 0; i < n; i++) {
    CHECK((heaps[i] = mi_heap_new()) != NULL);
    if (blocks) CHECK(mi_heap_malloc(heaps[i], 48) != NULL);
  }
}

static void shuffle(size_t n, uint64_t seed) {
  for (size_t i = n - 1; i > 0; i--) {
    const size_t k = test_random(&seed) % (i + 1);
    mi_heap_t* h = heaps[k];
    heaps[k] = heaps[i];
    heaps[i] = h;
  }
}

/* What a heap costs that one owner uses, beside its first page: structures. */
static void cost(void) {
  mi_free(mi_malloc(10));
  const size_t before = mi_meta_committed(), rss = test_rss();
  make(MANY / 2, false);
  const size_t empty = mi_meta_committed() - before, empty_resident = test_rss() - rss;
  CHECK_AT(empty <= MANY / 2 * (size_t)512, "%zu each", empty / (MANY / 2));
  for (size_t i = 0; i < MANY / 2; i++) CHECK(mi_heap_malloc(heaps[i], 48) != NULL);
  const size_t used = mi_meta_committed() - before, resident = test_rss() - rss;
  CHECK_AT(used <= MANY / 2 * (size_t)3328, "%zu each", used / (MANY / 2));
  CHECK_AT(TEST_SANITIZED || empty_resident <= MANY / 2 * (size_t)512 + MI_MiB, "%zu each",
           empty_resident / (MANY / 2));
  CHECK_AT(TEST_SANITIZED || resident <= MANY / 2 * (size_t)(4096 + 4096), "%zu each", resident / (MANY / 2));
  printf("# a heap: %zu bytes of structures, %zu resident; with its first block: %zu, %zu\n",
         empty / (MANY / 2), empty_resident / (MANY / 2), used / (MANY / 2), resident / (MANY / 2));
  mi_stats_t s;
  mi_stats_get(sizeof s, &s);
  CHECK(s.structures.current == (int64_t)mi_meta_committed()
        && s.committed.current == (int64_t)(mi_commit_totals.xcommitted + mi_meta_committed()));
}

static void waves(bool blocks) {
  size_t rss = 0;
  mi_free(mi_malloc(10));
  for (int wave = 0; wave < 3; wave++) {
    const size_t before = test_rss();
    make(MANY, blocks);
    const size_t peak = test_rss() - before;
    shuffle(MANY, (uint64_t)wave + 1);
    for (size_t i = 0; i < MANY; i++) (i % 2 ? mi_heap_destroy : mi_heap_delete)(heaps[i]);
    if (blocks) {
      CHECK_EQ(mi_stats_use(0).blocks, (uint64_t)(MANY / 2) * (unsigned)(wave + 1));
      continue;
    }
    mi_collect(true);
    CHECK_AT(mi_meta_committed() <= 2 * MI_MiB, "%zu", mi_meta_committed());
    CHECK_AT(TEST_SANITIZED || test_rss() <= before + peak / 10 + MI_MiB, "%zu of %zu", test_rss() - before,
             peak);
    if (wave == 1) rss = test_rss();
  }
  if (!blocks) CHECK_AT(TEST_SANITIZED || test_rss() <= rss + MI_MiB, "%zu more", test_rss() - rss);
}
static void empty_ones_leave_nothing(void) { waves(false); }
static void deleted_ones_leave_their_blocks(void) { waves(true); }

/* With a block in each, all destroyed: what stays are the page structures of the arenas,
   192 bytes a slice. */
static void destroyed_ones_leave_nothing(void) {
  size_t rss = 0;
  mi_free(mi_malloc(10));
  for (int wave = 0; wave < 3; wave++) {
    const size_t before = test_rss();
    make(MANY, true);
    const size_t peak = test_rss() - before;
    shuffle(MANY, (uint64_t)wave + 1);
    for (size_t i = 0; i < MANY; i++) mi_heap_destroy(heaps[i]);
    mi_collect(true);
    CHECK_EQ(mi_check_all(), 0);
    test_nothing_left();
    CHECK_AT(mi_meta_committed() <= 3 * MI_MiB, "%zu", mi_meta_committed());
    CHECK_AT(TEST_SANITIZED || MI_HARD || test_rss() <= before + peak / 20 + MI_MiB, "%zu of %zu",
             test_rss() - before, peak);
    if (wave == 0) rss = test_rss();
  }
  CHECK_AT(TEST_SANITIZED || test_rss() <= rss + MI_MiB, "%zu more", test_rss() - rss);
}

static void one_by_one(void) {
  mi_heap_destroy(mi_heap_new());
  const size_t rss = test_rss(), structures = mi_meta_committed();
  for (size_t i = 0; i < ONE_BY_ONE; i++) {
    mi_heap_t* heap = mi_heap_new();
    CHECK(heap != NULL);
    if (i % 10 == 0) CHECK(mi_heap_malloc(heap, i % 100) != NULL);
    mi_heap_destroy(heap);
  }
  mi_collect(true);
  CHECK_AT(mi_meta_committed() <= structures + 16384, "%zu more", mi_meta_committed() - structures);
  CHECK_AT(TEST_SANITIZED || test_rss() <= rss + MI_MiB, "%zu more", test_rss() - rss);
}

/* One thread's heaps, ended by another, whose next ones take their place: nothing is kept for the first. */
static void* ends_them(void* arg) {
  const size_t structures = mi_meta_committed();
  for (size_t i = 0; i < 2000; i++) mi_heap_destroy(heaps[i]);
  CHECK(mi_meta_committed() <= structures / 4);
  make(2000, true);
  CHECK_AT(mi_meta_committed() <= structures + 64 * MI_KiB, "%zu more", mi_meta_committed() - structures);
  for (size_t i = 0; i < 2000; i++) mi_heap_destroy(heaps[i]);
  return arg;
}
static void anybodys_again(void) {
  pthread_t t;
  make(2000, true);
  const size_t structures = mi_meta_committed();
  CHECK_EQ(pthread_create(&t, NULL, &ends_them, NULL), 0);
  pthread_join(t, NULL);
  CHECK(mi_meta_committed() <= structures / 2 && mi_meta_peak_committed() <= structures + 64 * MI_KiB);
  mi_thread_done();
  test_nothing_left();
}

/* A heap that is a thread's default is ended by another: the structure that the thread points to is not
   that one's next. */
static pthread_barrier_t barrier;
static void* has_default(void* arg) {
  mi_heap_t* main = mi_heap_get_default();
  CHECK(mi_heap_set_default(heaps[0]) == main);
  CHECK(mi_heap_of(mi_malloc(48)) == heaps[0]);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 100; i++) {
    void* p = mi_malloc(48);
    CHECK(mi_heap_of(p) == main);
    mi_free(p);
  }
  pthread_barrier_wait(&barrier);
  return arg;
}
static void default_is_kept(void) {
  pthread_t t;
  CHECK_EQ(pthread_barrier_init(&barrier, NULL, 2), 0);
  heaps[0] = mi_heap_new();
  CHECK_EQ(pthread_create(&t, NULL, &has_default, NULL), 0);
  pthread_barrier_wait(&barrier);
  mi_heap_destroy(heaps[0]);
  make(200, true);                       /* of which one would have it */
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  for (size_t i = 0; i < 200; i++) {
    CHECK(mi_heap_of(mi_heap_malloc(heaps[i], 48)) == heaps[i]);
    mi_heap_destroy(heaps[i]);
  }
  pthread_join(t, NULL);
  mi_thread_done();
  test_nothing_left();
}

/* What a heap's end takes with it is not mistaken for rest. */
static void activity_goes_on(void) {
  owners_begin();
  CHECK(o_malloc(0, 100) != NULL);
  uint64_t last = mi_heap_activity(owners[0]);
  for (int i = 0; i < 20; i++) {
    mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
    for (int k = 0; k < 50; k++) CHECK(mi_alloc_malloc(mi_heap_lheap(heap, owners[0]), 5000) != NULL);
    const uint64_t now = mi_heap_activity(owners[0]);
    CHECK(now > last);
    mi_heap_end(heap, false);
    last = mi_heap_activity(owners[0]);
    CHECK(last >= now);
  }
  owners_end();
}

/* ---- statistics ---- */

static void each_is_in_the_statistics(void) {
  enum { N = 3000 };
  make(N, true);
  for (size_t i = 0; i < N; i++) CHECK(mi_heap_malloc(heaps[i], i % 5 * 1000) != NULL);
  mi_snapshot_t s;
  CHECK(mi_snapshot_take(&s) && s.heaps.n == N);
  for (size_t i = 0; i < N; i++) {
    CHECK_AT(i == 0 || s.heaps.parts[i - 1].key < s.heaps.parts[i].key, "i = %zu", i);
    CHECK(s.heaps.parts[i].blocks == 2 && s.heaps.parts[i].pages == 2);
  }
  CHECK_EQ(s.classes.n, 6);              /* 0, 48, 1000, 2000, 3000, 4000 */
  mi_snapshot_drop(&s);
}

/* Whoever asks for one heap after the other looks at each page once, and needs no more memory where there are
   many heaps. */
static void of_each_heap(void) {
  enum { N = 1000 };
  size_t read = 0, memory = 0;
  void* other = mi_malloc(100);
  make(N, true);
  void* own = mi_heap_malloc(heaps[7], MI_ARENA_SIZE);           /* a mapping of its own */
  for (size_t i = 0; i < N; i++) {
    mi_snapshot_t s;
    CHECK(own != NULL && mi_snapshot_take_heap(&s, heaps[i]));
    CHECK_EQ(s.totals.used_blocks, i == 7 ? 2 : 1);
    CHECK(s.classes.n == s.totals.pages && s.owners.n == 1 && s.heaps.n == 1
          && s.heaps.parts[0].blocks == s.totals.used_blocks && s.totals.used_bytes >= 48);
    CHECK(i != 7 || s.totals.used_bytes >= MI_ARENA_SIZE + 48);
    memory = i == 0 ? s.memory_bytes : memory;
    CHECK_EQ(s.memory_bytes, memory);
    CHECK(memory <= 16 * mi_os_page_size());
    read += s.pages_read;
    mi_snapshot_drop(&s);
  }
  CHECK_EQ(read, N + 1);
  mi_free(other);
}

/* While others allocate and free in the heap: its pages come and go, and what is told is near what lives. */
enum { OTHERS = 3, BLOCKS = 200 };
static void* in_one_heap(void* seed) {
  uint64_t r = (uint64_t)(uintptr_t)seed;
  void* p[BLOCKS] = { NULL };
  while (!mi_load_relaxed(&test_stop)) {                         /* asks only that it ends */
    const size_t k = test_random(&r) % BLOCKS;
    mi_free(p[k]);
    p[k] = mi_heap_malloc(heaps[0], test_random(&r) % (k == 0 ? 300000 : 9000));
  }
  for (int i = 0; i < BLOCKS; i++) mi_free(p[i]);
  return NULL;
}
static void of_a_heap_meanwhile(void) {
  pthread_t t[OTHERS];
  make(1, false);
  for (uintptr_t i = 0; i < OTHERS; i++)
    CHECK_EQ(pthread_create(&t[i], NULL, &in_one_heap, (void*)(i + 1)), 0);
  for (int i = 0; i < 5000; i++) {
    mi_snapshot_t s;
    CHECK(mi_snapshot_take_heap(&s, heaps[0]));
    CHECK_AT(s.totals.used_blocks <= OTHERS * BLOCKS * 2 && s.heaps.n <= 1, "%zu blocks",
             (size_t)s.totals.used_blocks);
    mi_snapshot_drop(&s);
  }
  mi_store_relaxed(&test_stop, true);
  for (int i = 0; i < OTHERS; i++) pthread_join(t[i], NULL);
  mi_snapshot_t s;
  CHECK(mi_snapshot_take_heap(&s, heaps[0]) && s.totals.used_blocks == 0);
  mi_snapshot_drop(&s);
  mi_heap_destroy(heaps[0]);
}

/* Keys of any kind, in order: what is equal in a byte, what is not, the first and the last there can be. */
static void owners_in_order(void) {
  enum { N = 300 };
  static mi_owner_t* o[N];
  uint64_t seed = 3;
  for (size_t i = 0; i < N; i++) {
    const size_t byte = i / 15;  /* fifteen ids that differ in one byte, the largest first; then any */
    const uintptr_t id =
        byte < 8 ? (uintptr_t)(15 - i % 15) << (byte * 8 + 4)
                 : (uintptr_t)(test_random(&seed) >> (test_random(&seed) % 40) | 0x10001) & ~(uintptr_t)15;
    CHECK((o[i] = mi_owner_begin(MI_OWNER_THREAD, id)) != NULL);
    CHECK(mi_alloc_malloc(&o[i]->main, 100) != NULL);
  }
  mi_snapshot_t s;
  CHECK(mi_snapshot_take(&s) && s.owners.n > N / 2);
  for (size_t i = 1; i < s.owners.n; i++)
    CHECK_AT(s.owners.parts[i - 1].key < s.owners.parts[i].key, "i = %zu", i);
  mi_snapshot_drop(&s);
}

/* What statistics look at: pages, and parts of a snapshot. */
static mi_atomic(size_t) xlooks;
size_t __real_mi_bitmap_next(const mi_bits_t* map, size_t nbits, size_t from);
size_t __wrap_mi_bitmap_next(const mi_bits_t* map, size_t nbits, size_t from);
size_t __wrap_mi_bitmap_next(const mi_bits_t* map, size_t nbits, size_t from) {
  mi_add_relaxed(&xlooks, 1);                                             /* a count */
  return __real_mi_bitmap_next(map, nbits, from);
}
bool __real_mi_snapshot_take(mi_snapshot_t* s);
bool __wrap_mi_snapshot_take(mi_snapshot_t* s);
bool __wrap_mi_snapshot_take(mi_snapshot_t* s) {
  const bool ok = __real_mi_snapshot_take(s);
  mi_add_relaxed(&xlooks, s->classes.looks + s->owners.looks + s->heaps.looks);   /* a count */
  return ok;
}

static void words_of_it(void) { CHECK(mi_stats_words(NULL, 0) > 0); }
static void json_of_it(void) {
  char* text = mi_stats_get_json(0, NULL);
  CHECK(text != NULL);
  mi_free(text);
}
static void structure_of_it(void) {
  mi_stats_t s;
  mi_stats_get(sizeof s, &s);
  CHECK(s.version == MI_STAT_VERSION);
}
static void (*const ways[])(void) = { &words_of_it, &json_of_it, &structure_of_it };

static size_t looks_of(void (*way)(void)) {
  const size_t before = mi_load_relaxed(&xlooks);                         /* a count */
  way();
  return mi_load_relaxed(&xlooks) - before;
}

/* Eight times as many heaps take no more than twelve times as many looks: a heap's number has a byte more to
   be sorted by. Were it quadratic, 64 times. */
static void statistics_are_linear(void) {
  enum { FEW = MANY / 10, N = 8 * FEW };
  size_t few[3];
  make(FEW, true);
  for (int i = 0; i < 3; i++) {
    few[i] = looks_of(ways[i]);
    CHECK_AT(few[i] >= 2 * FEW, "%zu", few[i]);
  }
  make(N - FEW, true);
  for (int i = 0; i < 3; i++) {
    const size_t many = looks_of(ways[i]);
    CHECK_AT(many <= 12 * few[i], "%zu and %zu looks", few[i], many);
  }
}

TEST_MAIN("many_heaps", TEST(cost), TEST(empty_ones_leave_nothing), TEST(deleted_ones_leave_their_blocks),
          TEST(destroyed_ones_leave_nothing), TEST(one_by_one), TEST(anybodys_again), TEST(default_is_kept),
          TEST(activity_goes_on), TEST(each_is_in_the_statistics), TEST(of_each_heap),
          TEST(of_a_heap_meanwhile), TEST(owners_in_order), TEST(statistics_are_linear))
