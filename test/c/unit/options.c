/* options.h: settings, messages, errors, callbacks. */
#include <signal.h>

#include "core/os.h"
#include "test.h"

static void defaults(void) {
  CHECK_EQ(mi_option_get(mi_option_show_errors), 1);
  CHECK_EQ(mi_option_get(mi_option_verbose), 0);
  CHECK_EQ(mi_option_get(mi_option_purge_delay), MI_HARD ? 0 : 250);
  CHECK_EQ(mi_option_get_size(mi_option_arena_reserve), MI_ARENA_SIZE);
  CHECK_EQ(mi_option_get(mi_option_allow_large_os_pages), 0);
  CHECK_EQ(mi_option_get((mi_option_t)_mi_option_last), 0);
  CHECK_EQ(mi_option_get((mi_option_t)-1), 0);
  mi_option_set((mi_option_t)-1, 1);
  mi_option_set_default((mi_option_t)_mi_option_last, 1);
}

/* What an option is in a process with that environment. */
static size_t looked_up(const char* name, const char* text, mi_option_t option, bool size) {
  int status[2];
  size_t value;
  CHECK(pipe(status) == 0);
  if (fork() == 0) {
    char variable[200];
    char* const all[] = { "MIMALLOC=1", "MIMALLOC_=1", "MIMALLOC_PURGE=1", variable, "PURGE_DELAY=4", NULL };
    snprintf(variable, sizeof variable, "%s=%s", name, text);
    errno = 3;
    mi_options_read(all);
    value = size ? mi_option_get_size(option) : (size_t)mi_option_get(option);
    _exit(errno == 3 && write(status[1], &value, sizeof value) == sizeof value ? 0 : 1);
  }
  CHECK(read(status[0], &value, sizeof value) == sizeof value);
  close(status[0]);
  close(status[1]);
  return value;
}

static void environment(void) {
  enum { DEFAULT = MI_HARD ? 0 : 250 };
  static const struct { const char* text; long value; } cases[] = {
    { "1", 1 }, { "7", 7 }, { "-1", -1 }, { "true", 1 }, { "yes", 1 }, { "on", 1 }, { "false", 0 },
    { "no", 0 }, { "off", 0 }, { "TRUE", 1 }, { "Off", 0 },
    { "", 1 }, { "12x", DEFAULT }, { "x", DEFAULT }, { " ", DEFAULT }, { "1k", DEFAULT },
    { "99999999999999999999", LONG_MAX },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const long value = (long)looked_up("MIMALLOC_PURGE_DELAY", cases[i].text, mi_option_purge_delay, false);
    CHECK_AT(value == cases[i].value, "text = '%s', value = %ld", cases[i].text, value);
  }
}

