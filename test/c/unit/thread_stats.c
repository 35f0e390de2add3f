/* thread_stats.c: statistics as structures, words and JSON. The same figures in all of them. */
#include <pthread.h>
#include <sys/prctl.h>

#include "core/meta.h"
#include "core/heap.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/stats.h"
#include "include/mimalloc-stats.h"
#include "test.h"

/* Ten blocks of 100 (112) bytes, three of 5000 (5120), two with pages of their own. */
enum { BYTES = 10 * 112 + 3 * 5120, LARGE_BYTES = (204800 + 1048576), BLOCKS = 15 };
static void* block[BLOCKS];
static void fill(void) {
  for (int i = 0; i < BLOCKS; i++)
    CHECK((block[i] = mi_malloc(i < 10 ? 100 : i < 13 ? 5000 : i == 13 ? 204800 : MI_MiB)) != NULL);
}

/* ---- a JSON reader: enough to see that it is JSON, and to find a number ---- */

static const char* at;
static void json_fail(const char* what) { test_fail(__FILE__, __LINE__, "JSON: no %s at: %.40s", what, at); }
static void json_skip(char c) { if (*at++ != c) { at--; json_fail((char[]){ c, 0 }); } }

static void json_string(char* text, size_t room) {
  size_t n = 0;
  json_skip('"');
  for (; *at != '"'; at++) {
    if ((unsigned char)*at < ' ' || *at == '\\' || n + 1 >= room) json_fail("plain string");
    text[n++] = *at;
  }
  text[n] = 0;
  at++;
}

/* Reads a value; if its path is `wanted`, such as owners.0.pages, puts a number there. Strings count
   as found with 1. */
static void json_value(char* path, const char* wanted, uint64_t* found, int* nfound) {
  const size_t end = strlen(path);
  const bool array = *at == '[';
  if (*at == '{' || array) {
    at++;
    for (size_t i = 0; *at != (array ? ']' : '}'); i++) {
      char name[64];
      if (i > 0) json_skip(',');
      if (array) snprintf(name, sizeof name, "%zu", i);
      else { json_string(name, sizeof name); json_skip(':'); }
      snprintf(path + end, 200 - end, "%s%s", end > 0 ? "." : "", name);
      json_value(path, wanted, found, nfound);
      path[end] = 0;
    }
    at++;
    return;
  }
  uint64_t n = 1;
  if (*at == '"') {
    char text[64];
    json_string(text, sizeof text);
    snprintf(path + end, 200 - end, "=%s", text);
  }
  else {
    char* rest;
    if (*at < '0' || *at > '9') json_fail("number");
    n = strtoull(at, &rest, 10);
    at = rest;
  }
  if (strcmp(path, wanted) == 0) { *found = n; ++*nfound; }
  path[end] = 0;
}

/* The number with that path; UINT64_MAX if there is none. */
static uint64_t json_find(const char* text, const char* wanted) {
  char path[200] = "";
  uint64_t found = UINT64_MAX;
  int n = 0;
  at = text;
  json_value(path, wanted, &found, &n);
  CHECK_AT(*at == 0 && n <= 1, "after the value: %s", at);
  return found;
}

#define JSON_EQ(text, path, n) test_equal(__FILE__, __LINE__, path, json_find(text, path), (uint64_t)(n))

/* ---- JSON ---- */

