/* pressure.h: a collector that is played, and its decisions. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/pressure.h"
#include "test.h"

static uint64_t young, old;              /* dead bytes that a minor collection finds, and a major one only */
enum { NCAPS = 7 };
static mi_collector_t gc = { .ncaps = NCAPS };
/* what a minor collection takes; what making and using a MiB takes */
static uint64_t minor_ns = 20000, ns_per_mib = 50000;
static uint64_t asked_ns;                /* what those took that were asked for */
static uint64_t found;                   /* dead bytes whose finalizers have not run */
static bool paused;                      /* a turn has: the next maker goes on with it */

static mi_pressure_stats_t stats(void) {
  mi_pressure_stats_t s;
  mi_pressure_stats(&s);
  return s;
}

/* A collection: a major one copies what lives, at a GiB a second. */
static void collect(bool major, uint64_t* clock) {
  const uint64_t ns = minor_ns + (major ? gc.live : 0);
  gc.collections++;
  gc.majors += major;
  gc.now += ns;
  if (clock != NULL) *clock += ns;
  mi_pressure_drop(1, found + young);
  found = young = 0;
  if (major) mi_pressure_drop(2, old);
  if (major) old = 0;
}

/* What the ring's user does when asked. */
static void relieve(void) {
  mi_pressure_due_t due = mi_pressure_begin(gc.now);
  if (due == MI_PRESSURE_NONE) return;
  CHECK(mi_pressure_busy() && mi_pressure_begin(gc.now) == MI_PRESSURE_NONE);  /* one at a time */
  const uint64_t turns = mi_pressure_turns();
  CHECK((due == MI_PRESSURE_FINISH) == paused);
  if (due == MI_PRESSURE_MINOR) {
    found = young;
    young = 0;
    paused = mi_pressure_pause(gc.now);
    CHECK(paused == (stats().budget < 0));
    if (paused) return;
  }
  if (due == MI_PRESSURE_MINOR || paused) {
    const uint64_t left = young;         /* made since */
    young = paused = false;
    collect(false, &asked_ns);
    young = left;
    due = mi_pressure_after_minor(gc.now);
  }
  if (due == MI_PRESSURE_MAJOR) collect(true, &asked_ns);
  mi_pressure_end(due, gc.now);
  CHECK(!mi_pressure_busy() && mi_pressure_turns() == turns + 1);
}

static void hold(uint32_t number, size_t bytes) {
  if (paused) relieve();
  gc.now += bytes * ns_per_mib / MI_MiB;
  if (mi_pressure_hold(number, bytes) && mi_pressure_look(&gc) != MI_PRESSURE_NONE) relieve();
}

static uint64_t most;                    /* held at any time */

/* So many blocks, each dead at once. */
static void drops(int count, size_t bytes, uint64_t* dead) {
  most = 0;
  for (int i = 0; i < count; i++) {
    if (paused) relieve();               /* of which this block is no part */
    *dead += bytes;
    hold((uint32_t)i % 4, bytes);
    most = mi_max(most, stats().held);
  }
}

/* A loop over buffers: never much more than the floor lives. */
static void buffers(void) {
  drops(3000, MI_MiB, &young);
  CHECK(most <= MI_PRESSURE_FLOOR + 4 * MI_MiB);
  CHECK(stats().minor >= 580 && stats().minor <= 760 && stats().major == 0);
  CHECK_EQ(stats().minor_freed, 3000 * MI_MiB - stats().held);
}

/* Where collections are dear there are fewer, and more again when they are cheap. */
static void dear_collections(void) {
  minor_ns = 1000000;
  drops(3000, MI_MiB, &young);
  CHECK(most <= MI_PRESSURE_FLOOR_MOST(NCAPS) + 8 * MI_MiB && stats().minor + stats().major >= 45
        && stats().minor + stats().major <= 75);
  minor_ns = 1;
  drops(3000, MI_MiB, &young);
  CHECK_AT(stats().minor >= 500 && stats().held <= MI_PRESSURE_FLOOR + 4 * MI_MiB, "%llu %llu",
           (unsigned long long)stats().minor, (unsigned long long)stats().held);
}

/* What nobody can have written to may wait for longer; not any more when it is written to. */
static void untouched(void) {
  minor_ns = 100000;
  ns_per_mib = 300;
  drops(30000, MI_MiB, &young);
  CHECK(stats().minor <= 150 && most <= 600 * MI_MiB);
  ns_per_mib = 50000;
  drops(1, MI_MiB, &young);
  drops(1000, MI_MiB, &young);
  CHECK(stats().held <= 2 * MI_PRESSURE_FLOOR_MOST(NCAPS));
  drops(100, MI_MiB, &young);
  CHECK(most <= MI_PRESSURE_FLOOR_MOST(NCAPS) + 8 * MI_MiB);
}

