/* A burst of frees is the last thing that a process of one thread does for long: what stays resident then,
   in bytes. Each burst is small beside the budget (policy.h, MI_CREDIT_MOST), so that a slow machine purges
   all of it, too. */
#include "core/purger.h"
#include "test.h"

enum { MOST = 8000 };
static uint8_t* block[MOST];
static size_t order[MOST];

typedef enum { FORWARD, BACKWARD, SHUFFLED } order_t;
/* One block of `keep` stays. */
typedef struct { size_t n, size, keep; order_t order; } burst_t;

static void order_make(const burst_t* b) {
  uint64_t r = 7;
  for (size_t i = 0; i < b->n; i++) order[i] = b->order == BACKWARD ? b->n - 1 - i : i;
  for (size_t i = b->n - 1; b->order == SHUFFLED && i > 0; i--) {
    const size_t j = (size_t)(test_random(&r) % (i + 1)), k = order[i];
    order[i] = order[j], order[j] = k;
  }
}

/* Returns what was resident before. */
static size_t burst_make(const burst_t* b) {
  memset(block, 0, sizeof block), memset(order, 1, sizeof order);         /* resident themselves */
  order_make(b);
  const size_t before = test_rss();
  for (size_t i = 0; i < b->n; i++) {
    CHECK((block[i] = mi_malloc(b->size)) != NULL);
    memset(block[i], 1, b->size);
  }
  return before;
}

/* Frees them, with a pause of `ms` milliseconds after each `bytes`; returns what lives. */
static size_t burst_free(const burst_t* b, unsigned ms, size_t bytes) {
  size_t live = 0, freed = 0;
  for (size_t i = 0; i < b->n; i++) {
    if (order[i] % b->keep == 0) { live += b->size; continue; }
    if (ms > 0 && freed >= bytes) mi_os_sleep_ms(ms), freed = 0;
    mi_free(block[order[i]]);
    freed += b->size;
  }
  return live;
}

static void verdict(const burst_t* b, size_t before, size_t live, size_t young) {
  const size_t after = test_rss(), resident = after - mi_min(before, after);
  CHECK_AT(TEST_SANITIZED || resident <= live + live / 10 * 3 + young + MI_MiB,
           "%zu KiB are resident, %zu live, %zu may wait", resident / 1024, live / 1024, young / 1024);
  CHECK(!mi_purger_has_thread());
  for (size_t i = 0; i < b->n; i++) if (order[i] % b->keep == 0) mi_free(block[order[i]]);
  mi_collect(true);
}

/* All of it is younger than the delay. Even so little waits: what too_much_waits lets pass, and what is freed
   between two counts of it. */
static void at_once(const burst_t* b) {
  mi_option_set(mi_option_purge_delay, 1000000);
  const size_t before = burst_make(b), live = burst_free(b, 0, 0);
  verdict(b, before, live, MI_PURGE_EARLY_BYTES + 4 * MI_MiB);
}

/* A delay goes by between any two steps, so all but the last step is older than the delay at the end. */
static void over_many_delays(const burst_t* b) {
  enum { DELAY = 20 };
  const size_t step = mi_max(b->size, 4 * MI_MiB);
  mi_option_set(mi_option_purge_delay, DELAY);
  const size_t before = burst_make(b), live = burst_free(b, 2 * DELAY, step);
  verdict(b, before, live, step + b->size);
}

static void both(size_t n, size_t size, size_t keep, order_t in) {
  const burst_t b = { n, size, keep, in };
  mi_option_set(mi_option_purge_thread, -1);
  at_once(&b);
  if (size >= MI_SLICE_SIZE) over_many_delays(&b);   /* else pages die when their last block does */
}

#define BURSTS(name, n, size, keep) \
  static void name##_forward(void) { both(n, size, keep, FORWARD); } \
  static void name##_backward(void) { both(n, size, keep, BACKWARD); } \
  static void name##_shuffled(void) { both(n, size, keep, SHUFFLED); }
#define TESTS(name) TEST(name##_forward), TEST(name##_backward), TEST(name##_shuffled)

BURSTS(of_1_mib, 64, MI_MiB, 32)
BURSTS(of_20_mib, 6, 20 * MI_MiB, 6)
BURSTS(of_100_kib, 640, 100 * MI_KiB, 64)
BURSTS(of_10_kib, 7000, 10 * MI_KiB, 7000)

/* Blocks of 16 bytes to 1 MiB, as many of each octave, of which four of five are freed at once, in any order:
   half of what is freed lies in pages in which others live. */
static void of_mixed_sizes(void) {
  enum { N = 4800 };
  uint64_t r = 7;
  size_t size[N], live = 0;
  mi_option_set(mi_option_purge_thread, -1);
  mi_option_set(mi_option_purge_delay, 1000000);
  memset(block, 0, sizeof block), memset(size, 1, sizeof size);           /* resident themselves */
  const size_t before = test_rss();
  for (size_t i = 0; i < N; i++) {
    const size_t least = (size_t)16 << test_random(&r) % 16;
    size[i] = least + (size_t)test_random(&r) % least;
    CHECK((block[i] = mi_malloc(size[i])) != NULL);
    memset(block[i], 1, size[i]);
  }
  for (size_t i = 0; i < N; i++) {
    if (test_random(&r) % 5 == 0) live += size[i];
    else mi_free(block[i]), block[i] = NULL;
  }
  const size_t resident = test_rss() - before, young = MI_PURGE_EARLY_BYTES + 4 * MI_MiB;
  CHECK_AT(TEST_SANITIZED || resident <= live + live / 8 + young,
           "%zu KiB are resident, %zu live", resident / 1024, live / 1024);
  for (size_t i = 0; i < N; i++) mi_free(block[i]);
  mi_collect(true);
}

/* One of many blocks after the other is freed and another allocated: what is free comes to be used. */
static void of_a_mix(void) {
  enum { N = 3000 };
  uint64_t r = 7;
  mi_option_set(mi_option_purge_thread, -1);
  mi_option_set(mi_option_purge_delay, 1000000);
  memset(block, 0, sizeof block);
  for (size_t i = 0; i < 20 * N; i++) {
    uint8_t** b = &block[i < N ? i : test_random(&r) % N];
    const size_t size = 9000 + (size_t)test_random(&r) % 50000;
    mi_free(*b);
    CHECK((*b = mi_malloc(size)) != NULL);
    memset(*b, 1, size);
    if (i == 2 * N) mi_store_relaxed(&mi_commit_totals.xpurged, 0);
  }
  const size_t purged = mi_load_relaxed(&mi_commit_totals.xpurged);
  CHECK_AT(purged <= MI_MiB, "%zu", purged);
  for (size_t i = 0; i < N; i++) mi_free(block[i]);
  mi_collect(true);
}

TEST_MAIN("bursts", TESTS(of_1_mib), TESTS(of_20_mib), TESTS(of_100_kib), TESTS(of_10_kib),
          TEST(of_mixed_sizes), TEST(of_a_mix))
