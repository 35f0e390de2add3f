/* fork: the child of a process with threads allocates, and frees what others had. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "core/heap.h"
#include "include/mimalloc-stats.h"
#include "test.h"

/* ---- handlers of fork that somebody registered before us ---- */

static void (*others_prepare)(void), (*others_parent)(void), (*others_child)(void);
static void call_prepare(void) { if (others_prepare != NULL) others_prepare(); }
static void call_parent(void) { if (others_parent != NULL) others_parent(); }
static void call_child(void) { if (others_child != NULL) others_child(); }
__attribute__((constructor(101))) static void before_ours(void) {
  pthread_atfork(&call_prepare, &call_parent, &call_child);
}

/* ---- threads that go on ---- */

static mi_atomic(void*) slot[256];
static mi_atomic(bool) stop;

static void* busy(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  while (!mi_load_acquire(&stop)) {
    void* p = mi_malloc(test_random(&r) % 3000);
    CHECK(p != NULL);
    mi_free(mi_exchange_acq_rel(&slot[test_random(&r) % 256], p));
    if (test_random(&r) % 200 == 0) mi_collect(test_random(&r) % 2);
    if (test_random(&r) % 500 == 0) {
      mi_heap_t* heap = mi_heap_new();
      CHECK(heap != NULL && mi_heap_malloc(heap, 100) != NULL);
      mi_heap_destroy(heap);
    }
  }
  return NULL;
}

static void wait_for(pid_t pid) {
  int status;
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHECK_AT(status == 0, "status = %#x", status);
}

static void use_everything(void) {
  void* p[500];
  for (int i = 0; i < 500; i++) {
    CHECK((p[i] = mi_malloc((size_t)i * 37)) != NULL);
    memset(p[i], 1, (size_t)i * 37);
  }
  for (int i = 0; i < 500; i++) mi_free(p[i]);
  mi_collect(true);
}

static void* in_thread(void* arg) { use_everything(); return arg; }

static void in_child(void) {
  alarm(600);
  use_everything();
  for (int i = 0; i < 256; i++) mi_free(slot[i]);        /* of threads that are gone */
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &in_thread, NULL), 0);
  pthread_join(t, NULL);
  mi_heap_t* heap = mi_heap_new();
  CHECK(heap != NULL && mi_heap_malloc(heap, 1000) != NULL);
  mi_heap_delete(heap);
  mi_collect(true);
  _exit(0);
}

static void with_busy_threads(void) {
  pthread_t t[3];
  use_everything();
  for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&t[i], NULL, &busy, (void*)(i + 1)), 0);
  for (int i = 0; i < 40; i++) {
    usleep(2000);
    const pid_t pid = fork();
    if (pid == 0) in_child();
    wait_for(pid);
  }
  mi_store_release(&stop, true);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < 256; i++) mi_free(slot[i]);
  mi_thread_done();
  test_nothing_left();
}

/* The forking thread has no heap of its own. */
static void by_a_thread_without_heap(void) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &busy, (void*)1), 0);
  usleep(20000);
  for (int i = 0; i < 10; i++) {
    const pid_t pid = fork();
    if (pid == 0) in_child();
    wait_for(pid);
  }
  mi_store_release(&stop, true);
  pthread_join(t, NULL);
}

/* Its own heap is whole in the child, and goes on in both. */
static void own_heap(void) {
  void* p[300];
  for (int i = 0; i < 300; i++) test_fill(p[i] = mi_malloc((size_t)i), (size_t)i, (uint64_t)i);
  const pid_t pid = fork();
  for (int i = 0; i < 300; i++) {
    CHECK(test_filled(p[i], (size_t)i, (uint64_t)i));
    mi_free(p[i]);
  }
  mi_collect(true);
  test_nothing_left();
  if (pid == 0) _exit(0);
  wait_for(pid);
}

static void child_of_child(void) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &busy, (void*)1), 0);
  usleep(10000);
  pid_t pid = fork();
  if (pid == 0) {
    use_everything();
    pid = fork();
    if (pid == 0) in_child();
    wait_for(pid);
    in_child();
  }
  wait_for(pid);
  mi_store_release(&stop, true);
  pthread_join(t, NULL);
}