/* Bytes, unless another unit is named; the option holds KiB, rounded up. */
static void environment_sizes(void) {
  const size_t none = MI_ARENA_SIZE, most = MI_SIZE_LIMIT / MI_KiB * MI_KiB;
  const struct { const char* text; size_t value; } cases[] = {
    { "1073741824", MI_GiB }, { "512", MI_KiB }, { "1024", MI_KiB }, { "1025", 2 * MI_KiB }, { "1", MI_KiB },
    { "65536b", 64 * MI_KiB }, { "512k", 512 * MI_KiB }, { "512KiB", 512 * MI_KiB }, { "64M", 64 * MI_MiB },
    { "64mb", 64 * MI_MiB }, { "2GiB", 2 * MI_GiB },
    { "1t", 1024 * MI_GiB }, { "0", 0 }, { "-5M", 0 }, { "9999999999999G", most }, { "M", none },
    { "5X", none }, { "5Mi", none }, { "5MBs", none }, { "5 M", none },
    { "9223372036854775807", most }, { "-5", 0 }, { "-99999999999999T", 0 }, { "", none }, { "b", none },
    { "yes", none }, { "on", none }, { "off", 0 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const size_t value = looked_up("MIMALLOC_ARENA_RESERVE", cases[i].text, mi_option_arena_reserve, true);
    CHECK_AT(value == cases[i].value, "text = '%s', value = %zu", cases[i].text, value);
  }
  CHECK_EQ(looked_up("MIMALLOC_RESERVE_OS_MEMORY", "3M", mi_option_reserve_os_memory, true), 3 * MI_MiB);
  CHECK_EQ(looked_up("MIMALLOC_RESERVE_OS_MEMORY", "1073741824", mi_option_reserve_os_memory, true), MI_GiB);
  CHECK_EQ(looked_up("MIMALLOC_COMMIT_LIMIT", "1048576", mi_option_commit_limit, true), MI_MiB);
  CHECK_EQ(looked_up("MIMALLOC_COMMIT_LIMIT", "1048576", mi_option_commit_limit, false), 1024);
  mi_option_set(mi_option_commit_limit, 1024);           /* a function gives KiB */
  CHECK_EQ(mi_option_get_size(mi_option_commit_limit), MI_MiB);
}

/* Names are whole, in either case. */
static void environment_names(void) {
  enum { DEFAULT = MI_HARD ? 0 : 250 };
  static const char* const names[] = { "mimalloc_purge_delay", "MIMALLOC_purge_delay",
                                       "Mimalloc_PURGE_DELAY" };
  static const char* const others[] = { "MIMALLOC_PURGE_DELAYS", "XMIMALLOC_PURGE_DELAY",
                                        "MIMALLOC__PURGE_DELAY", "MIMALLOCPURGE_DELAY" };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    CHECK_EQ(looked_up(names[i], "7", mi_option_purge_delay, false), 7);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    CHECK_EQ(looked_up(others[i], "7", mi_option_purge_delay, false), DEFAULT);
}

/* Those that mimalloc has given up are heeded, too; the names of today count before them, wherever they
   stand. */
static void environment_former_names(void) {
  static const struct { const char* name; mi_option_t option; } names[] = {
    { "MIMALLOC_LARGE_OS_PAGES", mi_option_allow_large_os_pages },
    { "MIMALLOC_EAGER_REGION_COMMIT", mi_option_arena_eager_commit },
    { "MIMALLOC_RESET_DECOMMITS", mi_option_purge_decommits },
    { "MIMALLOC_RESET_DELAY", mi_option_purge_delay },
    { "mimalloc_reset_delay", mi_option_purge_delay },
    { "MIMALLOC_ABANDONED_PAGE_RESET", mi_option_abandoned_page_purge },
    { "MIMALLOC_LIMIT_OS_ALLOC", mi_option_disallow_os_alloc },
    { "MIMALLOC_DECOMMIT_EXTEND_DELAY", mi_option_purge_extend_delay },
  };
  char* const both[] = { "MIMALLOC_RESET_DELAY=7", "MIMALLOC_PURGE_DELAY=9", NULL };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    CHECK_AT(looked_up(names[i].name, "7", names[i].option, false) == 7, "name = %s", names[i].name);
  mi_options_read(both);
  CHECK_EQ(mi_option_get(mi_option_purge_delay), 9);
}

/* What was set before the environment was read stays; of two variables of one name the first one
   counts, as with getenv. */
static void environment_is_weaker_than_a_function(void) {
  char* const all[] = { "MIMALLOC_PURGE_DELAY=7", "MIMALLOC_VERBOSE=3", "MIMALLOC_VERBOSE=4", NULL };
  mi_option_set(mi_option_purge_delay, 9);
  mi_options_read(all);
  CHECK_EQ(mi_option_get(mi_option_purge_delay), 9);
  CHECK_EQ(mi_option_get(mi_option_verbose), 3);
}

/* Read before main: what the program puts into it means nothing. */
static void environment_is_read_once(void) {
  setenv("MIMALLOC_VERBOSE", "5", 1);
  CHECK_EQ(mi_option_get(mi_option_verbose), 0);
}

static void set_and_default(void) {
  char* const all[] = { "MIMALLOC_MAX_WARNINGS=5", NULL };
  mi_options_read(all);
  mi_option_set_default(mi_option_max_warnings, 3);      /* weaker than the environment */
  CHECK_EQ(mi_option_get(mi_option_max_warnings), 5);
  mi_option_set_default(mi_option_verbose, 2);
  CHECK_EQ(mi_option_get(mi_option_verbose), 2);
  mi_option_set_default(mi_option_verbose, 3);           /* of two defaults, the later one */
  CHECK_EQ(mi_option_get(mi_option_verbose), 3);
  mi_option_set_enabled_default(mi_option_verbose, true);
  CHECK_EQ(mi_option_get(mi_option_verbose), 1);
  mi_option_set(mi_option_verbose, 4);
  mi_option_set_default(mi_option_verbose, 1);
  CHECK_EQ(mi_option_get(mi_option_verbose), 4);
  mi_option_disable(mi_option_verbose);
  CHECK(!mi_option_is_enabled(mi_option_verbose));
  mi_option_set_enabled(mi_option_verbose, true);
  CHECK(mi_option_is_enabled(mi_option_verbose));
  mi_option_set(mi_option_verbose, 50);
  CHECK_EQ(mi_option_get_clamp(mi_option_verbose, 0, 10), 10);
  CHECK_EQ(mi_option_get_clamp(mi_option_verbose, 60, 70), 60);
  mi_option_set(mi_option_arena_reserve, -5);
  CHECK_EQ(mi_option_get_size(mi_option_arena_reserve), 0);
  mi_option_set(mi_option_arena_reserve, LONG_MAX);
  CHECK(mi_option_get_size(mi_option_arena_reserve) <= MI_SIZE_LIMIT);
}

/* ---- messages and errors ---- */

static char said[4096];
static void keep(const char* text, void* arg) {
  CHECK(arg == said);
  strcat(said, text);
  mi_free(mi_malloc(30000));                     /* may allocate */
}

static void print(void) {
  mi_register_output(&keep, said);
  mi_option_set(mi_option_max_errors, -3);
  mi_options_print();
  int nlines = 0;
  for (const char* line = said; (line = strchr(line, '\n')) != NULL; line++) nlines++;
  CHECK_EQ(nlines, _mi_option_last);
  CHECK(strncmp(said, "mimalloc: option show_errors = 1\n", 33) == 0
        && strstr(said, "\nmimalloc: option max_errors = -3\n") != NULL);
}

static void output(void) {
  mi_register_output(&keep, said);
  errno = 9;
  mi_report_message("%d and %s\n", 5, "text");
  CHECK_EQ(errno, 9);
  CHECK(strcmp(said, "5 and text\n") == 0);
}

static void misuse_is_told(void) {
  test_expect_errors();
  mi_option_enable(mi_option_show_errors);
  mi_register_output(&keep, said);
  static const int codes[] = { EAGAIN, EAGAIN, EINVAL, EINVAL, EFAULT };
  errno = 9;
  for (int e = MI_ERROR_DOUBLE_FREE; e <= MI_ERROR_CORRUPT; e++) {
    said[0] = 0;
    mi_report_misuse((mi_error_t)e, (void*)0x1230, 48);
    CHECK(strncmp(said, "mimalloc: ", 10) == 0 && strstr(said, ": 0x1230 (48-byte blocks)\n") != NULL);
    CHECK_EQ(test_last_error, codes[e]);
  }
  CHECK_EQ(errno, 9);
  CHECK_EQ(test_nerrors, 5);
  said[0] = 0;
  mi_option_disable(mi_option_show_errors);
  mi_report_misuse(MI_ERROR_DOUBLE_FREE, said, 0);
  CHECK(said[0] == 0 && test_nerrors == 6);
}

static void failure_is_quiet(void) {
  test_expect_errors();
  mi_register_output(&keep, said);
  CHECK(mi_report_fail(MI_ERROR_TOO_LARGE, 5) == NULL);
  CHECK(errno == ENOMEM && test_last_error == EOVERFLOW && said[0] == 0);
  CHECK(mi_report_fail(MI_ERROR_ALIGNMENT, 5) == NULL);
  CHECK(errno == EINVAL && test_last_error == EINVAL);
  mi_option_enable(mi_option_verbose);
  CHECK(mi_report_fail(MI_ERROR_NO_MEMORY, 77) == NULL);
  CHECK(errno == ENOMEM && strcmp(said, "mimalloc: out of memory: 77 bytes\n") == 0);
}

static void report(void) { mi_report_misuse(MI_ERROR_DOUBLE_FREE, said, 0); }
static void abort_on_error(void) {
  mi_option_set(mi_option_abort_on_error, 1);
  CHECK(test_dies(&report, SIGABRT));
  mi_option_set(mi_option_abort_on_error, 0);
  CHECK(!test_dies(&report, SIGABRT));
}

/* ---- callbacks that allocate ---- */

static int ncalls, nested;
static void* kept[64];
static void allocate_in_error(int err, void* arg) {
  (void)arg;
  CHECK(nested == 0);
  nested++;
  void* p = mi_malloc(100);
  CHECK(p != NULL);
  mi_free(p);
  mi_free(said);                                 /* an error inside: counted out, not called again */
  nested--;
  ncalls++;
  errno = err;
}

static void error_callback_may_allocate(void) {
  test_expect_errors();
  mi_register_error(&allocate_in_error, NULL);
  errno = 12;
  mi_free(said);
  CHECK_EQ(errno, 12);
  CHECK_EQ(ncalls, 1);
}

/* Damage that is found in the middle of a change, or with a lock held, is told when it is over: the callback
   may allocate of the same class, and make heaps. */
static void allocate_and_make_heaps(int err, void* arg) {
  (void)arg;
  CHECK_EQ(err, EFAULT);
  for (int i = 0; i < 300; i++) CHECK(mi_malloc(40) != NULL);
  mi_heap_t* heap = mi_heap_new();
  CHECK(heap != NULL);
  mi_heap_delete(heap);
  ncalls++;
}

static void damaged(bool remote) {
  void* p[600];
  test_expect_errors();
  mi_register_error(&allocate_and_make_heaps, NULL);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 600; i++) p[i] = mi_malloc(40);
    for (int i = 0; i < 600; i++) if (remote) mi_free_as(p[i], NULL, 0x7777770); else mi_free(p[i]);
    for (int i = 7; i < 600; i += 50)
      if (mi_usable_size(p[i]) == 0 && mi_is_in_heap_region(p[i])) memset(p[i], 0x41, 8);
    for (int i = 0; i < 600; i++) CHECK((p[i] = mi_malloc(40)) != NULL);
    if (!remote) CHECK_EQ(mi_check_all(), 0);    /* damage in a page that nobody holds is not found yet */
    for (int i = 0; i < 600; i++) {
      CHECK(((size_t*)p[i])[0] != (size_t)round + 1);
      ((size_t*)p[i])[0] = (size_t)round + 1;
    }
  }
  CHECK(ncalls > 0);
}
static void told_after_allocation(void) { damaged(false); }
static void told_after_collection(void) { damaged(true); _exit(0); }

