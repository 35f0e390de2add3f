/* See options.h. Any thread. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "local.h"
#include "options.h"
#include "os.h"

__attribute__((weak)) bool mi_abort_by_default = (MI_CHECK != 0);
mi_atomic(bool) mi_has_deferred_free;

/* ---- options ---- */

/* Name and default. */
#define OPTION(name, value) [mi_option_##name] = { #name, value, false }
mi_option_entry_t mi_options[_mi_option_last] = {
  OPTION(show_errors, 1),
  OPTION(show_stats, 0),
  OPTION(verbose, 0),
  OPTION(eager_commit, 0),
  OPTION(arena_eager_commit, 0),
  OPTION(purge_decommits, 0),
  OPTION(allow_large_os_pages, 0),
  OPTION(reserve_huge_os_pages, 0),
  OPTION(reserve_huge_os_pages_at, 0),
  OPTION(reserve_os_memory, 0),
  OPTION(deprecated_segment_cache, 0),
  OPTION(deprecated_page_reset, 0),
  OPTION(abandoned_page_purge, 0),
  OPTION(deprecated_segment_reset, 0),
  OPTION(eager_commit_delay, 0),
  OPTION(purge_delay, MI_HARD ? 0 : 250),
  OPTION(use_numa_nodes, 0),
  OPTION(disallow_os_alloc, 0),
  OPTION(os_tag, 0),
  OPTION(max_errors, 32),
  OPTION(max_warnings, 0),
  OPTION(max_segment_reclaim, 0),
  OPTION(destroy_on_exit, 0),
  OPTION(arena_reserve, (long)(MI_ARENA_SIZE / MI_KiB)),
  OPTION(arena_purge_mult, 0),
  OPTION(purge_extend_delay, 0),
  OPTION(abandoned_reclaim_on_free, 0),
  OPTION(disallow_arena_alloc, 0),
  OPTION(retry_on_oom, 0),
  OPTION(visit_abandoned, 0),
  OPTION(guarded_min, 0),
  OPTION(guarded_max, 0),
  OPTION(guarded_precise, 0),
  OPTION(guarded_sample_rate, 0),
  OPTION(guarded_sample_seed, 0),
  OPTION(target_segments_per_thread, 0),
  OPTION(generic_collect, 0),
  OPTION(allow_thp, 1),
  OPTION(abort_on_error, 0),
  OPTION(purge_thread, -1),
  OPTION(commit_limit, 0),
};
#undef OPTION

static bool is_size(mi_option_t option) { return option == mi_option_arena_reserve || option == mi_option_reserve_os_memory || option == mi_option_commit_limit; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* Takes `word` from *text, in either case; false if something else is there. */
static bool take_word(const char** text, const char* word) {
  const char* p = *text;
  for (; *word != 0; p++, word++) if (lower(*p) != lower(*word)) return false;
  *text = p;
  return true;
}

/* KiB for one of the units, which is taken from *text; 1 if there is none. */
static long take_unit(const char** text) {
  static const struct { const char* name; long kib; } units[] = { { "k", 1 }, { "m", 1 << 10 }, { "g", 1 << 20 }, { "t", 1 << 30 } };
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (!take_word(text, units[i].name)) continue;
    if (!take_word(text, "ib")) take_word(text, "b");
    return units[i].kib;
  }
  return 1;
}

/* A decimal number, the largest there is if it is larger; false if there is none. */
static bool take_number(const char** text, long* value) {
  const bool minus = **text == '-';
  const char *p = *text + (minus || **text == '+'), *first = p;
  long n = 0;
  for (; *p >= '0' && *p <= '9'; p++) {
    if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n)) n = LONG_MAX;
  }
  *value = minus ? -n : n;
  *text = p;
  return p != first;
}