static void json(void) {
  fill();
  mi_snapshot_t s;
  CHECK(mi_snapshot_take(&s));
  char* text = mi_stats_get_json(0, NULL);
  CHECK(text != NULL && mi_heap_of(text) == &mi_main_heap);  /* made after the pass: not counted in it */
  const mi_totals_t* t = &s.totals;
  JSON_EQ(text, "version", MI_STAT_VERSION);
  JSON_EQ(text, "gauges.reserved_bytes", t->reserved_bytes);
  JSON_EQ(text, "gauges.committed_bytes", t->committed_bytes);
  JSON_EQ(text, "gauges.structure_bytes", t->structure_bytes);
  JSON_EQ(text, "gauges.hole_bytes", 0);
  JSON_EQ(text, "gauges.commit_limit_bytes", 0);
  JSON_EQ(text, "gauges.peak_committed_bytes", t->peak_committed_bytes);
  JSON_EQ(text, "gauges.live_bytes", BYTES + LARGE_BYTES);
  JSON_EQ(text, "gauges.live_blocks", BLOCKS);
  JSON_EQ(text, "gauges.pages", 4);
  JSON_EQ(text, "gauges.arenas", mi_arena_count());
  JSON_EQ(text, "gauges.mappings", t->mappings);
  JSON_EQ(text, "gauges.threads", 1);
  JSON_EQ(text, "gauges.capabilities", 0);
  CHECK(json_find(text, "gauges.resident_bytes") - 1 < UINT64_MAX - 2);
  CHECK(json_find(text, "gauges.peak_resident_bytes") >= json_find(text, "gauges.resident_bytes"));
  JSON_EQ(text, "counters.purged_bytes", 0);
  JSON_EQ(text, "counters.fresh_pages", 4);
  JSON_EQ(text, "counters.adopted_pages", 0);
  JSON_EQ(text, "counters.full_pages", t->full_pages);
  JSON_EQ(text, "counters.retired_pages", 0);
  JSON_EQ(text, "counters.remote_freed_blocks", 0);
  JSON_EQ(text, "counters.refused_requests", 0);
  JSON_EQ(text, "size_classes.0.block_bytes", 0);
  JSON_EQ(text, "size_classes.0.live_bytes", LARGE_BYTES);
  JSON_EQ(text, "size_classes.1.block_bytes", 112);
  JSON_EQ(text, "size_classes.1.live_blocks", 10);
  JSON_EQ(text, "size_classes.1.live_bytes", 1120);
  JSON_EQ(text, "size_classes.1.page_bytes", MI_SLICE_SIZE);
  JSON_EQ(text, "size_classes.2.block_bytes", 5120);
  JSON_EQ(text, "size_classes.3.block_bytes", UINT64_MAX);
  JSON_EQ(text, "owners.0.kind=thread", 1);
  JSON_EQ(text, "owners.0.live_blocks", BLOCKS);
  JSON_EQ(text, "owners.0.live_bytes", BYTES + LARGE_BYTES);
  JSON_EQ(text, "heaps.0.id", 1);
  JSON_EQ(text, "heaps.0.live_blocks", BLOCKS);
  JSON_EQ(text, "heaps.1.id", UINT64_MAX);
  mi_snapshot_drop(&s);
  mi_free(text);
}

/* Of a process that has allocated nothing, and of capabilities. */
static void json_of_others(void) {
  char text[20000];
  CHECK(mi_stats_get_json(sizeof text, text) == text);
  JSON_EQ(text, "gauges.live_blocks", 0);
  JSON_EQ(text, "size_classes.0.block_bytes", UINT64_MAX);
  JSON_EQ(text, "owners.0.number", UINT64_MAX);
  owners_begin();
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  for (int i = 0; i < 80; i++) CHECK(o_malloc(i % NOWNERS, 100) != NULL);
  void* p = mi_alloc_malloc(mi_heap_lheap(heap, owners[3]), 5000);
  CHECK(mi_stats_get_json(sizeof text, text) == text);
  JSON_EQ(text, "gauges.capabilities", NOWNERS);
  JSON_EQ(text, "owners.0.kind=nobody", 1);             /* the heap's page: of no owner */
  JSON_EQ(text, "owners.0.live_blocks", 1);
  JSON_EQ(text, "owners.1.kind=capability", 1);
  JSON_EQ(text, "owners.1.number", 0);
  JSON_EQ(text, "owners.8.kind=capability", 1);
  JSON_EQ(text, "owners.8.number", 7);
  JSON_EQ(text, "owners.8.live_blocks", 10);
  JSON_EQ(text, "heaps.1.id", heap->xid);
  JSON_EQ(text, "heaps.1.live_bytes", mi_usable_size(p));
}

