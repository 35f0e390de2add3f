/* bitmap.h, against an array of bool, and by several threads at once. */
#include <pthread.h>

#include "core/bitmap.h"
#include "test.h"

#define BITS 300
static mi_bits_t map[(BITS + 63) / 64];
static bool model[BITS];

static void agree(void) {
  size_t n = 0;
  for (size_t i = 0; i < BITS; i++) {
    CHECK_EQ((map[i / 64] >> (i % 64)) & 1, model[i]);
    n += model[i];
  }
  CHECK_EQ(mi_bitmap_count(map, BITS), n);
}

static size_t model_run(size_t i, size_t max) {
  size_t n = 0;
  while (n < max && i + n < BITS && model[i + n]) n++;
  return n;
}

static bool model_claim_run(size_t n, size_t align, size_t offset, size_t* at) {
  for (size_t i = *at; i + n <= BITS; i++) {
    if (i % align != offset || model_run(i, n) < n) continue;
    memset(model + i, 0, n);
    *at = i;
    return true;
  }
  return false;
}

static void random_step(uint64_t* r) {
  bool missed = false;
  const size_t i = test_random(r) % BITS, n = 1 + test_random(r) % (test_random(r) % 4 ? 9 : BITS - i);
  const size_t m = mi_min(n, BITS - i);
  switch (test_random(r) % 8) {
    case 0: mi_bitmap_set(map, i, m); memset(model + i, 1, m); break;
    case 1: {
      const bool any = memchr(model + i, 1, m) != NULL;
      CHECK_EQ(mi_bitmap_clear(map, i, m), any);
      memset(model + i, 0, m);
      break;
    }
    case 2: {
      const bool all = model_run(i, m) == m;
      CHECK_EQ(mi_bitmap_claim_at(map, i, m), all);
      if (all) memset(model + i, 0, m);
      break;
    }
    case 3: {
      const size_t align = (size_t)1 << test_random(r) % 5, offset = test_random(r) % align;
      size_t a = i, b = i;
      const bool found = model_claim_run(n, align, offset, &b);
      CHECK_EQ(mi_bitmap_claim_run(map, BITS, n, align, offset, &a, &missed), found);
      CHECK(!missed);
      if (found) CHECK_EQ(a, b);
      break;
    }
    case 6: {
      size_t run = 0;
      while (run < n && run < i && model[i - run - 1]) run++;
      CHECK_EQ(mi_bitmap_run_before(map, i, n), run);
      break;
    }
    case 7: {
      size_t at = i;
      while (at < BITS && model_run(at, n) < n) at++;
      CHECK_EQ(mi_bitmap_find_run(map, BITS, n, i), at);
      break;
    }
    case 4: {
      size_t next = i;
      while (next < BITS && !model[next]) next++;
      CHECK_EQ(mi_bitmap_next(map, BITS, i), next);
      break;
    }
    default: CHECK_EQ(mi_bitmap_run(map, BITS, i, n), model_run(i, n));
  }
}

static void against_model(void) {
  uint64_t r = 1;
  for (int k = 0; k < 200000; k++) {
    random_step(&r);
    if (k % 64 == 0) agree();
  }
}

static void edges(void) {
  bool missed = false;
  size_t i = 0;
  CHECK(!mi_bitmap_claim_run(map, BITS, 1, 1, 0, &i, &missed));
  CHECK_EQ(mi_bitmap_next(map, BITS, 0), BITS);
  CHECK_EQ(mi_bitmap_next(map, BITS, BITS), BITS);
  mi_bitmap_set(map, 0, BITS);
  CHECK_EQ(mi_bitmap_run(map, BITS, 0, SIZE_MAX), BITS);
  CHECK(!mi_bitmap_claim_run(map, BITS, BITS + 1, 1, 0, &i, &missed));
  CHECK(!mi_bitmap_claim_run(map, BITS, SIZE_MAX, 1, 0, &i, &missed));
  CHECK(mi_bitmap_claim_run(map, BITS, BITS, 1, 0, &i, &missed));
  CHECK_EQ(i, 0);
  CHECK_EQ(mi_bitmap_count(map, BITS), 0);
}

/* A claim that fails half-way gives back what it took. */
static void claim_is_all_or_nothing(void) {
  mi_bitmap_set(map, 10, 200);
  mi_bitmap_clear(map, 180, 1);
  CHECK(!mi_bitmap_claim_at(map, 10, 200));
  CHECK_EQ(mi_bitmap_count(map, BITS), 199);
}

/* Every bit is given to one thread only: who has a run writes his number into it. */
static mi_atomic(int) holder[BITS];
static void* claimer(void* arg) {
  bool missed = false;
  const int me = (int)(intptr_t)arg;
  uint64_t r = (uint64_t)me;
  for (int k = 0; k < 20000; k++) {
    size_t i = test_random(&r) % BITS, n = 1 + test_random(&r) % 70;
    if (!mi_bitmap_claim_run(map, BITS, n, 1, 0, &i, &missed)) continue;
    for (size_t j = i; j < i + n; j++) CHECK_EQ(mi_exchange_acq_rel(&holder[j], me), 0);
    for (size_t j = i; j < i + n; j++) CHECK_EQ(mi_exchange_acq_rel(&holder[j], 0), me);
    mi_bitmap_set(map, i, n);
  }
  return NULL;
}

static void threads(void) {
  pthread_t t[4];
  mi_bitmap_set(map, 0, BITS);
  for (intptr_t k = 0; k < 4; k++) CHECK_EQ(pthread_create(&t[k], NULL, &claimer, (void*)(k + 1)), 0);
  for (int k = 0; k < 4; k++) pthread_join(t[k], NULL);
  CHECK_EQ(mi_bitmap_count(map, BITS), BITS);
}

TEST_MAIN("bitmap", TEST(against_model), TEST(edges), TEST(claim_is_all_or_nothing), TEST(threads))