/* Numbers; yes/no words; sizes in KiB or with a unit, such as 64M or 2GiB. Anything else leaves the default. */
static bool parse_option(const char* text, bool size, long* value) {
  static const char* const words[] = { "false", "true", "no", "yes", "off", "on" };
  long n;
  for (int i = 0; i < 6; i++) {
    const char* end = text;
    if (take_word(&end, words[i]) && *end == 0) { *value = i % 2; return true; }
  }
  if (!take_number(&text, &n)) return false;
  if (size && __builtin_mul_overflow(n, take_unit(&text), &n)) n = LONG_MAX;
  if (*text != 0) return false;
  *value = n;
  return true;
}

/* ---- the environment, read once: before the first use, and then no more ---- */

mi_atomic(bool) mi_options_xread;

static bool in_capitals(const char* text, const char* end) {
  for (; text < end; text++) if (*text != '_' && (*text < 'A' || *text > 'Z')) return false;
  return true;
}

/* `text`: NAME=VALUE, without the prefix. What a function has set before stays. */
static void option_read(const char* text) {
  for (int i = 0; i < _mi_option_last; i++) {
    mi_option_entry_t* e = &mi_options[i];
    const char* value = text;
    long old = mi_load_relaxed(&e->xvalue), n;                            /* every thread reads the same */
    if (!take_word(&value, e->name) || !in_capitals(text, value) || *value++ != '=') continue;
    if (mi_load_acquire(&e->xset) || !parse_option(value, is_size((mi_option_t)i), &n)) return;  /* pairs with mi_option_set; the first one counts */
    mi_cas_release(&e->xvalue, &old, n);                                  /* pairs with nobody: what a function set meanwhile stays */
    mi_store_release(&e->xset, true);                                     /* pairs with mi_option_set_default */
    return;
  }
}

void mi_options_read(char* const* environment) {
  for (; *environment != NULL; environment++) {
    const char* text = *environment;
    if (take_word(&text, "MIMALLOC_") && in_capitals(*environment, text)) option_read(text);
  }
  mi_store_release(&mi_options_xread, true);                              /* pairs with mi_option_get */
}

mi_cold void mi_options_read_own(void) {
  char* const* environment = mi_os_environment();
  if (environment != NULL) mi_options_read(environment);
}

long mi_option_get(mi_option_t option) {
  if ((unsigned)option >= _mi_option_last) return 0;
  if (mi_unlikely(!mi_load_acquire(&mi_options_xread))) mi_options_read_own();       /* pairs with mi_options_read */
  if (option == mi_option_abort_on_error && !mi_load_relaxed(&mi_options[option].xset)) return mi_abort_by_default;  /* nobody set it */
  return mi_load_relaxed(&mi_options[option].xvalue);
}

void mi_option_set(mi_option_t option, long value) {
  if ((unsigned)option >= _mi_option_last) return;
  mi_store_relaxed(&mi_options[option].xvalue, value);
  mi_store_release(&mi_options[option].xset, true);                          /* pairs with option_read, mi_option_set_default */
  if (option == mi_option_purge_delay || option == mi_option_purge_thread) mi_os_wake();  /* the thread that purges sleeps by the old one */
}

void mi_option_set_default(mi_option_t option, long value) {
  if ((unsigned)option >= _mi_option_last) return;
  mi_option_get(option);                                                  /* the environment is read */
  if (mi_load_acquire(&mi_options[option].xset)) return;                     /* pairs with the releases that set it */
  mi_store_relaxed(&mi_options[option].xvalue, value);
  if (option == mi_option_abort_on_error) mi_option_set(option, value);   /* whose default is not in the table */
}

bool mi_option_is_enabled(mi_option_t option) { return mi_option_get(option) != 0; }
void mi_option_enable(mi_option_t option) { mi_option_set(option, 1); }
void mi_option_disable(mi_option_t option) { mi_option_set(option, 0); }
void mi_option_set_enabled(mi_option_t option, bool enable) { mi_option_set(option, enable); }
void mi_option_set_enabled_default(mi_option_t option, bool enable) { mi_option_set_default(option, enable); }

