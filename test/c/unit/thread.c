/* thread.h and the functions of mimalloc.h: threads that come, free, end late. */
#include <pthread.h>
#include <sys/wait.h>

#include "include/mimalloc-stats.h"
#include "test.h"

static mi_atomic(void*) slot[512];

static size_t nowners(void) {
  size_t n = 0;
  for (uint32_t s = 0; s < mi_owner_slots(); s++) n += mi_owner_at(s)->xkind != MI_OWNER_UNUSED;
  return n;
}

static void run_thread(void* (*f)(void*), void* arg) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, f, arg), 0);
  pthread_join(t, NULL);
}

/* ---- one thread ---- */

static void first_use(void) {
  CHECK_EQ(nowners(), 0);
  mi_free(NULL);
  CHECK_EQ(mi_usable_size(&errno), 0);
  mi_collect(true);
  CHECK_EQ(nowners(), 0);                        /* nothing of this needs a heap */
  void* p = mi_malloc(10);
  CHECK(p != NULL && nowners() == 1);
  mi_free(p);
  mi_thread_done();
  CHECK_EQ(nowners(), 0);
  test_nothing_left();
  CHECK((p = mi_zalloc(10)) != NULL && nowners() == 1);          /* and once more */
  mi_free(p);
  mi_thread_done();
  mi_thread_done();
  test_nothing_left();
}

static void names(void) {
  void* p[] = { mi_malloc(1000),
                mi_zalloc(1000),
                mi_calloc(10, 100),
                mi_mallocn(10, 100),
                mi_malloc_small(100),
                mi_zalloc_small(100),
                mi_new(1000),
                mi_new_nothrow(1000),
                mi_new_aligned(1000, 64),
                mi_new_aligned_nothrow(1000, 64),
                mi_strdup("a") };
  for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
    CHECK(p[i] != NULL && mi_usable_size(p[i]) == mi_malloc_size(p[i])
          && mi_malloc_usable_size(p[i]) == mi_usable_size(p[i]));
    CHECK(mi_is_in_heap_region(p[i]) && mi_check_owned(p[i]));
  }
  for (size_t n = 0; n < 300000; n = n * 2 + 1) {
    void* q = mi_malloc(n);
    CHECK(mi_usable_size(q) == mi_good_size(n) && mi_good_size(n) == mi_malloc_good_size(n));
    mi_free(q);
  }
  CHECK(!mi_is_in_heap_region(&p) && !mi_check_owned(&p) && !mi_is_in_heap_region(NULL)
        && !mi_check_owned(NULL));
  CHECK(!mi_is_in_heap_region((void*)((uintptr_t)p[0] | (uintptr_t)1 << 60)));
  CHECK(mi_version() > 0);
  for (size_t i = 0; i < sizeof p / sizeof *p; i++) mi_free(p[i]);
  mi_thread_done();
  test_nothing_left();
}

static void begin_and_end(void) {
  mi_thread_init();
  mi_thread_init();
  CHECK_EQ(nowners(), 1);
  mi_thread_done();
  CHECK_EQ(nowners(), 0);
  mi_process_init();                             /* needs nobody to call it, and may be called again */
  mi_process_init();
  CHECK_EQ(nowners(), 1);
  void* p = mi_malloc(MI_MiB);
  memset(p, 1, MI_MiB);
  mi_free(p);
  mi_process_done();  /* what is free goes back; what is live stays, and the allocator works on */
  CHECK_EQ(mi_commit_totals.xcommitted, 0);
  CHECK((p = mi_malloc(10)) != NULL && !mi_is_redirected() && mi_version() == MI_MALLOC_VERSION);
  mi_free(p);
}

static void collect_reduce(void) {
  mi_option_set(mi_option_purge_delay, 1000000);
  void* p = mi_malloc(MI_MiB);
  mi_free(p);
  mi_collect_reduce(2 * MI_MiB);                 /* less is committed */
  CHECK(mi_commit_totals.xcommitted >= MI_MiB && mi_commit_totals.xpurged == 0);
  mi_collect_reduce(MI_MiB / 2);
  CHECK(mi_commit_totals.xcommitted < MI_MiB / 2 && mi_commit_totals.xpurged >= MI_MiB);
}

