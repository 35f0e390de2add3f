/* label.c: texts that stay, and who has which. */
#include <pthread.h>
#include <sys/wait.h>

#include "test.h"
#include "core/label.h"
#include "core/meta.h"

static const char* named(const char* outer, const char* name) {
  return mi_label_within(outer, name, strlen(name));
}

static void texts(void) {
  const char* a = named(NULL, "requests");
  CHECK(strcmp(a, "requests") == 0 && named(NULL, "requests") == a);
  const char* b = named(a, "parse");
  CHECK(strcmp(b, "requests;parse") == 0 && named(a, "parse") == b && named(NULL, "parse") != b);
  CHECK(strcmp(named(NULL, "a;b\nc"), "a_b_c") == 0);
  CHECK(strcmp(mi_label_within(NULL, "a\0b", 3), "a_b") == 0);
  CHECK(mi_label_within_all(NULL, "requests;parse", 14) == b);
  CHECK(mi_label_within(a, "", 0) == a && mi_label_within(NULL, "", 0) == NULL);
  errno = 77;
  CHECK(strcmp(named(b, "x"), "requests;parse;x") == 0 && errno == 77);
}

/* Bytes of a name that makes a label of so many bytes within an outer one of so many. */
static void lengths(void) {
  char name[MI_LABEL_MOST];
  memset(name, 'n', sizeof name);
  const char* a = named(NULL, "abc");
  const char* most = mi_label_within(NULL, name, MI_LABEL_MOST - 1);
  CHECK(strlen(most) == MI_LABEL_MOST - 1);
  CHECK(mi_label_within(NULL, name, MI_LABEL_MOST) == NULL);
  CHECK(strlen(mi_label_within(a, name, MI_LABEL_MOST - 5)) == MI_LABEL_MOST - 1);
  CHECK(mi_label_within(a, name, MI_LABEL_MOST - 4) == a);
  CHECK(named(most, "x") == most);
}

/* A program that makes labels without end gets those around them, and keeps those that it had. */
static void without_end(void) {
  enum { N = 6000 };
  static const char* made[N];
  char name[1000];
  const char* outer = named(NULL, "outer");
  size_t n = 0;
  memset(name, 'n', sizeof name);
  for (size_t i = 0; i < N; i++) {
    snprintf(name, 10, "%08zu", i);
    name[8] = 'n';
    made[i] = mi_label_within(outer, name, 900);
    if (made[i] == outer) { n++; continue; }
    CHECK_AT(n == 0, "%zu after one that was not made", i);
  }
  CHECK(n > N / 2 && n < N - 1000);
  for (size_t i = 0; i < N - n; i++) {
    snprintf(name, 10, "%08zu", i);
    name[8] = 'n';
    CHECK(mi_label_within(outer, name, 900) == made[i]);
  }
}

static void of_threads(void) {
  CHECK(mi_label_of(1) == NULL);
  CHECK(mi_label_enter(1, "a", 1) == NULL);
  const char* a = mi_label_of(1);
  CHECK(strcmp(a, "a") == 0 && mi_label_of(1 + 4096) == NULL);
  CHECK(mi_label_enter(1 + 4096, "b", 1) == NULL);
  CHECK(mi_label_enter(1, "c", 1) == a && strcmp(mi_label_of(1), "a;c") == 0);
  CHECK(strcmp(mi_label_of(1 + 4096), "b") == 0);
  mi_label_set(1, a);
  CHECK(mi_label_of(1) == a);
  mi_label_set(1, NULL);
  mi_label_set(1, NULL);
  CHECK(mi_label_of(1) == NULL && strcmp(mi_label_of(1 + 4096), "b") == 0);
  mi_label_set(2, a);
  CHECK(mi_label_of(2) == a);
}

/* A thread that has none any more takes up nothing. */
static void many_threads(void) {
  enum { N = 20000 };
  size_t committed = 0;
  for (int turn = 0; turn < 3; turn++) {
    for (uint64_t i = 0; i < N; i++) CHECK(mi_label_enter(turn * N + i, "worker", 6) == NULL);
    for (uint64_t i = 0; i < N; i++) CHECK(strcmp(mi_label_of(turn * N + i), "worker") == 0);
    if (turn == 0) committed = mi_meta_committed();
    for (uint64_t i = 0; i < N; i++) mi_label_set(turn * N + i, NULL);
    for (uint64_t i = 0; i < N; i++) CHECK(mi_label_of(turn * N + i) == NULL);
  }
  CHECK(mi_meta_committed() <= committed);
}

/* Each has numbers of its own, in the same lists. */
enum { THREADS = 4 };
static void* enter_and_leave(void* arg) {
  const uint64_t first = (uintptr_t)arg;
  char name[] = "x0";
  name[1] = (char)('0' + first);
  for (uint64_t i = 0; i < (TEST_SANITIZED ? 3000u : 30000u); i++) {
    const uint64_t thread = first + THREADS * (i % 3) * 1024;
    CHECK(mi_label_enter(thread, name, 2) == NULL);
    const char* outer = mi_label_of(thread);
    CHECK(strcmp(outer, name) == 0);
    CHECK(mi_label_enter(thread, "in", 2) == outer && strlen(mi_label_of(thread)) == 5);
    mi_label_set(thread, outer);
    mi_label_set(thread, NULL);
    CHECK(mi_label_of(thread) == NULL);
  }
  return NULL;
}

static void busy(void) {
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, &enter_and_leave, (void*)i) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

/* A child finds the lock free, whoever had it. */
static void forked(void) {
  pthread_t threads[THREADS];
  if (test_skips(TEST_SANITIZED, "the child has threads that it does not join")) return;
  mi_free(mi_malloc(1));                                                  /* forks are told from here on */
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, &enter_and_leave, (void*)i) == 0);
  for (int i = 0; i < 50; i++) {
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
      mi_label_set(99, NULL);
      _exit(mi_label_enter(99, "child", 5) == NULL && strcmp(mi_label_of(99), "child") == 0 ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

TEST_MAIN("label", TEST(texts), TEST(lengths), TEST(without_end), TEST(of_threads), TEST(many_threads),
          TEST(busy), TEST(forked))