/* A heap that several threads used is ended in the child. */
static mi_heap_t* shared;
static void* use_shared(void* arg) {
  while (!mi_load_acquire(&stop)) {
    void* p = mi_heap_malloc(shared, 100);
    CHECK(p != NULL);
    mi_free(mi_exchange_acq_rel(&slot[(uintptr_t)p / 128 % 256], p));
  }
  return arg;
}
static void shared_heap(void) {
  pthread_t t[2];
  shared = mi_heap_new();
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&t[i], NULL, &use_shared, NULL), 0);
  for (int i = 0; i < 40; i++) {
    usleep(2000);
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(300);
      CHECK(mi_heap_malloc(shared, 100) != NULL);
      (i % 2 ? &mi_heap_destroy : &mi_heap_delete)(shared);
      use_everything();
      _exit(0);
    }
    wait_for(pid);
  }
  mi_store_release(&stop, true);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
}

/* What others were just purging when the process forked nobody gives back in the child, so nobody
   waits for it there. */
static void* purge_for_ever(void* arg) {
  while (!mi_load_acquire(&stop)) {
    void* p = mi_malloc(3 * MI_MiB);
    CHECK(p != NULL);
    memset(p, 1, 3 * MI_MiB);
    mi_free(p);
    mi_collect(true);
  }
  return arg;
}

static long nsleeps(void) {
  struct rusage usage;
  CHECK_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_nvcsw;
}

/* It slept less often than one does who waits. */
static bool full_is_seen_at_once(mi_heap_t* heap) {
  const long before = nsleeps();
  CHECK(mi_heap_malloc(heap, MI_MiB) == NULL);
  return nsleeps() - before < 50;
}

static void others_purge(void) {
  pthread_t t[2];
  mi_arena_id_t arena;
  test_expect_errors();
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, true, &arena), 0);
  mi_heap_t* heap = mi_heap_new_in_arena(arena);
  CHECK(mi_heap_malloc(heap, 900000) != NULL);
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&t[i], NULL, &purge_for_ever, NULL), 0);
  for (int i = 0; i < 60; i++) {
    usleep(1000 + 100 * (unsigned)i);
    const pid_t pid = fork();
    if (pid == 0) {
      CHECK(full_is_seen_at_once(heap));
      _exit(0);
    }
    wait_for(pid);
  }
  mi_store_release(&stop, true);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
}

/* ---- the child of who has others' handlers, which allocate ---- */

static int nhandled;
static void use_in_handler(void) {
  static void* kept[8];
  nhandled++;
  for (int i = 0; i < 8; i++) {
    mi_free(kept[i]);
    CHECK((kept[i] = mi_malloc((size_t)i * 10000)) != NULL);
  }
  mi_heap_t* heap = mi_heap_new();
  CHECK(heap != NULL && mi_heap_malloc(heap, 100) != NULL && mi_heap_malloc(heap, 300000) != NULL);
  (nhandled % 2 ? &mi_heap_delete : &mi_heap_destroy)(heap);
  mi_collect(nhandled % 3 == 0);
}

static void* fork_often(void* arg) {
  for (int i = 0; i < 30; i++) {
    const pid_t pid = fork();
    if (pid == 0) in_child();
    wait_for(pid);
  }
  return arg;
}

static void handlers_allocate(void) {
  pthread_t t;
  others_prepare = others_parent = others_child = &use_in_handler;
  CHECK_EQ(pthread_create(&t, NULL, &busy, (void*)1), 0);
  fork_often(NULL);
  pthread_t forker;
  CHECK_EQ(pthread_create(&forker, NULL, &fork_often, NULL), 0);
  pthread_join(forker, NULL);
  mi_store_release(&stop, true);
  pthread_join(t, NULL);
  CHECK_EQ(nhandled, 120);
  CHECK_EQ(mi_check_all(), 0);
}

/* In a handler that forks, once. */
static bool forks_within;
static void fork_in_handler(void) {
  if (forks_within) return;
  forks_within = true;
  const pid_t pid = fork();
  if (pid == 0) in_child();
  wait_for(pid);
}
static void handlers_fork(void) {
  others_prepare = &fork_in_handler;
  fork_often(NULL);
  others_prepare = NULL;
  forks_within = false;
  others_parent = &fork_in_handler;
  fork_often(NULL);
  mi_thread_done();
  test_nothing_left();
}

/* ---- what who is gone had begun ---- */

