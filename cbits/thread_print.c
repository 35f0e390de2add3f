/* Statistics for people: mimalloc.h. Any thread; it allocates nothing. */
#include <stdarg.h>
#include <stdio.h>

#include "core/heap_pages.h"
#include "core/report.h"
#include "core/os.h"
#include "core/stats.h"
#include "include/mimalloc-stats.h"
#include "thread_print.h"

static unsigned long long number(uint64_t n) { return n; }

/* A number of bytes with its unit, at most four digits before it. */
static const char* human(char text[16], uint64_t bytes) {
  static const char* const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
  unsigned u = 0;
  double x = (double)bytes;
  for (; x >= 1024 && u < 4; u++) x /= 1024;
  snprintf(text, 16, u == 0 ? "%.0f %s" : "%.1f %s", x, units[u]);
  return text;
}

/* A line to `out`, or where messages go. */
static void line(mi_output_fun* out, void* arg, const char* format, ...) mi_printf_like(3, 4);
static void line(mi_output_fun* out, void* arg, const char* format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (out != NULL) out(text, arg);
  else mi_report_message("%s", text);
}

static void print_parts(mi_output_fun* out, void* arg, const mi_part_t* p, const char* name) {
  char live[16], pages[16];
  line(out, arg, "  %-24s %10llu blocks %12s live in %7llu pages of %12s\n", name, number(p->blocks),
       human(live, p->bytes), number(p->pages), human(pages, p->page_bytes));
}

static void print_totals(mi_output_fun* out, void* arg, const mi_totals_t* n) {
  char a[16], b[16], c[16], d[16], e[16];
  mi_os_process_t info;
  mi_os_process(&info);
  line(out, arg, "mimalloc: live %s in %llu blocks; committed %s (peak %s), reserved %s\n",
       human(a, n->used_bytes), number(n->used_blocks), human(b, n->committed_bytes),
       human(c, n->peak_committed_bytes), human(d, n->reserved_bytes));
  line(out, arg, "  resident %s (peak %s); given back %s so far; structures %s\n", human(a, info.rss),
       human(b, info.peak_rss), human(c, n->purged_bytes), human(e, n->structure_bytes));
  line(out, arg,
       "  pages: %llu now; %llu fresh, %llu adopted, %llu given up full, %llu given back empty; %llu blocks "
       "freed by others\n",
       number(n->pages), number(n->fresh_pages), number(n->adopted_pages), number(n->full_pages),
       number(n->retired_pages), number(n->remote_freed_blocks));
}

static void print_classes(mi_output_fun* out, void* arg, const mi_parts_t* classes) {
  char name[48];
  for (size_t i = 0; i < classes->n; i++) {
    snprintf(name, sizeof name, "%llu-byte blocks", number(classes->parts[i].key));
    print_parts(out, arg, &classes->parts[i], classes->parts[i].key == 0 ? "larger than 64 KiB" : name);
  }
}

void mi_stats_print_out(mi_output_fun* out, void* arg) {
  mi_snapshot_t s;
  char name[80];
  if (!mi_snapshot_take(&s)) return;
  print_totals(out, arg, &s.totals);
  for (size_t i = 0; i < s.owners.n; i++) {
    const uint64_t id = s.owners.parts[i].key;
    snprintf(name, sizeof name, mi_id_is_capability(id) ? "%s %llu" : "%s %#llx", mi_print_owner_kind(id),
             number(mi_print_owner_number(id)));
    print_parts(out, arg, &s.owners.parts[i], id == 0 ? "nobody (adoptable)" : name);
  }
  for (size_t i = 0; i < s.heaps.n && s.heaps.n > 1; i++) {
    const char* called = s.names[i].text;
    snprintf(name, sizeof name, "heap %llu%s%s", number(s.heaps.parts[i].key), *called == 0 ? "" : " ",
             called);
    print_parts(out, arg, &s.heaps.parts[i], name);
  }
  print_classes(out, arg, &s.classes);
  mi_snapshot_drop(&s);
}

void mi_heap_stats_print_out(mi_heap_t* heap, mi_output_fun* out, void* arg) {
  mi_snapshot_t s;
  char live[16], pages[16];
  if (!mi_snapshot_take_heap(&s, heap == NULL ? &mi_main_heap : heap)) return;
  line(out, arg, "mimalloc: a heap: live %s in %llu blocks, in %llu pages of %s\n",
       human(live, s.totals.used_bytes), number(s.totals.used_blocks), number(s.totals.pages),
       human(pages, s.totals.committed_bytes));
  print_classes(out, arg, &s.classes);
  mi_snapshot_drop(&s);
}

void mi_stats_print(void* out) { (void)out; mi_stats_print_out(NULL, NULL); }
void mi_thread_stats_print_out(mi_output_fun* out, void* arg) { mi_stats_print_out(out, arg); }

void mi_options_print_out(mi_output_fun* out, void* arg) {
  for (int i = 0; i < _mi_option_last; i++)
    line(out, arg, "mimalloc: option %s = %ld\n", mi_options[i].name, mi_option_get((mi_option_t)i));
}
void mi_options_print(void) { mi_options_print_out(NULL, NULL); }

void mi_process_info_print_out(mi_output_fun* out, void* arg) {
  char a[16], b[16], c[16], d[16];
  mi_os_process_t info;
  mi_os_process(&info);
  line(out, arg,
       "mimalloc: resident %s (peak %s), committed %s (peak %s); %zu ms, user %zu ms, system %zu ms, "
       "%zu page faults from disk\n",
       human(a, info.rss), human(b, info.peak_rss), human(c, mi_stats_committed()),
       human(d, mi_stats_peak_committed()), info.elapsed_ms, info.user_ms, info.system_ms, info.page_faults);
}
void mi_process_info_print(void) { mi_process_info_print_out(NULL, NULL); }
