/* fork: the child of a process with threads allocates, and frees what others had. */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/heaps.h"
#include "test.h"

static mi_atomic(void*) slot[256];
static mi_atomic(bool) stop;

static void* busy(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  while (!mi_load_acquire(&stop)) {
    void* p = mi_malloc(test_random(&r) % 3000);
    CHECK(p != NULL);
    mi_free(mi_exchange_acq_rel(&slot[test_random(&r) % 256], p));
    if (test_random(&r) % 200 == 0) mi_collect(test_random(&r) % 2);
    if (test_random(&r) % 500 == 0) {
      mi_heap_t* heap = mi_heap_new();
      CHECK(heap != NULL && mi_heap_malloc(heap, 100) != NULL);
      mi_heap_destroy(heap);
    }
  }
  return NULL;
}

static void wait_for(pid_t pid) {
  int status;
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHECK_AT(status == 0, "status = %#x", status);
}

static void use_everything(void) {
  void* p[500];
  for (int i = 0; i < 500; i++) {
    CHECK((p[i] = mi_malloc((size_t)i * 37)) != NULL);
    memset(p[i], 1, (size_t)i * 37);
  }
  for (int i = 0; i < 500; i++) mi_free(p[i]);
  mi_collect(true);
}

static void* in_thread(void* arg) { use_everything(); return arg; }

static void in_child(void) {
  alarm(600);
  use_everything();
  for (int i = 0; i < 256; i++) mi_free(slot[i]);        /* of threads that are gone */
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &in_thread, NULL), 0);
  pthread_join(t, NULL);
  mi_heap_t* heap = mi_heap_new();
  CHECK(heap != NULL && mi_heap_malloc(heap, 1000) != NULL);
  mi_heap_delete(heap);
  mi_collect(true);
  _exit(0);
}

static void with_busy_threads(void) {
  pthread_t t[3];
  use_everything();
  for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&t[i], NULL, &busy, (void*)(i + 1)), 0);
  for (int i = 0; i < 40; i++) {
    usleep(2000);
    const pid_t pid = fork();
    if (pid == 0) in_child();
    wait_for(pid);
  }
  mi_store_release(&stop, true);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < 256; i++) mi_free(slot[i]);
  mi_thread_done();
  test_nothing_left();
}

/* The forking thread has no heap of its own. */
static void by_a_thread_without_heap(void) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &busy, (void*)1), 0);
  usleep(20000);
  for (int i = 0; i < 10; i++) {
    const pid_t pid = fork();
    if (pid == 0) in_child();
    wait_for(pid);
  }
  mi_store_release(&stop, true);
  pthread_join(t, NULL);
}

/* Its own heap is whole in the child, and goes on in both. */
static void own_heap(void) {
  void* p[300];
  for (int i = 0; i < 300; i++) test_fill(p[i] = mi_malloc((size_t)i), (size_t)i, (uint64_t)i);
  const pid_t pid = fork();
  for (int i = 0; i < 300; i++) {
    CHECK(test_filled(p[i], (size_t)i, (uint64_t)i));
    mi_free(p[i]);
  }
  mi_collect(true);
  test_nothing_left();
  if (pid == 0) _exit(0);
  wait_for(pid);
}

static void child_of_child(void) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &busy, (void*)1), 0);
  usleep(10000);
  pid_t pid = fork();
  if (pid == 0) {
    use_everything();
    pid = fork();
    if (pid == 0) in_child();
    wait_for(pid);
    in_child();
  }
  wait_for(pid);
  mi_store_release(&stop, true);
  pthread_join(t, NULL);
}

/* A heap that several threads used is ended in the child. */
static mi_heap_t* shared;
static void* use_shared(void* arg) {
  while (!mi_load_acquire(&stop)) {
    void* p = mi_heap_malloc(shared, 100);
    CHECK(p != NULL);
    mi_free(mi_exchange_acq_rel(&slot[(uintptr_t)p / 128 % 256], p));
  }
  return arg;
}
static void shared_heap(void) {
  pthread_t t[2];
  shared = mi_heap_new();
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&t[i], NULL, &use_shared, NULL), 0);
  for (int i = 0; i < 40; i++) {
    usleep(2000);
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(300);
      CHECK(mi_heap_malloc(shared, 100) != NULL);
      (i % 2 ? &mi_heap_destroy : &mi_heap_delete)(shared);
      use_everything();
      _exit(0);
    }
    wait_for(pid);
  }
  mi_store_release(&stop, true);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
}

/* What others were just purging when the process forked nobody gives back in the child, so nobody waits for it there. */
static void* purge_for_ever(void* arg) {
  while (!mi_load_acquire(&stop)) {
    void* p = mi_malloc(3 * MI_MiB);
    CHECK(p != NULL);
    memset(p, 1, 3 * MI_MiB);
    mi_free(p);
    mi_collect(true);
  }
  return arg;
}

static long nsleeps(void) {
  struct rusage usage;
  CHECK_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_nvcsw;
}

/* It slept less often than one does who waits. */
static bool full_is_seen_at_once(mi_heap_t* heap) {
  const long before = nsleeps();
  CHECK(mi_heap_malloc(heap, MI_MiB) == NULL);
  return nsleeps() - before < 50;
}

static void others_purge(void) {
  pthread_t t[2];
  mi_arena_id_t arena;
  test_expect_errors();
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, true, &arena), 0);
  mi_heap_t* heap = mi_heap_new_in_arena(arena);
  CHECK(mi_heap_malloc(heap, 900000) != NULL);
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&t[i], NULL, &purge_for_ever, NULL), 0);
  for (int i = 0; i < 60; i++) {
    usleep(1000 + 100 * (unsigned)i);
    const pid_t pid = fork();
    if (pid == 0) {
      CHECK(full_is_seen_at_once(heap));
      _exit(0);
    }
    wait_for(pid);
  }
  mi_store_release(&stop, true);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
}

TEST_MAIN("fork", TEST(with_busy_threads), TEST(by_a_thread_without_heap), TEST(own_heap), TEST(child_of_child), TEST(shared_heap), TEST(others_purge))
