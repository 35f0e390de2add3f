/* sampler.c: chance, and where the points fall. Sums over samples, each times its weight, are sums over all
   blocks, whatever their sizes and whoever frees them. Limits are six standard deviations. */
#include <pthread.h>

#include "test.h"
#include "core/sampler.h"
#include "include/mimalloc-profile.h"

static bool near(double x, double y, double relative) {
  const double d = x > y ? x - y : y - x;
  return d <= relative * (y < 0 ? -y : y);
}
static double square(double x) { return x * x; }

/* exp(-x), the slow way: (1 - x/2^30)^(2^30). */
static double exp_minus(double x) {
  long double y = 1 - (long double)x / (1 << 30);
  for (int i = 0; i < 30; i++) y *= y;
  return (double)y;
}

static void weights(void) {
  const double at[] = { 0.00001, 0.001, 0.05, 0.0625, 0.07, 0.5, 1, 3, 10, 45 };
  for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
    const size_t rate = 1u << 20, size = (size_t)(at[i] * (double)rate);
    const double x = (double)size / (double)rate;
    CHECK_AT(near(1 / mi_sampler_weight(size, rate), 1 - exp_minus(x), 1e-7 + 1e-12 / x), "x = %g", x);
  }
  CHECK(near(mi_sampler_weight(16, (size_t)1 << 40), (double)((size_t)1 << 36), 1e-9));
  CHECK(mi_sampler_weight(1000000, 1) == 1 && mi_sampler_weight(0, 1) == 1);
}

/* Mean and spread are both the rate; a part of exp(-x) is farther away than x times that. */
static void draws(void) {
  enum { N = 400000 };
  const double rate = 100000;
  uint64_t state = 1;
  double sum = 0, squares = 0, beyond[3] = { 0, 0, 0 };
  for (int i = 0; i < N; i++) {
    const double x = (double)mi_sampler_draw(&state, (size_t)rate);
    sum += x, squares += x * x;
    for (int k = 0; k < 3; k++) beyond[k] += x >= rate * (k + 1) / 2;
  }
  CHECK_AT(square(sum / N - rate) < 36 * rate * rate / N, "mean %g", sum / N);
  CHECK_AT(near(squares / N, 2 * rate * rate, 0.05), "square %g", squares / N);
  for (int k = 0; k < 3; k++) {
    const double p = exp_minus((k + 1) / 2.0);
    CHECK_AT(square(beyond[k] / N - p) < 36 * p * (1 - p) / N, "%g of them, not %g", beyond[k] / N, p);
  }
  CHECK(mi_sampler_draw(&state, SIZE_MAX / 2) > 0);
}

/* ---- sums ---- */

enum { SIZES = 9, PLACES = 4000, RATE = 20000, OFTEN = 200 };
static const size_t sizes[SIZES] = { 1, 16, 40, 300, 1025, 5000, 20000, 66000, 400000 };
static const int kinds[SIZES] = { 60000, 60000, 60000, 40000, 20000, 8000, 4000, 1500, 400 };
static const char* const labels[SIZES] = { "0", "1", "2", "3", "4", "5", "6", "7", "8" };

typedef struct { double blocks, asked; } sum_t;
typedef struct { sum_t live[SIZES], all[SIZES]; } sums_t;

static bool sum_stack(const mi_sample_stack_t* stack, void* arg) {
  sums_t* sums = arg;
  if (stack->label == NULL) return true;
  const int i = stack->label[0] - '0';
  sums->live[i].blocks += stack->live.blocks, sums->live[i].asked += stack->live.asked;
  sums->all[i].blocks += stack->all.blocks, sums->all[i].asked += stack->all.asked;
  return true;
}

/* The number of blocks that the profile says, of n that were asked for with `size` bytes. */
static void check_sum(const char* what, sum_t sum, double n, size_t size, size_t rate) {
  const size_t has = size <= MI_MEDIUM_MAX ? mi_good_size(size) : mi_align_up(size, mi_os_page_size());
  const double w = mi_sampler_weight(has, rate);
  CHECK_AT(square(sum.blocks - n) <= 36 * n * (w - 1) + 1e-6 * n, "%s, %zu bytes: %g blocks, not %g", what,
           size, sum.blocks, n);
  CHECK_AT(near(sum.asked, sum.blocks * (double)size, 1e-9), "%s, %zu bytes", what, size);
}