static mi_page_t* pinned;                /* as by a free that is under way */
static void pin(void* p) {
  pinned = mi_page_of(p);
  CHECK(mi_remote_pin(&pinned->xword, mi_load_acquire(&pinned->xword)));
}
static void unpin(void) { CHECK((mi_sub_relaxed(&pinned->xword, MI_XPIN_ONE) & MI_XPIN_MASK) != 0); }

static mi_heap_t* doomed;
static void destroy_doomed(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);      /* signals wait while this is called in a handler of fork */
  alarm(20);
  mi_heap_destroy(doomed);
}

/* Frees that had their page pinned: of more than one block, of one, with a mapping of its own. In the child
   the heap can end; also in a handler that comes before ours. */
static void pinned_pages(void) {
  static const size_t sizes[] = { 100, 20000, 300000, (size_t)600 << 20 };
  for (int i = 0; i < 8; i++) {
    doomed = mi_heap_new();
    pin(mi_heap_malloc(doomed, sizes[i % 4]));
    others_child = i < 4 ? NULL : &destroy_doomed;
    const pid_t pid = fork();
    if (pid == 0) {
      if (i < 4) destroy_doomed();
      in_child();
    }
    wait_for(pid);
    unpin();
    mi_heap_destroy(doomed);
  }
  mi_thread_done();
  test_nothing_left();
}

/* The same where parent and child have the same pid: each is the first process of a namespace. */
static void pinned_pages_of_the_same_pid(void) {
  const pid_t first = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, NULL, NULL, NULL, 0);
  if (test_skips(first < 0, "there can be no namespaces here")) return;
  if (first == 0) {
    CHECK(getpid() == 1 && unshare(CLONE_NEWPID) == 0);
    doomed = mi_heap_new();
    pin(mi_heap_malloc(doomed, 100));
    others_child = &destroy_doomed;
    const pid_t pid = fork();
    if (pid == 0) {
      CHECK_EQ(getpid(), 1);
      in_child();
    }
    wait_for(pid);
    _exit(0);
  }
  /* the first process of a namespace does not heed its own alarm */
  int status = -1;
  for (int ms = 0; ms < 60000 && waitpid(first, &status, WNOHANG) == 0; ms += 10) usleep(10000);
  if (status == -1) kill(first, SIGKILL);
  CHECK_AT(status == 0, "status = %#x", status);
}

/* A heap's end under way: the child frees its blocks, ends others. */
enum { MANY = MI_HARD ? 3000 : 30000 };
static void* doomed_block[MANY];
static mi_atomic(bool) ending;
static void* end_heap(void* destroy) {
  mi_store_release(&ending, true);
  (destroy != NULL ? &mi_heap_destroy : &mi_heap_delete)(doomed);
  return NULL;
}

static void heap_is_ended(void) {
  for (int i = 0; i < 24; i++) {
    const bool destroy = i % 2;
    pthread_t t;
    doomed = mi_heap_new();
    for (int k = 0; k < MANY; k++) CHECK((doomed_block[k] = mi_heap_malloc(doomed, 8000)) != NULL);
    mi_store_release(&ending, false);
    CHECK_EQ(pthread_create(&t, NULL, &end_heap, destroy ? doomed : NULL), 0);
    while (!mi_load_acquire(&ending)) sched_yield();
    usleep((unsigned)i * 200);
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(60);
      for (int k = 0; !destroy && k < MANY; k++) mi_free(doomed_block[k]);
      in_child();
    }
    wait_for(pid);
    pthread_join(t, NULL);
    for (int k = 0; !destroy && k < MANY; k++) mi_free(doomed_block[k]);
  }
  mi_thread_done();
  test_nothing_left();
}

/* A visit under way, of a page of many blocks and one with a mapping of its own; and pages of a
   thread that is gone. */
static mi_atomic(int) visiting;
static bool stay(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size, void* arg) {
  (void)heap; (void)area; (void)block; (void)size; (void)arg;
  if (mi_load_acquire(&visiting) == 0) mi_store_release(&visiting, 1);
  while (mi_load_acquire(&visiting) == 1) usleep(100);
  return true;
}
static bool count_blocks(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size,
                         void* arg) {
  (void)heap; (void)area; (void)size;
  *(size_t*)arg += block != NULL;
  return true;
}
static void* visit(void* arg) {
  for (int i = 0; i < 100; i++) CHECK(mi_heap_malloc(shared, 100) != NULL);
  CHECK(mi_heap_visit_blocks(shared, true, &stay, NULL));
  return arg;
}

