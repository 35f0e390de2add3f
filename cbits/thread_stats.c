/* Statistics for machines: mimalloc.h and mimalloc-stats.h. Any thread. */
#include <errno.h>
#include <string.h>

#include "core/memory.h"
#include "core/report.h"
#include "core/sample.h"
#include "core/os.h"
#include "core/stats.h"
#include "include/mimalloc-stats.h"
#include "thread.h"
#include "thread_print.h"

void mi_stats_reset(void) { mi_stats_restart(); }
void mi_stats_merge(void) { }

void mi_process_info(size_t* elapsed_msecs, size_t* user_msecs, size_t* system_msecs, size_t* current_rss,
                     size_t* peak_rss, size_t* current_commit, size_t* peak_commit, size_t* page_faults) {
  mi_os_process_t info;
  mi_os_process(&info);
  const size_t commit = mi_stats_committed(), peak = mi_stats_peak_committed();
  size_t* const out[] = { elapsed_msecs, user_msecs,     system_msecs, current_rss,
                          peak_rss,      current_commit, peak_commit,  page_faults };
  const size_t value[] = { info.elapsed_ms, info.user_ms, info.system_ms, info.rss,
                           info.peak_rss,   commit,       peak,           info.page_faults };
  for (size_t i = 0; i < sizeof out / sizeof *out; i++) if (out[i] != NULL) *out[i] = value[i];
}

/* ---- text that grows ---- */

/* Length: of all there is, also what did not fit. */
typedef struct { char* text; size_t length, room; } mi_text_t;

static void put(mi_text_t* t, const char* text, size_t n) {
  if (t->length < t->room) memcpy(t->text + t->length, text, mi_min(n, t->room - t->length));
  t->length += n;
}
#define PUT(t, literal) put(t, literal, sizeof literal - 1)

static void put_number(mi_text_t* t, uint64_t x) {
  char digits[20];
  size_t at = sizeof digits;
  do digits[--at] = (char)('0' + x % 10); while ((x /= 10) != 0);
  put(t, digits + at, sizeof digits - at);
}
#define PUT_FIELD(t, name, x) (PUT(t, "\"" name "\":"), put_number(t, x))
#define PUT_NEXT(t, name, x)  (PUT(t, ",\"" name "\":"), put_number(t, x))

/* ---- JSON ---- */

static void json_part(mi_text_t* t, const mi_part_t* p) {
  PUT_NEXT(t, "pages", p->pages);
  PUT_NEXT(t, "live_blocks", p->blocks);
  PUT_NEXT(t, "live_bytes", p->bytes);
  PUT_NEXT(t, "page_bytes", p->page_bytes);
  PUT(t, "}");
}

static void json_gauges(mi_text_t* t, const mi_totals_t* n) {
  mi_os_process_t info;
  mi_os_process(&info);
  PUT(t, "\"gauges\":{");
  PUT_FIELD(t, "reserved_bytes", n->reserved_bytes);
  PUT_NEXT(t, "committed_bytes", n->committed_bytes);
  PUT_NEXT(t, "structure_bytes", n->structure_bytes);
  PUT_NEXT(t, "hole_bytes", n->hole_bytes);
  PUT_NEXT(t, "commit_limit_bytes", n->commit_limit_bytes);
  PUT_NEXT(t, "live_bytes", n->used_bytes);
  PUT_NEXT(t, "live_blocks", n->used_blocks);
  PUT_NEXT(t, "pages", n->pages);
  PUT_NEXT(t, "arenas", n->arenas);
  PUT_NEXT(t, "mappings", n->mappings);
  PUT_NEXT(t, "threads", n->threads);
  PUT_NEXT(t, "capabilities", n->capabilities);
  PUT_NEXT(t, "peak_committed_bytes", n->peak_committed_bytes);
  PUT_NEXT(t, "resident_bytes", info.rss);
  PUT_NEXT(t, "peak_resident_bytes", info.peak_rss);
  PUT_NEXT(t, "profile_samples", mi_sample_counts().live);
}

static void json_counters(mi_text_t* t, const mi_totals_t* n) {
  PUT(t, "},\"counters\":{");
  PUT_FIELD(t, "purged_bytes", n->purged_bytes);
  PUT_NEXT(t, "fresh_pages", n->fresh_pages);
  PUT_NEXT(t, "adopted_pages", n->adopted_pages);
  PUT_NEXT(t, "full_pages", n->full_pages);
  PUT_NEXT(t, "retired_pages", n->retired_pages);
  PUT_NEXT(t, "remote_freed_blocks", n->remote_freed_blocks);
  PUT_NEXT(t, "refused_requests", n->refused_requests);
  PUT_NEXT(t, "profile_taken", mi_sample_counts().taken);
  PUT_NEXT(t, "profile_dropped", mi_sample_counts().dropped);
}

