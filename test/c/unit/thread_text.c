/* thread_text.c: copies of strings and of the environment; C++'s new, with a new-handler of the test's. */
#include <signal.h>

#include "test.h"

static void end(void) {
  mi_thread_done();
  test_nothing_left();
}

/* ---- strings ---- */

static void wide(void) {
  const unsigned short text[] = { 'a', 0x263a, 0xffff, 0x0100, 0, 'z' }, nothing[] = { 0 };
  unsigned short* copy = mi_wcsdup(text);
  /* a byte of 0 is no end */
  CHECK(copy != NULL && copy != text && memcmp(copy, text, 5 * sizeof *text) == 0);
  CHECK(mi_usable_size(copy) >= 5 * sizeof *text);
  mi_free(copy);
  CHECK((copy = mi_wcsdup(nothing)) != NULL && copy[0] == 0);
  mi_free(copy);
  errno = 5;
  CHECK(mi_wcsdup(NULL) == NULL && errno == 5);
  static unsigned short many[70000];
  for (int i = 0; i < 69999; i++) many[i] = (unsigned short)(i % 65535 + 1);
  CHECK((copy = mi_wcsdup(many)) != NULL && memcmp(copy, many, sizeof many) == 0);
  mi_free(copy);
  end();
}

static void bytes(void) {
  const unsigned char text[] = { 0xff, 'b', 0x80, 0 };
  unsigned char* copy = mi_mbsdup(text);
  CHECK(copy != NULL && copy != text && memcmp(copy, text, sizeof text) == 0);
  mi_free(copy);
  CHECK((copy = mi_mbsdup(text + 3)) != NULL && copy[0] == 0);
  mi_free(copy);
  CHECK(mi_mbsdup(NULL) == NULL);
  end();
}

static void text_without_memory(void) {
  const unsigned short text[] = { 'a', 0 };
  char* buf = (char*)text;
  size_t size = 77;
  test_expect_errors();
  setenv("MI_TEST", "value", 1);
  mi_os_fail_in(1, SIZE_MAX);
  errno = 0;
  CHECK(mi_wcsdup(text) == NULL && errno == ENOMEM && test_last_error == ENOMEM);
  errno = 0;
  CHECK(mi_mbsdup((const unsigned char*)"text") == NULL && errno == ENOMEM);
  errno = 5;
  CHECK_EQ(mi_dupenv_s(&buf, &size, "MI_TEST"), ENOMEM);
  CHECK(buf == NULL && size == 0 && errno == 5);        /* the error is returned, and only that */
  mi_os_fail_in(0, 0);
  test_nothing_left();
}

/* ---- the environment ---- */

static void environment(void) {
  char* buf = NULL;
  size_t size;
  errno = 5;
  setenv("MI_TEST", "value", 1);
  CHECK(mi_dupenv_s(&buf, &size, "MI_TEST") == 0 && strcmp(buf, "value") == 0 && size == 6);
  buf[0] = 'V';                                         /* a copy */
  CHECK(strcmp(getenv("MI_TEST"), "value") == 0);
  mi_free(buf);
  CHECK(mi_dupenv_s(&buf, NULL, "MI_TEST") == 0 && strcmp(buf, "value") == 0);
  mi_free(buf);
  setenv("MI_TEST", "", 1);
  CHECK(mi_dupenv_s(&buf, &size, "MI_TEST") == 0 && buf != NULL && buf[0] == 0 && size == 1);
  mi_free(buf);
  unsetenv("MI_TEST");
  CHECK(mi_dupenv_s(&buf, &size, "MI_TEST") == 0 && buf == NULL && size == 0);
  buf = (char*)&size;
  size = 77;
  CHECK(mi_dupenv_s(NULL, &size, "MI_TEST") == EINVAL && mi_dupenv_s(&buf, &size, NULL) == EINVAL);
  CHECK(buf == (char*)&size && size == 77 && errno == 5);
  end();
}

static void wide_environment(void) {
  const unsigned short name[] = { 'P', 'A', 'T', 'H', 0 };
  unsigned short* buf = (unsigned short*)(uintptr_t)name;
  size_t size = 77;
  errno = 5;
  CHECK(mi_wdupenv_s(&buf, &size, name) == EINVAL && buf == NULL && size == 0);
  CHECK(mi_wdupenv_s(NULL, NULL, NULL) == EINVAL && errno == 5);
}

/* ---- new: this program has the handler that libstdc++ would have, and no exceptions ---- */

static void (*handler)(void);
static int ncalls, give_up_after;
extern void (*_ZSt15get_new_handlerv(void))(void);
void (*_ZSt15get_new_handlerv(void))(void) { return handler; }

static void make_room(void) { if (++ncalls == 3) mi_os_fail_in(0, 0); }
static void give_up(void) { if (++ncalls == give_up_after) handler = NULL; }

static void starve(void (*h)(void)) {
  mi_thread_done();
  mi_collect(true);
  mi_os_fail_in(1, SIZE_MAX);
  handler = h;
  ncalls = 0;
}

static void new_succeeds(void) {
  handler = &make_room;                                 /* not called */
  void *p = mi_new(100), *q = mi_new_nothrow(0), *r = mi_new_aligned(100, 4096),
       *s = mi_new_aligned_nothrow(5000, 512), *t = mi_new_n(10, 30);
  CHECK(p != NULL && q != NULL && (uintptr_t)r % 4096 == 0 && (uintptr_t)s % 512 == 0
        && mi_usable_size(t) >= 300);
  test_fill(p, 100, 1);
  CHECK((p = mi_new_realloc(p, 10000)) != NULL && test_filled(p, 100, 1) && mi_usable_size(p) >= 10000);
  CHECK((p = mi_new_reallocn(p, 100, 200)) != NULL && test_filled(p, 100, 1) && mi_usable_size(p) >= 20000);
  CHECK((p = mi_new_realloc(p, 0)) != NULL);
  void* u = mi_new_reallocn(NULL, 0, SIZE_MAX);         /* a product of 0 */
  CHECK(u != NULL && ncalls == 0);
  void* const all[] = { p, q, r, s, t, u };
  for (int i = 0; i < 6; i++) mi_free(all[i]);
  end();
}