/* In a buffer that is too small: as much as fits, and a zero. */
static void json_cut(void) {
  fill();
  char whole[20000], part[20000];
  CHECK(mi_stats_get_json(sizeof whole, whole) == whole);
  const char* first_size = strstr(whole, "\"resident_bytes\"");          /* changes from then on */
  const size_t same = (size_t)(first_size - whole), length = strlen(whole);
  CHECK(same > 100 && whole[length - 1] == '}');
  for (size_t n = 1; n <= same; n = n * 3 / 2 + 1) {
    memset(part, '!', sizeof part);
    CHECK(mi_stats_get_json(n, part) == part);
    CHECK_AT(strlen(part) == n - 1 && memcmp(part, whole, n - 1) == 0 && part[n] == '!', "n = %zu", n);
  }
  part[0] = '!';
  CHECK(mi_stats_get_json(0, part) == part && part[0] == '!');           /* not even room for the zero */
}

static void swallow(const char* text, void* arg) { CHECK(text[0] != 0 && arg == NULL); }

static void json_without_memory(void) {
  fill();
  char text[100] = "!";
  test_expect_errors();
  for (int i = 0; i < 2; i++) {
    mi_os_fail_in(1, 1);
    errno = test_last_error = 0;
    CHECK(mi_stats_get_json(i * sizeof text, i == 0 ? NULL : text) == NULL && errno == ENOMEM
          && test_last_error == ENOMEM && text[0] == '!');
    mi_os_fail_in(0, 0);
  }
  const size_t mapped = test_mapped();
  for (int i = 0; i < 300; i++) {  /* what the pass needs is given back, however it ends */
    mi_os_fail_in(i % 3 == 0 ? 1 : 0, 1);
    char* json = mi_stats_get_json(0, NULL);
    CHECK((json == NULL) == (i % 3 == 0));
    mi_free(json);
    CHECK(mi_stats_words(NULL, 0) > 0 && mi_stats_get_json(sizeof text, text) == text);
    mi_stats_print_out(&swallow, NULL);
    mi_stats_get(0, (mi_stats_t*)(void*)text);
    mi_os_fail_in(0, 0);
  }
  CHECK(test_mapped() < mapped + MI_MiB);
}

/* ---- structures ---- */

static void structure(void) {
  fill();
  mi_stats_t s;
  memset(&s, 0xee, sizeof s);
  mi_stats_get(sizeof s, &s);
  CHECK(s.version == MI_STAT_VERSION && s.pages.current == 4 && s.threads.current == 1
        && s.arena_count.total == (int64_t)mi_arena_count());
  CHECK(s.malloc_normal.current == BYTES && s.malloc_huge.current == LARGE_BYTES);
  const size_t structures = mi_meta_committed();
  CHECK(s.structures.current == (int64_t)structures && structures > 0
        && structures <= 2 * sizeof(mi_owner_t) + 16384);
  CHECK(s.reserved.current == (int64_t)(mi_commit_totals.xreserved + mi_meta_reserved())
        && s.committed.current == (int64_t)(mi_commit_totals.xcommitted + structures));
  CHECK(s.committed.peak == (int64_t)(mi_commit_totals.xpeak_committed + mi_meta_peak_committed())
        && s.committed.peak >= s.committed.current);
  CHECK(s.pages_fresh.total == 4 && s.pages_retire.total == 0 && s.pages_reclaim.total == 0
        && s.pages_reclaim_on_alloc.total == 0 && s.purged.total == 0 && s.remote_freed.total == 0);
  for (unsigned bin = 0; bin < MI_STAT_BINS; bin++) {
    const int64_t bytes = bin == mi_bin_of(100)     ? 1120
                          : bin == mi_bin_of(5000)  ? 15360
                          : bin == MI_STAT_BINS - 1 ? LARGE_BYTES
                                                    : 0;
    CHECK_AT(s.malloc_bins[bin].current == bytes, "bin = %u", bin);
    CHECK_AT(s.page_bins[bin].current == (bytes == 0 ? 0 : bytes == LARGE_BYTES ? 2 : 1), "bin = %u", bin);
  }
}

