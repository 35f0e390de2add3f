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

#include "core/mapping.h"
#include "core/purge.h"
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

/* 2 % of ten seconds (in hard mode ten times as much): what so many pieces cost is no more. */
static bool is_within_budget(size_t pieces) { return pieces * COST <= (MI_HARD ? 2000000 : 200000); }

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

/* So many seconds, in which three of four blocks are freed. Pieces in each quarter of a second. */
enum { SECONDS = 25, MS = 1000 * SECONDS, EACH = BLOCKS / 4 * 3 / MS, QUARTERS = 4 * SECONDS };
static void trickle_played(size_t pieces[QUARTERS]) {
  for (int ms = 0; ms < MS; ms++, played_ms++) {
    for (int i = 0; i < EACH; i++) mi_free(block[ms * EACH + i]);
    mi_free(mi_malloc(70000));           /* a slow path */
    pieces[ms / 250] = npieces();
  }
  for (int q = QUARTERS - 1; q > 0; q--) pieces[q] -= pieces[q - 1];
  for (int i = MS * EACH; i < BLOCKS; i++) mi_free(block[i]);
}

/* Slow paths alone. Once all of it is spent rounds wait for ten seconds; then they go on. */
static void of_slow_paths(void) {
  size_t pieces[QUARTERS], all = 0;
  played_ms = 1000;
  begin(0, COST);
  trickle_played(pieces);
  for (int from = 0; from < QUARTERS; from++) {
    size_t sum = 0;
    for (int q = from; q < QUARTERS && q < from + 40; q++) sum += pieces[q];
    CHECK_AT(is_within_budget(sum), "from %d ms: %zu", from * 250, sum);
    all += pieces[from];
  }
  CHECK_AT(all > PIECES_SAVED, "%zu", all);
}

/* The same rounds, if they cost nothing: so it is their cost that makes them rare. */
static void of_what_is_cheap(void) {
  size_t pieces[QUARTERS];
  played_ms = 1000;
  begin(0, 0);
  trickle_played(pieces);
  for (int i = 0; i < QUARTERS; i++)
    CHECK_AT(pieces[i] >= PIECES_SAVED / 4, "from %d ms: %zu", i * 250, pieces[i]);
}

/* What was freed late is unmapped whatever it costs, and rounds wait for that. */
static void of_mappings(void) {
  enum { N = PIECES_SAVED + 1 };
  void* wait[N];
  played_ms = 1000;
  mi_option_set(mi_option_purge_thread, 0);
  mi_option_set(mi_option_purge_delay, 20);
  for (int i = 0; i < 16; i++) memset(block[i] = mi_malloc(MI_MiB), 1, MI_MiB);
  mi_option_set(mi_option_arena_reserve, MI_ARENA_MIN / MI_KiB);
  for (int i = 0; i < N; i++)
    CHECK((wait[i] = mi_malloc(2 * MI_ARENA_MIN)) != NULL && mi_page_of(wait[i])->arena == MI_ARENA_NONE);
  mi_store_relaxed(&xcost, COST);                                         /* one thread only */
  for (int i = 0; i < N; i++) {
    mi_local()->frees_late = true;
    mi_free(wait[i]);
    mi_local()->frees_late = false;
    mi_purger_run_piece();
    CHECK(!mi_load_relaxed(&mi_mapping_xwaits));                          /* one thread only */
  }
  for (int i = 0; i < 16; i++) mi_free(block[i]);
  const size_t n = npieces();
  for (int i = 0; i < 400; i++, played_ms += 20) mi_purger_run(false);
  CHECK_EQ(npieces(), n);
  for (int i = 0; i < 400; i++, played_ms += 20) mi_purger_run(false);
  CHECK(npieces() >= n + 4 && mi_purge_waiting() == 0);
}

/* ---- what is given back before it is due, where there is no thread ---- */

/* Blocks of a MiB are made and freed; what waits then, and how many pieces that took. */
static size_t burst(int n) {
  const size_t before = npieces();
  for (int i = 0; i < n; i++) memset(block[i] = mi_malloc(MI_MiB), 1, MI_MiB);
  for (int i = 0; i < n; i++) mi_free(block[i]);
  return npieces() - before;
}
static void begin_bursts(void) {
  played_ms = 1000;
  mi_option_set(mi_option_purge_thread, 0);
  mi_option_set(mi_option_purge_delay, 1000000);
  mi_store_relaxed(&xcost, COST);                                         /* one thread only */
}

/* Most of the budget is for one burst, of which little is left then. */
static void of_a_burst(void) {
  begin_bursts();
  const size_t n = burst(160);
  CHECK_AT(n > PIECES_SAVED / 2 && is_within_budget(n), "%zu", n);
  CHECK_AT(mi_purge_waiting() <= MI_PURGE_EARLY_BYTES + MI_PURGE_PIECE, "%zu", mi_purge_waiting());
}

/* More than the budget pays for waits for ten seconds. */
static void of_a_large_burst(void) {
  begin_bursts();
  CHECK(is_within_budget(burst(512)));
  CHECK(mi_purge_waiting() >= 256 * MI_MiB);
  played_ms += 9000;
  CHECK_EQ(burst(16), 0);
  played_ms += 2000;
  for (int i = 0; i < 16; i++) burst(16);
  CHECK_AT(mi_purge_waiting() <= 256 * MI_MiB, "%zu", mi_purge_waiting());
}

/* What a program takes again each time is given back with the first of the budget only. */
static void of_burst_after_burst(void) {
  size_t n = 0;
  begin_bursts();
  for (int i = 0; i < 20; i++) n += burst(64);
  CHECK_AT(n >= PIECES_SAVED / 10 && n <= PIECES_SAVED / 10 * 3 + 1, "%zu", n);
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
  CHECK_AT(is_within_budget(n / (1 + ms / 10000)), "%zu in %zu ms", n, (size_t)ms);
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

TEST_MAIN("budget", TEST(of_slow_paths), TEST(of_what_is_cheap), TEST(of_mappings), TEST(of_a_burst),
          TEST(of_a_large_burst), TEST(of_burst_after_burst), TEST(of_the_thread),
          TEST(ends_within_two_delays), TEST(ends_with_the_program), TEST(ends_with_the_program_unpaid),
          TEST(ends_beside_another_copy))
