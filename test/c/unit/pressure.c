/* pressure.h: a collector that is played, and its decisions. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/pressure.h"
#include "test.h"

static uint64_t young, old;              /* dead bytes that a minor collection finds, and a major one only */

static uint64_t cost = 1;

static mi_pressure_stats_t stats(void) {
  mi_pressure_stats_t s;
  mi_pressure_stats(&s);
  return s;
}

/* What the ring's user does when asked. */
static void relieve(void) {
  if (!mi_pressure_begin()) return;
  CHECK(!mi_pressure_begin());           /* one at a time */
  mi_pressure_drop(1, young);
  young = 0;
  const bool major = mi_pressure_after_minor();
  if (major) {
    mi_pressure_drop(2, old);
    old = 0;
  }
  mi_pressure_end(major, cost);
}

static void hold(uint32_t number, size_t bytes) {
  if (mi_pressure_hold(number, bytes)) relieve();
}

/* A loop over buffers: never much more than the floor lives. */
static void buffers(void) {
  for (int i = 0; i < 3000; i++) {
    young += MI_MiB;
    hold((uint32_t)i % 4, MI_MiB);
    CHECK(stats().held <= MI_PRESSURE_FLOOR + 4 * MI_MiB);
  }
  CHECK(stats().minor >= 300 && stats().minor <= 375 && stats().major == 0);
  CHECK_EQ(stats().minor_freed, 3000 * MI_MiB - stats().held);
}

/* Where collections are dear there are fewer, and more again when they are cheap. */
static void dear_collections(void) {
  cost = 1000000;
  for (int i = 0; i < 3000; i++) {
    young += MI_MiB;
    hold(0, MI_MiB);
    CHECK(stats().held <= MI_PRESSURE_FLOOR_MOST + 4 * MI_MiB);
  }
  CHECK(stats().minor >= 45 && stats().minor <= 70);
  cost = 1;
  for (int i = 0; i < 3000; i++) {
    young += MI_MiB;
    hold(0, MI_MiB);
  }
  CHECK(stats().minor >= 300 && stats().held <= MI_PRESSURE_FLOOR + 4 * MI_MiB);
}

/* Many small ones. */
static void small_ones(void) {
  for (int i = 0; i < 3000000; i++) {
    young += 64;
    hold(0, 64);
  }
  CHECK(stats().minor >= 20 && stats().minor <= 24 && stats().held <= 9 * MI_MiB);
}

/* What is promoted before it dies is found by major ones, at half more than what lives. */
static void promoted(void) {
  for (int i = 0; i < 3000; i++) {
    old += MI_MiB;
    hold(0, MI_MiB);
    CHECK(stats().held <= 18 * MI_MiB);
  }
  CHECK(stats().major >= 150 && stats().major <= 200);
  CHECK(stats().major_freed + stats().held == 3000 * MI_MiB);
}

/* What really lives is found out with few questions, and is not asked about again. */
static void large_live_set(void) {
  for (int i = 0; i < 1024; i++) hold((uint32_t)i % 2, MI_MiB);
  CHECK(stats().held == MI_GiB && stats().major <= 10 && stats().minor <= 30);
  const mi_pressure_stats_t before = stats();
  for (int i = 0; i < 4096; i++) {
    young += MI_MiB;
    hold(0, MI_MiB);
  }
  CHECK_AT(stats().major <= before.major + 1 && stats().minor <= before.minor + 4096 / 256 + 4, "%llu major, %llu minor", (unsigned long long)(stats().major - before.major), (unsigned long long)(stats().minor - before.minor));
  CHECK(stats().held <= MI_GiB + MI_GiB / 2);
  mi_pressure_drop(0, MI_GiB - 10 * MI_MiB);     /* and when it is gone the budget is small again */
  young = 0;
  for (int i = 0; i < 600; i++) {
    young += MI_MiB;
    hold(0, MI_MiB);
  }
  CHECK(stats().next < 350 * MI_MiB && stats().minor > before.minor + 16);
}

static void settings(void) {
  CHECK(stats().budget == -1 && stats().next == MI_PRESSURE_FLOOR);
  mi_pressure_set(0);
  for (int i = 0; i < 1000; i++) CHECK(!mi_pressure_hold(0, MI_MiB));
  CHECK(!mi_pressure_begin());
  mi_pressure_set(1);
  CHECK(mi_pressure_hold(0, 1) && mi_pressure_hold(0, 16));
  old = 1000 * MI_MiB + 17;
  relieve();
  CHECK(stats().major == 1 && stats().minor == 1 && stats().held == 0 && stats().next == 1 && stats().next_major == 1);
  mi_pressure_set(100 * (int64_t)MI_MiB);
  for (int i = 0; i < 99; i++) CHECK(!mi_pressure_hold(0, MI_MiB));
  CHECK(mi_pressure_hold(0, MI_MiB));
  mi_pressure_set(-5);
  CHECK(stats().budget == -1 && stats().next >= 100 * MI_MiB + MI_PRESSURE_FLOOR);
  mi_pressure_drop(7, 100 * MI_MiB);             /* by another than who made it */
  CHECK_EQ(stats().held, 0);
}

/* Whoever forks may do so while another thread's collection is under way: the child asks for its own. */
static void in_the_child_of_fork(void) {
  mi_free(mi_malloc(1));
  for (int i = 0; i < 20; i++) mi_pressure_hold(0, MI_MiB);
  CHECK(mi_pressure_begin() && !mi_pressure_begin());
  const pid_t pid = fork();
  if (pid == 0) _exit(mi_pressure_begin() && !mi_pressure_begin() ? 0 : 1);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK(!mi_pressure_begin());
  mi_pressure_end(mi_pressure_after_minor(), 0);
}

/* ---- several at once ---- */

static void* holder(void* number) {
  const uint32_t n = (uint32_t)(uintptr_t)number;
  for (int i = 0; i < 100000; i++) {
    if (mi_pressure_hold(n, 100 + n) && mi_pressure_begin()) mi_pressure_end(mi_pressure_after_minor(), 0);
    if (i % 2) mi_pressure_drop(n, 100 + n);
  }
  return NULL;
}

static void threads_and_past_the_table(void) {
  static const uint32_t numbers[] = { 0, 1, MI_CAPS_MAX - 1, MI_CAPS_MAX, MI_CAPS_MAX + 500 };
  enum { N = sizeof numbers / sizeof *numbers };
  pthread_t t[N];
  uint64_t expected = 0;
  for (int i = 0; i < N; i++) CHECK_EQ(pthread_create(&t[i], NULL, &holder, (void*)(uintptr_t)numbers[i]), 0);
  for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < N; i++) expected += (100 + numbers[i]) * 50000ull;
  CHECK_EQ(stats().held, expected);
}

TEST_MAIN("pressure", TEST(buffers), TEST(dear_collections), TEST(small_ones), TEST(promoted), TEST(large_live_set), TEST(settings), TEST(in_the_child_of_fork), TEST(threads_and_past_the_table))