static void json_owner(mi_text_t* t, uint64_t id) {
  const char* kind = mi_print_owner_kind(id);
  PUT(t, "{\"kind\":\"");
  put(t, kind, strlen(kind));
  PUT(t, "\"");
  PUT_NEXT(t, "number", mi_print_owner_number(id));
}

/* It has nothing that would have to be escaped (mi_heap_set_name). */
static void json_name(mi_text_t* t, const mi_name_t* name) {
  if (name->text[0] == 0) return;
  PUT(t, ",\"name\":\"");
  put(t, name->text, strlen(name->text));
  PUT(t, "\"");
}

static void json(mi_text_t* t, const mi_snapshot_t* s) {
  PUT(t, "{");
  PUT_FIELD(t, "version", MI_STAT_VERSION);
  PUT(t, ",");
  json_gauges(t, &s->totals);
  json_counters(t, &s->totals);
  PUT(t, "},\"size_classes\":[");
  for (size_t i = 0; i < s->classes.n; i++) {
    if (i > 0) PUT(t, ",");
    PUT(t, "{");
    PUT_FIELD(t, "block_bytes", s->classes.parts[i].key);
    json_part(t, &s->classes.parts[i]);
  }
  PUT(t, "],\"owners\":[");
  for (size_t i = 0; i < s->owners.n; i++) {
    if (i > 0) PUT(t, ",");
    json_owner(t, s->owners.parts[i].key);
    json_part(t, &s->owners.parts[i]);
  }
  PUT(t, "],\"heaps\":[");
  for (size_t i = 0; i < s->heaps.n; i++) {
    if (i > 0) PUT(t, ",");
    PUT(t, "{");
    PUT_FIELD(t, "id", s->heaps.parts[i].key);
    json_name(t, &s->names[i]);
    json_part(t, &s->heaps.parts[i]);
  }
  PUT(t, "]}");
  if (t->room > 0) t->text[mi_min(t->length, t->room - 1)] = 0;
}

/* In buf or in a block; drops the snapshot. */
static char* json_of(mi_snapshot_t* s, size_t buf_size, char* buf) {
  mi_text_t t = { buf, 0, buf == NULL ? 0 : buf_size };
  json(&t, s);
  if (buf == NULL) {
    /* The process's own numbers may be longer by now. */
    t = (mi_text_t){ mi_malloc(t.length + 256), 0, t.length + 256 };
    if (t.text != NULL) json(&t, s);
  }
  mi_snapshot_drop(s);
  return t.text;
}

char* mi_stats_get_json(size_t buf_size, char* buf) {
  mi_snapshot_t s;
  return mi_snapshot_take(&s) ? json_of(&s, buf_size, buf) : mi_report_fail(MI_ERROR_NO_MEMORY, sizeof s);
}

static const mi_heap_t* or_main(const mi_heap_t* heap) { return heap == NULL ? &mi_main_heap : heap; }

char* mi_heap_stats_get_json(mi_heap_t* heap, size_t buf_size, char* buf) {
  mi_snapshot_t s;
  return mi_snapshot_take_heap(&s, or_main(heap)) ? json_of(&s, buf_size, buf)
                                                  : mi_report_fail(MI_ERROR_NO_MEMORY, sizeof s);
}

/* ---- structures ---- */

size_t mi_stats_get_bin_size(size_t bin) {
  return bin == 0 || bin > MI_BIN_LAST ? 0 : mi_bin_size((unsigned)bin);
}

static mi_stat_count_t gauge(uint64_t n) { return (mi_stat_count_t){ (int64_t)n, (int64_t)n, (int64_t)n }; }
static mi_stat_counter_t counter(uint64_t n) { return (mi_stat_counter_t){ (int64_t)n }; }