static void structure_in_part(void) {
  fill();
  union { mi_stats_t s; uint8_t bytes[sizeof(mi_stats_t) + 64]; } whole, part;
  mi_stats_get(sizeof whole.s, &whole.s);
  for (size_t n = 0; n <= sizeof whole.s; n += n < 64 ? 1 : 97) {
    memset(&part, 0xee, sizeof part);
    mi_stats_get(n, &part.s);
    CHECK(memcmp(part.bytes, whole.bytes, n) == 0 && test_all(part.bytes + n, sizeof part - n, 0xee));
  }
  memset(&part, 0xee, sizeof part);
  mi_stats_get(sizeof part, &part.s);                   /* a later version's, that knows more than we do */
  CHECK(memcmp(&part.s, &whole.s, sizeof whole.s) == 0 && test_all(part.bytes + sizeof whole.s, 64, 0xee));
  mi_stats_get(sizeof part, NULL);
  mi_os_fail_in(1, 1);
  mi_stats_get(sizeof part.s, &part.s);
  mi_os_fail_in(0, 0);
  CHECK(part.s.version == MI_STAT_VERSION
        && test_all(&part.s.pages, sizeof part.s - offsetof(mi_stats_t, pages), 0));
}

static void bin_sizes(void) {
  CHECK(mi_stats_get_bin_size(0) == 0 && mi_stats_get_bin_size(MI_STAT_BINS - 1) == 0
        && mi_stats_get_bin_size(MI_STAT_BINS) == 0);
  CHECK(mi_stats_get_bin_size(SIZE_MAX) == 0 && mi_stats_get_bin_size((size_t)1 << 32) == 0);
  for (size_t bin = 1, last = 0; bin < MI_STAT_BINS - 1; bin++) {
    const size_t size = mi_stats_get_bin_size(bin);
    CHECK(size > last && mi_good_size(size) == size && mi_good_size(last + 1) == size);
    last = size;
  }
  CHECK_EQ(mi_stats_get_bin_size(MI_STAT_BINS - 2), MI_MEDIUM_MAX);
}

static void words(void) {
  fill();
  mi_snapshot_t s;
  uint64_t w[1000], cut[1000];
  const size_t n = mi_stats_words(w, 1000), ntotals = sizeof(mi_totals_t) / 8;
  CHECK(mi_snapshot_take(&s) && mi_stats_words(NULL, 1000) == n && mi_stats_words(NULL, 0) == n);
  CHECK(w[0] == ntotals && w[1] == 3 && w[2] == 1 && w[3] == 1 && n == 4 + ntotals + 5 * 5);
  CHECK(memcmp(w + 4, &s.totals, sizeof s.totals) == 0);
  const uint64_t* classes = w + 4 + ntotals;
  const uint64_t want[] = { 0,    2, 2,  LARGE_BYTES, LARGE_BYTES + MI_SLICE_SIZE - 204800 % MI_SLICE_SIZE,
                            112,  1, 10, 1120,        MI_SLICE_SIZE,
                            5120, 1, 3,  15360,       MI_SLICE_SIZE };
  for (size_t i = 0; i < 15; i++) CHECK_AT(classes[i] == want[i], "i = %zu: %zu", i, (size_t)classes[i]);
  CHECK(classes[16] == 4 && classes[17] == BLOCKS && classes[18] == BYTES + LARGE_BYTES && classes[20] == 1
        && classes[22] == BLOCKS);
  for (size_t max = 0; max <= n; max += 7) {            /* as many as fit, and no more */
    memset(cut, 0xee, sizeof cut);
    CHECK_EQ(mi_stats_words(cut, max), n);
    CHECK(memcmp(cut, w, max * 8) == 0 && cut[max] == 0xeeeeeeeeeeeeeeeeu);
  }
  mi_os_fail_in(1, 1);
  CHECK_EQ(mi_stats_words(w, 1000), 0);
  mi_os_fail_in(0, 0);
  mi_snapshot_drop(&s);
}

/* ---- names of heaps ---- */

