/* os.h: reservations, purging, moving, faults, bells, locks. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/os.h"
#include "test.h"

static void reserve_aligned(void) {
  for (size_t align = mi_os_page_size(); align <= 64 * MI_MiB; align *= 2) {
    uint8_t* p = mi_os_reserve(3 * MI_MiB, align);
    CHECK(p != NULL && (uintptr_t)p % align == 0);
    CHECK(mi_os_commit(p, 3 * MI_MiB));
    CHECK(test_all(p, 3 * MI_MiB, 0));
    memset(p, 1, 3 * MI_MiB);
    mi_os_release(p, 3 * MI_MiB);
  }
}

static void reserve_too_much(void) {
  errno = 0;
  CHECK(mi_os_reserve((size_t)1 << 60, MI_SLICE_SIZE) == NULL);
  CHECK_EQ(errno, ENOMEM);
  CHECK(mi_os_reserve(MI_MiB, (size_t)1 << 62) == NULL);
  CHECK_EQ(errno, ENOMEM);
}

static void purge(void) {
  const size_t size = 64 * MI_MiB;
  uint8_t* p = mi_os_reserve(size, MI_SLICE_SIZE);
  CHECK(p != NULL && mi_os_commit(p, size));
  memset(p, 1, size);
  const size_t full = test_rss();
  errno = 77;
  CHECK(mi_os_purge(p, size));
  CHECK_EQ(errno, 77);
  CHECK(test_rss() + size / 2 < full);
  CHECK(test_all(p, size, 0));
  CHECK(!mi_os_purge(p + 1, 1));                 /* not a page: refused, and errno is as it was */
  CHECK_EQ(errno, 77);
}

static void resize_and_move(void) {
  const size_t size = MI_MiB;
  uint8_t* p = mi_os_reserve(size, MI_SLICE_SIZE);
  CHECK(p != NULL && mi_os_commit(p, size));
  test_fill(p, size, 1);
  CHECK(mi_os_resize(p, size, size / 2));
  uint8_t* q = mi_os_reserve(4 * size, MI_SLICE_SIZE);
  CHECK(q != NULL && mi_os_move(p, size / 2, q, 4 * size) == MI_OS_DONE);
  CHECK(test_filled(q, size / 2, 1));
  CHECK(test_all(q + size / 2, 4 * size - size / 2, 0));
  mi_os_release(q, 4 * size);
}

/* Wherever there is room, the start is a multiple, nothing else is taken, and mostly what was untouched stays
   so. */
static void grow_stepwise(size_t align, bool may_seek) {
  const size_t page = mi_os_page_size();
  uint8_t *p = mi_os_reserve(MI_MiB, align), *q, *wall[3];
  int times = 0, touched = 0;
  CHECK(p != NULL && mi_os_commit(p, MI_MiB));
  test_fill(p, MI_MiB, align);
  for (size_t size = MI_MiB, larger; size < 40 * MI_MiB; size = larger, times++) {
    larger = (size + size / 3 + align % 7 * page) & ~(page - 1);
    for (int i = 0; i < 3; i++) {
      CHECK((wall[i] = mi_os_reserve(3 * page, page)) != NULL && mi_os_commit(wall[i], 3 * page));
      wall[i][0] = wall[i][3 * page - 1] = 7;
    }
    const size_t mapped = test_mapped(), rss = test_rss();
    if (!may_seek) mi_os_fail_call(MI_OS_GROW, MI_OS_HALF, 1, 1);
    CHECK((q = mi_os_grow(p, size, larger, align)) != NULL && (uintptr_t)q % align == 0);
    CHECK_AT(TEST_SANITIZED || test_mapped() == mapped + larger - size, "%zu to %zu", size, larger);
    touched += test_rss() > rss + size / 2;
    CHECK(test_filled(q, MI_MiB, align) && q[MI_MiB] == 0 && q[larger - 1] == 0);
    for (int i = 0; i < 3; i++) CHECK(wall[i][0] == 7 && wall[i][3 * page - 1] == 7);
    p = q;
  }
  CHECK_AT(TEST_SANITIZED || !may_seek || align > MI_SLICE_SIZE || touched <= times / 2, "%d of %d", touched,
           times);
}

static void grow(void) {
  for (size_t align = mi_os_page_size(); align <= 4 * MI_MiB; align *= 4) {
    grow_stepwise(align, false);
    grow_stepwise(align, true);
  }
}

