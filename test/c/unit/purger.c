/* purger.h, pooled.h: memory that comes back when nobody calls anything; and the limit of what is committed. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/pooled.h"
#include "core/purger.h"
#include "test.h"

enum { BLOCKS = 64 };
static void* block[4096];

static void* made(void* p) { CHECK(p != NULL); return p; }
static void use(size_t n, size_t size) {
  for (size_t i = 0; i < n; i++) test_fill(made(block[i] = mi_malloc(size)), size, i);
}
static void drop(size_t n) { for (size_t i = 0; i < n; i++) mi_free(block[i]); }

/* `ms`: where the machine is quiet. */
static bool within(unsigned ms, bool (*happens)(void)) {
  for (unsigned t = 0; t < 24 * ms; t += 5) {
    if (happens()) return true;
    usleep(5000);
  }
  return happens();
}

static bool little_is_committed(void) { return mi_load_relaxed(&mi_arena_totals.xcommitted) <= 4 * MI_MiB; }
#ifdef __SANITIZE_THREAD__               /* whose shadow is resident too, and which allows no thread in the child of a fork */
static bool little_is_resident(void) { return true; }
#define FORK_TEST
#else
static bool little_is_resident(void) { return test_rss() < 24 * MI_MiB; }
#define FORK_TEST , TEST(in_the_child_of_fork)
#endif

static void with_thread(long delay) {
  mi_option_set(mi_option_purge_thread, 1);
  mi_option_set(mi_option_purge_delay, delay);
}

static void purges_when_all_are_idle(void) {
  with_thread(30);
  use(BLOCKS, MI_MiB);
  CHECK(mi_purger_started && test_rss() > BLOCKS * MI_MiB);
  drop(BLOCKS);
  CHECK(within(5000, &little_is_committed) && within(1000, &little_is_resident));
  use(BLOCKS, MI_MiB);                           /* and again, from its sleep */
  drop(BLOCKS);
  CHECK(within(5000, &little_is_committed));
  CHECK_EQ(mi_check_all(), 0);
}

static void not_without_it(void) {
  mi_option_set(mi_option_purge_delay, 10);
  use(BLOCKS, MI_MiB);
  drop(BLOCKS);
  usleep(200000);
  CHECK(mi_arena_totals.xcommitted > (BLOCKS - 5) * MI_MiB);
  mi_collect(true);
  CHECK(little_is_committed());
}

__attribute__((unused)) static void in_the_child_of_fork(void) {
  with_thread(30);
  use(BLOCKS, MI_MiB);
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    CHECK(!mi_purger_started);
    for (int i = 0; i < BLOCKS; i++) CHECK(test_filled(block[i], MI_MiB, (uint64_t)i));
    drop(BLOCKS / 2);
    mi_free(mi_malloc(300000));                  /* there is one as soon as somebody allocates */
    drop(0);
    for (int i = BLOCKS / 2; i < BLOCKS; i++) mi_free(block[i]);
    mi_free(mi_malloc(700000));
    if (mi_purger_started) CHECK(within(5000, &little_is_committed));
    _exit(0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  drop(BLOCKS);
  CHECK(within(5000, &little_is_committed));
}

/* Of 48 MiB in blocks of 40 KiB one in eight stays: each page is in use, and most of it comes back. */
static void inside_of_free_blocks(void) {
  enum { N = 1200, SIZE = 40000 };
  with_thread(20);
  use(N, SIZE);
  CHECK(test_rss() > 45 * MI_MiB);
  for (size_t i = 0; i < N; i++) if (i % 8 != 0) mi_free(block[i]);
  CHECK(within(5000, &little_is_resident));
  for (size_t i = 0; i < N; i += 8) CHECK(test_filled(block[i], SIZE, i));
  mi_purger_stop();
  if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), N / 8);
  mi_purger_go_on();
  CHECK_EQ(mi_check_all(), 0);
  test_expect_errors();
  mi_free(block[1]);                             /* still known to be free */
  CHECK(test_one_error(EAGAIN));
  for (size_t i = 0; i < N; i++) if (i % 8 != 0) test_fill(made(block[i] = mi_malloc(SIZE)), SIZE, i);
  for (size_t i = 0; i < N; i++) CHECK(test_filled(block[i], SIZE, i));
  drop(N);
  mi_collect(true);
  CHECK(little_is_committed());
}