/* Many small ones. */
static void small_ones(void) {
  drops(3000000, 64, &young);
  CHECK(stats().minor >= 40 && stats().minor <= 48 && stats().held <= 5 * MI_MiB);
}

/* What is promoted before it dies is found by major ones. Minor ones bring nothing and are hardly asked for,
   but right before a major one, where they show whether they bring something again. */
static void promoted(void) {
  drops(3000, MI_MiB, &old);
  CHECK(most <= 24 * MI_MiB && stats().minor <= stats().major + 20);
  CHECK(stats().major >= 150 && stats().major <= 200);
  CHECK(stats().major_freed + stats().held == 3000 * MI_MiB);
}

/* Beside a large heap of the collector's: what major collections cost that were asked for is a
   tenth of the time, .. */
static void large_heap(void) {
  gc.live = 512 * MI_MiB;
  ns_per_mib = 10000000;
  drops(3000, MI_MiB, &old);
  CHECK(asked_ns <= gc.now / 9 && stats().major >= 3 && most <= 512 * MI_MiB);
}

/* .. or, where garbage comes faster than that, as few as would be with a heap as large again. */
static void large_heap_in_a_hurry(void) {
  gc.live = 512 * MI_MiB;
  ns_per_mib = 50000;
  drops(8000, MI_MiB, &old);
  CHECK_AT(stats().major >= 13 && stats().major <= 16, "%llu", (unsigned long long)stats().major);
  CHECK(most <= gc.live + 16 * MI_MiB);
}

/* Beside one that grows meanwhile: all that comes to both heaps since the last major collection is no more
   than half of what lives here and what lives there. A twentieth is for looks that come late. */
static void large_heap_that_grows(void) {
  gc.live = 512 * MI_MiB;
  ns_per_mib = 50000;
  mi_pressure_hold(0, 128 * MI_MiB);
  collect(true, NULL);
  uint32_t majors = 0;
  uint64_t live = 0, held = 0, worst = 0;
  for (int i = 0; i < 8000; i++) {
    if (gc.live >= 2 * live && i > 0) collect(true, NULL);                /* by itself */
    if (gc.majors != majors) {
      majors = gc.majors;
      live = gc.live;
      held = stats().held;
    }
    drops(1, MI_MiB, &old);
    gc.live += MI_MiB / 4;
    const uint64_t grown = gc.live - live + (stats().held - mi_min(held, stats().held));
    worst = mi_max(worst, 100 * grown / (live + held / 2));
  }
  CHECK_AT(worst >= 90 && worst <= 105, "%llu", (unsigned long long)worst);
  CHECK_AT(stats().major <= 16, "%llu", (unsigned long long)stats().major);
}

/* Collections that come by themselves are not asked for again. */
static void by_themselves(void) {
  for (int i = 0; i < 3000; i++) {
    drops(1, MI_MiB, i % 2 ? &young : &old);
    if (i % 2) collect(i % 16 == 15, NULL);
  }
  CHECK(stats().minor == 0 && stats().major == 0 && stats().held <= 16 * MI_MiB);
}

/* What really lives is found out with few questions, and is not asked about again. */
static void large_live_set(void) {
  for (int i = 0; i < 1024; i++) hold((uint32_t)i % 2, MI_MiB);
  CHECK(stats().held == MI_GiB && stats().major <= 12 && stats().minor <= 30);
  const mi_pressure_stats_t before = stats();
  drops(4096, MI_MiB, &young);
  CHECK_AT(stats().major <= before.major + 1 && stats().minor <= before.minor + 4096 / 256 + 4,
           "%llu major, %llu minor", (unsigned long long)(stats().major - before.major),
           (unsigned long long)(stats().minor - before.minor));
  CHECK(stats().held <= MI_GiB + MI_GiB / 2);
  mi_pressure_drop(0, MI_GiB - 10 * MI_MiB);     /* and when it is gone the budget is small again */
  young = 0;
  drops(600, MI_MiB, &young);
  CHECK(stats().next < 350 * MI_MiB && stats().minor > before.minor + 16);
}

/* Of any thread, as pages of a heap are. */
static void shared(void) {
  CHECK(!mi_pressure_shared_enough());
  mi_pressure_hold_shared(3 * MI_MiB);
  CHECK(mi_pressure_shared_enough() && mi_pressure_look(&gc) == MI_PRESSURE_NONE
        && !mi_pressure_shared_enough());
  mi_pressure_drop_shared(2 * MI_MiB);
  CHECK(!mi_pressure_shared_enough());
  mi_pressure_hold_shared(3 * MI_MiB);  /* more than at the last look by one, but by three than since */
  CHECK(mi_pressure_shared_enough() && mi_pressure_look(&gc) == MI_PRESSURE_MINOR
        && stats().held == 4 * MI_MiB);
  mi_pressure_asked(false, 5, 5, 0, 0);
  CHECK(stats().major == 1 && stats().major_freed == 5);
}

