/* The nth call of the system for memory fails, for every n: a workload gets NULL and ENOMEM somewhere, nothing
   is lost or broken, and afterwards everything works. Also: little address space (ulimit -v). */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/heaps.h"
#include "test.h"

static size_t nfailed;

static void* must(void* p) {             /* NULL only with ENOMEM */
  if (p == NULL) {
    CHECK_EQ(errno, ENOMEM);
    nfailed++;
  }
  errno = 0;
  return p;
}

static void use(void* p, size_t size) {
  if (p == NULL) return;
  ((uint8_t*)p)[0] = 1;
  ((uint8_t*)p)[size - 1] = 1;
}

/* One of everything that may ask the system. */
static void workload(void) {
  enum { N = 80 };
  void* p[N] = { NULL };
  errno = 0;
  for (size_t i = 0; i < N; i++) use(p[i] = must(mi_malloc(i * i * i + 1)), i * i * i + 1);
  void* huge = must(mi_malloc(MI_ARENA_SIZE / 2 + MI_MiB));
  use(huge, MI_ARENA_SIZE / 2 + MI_MiB);
  void* larger = huge == NULL ? NULL : must(mi_realloc(huge, MI_ARENA_SIZE));
  if (larger != NULL) { CHECK(((uint8_t*)larger)[0] == 1); huge = larger; }
  void* smaller = huge == NULL ? NULL : must(mi_realloc(huge, MI_ARENA_SIZE / 2 + 2 * MI_MiB));
  if (smaller != NULL) huge = smaller;
  for (size_t i = 0; i < N; i += 2) {
    void* q = p[i] == NULL ? NULL : must(mi_realloc(p[i], i * 10000 + 1));
    if (q != NULL) { CHECK(((uint8_t*)q)[0] == 1); p[i] = q; }
  }
  void* aligned = must(mi_zalloc_aligned_at(100000, MI_MiB, 24));
  void* more_aligned = must(mi_malloc_aligned(100, 16 * MI_MiB));
  mi_heap_t* heap = must(mi_heap_new());
  if (heap != NULL) {
    for (size_t i = 0; i < 20; i++) use(must(mi_heap_malloc(heap, i * 10000 + 1)), i * 10000 + 1);
    mi_heap_destroy(heap);
  }
  for (size_t i = 0; i < N; i++) mi_free(p[i]);
  mi_free(aligned);
  mi_free(more_aligned);
  mi_free(huge);
}

static void* in_thread(void* arg) { workload(); return arg; }

/* Each n in a process of its own, because what succeeded stays reserved. */
static void sweep_n(size_t n, size_t count) {
  test_expect_errors();
  mi_os_fail_in(n, count);
  workload();
  mi_os_fail_in(0, 0);
  CHECK_EQ(mi_check_all(), 0);
  const size_t failed = nfailed;
  nfailed = 0;
  workload();
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &in_thread, NULL), 0);
  pthread_join(t, NULL);
  CHECK_EQ(nfailed, 0);
  mi_thread_done();
  mi_collect(true);
  test_nothing_left();
  _exit(failed > 0 ? 0 : 42);
}

static void sweep(size_t count) {
  size_t n = 1, quiet = 0, hit = 0;
  for (; quiet < 12 && n < 400; n++) {   /* until the workload makes no more than n calls */
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) sweep_n(n, count);
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_AT(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 42), "n = %zu, status = %#x", n, status);
    quiet = WEXITSTATUS(status) == 42 ? quiet + 1 : 0;
    hit += WEXITSTATUS(status) == 0;
  }
  CHECK(hit > 0);
}

static void one_failure(void) { sweep(1); }
static void three_failures(void) { sweep(3); }
static void all_fail_from_there(void) { sweep(SIZE_MAX); }

/* ---- little address space ---- */

static void limited(size_t mib) {
  const struct rlimit limit = { mib * MI_MiB, mib * MI_MiB };
  if (TEST_SANITIZED) _exit(0);          /* a sanitizer needs terabytes of address space */
  CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

static void little_address_space(void) {
  limited(64);
  for (int round = 0; round < 20; round++) {
    void* p[2000];
    for (size_t i = 0; i < 2000; i++) {
      CHECK((p[i] = mi_malloc(i * 5 + 1)) != NULL);
      memset(p[i], 1, i * 5 + 1);
    }
    for (size_t i = 0; i < 2000; i++) mi_free(p[i]);
  }
  CHECK(mi_arena_totals.xreserved < 64 * MI_MiB);
}

/* Until nothing is left, and again: the second time there is as much. */
static size_t eat(void) {
  static void* p[100000];
  size_t n = 0;
  while ((p[n] = mi_malloc(5000)) != NULL) memset(p[n++], 1, 5000);
  CHECK_EQ(errno, ENOMEM);
  CHECK_EQ(mi_check_all(), 0);
  for (size_t i = 0; i < n; i++) mi_free(p[i]);
  return n;
}

static void eaten_up(void) {
  test_expect_errors();
  limited(100);
  const size_t first = eat(), second = eat();
  CHECK_AT(first > 5000 && second >= first - first / 20, "first = %zu, second = %zu", first, second);
  void* p = mi_malloc(MI_MiB);           /* and large ones fit where small ones were */
  CHECK(p != NULL);
  mi_free(p);
  mi_thread_done();
  test_nothing_left();
}

TEST_MAIN("oom", TEST(one_failure), TEST(three_failures), TEST(all_fail_from_there), TEST(little_address_space), TEST(eaten_up))