static void fail_in(void) {
  mi_os_fail_in(3, 2);
  void* p = mi_os_reserve(MI_MiB, mi_os_page_size());
  CHECK(p != NULL && mi_os_commit(p, MI_MiB));
  errno = 0;
  CHECK(mi_os_reserve(MI_MiB, mi_os_page_size()) == NULL);
  CHECK_EQ(errno, ENOMEM);
  errno = 0;
  CHECK(!mi_os_commit(p, MI_MiB));
  CHECK_EQ(errno, ENOMEM);
  CHECK(mi_os_commit(p, MI_MiB));
  mi_os_fail_in(1, 3);
  CHECK(!mi_os_resize(p, MI_MiB, MI_MiB / 2) && mi_os_move(p, MI_MiB, p, 2 * MI_MiB) == MI_OS_NOT);
  mi_os_fail_in(0, 0);
  CHECK(mi_os_commit(p, MI_MiB));
}

/* ---- each call fails in each way: the table of what is half done ---- */

enum { SIZE = 1024 * 1024 };

static uint8_t* filled(uint64_t seed) {
  uint8_t* p = mi_os_reserve(SIZE, MI_SLICE_SIZE);
  CHECK(p != NULL && mi_os_commit(p, SIZE));
  test_fill(p, SIZE, seed);
  return p;
}

static bool is_mapped(void* p) {
  unsigned char resident;
  return mincore(p, mi_os_page_size(), &resident) == 0;
}

/* The flags of the mapping that p lies in, as /proc/self/smaps has them: "wr" it can be written to, "lo" it
   is locked. */
static bool has_flag(const void* p, const char* flag) {
  char line[1000];
  uintptr_t from, to;
  bool within = false, has = false;
  FILE* f = fopen("/proc/self/smaps", "r");
  CHECK(f != NULL);
  while (fgets(line, sizeof line, f) != NULL) {
    if (sscanf(line, "%zx-%zx ", &from, &to) == 2) within = from <= (uintptr_t)p && (uintptr_t)p < to;
    else if (within && strncmp(line, "VmFlags:", 8) == 0) has = strstr(line, flag) != NULL;
  }
  fclose(f);
  return has;
}

static void reserve_at_fails(mi_os_way_t way) {
  uint8_t* p = mi_os_reserve(3 * SIZE, MI_SLICE_SIZE);
  mi_os_release(p + SIZE, SIZE);
  const size_t mapped = test_mapped();
  errno = 0;
  mi_os_fail_call(MI_OS_RESERVE, way, 1, 1);
  CHECK(!mi_os_reserve_at(p + SIZE, SIZE) && errno == ENOMEM && !is_mapped(p + SIZE));
  CHECK(mi_os_reserve_at(p + SIZE, SIZE) && mi_os_commit(p + SIZE, SIZE) && test_all(p + SIZE, SIZE, 0));
  test_fill(p + SIZE, SIZE, 1);
  errno = 0;                                                      /* what is there stays */
  CHECK(!mi_os_reserve_at(p + SIZE, SIZE) && errno == ENOMEM && test_filled(p + SIZE, SIZE, 1));
  CHECK(!mi_os_reserve_at(p + SIZE / 2, SIZE) && test_filled(p + SIZE, SIZE, 1));
  CHECK_EQ(test_mapped(), mapped + SIZE);
}

static void reserve_fails(mi_os_way_t way) {
  mi_os_fail_call(MI_OS_RESERVE, way, 1, 1);
  CHECK(mi_os_reserve(SIZE, MI_SLICE_SIZE) == NULL && errno == ENOMEM);
  reserve_at_fails(way);
}

/* Others' memory: no half of it is writable, or the first, or all. */
static void make_writable_fails(mi_os_way_t way) {
  uint8_t* p = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  errno = 0;
  mi_os_fail_call(MI_OS_COMMIT, way, 1, 1);
  CHECK(!mi_os_make_writable(p, SIZE) && errno == ENOMEM);
  CHECK(has_flag(p, " wr") == (way != MI_OS_AT_START) && !has_flag(p + SIZE / 2, " wr"));
  CHECK(mi_os_make_writable(p, SIZE) && test_all(p, SIZE, 0));
  test_fill(p, SIZE, 1);
}