/* What is made in the pause of a turn is no result of its collection, nor what it costs to make it. */
static void a_pause(void) {
  drops(4, MI_MiB, &young);
  CHECK(paused && !mi_pressure_busy() && stats().minor == 0 && stats().held == 4 * MI_MiB);
  mi_pressure_hold(0, 100 * MI_MiB);             /* by one that does not look */
  gc.now += 1000000000;
  relieve();
  CHECK(!paused && stats().minor == 1 && stats().minor_freed == 4 * MI_MiB && stats().held == 100 * MI_MiB);
  CHECK_EQ(stats().next, 125 * MI_MiB);  /* a quarter, not more: it was cheap, and brought all there was */
  mi_pressure_drop(0, 100 * MI_MiB);
  drops(5, MI_MiB, &young);
  CHECK(paused);
  mi_pressure_set(0);
  CHECK(mi_pressure_begin(gc.now) == MI_PRESSURE_NONE);
  paused = false;
}

/* For want of memory, where nothing dies: three are made, and then no more than a tenth of the time. */
static bool may_help(size_t mib, size_t room) {
  return mi_pressure_may_help(false, mib * MI_MiB, room == SIZE_MAX ? room : room * MI_MiB, gc.now);
}

static void in_vain(size_t mib, uint64_t ns) {
  mi_pressure_asked(false, mib * MI_MiB, 0, gc.now, gc.now + ns);
  gc.now += ns;
}

static void want_of_memory(void) {
  mi_pressure_hold(0, 60 * MI_MiB);
  for (int i = 0; i < 3; i++) {
    CHECK(may_help(30, 4) && may_help(30, SIZE_MAX) && may_help(1, 0));
    in_vain(30, 1000);
  }
  CHECK_EQ(stats().major, 3);
  CHECK(!may_help(30, 4) && !may_help(5, 4) && !may_help(30, SIZE_MAX) && !may_help(31, SIZE_MAX));
  CHECK(mi_pressure_may_help(true, 30 * MI_MiB, 0, gc.now));              /* another want */
  mi_pressure_hold(1, MI_MiB);                   /* what was made since may be dead */
  CHECK(!may_help(30, 4) && may_help(5, 4) && !may_help(30, SIZE_MAX) && may_help(29, SIZE_MAX));
  mi_pressure_hold(1, 25 * MI_MiB);
  CHECK(may_help(30, 4) && !may_help(30, 3));
  mi_pressure_drop(1, 26 * MI_MiB);
  CHECK(!may_help(5, 4) && !may_help(29, SIZE_MAX));
  gc.now += 9 * 1000 - 1;
  CHECK(!may_help(30, 4));
  gc.now += 1;
  CHECK(may_help(30, 4));
  in_vain(30, 1000);
  CHECK(!may_help(30, 4));
  mi_pressure_helped(false);                     /* there was memory after all */
  CHECK(may_help(30, 4));
}

/* They are made as long as anything dies that lived after the last one, or one brings all. */
static void want_of_memory_that_dies(void) {
  mi_pressure_hold(0, 60 * MI_MiB);
  for (int i = 0; i < 40; i++) {
    CHECK(may_help(30, 4));
    mi_pressure_drop(0, MI_MiB);
    mi_pressure_asked(false, 30 * MI_MiB, MI_MiB, gc.now, gc.now + 1000);
  }
  for (int i = 0; i < 10; i++) {
    CHECK(may_help(30, 4));
    mi_pressure_asked(false, 30 * MI_MiB, 30 * MI_MiB, gc.now, gc.now + 1000);
  }
  for (int i = 0; i < 3; i++) mi_pressure_asked(true, 1, 0, gc.now, gc.now + 1000);
  CHECK(may_help(30, 4) && !mi_pressure_may_help(true, 1, 0, gc.now));
  mi_pressure_hold(0, 60 * MI_MiB);
  CHECK(!mi_pressure_may_help(true, 1, 0, gc.now));
  CHECK_EQ(stats().major_freed, 340 * MI_MiB);
}

/* What they cost counts as that of others does. */
static void want_of_memory_costs(void) {
  gc.live = 512 * MI_MiB;
  mi_pressure_look(&gc);
  CHECK_EQ(stats().next_major, 256 * MI_MiB);
  in_vain(30, 1000000);
  CHECK_EQ(stats().next_major, 512 * MI_MiB);
  gc.now += 9 * 1000000;
  mi_pressure_look(&gc);
  CHECK_EQ(stats().next_major, 256 * MI_MiB);
}

/* Who waits lets himself be counted. */
static void waiting(void) {
  CHECK(!mi_pressure_awaited() && mi_pressure_wait() == mi_pressure_turns() && mi_pressure_awaited());
  mi_pressure_waited();
  CHECK(!mi_pressure_awaited());
}

