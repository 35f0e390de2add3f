/* purger.h: what giving memory back may cost, counted by what it is charged. The processor's time is played:
   each piece of work costs the same, whatever the machine does meanwhile; and where no thread of ours
   runs, the clock is played, too. And for how long the thread of ours stays, counted by how long it means to
   sleep. Linked so that the core's calls come here (tests.mk). */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/purger.h"
#include "test.h"

enum { BLOCKS = 100000, SIZE = 200, PIECES_SAVED = 50 };
#define COST ((uint64_t)MI_CREDIT_MOST / PIECES_SAVED)           /* of a piece, in microseconds */

static mi_atomic(uint64_t) xcost;
static mi_atomic(size_t) xasked;         /* twice a piece: before and after it */
static uint64_t played_ms;               /* 0: the system's clock */

uint64_t __real_mi_os_now_ms(void);
uint64_t __wrap_mi_os_now_ms(void);
uint64_t __wrap_mi_os_cpu_us(void);
uint64_t __wrap_mi_os_now_ms(void) { return played_ms != 0 ? played_ms : __real_mi_os_now_ms(); }
uint64_t __wrap_mi_os_cpu_us(void) {
  static _Thread_local uint64_t mine;
  mi_add_relaxed(&xasked, 1);            /* a count */
  return mine += mi_load_relaxed(&xcost);                                 /* set before */
}
/* A sweep costs as much as a piece. */
void __real_mi_purger_charge(uint64_t us);
void __wrap_mi_purger_charge(uint64_t us);
void __wrap_mi_purger_charge(uint64_t us) {
  CHECK(us > 0);
  mi_add_relaxed(&xasked, 2);                                             /* a count */
  __real_mi_purger_charge(mi_load_relaxed(&xcost));                       /* set before */
}
static size_t npieces(void) { return (mi_load_relaxed(&xasked) + 1) / 2; }

/* What may be spent in so many milliseconds, and what is begun with the last of it: by two at once, and in
   pages, which count twice. */
static size_t pieces_at_most(uint64_t ms) {
  return (size_t)(MI_CREDIT_PER_MS * ms / COST) + PIECES_SAVED + 4;
}

static void* block[BLOCKS];
static void* make(void* arg) {
  for (int i = 0; i < BLOCKS; i++) {
    CHECK((block[i] = mi_malloc(SIZE)) != NULL);
    memset(block[i], 1, SIZE);
  }
  return arg;
}

/* Of a thread that ended, in any order: their frees bring next to nothing back. */
static void begin(long thread, uint64_t cost) {
  pthread_t t;
  uint64_t r = 3;
  mi_option_set(mi_option_purge_thread, thread);
  mi_option_set(mi_option_purge_delay, 20);
  CHECK(pthread_create(&t, NULL, &make, NULL) == 0 && pthread_join(t, NULL) == 0);
  for (size_t i = BLOCKS - 1; i > 0; i--) {
    const size_t j = (size_t)(test_random(&r) % (i + 1));
    void* p = block[i];
    block[i] = block[j], block[j] = p;
  }
  mi_store_relaxed(&xcost, cost);        /* no round is made before: nothing was freed */
  mi_store_relaxed(&xasked, 0);
}

/* Ten seconds, in which four of five blocks are freed. */
enum { SECONDS = 10, MS = 1000 * SECONDS, EACH = BLOCKS / 5 * 4 / MS };
static void trickle_played(size_t pieces[SECONDS]) {
  for (int ms = 0; ms < MS; ms++, played_ms++) {
    for (int i = 0; i < EACH; i++) mi_free(block[ms * EACH + i]);
    mi_free(mi_malloc(70000));           /* a slow path */
    pieces[ms / 1000] = npieces();
  }
  for (int second = SECONDS - 1; second > 0; second--) pieces[second] -= pieces[second - 1];
  for (int i = MS * EACH; i < BLOCKS; i++) mi_free(block[i]);
}

/* Slow paths alone. Once what was saved is spent, rounds wait for what time earns. */
static void of_slow_paths(void) {
  size_t pieces[SECONDS], all = 0;
  played_ms = 1000;
  begin(0, COST);
  trickle_played(pieces);
  for (int i = 0; i < SECONDS; i++) {
    all += pieces[i];
    CHECK_AT(i < 2 || pieces[i] <= pieces_at_most(1000) - PIECES_SAVED, "second %d: %zu", i, pieces[i]);
  }
  CHECK_AT(all <= pieces_at_most(MS), "%zu", all);
  CHECK_AT(all >= PIECES_SAVED, "%zu", all);       /* it was spent */
}

/* The same rounds, if they cost nothing: so it is their cost that makes them rare. */
static void of_what_is_cheap(void) {
  size_t pieces[SECONDS];
  played_ms = 1000;
  begin(0, 0);
  trickle_played(pieces);
  for (int i = 0; i < SECONDS; i++)
    CHECK_AT(pieces[i] >= 2 * pieces_at_most(1000), "second %d: %zu", i, pieces[i]);
}

/* The thread and the slow paths together, in the time that goes by. */
static void of_the_thread(void) {
  begin(1, COST);
  const uint64_t start = __real_mi_os_now_ms();
  for (int i = 0; i < BLOCKS / 5 * 4; i++) {
    mi_free(block[i]);
    if (i % (BLOCKS / 400) == 0) usleep(5000);
  }
  const size_t n = npieces();
  const uint64_t ms = __real_mi_os_now_ms() - start + 10;                 /* the clock's steps */
  CHECK_AT(n <= pieces_at_most(ms), "%zu in %zu ms", n, (size_t)ms);
  CHECK_AT(n >= PIECES_SAVED / 4, "%zu", n);
  for (int i = BLOCKS / 5 * 4; i < BLOCKS; i++) mi_free(block[i]);
}