/* In a snapshot: the name, empty if it has none. */
static const char* name_of(const mi_heap_t* heap) {
  static char text[MI_NAME_WORDS * 8];
  mi_snapshot_t s;
  bool found = false;
  CHECK(mi_snapshot_take(&s));
  for (size_t i = 0; i < s.heaps.n; i++) {
    if (s.heaps.parts[i].key != heap->xid) continue;
    found = true;
    memcpy(text, s.names[i].text, sizeof text);
  }
  mi_snapshot_drop(&s);
  CHECK(found && memchr(text, 0, sizeof text) != NULL);
  return text;
}

static void named(void) {
  fill();
  mi_heap_t *a = mi_heap_new(), *b = mi_heap_new();
  CHECK(mi_heap_malloc(a, 100) != NULL && mi_heap_malloc(b, 100) != NULL && *name_of(a) == 0);
  const size_t n = mi_stats_words(NULL, 0);
  mi_heap_set_name(b, "cache");
  char text[20000], other[20000];
  CHECK(mi_stats_get_json(sizeof text, text) == text);
  CHECK(mi_heap_stats_get_json(b, sizeof other, other) == other);
  JSON_EQ(text, "heaps.2.name=cache", 1);
  JSON_EQ(text, "heaps.2.live_blocks", 1);
  CHECK(strstr(strstr(text, "\"name\"") + 1, "\"name\"") == NULL);     /* the others have none */
  JSON_EQ(other, "heaps.0.name=cache", 1);
  uint64_t words[1000];
  CHECK(mi_stats_words(words, 1000) == n + 1 + MI_NAME_WORDS && words[n] == b->xid
        && strcmp((const char*)&words[n + 1], "cache") == 0);
  mi_heap_set_name(a, "a");
  mi_heap_set_name(b, "another");
  CHECK(strcmp(name_of(a), "a") == 0 && strcmp(name_of(b), "another") == 0);
  mi_heap_set_name(b, NULL);
  mi_heap_set_name(a, "");
  CHECK(*name_of(a) == 0 && *name_of(b) == 0 && mi_stats_words(NULL, 0) == n);
  mi_heap_set_name(NULL, "none");
  mi_heap_set_name(mi_heap_main(), "main");
  CHECK(*name_of(&mi_main_heap) == 0);
  mi_heap_set_name(a, "old");                           /* a structure that is used again */
  mi_heap_destroy(a);
  mi_heap_t* c = mi_heap_new();
  CHECK(c == a && mi_heap_malloc(c, 100) != NULL && *name_of(c) == 0);
}

