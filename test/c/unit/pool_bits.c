/* pool_bits.h: the pool's bits, and what owners do with them. */
#include <pthread.h>

#include "core/pool_bits.h"
#include "test.h"

#define BITS 200
static mi_xbits_t bits[(BITS + 63) / 64];

static void against_model(void) {
  bool model[BITS] = { false };
  uint64_t r = 1;
  for (int k = 0; k < 200000; k++) {
    const size_t i = test_random(&r) % BITS;
    switch (test_random(&r) % 3) {
      case 0: CHECK_EQ(mi_pool_bit_set(bits, i), !model[i]); model[i] = true; break;
      case 1: CHECK_EQ(mi_pool_bit_clear(bits, i), model[i]); model[i] = false; break;
      default: {
        size_t a = i, b = i;
        while (b < BITS && !model[b]) b++;
        CHECK_EQ(mi_pool_bit_take(bits, BITS, &a), b < BITS);
        if (b < BITS) { CHECK_EQ(a, b); model[b] = false; }
      }
    }
  }
}

static mi_atomic(int) ntaken[BITS];
static void* taker(void* arg) {
  size_t i = 0;
  while (mi_pool_bit_take(bits, BITS, &i)) mi_add_relaxed(&ntaken[i], 1);
  return arg;
}

static void each_bit_once(void) {
  for (int round = 1; round <= 300; round++) {
    pthread_t t[3];
    for (size_t i = 0; i < BITS; i++) CHECK(mi_pool_bit_set(bits, i));
    for (int k = 0; k < 3; k++) CHECK_EQ(pthread_create(&t[k], NULL, &taker, NULL), 0);
    for (int k = 0; k < 3; k++) pthread_join(t[k], NULL);
    for (size_t i = 0; i < BITS; i++) CHECK_EQ(ntaken[i], round);
  }
}

/* ---- owners ---- */

enum { N = 3000 };
static void* block[N];

static void blocks_make(int owner, size_t size) {
  for (int i = 0; i < N; i++) test_fill(block[i] = o_malloc(owner, size), 16, (uint64_t)i);
}

static void blocks_free(int owner, int from, int to) {
  for (int i = from; i < to; i++) {
    CHECK(test_filled(block[i], 16, (uint64_t)i));
    o_free(owner, block[i]);
  }
}

/* An owner ends with live blocks; all are freed by another: nothing is stuck. */
static void abandoned_and_freed(void) {
  owners_begin();
  blocks_make(0, 100);
  mi_owner_end(owners[0]);
  blocks_free(1, 0, N);
  owners[0] = mi_owner_begin(MI_OWNER_CAPABILITY, mi_id_of_capability(0));
  owners_end();
  test_nothing_left();
}

/* Some are freed, some after the owner's end; another owner of the same size goes on in its pages. */
static void adopted(void) {
  owners_begin();
  blocks_make(0, 100);
  blocks_free(0, 0, N / 3);
  blocks_free(1, N / 3, N / 2);
  mi_owner_end(owners[0]);
  CHECK_EQ(mi_check_all(), 0);
  const uint64_t fresh = owners[2]->main.xcounts.fresh_pages;
  void* mine[N / 4];
  for (int i = 0; i < N / 4; i++) CHECK((mine[i] = o_malloc(2, 100)) != NULL);
  CHECK(owners[2]->main.xcounts.adopted_pages > 0);
  CHECK_EQ(owners[2]->main.xcounts.fresh_pages, fresh);
  CHECK_EQ(mi_check_all(), 0);
  blocks_free(3, N / 2, N);
  for (int i = 0; i < N / 4; i++) o_free(4, mine[i]);
  owners[0] = mi_owner_begin(MI_OWNER_CAPABILITY, mi_id_of_capability(0));
  owners_end();
  test_nothing_left();
}

/* A chain: each owner adopts from the one before, frees a part, and ends. */
static void handed_on(void) {
  owners_begin();
  blocks_make(0, 48);
  for (int o = 0; o < NOWNERS; o++) {
    blocks_free(o, o * N / NOWNERS, (o + 1) * N / NOWNERS);
    for (int i = 0; i < 20; i++) o_free(o, o_malloc(o, 48));
    CHECK_EQ(mi_check_all(), 0);
    mi_owner_end(owners[o]);
  }
  test_nothing_left();
}

TEST_MAIN("pool_bits", TEST(against_model), TEST(each_bit_once), TEST(abandoned_and_freed), TEST(adopted),
          TEST(handed_on))
