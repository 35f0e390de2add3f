/* The heap functions of mimalloc.h: default heap, questions, arenas of the user. */
#include <pthread.h>

#include "core/heap.h"
#include "test.h"

static void names(void) {
  mi_heap_t* h = mi_heap_new();
  void* p[] = { mi_heap_malloc(h, 100),
                mi_heap_zalloc(h, 100),
                mi_heap_calloc(h, 10, 10),
                mi_heap_mallocn(h, 10, 10),
                mi_heap_strdup(h, "text"),
                mi_heap_strndup(h, "text", 2),
                mi_heap_malloc_aligned(h, 100, 512),
                mi_heap_malloc_aligned_at(h, 100, 512, 8),
                mi_heap_zalloc_aligned(h, 100, 512),
                mi_heap_calloc_aligned_at(h, 10, 10, 512, 8),
                mi_heap_realloc(h, NULL, 100),
                mi_heap_realloc(h, mi_malloc(10), 5000),
                mi_heap_recalloc(h, NULL, 10, 10),
                mi_heap_malloc(h, 200000) };
  for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
    CHECK_AT(p[i] != NULL && mi_heap_of(p[i]) == h && mi_heap_contains_block(h, p[i])
                 && mi_heap_check_owned(h, p[i]),
             "i = %zu", i);
    CHECK(!mi_heap_contains_block(mi_heap_get_backing(), p[i]));
  }
  int local;
  CHECK(mi_heap_of(&local) == NULL && mi_heap_of(NULL) == NULL && !mi_heap_check_owned(h, &local)
        && !mi_heap_contains_block(NULL, p[0]));
  CHECK(mi_heap_check_owned(h, (char*)p[13] + 150000));
  mi_heap_collect(h, true);
  mi_heap_destroy(h);
  mi_thread_done();
  test_nothing_left();
}

static void default_heap(void) {
  mi_heap_t *main = mi_heap_get_default(), *h = mi_heap_new();
  CHECK(main == mi_heap_get_backing());
  CHECK(mi_heap_set_default(h) == main && mi_heap_get_default() == h && mi_heap_get_backing() == main);
  void *p = mi_malloc(100), *q = mi_calloc(1, 5000), *r = mi_malloc_aligned(100, 256), *s = mi_malloc(100000);
  CHECK(mi_heap_of(p) == h && mi_heap_of(q) == h && mi_heap_of(r) == h && mi_heap_of(s) == h);
  mi_free(p);
  CHECK((q = mi_realloc(q, 20000)) != NULL && mi_heap_of(q) == h);
  CHECK_EQ(mi_check_all(), 0);
  mi_heap_delete(h);                     /* the default one: the main heap takes its place */
  CHECK(mi_heap_get_default() == main);
  CHECK(mi_heap_of(q) == main && (p = mi_malloc(10)) != NULL && mi_heap_of(p) == main);
  mi_free(p);
  mi_free(q);
  mi_free(r);
  mi_free(s);
  mi_thread_done();
  test_nothing_left();
}

/* NULL is no heap: nothing happens, and nobody asks for more. */
static void no_heap(void) {
  mi_heap_t* main = mi_heap_get_default();
  CHECK(mi_heap_set_default(NULL) == main && mi_heap_get_default() == main);
  mi_heap_delete(NULL);
  mi_heap_destroy(NULL);
  mi_heap_collect(NULL, true);
  test_expect_errors();
  errno = 0;
  CHECK(mi_heap_malloc(NULL, 10) == NULL && errno == EINVAL);
  CHECK(mi_heap_zalloc(NULL, 10000000) == NULL && mi_heap_malloc_aligned(NULL, 10, 64) == NULL
        && mi_heap_strdup(NULL, "a") == NULL);
  void* p = mi_malloc(10);
  CHECK(mi_heap_realloc(NULL, p, 100000) == NULL && mi_heap_contains_block(main, p));
  mi_free(p);
  CHECK(!mi_heap_check_owned(NULL, main) && !mi_heap_contains_block(NULL, NULL)
        && !mi_heap_contains_block(main, NULL));
  mi_thread_done();
  test_nothing_left();
}

static void no_memory_for_a_heap(void) {
  test_expect_errors();
  mi_os_fail_in(1, SIZE_MAX);
  errno = test_last_error = 0;
  CHECK(mi_heap_new() == NULL && errno == ENOMEM && test_last_error == ENOMEM);
  CHECK(mi_heap_new_ex(1, true, 0) == NULL && mi_heap_get_default() == NULL && mi_heap_get_backing() == NULL);
  mi_os_fail_in(0, 0);
  CHECK(mi_heap_get_backing() != NULL && mi_heap_count() == 1);
}

/* The tag is the user's; a visitor is told it. */
static bool tagged(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size, void* arg) {
  (void)heap; (void)block; (void)size;
  *(int*)arg = area->heap_tag;
  return true;
}
static void tag(void) {
  int seen = 0;
  mi_heap_t* h = mi_heap_new_ex(-77, true, 0);
  CHECK(mi_heap_malloc(h, 10) != NULL && mi_heap_visit_blocks(h, false, &tagged, &seen) && seen == -77);
  mi_heap_destroy(h);
}