/* ---- how long the thread stays ---- */

typedef struct { mi_atomic(bool) counts, used; mi_atomic(size_t) xsleeps, xms; } sleeps_t;
static sleeps_t* sleeps;                 /* shared with a child; NULL: none are counted */

void __real_mi_os_wait(uint64_t ms);
void __wrap_mi_os_wait(uint64_t ms);
/* Pauses between two pieces of a round are none. */
void __wrap_mi_os_wait(uint64_t ms) {
  /* Pairs with count_sleeps. */
  if (sleeps != NULL && mi_load_acquire(&sleeps->counts) && ms > MI_ROUND_PAUSE_MS) {
    mi_add_relaxed(&sleeps->xsleeps, 1);
    mi_add_relaxed(&sleeps->xms, ms);
  }
  __real_mi_os_wait(ms);
}
static void count_sleeps(void) { mi_store_release(&sleeps->counts, true); } /* pairs with __wrap_mi_os_wait */

static void* use(void* arg) {
  for (int i = 0; i < 64; i++) memset(block[i] = mi_malloc(MI_MiB), 1, MI_MiB);
  for (int i = 0; i < 64; i++) mi_free(block[i]);
  mi_store_release(&sleeps->used, true);         /* pairs with ends_with_the_program: there is the thread */
  return arg;
}

static void begin_to_count(long delay) {
  sleeps = mmap(NULL, sizeof *sleeps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(sleeps != MAP_FAILED);
  mi_option_set(mi_option_purge_thread, 1);
  mi_option_set(mi_option_purge_delay, delay);
}

/* After the last free it sleeps for two delays at most before it ends, and to the clock's next step each
   time. */
static void ends_within_two_delays(void) {
  enum { DELAY = 200 };
  begin_to_count(DELAY);
  use(NULL);
  count_sleeps();
  CHECK(mi_purger_has_thread());
  while (mi_purger_has_thread()) usleep(2000);
  const size_t n = mi_load_relaxed(&sleeps->xsleeps), ms = mi_load_relaxed(&sleeps->xms);
  CHECK_AT(ms <= 2 * DELAY + 10 * n, "%zu ms in %zu sleeps", ms, n);
}

/* Of another process. 0: it has ended. */
static int nthreads(pid_t pid) {
  char name[64];
  int n = 0;
  snprintf(name, sizeof name, "/proc/%d/task", (int)pid);
  DIR* tasks = opendir(name);
  for (struct dirent* e; tasks != NULL && (e = readdir(tasks)) != NULL; ) n += e->d_name[0] != '.';
  if (tasks != NULL) closedir(tasks);
  return n;
}

/* Main, which has ended, and ours, and so many others. */
static void wait_for_ends(pid_t pid, int others) {
  for (bool gone = false; !gone; usleep(1000)) {
    char text[64], state = 'Z';
    snprintf(text, sizeof text, "/proc/%d/stat", (int)pid);
    FILE* f = fopen(text, "r");
    gone = f == NULL || fscanf(f, "%*d (%*[^)]) %c", &state) != 1
           || (state == 'Z' && nthreads(pid) <= 2 + others);
    if (f != NULL) fclose(f);
  }
}

static void* waits_for_ours(void* arg) {
  while (!mi_load_acquire(&sleeps->used) || mi_purger_has_thread()) usleep(1000);      /* pairs with use */
  return arg;
}

/* A process whose main ends first, then the thread that used memory; `other`: not the one that never does,
   which waits for ours. How many times ours began to sleep since, at most, and for at most half a second:
   with the one that it was in, that is a second. */
static void ends_with_all(long delay, uint64_t cost, bool other, size_t most) {
  int status;
  if (test_skips(TEST_SANITIZED, "the sanitizer has a thread of its own")) return;
  begin_to_count(delay);
  const pid_t pid = fork();
  if (pid == 0) {
    pthread_t t;
    mi_store_relaxed(&xcost, cost);                                       /* one thread only */
    if (other && pthread_create(&t, NULL, &waits_for_ours, NULL) != 0) _exit(1);
    if (pthread_create(&t, NULL, &use, NULL) != 0) _exit(1);
    pthread_detach(t);
    pthread_exit(NULL);
  }
  CHECK(pid > 0);
  /* Pairs with use. */
  while (!mi_load_acquire(&sleeps->used)) usleep(1000);
  wait_for_ends(pid, other);
  count_sleeps();
  pid_t ended;
  while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && mi_load_relaxed(&sleeps->xsleeps) <= most)
    usleep(1000);
  const size_t n = mi_load_relaxed(&sleeps->xsleeps), ms = mi_load_relaxed(&sleeps->xms);
  if (ended == 0) kill(pid, SIGKILL);
  CHECK_AT(n <= most && ms <= 500, "%zu, %zu ms", n, ms);
  CHECK(ended == pid && status == 0);
}

/* Whatever is still due. */
static void ends_with_the_program(void) { ends_with_all(20000, 0, false, 1); }
/* The same with the default delay, where it sleeps a little at a time, since the first piece costs more than
   there is. */
static void ends_with_the_program_unpaid(void) {
  ends_with_all(250, 10 * (uint64_t)MI_CREDIT_MOST, false, 500 * 10 / MI_PURGE_SLEEP_MS);
}
/* The other thread is to this library what the thread of another copy of it is. */
static void ends_beside_another_copy(void) { ends_with_all(20000, 0, true, 1); }

TEST_MAIN("budget", TEST(of_slow_paths), TEST(of_what_is_cheap), TEST(of_the_thread),
          TEST(ends_within_two_delays), TEST(ends_with_the_program), TEST(ends_with_the_program_unpaid),
          TEST(ends_beside_another_copy))