static void heap_is_visited(void) {
  for (int i = 0; i < 4; i++) {
    pthread_t t;
    size_t n = 0;
    shared = mi_heap_new();
    void* p = mi_heap_malloc(shared, (size_t)600 << 20);
    void* q = mi_heap_malloc(shared, 1000);
    CHECK(p != NULL && q != NULL);
    mi_store_release(&visiting, 0);
    CHECK_EQ(pthread_create(&t, NULL, &visit, NULL), 0);
    while (mi_load_acquire(&visiting) == 0) usleep(100);
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(20);
      if (i >= 2) mi_free(p);
      /* what is held by who is gone is left out */
      CHECK(mi_heap_visit_blocks(shared, true, &count_blocks, &n) && n <= 2);
      CHECK(mi_stats_get_json(0, NULL) != NULL);
      (i % 2 ? &mi_heap_destroy : &mi_heap_delete)(shared);
      in_child();
    }
    wait_for(pid);
    mi_store_release(&visiting, 2);
    pthread_join(t, NULL);
    mi_heap_destroy(shared);
  }
  mi_thread_done();
  test_nothing_left();
}

/* The visitor itself forks, and goes on in both. */
static bool fork_once(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size,
                      void* arg) {
  (void)heap; (void)area; (void)size;
  pid_t* pid = arg;
  if (block != NULL && *pid < 0) *pid = fork();
  return true;
}
static void visitor_forks(void) {
  pid_t pid = -1;
  mi_heap_t* heap = mi_heap_new();
  void* p[3] = { mi_heap_malloc(heap, 100), mi_heap_malloc(heap, 300000),
                 mi_heap_malloc(heap, (size_t)600 << 20) };
  CHECK(mi_heap_visit_blocks(heap, true, &fork_once, &pid) && pid >= 0);
  for (int i = 0; i < 3; i++) mi_free(p[i]);
  mi_heap_delete(heap);
  if (pid == 0) in_child();
  wait_for(pid);
  mi_thread_done();
  test_nothing_left();
}

/* ---- from a signal's handler ---- */

static mi_atomic(int) nsignals, nanswered;       /* in which it forked; and those in which it may not */
static bool asks_first;                  /* test_may_fork */
static void fork_in_signal(int sig, siginfo_t* info, void* context) {
  int status;
  const int saved = errno;
  (void)sig, (void)info;
  if (asks_first && !test_may_fork(context)) { nanswered++; return; }
  const pid_t pid = fork();
  if (pid == 0) {
    if (nsignals % 2 == 0) _exit(0);
    alarm(20);
    mi_store_relaxed(&stop, true);       /* the child goes on in what was interrupted, and ends soon */
    errno = saved;
    return;
  }
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  CHECK_AT(pid > 0 && status == 0, "status = %#x", status);
  nsignals++;
  nanswered++;                           /* pairs with in_a_signal_in_fork_of_another */
  errno = saved;
}

static const pid_t* parent_pid;
static void signals_begin(void) {
  static pid_t pid;
  pid = getpid();
  parent_pid = &pid;
  struct sigaction action = { .sa_sigaction = &fork_in_signal, .sa_flags = SA_RESTART | SA_SIGINFO };
  CHECK_EQ(sigaction(SIGPROF, &action, NULL), 0);
}
static void timer_set(long us) {
  const struct itimerval timer = { { 0, us }, { 0, us } };
  CHECK_EQ(setitimer(ITIMER_PROF, &timer, NULL), 0);
}
static void signals_end(void) {
  timer_set(0);
  signal(SIGPROF, SIG_IGN);
  if (getpid() != *parent_pid) _exit(0);
}

static void fork_until(int n) {
  int status;
  while (nsignals < n && !mi_load_relaxed(&stop)) {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  }
}

static void in_a_signal_in_fork(void) {
  signals_begin();
  timer_set(1000);
  fork_until(100);
  signals_end();
}