static void named_oddly(void) {
#define TEN "0123456789"
  static const struct { const char *name, *kept; } names[] = {
    { "a b/c", "a b/c" }, { "a\"b\\c\nd\x7f", "a?b?c?d?" },
    { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
      "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
    { "\xc3", "?" }, { "\xc3x", "?x" }, { "\xe2\x82", "??" }, { "\xa9", "?" }, { "\xff", "?" },
    { "\xc0\x80", "??" }, { "\xc2\x85", "??" }, { "\xe0\x9f\xbf", "???" }, { "\xed\xa0\x80", "???" },
    { "\xf0\x8f\xbf\xbf", "????" }, { "\xf4\x90\x80\x80", "????" },
    { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
    { "\xed\x9f\xbf\xee\x80\x80\xc2\xa0", "\xed\x9f\xbf\xee\x80\x80\xc2\xa0" },
    { TEN TEN TEN TEN TEN TEN, TEN TEN TEN TEN "0123456" },
    { TEN TEN TEN TEN "012345\xc3\xa9", TEN TEN TEN TEN "012345" },
    { TEN TEN TEN TEN "01234\xc3\xa9x", TEN TEN TEN TEN "01234\xc3\xa9" },
  };
  mi_heap_t* heap = mi_heap_new();
  CHECK(mi_heap_malloc(heap, 100) != NULL);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    mi_heap_set_name(heap, names[i].name);
    CHECK_AT(strcmp(name_of(heap), names[i].kept) == 0, "i = %zu: %s", i, name_of(heap));
  }
}

static mi_atomic(bool) xnamed;
static void* name_on(void* heap) {
  for (int i = 0; i < 20000; i++) {
    mi_heap_set_name(heap, i % 2 == 0 ? TEN TEN TEN TEN : "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  }
  mi_store_relaxed(&xnamed, true);
  return NULL;
}

/* It is one or the other, or none is read; never a mixture. */
static void named_meanwhile(void) {
  mi_heap_t* heap = mi_heap_new();
  CHECK(mi_heap_malloc(heap, 100) != NULL);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, &name_on, heap) == 0);
  do {
    const char* name = name_of(heap);
    CHECK_AT(*name == 0 || strcmp(name, TEN TEN TEN TEN) == 0
             || (strlen(name) == 47 && strspn(name, "a") == 47), "name = %s", name);
  } while (!mi_load_relaxed(&xnamed));
  pthread_join(thread, NULL);
  CHECK(strspn(name_of(heap), "a") == 47);
}

/* Counters start anew, gauges stay, the peak is what there is now. */
static void reset(void) {
  fill();
  mi_free(block[14]);
  mi_collect(true);
  mi_stats_t before, after;
  mi_stats_get(sizeof before, &before);
  CHECK(before.pages_fresh.total > 0 && before.purged.total > 0
        && before.committed.peak > before.committed.current);
  mi_stats_merge();
  mi_stats_reset();
  mi_stats_get(sizeof after, &after);
  CHECK(after.pages_fresh.total == 0 && after.purged.total == 0 && after.pages_retire.total == 0
        && after.committed.peak == after.committed.current);
  CHECK(after.committed.current == before.committed.current && after.malloc_normal.current == BYTES
        && after.pages.current == 3);
  block[14] = mi_malloc(MI_MiB);
  mi_stats_get(sizeof after, &after);
  CHECK_EQ(after.pages_fresh.total, 1);
}

static void process(void) {
  size_t v[8], w[8];
  uint8_t* p = mi_malloc(20 * MI_MiB);
  memset(p, 1, 20 * MI_MiB);
  mi_process_info(&w[0], &w[1], NULL, NULL, NULL, NULL, NULL, NULL);
  do mi_process_info(&v[0], &v[1], NULL, NULL, NULL, NULL, NULL, NULL);
  while (v[0] < w[0] + 20 || v[1] < w[1] + 5);
  mi_process_info(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
  CHECK(v[0] > 0 && v[1] > 0 && v[3] >= 20 * MI_MiB && v[4] >= v[3]
        && v[5] == mi_commit_totals.xcommitted + mi_meta_committed()
        && v[6] == mi_commit_totals.xpeak_committed + mi_meta_peak_committed());
  mi_free(p);
  mi_collect(true);
  for (int i = 0; i < 8; i++) {                         /* each by itself */
    memset(w, 0xee, sizeof w);
    mi_process_info(i == 0 ? &w[0] : NULL, i == 1 ? &w[1] : NULL, i == 2 ? &w[2] : NULL,
                    i == 3 ? &w[3] : NULL, i == 4 ? &w[4] : NULL, i == 5 ? &w[5] : NULL,
                    i == 6 ? &w[6] : NULL, i == 7 ? &w[7] : NULL);
    CHECK(test_all(w, (size_t)i * 8, 0xee) && test_all(w + i + 1, (size_t)(7 - i) * 8, 0xee));
    if (i == 5) CHECK(w[i] + 20 * MI_MiB <= v[i]);
    else if (i == 3) CHECK(TEST_SANITIZED || w[i] + 15 * MI_MiB <= v[i]);
    /* the system's own count of the peak is rough */
    else CHECK_AT(w[i] + MI_MiB >= v[i] && w[i] < v[i] + 100 * MI_MiB, "i = %d", i);
  }
}

/* ---- what is in one heap ---- */

static void born(const void* p, uint32_t seconds) {
  mi_store_relaxed(&mi_memory_page_of(p)->xborn,
                   (uint32_t)((mi_os_now_ms() - 1000 * (uint64_t)seconds) / MI_BORN_MS));
}

static void contents_of(mi_heap_t* heap) {
  mi_heap_content_t rows[4];
  memset(rows, 0xee, sizeof rows);
  uint8_t* p[4] = { mi_heap_malloc(heap, 100), mi_heap_malloc(heap, 100), mi_heap_malloc(heap, 5000),
                    mi_heap_malloc(heap, 204800) };
  uint8_t* huge = mi_heap_malloc(heap, 600 * MI_MiB);
  CHECK(p[3] != NULL && huge != NULL);
  born(p[0], 30);
  born(p[3], 7200);
  born(huge, 200000);
  CHECK_EQ(mi_heap_contents(heap, rows, 3), 4);
  CHECK(rows[0].block_size == 112 && rows[0].pages == 1 && rows[0].live_blocks == 2
        && rows[0].live_bytes == 224 && rows[0].page_bytes == MI_SLICE_SIZE
        && rows[0].bytes_by_age[2] == 224);
  CHECK(rows[1].block_size == 5120 && rows[1].live_blocks == 1 && rows[1].bytes_by_age[0] == 5120);
  CHECK(rows[2].block_size == 256 * MI_KiB && rows[2].live_bytes == 204800
        && rows[2].bytes_by_age[5] == 204800);
  CHECK(test_all(&rows[3], sizeof rows[3], 0xee));
  CHECK(mi_heap_contents(heap, rows, 4) == 4 && mi_heap_contents(heap, NULL, 4) == 4);
  CHECK(rows[3].block_size == 1024 * MI_MiB && rows[3].live_bytes == 600 * MI_MiB
        && rows[3].bytes_by_age[6] == 600 * MI_MiB);
  mi_free(p[0]);
  mi_free(p[3]);
  mi_free(huge);
  CHECK(mi_heap_contents(heap, rows, 4) == 2 && rows[0].live_blocks == 1);
}

static void contents(void) {
  CHECK_EQ(mi_heap_contents(NULL, NULL, 0), 0);
  contents_of(mi_heap_new());
  contents_of(mi_heap_main());
  CHECK_EQ(mi_heap_contents(NULL, NULL, 0), 2);
}

/* Memory that is another page's is a new page. One that was cached is as old as before. */
static void contents_again(void) {
  mi_heap_content_t row;
  for (int i = 0; i < 10; i++) {
    uint8_t* p = mi_malloc(200000);
    CHECK(p != NULL && mi_heap_contents(NULL, &row, 1) == 1
          && row.bytes_by_age[i % 4 == 1 ? 6 : 0] == row.live_bytes);
    born(p, 200000);
    CHECK(mi_heap_contents(NULL, &row, 1) == 1 && row.bytes_by_age[6] == row.live_bytes);
    mi_free(p);
    if (i % 4 != 0) mi_collect(true);                   /* nothing is cached */
  }
}

enum { CONTENT = 40000 };
static void* content[CONTENT];
static void* free_odd(void* arg) {
  for (int i = 1; i < CONTENT; i += 2) mi_free(content[i]);
  mi_store_relaxed(&test_stop, true);
  return arg;
}

/* While others free never more than there was: whoever takes in what was freed shows it as live for a
   moment. Then exactly. */
static void contents_meanwhile(void) {
  mi_heap_t* heap = mi_heap_new();
  mi_heap_content_t rows[4];
  for (int i = 0; i < CONTENT; i++)
    CHECK((content[i] = mi_heap_malloc(heap, i % 4 < 2 ? 100 : 3000)) != NULL);
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, &free_odd, NULL), 0);
  do {
    CHECK_EQ(mi_heap_contents(heap, rows, 4), 2);
    const uint64_t n = rows[0].live_blocks + rows[1].live_blocks;
    CHECK_AT(n <= CONTENT && n > 0, "n = %zu", (size_t)n);
  } while (!mi_load_relaxed(&test_stop));
  pthread_join(t, NULL);
  CHECK(mi_heap_contents(heap, rows, 4) == 2 && rows[0].live_blocks == CONTENT / 4
        && rows[1].live_blocks == CONTENT / 4);
  CHECK(rows[0].live_bytes == CONTENT / 4 * 112 && rows[1].live_bytes == CONTENT / 4 * 3072);
}