static void commit_fails(mi_os_way_t way) {
  uint8_t* p = mi_os_reserve(SIZE, MI_SLICE_SIZE);
  mi_os_fail_call(MI_OS_COMMIT, way, 1, 1);
  CHECK(!mi_os_commit(p, SIZE) && errno == ENOMEM);
  CHECK(mi_os_decommit(p, SIZE) == MI_OS_DONE && mi_os_commit(p, SIZE) && test_all(p, SIZE, 0));
  make_writable_fails(way);
}

static void purge_fails(mi_os_way_t way) {
  uint8_t* p = filled(1);
  mi_os_fail_call(MI_OS_PURGE, way, 1, 1);
  CHECK(!mi_os_purge(p, SIZE) && errno == 0 && test_all(p, SIZE / 2, 0) == (way != MI_OS_AT_START));
  CHECK(mi_os_purge(p, SIZE) && test_all(p, SIZE, 0));
}

static void decommit_fails(mi_os_way_t way) {
  uint8_t* p = filled(2);
  mi_os_fail_call(MI_OS_DECOMMIT, way, 1, 1);
  const mi_os_result_t result = mi_os_decommit(p, SIZE);
  mi_os_fail_call(MI_OS_DECOMMIT, way, 0, 0);                     /* asked only where every page counts */
  CHECK(errno == 0 && result == (way == MI_OS_TAKEN && mi_os_must_commit() ? MI_OS_LOST : MI_OS_DONE));
  if (result == MI_OS_DONE) CHECK(test_all(p, SIZE, 0) && mi_os_commit(p, SIZE));
}

static void release_fails(mi_os_way_t way) {
  uint8_t* p = filled(3);
  const size_t rss = test_rss();
  mi_os_fail_call(MI_OS_RELEASE, way, 1, 1);
  mi_os_release(p, SIZE);
  CHECK(errno == 0 && (TEST_SANITIZED || test_rss() + SIZE / 2 < rss));   /* its memory goes, at least */
}

static void resize_fails(mi_os_way_t way) {
  uint8_t* p = filled(4);
  mi_os_fail_call(MI_OS_RESIZE, way, 2, 1);
  CHECK(mi_os_resize(p, SIZE, SIZE / 2) && !mi_os_resize(p, SIZE / 2, SIZE / 4) && errno == ENOMEM
        && test_filled(p, SIZE / 2, 4));
}

static void move_fails(mi_os_way_t way) {
  uint8_t *p = filled(5), *to = mi_os_reserve(2 * SIZE, MI_SLICE_SIZE);
  mi_os_fail_call(MI_OS_MOVE, way, 1, 1);
  CHECK_EQ(mi_os_move(p, SIZE, to, 2 * SIZE), way == MI_OS_AT_START ? MI_OS_NOT : MI_OS_LOST);
  CHECK(test_filled(p, SIZE, 5) && errno == ENOMEM);
  if (way == MI_OS_AT_START)
    CHECK(mi_os_move(p, SIZE, to, 2 * SIZE) == MI_OS_DONE && test_filled(to, SIZE, 5)
          && test_all(to + SIZE, SIZE, 0));
}

static void grow_fails(mi_os_way_t way) {
  uint8_t* p = filled(9);
  mi_os_fail_call(MI_OS_GROW, way, 1, 1);
  uint8_t* q = mi_os_grow(p, SIZE, 2 * SIZE, MI_SLICE_SIZE);
  CHECK((q == NULL) == (way == MI_OS_AT_START) && (q != NULL || errno == ENOMEM));
  if (q == NULL) CHECK((q = mi_os_grow(p, SIZE, 2 * SIZE, MI_SLICE_SIZE)) != NULL);
  CHECK((uintptr_t)q % MI_SLICE_SIZE == 0 && test_filled(q, SIZE, 9));
  memset(q, 1, 2 * SIZE);
}

static void move_pages_fails(mi_os_way_t way) {
  uint8_t *p = filled(6), *to = filled(7);
  mi_os_fail_call(MI_OS_MOVE_PAGES, way, 1, 1);
  const mi_os_result_t result = mi_os_move_pages(p, to, SIZE);
  CHECK(errno == 0 && test_filled(p, SIZE, 6) && is_mapped(to));
  CHECK_EQ(result, way == MI_OS_TAKEN && !mi_os_must_commit() ? MI_OS_LOST : MI_OS_NOT);
  if (result == MI_OS_LOST) return;
  memset(to, 1, SIZE);                                            /* is ours, whatever is in it */
  if (mi_os_must_commit()) return;
  CHECK(mi_os_move_pages(p, to, SIZE) == MI_OS_DONE && test_filled(to, SIZE, 6) && test_all(p, SIZE, 0));
}

