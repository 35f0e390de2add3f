/* purger.h, pool_round.h: memory that comes back when nobody calls anything; and the limit of
   what is committed. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/pool_round.h"
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

static bool little_is_committed(void) { return mi_load_relaxed(&mi_commit_totals.xcommitted) <= 4 * MI_MiB; }
#ifdef __SANITIZE_THREAD__               /* whose shadow is resident too, and which allows no thread in
                                            the child of a fork */
static bool little_is_resident(void) { return true; }
#define FORK_TESTS
#else
static bool little_is_resident(void) { return test_rss() < 24 * MI_MiB; }
#define FORK_TESTS TEST(main_ends), TEST(exit_handlers_have_their_signals), TEST(started_in_real_time), \
  TEST(main_ends_and_a_signal_comes), TEST(in_a_child), \
  TEST(in_a_child_of_the_same_pid), TEST(in_a_child_of_vfork),
#endif

static void with_thread(long delay) {
  mi_option_set(mi_option_purge_thread, 1);
  mi_option_set(mi_option_purge_delay, delay);
}

/* As large as numerical programs have it; the C library takes it from each thread's stack, ours too. */
static __thread char tls[2 * 1024 * 1024];

#ifdef __SANITIZE_THREAD__  /* which has threads of its own, so by default there is one of ours, too */
static bool one_thread(void) { return !mi_purger_has_thread(); }
static bool stays_alone(void) { return true; }
#else
static bool stays_alone(void) { return mi_os_threads() == 1; }
static bool one_thread(void) { return mi_os_threads() == 1 && !mi_purger_has_thread(); }
#endif
static bool has_thread(void) { return mi_purger_has_thread(); }
static bool no_thread(void) { return !mi_purger_has_thread(); }

static void purges_when_all_are_idle(void) {
  tls[1000000] = 1;
  with_thread(30);
  for (int again = 0; again < 3; again++) {
    use(BLOCKS, MI_MiB);
    CHECK(test_rss() > BLOCKS * MI_MiB);
    drop(BLOCKS);
    CHECK(has_thread());
    CHECK(within(20000, &little_is_committed) && within(20000, &little_is_resident));
    CHECK(within(20000, &one_thread));           /* it ends by itself */
  }
  CHECK_EQ(mi_check_all(), 0);
}

/* ---- without a thread ---- */

/* Nobody allocates or frees any more: what is younger than the delay stays, but not most of
   what is resident. */
static void not_without_it(void) {
  mi_option_set(mi_option_purge_delay, 1000000);
  use(BLOCKS, MI_MiB);
  drop(BLOCKS);
  CHECK(mi_load_relaxed(&mi_commit_totals.xcommitted) <= 16 * MI_MiB && one_thread());
  use(BLOCKS, MI_MiB);
  drop(BLOCKS / 8);
  CHECK(mi_load_relaxed(&mi_commit_totals.xcommitted) >= BLOCKS * MI_MiB || MI_HARD);
  for (size_t i = BLOCKS / 8; i < BLOCKS; i++) mi_free(block[i]);
  mi_collect(true);
  CHECK(little_is_committed());
}

/* A burst of frees that lasts for many delays is the last thing that a program of one
   thread does for long. */
enum { BURST_DELAY = 60, BURST_MOST = 110000 };
static void* burst_block[BURST_MOST];
static size_t burst_size[BURST_MOST];

/* of each `keep` blocks one stays */
typedef struct { const char* name; size_t least, most, n, keep; bool shuffled; } burst_t;

enum { TOUCHED_MOST = 1 << 18 };                 /* OS pages */
static uint8_t touched[TOUCHED_MOST];
static size_t ntouched;
static void touch(const void* p, size_t size, uintptr_t from) {
  for (uintptr_t i = ((uintptr_t)p - from) / 4096; i <= ((uintptr_t)p - from + size - 1) / 4096; i++) {
    if (i < TOUCHED_MOST && !touched[i]) touched[i] = 1, ntouched++;
  }
}

static uint64_t freed_at[BURST_MOST];
static size_t burst_order[BURST_MOST];