/* A thread ends with a default heap of its own choice; another goes on in that heap. */
static mi_heap_t* ours;
static void* block[100];
static void* ends_with_default(void* arg) {
  CHECK(mi_heap_set_default(ours) != NULL);
  for (int i = 0; i < 100; i++) CHECK((block[i] = mi_malloc((size_t)i * 100)) != NULL);
  return arg;
}
static void thread_with_default(void) {
  pthread_t t;
  ours = mi_heap_new();
  for (int round = 0; round < 5; round++) {
    CHECK_EQ(pthread_create(&t, NULL, &ends_with_default, NULL), 0);
    pthread_join(t, NULL);
    for (int i = 0; i < 100; i += 2) mi_free(block[i]);
    CHECK(mi_heap_malloc(ours, 100) != NULL);
  }
  mi_heap_destroy(ours);
  mi_thread_done();
  test_nothing_left();
}

/* A thread whose default heap another ends has its main heap again, not what takes the place of
   the one that ended. */
static pthread_barrier_t default_ends;
static void* default_is_ended(void* makes_heap) {
  mi_heap_t* main = mi_heap_get_backing();
  for (int round = 0; round < 3; round++) {
    pthread_barrier_wait(&default_ends);
    CHECK(mi_heap_set_default(ours) == main);
    void* p = mi_malloc(100);
    pthread_barrier_wait(&default_ends);         /* it ends */
    pthread_barrier_wait(&default_ends);
    mi_heap_t* other = makes_heap == NULL ? NULL : mi_heap_new();
    if (other != NULL) CHECK(mi_heap_of(mi_heap_malloc(other, 100)) == other);
    void *q = mi_malloc(100), *r = mi_zalloc(5000), *s = mi_malloc(100000);
    CHECK(mi_heap_of(q) == main && mi_heap_of(r) == main && mi_heap_of(s) == main
          && mi_heap_get_default() == main);
    mi_heap_destroy(other);
    mi_free(p);
    mi_free(q);
    mi_free(r);
    mi_free(s);
  }
  return NULL;
}
static void default_ended_by_another(void) {
  pthread_t t;
  CHECK_EQ(pthread_barrier_init(&default_ends, NULL, 2), 0);
  for (int with = 0; with < 2; with++) {
    CHECK_EQ(pthread_create(&t, NULL, &default_is_ended, with == 0 ? NULL : &t), 0);
    for (int round = 0; round < 3; round++) {
      ours = mi_heap_new();
      pthread_barrier_wait(&default_ends);
      pthread_barrier_wait(&default_ends);
      mi_heap_delete(ours);
      pthread_barrier_wait(&default_ends);
    }
    pthread_join(t, NULL);
  }
  mi_thread_done();
  test_nothing_left();
}

static void may_not_be_destroyed(void) {
  mi_heap_t* h = mi_heap_new_ex(7, false, 0);
  void* p = mi_heap_malloc(h, 100);
  mi_heap_destroy(h);                    /* is deleted */
  CHECK(mi_heap_of(p) == mi_heap_get_backing());
  mi_free(p);
  test_expect_errors();
  const mi_arena_id_t none[] = { 999, -1, INT_MAX, INT_MIN, (mi_arena_id_t)mi_arena_count() + 1 };
  for (int i = 0; i < 5; i++) {
    errno = test_last_error = 0;
    CHECK(mi_heap_new_in_arena(none[i]) == NULL && errno == EINVAL && test_last_error == EINVAL
          && mi_heap_new_ex(0, true, none[i]) == NULL);
  }
  CHECK_EQ(mi_heap_count(), 1);
}

static void arena_of_the_user(void) {
  static uint8_t memory[4 << 20];
  mi_arena_id_t id = 0;
  CHECK(mi_manage_os_memory_ex(memory, sizeof memory, true, false, true, -1, true, &id) && id != 0);
  mi_heap_t* h = mi_heap_new_in_arena(id);
  CHECK(h != NULL);
  size_t n = 0;
  test_expect_errors();
  for (uint8_t* p; (p = mi_heap_malloc(h, 3000)) != NULL; n++)
    CHECK(p >= memory && p + 3000 <= memory + sizeof memory);
  CHECK(n > 1000 && errno == ENOMEM);
  CHECK(mi_heap_malloc(h, 5 << 20) == NULL);
  mi_heap_destroy(h);
  CHECK(!mi_manage_os_memory(memory, 100, true, false, true, -1));
  mi_thread_done();
  CHECK_EQ(mi_check_live_blocks(), 0);
}

TEST_MAIN("thread_heap", TEST(names), TEST(default_heap), TEST(no_heap), TEST(no_memory_for_a_heap),
          TEST(tag), TEST(thread_with_default), TEST(default_ended_by_another), TEST(may_not_be_destroyed),
          TEST(arena_of_the_user))