static void told_without_a_lock(void) {
  test_expect_errors();
  mi_register_error(&allocate_and_make_heaps, NULL);
  mi_heap_t* heap = mi_heap_new();
  void* p[5];
  for (int i = 0; i < 80; i++) p[i % 5] = mi_heap_malloc(heap, 40);   /* most stay, so that the page does */
  for (int i = 0; i < 3; i++) {  /* both lists of the page have blocks then, so the next are looked at */
    mi_free(p[i]);
    mi_collect(true);
  }
  mi_free(p[3]);
  memset(p[3], 0x41, 8);
  mi_collect(true);
  CHECK_EQ(ncalls, 1);
  mi_free(p[4]);
  mi_heap_destroy(heap);
  CHECK_EQ(mi_check_all(), 0);
}

static unsigned long long last_beat;
static int nforced;
static void deferred(bool force, unsigned long long heartbeat, void* arg) {
  CHECK(arg == said && nested == 0 && heartbeat > last_beat);
  last_beat = heartbeat;
  nforced += force;
  nested++;
  for (int i = 0; i < 64; i++) { mi_free(kept[i]); kept[i] = mi_malloc(5000); }
  nested--;
  ncalls++;
}

static void deferred_free(void) {
  mi_register_deferred_free(&deferred, said);
  void* p[200];
  for (int i = 0; i < 200; i++) CHECK((p[i] = mi_malloc(9000)) != NULL);
  CHECK(ncalls > 0);
  /* In other heaps, and in each kind of collection, the heartbeat goes on. */
  mi_heap_t* heap = mi_heap_new();
  for (int i = 0; i < 200; i++) mi_free(mi_heap_malloc(heap, 9000 + 100 * (size_t)i));
  CHECK_EQ(nforced, 0);
  for (int i = 0; i < 4; i++) {
    const int before = ncalls;
    if (i < 2) mi_collect(i % 2 != 0); else mi_heap_collect(heap, i % 2 != 0);
    CHECK(ncalls > before && nforced == (i + 1) / 2);
  }
  mi_heap_delete(heap);
  mi_register_deferred_free(NULL, NULL);
  for (int i = 0; i < 200; i++) mi_free(p[i]);
  for (int i = 0; i < 64; i++) mi_free(kept[i]);
  mi_collect(true);
  test_nothing_left();
}

TEST_MAIN("options", TEST(defaults), TEST(environment), TEST(environment_sizes), TEST(environment_names),
          TEST(environment_former_names),
          TEST(environment_is_weaker_than_a_function), TEST(environment_is_read_once), TEST(set_and_default),
          TEST(print), TEST(output), TEST(misuse_is_told), TEST(failure_is_quiet), TEST(abort_on_error),
          TEST(error_callback_may_allocate), TEST(told_after_allocation), TEST(told_after_collection),
          TEST(told_without_a_lock), TEST(deferred_free))
