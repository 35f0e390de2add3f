/* local.h: what a thread has for itself, more threads than there are places for at first (ghc/local_key.c, in
   the variant `key`), and no memory for more. */
#include <pthread.h>
#include <semaphore.h>

#include "test.h"

enum { PLACES = 512, MANY = 2 * PLACES - 1 };    /* and one for the thread that runs the tests */
static pthread_t threads[MANY + 1];
static mi_local_t* own[MANY + 1];
static mi_atomic(size_t) nready;
static sem_t may_end[MANY + 1];

/* It has a place, all the time the same, which nobody had before or has meanwhile. */
static void* has_a_place(void* arg) {
  const size_t i = (size_t)arg;
  mi_local_t* local = own[i] = mi_local();
  CHECK(local->lheap == &mi_lheap_empty && local->nerrors == 0);
  local->nerrors = (unsigned)i + 1;
  nready++;                                      /* pairs with threads_wait */
  while (sem_wait(&may_end[i]) != 0) CHECK(errno == EINTR);
  CHECK(mi_local() == local && local->nerrors == i + 1);
  local->nerrors = 0;
  return NULL;
}

static void threads_wait(size_t n) {
  while (mi_load_acquire(&nready) < n) usleep(1000);                      /* pairs with has_a_place */
}

static void thread_begins(size_t i) {
  pthread_attr_t small;
  CHECK_EQ(sem_init(&may_end[i], 0, 0), 0);
  CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 256 * MI_KiB) == 0);
  CHECK_EQ(pthread_create(&threads[i], &small, &has_a_place, (void*)i), 0);
  pthread_attr_destroy(&small);
}

static void threads_begin(size_t from, size_t to) {
  for (size_t i = from; i < to; i++) thread_begins(i);
  threads_wait(to);
  for (size_t i = from; i < to; i++) for (size_t k = 0; k < i; k++) CHECK(own[i] != own[k]);
}

static void threads_end(size_t from, size_t to) {
  for (size_t i = from; i < to; i++) CHECK_EQ(sem_post(&may_end[i]), 0);
  for (size_t i = from; i < to; i++) pthread_join(threads[i], NULL);
}

static void each_has_its_own(void) {
  CHECK(mi_local() == mi_local());
  for (int round = 0; round < 2; round++) {
    mi_store_relaxed(&nready, 0);
    threads_begin(0, 40);
    threads_end(0, 40);
  }
}

static void more_than_there_are_places(void) {
  mi_local();
  threads_begin(0, PLACES + 20);
  threads_end(0, PLACES + 20);
}

/* The first thread that finds no place is refused memory some times; then there are as many places as that
   memory has, and none is lost. */
static void memory_is_refused(void) {
  mi_local();
  threads_begin(0, PLACES - 1);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 1, 4);
  threads_begin(PLACES - 1, PLACES);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 1, SIZE_MAX);
  threads_begin(PLACES, MANY);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_GOES_ON, 0, 0);
  threads_end(0, MANY);
}

/* There is none at all: it waits, asleep, until another thread ends. */
static void no_memory(void) {
  if (test_skips(!MI_LOCAL_BY_KEY, "there is thread-local storage")) return;
  mi_local();
  threads_begin(0, PLACES - 1);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 1, SIZE_MAX);
  thread_begins(PLACES - 1);
  usleep(50000);
  CHECK_EQ(mi_load_acquire(&nready), PLACES - 1);        /* pairs with has_a_place */
  threads_end(0, 1);
  threads_wait(PLACES);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_GOES_ON, 0, 0);
  threads_end(1, PLACES);
}

TEST_MAIN("local", TEST(each_has_its_own), TEST(more_than_there_are_places), TEST(memory_is_refused),
          TEST(no_memory))