/* Drops the snapshot. */
static void structure_of(mi_snapshot_t* s, mi_stats_t* r) {
  const mi_totals_t* n = &s->totals;
  r->pages = gauge(n->pages);
  r->reserved = gauge(n->reserved_bytes);
  r->committed = (mi_stat_count_t){ (int64_t)n->committed_bytes, (int64_t)n->peak_committed_bytes,
                                    (int64_t)n->committed_bytes };
  r->structures = gauge(n->structure_bytes);
  r->threads = gauge(n->threads);
  r->purged = counter(n->purged_bytes);
  r->arena_count = counter(n->arenas);
  r->pages_retire = counter(n->retired_pages);
  r->pages_reclaim = r->pages_reclaim_on_alloc = counter(n->adopted_pages);
  r->pages_fresh = counter(n->fresh_pages);
  r->pages_full = counter(n->full_pages);
  r->remote_freed = counter(n->remote_freed_blocks);
  uint64_t normal = 0;
  for (size_t i = 0; i < s->classes.n; i++) {
    const mi_part_t* p = &s->classes.parts[i];
    const unsigned bin = p->key == 0 ? MI_BIN_SINGLE : mi_bin_of(p->key);
    r->malloc_bins[bin] = gauge(p->bytes);
    r->page_bins[bin] = gauge(p->pages);
    if (p->key != 0) normal += p->bytes;
  }
  r->malloc_normal = gauge(normal);
  r->malloc_huge = gauge(n->used_bytes - normal);
  mi_snapshot_drop(s);
}

void mi_stats_get(size_t stats_size, mi_stats_t* stats) {
  mi_snapshot_t s;
  mi_stats_t r;
  if (stats == NULL) return;
  memset(&r, 0, sizeof r);
  r.version = MI_STAT_VERSION;
  if (mi_snapshot_take(&s)) structure_of(&s, &r);
  memcpy(stats, &r, mi_min(stats_size, sizeof r));
}

bool mi_heap_stats_get(mi_heap_t* heap, mi_stats_t* stats) {
  mi_snapshot_t s;
  if (stats == NULL || !mi_snapshot_take_heap(&s, or_main(heap))) return false;
  memset(stats, 0, sizeof *stats);
  stats->version = MI_STAT_VERSION;
  structure_of(&s, stats);
  return true;
}

size_t mi_heap_contents(mi_heap_t* heap, mi_heap_content_t* rows, size_t max) {
  mi_heap_content_t all[MI_CONTENT_ROWS];
  const size_t n = mi_stats_contents(or_main(heap), all);
  if (rows != NULL) memcpy(rows, all, mi_min(n, max) * sizeof *rows);
  return n;
}

bool mi_subproc_stats_get(mi_subproc_id_t subproc_id, mi_stats_t* stats) {
  if (subproc_id != NULL) return mi_heap_stats_get(subproc_id, stats);
  mi_stats_get(sizeof *stats, stats);
  return stats != NULL;
}
char* mi_subproc_stats_get_json(mi_subproc_id_t subproc_id, size_t buf_size, char* buf) {
  return subproc_id == NULL ? mi_stats_get_json(buf_size, buf)
                            : mi_heap_stats_get_json(subproc_id, buf_size, buf);
}
void mi_subproc_stats_print_out(mi_subproc_id_t subproc_id, mi_output_fun* out, void* arg) {
  if (subproc_id == NULL) mi_stats_print_out(out, arg);
  else mi_heap_stats_print_out(subproc_id, out, arg);
}
void mi_heap_stats_merge_to_subproc(mi_heap_t* heap) { (void)heap; }

_Static_assert(MI_STAT_BINS == MI_BIN_COUNT, "mi_stats_t has a place for each size class");

typedef struct { uint64_t* words; size_t n, max; } mi_words_t;
static void word(mi_words_t* w, uint64_t value) {
  if (w->n < w->max) w->words[w->n] = value;
  w->n++;
}

static void words_parts(mi_words_t* w, const mi_parts_t* parts) {
  for (size_t i = 0; i < parts->n; i++) {
    const mi_part_t* p = &parts->parts[i];
    word(w, p->key);
    word(w, p->pages);
    word(w, p->blocks);
    word(w, p->bytes);
    word(w, p->page_bytes);
  }
}

size_t mi_stats_words(uint64_t* words, size_t max) {
  mi_snapshot_t s;
  mi_words_t w = { words, 0, words == NULL ? 0 : max };
  if (!mi_snapshot_take(&s)) return 0;
  const uint64_t* totals = (const uint64_t*)&s.totals;
  const size_t ntotals = sizeof s.totals / sizeof *totals;
  word(&w, ntotals);
  word(&w, s.classes.n);
  word(&w, s.owners.n);
  word(&w, s.heaps.n);
  for (size_t i = 0; i < ntotals; i++) word(&w, totals[i]);
  words_parts(&w, &s.classes);
  words_parts(&w, &s.owners);
  words_parts(&w, &s.heaps);
  for (size_t i = 0; i < s.heaps.n; i++) {
    if (s.names[i].text[0] == 0) continue;
    word(&w, s.heaps.parts[i].key);
    for (size_t k = 0; k < MI_NAME_WORDS; k++) word(&w, s.names[i].words[k]);
  }
  mi_snapshot_drop(&s);
  return w.n;
}