/* The same with blocks of 3000 bytes: nothing is taken of that size any more, while the thread goes on with another. */
static void inside_of_pages(void) {
  enum { N = 4000, SIZE = 3000 };
  with_thread(20);
  use(N, SIZE);
  void* large[BLOCKS];
  for (size_t i = 0; i < BLOCKS; i++) memset(made(large[i] = mi_malloc(MI_MiB)), 1, MI_MiB);  /* so that there is the thread */
  for (size_t i = 0; i < BLOCKS; i++) mi_free(large[i]);
  for (size_t i = 0; i < N; i++) if (i % 16 != 0) mi_free(block[i]);
  for (int t = 0; t < 24000 && mi_arena_committed() > 7 * MI_MiB; t++) {
    for (size_t i = 0; i < BLOCKS; i++) made(large[i] = mi_malloc(60000));
    for (size_t i = 0; i < BLOCKS; i++) mi_free(large[i]);
    usleep(5000);
  }
  CHECK_AT(mi_arena_committed() <= 7 * MI_MiB, "%zu", mi_arena_committed());
  CHECK_AT(TEST_SANITIZED || test_rss() <= 12 * MI_MiB, "%zu", test_rss());
  for (size_t i = 0; i < N; i += 16) CHECK(test_filled(block[i], SIZE, i));
  CHECK_EQ(mi_check_all(), 0);
  for (size_t i = 0; i < N; i += 16) mi_free(block[i]);
}

/* Without the thread mi_collect does it. */
static void hollow_by_collect(void) {
  use(1200, 40000);
  for (size_t i = 0; i < 1200; i++) if (i % 8 != 0) mi_free(block[i]);
  mi_collect(true);
  CHECK(little_is_resident());
  for (size_t i = 0; i < 1200; i += 8) CHECK(test_filled(block[i], 40000, i));
  CHECK_EQ(mi_check_all(), 0);
}

/* ---- while others work ---- */

static mi_atomic(bool) stop;

static void* work(void* seed) {
  enum { N = 200 };
  void* mine[N] = { NULL };
  size_t size[N] = { 0 };
  uint64_t r = (uint64_t)(uintptr_t)seed;
  while (!mi_load_relaxed(&stop)) {
    const size_t i = test_random(&r) % N;
    CHECK(mine[i] == NULL || test_filled(mine[i], mi_min(size[i], 9000), i));
    mi_free(mine[i]);
    size[i] = test_random(&r) % ((size_t)1 << (10 + test_random(&r) % 10));
    mine[i] = mi_malloc(size[i]);
    test_fill(made(mine[i]), mi_min(size[i], 9000), i);
  }
  for (size_t i = 0; i < N; i++) mi_free(mine[i]);
  return NULL;
}

static bool much_is_purged(void) { return mi_load_relaxed(&mi_arena_totals.xpurged) > 100 * MI_MiB; }

static void under_way(void) {
  enum { THREADS = 3 };
  pthread_t t[THREADS];
  with_thread(1);
  use(BLOCKS, MI_MiB);
  drop(BLOCKS);
  for (uintptr_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, &work, (void*)(i + 1)), 0);
  sleep(2);
  CHECK(within(10000, &much_is_purged));
  mi_store_relaxed(&stop, true);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  CHECK_EQ(mi_check_all(), 0);
}

/* Memory that is being purged is not "no memory": all of an arena of a MiB, again and again. But where whoever purges had no
   processor for all of that time, it is: ncollected is the same then. */