/* A capability that comes after the last look counts, too. */
static void capabilities_that_come_later(void) {
  gc.ncaps = 1;
  mi_pressure_hold(0, 5 * MI_MiB);
  mi_pressure_look(&gc);
  mi_pressure_hold(5, 3 * MI_MiB);
  CHECK_EQ(stats().held, 8 * MI_MiB);
  mi_pressure_drop(MI_CAPS_MAX - 1, 6 * MI_MiB);
  CHECK_EQ(stats().held, 2 * MI_MiB);
  mi_pressure_look(&gc);
  CHECK_EQ(stats().held, 2 * MI_MiB);
}

/* They look as often as others do, all together. */
static void small_ones_past_the_table(void) {
  int looks = 0;
  for (uint32_t i = 0; i < 160; i++) looks += mi_pressure_hold(MI_CAPS_MAX + i % 3, MI_MiB / 16);
  CHECK(looks == 10 && stats().held == 10 * MI_MiB);
}

static void settings(void) {
  CHECK(stats().budget == -1 && stats().next == MI_PRESSURE_FLOOR);
  mi_pressure_set(0);
  CHECK(stats().next == 0 && stats().next_major == 0);                    /* never */
  for (int i = 0; i < 1000; i++)
    CHECK(!mi_pressure_hold(0, MI_MiB) || mi_pressure_look(&gc) == MI_PRESSURE_NONE);
  CHECK(mi_pressure_begin(gc.now) == MI_PRESSURE_NONE);
  mi_pressure_set(1);
  CHECK(mi_pressure_hold(0, 1) && mi_pressure_hold(0, 16) && mi_pressure_look(&gc) == MI_PRESSURE_MINOR);
  old = 1000 * MI_MiB + 17;
  relieve();
  CHECK(stats().major == 1 && stats().minor == 1 && stats().held == 0 && stats().next == 1
        && stats().next_major == 1);
  mi_pressure_set(100 * (int64_t)MI_MiB);
  for (int i = 0; i < 99; i++)
    CHECK(!mi_pressure_hold(0, MI_MiB) || mi_pressure_look(&gc) == MI_PRESSURE_NONE);
  while (!mi_pressure_hold(0, MI_MiB)) {}
  CHECK(mi_pressure_look(&gc) == MI_PRESSURE_MINOR);
  mi_pressure_set(-5);
  const uint64_t held = stats().held;
  CHECK(stats().budget == -1 && stats().next >= held + MI_PRESSURE_FLOOR);
  mi_pressure_drop(3, held);                     /* by another than who made it */
  CHECK_EQ(stats().held, 0);
}

/* Whoever forks may do so while another thread's collection is under way: the child asks for its own. */
static void in_the_child_of_fork(void) {
  mi_free(mi_malloc(1));
  for (int i = 0; i < 20; i++) mi_pressure_hold(0, MI_MiB);
  CHECK(mi_pressure_begin(1) != MI_PRESSURE_NONE && mi_pressure_begin(1) == MI_PRESSURE_NONE);
  const pid_t pid = fork();
  if (pid == 0)
    _exit(mi_pressure_begin(1) != MI_PRESSURE_NONE && mi_pressure_begin(1) == MI_PRESSURE_NONE ? 0 : 1);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK(mi_pressure_begin(1) == MI_PRESSURE_NONE);
  mi_pressure_end(mi_pressure_after_minor(2), 3);
}

/* ---- several at once ---- */

static void* holder(void* number) {
  const uint32_t n = (uint32_t)(uintptr_t)number;
  for (int i = 0; i < 100000; i++) {
    const mi_collector_t now = { .ncaps = MI_CAPS_MAX + 501, .now = (uint64_t)i };
    if (mi_pressure_hold(n, 100 + n) && mi_pressure_look(&now) != MI_PRESSURE_NONE
        && mi_pressure_begin(now.now) != MI_PRESSURE_NONE)
      mi_pressure_end(mi_pressure_after_minor(now.now), now.now);
    mi_pressure_hold_shared(3);
    mi_pressure_drop_shared(3);
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

TEST_MAIN("pressure", TEST(buffers), TEST(dear_collections), TEST(untouched), TEST(small_ones),
          TEST(promoted), TEST(large_heap), TEST(large_heap_in_a_hurry),
          TEST(large_heap_that_grows), TEST(by_themselves),
          TEST(large_live_set), TEST(shared), TEST(a_pause), TEST(want_of_memory),
          TEST(want_of_memory_that_dies), TEST(want_of_memory_costs), TEST(waiting),
          TEST(capabilities_that_come_later), TEST(small_ones_past_the_table), TEST(settings),
          TEST(in_the_child_of_fork), TEST(threads_and_past_the_table))
