/* What the C suites share: tests that run each in a process of its own, checks, owners played by one
   thread, patterns, errors that are counted. Linked to the core's objects, so internal headers are open. */
#ifndef TEST_H
#define TEST_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/mimalloc.h"
#include "core/aligned.h"
#include "core/heap.h"
#include "core/purger.h"
#include "core/os.h"
#include "core/alloc.h"
#include "core/commit.h"
#include "core/memory.h"
#include "core/move.h"
#include "core/policy.h"
#include "core/purge.h"
#include "core/free.h"
#include "core/options.h"
#include "core/owner.h"
#include "core/realloc.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#else
#define TEST_SANITIZED 0
#endif

typedef struct { const char* name; void (*run)(void); } test_t;
#define TEST(f) { #f, &f }

/* Runs each in a child: a crash is one failure, and a test finds an allocator that nobody has used.
   Arguments: the names of the tests to run; none: all. */
int test_run(const char* suite, const test_t* tests, size_t n, int argc, char** argv);
#define TEST_MAIN(suite, ...) \
  int main(int argc, char** argv) { \
    static const test_t tests[] = { __VA_ARGS__ }; \
    return test_run(suite, tests, sizeof tests / sizeof *tests, argc, argv); \
  }

/* A check that fails ends the test. */
void test_fail(const char* file, int line, const char* format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
#define CHECK(x) ((x) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", #x))
#define CHECK_AT(x, format, ...) \
  ((x) ? (void)0 : test_fail(__FILE__, __LINE__, "%s where " format, #x, __VA_ARGS__))
#define CHECK_EQ(a, b) test_equal(__FILE__, __LINE__, #a " == " #b, (uint64_t)(a), (uint64_t)(b))
void test_equal(const char* file, int line, const char* what, uint64_t a, uint64_t b);

/* `if (test_skips(MI_HARD, "why")) return;`: what cannot be tried here says so, and tools/suite counts it. */
bool test_skips(bool skips, const char* reason);

/* True if `run` ends the process by this signal; what it prints is swallowed. */
bool test_dies(void (*run)(void), int sig);

uint64_t test_random(uint64_t* state);

/* Fills with bytes that depend on `seed` and the place; says whether they are still there. */
void test_fill(void* p, size_t n, uint64_t seed);
bool test_filled(const void* p, size_t n, uint64_t seed);
bool test_all(const void* p, size_t n, uint8_t value);

/* Invariants hold and nothing is live: every slice of every arena is free. */
void test_nothing_left(void);
size_t test_free_slices(void);
size_t test_rss(void);
/* What is resident in all mappings together and not a file's, by /proc/self/smaps. */
size_t test_smaps_anonymous(void);
/* Bytes of address space of this process. */
size_t test_mapped(void);
/* Bytes of mappings that count where the system counts every page that can be written to. */
size_t test_accounted(void);

/* A thread that allocates and frees up to 3000 bytes, and one time in a hundred up to 200000, in 100 places,
   until test_stop. `seed`: a number that is not null. */
void* test_churn(void* seed);
extern mi_atomic(bool) test_stop;
/* Waits until another thread has stored this with release: awake for a moment, so that the two go on
   together, and then asleep, so that a busy machine runs the other one. */
void test_await(mi_atomic(int)* word, int value);

/* Signals whose handlers fork, in a process with threads, where they interrupt fork. The C library has a lock
   of its own around handlers of fork, and a second fork of the same thread would wait for it for ever. So the
   handler, of the kind that is given a context, asks first: false where it interrupted the C library's own
   code, other than in a system call: around those with the lock our handlers of fork block signals. False,
   too, if it cannot be told here. */
bool test_knows_libc(void);              /* before the first signal */
bool test_may_fork(const void* context);

/* Misuse is counted from here on, and neither printed nor fatal. */
void test_expect_errors(void);
/* There was one, of this kind, since that was called. */
bool test_one_error(int err);
extern size_t test_nerrors;
extern int test_last_error;

/* Eight owners, played by one thread. */
#define NOWNERS 8
extern mi_owner_t* owners[NOWNERS];
void owners_begin(void);
void owners_end(void);
static inline void* o_malloc(int i, size_t size) { return mi_alloc_malloc(&owners[i]->main, size); }
static inline void o_free(int i, void* p) { mi_free_as(p, owners[i], owners[i]->id); }

#endif