static void advise_fails(mi_os_way_t way) {
  uint8_t* p = filled(8);
  mi_os_fail_call(MI_OS_ADVISE, way, 1, 1);
  mi_os_advise_huge(p, SIZE, true);
  mi_os_advise_huge(p, SIZE, false);
  CHECK(errno == 0 && test_filled(p, SIZE, 8));
}

static void reserve_huge_fails(mi_os_way_t way) {
  mi_os_fail_call(MI_OS_RESERVE_HUGE, way, 1, 1);
  CHECK(mi_os_reserve_huge(MI_GiB, MI_SLICE_SIZE) == NULL && errno == ENOMEM);
}

static void map_file_fails(mi_os_way_t way) {
  FILE* file = tmpfile();
  CHECK(file != NULL && fputc('x', file) == 'x' && fflush(file) == 0);
  mi_os_fail_call(MI_OS_MAP_FILE, way, 1, 1);
  CHECK(mi_os_map_file(fileno(file), 1) == NULL && errno == ENOMEM);
  const uint8_t* p = mi_os_map_file(fileno(file), 1);
  CHECK(p != NULL && p[0] == 'x');
  fclose(file);
  CHECK(mi_os_map_file(-1, 1) == NULL && errno == EBADF);
}

/* Whatever fails, no page is left, and what cannot be known is told as no; where only the page is not
   unmapped, it is known. */
static void ask_locked_fails(mi_os_way_t way) {
  errno = 0;
  const bool locked = !TEST_SANITIZED && mlockall(MCL_FUTURE) == 0;
  errno = 0;
  CHECK_EQ(mi_os_locks_memory(), locked);
  const size_t mapped = test_mapped();
  mi_os_fail_call(MI_OS_ASK_LOCKED, way, 1, 1);
  CHECK(!mi_os_locks_memory() && mi_os_locks_memory() == locked && errno == 0);
  CHECK(TEST_SANITIZED || test_mapped() == mapped);
  mi_os_fail_call(MI_OS_RELEASE, way, 1, 1);
  CHECK(mi_os_locks_memory() == locked && errno == 0);
  if (locked) munlockall();
}

static void unlock_fails(mi_os_way_t way) {
  uint8_t* p = filled(10);
  errno = 0;
  const bool locked = !TEST_SANITIZED && mlock(p, SIZE) == 0;
  errno = 0;
  mi_os_fail_call(MI_OS_UNLOCK, way, 1, 1);
  mi_os_unlock(p, SIZE);
  if (locked) CHECK(has_flag(p, " lo") == (way == MI_OS_AT_START) && has_flag(p + SIZE / 2, " lo"));
  mi_os_unlock(p, SIZE);
  CHECK(errno == 0 && !has_flag(p, " lo") && !has_flag(p + SIZE / 2, " lo") && test_filled(p, SIZE, 10));
}

static void table(void) {
  static void (*const fails[MI_OS_CALLS])(mi_os_way_t) = {
    [MI_OS_RESERVE] = &reserve_fails, [MI_OS_COMMIT] = &commit_fails, [MI_OS_PURGE] = &purge_fails,
    [MI_OS_DECOMMIT] = &decommit_fails,
    [MI_OS_RELEASE] = &release_fails, [MI_OS_RESIZE] = &resize_fails, [MI_OS_MOVE] = &move_fails,
    [MI_OS_GROW] = &grow_fails, [MI_OS_MOVE_PAGES] = &move_pages_fails,
    [MI_OS_ADVISE] = &advise_fails, [MI_OS_RESERVE_HUGE] = &reserve_huge_fails,
    [MI_OS_MAP_FILE] = &map_file_fails, [MI_OS_ASK_LOCKED] = &ask_locked_fails,
    [MI_OS_UNLOCK] = &unlock_fails,
  };
  for (int call = 0; call < MI_OS_CALLS; call++) {
    for (mi_os_way_t way = MI_OS_AT_START; way <= MI_OS_TAKEN; way++) {
      errno = 0;
      fails[call](way);
    }
  }
}