static void burst_frees(const burst_t* b) {
  uint64_t r = 5;
  for (size_t i = 0; i < b->n; i++) burst_order[i] = i;
  for (size_t i = b->n - 1; b->shuffled && i > 0; i--) {
    const size_t j = (size_t)(test_random(&r) % (i + 1)), k = burst_order[i];
    burst_order[i] = burst_order[j], burst_order[j] = k;
  }
  for (size_t i = 0, k; i < b->n; i++) {
    if ((k = burst_order[i]) % b->keep == 0) continue;
    mi_free(burst_block[k]);
    freed_at[k] = mi_os_now_ms();
    if (i % (b->n / 100 + 1) == 0) usleep(BURST_DELAY * 200);             /* a hundred times: twenty delays */
  }
}

/* Is resident, at the end, little more than the OS pages in which there are live blocks or some that were
   freed within a delay? */
static bool burst_comes_back(const burst_t* b) {
  uint64_t r = b->n;
  uintptr_t from = UINTPTR_MAX;
  const size_t before = test_rss();
  for (size_t i = 0; i < b->n; i++) {
    burst_size[i] = b->least + (size_t)(test_random(&r) % (b->most - b->least + 1));
    memset(made(burst_block[i] = mi_malloc(burst_size[i])), 1, burst_size[i]);
    from = mi_min(from, (uintptr_t)burst_block[i] & ~(uintptr_t)4095);
  }
  burst_frees(b);
  const uint64_t now = mi_os_now_ms();
  const size_t resident = test_rss() - mi_min(before, test_rss());
  CHECK(stays_alone());
  memset(touched, 0, sizeof touched), ntouched = 0;
  for (size_t i = 0; i < b->n; i++) {
    if (i % b->keep == 0 || freed_at[i] + BURST_DELAY + 8 > now) touch(burst_block[i], burst_size[i], from);
  }
  for (size_t i = 0; i < b->n; i += b->keep) mi_free(burst_block[i]);
  /* the program's own tables */
  const bool ok = resident <= ntouched * 4096 + ntouched * 4096 / 10 * 3 + 3 * MI_MiB;
  if (!ok)
    fprintf(stderr, "%s: resident %zu KiB, live or young %zu\n", b->name, resident / 1024, ntouched * 4);
  return ok;
}

/* Where the system lets the process wait just before the end, everything is old: then once more. */
static void burst(const burst_t* b) {
  mi_option_set(mi_option_purge_thread, -1);
  mi_option_set(mi_option_purge_delay, BURST_DELAY);
  memset(burst_block, 0, sizeof burst_block), memset(burst_size, 0, sizeof burst_size);
  memset(freed_at, 0, sizeof freed_at), memset(burst_order, 1, sizeof burst_order),
      memset(touched, 1, sizeof touched);
  for (int i = 0; i < 8; i++) {
    if (burst_comes_back(b) || TEST_SANITIZED) return;
    mi_collect(true);
  }
  CHECK_AT(false, "%s: resident too much", b->name);
}
static void burst_of_700(void) { burst(&(burst_t){ "700", 700, 700, 100000, 50, false }); }
static void burst_of_700_shuffled(void) { burst(&(burst_t){ "700", 700, 700, 40000, 50, true }); }
static void burst_of_large(void) { burst(&(burst_t){ "MiB", MI_MiB, MI_MiB, 150, 150, false }); }
static void burst_of_pages(void) { burst(&(burst_t){ "4 to 64 KiB", 4096, 65536, 3000, 10, true }); }
static void burst_of_60k(void) { burst(&(burst_t){ "60000", 60000, 60000, 2500, 20, false }); }
static void burst_of_all(void) { burst(&(burst_t){ "mixed", 100, 30000, 8000, 25, true }); }

/* ---- when there is one ---- */

static void* wait_for_stop(void* arg) {
  while (!mi_load_relaxed(&test_stop)) usleep(1000);
  return arg;
}

/* By default: not in a process of one thread, one that had others among them; in one that has another. */
static void by_default(void) {
  pthread_t t;
  mi_option_set(mi_option_purge_thread, -1);
  mi_option_set(mi_option_purge_delay, 30);
  for (int i = 0; i < 4; i++) {
    use(BLOCKS, MI_MiB);
    drop(BLOCKS);
    usleep(5000);
    CHECK(stays_alone());
  }
  CHECK_EQ(pthread_create(&t, NULL, &wait_for_stop, NULL), 0);
  use(BLOCKS, MI_MiB);
  drop(BLOCKS);
  CHECK(has_thread() || MI_HARD);
  CHECK(within(20000, &little_is_committed));
  mi_store_relaxed(&test_stop, true);
  pthread_join(t, NULL);
  CHECK(within(20000, &one_thread));
  for (int i = 0; i < 4; i++) {                  /* whose threads have ended: it is one of one thread again */
    use(BLOCKS, MI_MiB);
    drop(BLOCKS);
    CHECK(stays_alone());
  }
}