/* No lock is held, and no state half way, when a function of the user's is called: it may do anything. */
static mi_atomic(int) ncallbacks;
static void do_everything(void) {
  mi_heap_t* heap = mi_heap_new();
  void *p = mi_heap_malloc(heap, 100), *q = mi_malloc(200000), *r = mi_zalloc(50);
  CHECK(p != NULL && q != NULL && r != NULL && (r = mi_realloc(r, 5000)) != NULL);
  mi_collect(ncallbacks % 4 == 0);
  mi_free(q);
  mi_heap_destroy(heap);
  mi_free(r);
  mi_subproc_delete(mi_subproc_new());
  mi_free(mi_stats_get_json(0, NULL));
  ncallbacks++;
}
static void in_deferred(bool force, unsigned long long heartbeat, void* arg) {
  (void)force;
  (void)heartbeat;
  CHECK(arg == &slot);
  do_everything();
}
static void in_output(const char* text, void* arg) { CHECK(text != NULL && arg == &slot); do_everything(); }
static void in_error(int err, void* arg) { CHECK(err != 0 && arg == &slot); do_everything(); }

static void* with_callbacks(void* arg) {
  for (int i = 0; i < 300; i++) {
    void* p[20];
    for (int k = 0; k < 20; k++) CHECK((p[k] = mi_malloc((size_t)k * 700)) != NULL);
    for (int k = 0; k < 20; k++) mi_free(p[k]);
    if (i % 10 == 0) mi_free(arg);               /* no block */
    if (i % 10 == 1) mi_report_message("a line\n");
    if (i % 10 == 2) CHECK(mi_malloc(SIZE_MAX) == NULL);
    if (i % 50 == 3) mi_stats_print(NULL);
  }
  return NULL;
}

static void callbacks(void) {
  pthread_t t[4];
  int local;
  mi_option_set(mi_option_abort_on_error, 0);
  mi_register_deferred_free(&in_deferred, &slot);
  mi_register_output(&in_output, &slot);
  mi_register_error(&in_error, &slot);
  for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, &with_callbacks, &local), 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK(ncallbacks > 4 * 90);
  mi_register_deferred_free(NULL, NULL);
  mi_register_output(NULL, NULL);
  mi_register_error(NULL, NULL);
  mi_thread_done();
  test_nothing_left();
}

static void process_info(void) {
  size_t v[8];
  void* p = mi_malloc(10 * MI_MiB);
  memset(p, 1, 10 * MI_MiB);
  mi_process_info(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
  CHECK(v[3] > 10 * MI_MiB && v[4] > 10 * MI_MiB && v[5] >= 10 * MI_MiB && v[6] >= v[5]);
  mi_process_info(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
  mi_free(p);
}

/* ---- several ---- */

enum { N = 3000 };
static void* block[N];

static void* make_blocks(void* arg) {
  for (int i = 0; i < N; i++) {
    CHECK((block[i] = mi_malloc((size_t)i * 7 % 10000)) != NULL);
    test_fill(block[i], mi_min(32, (size_t)i * 7 % 10000), (uint64_t)i);
  }
  return arg;
}

static void* free_blocks(void* arg) {
  for (int i = 0; i < N; i++) {
    CHECK(test_filled(block[i], mi_min(32, (size_t)i * 7 % 10000), (uint64_t)i));
    mi_free(block[i]);
  }
  return arg;
}

static void* free_and_look(void* arg) {
  const size_t before = nowners();
  free_blocks(arg);
  mi_collect(false);
  CHECK_EQ(nowners(), before);                   /* a thread that only frees makes no heap */
  return arg;
}

static void only_frees(void) {
  make_blocks(NULL);
  run_thread(&free_and_look, NULL);
  CHECK_EQ(nowners(), 1);
  mi_thread_done();
  test_nothing_left();
}

static void ended_thread_leaves_blocks(void) {
  for (int round = 0; round < 10; round++) {
    run_thread(&make_blocks, NULL);
    CHECK_EQ(nowners(), 0);
    if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), N);
    if (round % 2) run_thread(&free_and_look, NULL); else free_blocks(NULL);
    test_nothing_left();
  }
  CHECK_EQ(mi_owner_slots(), 1);
}