static void every_call_every_way(void) { table(); }
static void and_where_every_page_counts(void) {
  mi_os_set_must_commit(true);
  table();
}

/* What is several mappings is not moved; what is one is, wherever in its mapping it lies. */
static void move_pages_of_several_mappings(void) {
  const size_t page = mi_os_page_size();
  uint8_t *p = mi_os_reserve(3 * SIZE, MI_SLICE_SIZE), *to = mi_os_reserve(2 * SIZE, MI_SLICE_SIZE);
  CHECK_EQ(munmap(p + 2 * SIZE, SIZE), 0);                        /* its end has nothing behind it */
  test_fill(p, 2 * SIZE, 1);
  CHECK_EQ(madvise(p + SIZE / 2, page, MADV_DONTDUMP), 0);
  CHECK(mi_os_move_pages(p, to, 2 * SIZE) == MI_OS_NOT && test_filled(p, 2 * SIZE, 1));
  CHECK(mi_os_move_pages(p, to, SIZE / 2 + page) == MI_OS_NOT && test_filled(p, 2 * SIZE, 1));
  CHECK(mi_os_move_pages(p, to, SIZE / 2) == MI_OS_DONE);
  CHECK(mi_os_move_pages(p + SIZE / 2, to + SIZE / 2, page) == MI_OS_DONE);
  CHECK(mi_os_move_pages(p + SIZE / 2 + page, to + SIZE / 2 + page, SIZE) == MI_OS_DONE);
  CHECK(mi_os_move_pages(p + 3 * SIZE / 2 + page, to + 3 * SIZE / 2 + page, SIZE / 2 - page) == MI_OS_DONE);
  CHECK(test_filled(to, 2 * SIZE, 1) && test_all(p, 2 * SIZE, 0) && !is_mapped(p + 2 * SIZE));
}

static void decommit_counts_no_more(void) {
  mi_os_set_must_commit(true);
  const size_t before = test_accounted();
  uint8_t* p = mi_os_reserve(64 * SIZE, MI_SLICE_SIZE);
  CHECK_EQ(test_accounted(), before);
  CHECK(p[5] == 0 && mi_os_commit(p, 32 * SIZE));
  CHECK_EQ(test_accounted(), before + 32 * SIZE);
  memset(p, 1, 32 * SIZE);
  CHECK_EQ(mi_os_decommit(p + SIZE, 31 * SIZE), MI_OS_DONE);
  CHECK_EQ(test_accounted(), before + SIZE);
  CHECK(test_all(p + SIZE, 63 * SIZE, 0) && p[0] == 1);           /* it can be read */
  CHECK(mi_os_commit(p, 64 * SIZE));
  p[64 * SIZE - 1] = p[SIZE] = 1;
}

static void time_and_process(void) {
  const uint64_t before = mi_os_now_ms();
  usleep(30000);
  CHECK(mi_os_now_ms() >= before + 20);
  mi_os_process_t info;
  errno = 5;
  mi_os_process(&info);
  CHECK(info.rss > 0 && info.peak_rss >= info.rss / 2);
  CHECK_EQ(errno, 5);
}

/* A copy of the process has another number than all whose copy it is, also where it has the same pid; who
   shares its memory has the same. */
static uint64_t numbers[3];
static void copies(int depth) {
  errno = 5;
  numbers[depth] = mi_os_process_id();
  CHECK(numbers[depth] != 0 && numbers[depth] == mi_os_process_id() && errno == 5);
  for (int i = 0; i < depth; i++) CHECK(numbers[i] != numbers[depth]);
  const pid_t sharing = vfork();
  if (sharing == 0) _exit(mi_os_process_id() == numbers[depth] ? 0 : 1);
  int status;
  CHECK(waitpid(sharing, &status, 0) == sharing && status == 0);
  for (int kind = 0; kind < 3 && depth < 2; kind++) {
    const pid_t pid = kind == 0 ? fork()
        : (pid_t)syscall(SYS_clone, SIGCHLD | (kind == 1 ? 0 : CLONE_NEWPID), NULL, NULL, NULL, 0);
    if (pid == 0) { copies(depth + 1); _exit(0); }
    if (pid > 0) CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  }
}
static void process_numbers(void) {
  if (test_skips(mi_os_process_id() == (uint64_t)getpid(), "the system does not tell")) return;
  copies(0);
}