static void never(void) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &wait_for_stop, NULL), 0);
  mi_option_set(mi_option_purge_delay, 30);
  use(BLOCKS, MI_MiB);
  drop(BLOCKS);
  CHECK(!has_thread());
  mi_option_set(mi_option_purge_thread, 1);
  use(BLOCKS, MI_MiB);
  drop(BLOCKS);
  CHECK(has_thread());
  mi_option_set(mi_option_purge_thread, 0);      /* and it ends */
  for (int i = 0; i < 4000 && has_thread(); i++) usleep(5000);
  CHECK(!has_thread());
  mi_store_relaxed(&test_stop, true);
  pthread_join(t, NULL);
}

/* Whoever ends a heap may be the last who calls anything. */
static void a_heap_ends(void) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &wait_for_stop, NULL), 0);
  mi_option_set(mi_option_purge_thread, -1);
  mi_option_set(mi_option_purge_delay, 30);
  mi_heap_t* heap = mi_heap_new();
  CHECK(heap != NULL);
  for (size_t i = 0; i < BLOCKS; i++) test_fill(made(mi_heap_malloc(heap, MI_MiB)), MI_MiB, i);
  CHECK(MI_HARD || !has_thread());
  mi_heap_destroy(heap);
  CHECK(has_thread() && within(20000, &little_is_committed));
  mi_store_relaxed(&test_stop, true);
  pthread_join(t, NULL);
}

/* What another freed in a thread's pages comes free when that thread gives them up, or ends: it, too, may be
   the last. */
enum { ENDS, SLEEPS, COLLECTS };
static mi_atomic(int) xmoment;
static void* sleeps_or_ends(void* what) {
  const int how = (int)(intptr_t)what;
  for (size_t i = 0; i < 4000; i++) test_fill(made(block[i] = mi_malloc(8000)), 8000, i);
  for (size_t i = 0; i < 4000; i += 4) {         /* so that the pages are its own */
    mi_free(block[i]);
    block[i] = NULL;
  }
  mi_store_release(&xmoment, 1);                 /* pairs with freed_by_another */
  while (mi_load_acquire(&xmoment) == 1) usleep(1000);                    /* pairs with freed_by_another */
  if (how == SLEEPS) mi_thread_idle();
  if (how == COLLECTS) mi_collect(false);
  if (how != ENDS) wait_for_stop(NULL);
  return NULL;
}
static void freed_by_another(int how) {
  pthread_t t;
  mi_option_set(mi_option_purge_thread, -1);
  mi_option_set(mi_option_purge_delay, 30);
  CHECK_EQ(pthread_create(&t, NULL, &sleeps_or_ends, (void*)(intptr_t)how), 0);
  while (mi_load_acquire(&xmoment) == 0) usleep(1000);                    /* pairs with sleeps_or_ends */
  drop(4000);
  CHECK(within(20000, &no_thread));
  CHECK(MI_HARD || mi_load_relaxed(&mi_commit_totals.xcommitted) > 24 * MI_MiB);
  mi_store_release(&xmoment, 2);                 /* pairs with sleeps_or_ends */
  CHECK(within(20000, &little_is_committed));
  mi_store_relaxed(&test_stop, true);
  pthread_join(t, NULL);
}
static void a_thread_sleeps(void) { freed_by_another(SLEEPS); }
static void a_thread_collects(void) { freed_by_another(COLLECTS); }
static void a_thread_ends(void) { freed_by_another(ENDS); }

