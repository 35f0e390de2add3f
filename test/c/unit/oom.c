/* The nth call of the system for memory fails, for every n: a workload gets NULL and ENOMEM somewhere,
   nothing is lost or broken, and afterwards everything works. Also: little address space (ulimit -v). */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/arena.h"
#include "core/heap.h"
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
    CHECK_AT(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 42),
             "n = %zu, status = %#x", n, status);
    quiet = WEXITSTATUS(status) == 42 ? quiet + 1 : 0;
    hit += WEXITSTATUS(status) == 0;
  }
  CHECK(hit > 0);
}

static void one_failure(void) { sweep(1); }
static void three_failures(void) { sweep(3); }
static void all_fail_from_there(void) { sweep(SIZE_MAX); }

/* ---- little address space: set while the process runs, which the library is not told. Where the limit was
   there before (mi_os_has_few_addresses) other code runs: test/c/process, little.c. ---- */

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
  CHECK(mi_commit_totals.xreserved < 64 * MI_MiB);
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

/* One block of nearly all, whatever larger ones were asked for in vain or freed before. */
static void one_large_block(void) {
  limited(196);
  test_expect_errors();
  void* small = mi_malloc(1000);
  for (size_t mib = 8; mib <= 160; mib *= 2) mi_free(mi_malloc(mib * MI_MiB));
  size_t mib = 400;
  void* p;
  while ((p = mi_malloc(mib * MI_MiB)) == NULL) mib--;
  CHECK_AT(mib >= (MI_CHECK ? 160 : 175), "%zu MiB", mib);       /* the program takes some itself */
  mi_free(p);
  mi_free(small);
}

/* Large blocks drive the arenas out, and small ones bring them back, more often than there are numbers. */
static void arenas_come_back(void) {
  enum { SMALL = 300, ROUNDS = MI_ARENAS_MAX + 100 };
  limited(96);
  test_expect_errors();
  for (int round = 0; round < ROUNDS; round++) {
    void* small[SMALL];
    for (int i = 0; i < SMALL; i++) CHECK_AT((small[i] = mi_malloc(200 * MI_KiB)) != NULL, "%d", round);
    for (int i = 0; i < SMALL; i++) mi_free(small[i]);
    mi_collect(true);
    void* large = mi_malloc(64 * MI_MiB);
    CHECK_AT(large != NULL, "%d", round);
    mi_free(large);
  }
  CHECK_AT(mi_arena_count() < 100, "%zu", mi_arena_count());
  CHECK_EQ(mi_check_all(), 0);
  test_nothing_left();
}

static void* waits(void* lock) {
  void *p = mi_malloc(100000), *q = mi_malloc(10);
  const bool ok = p != NULL && q != NULL;
  pthread_mutex_lock(lock);
  pthread_mutex_unlock(lock);
  mi_free(p), mi_free(q);
  return ok ? lock : NULL;
}

static void many_stacks(void) {
  enum { MOST = 100 };
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_t t[MOST];
  pthread_attr_t attributes;
  int n = 0;
  limited(293);
  mi_free(mi_malloc(10));
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 8 * MI_MiB);
  pthread_mutex_lock(&lock);
  while (n < MOST && pthread_create(&t[n], &attributes, &waits, &lock) == 0) n++;
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < n; i++) {
    void* ok;
    pthread_join(t[i], &ok);
    CHECK_AT(ok != NULL || i >= 30, "thread %d of %d", i, n);
  }
  CHECK_AT(n >= 30, "%d threads", n);
}

