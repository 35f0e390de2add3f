/* Statistics for people: mimalloc.h. Any thread; it allocates nothing. */
#include <stdarg.h>
#include <stdio.h>

#include "core/heap_pages.h"
#include "core/options.h"
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

/* A size of blocks, exactly. */
static const char* exactly(char text[16], uint64_t bytes) {
  static const char* const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
  unsigned u = 0;
  double x = (double)bytes;
  for (; x >= 1024 && u < 4; u++) x /= 1024;
  snprintf(text, 16, "%.5g %s", x, units[u]);
  return text;
}

/* ---- what parts are called ---- */

enum { NAME = 80 };
typedef void (mi_print_name_t)(char name[NAME], const mi_snapshot_t* s, size_t i);

static void owner_name(char name[NAME], const mi_snapshot_t* s, size_t i) {
  const uint64_t id = s->owners.parts[i].key;
  if (id == 0) snprintf(name, NAME, "nobody (adoptable)");
  else if (mi_id_is_capability(id)) snprintf(name, NAME, "capability %llu", number(mi_id_capability(id)));
  else snprintf(name, NAME, "thread %#llx", number(id));
}

static void heap_name(char name[NAME], const mi_snapshot_t* s, size_t i) {
  const uint64_t id = s->heaps.parts[i].key;
  const char* called = s->names[i].text;
  if (id == mi_load_relaxed(&mi_main_heap.xid)) snprintf(name, NAME, "the main heap");    /* constant */
  else if (*called == 0) snprintf(name, NAME, "heap %llu", number(id));
  else snprintf(name, NAME, "heap %llu \"%s\"", number(id), called);
}

static void class_name(char name[NAME], const mi_snapshot_t* s, size_t i) {
  char size[16];
  const uint64_t bytes = s->classes.parts[i].key;
  if (bytes == 0) snprintf(name, NAME, "blocks with own pages");
  else snprintf(name, NAME, "%s blocks", exactly(size, bytes));
}

/* ---- tables, the largest part first ---- */

/* Does part i come behind part j? */
static bool is_behind(const mi_parts_t* p, size_t i, size_t j) {
  const uint64_t a = p->parts[i].page_bytes, b = p->parts[j].page_bytes;
  return a < b || (a == b && i > j);
}

/* The one that comes next behind `last` (p->n: the first one); p->n: there is none. */
static size_t next_part(const mi_parts_t* p, size_t last) {
  size_t next = p->n;
  for (size_t i = 0; i < p->n; i++)
    if ((last == p->n || is_behind(p, i, last)) && (next == p->n || is_behind(p, next, i))) next = i;
  return next;
}

static void print_part(mi_output_fun* out, void* arg, const mi_part_t* p, const char* name) {
  char live[16], pages[16];
  line(out, arg, "  %-24s %10llu blocks %12s live in %7llu pages of %12s, %3llu %% used\n", name,
       number(p->blocks), human(live, p->bytes), number(p->pages), human(pages, p->page_bytes),
       p->page_bytes == 0 ? 0 : number(p->bytes * 100 / p->page_bytes));
}

/* The largest `most` of them; the others are summed up. */
static void print_table(mi_output_fun* out, void* arg, const mi_snapshot_t* s, const mi_parts_t* p,
                        mi_print_name_t* name_of, size_t most, const char* what) {
  char name[NAME];
  mi_part_t rest = { 0 };
  size_t i = p->n, shown = 0;
  for (size_t k = 0; k < p->n; k++) {
    rest.pages += p->parts[k].pages;
    rest.blocks += p->parts[k].blocks;
    rest.bytes += p->parts[k].bytes;
    rest.page_bytes += p->parts[k].page_bytes;
  }
  for (; shown < most && (i = next_part(p, i)) < p->n; shown++) {
    name_of(name, s, i);
    print_part(out, arg, &p->parts[i], name);
    rest.pages -= p->parts[i].pages;
    rest.blocks -= p->parts[i].blocks;
    rest.bytes -= p->parts[i].bytes;
    rest.page_bytes -= p->parts[i].page_bytes;
  }
  if (p->n == shown) return;
  snprintf(name, NAME, "%zu other %s", p->n - shown, what);
  print_part(out, arg, &rest, name);
}

/* ---- the process ---- */

/* Bytes. All 0: not known. */
typedef struct { size_t total, ghc, ours; } mi_print_resident_t;

/* The parts need not be of one moment. */
static uint64_t less(uint64_t a, uint64_t b) { return a - mi_min(a, b); }