/* There is no address space for its stack: nothing is said, and slow paths do what it would. */
static void cannot_be_made(void) {
  int text[2];
  char c;
  struct rlimit limit = { 0 };
  with_thread(1000000);
  use(BLOCKS, MI_MiB);
  limit.rlim_cur = limit.rlim_max = test_mapped() + 512 * 1024;
  CHECK(pipe(text) == 0 && dup2(text[1], 2) == 2 && fcntl(text[0], F_SETFL, O_NONBLOCK) == 0);
  CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  mi_option_set(mi_option_purge_delay, 30);
  drop(BLOCKS);
  CHECK(one_thread());
  for (int i = 0; i < 4000 && !little_is_committed(); i++) {
    for (int k = 0; k < 64; k++) mi_free(mi_malloc(700000));
    usleep(2000);
  }
  CHECK(little_is_committed() && one_thread());
  CHECK(read(text[0], &c, 1) < 0);
}

/* A lower delay holds at once. */
static void lowered(void) {
  with_thread(1000000);
  use(BLOCKS, MI_MiB);
  drop(BLOCKS);
  CHECK(has_thread());
  usleep(100000);
  mi_option_set(mi_option_purge_delay, 20);
  CHECK(within(20000, &little_is_committed));
}

/* It ends and begins all the time: what is freed just then is not forgotten. */
static void begins_and_ends(void) {
  with_thread(2);
  for (unsigned i = 0; i < 300; i++) {
    for (int k = 0; k < 3; k++) made(block[k] = mi_malloc(600000));
    drop(3);
    usleep(i * 17 % 5000);
    if (i % 10 == 0) CHECK_AT(within(20000, &little_is_committed), "i = %u", i);
  }
  CHECK(within(20000, &one_thread));
}

#ifndef __SANITIZE_THREAD__
static void* short_work(void* arg) {
  use(BLOCKS, MI_MiB);
  drop(BLOCKS);
  return arg;
}

/* main ends by pthread_exit: the process ends when its other threads have, whatever is still due. */
static void main_ends(void) {
  const long delay[] = { 30, 1000000 };
  for (int i = 0; i < 2; i++) {
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      pthread_t t;
      with_thread(delay[i]);
      if (pthread_create(&t, NULL, &short_work, NULL) != 0) _exit(1);
      pthread_detach(t);
      pthread_exit(NULL);
    }
    int status = -1, ended = 0;
    for (int ms = 0; ms < 30000 && (ended = waitpid(pid, &status, WNOHANG)) == 0; ms += 10) usleep(10000);
    if (ended == 0) kill(pid, SIGKILL);
    CHECK_AT(ended == pid && status == 0, "delay %ld, status %d", delay[i], status);
  }
}

/* The last thread, ours, calls the exit handlers: they find the signals blocked that the program's were. */
static void look_at_signals(void) {
  sigset_t blocked;
  if (pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0) _exit(1);
  _exit(!sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGUSR1) ? 7 : 8);
}

static void exit_handlers_have_their_signals(void) {
  int status;
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    pthread_t t;
    sigset_t set;
    with_thread(1000000);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    if (atexit(&look_at_signals) != 0 || pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) _exit(1);
    if (pthread_create(&t, NULL, &short_work, NULL) != 0) _exit(1);
    pthread_detach(t);
    pthread_exit(NULL);
  }
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_AT(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status = %#x", status);
}

/* Of those that this process has, but this thread. */
static bool no_thread_is_real_time(void) {
  bool all = true;
  DIR* tasks = opendir("/proc/self/task");
  CHECK(tasks != NULL);
  for (struct dirent* e; (e = readdir(tasks)) != NULL; ) {
    const pid_t id = atoi(e->d_name);
    const int policy = id == 0 || id == getpid() ? -1 : sched_getscheduler(id);
    all &= policy != SCHED_FIFO && policy != SCHED_RR;
  }
  closedir(tasks);
  return all;
}

/* One that a real-time thread starts is none. */
static void started_in_real_time(void) {
  for (int policy = SCHED_FIFO; policy <= SCHED_RR; policy++) {
    struct sched_param p = { .sched_priority = 1 };
    if (test_skips(sched_setscheduler(0, policy, &p) != 0, "there may be no real-time threads")) return;
    with_thread(1000000);
    use(BLOCKS, MI_MiB);
    drop(BLOCKS);
    CHECK(has_thread());
    p.sched_priority = 0;
    CHECK_EQ(sched_setscheduler(0, SCHED_OTHER, &p), 0);
    CHECK(within(20000, &no_thread_is_real_time));
    mi_option_set(mi_option_purge_thread, 0);
    CHECK(within(20000, &one_thread));
  }
}

static int main_has_ended[2];            /* a pipe: who is left says so */
static pthread_t left;