long mi_option_get_clamp(mi_option_t option, long min, long max) {
  const long value = mi_option_get(option);
  return value < min ? min : value > max ? max : value;
}

size_t mi_option_get_size(mi_option_t option) {
  const size_t value = (size_t)mi_option_get_clamp(option, 0, LONG_MAX);
  return is_size(option) ? mi_min(value, MI_SIZE_LIMIT / MI_KiB) * MI_KiB : value;
}

void mi_options_print(void) {
  for (int i = 0; i < _mi_option_last; i++) mi_message("mimalloc: option %s = %ld\n", mi_options[i].name, mi_option_get((mi_option_t)i));
}

/* ---- messages ---- */

/* A function and its argument that any thread may replace; the pair is read as one by a version. */
typedef struct { mi_atomic(void*) xfun; mi_atomic(void*) xarg; mi_atomic(unsigned) xversion; } mi_callback_t;
static mi_callback_t output_callback, error_callback, deferred_callback;

static void callback_set(mi_callback_t* c, void* fun, void* arg) {
  unsigned v = mi_load_relaxed(&c->xversion);                             /* odd while somebody writes */
  do { v &= ~1u; } while (!mi_cas_acquire(&c->xversion, &v, v + 1));      /* pairs with the release below */
  mi_store_release(&c->xarg, arg);                                        /* pairs with callback_get: a new argument shows the odd version */
  mi_store_release(&c->xfun, fun);                                        /* pairs with callback_get: the same */
  mi_store_release(&c->xversion, v + 2);                                  /* pairs with callback_get and the acquire above */
}

static void* callback_get(mi_callback_t* c, void** arg) {
  for (;;) {
    const unsigned v = mi_load_acquire(&c->xversion);                     /* pairs with callback_set's last release */
    void* fun = mi_load_acquire(&c->xfun);                                /* pairs with callback_set */
    *arg = mi_load_acquire(&c->xarg);                                     /* pairs with callback_set */
    if ((v & 1) == 0 && mi_load_relaxed(&c->xversion) == v) return fun;   /* ordered by the two acquires before it */
    mi_os_yield();
  }
}

void mi_options_after_fork(void) {
  mi_callback_t* const all[] = { &output_callback, &error_callback, &deferred_callback };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) mi_store_relaxed(&all[i]->xversion, mi_load_relaxed(&all[i]->xversion) & ~1u);  /* one thread only */
}

void mi_register_output(mi_output_fun* out, void* arg) { callback_set(&output_callback, (void*)out, arg); }
void mi_register_error(mi_error_fun* fun, void* arg) { callback_set(&error_callback, (void*)fun, arg); }
void mi_register_deferred_free(mi_deferred_free_fun* fun, void* arg) {
  callback_set(&deferred_callback, (void*)fun, arg);
  mi_store_relaxed(&mi_has_deferred_free, fun != NULL);                   /* a hint: callback_get decides */
}

/* A callback may allocate, and so may come here again: once inside, it is not called a second time. */
static bool* in_callback(void) { return &mi_local()->in_callback; }

void mi_message(const char* format, ...) {
  char text[320];
  va_list args;
  va_start(args, format);
  const int saved = errno;
  const int n = vsnprintf(text, sizeof text, format, args);               /* short texts: does not allocate */
  va_end(args);
  void* arg;
  mi_output_fun* out = (mi_output_fun*)callback_get(&output_callback, &arg);
  if (out != NULL && !*in_callback()) {
    *in_callback() = true;
    out(text, arg);
    *in_callback() = false;
  }
  else if (n > 0) mi_os_write(text, mi_min((size_t)n, sizeof text - 1));
  errno = saved;
}

void mi_deferred_free_call(bool force, unsigned long long heartbeat) {
  void* arg;
  mi_deferred_free_fun* fun = (mi_deferred_free_fun*)callback_get(&deferred_callback, &arg);
  if (fun == NULL || *in_callback()) return;
  *in_callback() = true;
  fun(force, heartbeat, arg);
  *in_callback() = false;
}