/* Why is the process as large as it is? */
static void print_answer(mi_output_fun* out, void* arg, const mi_snapshot_t* s,
                         const mi_print_resident_t* r) {
  char a[16], b[16], c[16], d[16], e[16];
  const mi_totals_t* n = &s->totals;
  uint64_t pages = 0;
  for (size_t i = 0; i < s->classes.n; i++) pages += s->classes.parts[i].page_bytes;
  mi_os_process_t info;
  mi_os_process(&info);
  if (r->total != 0) {
    const uint64_t rest = less(r->total, r->ghc), ours = mi_min(rest, r->ours + n->structure_bytes);
    line(out, arg, "mimalloc: resident %s = GHC %s + this allocator %s + other %s\n", human(a, r->total),
         human(b, r->ghc), human(c, ours), human(d, rest - ours));
  }
  else {
    line(out, arg, "mimalloc: resident %s, the whole process; this allocator has committed %s\n",
         info.rss == 0 ? "unknown" : human(a, info.rss), human(b, n->committed_bytes));
  }
  line(out, arg, "  committed %s = live %s + free beside it %s + free and due %s + structures %s\n",
       human(a, n->committed_bytes), human(b, n->used_bytes), human(c, less(pages, n->used_bytes)),
       human(d, less(n->committed_bytes, pages + n->structure_bytes)), human(e, n->structure_bytes));
}

/* The largest of each kind; of owners rather somebody than nobody. */
static void print_most(mi_output_fun* out, void* arg, const mi_snapshot_t* s) {
  char name[3][NAME], bytes[3][16];
  const mi_parts_t* const parts[] = { &s->heaps, &s->classes, &s->owners };
  mi_print_name_t* const name_of[] = { &heap_name, &class_name, &owner_name };
  for (size_t k = 0; k < 3; k++) {
    size_t i = next_part(parts[k], parts[k]->n);
    const size_t next = i < parts[k]->n ? next_part(parts[k], i) : i;
    if (k == 2 && next < parts[k]->n && parts[k]->parts[i].key == 0) i = next;
    snprintf(name[k], NAME, "none");
    if (i < parts[k]->n) name_of[k](name[k], s, i);
    human(bytes[k], i < parts[k]->n ? parts[k]->parts[i].page_bytes : 0);
  }
  line(out, arg, "  most of it: %s (%s), %s (%s), %s (%s)\n", name[0], bytes[0], name[1], bytes[1], name[2],
       bytes[2]);
}

static void print_totals(mi_output_fun* out, void* arg, const mi_totals_t* n) {
  char a[16], b[16], c[16], d[16];
  mi_os_process_t info;
  mi_os_process(&info);
  line(out, arg, "  most so far: resident %s, committed %s; reserved %s; given back so far %s\n",
       human(a, info.peak_rss), human(b, n->peak_committed_bytes), human(c, n->reserved_bytes),
       human(d, n->purged_bytes));
  if (n->hole_bytes > 0)
    line(out, arg, "  holes: of what is free beside what lives, %s were given back\n",
         human(a, n->hole_bytes));
  if (n->commit_limit_bytes > 0 || n->refused_requests > 0)
    line(out, arg, "  limit %s; requests that it refused: %llu\n",
         n->commit_limit_bytes == 0 ? "none" : human(a, n->commit_limit_bytes), number(n->refused_requests));
  line(out, arg,
       "  %llu blocks live, %llu freed by others; %llu pages; so far %llu fresh, %llu adopted, %llu given up "
       "full, %llu empty\n",
       number(n->used_blocks), number(n->remote_freed_blocks), number(n->pages), number(n->fresh_pages),
       number(n->adopted_pages), number(n->full_pages), number(n->retired_pages));
}

enum { MOST = 20, ALL = 1000 };

static void print_stats(mi_output_fun* out, void* arg, const mi_print_resident_t* resident) {
  mi_snapshot_t s;
  if (!mi_snapshot_take(&s)) return;
  print_answer(out, arg, &s, resident);
  if (s.totals.pages > 0) print_most(out, arg, &s);
  print_totals(out, arg, &s.totals);
  if (s.heaps.n > 1) print_table(out, arg, &s, &s.heaps, &heap_name, MOST, "heaps");
  print_table(out, arg, &s, &s.classes, &class_name, ALL, "sizes");
  print_table(out, arg, &s, &s.owners, &owner_name, MOST, "owners");
  mi_snapshot_drop(&s);
}

void mi_stats_print_out(mi_output_fun* out, void* arg) {
  print_stats(out, arg, &(mi_print_resident_t){ 0, 0, 0 });
}
void mi_stats_print_resident(size_t total, size_t ghc, size_t ours) {
  print_stats(NULL, NULL, &(mi_print_resident_t){ total, ghc, ours });
}

/* ---- one heap ---- */