/* ---- against the kernel's figures ---- */

#if TEST_SANITIZED                       /* whose shadow is resident too */
#define SMAPS_TEST
#else
#define SMAPS_TEST , TEST(smaps)

enum { MANY = 30000 };
static int64_t smaps_before, committed_before;

/* What became resident since the start of the test is what the statistics say was committed since then: no
   more; less by what was not yet handed out of a page, one of each class, and by the ends of blocks that have
   slices of their own. Both may be less than then. */
enum {
  BEGUN =
      (MI_BIN_LAST - MI_BIN_SMALL_LAST) * MI_MEDIUM_SLICES * MI_SLICE_SIZE + MI_BIN_SMALL_LAST * MI_SLICE_SIZE
};
static void agrees(int64_t* now) {
  mi_stats_t s;
  mi_stats_get(sizeof s, &s);
  const int64_t resident = (int64_t)test_smaps_anonymous() - smaps_before,
                committed = s.committed.current - committed_before;
  CHECK_AT(resident <= committed + (int64_t)MI_MiB && committed <= resident + resident / 32 + BEGUN,
           "resident = %lld, committed = %lld", (long long)resident, (long long)committed);
  *now = committed;
}

/* Of all sizes, in arenas and with mappings of their own; half freed, and all. */
static void smaps(void) {
  static void* p[MANY];
  uint64_t r = 1;
  int64_t most, half, none;
  mi_stats_t s;
  CHECK_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);  /* else one store may make 2 MiB resident */
  mi_option_set(mi_option_arena_reserve, 64 * 1024);
  for (int i = 0; i < MANY; i++) p[i] = mi_malloc(16);  /* what is made once is made; p is resident */
  for (int i = 0; i < MANY; i++) mi_free(p[i]);
  mi_collect(true);
  smaps_before = (int64_t)test_smaps_anonymous();
  mi_stats_get(sizeof s, &s);
  committed_before = s.committed.current;
  for (int i = 0; i < MANY; i++) {
    const size_t size = i == 0
                            ? 200 * MI_MiB
                            : ((size_t)16 << test_random(&r) % (i % 20 == 0 ? 14 : 8)) + test_random(&r) % 16;
    p[i] = mi_malloc(size);
    test_fill(p[i], mi_usable_size(p[i]), 1);
  }
  agrees(&most);
  CHECK(most > 240 * (int64_t)MI_MiB);
  for (int i = 0; i < MANY / 2; i++) mi_free(p[i]);
  mi_collect(true);
  agrees(&half);
  CHECK(half < most - 205 * (int64_t)MI_MiB);
  for (int i = MANY / 2; i < MANY; i++) mi_free(p[i]);
  mi_collect(true);
  agrees(&none);
  CHECK(none < (int64_t)MI_MiB);
}
#endif