/* ---- errors ---- */

static const struct { int code; const char* text; } errors[] = {
  [MI_ERROR_DOUBLE_FREE]  = { EAGAIN, "double free: the block is free already" },
  [MI_ERROR_MISCOUNTED]   = { EAGAIN, "double free: two threads freed a block of this page at the same moment" },
  [MI_ERROR_NOT_A_BLOCK]  = { EINVAL, "invalid pointer: not a live block of this allocator" },
  [MI_ERROR_INTERIOR]     = { EINVAL, "invalid pointer: not the start of a live block" },
  [MI_ERROR_CORRUPT]      = { EFAULT, "a free block was written to" },
  [MI_ERROR_TOO_LARGE]    = { EOVERFLOW, "request too large" },
  [MI_ERROR_ALIGNMENT]    = { EINVAL, "alignment is not a supported power of two" },
  [MI_ERROR_NO_MEMORY]    = { ENOMEM, "out of memory" },
  [MI_ERROR_ARGUMENT]     = { EINVAL, "invalid argument" },
  [MI_ERROR_FREE_SIZE]    = { EINVAL, "sized free: the block is of another size" },
  [MI_ERROR_FREE_ALIGNMENT] = { EINVAL, "aligned free: the block is not aligned so" },
};

static void error_call(int code) {
  void* arg;
  mi_error_fun* fun = (mi_error_fun*)callback_get(&error_callback, &arg);
  if (fun == NULL || *in_callback()) return;
  const int saved = errno;
  *in_callback() = true;
  fun(code, arg);
  *in_callback() = false;
  errno = saved;
}

void mi_error_misuse(mi_error_t error, const void* p, size_t size) {
  const int saved = errno;
  static mi_atomic(long) nshown;
  const long most = mi_option_get(mi_option_max_errors);
  if (mi_option_is_enabled(mi_option_show_errors) && (most < 0 || mi_add_relaxed(&nshown, 1) < most)) {  /* a count */
    if (size != 0) mi_message("mimalloc: %s: %p (%zu-byte blocks)\n", errors[error].text, p, size);
    else mi_message("mimalloc: %s: %p\n", errors[error].text, p);
  }
  error_call(errors[error].code);
  if (mi_option_is_enabled(mi_option_abort_on_error)) abort();
  errno = saved;
}

mi_atomic(bool) mi_error_xever;

void mi_error_later(mi_error_t error, const void* p, size_t size) {
  mi_local_t* local = mi_local();
  if (local->nerrors == MI_ERRORS_LATER) return;
  const unsigned n = local->nerrors++;
  local->errors[n].error = error;
  local->errors[n].p = p;
  local->errors[n].size = size;
  mi_store_relaxed(&mi_error_xever, true);                                /* a hint to others, whose own numbers are 0 */
}

void mi_error_tell_all(void) {
  mi_local_t* local = mi_local();
  const mi_local_t told = *local;
  if (told.nerrors == 0) return;
  mi_assert(told.nerrors <= MI_ERRORS_LATER);
  local->nerrors = 0;                                                     /* a callback may come here again */
  for (unsigned i = 0; i < told.nerrors; i++) mi_error_misuse((mi_error_t)told.errors[i].error, told.errors[i].p, told.errors[i].size);
}

void* mi_error_fail(mi_error_t error, size_t size) {
  if (mi_option_is_enabled(mi_option_verbose)) mi_message("mimalloc: %s: %zu bytes\n", errors[error].text, size);
  error_call(errors[error].code);
  errno = (error == MI_ERROR_TOO_LARGE) ? ENOMEM : errors[error].code;    /* as the C library does */
  return NULL;
}

#if MI_CHECK
void mi_assert_fail(const char* what, const char* file, int line) {
  mi_message("mimalloc: assertion failed: %s (%s:%d)\n", what, file, line);
  abort();
}
#endif