/* What a thread left is used by the next: fifty generations need the memory of a few. */
static void* generation(void* arg) {
  for (int i = 0; i < N; i += 2) mi_free(block[i]);
  for (int i = 0; i < N; i += 2) CHECK((block[i] = mi_malloc((size_t)i * 7 % 10000)) != NULL);
  return arg;
}
static void generations(void) {
  run_thread(&make_blocks, NULL);
  run_thread(&generation, NULL);
  const size_t peak = mi_commit_totals.xpeak_committed;
  for (int round = 0; round < 50; round++) run_thread(&generation, NULL);
  CHECK(mi_commit_totals.xpeak_committed <= peak + peak / 2 + 4 * MI_MiB);
  for (int i = 0; i < N; i++) mi_free(block[i]);
  test_nothing_left();
}

/* ---- destructors that run after ours ---- */

static pthread_key_t key;
static int nlate;

static void late(void* arg) {
  const intptr_t round = (intptr_t)arg;
  void *p = mi_malloc(100), *q = mi_calloc(1, 5000), *r = mi_malloc(200000);
  CHECK(p != NULL && q != NULL && r != NULL);
  p = mi_realloc(p, 3000);
  CHECK(p != NULL);
  memset(p, 1, 3000);
  mi_free(p);
  mi_free(r);
  mi_free(q);
  mi_free(block[round]);
  block[round] = mi_malloc(50);
  nlate++;
  if (round < 3) pthread_setspecific(key, (void*)(round + 1));
}

static void* with_late_destructor(void* arg) {
  pthread_setspecific(key, (void*)1);
  for (int i = 1; i < 4; i++) block[i] = mi_malloc(50);
  return arg;
}

static void late_destructors(void) {
  CHECK_EQ(pthread_key_create(&key, &late), 0);
  for (int i = 0; i < 20; i++) {
    run_thread(&with_late_destructor, NULL);
    CHECK_EQ(nowners(), 0);
    for (int k = 1; k < 4; k++) mi_free(block[k]);
    test_nothing_left();
  }
  CHECK_EQ(nlate, 60);
}

/* The key before ours: its destructors run first or last, whatever the system does. */
static void early_key(void) {
  void* p = mi_malloc(1);                        /* our key exists */
  mi_free(p);
  mi_thread_done();
  late_destructors();
}

/* A function that allocates, called from inside an allocation of a thread that is ending. */
static mi_atomic(int) ndeferred;
static void deferred(bool force, unsigned long long heartbeat, void* arg) {
  (void)force; (void)heartbeat; (void)arg;
  void* p = mi_malloc(20000);
  CHECK(p != NULL);
  mi_free(p);
  ndeferred++;
}
static void late_and_deferred(void) {
  mi_register_deferred_free(&deferred, NULL);
  late_destructors();
  CHECK(ndeferred > 0);
}

/* No memory for an owner, from the first call on and in late destructors. */
static void* starved(void* arg) {
  mi_os_fail_in(1, SIZE_MAX);
  errno = 0;
  CHECK(mi_malloc(10) == NULL && errno == ENOMEM);
  CHECK(mi_calloc(10, 10) == NULL && mi_realloc(NULL, 10) == NULL && mi_memalign(64, 10) == NULL
        && mi_heap_new() == NULL);
  mi_free(block[0]);
  mi_os_fail_in(0, 0);
  CHECK((block[0] = mi_malloc(10)) != NULL);
  return arg;
}
static void no_memory_for_an_owner(void) {
  test_expect_errors();
  run_thread(&starved, NULL);
  mi_free(block[0]);
  test_nothing_left();
}

/* ---- cancelled threads: nothing here is a cancellation point ---- */

static bool nothing(const mi_heap_t* heap, const mi_heap_area_t* area, void* p, size_t size, void* arg) {
  (void)heap; (void)area; (void)p; (void)size; (void)arg;
  return true;
}