/* Sizes at random, each freed at once, or kept for a while and freed in another order. */
static void sums_of(mi_heap_t* heap, size_t rate, uint64_t seed) {
  static void* place[PLACES];
  static int of[PLACES];
  double made[SIZES] = { 0 }, live[SIZES] = { 0 };
  int left[SIZES], nleft = 0;
  sums_t sums;
  memset(&sums, 0, sizeof sums);
  mi_profile_start(rate);
  for (int i = 0; i < SIZES; i++) nleft += left[i] = kinds[i];
  while (nleft > 0) {
    int i = 0, r = (int)(test_random(&seed) % (uint64_t)nleft);
    for (; r >= left[i]; i++) r -= left[i];
    left[i]--, nleft--, made[i]++, live[i]++;
    mi_profile_set_label(labels[i]);
    void* p = heap == NULL ? mi_malloc(sizes[i]) : mi_heap_malloc(heap, sizes[i]);
    CHECK(p != NULL);
    const size_t at = test_random(&seed) % PLACES;
    if (test_random(&seed) % 4 == 0) { mi_free(p); live[i]--; continue; }
    if (place[at] != NULL) { mi_free(place[at]); live[of[at]]--; }
    place[at] = p, of[at] = i;
  }
  CHECK(mi_sample_each_stack(UINT64_MAX, &sum_stack, &sums) && mi_profile_counts().dropped == 0);
  for (int i = 0; i < SIZES; i++) {
    check_sum("allocated", sums.all[i], made[i], sizes[i], rate);
    check_sum("in use", sums.live[i], live[i], sizes[i], rate);
  }
  for (int i = 0; i < PLACES; i++) mi_free(place[i]);
  memset(place, 0, sizeof place);
  CHECK_EQ(mi_profile_counts().live, 0);
}

static void sums_main(void) { sums_of(NULL, RATE, 1); }
static void sums_rare(void) { sums_of(NULL, 20 * RATE, 2); }
static void sums_often(void) {
  if (!test_skips(MI_HARD, "arenas are too small for so many pages")) sums_of(NULL, OFTEN, 3);
}
static void sums_heap(void) {
  mi_heap_t* heap = mi_heap_new();
  sums_of(heap, RATE, 4);
  mi_heap_delete(heap);
}

/* An owner has one next point, whatever heap it allocates from: a block that is none brings it nearer. */
static void points_are_the_owners(void) {
  enum { HEAPS = 30, SIZE = 100000 };
  mi_heap_t* heap[HEAPS];
  owners_begin();
  const mi_points_t* points = &owners[0]->points;
  mi_profile_start((size_t)1 << 30);
  o_free(0, o_malloc(0, SIZE));
  for (int i = 0; i < HEAPS; i++) {
    const uint64_t left = points->left, samples = mi_profile_counts().live;
    heap[i] = mi_heap_make(MI_ARENA_NONE, 0, true);
    CHECK(mi_alloc_malloc(mi_heap_lheap(heap[i], owners[0]), SIZE) != NULL);
    CHECK(points->left < left || mi_profile_counts().live > samples);
  }
  CHECK_EQ(owners[1]->points.session, 0);
  for (int i = 0; i < HEAPS; i++) mi_heap_end(heap[i], false);
  mi_profile_stop();
  owners_end();
}

/* A heap a block: that most of them are used for a moment only is of no account. */
static void sums_heaps(void) {
  enum { N = 4000, SIZE = 3000 };
  sums_t sums;
  memset(&sums, 0, sizeof sums);
  mi_profile_start(RATE);
  mi_profile_set_label(labels[0]);
  for (int i = 0; i < N; i++) {
    mi_heap_t* heap = mi_heap_new();
    CHECK(heap != NULL && mi_heap_malloc(heap, SIZE) != NULL);
    mi_heap_destroy(heap);
  }
  CHECK(mi_sample_each_stack(UINT64_MAX, &sum_stack, &sums));
  check_sum("heaps", sums.all[0], N, SIZE, RATE);
}

/* Two callers that take turns, of one class: neither gets the other's samples. */
static void turns(void) {
  enum { N = 300000 };
  sums_t sums;
  memset(&sums, 0, sizeof sums);
  mi_profile_start(OFTEN);
  for (int i = 0; i < N; i++) {
    mi_profile_set_label(labels[i % 2]);
    void* p = mi_malloc(64);
    mi_profile_set_label(labels[2 + i % 2]);
    void* volatile q = mi_malloc(i % 8 < 2 ? 1500 : 60);
    mi_free(p);
    mi_free(q);
    if (i % 5000 == 0) mi_collect(i % 10000 == 0);                        /* not malloc alone fills lists */
  }
  CHECK(mi_sample_each_stack(UINT64_MAX, &sum_stack, &sums));
  for (int i = 0; i < 2; i++) check_sum("turns", sums.all[i], N / 2, 64, OFTEN);
  for (int i = 2; i < 4; i++) {
    const double asked = N / 8 * 1500.0 + 3 * (N / 8) * 60.0, one = OFTEN;
    CHECK_AT(square(sums.all[i].asked - asked) < 36 * asked * one, "%g bytes, not %g", sums.all[i].asked,
             asked);
  }
}