/* The same in a process with threads, of which one that is not the first forks. */
static void* forks_until_100(void* arg) {
  fork_until(100);
  if (getpid() != *parent_pid) _exit(0);
  return arg;
}
static void in_a_signal_in_fork_of_another(void) {
  uint64_t r = 1;
  pthread_t t;
  if (test_skips(!test_knows_libc(), "the C library may wait for itself")) return;
  asks_first = true;
  signals_begin();
  CHECK_EQ(pthread_create(&t, NULL, &forks_until_100, NULL), 0);
  while (nsignals < 100) {
    const int before = mi_load_acquire(&nanswered);                       /* pairs with fork_in_signal */
    usleep((useconds_t)(test_random(&r) % 1000));
    if (nsignals == 100 || pthread_kill(t, SIGPROF) != 0) break;          /* it ends by then */
    while (mi_load_acquire(&nanswered) == before) usleep(50);             /* pairs with fork_in_signal */
  }
  pthread_join(t, NULL);
  CHECK_EQ(nsignals, 100);
}

/* It may interrupt whatever takes a lock. */
static void slow_paths(void) {
  mi_heap_t* heap = mi_heap_new();
  void* p = mi_heap_malloc(heap, 100);
  void* q = mi_heap_malloc(heap, 100000);
  void* r = mi_malloc((size_t)600 << 20);
  CHECK(p != NULL && q != NULL && r != NULL);
  mi_free(p);
  mi_free(r);
  mi_free(q);
  mi_heap_destroy(heap);
  mi_collect(true);
}

static void in_a_signal_in_malloc(void) {
  signals_begin();
  slow_paths();
  timer_set(2000);
  while (nsignals < 100 && !mi_load_relaxed(&stop)) slow_paths();
  signals_end();
  mi_thread_done();
  CHECK_EQ(mi_check_all(), 0);
}

static void in_a_signal_among_threads(void) {
  sigset_t set;
  pthread_t t;
  signals_begin();
  sigemptyset(&set);
  sigaddset(&set, SIGPROF);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  CHECK_EQ(pthread_create(&t, NULL, &busy, (void*)1), 0);        /* it forks not */
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  timer_set(4000);
  while (nsignals < 60 && !mi_load_relaxed(&stop)) slow_paths();
  signals_end();
  mi_store_release(&stop, true);
  pthread_join(t, NULL);
  CHECK_EQ(mi_check_all(), 0);
}

/* ---- from a signal's handler, behind each instruction: the processor's trap flag calls it there ---- */

#ifdef __x86_64__
enum { TRAP_FLAG = 0x100, STEPS_MAX = 4000 };
static volatile bool stepping, stepped_child;
static int nsteps;
static void (*at_step)(void);

static void trapped(int sig, siginfo_t* info, void* context) {
  greg_t* flags = &((ucontext_t*)context)->uc_mcontext.gregs[REG_EFL];
  (void)sig; (void)info;
  if (stepping && nsteps++ < STEPS_MAX) at_step();
  if (!stepping || nsteps >= STEPS_MAX) *flags &= ~(greg_t)TRAP_FLAG;
}

/* The child goes on in what was interrupted. */
static void fork_at_step(void) {
  const int saved = errno;
  const pid_t pid = fork();
  if (pid != 0) wait_for(pid);
  else {
    alarm(600);
    stepping = false;
    stepped_child = true;
  }
  errno = saved;
}

static void step_through(void (*work)(void), void (*step)(void)) {
  struct sigaction action = { .sa_sigaction = &trapped, .sa_flags = SA_SIGINFO };
  CHECK_EQ(sigaction(SIGTRAP, &action, NULL), 0);
  at_step = step;
  stepping = true;
  __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
  work();
  __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
  stepping = false;
}

/* One block of each of four pages; those in which nothing was left are taken back. */
enum { FULL_BLOCKS = 4 * 128 + 1 };
static void* full[FULL_BLOCKS];
static void free_in_full_pages(void) { for (int i = 0; i < FULL_BLOCKS; i += 128) mi_free(full[i]); }

static void in_each_step_of_a_free(void) {
  test_expect_errors();
  for (int i = 0; i < FULL_BLOCKS; i++) CHECK((full[i] = mi_malloc(512)) != NULL);
  step_through(&free_in_full_pages, &fork_at_step);
  CHECK(nsteps > 0 && test_nerrors == 0);         /* none of these blocks was free before */
  CHECK_EQ(mi_check_all(), 0);
  if (stepped_child) _exit(0);
}