static void print_heap(mi_output_fun* out, void* arg, const mi_heap_t* heap, const mi_snapshot_t* s) {
  char live[16], pages[16], name[NAME];
  /* Constant while it is used. */
  snprintf(name, NAME, "heap %llu", number(mi_load_relaxed(&heap->xid)));
  if (heap == &mi_main_heap) snprintf(name, NAME, "the main heap");
  else if (s->heaps.n > 0) heap_name(name, s, 0);
  line(out, arg, "mimalloc: %s: live %s in %llu blocks, in %llu pages of %s\n", name,
       human(live, s->totals.used_bytes), number(s->totals.used_blocks), number(s->totals.pages),
       human(pages, s->totals.committed_bytes));
}

void mi_heap_stats_print_out(mi_heap_t* heap, mi_output_fun* out, void* arg) {
  mi_snapshot_t s;
  if (heap == NULL) heap = &mi_main_heap;
  if (!mi_snapshot_take_heap(&s, heap)) return;
  print_heap(out, arg, heap, &s);
  print_table(out, arg, &s, &s.classes, &class_name, ALL, "sizes");
  mi_snapshot_drop(&s);
}

/* As in the picture of docs/DESIGN.md. */
static void print_where(mi_output_fun* out, void* arg, const mi_snapshot_t* s) {
  static const char* const names[MI_WHERE_LOST + 1] = {
    "dead",   "cached", "queued", "watched",  "retired", "parked",
    "full",   "pooled", "waited", "searched", "single",  "lost",
  };
  char text[200] = "";
  size_t length = 0;
  for (size_t i = 0; i <= MI_WHERE_LOST; i++) {
    if (s->where[i] == 0) continue;
    length += (size_t)snprintf(text + length, sizeof text - length, "%s %llu %s", length > 0 ? "," : "",
                               number(s->where[i]), names[i]);
    length = mi_min(length, sizeof text - 1);
  }
  line(out, arg, "  pages:%s\n", length == 0 ? " none" : text);
}

static void print_filled(mi_output_fun* out, void* arg, const mi_snapshot_t* s) {
  char name[NAME];
  line(out, arg, "  %-28s %10s %10s %10s %10s %10s\n", "pages of which there live", "nothing", "to 1/4",
       "to 1/2", "to 3/4", "more");
  for (size_t i = next_part(&s->classes, s->classes.n); i < s->classes.n; i = next_part(&s->classes, i)) {
    const uint32_t* n = s->classes.parts[i].filled;
    class_name(name, s, i);
    line(out, arg, "  %-28s %10u %10u %10u %10u %10u\n", name, (unsigned)n[0], (unsigned)n[1],
         (unsigned)n[2], (unsigned)n[3], (unsigned)n[4]);
  }
}

static void print_contents(mi_output_fun* out, void* arg, mi_heap_t* heap) {
  mi_heap_content_t rows[MI_CONTENT_ROWS];
  char name[NAME], size[16], bytes[MI_CONTENT_AGES][16];
  const size_t n = mi_stats_contents(heap, rows);
  line(out, arg, "  %-28s %10s %10s %10s %10s %10s %10s %10s\n", "live, no older than", "1 s", "10 s",
       "1 min", "10 min", "1 h", "1 d", "(more)");
  for (size_t i = 0; i < n; i++) {
    snprintf(name, NAME, "blocks up to %s", exactly(size, rows[i].block_size));
    for (size_t k = 0; k < MI_CONTENT_AGES; k++) human(bytes[k], rows[i].bytes_by_age[k]);
    line(out, arg, "  %-28s %10s %10s %10s %10s %10s %10s %10s\n", name, bytes[0], bytes[1], bytes[2],
         bytes[3], bytes[4], bytes[5], bytes[6]);
  }
}

static void print_options_set(mi_output_fun* out, void* arg) {
  for (int i = 0; i < _mi_option_last; i++)
    if (mi_load_relaxed(&mi_options[i].xset))                             /* an answer for now */
      line(out, arg, "  option %s = %ld\n", mi_options[i].name, mi_option_get((mi_option_t)i));
}

void mi_heap_print_out(mi_heap_t* heap, mi_output_fun* out, void* arg) {
  mi_snapshot_t s;
  if (heap == NULL) heap = &mi_main_heap;
  if (!mi_snapshot_take_heap(&s, heap)) return;
  print_heap(out, arg, heap, &s);
  line(out, arg, "  version %d; tag %d; %s\n", MI_MALLOC_VERSION, heap->tag,
       heap->is_main ? "a main heap" : heap->allow_destroy ? "may be destroyed" : "is deleted");
  print_table(out, arg, &s, &s.classes, &class_name, ALL, "sizes");
  print_table(out, arg, &s, &s.owners, &owner_name, MOST, "owners");
  print_where(out, arg, &s);
  print_filled(out, arg, &s);
  print_contents(out, arg, heap);
  print_options_set(out, arg);
  mi_snapshot_drop(&s);
}
void mi_heap_print(mi_heap_t* heap) { mi_heap_print_out(heap, NULL, NULL); }

/* ---- the rest ---- */

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