/* Everything that is mapped is locked and resident, then and later. */
/* What blocks had is there for other mappings, when they are free and a round has come. */
static void* map_most(void) {
  void* p = mmap(NULL, 200 * MI_MiB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

static void use_most(void) {
  static void* p[2600];
  size_t n = 0;
  while (n < 2600 && (p[n] = mi_malloc(100 * MI_KiB)) != NULL) memset(p[n++], 1, 1000);
  CHECK_AT(n > 2000, "%zu", n);
  CHECK(map_most() == NULL);
  for (size_t i = 0; i < n; i++) mi_free(p[i]);
}

static void addresses_come_back(void) {
  limited(293);
  test_expect_errors();
  use_most();
  mi_collect(true);
  void* most = map_most();
  CHECK(most != NULL);
  munmap(most, 200 * MI_MiB);
  use_most();
  for (int i = 0; i < 10000 && (most = map_most()) == NULL; i++) {
    mi_os_sleep_ms(5);
    mi_free(mi_malloc(100 * MI_KiB));
  }
  CHECK(most != NULL);
  munmap(most, 200 * MI_MiB);
  CHECK_EQ(mi_check_all(), 0);
}

/* The same where the program sets a limit of what it may write to itself, and nothing was refused to us. */
static void limit_set_later(void) {
  const struct rlimit limit = { 200 * MI_MiB, 200 * MI_MiB };
  if (test_skips(TEST_SANITIZED, "address space is the sanitizer's")) return;
  mi_option_set(mi_option_arena_reserve, MI_GiB / MI_KiB);
  CHECK_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
  for (int i = 0; i < 2; i++) {
    void* p = mi_malloc(150 * MI_MiB);
    CHECK(p != NULL);
    mi_free(p);
  }
  void* most = MAP_FAILED;
  for (int i = 0; i < 10000 && most == MAP_FAILED; i++) {
    mi_os_sleep_ms(5);
    mi_free(mi_malloc(100 * MI_KiB));
    most = mmap(NULL, 100 * MI_MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  CHECK(most != MAP_FAILED && mi_arena_refused() == SIZE_MAX && mi_check_all() == 0);
}

static void locked_memory(void) {
  void* first = mi_malloc(100);
  const size_t before = test_mapped();
  CHECK(mi_commit_totals.xreserved <= 4 * MI_MiB);
  const bool locked = !TEST_SANITIZED && mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
  if (test_skips(!locked, "memory may not be locked")) return;
  void* p[40];
  for (int i = 0; i < 40; i++) CHECK((p[i] = mi_malloc((size_t)i * 20)) != NULL);
  CHECK(test_mapped() - before <= 4 * MI_MiB);
  void* large = mi_malloc(3 * MI_MiB);
  CHECK(large != NULL && test_mapped() - before <= 8 * MI_MiB);
  for (int i = 0; i < 40; i++) mi_free(p[i]);
  mi_free(large), mi_free(first);
  mi_collect(true);  /* what is locked is not given back, and is told as committed */
  CHECK_EQ(mi_check_all(), 0);
  void* again = mi_zalloc(3 * MI_MiB);
  CHECK(again != NULL && test_all(again, 3 * MI_MiB, 0));
  mi_free(again);
}

/* Where the system counts every page that can be written to, what was freed counts no more, and
   can be had again. */
static void freed_counts_no_more(void) {
  enum { N = 20000 };
  static uint8_t* p[N];
  mi_os_set_must_commit(true);
  void* small = mi_malloc(100);
  test_accounted();
  const size_t before = test_accounted();
  for (int round = 0; round < 2; round++) {
    uint64_t r = 1;
    size_t sum = 0;
    for (int i = 0; i < N; i++) {
      const size_t size = 1 + test_random(&r) % (i % 100 == 0 ? 3 * MI_MiB : i % 10 == 0 ? 60000 : 3000);
      CHECK((p[i] = mi_zalloc(size)) != NULL && p[i][size / 2] == 0);
      memset(p[i], 1, size);
      sum += size;
    }
    CHECK(sum > 256 * MI_MiB && test_accounted() >= before + sum);
    for (int i = 0; i < N; i++) mi_free(p[i]);
    mi_collect(true);
    /* what describes it */
    CHECK_AT(test_accounted() <= before + 8 * MI_MiB, "round %d: %zu", round, test_accounted() - before);
  }
  mi_free(small);
  mi_thread_done();
  test_nothing_left();
}

/* ---- too much ---- */

/* More than there are addresses: the system is not asked. */
static void beyond_the_addresses(void) {
  test_expect_errors();
  void *small = mi_malloc(100), *own = mi_malloc(MI_ARENA_SIZE);
  mi_os_fail_in(1, 1);
  for (size_t size = MI_ADDRESSES + 1; size <= MI_SIZE_LIMIT - MI_MiB; size += size / 3) {
    errno = 0;
    CHECK(mi_malloc(size) == NULL && errno == ENOMEM && mi_calloc(size, 1) == NULL
          && mi_malloc_aligned(size, 64) == NULL);
    CHECK(mi_realloc(small, size) == NULL && mi_realloc(own, size) == NULL && mi_expand(own, size) == NULL
          && mi_malloc_aligned(100, (size_t)1 << 62) == NULL && errno == ENOMEM);
  }
  CHECK(mi_os_reserve(MI_MiB, MI_SLICE_SIZE) == NULL);           /* the first that asks it is this */
  mi_free(small), mi_free(own);
}

/* Nothing that was given back since it refused: it is asked once. */
static void asked_once(void) {
  test_expect_errors();
  void* small = mi_malloc(100);
  mi_collect(true);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 1, 1);
  CHECK(mi_malloc(MI_ARENA_SIZE) == NULL && errno == ENOMEM);
  void* p = mi_malloc(MI_ARENA_SIZE);
  CHECK(p != NULL);
  mi_free(p), mi_free(small);
}

static bool system_grants(size_t size) {
  void* p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p != MAP_FAILED && munmap(p, size) == 0;
}

/* As large as the system grants: no memory for what describes it, and each address in it is found. Without
   the suite's own limit of the address space, which is one that may be raised. */
static void huge(void) {
  struct rlimit limit;
  if (test_skips(TEST_SANITIZED, "address space is the sanitizer's")) return;
  CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  test_skips(!system_grants((size_t)1 << 44), "2^44 bytes, which the system does not grant");
  test_expect_errors();
  for (unsigned bits = 30; bits <= 46; bits += 2) {
    const size_t size = (size_t)1 << bits, rss = test_rss();
    uint8_t* p = mi_malloc(size);
    if (p == NULL) {
      CHECK_AT(!system_grants(size), "2^%u", bits);
      break;
    }
    CHECK_AT(test_rss() < rss + MI_MiB, "2^%u", bits);
    CHECK(mi_usable_size(p) == size && mi_is_in_heap_region(p + size / 2)
          && !mi_is_in_heap_region(p + size + MI_MiB));
    CHECK(mi_check_owned(p + size - 1) && mi_check_owned(p + size / 3));
    /* the page map has its start only */
    CHECK(mi_usable_size(p + size / 2) == 0 && mi_page_is_none(mi_page_of(p + size / 2)));
    uint8_t* larger = mi_realloc(p, size + size / 4);
    if (larger != NULL) CHECK(mi_check_owned((p = larger) + size + size / 4 - 1));
    mi_free(p);
    CHECK_AT(!mi_is_in_heap_region(p + size / 2), "2^%u", bits);
    uint8_t* q = mi_malloc_aligned_at(size, 8 * MI_MiB, 24);
    if (q == NULL) break;
    CHECK(((uintptr_t)q + 24) % (8 * MI_MiB) == 0 && mi_usable_size(q) >= size
          && mi_check_owned(q + size / 2));
    q[0] = q[size - 1] = 1;
    mi_free(q);
    CHECK_EQ(mi_usable_size(q), 0);
  }
  mi_thread_done();
  test_nothing_left();
}

/* No room for the page of a medium block, and what is left was used: all usable bytes are zero. */
static void alone_and_zeroed(void) {
  enum { SLICES = 5 };
  mi_arena_id_t id;
  const size_t size = SLICES * MI_SLICE_SIZE;
  void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(memory, 0xff, size);
  CHECK(mi_manage_os_memory_ex(memory, size, true, true, false, -1, true, &id));
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  uint8_t* p = mi_heap_zalloc(heap, 9000);
  CHECK(p != NULL && mi_usable_size(p) > 9216);
  for (size_t i = 0; i < mi_usable_size(p); i++) CHECK_AT(p[i] == 0, "%zu", i);
  mi_free(p);
  mi_heap_delete(heap);
}

TEST_MAIN("oom", TEST(one_failure), TEST(three_failures), TEST(all_fail_from_there),
          TEST(little_address_space), TEST(eaten_up), TEST(one_large_block), TEST(arenas_come_back),
          TEST(addresses_come_back), TEST(limit_set_later),
          TEST(many_stacks), TEST(locked_memory), TEST(freed_counts_no_more),
          TEST(beyond_the_addresses), TEST(asked_once), TEST(huge),
          TEST(alone_and_zeroed))