/* With a cancellation pending, also of the first allocation of the process. */
static void* cancelled(void* arg) {
  char text[100];
  pthread_cancel(pthread_self());
  void *p = mi_malloc(100), *q = mi_malloc(300000), *r = mi_malloc((size_t)600 << 20);
  CHECK(p != NULL && q != NULL && r != NULL);
  mi_free(arg);
  mi_heap_t* heap = mi_heap_new();
  CHECK(heap != NULL && mi_heap_malloc(heap, 100) != NULL);
  CHECK(mi_heap_visit_blocks(heap, true, &nothing, NULL));
  mi_heap_destroy(heap);
  mi_free(p);
  mi_free(p);                                    /* told, on stderr */
  mi_free(q);
  mi_free(r);
  mi_collect(true);
  CHECK(test_rss() > 0 && mi_stats_get_json(sizeof text, text) != NULL);
  mi_options_print();
  mi_os_sleep_ms(1);
  mi_os_yield();
  return (void*)1;
}

static void cancellation(void) {
  CHECK(freopen("/dev/null", "w", stderr) != NULL);
  mi_option_set(mi_option_abort_on_error, 0);
  for (int i = 0; i < 3; i++) {
    void* value;
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, &cancelled, i == 0 ? NULL : mi_malloc(5000)), 0);
    pthread_join(t, &value);
    CHECK(value == (void*)1);
  }
  mi_thread_done();
  test_nothing_left();
}

/* ---- exit ---- */

/* Whatever runs at exit may allocate: what was registered before us and after, destructors of the
   main thread's keys. */
static pid_t exiting;
static void at_exit(void) {
  if (getpid() != exiting) return;
  mi_free(block[0]);
  CHECK((block[0] = mi_malloc(300000)) != NULL);
  mi_collect(true);
}
__attribute__((constructor(101))) static void register_early(void) {
  atexit(&at_exit);
  at_quick_exit(&at_exit);
}
static void* exit_from_thread(void* arg) {
  mi_free(mi_malloc(100));
  if (arg != NULL) quick_exit(0);
  exit(0);
}
static void exits(void) {
  for (int i = 0; i < 6; i++) {
    int status;
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      pthread_t t;
      exiting = getpid();
      atexit(&at_exit);
      at_quick_exit(&at_exit);
      block[0] = mi_malloc(100);
      if (i % 3 == 0) exit(0);
      if (i % 3 == 1) quick_exit(0);
      CHECK_EQ(pthread_create(&t, NULL, &exit_from_thread, i < 3 ? NULL : &exiting), 0);
      pthread_exit(NULL);                        /* the main thread ends first, or in the middle of it */
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_AT(status == 0, "i = %d, status = %#x", i, status);
  }
}

/* ---- many at once ---- */

static void* trade(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  for (int i = 0; i < 4000; i++) {
    void* p = mi_malloc(test_random(&r) % (i % 64 == 0 ? 100000 : 2000));
    CHECK(p != NULL);
    mi_free(mi_exchange_acq_rel(&slot[test_random(&r) % 512], p));
  }
  return NULL;
}

static void many_come_and_go(void) {
  for (uintptr_t round = 0; round < 20; round++) {
    pthread_t t[8];
    for (uintptr_t i = 0; i < 8; i++)
      CHECK_EQ(pthread_create(&t[i], NULL, &trade, (void*)(round * 8 + i)), 0);
    for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
    CHECK_EQ(nowners(), 0);
    CHECK_EQ(mi_check_all(), 0);
  }
  for (int i = 0; i < 512; i++) mi_free(slot[i]);
  test_nothing_left();
  CHECK(mi_owner_slots() <= 8);
}

TEST_MAIN("thread", TEST(first_use), TEST(names), TEST(begin_and_end), TEST(collect_reduce), TEST(callbacks),
          TEST(process_info), TEST(only_frees), TEST(ended_thread_leaves_blocks), TEST(generations),
          TEST(late_destructors), TEST(early_key), TEST(late_and_deferred), TEST(no_memory_for_an_owner),
          TEST(cancellation), TEST(exits), TEST(many_come_and_go))
