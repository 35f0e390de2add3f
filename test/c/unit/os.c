/* os.h: reservations, purging, moving, faults, locks. */
#include <pthread.h>
#include <signal.h>

#include "core/os.h"
#include "test.h"

static void reserve_aligned(void) {
  for (size_t align = mi_os_page_size(); align <= 64 * MI_MiB; align *= 2) {
    uint8_t* p = mi_os_reserve(3 * MI_MiB, align);
    CHECK(p != NULL && (uintptr_t)p % align == 0);
    CHECK(mi_os_commit(p, 3 * MI_MiB));
    CHECK(test_all(p, 3 * MI_MiB, 0));
    memset(p, 1, 3 * MI_MiB);
    mi_os_release(p, 3 * MI_MiB);
  }
}

static void reserve_too_much(void) {
  errno = 0;
  CHECK(mi_os_reserve((size_t)1 << 60, MI_SLICE_SIZE) == NULL);
  CHECK_EQ(errno, ENOMEM);
  CHECK(mi_os_reserve(MI_MiB, (size_t)1 << 62) == NULL);
  CHECK_EQ(errno, ENOMEM);
}

static void purge(void) {
  const size_t size = 64 * MI_MiB;
  uint8_t* p = mi_os_reserve(size, MI_SLICE_SIZE);
  CHECK(p != NULL && mi_os_commit(p, size));
  memset(p, 1, size);
  const size_t full = test_rss();
  errno = 77;
  CHECK(mi_os_purge(p, size));
  CHECK_EQ(errno, 77);
  CHECK(test_rss() + size / 2 < full);
  CHECK(test_all(p, size, 0));
  CHECK(!mi_os_purge(p + 1, 1));                 /* not a page: refused, and errno is as it was */
  CHECK_EQ(errno, 77);
}

static void resize_and_move(void) {
  const size_t size = MI_MiB;
  uint8_t* p = mi_os_reserve(size, MI_SLICE_SIZE);
  CHECK(p != NULL && mi_os_commit(p, size));
  test_fill(p, size, 1);
  CHECK(mi_os_resize(p, size, size / 2));
  uint8_t* q = mi_os_reserve(4 * size, MI_SLICE_SIZE);
  CHECK(q != NULL && mi_os_move(p, size / 2, q, 4 * size));
  CHECK(test_filled(q, size / 2, 1));
  CHECK(test_all(q + size / 2, 4 * size - size / 2, 0));
  mi_os_release(q, 4 * size);
}

static void fail_in(void) {
  mi_os_fail_in(3, 2);
  void* p = mi_os_reserve(MI_MiB, mi_os_page_size());
  CHECK(p != NULL && mi_os_commit(p, MI_MiB));
  errno = 0;
  CHECK(mi_os_reserve(MI_MiB, mi_os_page_size()) == NULL);
  CHECK_EQ(errno, ENOMEM);
  errno = 0;
  CHECK(!mi_os_commit(p, MI_MiB));
  CHECK_EQ(errno, ENOMEM);
  CHECK(mi_os_commit(p, MI_MiB));
  mi_os_fail_in(1, 3);
  CHECK(!mi_os_resize(p, MI_MiB, MI_MiB / 2) && !mi_os_move(p, MI_MiB, p, MI_MiB));
  mi_os_fail_in(0, 0);
  CHECK(mi_os_commit(p, MI_MiB));
}

static void time_and_process(void) {
  const uint64_t before = mi_os_now_ms();
  usleep(30000);
  CHECK(mi_os_now_ms() >= before + 20);
  mi_os_process_t info;
  errno = 5;
  mi_os_process(&info);
  CHECK(info.rss > 0 && info.peak_rss >= info.rss / 2);
  CHECK_EQ(errno, 5);
}

static mi_lock_t low = MI_LOCK_INIT(MI_RANK_HEAPS), high = MI_LOCK_INIT(MI_RANK_META);
static void wrong_order(void) { mi_lock(&high); mi_lock(&low); }

static void lock_ranks(void) {
  mi_lock(&low);
  mi_lock(&high);
  mi_unlock(&high);
  mi_unlock(&low);
  CHECK_EQ(test_dies(&wrong_order, SIGABRT), MI_CHECK != 0);
}

static int counted;
static void* count_up(void* arg) {
  for (int i = 0; i < 20000; i++) {
    mi_lock(&low);
    counted++;
    mi_unlock(&low);
  }
  return arg;
}

static void lock_excludes(void) {
  pthread_t t[4];
  for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, &count_up, NULL), 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK_EQ(counted, 80000);
}

TEST_MAIN("os", TEST(reserve_aligned), TEST(reserve_too_much), TEST(purge), TEST(resize_and_move), TEST(fail_in),
          TEST(time_and_process), TEST(lock_ranks), TEST(lock_excludes))
