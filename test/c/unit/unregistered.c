/* A program in which the handlers of fork cannot be registered when the library is loaded, nor some times
   later: as where there is no memory for them. The linker puts ours in the place of the C library's. */
#include <pthread.h>
#include <sys/wait.h>

#include "core/memory.h"
#include "test.h"

int __real___register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void* dso);
int __wrap___register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void* dso);

enum { REFUSED = 3 };
static mi_atomic(int) ncalls;
int __wrap___register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void* dso) {
  return ++ncalls <= REFUSED ? ENOMEM : __real___register_atfork(prepare, parent, child, dso);
}

static void run_thread(void* (*run)(void*)) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, run, NULL), 0);
  pthread_join(t, NULL);
}

static void* allocates(void* arg) {
  for (int i = 0; i < 1000; i++) mi_free(mi_malloc((size_t)i * 300));
  return arg;
}

/* Each thread that begins to allocate tries it, until one has registered them. */
static void tried_again(void) {
  CHECK_EQ(ncalls, 1);                           /* when it was loaded */
  allocates(NULL);
  CHECK_EQ(ncalls, 2);
  allocates(NULL);
  CHECK_EQ(ncalls, 2);
  for (int i = 3; i <= REFUSED + 1; i++) {
    run_thread(&allocates);
    CHECK_EQ(ncalls, i);
  }
  for (int i = 0; i < 3; i++) run_thread(&allocates);
  CHECK_EQ(ncalls, REFUSED + 1);
}

/* Then they are there: a lock that another thread has is open in the child. */
static mi_atomic(int) state;
static void* has_a_lock(void* arg) {
  mi_lock(&mi_arena_lock);
  mi_store_release(&state, 1);                   /* pairs with locks_are_open */
  usleep(100000);
  mi_unlock(&mi_arena_lock);
  return arg;
}
static void locks_are_open(void) {
  int status;
  pthread_t t;
  allocates(NULL);
  for (int i = 0; i < REFUSED; i++) run_thread(&allocates);
  CHECK_EQ(ncalls, REFUSED + 1);
  CHECK_EQ(pthread_create(&t, NULL, &has_a_lock, NULL), 0);
  test_await(&state, 1);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    mi_lock(&mi_arena_lock);
    mi_unlock(&mi_arena_lock);
    allocates(NULL);
    _exit(0);
  }
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHECK_AT(status == 0, "status = %#x", status);
  pthread_join(t, NULL);
}

TEST_MAIN("unregistered", TEST(tried_again), TEST(locks_are_open))