/* The signal comes to a thread of the program's, not to ours. */
static void on_term(int sig) {
  (void)sig;
  _exit(pthread_equal(pthread_self(), left) ? 7 : 8);
}

static bool main_is_gone(void) {
  char name[64], state = 0;
  snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)getpid());
  FILE* f = fopen(name, "r");
  if (f == NULL || fscanf(f, "%*d (%*[^)]) %c", &state) != 1) _exit(1);
  fclose(f);
  return state == 'Z';
}

/* It takes the signal a little later: ours could have it meanwhile. */
static void* stay(void* arg) {
  sigset_t term, pending;
  left = pthread_self();
  short_work(arg);
  while (!main_is_gone()) usleep(1000);
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, NULL);
  if (!has_thread() || write(main_has_ended[1], "", 1) != 1) _exit(1);
  do usleep(100000); while (sigpending(&pending) == 0 && !sigismember(&pending, SIGTERM));
  pthread_sigmask(SIG_UNBLOCK, &term, NULL);
  for (;;) pause();
}

/* The same, while another thread goes on for ever, and ours is there: SIGTERM ends the process, or is
   handled. */
static void main_ends_and_a_signal_comes(void) {
  for (int handled = 0; handled < 2; handled++) {
    char c;
    int status;
    CHECK_EQ(pipe(main_has_ended), 0);
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      pthread_t t;
      close(main_has_ended[0]);
      with_thread(1000000);
      if (handled && signal(SIGTERM, &on_term) == SIG_ERR) _exit(1);
      if (pthread_create(&t, NULL, &stay, NULL) != 0) _exit(1);
      pthread_exit(NULL);
    }
    close(main_has_ended[1]);
    CHECK_AT(read(main_has_ended[0], &c, 1) == 1, "handled %d", handled);
    CHECK(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid);
    CHECK_AT(handled ? WIFEXITED(status) && WEXITSTATUS(status) == 7
                     : WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM,
             "status = %#x", status);
    close(main_has_ended[0]);
  }
}

static void in_the_child(void) {
  with_thread(30);
  for (int i = 0; i < BLOCKS; i++) CHECK(test_filled(block[i], MI_MiB, (uint64_t)i));
  drop(BLOCKS);
  /* one is begun, if need be when the other's is missed */
  for (int i = 0; i < 4000 && !little_is_committed(); i++) {
    mi_free(mi_malloc(700000));
    usleep(5000);
  }
  CHECK(little_is_committed());
  _exit(0);
}

static pid_t raw_clone(int flags) { return (pid_t)syscall(SYS_clone, SIGCHLD | flags, NULL, NULL, NULL, 0); }

static void wait_for(pid_t pid) {
  int status;
  CHECK_AT(waitpid(pid, &status, 0) == pid && status == 0, "pid %d, status %#x", (int)pid, status);
}

/* In a child there is none, and none is believed to be: after fork, and after a clone that
   nobody knows of. */
static void in_a_child(void) {
  for (int raw = 0; raw < 2; raw++) {
    with_thread(1000000);
    use(BLOCKS, MI_MiB);
    mi_free(mi_malloc(700000));
    CHECK(has_thread());
    fflush(stdout);
    const pid_t pid = raw ? raw_clone(0) : fork();
    if (pid == 0) in_the_child();
    wait_for(pid);
    drop(BLOCKS);
    mi_option_set(mi_option_purge_delay, 30);
    CHECK(within(20000, &little_is_committed));
  }
}

/* Parent and child are both the first process of a namespace, so they have the same pid. */
static void in_a_child_of_the_same_pid(void) {
  fflush(stdout);
  const pid_t pid = raw_clone(CLONE_NEWPID);
  if (test_skips(pid < 0, "there can be no namespaces here")) return;
  if (pid == 0) {
    with_thread(1000000);
    use(BLOCKS, MI_MiB);
    mi_free(mi_malloc(700000));
    CHECK(has_thread());
    const pid_t child = raw_clone(CLONE_NEWPID);
    if (child == 0) in_the_child();
    wait_for(child);
    _exit(0);
  }
  wait_for(pid);
}

