/* See options.h. Any thread. */
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "os.h"

__attribute__((weak)) bool mi_abort_by_default = (MI_CHECK != 0);

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

static bool is_size(mi_option_t option) {
  return option == mi_option_arena_reserve || option == mi_option_reserve_os_memory
         || option == mi_option_commit_limit;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* Takes `word` from *text, in either case; false if something else is there. */
static bool take_word(const char** text, const char* word) {
  const char* p = *text;
  for (; *word != 0; p++, word++) if (lower(*p) != lower(*word)) return false;
  *text = p;
  return true;
}

/* n of the unit that is taken from *text, bytes if there is none, in KiB: rounded up, the largest there is if
   it is larger. */
static long take_unit(const char** text, long n) {
  static const struct {
    const char* name;
    long kib;
  } units[] = { { "k", 1 }, { "m", 1 << 10 }, { "g", 1 << 20 }, { "t", 1 << 30 } };
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (!take_word(text, units[i].name)) continue;
    if (!take_word(text, "ib")) take_word(text, "b");
    long kib;
    return !__builtin_mul_overflow(n, units[i].kib, &kib) ? kib : n < 0 ? LONG_MIN : LONG_MAX;
  }
  take_word(text, "b");
  const long kib = (long)MI_KiB;
  return n / kib + (n % kib > 0);
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

bool mi_options_parse_bytes(const char* text, size_t* bytes) {
  long n;
  if (!take_number(&text, &n) || n < 0) return false;
  const bool plain = *text == 0;
  const size_t kib = (size_t)take_unit(&text, n);
  if (*text != 0) return false;
  *bytes = plain ? (size_t)n : mi_min(kib, MI_SIZE_LIMIT / MI_KiB) * MI_KiB;
  return true;
}

/* Numbers; yes/no words, and the empty text for yes; sizes, which are not yes, in bytes or with a unit, such
   as 64M or 2GiB, which the option holds in KiB. Anything else leaves the default. */
static bool parse_option(const char* text, bool size, long* value) {
  static const char* const words[] = { "false", "true", "no", "yes", "off", "on" };
  long n;
  if (*text == 0) { *value = 1; return !size; }
  for (int i = 0; i < 6; i++) {
    const char* end = text;
    if (take_word(&end, words[i]) && *end == 0) { *value = i % 2; return !size || *value == 0; }
  }
  if (!take_number(&text, &n)) return false;
  if (size) n = take_unit(&text, n);
  if (*text != 0) return false;
  *value = n;
  return true;
}

/* ---- the environment, read once: before the first use, and then no more ---- */

mi_atomic(bool) mi_options_xread;

/* Names that options had in mimalloc before. */
static const struct {
  const char* name;
  mi_option_t option;
} former_names[] = {
  { "large_os_pages", mi_option_allow_large_os_pages },
  { "eager_region_commit", mi_option_arena_eager_commit },
  { "reset_decommits", mi_option_purge_decommits },
  { "reset_delay", mi_option_purge_delay },
  { "abandoned_page_reset", mi_option_abandoned_page_purge },
  { "limit_os_alloc", mi_option_disallow_os_alloc },
  { "decommit_extend_delay", mi_option_purge_extend_delay },
};

/* `text`: NAME=VALUE, in either case. */
static bool value_read(const char* text, const char* name, mi_option_t option) {
  mi_option_entry_t* e = &mi_options[option];
  long old = mi_load_relaxed(&e->xvalue), n;                              /* every thread reads the same */
  if (!take_word(&text, name) || *text++ != '=') return false;
  /* Pairs with mi_option_set; the first one counts. */
  if (mi_load_acquire(&e->xset) || !parse_option(text, is_size(option), &n)) return true;
  mi_cas_release(&e->xvalue, &old, n);  /* pairs with nobody: what a function set meanwhile stays */
  mi_store_release(&e->xset, true);  /* pairs with mi_option_set_default */
  return true;
}

/* `text`: what follows the prefix. What a function has set before stays. */
static void option_read(const char* text) {
  for (int i = 0; i < _mi_option_last; i++)
    if (value_read(text, mi_options[i].name, (mi_option_t)i)) return;
}
static void former_option_read(const char* text) {
  for (size_t i = 0; i < sizeof former_names / sizeof *former_names; i++)
    if (value_read(text, former_names[i].name, former_names[i].option)) return;
}

/* All names of today count before the former ones. */
void mi_options_read(char* const* environment) {
  void (*const reads[])(const char*) = { &option_read, &former_option_read };
  for (int i = 0; i < 2; i++) {
    for (char* const* variable = environment; *variable != NULL; variable++) {
      const char* text = *variable;
      if (take_word(&text, "MIMALLOC_")) reads[i](text);
    }
  }
  mi_store_release(&mi_options_xread, true);             /* pairs with mi_option_get, mi_option_quick */
}

mi_cold void mi_options_read_own(void) {
  char* const* environment = mi_os_environment();
  if (environment != NULL) mi_options_read(environment);
}

long mi_option_get(mi_option_t option) {
  if ((unsigned)option >= _mi_option_last) return 0;
  /* Pairs with mi_options_read. */
  if (mi_unlikely(!mi_load_acquire(&mi_options_xread))) mi_options_read_own();
  /* Nobody set it. */
  if (option == mi_option_abort_on_error && !mi_load_relaxed(&mi_options[option].xset))
    return mi_abort_by_default;
  return mi_load_relaxed(&mi_options[option].xvalue);
}

void mi_option_set(mi_option_t option, long value) {
  if ((unsigned)option >= _mi_option_last) return;
  mi_store_relaxed(&mi_options[option].xvalue, value);
  mi_store_release(&mi_options[option].xset, true);  /* pairs with value_read, mi_option_set_default */
  /* The thread that purges sleeps by the old one. */
  if (option == mi_option_purge_delay || option == mi_option_purge_thread) mi_os_wake();
}

void mi_option_set_default(mi_option_t option, long value) {
  if ((unsigned)option >= _mi_option_last) return;
  mi_option_get(option);                                                  /* the environment is read */
  if (mi_load_acquire(&mi_options[option].xset)) return;  /* pairs with the releases that set it */
  mi_store_relaxed(&mi_options[option].xvalue, value);
  /* Whose default is not in the table. */
  if (option == mi_option_abort_on_error) mi_option_set(option, value);
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