/* ---- while others go on ---- */

static void count_line(const char* text, void* arg) { ++*(size_t*)arg; CHECK(text[0] != 0); }

static void meanwhile(void) {
  pthread_t t[3];
  size_t n = 0;
  for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&t[i], NULL, &test_churn, (void*)(i + 1)), 0);
  for (int i = 0; i < 300; i++) {
    mi_stats_t s;
    char* text = mi_stats_get_json(0, NULL);
    CHECK(text != NULL && json_find(text, "gauges.live_blocks") <= 3000
          && json_find(text, "gauges.threads") <= 4);
    mi_free(text);
    mi_stats_get(sizeof s, &s);
    CHECK(s.malloc_normal.current <= 3000 * 4096 && s.malloc_huge.current >= 0);
    mi_stats_print_out(&count_line, &n);
    mi_stats_reset();
  }
  mi_store_relaxed(&test_stop, true);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  CHECK(n >= 900);
  CHECK_EQ(mi_stats_use(0).blocks, 0);
}

TEST_MAIN("thread_stats", TEST(json), TEST(json_of_others), TEST(json_cut), TEST(json_without_memory),
          TEST(structure), TEST(structure_in_part), TEST(bin_sizes), TEST(words), TEST(named),
          TEST(named_oddly), TEST(named_meanwhile), TEST(reset), TEST(process), TEST(contents),
          TEST(contents_again), TEST(contents_meanwhile), TEST(meanwhile) SMAPS_TEST)