/* Blocks with pages of their own, of a tenth of the rate, one after the other. */
static void singles(void) {
  enum { N = 4000, SIZE = 100000 };
  sums_t sums;
  memset(&sums, 0, sizeof sums);
  mi_profile_start(10 * SIZE);
  mi_profile_set_label(labels[0]);
  for (int i = 0; i < N; i++) mi_free(mi_malloc(SIZE));
  CHECK(mi_sample_each_stack(UINT64_MAX, &sum_stack, &sums));
  check_sum("singles", sums.all[0], N, SIZE, 10 * SIZE);
}

/* What was freed in pages from before, by their owner or another thread, and is collected, though not for
   an allocation, is in no list that malloc pops without a look: at rate 1 each block is a sample. */
static void* free_some(void* blocks) {
  for (int i = 0; i < 50; i++) mi_free(((void**)blocks)[i]);
  return NULL;
}
static void collected_by(bool remote) {
  void *p[100], *q[40];
  pthread_t t;
  for (int i = 0; i < 100; i++) p[i] = mi_malloc(64);
  mi_profile_start(1);
  if (!remote) free_some(p);
  else CHECK(pthread_create(&t, NULL, &free_some, p) == 0 && pthread_join(t, NULL) == 0);
  mi_collect(false);
  for (int i = 0; i < 40; i++) {
    q[i] = mi_malloc(64);
    CHECK_EQ(mi_profile_counts().live, i + 1);
  }
  for (int i = 0; i < 40; i++) mi_free(q[i]);
  for (int i = 50; i < 100; i++) mi_free(p[i]);
  CHECK_EQ(mi_profile_counts().live, 0);
}
static void collected(void) { collected_by(false); }
static void collected_remote(void) { collected_by(true); }

/* Sampling begins in the middle of an owner's first slow path: it has no point yet. */
static void late(void) {
  bool sample = false;
  owners_begin();
  mi_lheap_t* lh = &owners[0]->main;
  mi_profile_start(1);
  CHECK_EQ(lh->sample_session, 0);
  void* p = mi_lheap_block(lh, 4, &sample);
  CHECK(p != NULL && !sample);
  o_free(0, p);
  void* q[2] = { o_malloc(0, 10), o_malloc(0, 10000) };                   /* it looks in its next slow path */
  CHECK(lh->sample_session != 0 && mi_profile_counts().live > 0);
  for (int i = 0; i < 2; i++) o_free(0, q[i]);
  CHECK_EQ(mi_profile_counts().live, 0);
  mi_profile_stop();
  owners_end();
}

/* A thread frees what another allocates: malloc collects what came remotely. */
typedef struct { mi_atomic(void*) xblock[256]; mi_atomic(int) xdone; } ring_t;
static void* free_all(void* arg) {
  ring_t* ring = arg;
  bool any = true;
  /* Pairs with the release below. */
  for (int done = 0; done == 0 || any; done = mi_load_acquire(&ring->xdone)) {
    any = false;
    for (int i = 0; i < 256; i++) {
      /* Pairs with the exchange below. */
      void* p = mi_exchange_acq_rel(&ring->xblock[i], NULL);
      mi_free(p);
      any = any || p != NULL;
    }
  }
  return NULL;
}

static void sums_remote(void) {
  enum { N = 400000 };
  static ring_t ring;
  pthread_t t;
  sums_t sums;
  memset(&sums, 0, sizeof sums);
  mi_profile_start(OFTEN);
  mi_profile_set_label(labels[0]);
  CHECK(pthread_create(&t, NULL, &free_all, &ring) == 0);
  for (int i = 0; i < N; i++) {
    void* p = mi_malloc(100);
    p = mi_exchange_acq_rel(&ring.xblock[i % 256], p);                    /* pairs with the one above */
    mi_free(p);
  }
  mi_store_release(&ring.xdone, 1);                                       /* pairs with the acquire above */
  pthread_join(t, NULL);
  CHECK(mi_sample_each_stack(UINT64_MAX, &sum_stack, &sums));
  check_sum("remote", sums.all[0], N, 100, OFTEN);
  for (int i = 0; i < 256; i++) mi_free(ring.xblock[i]);
  mi_profile_stop();
  mi_collect(true);
}

TEST_MAIN("sampler", TEST(weights), TEST(draws), TEST(sums_main), TEST(sums_rare), TEST(sums_often),
          TEST(sums_heap), TEST(sums_heaps), TEST(points_are_the_owners), TEST(singles), TEST(collected),
          TEST(collected_remote), TEST(late), TEST(turns), TEST(sums_remote))
