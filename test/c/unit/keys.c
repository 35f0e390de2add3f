/* A program that has used up all thread keys before us: what is in them stays, and a thread's
   end is not noticed. */
#include <pthread.h>

#include "test.h"

static pthread_key_t theirs;             /* the first of all: number 0 */
static int nended;
static void ends(void* value) { nended += value == (void*)0x1111; }

__attribute__((constructor(101))) static void before_ours(void) {
  pthread_key_t key;
  if (pthread_key_create(&theirs, &ends) != 0) abort();
  while (pthread_key_create(&key, NULL) == 0) {}
}

static void run_thread(void* (*run)(void*), void* arg) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, run, arg), 0);
  pthread_join(t, NULL);
}

static void* keeps_its_value(void* arg) {
  pthread_setspecific(theirs, (void*)0x1111);
  mi_free(mi_malloc(100));
  CHECK(pthread_getspecific(theirs) == (void*)0x1111);
  return arg;
}
static void values_stay(void) {
  CHECK(theirs == 0 || TEST_SANITIZED);          /* whose runtime has one of its own */
  for (int i = 0; i < 10; i++) run_thread(&keeps_its_value, NULL);
  CHECK_EQ(nended, 10);
}

/* The C library gives a thread the memory of one that has ended, so they have the same id. */
enum { N = 300 };
static void* block[N];
static uintptr_t seen[2];
static void* allocates(void* arg) {
  seen[(uintptr_t)arg % 2] = (uintptr_t)__builtin_thread_pointer();
  for (int i = 0; i < N; i++) {
    mi_free(block[i]);
    CHECK((block[i] = mi_malloc((size_t)i * 37)) != NULL);
    test_fill(block[i], (size_t)i * 37, (uint64_t)i);
  }
  return NULL;
}

static void the_next_thread_takes_over(void) {
  for (uintptr_t k = 0; k < 200; k++) {
    run_thread(&allocates, (void*)k);
    CHECK(k == 0 || seen[0] == seen[1]);
    for (int i = 0; i < N; i++) CHECK(test_filled(block[i], (size_t)i * 37, (uint64_t)i));
    CHECK_EQ(mi_check_all(), 0);
  }
  CHECK_EQ(mi_owner_slots(), 1);
  for (int i = 0; i < N; i++) mi_free(block[i]);
}

/* In another sub-process the thread has another main heap: what was left is ended then. */
static void* in_another(void* sub) {
  mi_subproc_add_current_thread((mi_subproc_id_t)sub);
  allocates(NULL);
  for (int i = 0; i < N; i++) { mi_free(block[i]); block[i] = NULL; }
  mi_thread_done();
  return NULL;
}
static void of_another_sub_process(void) {
  const mi_subproc_id_t sub = mi_subproc_new();
  run_thread(&allocates, NULL);
  run_thread(&in_another, (void*)sub);
  CHECK_EQ(mi_owner_slots(), 1);
  mi_subproc_delete(sub);
  test_nothing_left();
}

/* Who says that it ends leaves nothing. */
static void* says_so(void* arg) {
  allocates(NULL);
  for (int i = 0; i < N; i++) { mi_free(block[i]); block[i] = NULL; }
  mi_thread_done();
  return arg;
}
static void told(void) {
  run_thread(&says_so, NULL);
  test_nothing_left();
}

TEST_MAIN("keys", TEST(values_stay), TEST(the_next_thread_takes_over), TEST(of_another_sub_process),
          TEST(told))