/* The handler makes room at its third call, and the request goes on. */
static void handler_makes_room(void) {
  enum { LARGE = MI_ARENA_SIZE };  /* a mapping of its own: the system is asked each time */
  test_expect_errors();
  void* p;
  starve(&make_room);
  CHECK((p = mi_new(LARGE)) != NULL && ncalls == 3);
  mi_free(p);
  starve(&make_room);
  CHECK((p = mi_new_nothrow(LARGE)) != NULL && ncalls == 3);            /* nothrow calls it, too */
  mi_free(p);
  starve(&make_room);
  CHECK((p = mi_new_aligned(LARGE, 64)) != NULL && (uintptr_t)p % 64 == 0 && ncalls == 3);
  mi_free(p);
  starve(&make_room);
  CHECK((p = mi_new_aligned_nothrow(LARGE, 64)) != NULL && (uintptr_t)p % 64 == 0 && ncalls == 3);
  mi_free(p);
  starve(&make_room);
  CHECK((p = mi_new_n(2, LARGE / 2)) != NULL && ncalls == 3);
  mi_free(p);
  CHECK((p = mi_new(10000)) != NULL);
  test_fill(p, 10000, 2);
  starve(&make_room);
  void* q = mi_new_realloc(p, LARGE);
  CHECK(q != NULL && test_filled(q, 10000, 2) && ncalls == 3);
  mi_free(q);
  CHECK((p = mi_new(10000)) != NULL);
  test_fill(p, 10000, 3);
  starve(&make_room);
  CHECK((q = mi_new_reallocn(p, 2, LARGE / 2)) != NULL && test_filled(q, 10000, 3) && ncalls == 3);
  mi_free(q);
  end();
}

/* A request that can never be is not tried for ever: the handler gives up, and then nothrow says NULL. */
static void handler_gives_up(void) {
  test_expect_errors();
  give_up_after = 2;
  starve(&give_up);
  CHECK(mi_new_nothrow(SIZE_MAX) == NULL && ncalls == 2);
  CHECK(mi_new_nothrow((size_t)PTRDIFF_MAX + 1) == NULL && mi_new_aligned_nothrow(SIZE_MAX, 16) == NULL
        && ncalls == 2);
  mi_os_fail_in(0, 0);
  errno = 0;
  CHECK(mi_new_aligned_nothrow(100, 24) == NULL && errno == EINVAL && mi_new_aligned_nothrow(100, 0) == NULL);
}

/* Without C++ there is nobody to throw: the process ends. */
static void* volatile block;
static void new_fails(void) { block = mi_new(SIZE_MAX); }
static void new_aligned_fails(void) { block = mi_new_aligned(SIZE_MAX, 64); }
static void new_n_fails(void) { block = mi_new_n((size_t)1 << 32, (size_t)1 << 32); }
static void new_realloc_fails(void) { block = mi_new_realloc(mi_new(10), SIZE_MAX); }
static void new_reallocn_fails(void) {
  block = mi_new_reallocn(mi_new(10), (size_t)1 << 32, (size_t)1 << 32);
}
static void new_nothrow_fails(void) { if (mi_new_nothrow(SIZE_MAX) != NULL) abort(); }
static void new_fails_in_the_end(void) { handler = &give_up; give_up_after = 3; block = mi_new(SIZE_MAX); }

static void aborts(void) {
  test_expect_errors();
  CHECK(test_dies(&new_fails, SIGABRT) && test_dies(&new_aligned_fails, SIGABRT)
        && test_dies(&new_n_fails, SIGABRT));
  CHECK(test_dies(&new_realloc_fails, SIGABRT) && test_dies(&new_reallocn_fails, SIGABRT)
        && test_dies(&new_fails_in_the_end, SIGABRT));
  CHECK(!test_dies(&new_nothrow_fails, SIGABRT));
}

/* What no handler can help is not tried again, though the handler comes back. */
static void come_back(void) { if (++ncalls == 10) _exit(3); }
static mi_heap_t* new_heap;
static void heap_new_n_fails(void) { block = mi_heap_alloc_new_n(new_heap, SIZE_MAX, 2); }
static void new_n_half_fails(void) { block = mi_new_n((size_t)1 << 61, 4); }
static void bad_alignment_fails(void) { block = mi_new_aligned(100, 24); }
static void no_heap_fails(void) { block = mi_heap_alloc_new(NULL, 10); }
static void bad_alignment_nothrow(void) { if (mi_new_aligned_nothrow(100, 24) == NULL) abort(); }

static void handler_comes_back(void) {
  static void (*const all[])(void) = { &new_n_fails,         &new_n_half_fails, &new_reallocn_fails,
                                       &heap_new_n_fails,    &no_heap_fails,    &bad_alignment_fails,
                                       &bad_alignment_nothrow };
  test_expect_errors();
  handler = &come_back;
  new_heap = mi_heap_new();
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK_AT(test_dies(all[i], SIGABRT), "case %zu", i);
  mi_heap_delete(new_heap);
}

TEST_MAIN("thread_text", TEST(wide), TEST(bytes), TEST(text_without_memory), TEST(environment),
          TEST(wide_environment), TEST(new_succeeds), TEST(handler_makes_room), TEST(handler_gives_up),
          TEST(aborts), TEST(handler_comes_back))