static void purge_all(void) { mi_purge_all(); }

/* Whoever finds no room waits for those that purge: not for one who is gone. */
static void in_each_step_of_a_purge(void) {
  struct rusage before, after;
  mi_free(mi_malloc(200000));
  step_through(&purge_all, &fork_at_step);
  if (!stepped_child) return;
  getrusage(RUSAGE_SELF, &before);
  for (int i = 0; i < 6; i++) CHECK(mi_malloc(3 * MI_MiB / 2) != NULL);   /* more than there is */
  getrusage(RUSAGE_SELF, &after);
  /* it would sleep a hundred times */
  CHECK_AT(after.ru_nvcsw - before.ru_nvcsw < 90, "%ld", after.ru_nvcsw - before.ru_nvcsw);
  _exit(0);
}

static mi_lock_t low = MI_LOCK_INIT(MI_RANK_HEAPS), high = MI_LOCK_INIT(MI_RANK_META);
static void* lock_both(void* arg) {
  while (!mi_load_acquire(&stop)) {
    mi_lock(&low);
    mi_lock(&high);
    mi_unlock(&high);
    mi_unlock(&low);
  }
  return arg;
}
static void lock_high(void) {
  mi_lock(&high);
  mi_unlock(&high);
}
static void take_locks(void) {
  /* the other has it soon */
  while ((high.xholder & ~(uintptr_t)1) == mi_os_thread() && low.xholder == 0) sched_yield();
  mi_fork_enter();
  mi_lock(&low);
  mi_lock(&high);
  CHECK(mi_fork_leave(false));
  mi_unlock(&high);
  mi_unlock(&low);
  mi_fork_left();
}

/* Another thread has a lock, and waits for the one that is being opened. */
static void in_each_step_of_a_lock(void) {
  pthread_t t;
  alarm(120);
  CHECK_EQ(pthread_create(&t, NULL, &lock_both, NULL), 0);
  step_through(&lock_high, &take_locks);
  mi_store_release(&stop, true);
  pthread_join(t, NULL);
  CHECK(low.xholder == 0 && high.xholder == 0);
}
#else
static void no_steps(void) { test_skips(true, "the processor has no trap flag"); }
static void in_each_step_of_a_free(void) { no_steps(); }
static void in_each_step_of_a_purge(void) { no_steps(); }
static void in_each_step_of_a_lock(void) { no_steps(); }
#endif

/* A lock that was taken before is left to who has it; those that fork took are open again, in both. */
static void locks(void) {
  static mi_lock_t before = MI_LOCK_INIT(MI_RANK_HEAPS), after = MI_LOCK_INIT(MI_RANK_META);
  mi_lock(&before);
  mi_fork_enter();
  CHECK(mi_forking());
  mi_lock(&before);
  mi_lock(&after);
  mi_lock(&after);
  mi_unlock(&after);
  mi_unlock(&before);
  CHECK(before.xholder == mi_os_thread() && after.xholder == mi_os_thread());
  mi_fork_enter();                               /* a fork within a fork: the locks stay */
  CHECK(!mi_fork_leave(false) && mi_forking());
  CHECK(mi_fork_leave(false));
  mi_unlock(&after);
  mi_unlock(&before);
  CHECK(after.xholder == 0 && before.xholder == mi_os_thread());
  mi_fork_left();
  CHECK(!mi_forking() && !mi_fork_leave(false));
  mi_unlock(&before);
  CHECK(before.xholder == 0);
}

TEST_MAIN("fork", TEST(with_busy_threads), TEST(by_a_thread_without_heap), TEST(own_heap),
          TEST(child_of_child), TEST(shared_heap), TEST(others_purge), TEST(handlers_allocate),
          TEST(handlers_fork), TEST(pinned_pages), TEST(pinned_pages_of_the_same_pid), TEST(heap_is_ended),
          TEST(heap_is_visited), TEST(visitor_forks), TEST(in_a_signal_in_fork),
          TEST(in_a_signal_in_fork_of_another),
          TEST(in_a_signal_in_malloc), TEST(in_a_signal_among_threads), TEST(in_each_step_of_a_free),
          TEST(in_each_step_of_a_purge), TEST(in_each_step_of_a_lock), TEST(locks))