static mi_atomic(size_t) ncollected;
static void* collect_for_ever(void* arg) {
  while (!mi_load_relaxed(&stop)) {
    mi_collect(true);
    mi_add_relaxed(&ncollected, 1);
  }
  return arg;
}

static void* malloc_behind(mi_heap_t* heap, int i) {
  for (;;) {
    const size_t before = mi_load_relaxed(&ncollected);
    void* p = mi_heap_malloc(heap, MI_MiB);
    if (p != NULL) return p;
    CHECK_AT(mi_load_relaxed(&ncollected) <= before + 1, "i = %d", i);
  }
}

static void behind_the_purger(void) {
  pthread_t t;
  mi_arena_id_t arena;
  mi_option_set(mi_option_purge_delay, 1);
  mi_option_set(mi_option_show_errors, 0);
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, true, &arena), 0);
  mi_heap_t* heap = mi_heap_new_in_arena(arena);
  CHECK(heap != NULL && pthread_create(&t, NULL, &collect_for_ever, NULL) == 0);
  for (int i = 0; i < 3000; i++) {
    mi_free(malloc_behind(heap, i));
    if (i % 50 == 0) usleep(1000);
  }
  mi_store_relaxed(&stop, true);
  pthread_join(t, NULL);
  mi_heap_destroy(heap);
}

/* ---- the limit ---- */

/* Beyond it allocation fails softly, of every kind; what is freed can be had again. */
static void limit(size_t size) {
  size_t n = 0;
  test_expect_errors();
  mi_option_set(mi_option_commit_limit, 64 * 1024);
  for (void* p; n < 4096 && (p = mi_malloc(size)) != NULL; n++) memset(block[n] = p, 1, size);
  CHECK_AT(errno == ENOMEM && test_last_error == ENOMEM && n * size <= 64 * MI_MiB && n * size >= 40 * MI_MiB, "%zu of %zu", n, size);
  CHECK(mi_arena_totals.xcommitted <= 64 * MI_MiB && mi_arena_totals.xpeak_committed <= 64 * MI_MiB && mi_arena_totals.xreserved <= 2 * mi_max(MI_ARENA_SIZE, 64 * MI_MiB));
  CHECK(mi_realloc(block[0], 64 * MI_MiB) == NULL && mi_calloc(1, 60 * MI_MiB) == NULL && mi_malloc_aligned(32 * MI_MiB, MI_MiB) == NULL);
  for (size_t i = 0; i < n / 2; i++) mi_free(block[i]);
  for (size_t i = 0; i < n / 2; i++) CHECK((block[i] = mi_malloc(size)) != NULL);
  for (size_t i = 0; i < n; i++) mi_free(block[i]);
  void* p = mi_malloc(50 * MI_MiB);              /* of another kind: what is kept and what is dirty are given up for it */
  CHECK(p != NULL);
  mi_option_set(mi_option_commit_limit, 0);
  void* q = mi_malloc(200 * MI_MiB);
  CHECK(q != NULL);
  mi_free(p);
  mi_free(q);
  test_nothing_left();
}
static void limit_of_buffers(void) { limit(MI_MiB); }
static void limit_of_medium(void) { limit(30000); }
static void limit_of_mappings(void) {
  test_expect_errors();
  const size_t size = MI_ARENA_SIZE / 2 + MI_MiB;
  mi_option_set(mi_option_commit_limit, (long)(size / MI_KiB + 2048));
  void* p = mi_malloc(size);
  CHECK(p != NULL && mi_malloc(size) == NULL && mi_realloc(p, 2 * size) == NULL);
  mi_free(p);
  CHECK((p = mi_malloc(size)) != NULL);
  mi_free(p);
  test_nothing_left();
}

TEST_MAIN("purger", TEST(purges_when_all_are_idle), TEST(not_without_it) FORK_TEST, TEST(inside_of_free_blocks), TEST(inside_of_pages),
          TEST(hollow_by_collect), TEST(under_way), TEST(behind_the_purger), TEST(limit_of_buffers), TEST(limit_of_medium), TEST(limit_of_mappings))