/* Each thread has a bell of its own; what was rung before is heard. */
static mi_atomic(uint32_t) bells[2];
static mi_atomic(uint32_t) heard;

static void* wait_at_bell(void* arg) {
  (void)arg;
  mi_os_wait_at(&bells[1], 600000);
  mi_store_release(&heard, 1);                                            /* pairs with bell */
  return NULL;
}

static void bell(void) {
  pthread_t thread;
  errno = 5;
  mi_os_wake_at(&bells[0]);
  CHECK_EQ(errno, 5);
  mi_os_wait_at(&bells[0], 600000);
  CHECK_EQ(bells[0], 0);
  mi_os_wait_at(&bells[0], 1);
  pthread_create(&thread, NULL, &wait_at_bell, NULL);
  mi_os_wake_at(&bells[0]);
  mi_os_sleep_ms(20);
  CHECK_EQ(mi_load_acquire(&heard), 0);                                   /* pairs with wait_at_bell */
  mi_os_wake_at(&bells[1]);
  pthread_join(thread, NULL);
  CHECK_EQ(mi_load_acquire(&heard), 1);                                   /* pairs with wait_at_bell */
}

static mi_lock_t low = MI_LOCK_INIT(MI_RANK_HEAPS), high = MI_LOCK_INIT(MI_RANK_META);
static void wrong_order(void) { mi_lock(&high); mi_lock(&low); }

static void lock_ranks(void) {
  mi_lock(&low);
  mi_lock(&high);
  mi_unlock(&high);
  mi_unlock(&low);
  CHECK_EQ(test_dies(&wrong_order, SIGABRT), MI_CHECK != 0);
}

static int counted;
static void* count_up(void* arg) {
  for (int i = 0; i < 20000; i++) {
    mi_lock(&low);
    counted++;
    mi_unlock(&low);
  }
  return arg;
}

static void lock_excludes(void) {
  pthread_t t[4];
  for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, &count_up, NULL), 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK_EQ(counted, 80000);
}

/* ---- a thread of our own, and what it needs that fails: there is none, and signals are as they were ---- */

int __real_pthread_attr_setdetachstate(pthread_attr_t* attributes, int state);
int __wrap_pthread_attr_setdetachstate(pthread_attr_t* attributes, int state);
int __real_pthread_sigmask(int how, const sigset_t* set, sigset_t* old);
int __wrap_pthread_sigmask(int how, const sigset_t* set, sigset_t* old);

static bool fails_to_detach, fails_to_block;
int __wrap_pthread_attr_setdetachstate(pthread_attr_t* attributes, int state) {
  return fails_to_detach ? EINVAL : __real_pthread_attr_setdetachstate(attributes, state);
}
int __wrap_pthread_sigmask(int how, const sigset_t* set, sigset_t* old) {
  return fails_to_block ? EPERM : __real_pthread_sigmask(how, set, old);
}

static mi_atomic(int) thread_ran;
static void* run_once(void* arg) {
  sigset_t mine;
  CHECK(__real_pthread_sigmask(SIG_BLOCK, NULL, &mine) == 0 && sigismember(&mine, SIGUSR1));
  mi_store_release(&thread_ran, 1);              /* pairs with thread_or_none */
  return arg;
}

static void thread_or_none(void) {
  const uint64_t signals = mi_os_signals();
  for (int i = 0; i < 2; i++) {
    fails_to_detach = i == 0;
    fails_to_block = i == 1;
    errno = 77;
    CHECK(!mi_os_thread_start(&run_once, NULL));
    CHECK(errno == 77 && mi_os_signals() == signals && mi_os_threads() == 1);
  }
  fails_to_block = false;
  CHECK(mi_os_thread_start(&run_once, NULL) && mi_os_signals() == signals);
  test_await(&thread_ran, 1);
}

TEST_MAIN("os", TEST(reserve_aligned), TEST(reserve_too_much), TEST(purge), TEST(resize_and_move),
          TEST(grow), TEST(fail_in), TEST(every_call_every_way), TEST(and_where_every_page_counts),
          TEST(move_pages_of_several_mappings), TEST(decommit_counts_no_more), TEST(time_and_process),
          TEST(process_numbers), TEST(thread_or_none), TEST(bell), TEST(lock_ranks), TEST(lock_excludes))