/* A child of vfork is no copy: it leaves the thread of its parent alone, and the lock, whatever is late. */
static void in_a_child_of_vfork(void) {
  with_thread(20);
  use(BLOCKS, MI_MiB);
  mi_free(mi_malloc(700000));
  CHECK(has_thread());
  mi_purger_stop();                              /* so the thread makes no round */
  drop(BLOCKS / 2);
  usleep(100000);
  const pid_t pid = vfork();
  if (pid == 0) {
    for (int i = 0; i < 100; i++) mi_free(mi_malloc(700000));
    _exit(has_thread() ? 0 : 1);
  }
  mi_purger_go_on();
  wait_for(pid);
  for (int i = BLOCKS / 2; i < BLOCKS; i++) mi_free(block[i]);
  CHECK(within(20000, &little_is_committed) && within(20000, &one_thread));
}
#endif

/* ---- inside of pages ---- */

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

/* The same with blocks of 3000 bytes: nothing is taken of that size any more, while the thread goes
   on with another. */
static void inside_of_pages(void) {
  enum { N = 4000, SIZE = 3000 };
  with_thread(20);
  use(N, SIZE);
  void* large[BLOCKS];
  /* so that there is the thread */
  for (size_t i = 0; i < BLOCKS; i++) memset(made(large[i] = mi_malloc(MI_MiB)), 1, MI_MiB);
  for (size_t i = 0; i < BLOCKS; i++) mi_free(large[i]);
  for (size_t i = 0; i < N; i++) if (i % 16 != 0) mi_free(block[i]);
  for (int t = 0; t < 24000 && mi_memory_committed() > 7 * MI_MiB; t++) {
    for (size_t i = 0; i < BLOCKS; i++) made(large[i] = mi_malloc(60000));
    for (size_t i = 0; i < BLOCKS; i++) mi_free(large[i]);
    usleep(5000);
  }
  CHECK_AT(mi_memory_committed() <= 7 * MI_MiB, "%zu", mi_memory_committed());
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

static bool much_is_purged(void) { return mi_load_relaxed(&mi_commit_totals.xpurged) > 100 * MI_MiB; }

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

/* Memory that is being purged is not "no memory": all of an arena of a MiB, again and again. But where
   whoever purges had no processor for all of that time, it is: ncollected is the same then. */
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
  CHECK_AT(errno == ENOMEM && test_last_error == ENOMEM && n * size <= 64 * MI_MiB && n * size >= 40 * MI_MiB,
           "%zu of %zu", n, size);
  CHECK(mi_commit_totals.xcommitted <= 64 * MI_MiB && mi_commit_totals.xpeak_committed <= 64 * MI_MiB
        && mi_commit_totals.xreserved <= 2 * mi_max(MI_ARENA_SIZE, 64 * MI_MiB));
  CHECK(mi_realloc(block[0], 64 * MI_MiB) == NULL && mi_calloc(1, 60 * MI_MiB) == NULL
        && mi_malloc_aligned(32 * MI_MiB, MI_MiB) == NULL);
  for (size_t i = 0; i < n / 2; i++) mi_free(block[i]);
  for (size_t i = 0; i < n / 2; i++) CHECK((block[i] = mi_malloc(size)) != NULL);
  for (size_t i = 0; i < n; i++) mi_free(block[i]);
  void* p = mi_malloc(50 * MI_MiB);  /* of another kind: what is kept and what is dirty are given up for it */
  CHECK(p != NULL);
  mi_option_set(mi_option_commit_limit, 0);
  void* q = mi_malloc(200 * MI_MiB);
  CHECK(q != NULL);
  mi_free(p);
  mi_free(q);
  mi_collect(true);                              /* the last page of the class is retired */
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

TEST_MAIN("purger", TEST(purges_when_all_are_idle), TEST(not_without_it), TEST(burst_of_700),
          TEST(burst_of_700_shuffled), TEST(burst_of_large), TEST(burst_of_pages), TEST(burst_of_60k),
          TEST(burst_of_all), TEST(by_default), TEST(never), TEST(a_heap_ends),
          TEST(a_thread_sleeps), TEST(a_thread_collects), TEST(a_thread_ends),
          TEST(cannot_be_made), TEST(lowered),
          TEST(begins_and_ends), FORK_TESTS TEST(inside_of_free_blocks),
          TEST(inside_of_pages), TEST(hollow_by_collect), TEST(under_way), TEST(behind_the_purger),
          TEST(limit_of_buffers), TEST(limit_of_medium), TEST(limit_of_mappings))
