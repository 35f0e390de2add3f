/* purger.h: what giving memory back may cost, counted by what it is charged. The processor's time is played:
   each piece of work costs the same, whatever the machine does meanwhile; and where no thread of ours
   runs, the clock is played, too. Linked so that the core's calls come here (tests.mk). */
#include <pthread.h>
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

TEST_MAIN("budget", TEST(of_slow_paths), TEST(of_what_is_cheap), TEST(of_the_thread))
