/* thread_names.c: threads that sleep, what everybody is asked to do, and pages that nobody holds. The names
   alone are test/c/api's. */
#include <pthread.h>

#include "core/visit.h"
#include "test.h"
#include "thread.h"

enum { N = 4000, THREADS = 4 };
static void* block[THREADS][N];
static pthread_barrier_t barrier;
static size_t size_of(int i) { return 16 + (size_t)i % 60 * 50; }

static size_t held(const mi_owner_t* owner) { return mi_load_relaxed(&owner->main.xcounts.pages); }
static mi_owner_t* owner_of_thread[THREADS];

static void* sleeper(void* arg) {
  const int me = (int)(uintptr_t)arg;
  for (int i = 0; i < N; i++) CHECK((block[me][i] = mi_malloc(size_of(i))) != NULL);
  mi_heap_t* heap = mi_heap_new();
  void* p = mi_heap_malloc(heap, 100);
  owner_of_thread[me] = mi_local()->lheap->owner;
  mi_thread_idle();
  mi_thread_idle();
  pthread_barrier_wait(&barrier);        /* asleep; others free all that it has */
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < N; i++) {
    void* q = mi_malloc(size_of(i));
    CHECK(q != NULL);
    mi_free(q);
  }
  mi_free(p);
  mi_heap_destroy(heap);
  return NULL;
}

/* While threads sleep somebody else frees what they had: all of it comes back, at once, by one call. */
static void nothing_is_held_for_who_sleeps(void) {
  pthread_t t[THREADS];
  CHECK_EQ(pthread_barrier_init(&barrier, NULL, THREADS + 1), 0);
  for (uintptr_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, &sleeper, (void*)i), 0);
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < THREADS; i++) CHECK(owner_of_thread[i] != NULL && held(owner_of_thread[i]) == 0);
  CHECK_EQ(mi_check_all(), 0);
  const size_t before = mi_memory_committed();
  for (int i = 0; i < THREADS; i++) for (int k = 0; k < N; k++) mi_free(block[i][k]);
  mi_collect_all();
  CHECK_AT(mi_memory_committed() <= 2 * THREADS * MI_SLICE_SIZE && before >= 10 * MI_MiB, "%zu of %zu",
           mi_memory_committed(), before);
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  mi_collect_all();
  test_nothing_left();
}

/* Who is awake does it for itself, in its next slow path, in each heap. */
static void who_is_awake_is_asked(void) {
  owners_begin();
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  mi_lheap_t* other = mi_heap_lheap(heap, owners[1]);
  for (int i = 0; i < N; i++) {
    CHECK((block[0][i] = o_malloc(0, size_of(i))) != NULL);
    CHECK((block[1][i] = mi_alloc_malloc(other, size_of(i))) != NULL);
  }
  for (int i = 0; i < N; i++) {
    o_free(2, block[0][i]);
    o_free(2, block[1][i]);
  }
  const size_t before = held(owners[0]), others = mi_load_relaxed(&other->xcounts.pages);
  CHECK(before > 20 && others > 20);
  mi_collect_all();
  CHECK(held(owners[0]) == before);      /* nobody else may */
  o_free(0, o_malloc(0, 60000));         /* the first of its size: a slow path */
  CHECK_AT(held(owners[0]) <= 2, "%zu", held(owners[0]));
  CHECK(mi_load_relaxed(&other->xcounts.pages) == others);
  mi_free(mi_alloc_malloc(other, 60000));
  CHECK(mi_load_relaxed(&other->xcounts.pages) <= 2);
  CHECK_EQ(mi_check_all(), 0);
  mi_heap_end(heap, false);
  owners_end();
  mi_collect_all();
  test_nothing_left();
}

/* ---- pages that nobody holds ---- */

static bool count_blocks(const mi_heap_t* heap, const mi_heap_area_t* area, void* p, size_t size, void* arg) {
  (void)heap; (void)area; (void)size;
  *(size_t*)arg += p != NULL;
  return true;
}
static void* leaves_blocks(void* arg) {
  for (int i = 0; i < 100; i++) CHECK((block[0][i] = mi_malloc(100)) != NULL);
  return arg;
}
static void what_ended_threads_left_is_visited(void) {
  pthread_t t;
  size_t n = 0;
  void* mine = mi_malloc(100);
  CHECK_EQ(pthread_create(&t, NULL, &leaves_blocks, NULL), 0);
  pthread_join(t, NULL);
  CHECK(mi_abandoned_visit_blocks(mi_subproc_main(), -1, true, &count_blocks, &n) && n == 100);
  n = 0;
  CHECK(mi_abandoned_visit_blocks(NULL, 0, true, &count_blocks, &n) && n == 100);
  n = 0;
  CHECK(mi_abandoned_visit_blocks(NULL, 5, true, &count_blocks, &n) && n == 0
        && !mi_abandoned_visit_blocks(NULL, 0, true, NULL, NULL));
  mi_free(mine);
}

static void utilization(void) {
  static void* p[3000];
  const size_t size = 1024;
  for (int i = 0; i < 3000; i++) CHECK((p[i] = mi_malloc(size)) != NULL);
  for (int i = 0; i < 3000; i++) if (i % 10 != 0) mi_free(p[i]);
  size_t under = 0, not_under = 0, elsewhere = 0;
  for (int i = 0; i < 3000; i += 10) {
    under += mi_unsafe_heap_page_is_under_utilized(NULL, p[i], 50);
    not_under += !mi_unsafe_heap_page_is_under_utilized(mi_heap_main(), p[i], 5);
    mi_heap_t* heap = mi_heap_new();
    elsewhere += mi_unsafe_heap_page_is_under_utilized(heap, p[i], 50);
    mi_heap_destroy(heap);
  }
  CHECK_AT(MI_HARD || under > 200, "%zu", under);
  CHECK(not_under == 300 && elsewhere == 0);
}

/* ---- an option that is looked at when an arena is made ---- */

static bool arena_has_flag(const char* flag) {
  char line[512];
  bool in = false, has = false;
  FILE* f = fopen("/proc/self/smaps", "r");
  CHECK(f != NULL);
  while (fgets(line, sizeof line, f) != NULL) {
    size_t from, to;
    if (sscanf(line, "%zx-%zx ", &from, &to) == 2)
      in = from <= (uintptr_t)mi_arena_at(0)->start && (uintptr_t)mi_arena_at(0)->start < to;
    if (in && strncmp(line, "VmFlags:", 8) == 0) has = strstr(line, flag) != NULL;
  }
  fclose(f);
  return has;
}
static void no_huge_pages(void) {
  mi_option_disable(mi_option_allow_thp);
  mi_option_enable(mi_option_allow_large_os_pages);      /* less than the other says */
  mi_free(mi_malloc(100));
  CHECK(arena_has_flag(" nh") && !arena_has_flag(" hg"));
}
static void huge_pages_as_the_system_likes(void) {
  mi_free(mi_malloc(100));
  CHECK(mi_option_is_enabled(mi_option_allow_thp) && !arena_has_flag(" nh") && !arena_has_flag(" hg"));
}

TEST_MAIN("thread_names", TEST(nothing_is_held_for_who_sleeps), TEST(who_is_awake_is_asked),
          TEST(what_ended_threads_left_is_visited), TEST(utilization), TEST(no_huge_pages),
          TEST(huge_pages_as_the_system_likes))
