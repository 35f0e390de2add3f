/* A program written for mimalloc's public interface: allocation, aligned, zero-fill, resizing, strings,
   heaps, options, statistics, callbacks. It knows nothing of ours but the two headers. Compiled as C
   (-std=c11 -pedantic) and as C++ (-std=c++11, -std=c++17), linked with the archive, and as installed
   (test/c/install). The table at its end has the signature of each function. */
#include <mimalloc.h>
#include <mimalloc-stats.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
#include <list>
#include <vector>
#endif

static int failures;
static volatile size_t huge = SIZE_MAX;  /* more than there is; not known to the compiler, which would warn */

static void check(bool ok, const char* name, int line) {
  if (!ok) { failures++; printf("not ok %s: line %d\n", name, line); }
}
#define CHECK(condition) check((condition), name, __LINE__)

static bool all(const void* p, unsigned char x, size_t from, size_t to) {
  const unsigned char* b = (const unsigned char*)p;
  for (size_t i = from; i < to; i++) if (b[i] != x) return false;
  return true;
}
static bool aligned(const void* p, size_t align, size_t offset) {
  return p != NULL && ((uintptr_t)p + offset) % align == 0;
}

/* ---- blocks ---- */

static void test_blocks(const char* name) {
  void* p = mi_malloc(100);
  CHECK(aligned(p, 16, 0) && mi_usable_size(p) >= 100 && mi_usable_size(p) == mi_good_size(100));
  CHECK(mi_malloc_size(p) == mi_usable_size(p) && mi_malloc_usable_size(p) == mi_usable_size(p)
        && mi_malloc_good_size(100) == mi_good_size(100));
  CHECK(mi_is_in_heap_region(p) && !mi_is_in_heap_region(&p) && mi_check_owned(p));
  CHECK(mi_expand(p, mi_usable_size(p)) == p && mi_expand(p, mi_usable_size(p) + 100000) == NULL);
  mi_free(p);
  mi_free(NULL);
  void* q = mi_malloc_small(MI_SMALL_SIZE_MAX);
  CHECK(q != NULL);
  mi_cfree(q);
  p = mi_malloc(0);
  q = mi_malloc(0);
  CHECK(p != NULL && q != NULL && p != q);
  mi_free_size(p, 0);
  mi_free_size_aligned(q, 0, 16);
  p = mi_mallocn(10, 10);
  memset(p, 7, 100);
  mi_free_aligned(p, 16);
  errno = 0;
  CHECK(mi_mallocn(huge / 2, 4) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(mi_calloc(huge, huge) == NULL && errno == ENOMEM);
  int* i = mi_malloc_tp(int);
  int* n = mi_calloc_tp(int, 100);
  CHECK(i != NULL && n != NULL && all(n, 0, 0, 400));
  mi_free(i);
  n = mi_recalloc_tp(n, int, 1000);
  CHECK(all(n, 0, 0, 4000));
  n = mi_reallocn_tp(n, int, 2000);
  CHECK(all(n, 0, 0, 4000));
  mi_free(n);
  n = mi_mallocn_tp(int, 50);
  long long* z = mi_zalloc_tp(long long);
  CHECK(n != NULL && z != NULL && *z == 0);
  mi_free(n);
  mi_free(z);
}

/* The usable size comes with the block. */
static void test_with_sizes(const char* name) {
  size_t n = 1, m = 1;
  void* p = mi_umalloc(100, &n);
  CHECK(n >= 100 && n == mi_usable_size(p));
  p = mi_urealloc(p, 5000, &m, &n);
  CHECK(m >= 100 && m < 5000 && n >= 5000 && n == mi_usable_size(p));
  m = n;
  mi_ufree(p, &n);
  CHECK(n == m);
  p = mi_ucalloc(10, 30, &n);
  CHECK(n >= 300 && all(p, 0, 0, n));
  mi_ufree(p, NULL);
  p = mi_umalloc_small(64, &n);
  CHECK(n >= 64);
  mi_ufree(p, &m);
  p = mi_uzalloc_small(64, NULL);
  CHECK(all(p, 0, 0, 64));
  mi_free(p);
  p = mi_umalloc_aligned(100, 256, &n);
  CHECK(aligned(p, 256, 0) && n == mi_usable_size(p));
  mi_free(p);
  p = mi_uzalloc_aligned(100, 256, &n);
  CHECK(aligned(p, 256, 0) && n >= 100 && all(p, 0, 0, n));
  CHECK(mi_urealloc(p, huge, &m, &n) == NULL && m >= 100 && n == 0);
  mi_free(p);
  mi_ufree(NULL, &n);
  CHECK(n == 0);
  n = 1;
  CHECK(mi_umalloc(huge, &n) == NULL && n == 0);
  p = mi_urealloc(NULL, 10, &m, &n);
  CHECK(p != NULL && m == 0 && n >= 10);
  errno = 0;
  CHECK(mi__expand(p, 10) == p && errno == 0 && mi__expand(p, 100000) == NULL && errno == ENOMEM);
  mi_free(p);
}

static void test_zero(const char* name) {
  for (size_t n = 1; n < 5000000; n = n * 7 + 3) {
    unsigned char* p = (unsigned char*)mi_malloc(n);
    memset(p, 0xa5, n);
    mi_free(p);
    p = (unsigned char*)mi_zalloc(n);
    CHECK(all(p, 0, 0, n));
    memset(p, 0xa5, n);
    p = (unsigned char*)mi_rezalloc(p, 2 * n + 100);
    CHECK(all(p, 0xa5, 0, n) && all(p, 0, n, 2 * n + 100));
    p = (unsigned char*)mi_rezalloc(p, n / 2 + 1);
    p = (unsigned char*)mi_recalloc(p, 3, n);
    CHECK(all(p, 0xa5, 0, n / 2 + 1) && all(p, 0, n / 2 + 1, 3 * n));
    mi_free(p);
    p = (unsigned char*)mi_calloc(n, 2);
    CHECK(all(p, 0, 0, 2 * n));
    mi_free(p);
  }
  void* p = mi_zalloc_small(100);
  CHECK(all(p, 0, 0, 100));
  mi_free(p);
}

static void test_realloc(const char* name) {
  unsigned char* p = (unsigned char*)mi_realloc(NULL, 100);
  memset(p, 3, 100);
  p = (unsigned char*)mi_realloc(p, 3000000);
  CHECK(all(p, 3, 0, 100));
  p = (unsigned char*)mi_reallocn(p, 10, 20);
  p = (unsigned char*)mi_reallocarray(p, 10, 30);
  CHECK(all(p, 3, 0, 100));
  CHECK(mi_realloc(p, PTRDIFF_MAX) == NULL && all(p, 3, 0, 100));
  CHECK(mi_reallocarr(&p, 5, 100) == 0 && all(p, 3, 0, 100));
  CHECK(mi_reallocarr(&p, huge, 2) == ENOMEM);
  p = (unsigned char*)mi_realloc(p, 0);
  CHECK(p != NULL);
  CHECK(mi_reallocf(p, PTRDIFF_MAX) == NULL);
}

static void test_aligned(const char* name) {
  for (size_t a = 1; a <= 1u << 20; a *= 4) {
    void* p = mi_malloc_aligned(100, a);
    CHECK(aligned(p, a, 0));
    p = mi_realloc_aligned(p, 5000, a);
    CHECK(aligned(p, a, 0));
    mi_free(p);
    p = mi_zalloc_aligned(100, a);
    CHECK(aligned(p, a, 0) && all(p, 0, 0, 100));
    p = mi_rezalloc_aligned(p, 10000, a);
    p = mi_recalloc_aligned(p, 7, 2000, a);
    CHECK(aligned(p, a, 0) && all(p, 0, 0, 14000));
    mi_free(p);
    p = mi_calloc_aligned(10, 10, a);
    CHECK(aligned(p, a, 0) && all(p, 0, 0, 100));
    mi_free(p);
    p = mi_malloc_aligned_at(100, a, 24);
    CHECK(aligned(p, a, 24));
    p = mi_realloc_aligned_at(p, 6000, a, 24);
    CHECK(aligned(p, a, 24));
    mi_free(p);
    p = mi_zalloc_aligned_at(100, a, 8);
    p = mi_rezalloc_aligned_at(p, 1000, a, 8);
    p = mi_recalloc_aligned_at(p, 3, 1000, a, 8);
    CHECK(aligned(p, a, 8) && all(p, 0, 0, 3000));
    mi_free(p);
    p = mi_calloc_aligned_at(3, 50, a, 40);
    CHECK(aligned(p, a, 40) && all(p, 0, 0, 150));
    mi_free(p);
  }
  void* r = mi_aligned_recalloc(NULL, 10, 10, 128);
  r = mi_aligned_recalloc(r, 100, 10, 128);
  CHECK(aligned(r, 128, 0) && all(r, 0, 0, 1000));
  mi_free(r);
  r = mi_aligned_offset_recalloc(NULL, 10, 10, 128, 8);
  r = mi_aligned_offset_recalloc(r, 100, 10, 128, 8);
  CHECK(aligned(r, 128, 8) && all(r, 0, 0, 1000));
  mi_free(r);
  void* p = NULL;
  CHECK(mi_posix_memalign(&p, 64, 100) == 0 && aligned(p, 64, 0));
  mi_free(p);
  CHECK(mi_posix_memalign(&p, 24, 100) == EINVAL && mi_posix_memalign(NULL, 64, 100) == EINVAL
        && mi_posix_memalign(&p, 64, PTRDIFF_MAX) == ENOMEM);
  p = mi_memalign(128, 10);
  CHECK(aligned(p, 128, 0));
  mi_free(p);
  p = mi_aligned_alloc(256, 512);
  CHECK(aligned(p, 256, 0));
  mi_free(p);
  p = mi_valloc(10);
  CHECK(aligned(p, 4096, 0));
  mi_free(p);
  p = mi_pvalloc(10);
  CHECK(aligned(p, 4096, 0) && mi_usable_size(p) >= 4096);
  mi_free(p);
  errno = 0;
  CHECK(mi_malloc_aligned(10, 48) == NULL && errno == EINVAL);
}

static void test_strings(const char* name) {
  char* s = mi_strdup("hello");
  CHECK(strcmp(s, "hello") == 0);
  char* t = mi_strndup(s, 3);
  CHECK(strcmp(t, "hel") == 0);
  mi_free(s);
  mi_free(t);
  s = mi_realpath("/usr/..", NULL);
  CHECK(s != NULL && strcmp(s, "/") == 0);
  mi_free(s);
  /* What it returns is the buffer, which the compiler must know: so this is not what it was. */
  static char buffer[4096 + 1];                           /* PATH_MAX */
  char* r = mi_realpath("/usr/..", buffer);
  buffer[0] = 'a';
  r[0] = 'b';
  CHECK(buffer[0] == 'b');
  r = mi_heap_realpath(mi_heap_main(), "/usr/..", buffer);
  buffer[0] = 'a';
  r[0] = 'b';
  CHECK(buffer[0] == 'b' && r == buffer);
  const unsigned short wide[] = { 'a', 'b', 0 };
  unsigned short* w = mi_wcsdup(wide);
  CHECK(w[1] == 'b' && w[2] == 0);
  mi_free(w);
  unsigned char* m = mi_mbsdup((const unsigned char*)"xyz");
  CHECK(strcmp((char*)m, "xyz") == 0);
  mi_free(m);
  size_t n = 0;
  CHECK(mi_dupenv_s(&s, &n, "PATH") == 0 && s != NULL && n == strlen(s) + 1);
  mi_free(s);
  CHECK(mi_wdupenv_s(&w, &n, wide) == EINVAL);
}

static void test_new(const char* name) {
  void* p = mi_new(10);
  p = mi_new_realloc(p, 1000);
  p = mi_new_reallocn(p, 10, 1000);
  CHECK(mi_usable_size(p) >= 10000);
  mi_free(p);
  p = mi_new_n(10, 10);
  mi_free(p);
  p = mi_new_aligned(10, 64);
  CHECK(aligned(p, 64, 0));
  mi_free(p);
  p = mi_new_aligned_nothrow(10, 64);
  CHECK(aligned(p, 64, 0));
  mi_free(p);
  CHECK(mi_new_nothrow(PTRDIFF_MAX) == NULL);
}

static size_t written;
static void mi_cdecl output(const char* msg, void* arg) {
  written += strlen(msg) + (arg == &written ? 0 : 1000000);
}

/* ---- heaps ---- */

typedef struct { size_t areas, blocks, used; } count_t;

static bool mi_cdecl visitor(const mi_heap_t* heap, const mi_heap_area_t* area, void* block,
                             size_t block_size, void* arg) {
  count_t* c = (count_t*)arg;
  (void)heap;
  if (block == NULL) {
    c->areas++;
    c->used += area->used;
  } else {
    c->blocks++;
  }
  if (block_size != area->block_size) c->blocks += 1000000;
  return true;
}

static void test_heaps(const char* name) {
  mi_heap_t* heap = mi_heap_new();
  for (size_t n = 1; n <= 100; n++) {
    void* p = mi_heap_malloc(heap, n * 10);
    CHECK(mi_heap_contains_block(heap, p) && mi_heap_check_owned(heap, p));
    if (n % 2 == 0) mi_free(p);
  }
  count_t c = { 0, 0, 0 };
  CHECK(mi_heap_visit_blocks(heap, true, &visitor, &c) && c.blocks == 50 && c.used == 50 && c.areas > 0);
  mi_heap_collect(heap, true);
  mi_heap_destroy(heap);

  heap = mi_heap_new();
  char* s = mi_heap_strdup(heap, "kept");
  CHECK(mi_heap_contains_block(heap, s));
  mi_heap_delete(heap);
  CHECK(strcmp(s, "kept") == 0);
  mi_free(s);

  heap = mi_heap_new_ex(3, true, 0);
  mi_heap_t* old = mi_heap_set_default(heap);
  CHECK(old == mi_heap_get_backing() && mi_heap_get_default() == heap);
  void* p = mi_malloc(10);
  CHECK(mi_heap_contains_block(heap, p));
  mi_heap_set_default(old);
  p = mi_heap_realloc(heap, p, 1000);
  p = mi_heap_reallocn(heap, p, 10, 1000);
  p = mi_heap_rezalloc(heap, p, 20000);
  p = mi_heap_recalloc(heap, p, 2, 20000);
  p = mi_heap_realloc_aligned(heap, p, 100000, 64);
  p = mi_heap_rezalloc_aligned(heap, p, 100000, 64);
  p = mi_heap_recalloc_aligned(heap, p, 1, 100000, 64);
  CHECK(aligned(p, 64, 0));
  p = mi_heap_realloc_aligned_at(heap, p, 1000, 64, 8);
  p = mi_heap_rezalloc_aligned_at(heap, p, 1000, 64, 8);
  p = mi_heap_recalloc_aligned_at(heap, p, 1, 1000, 64, 8);
  CHECK(aligned(p, 64, 8));
  CHECK(mi_heap_reallocf(heap, p, PTRDIFF_MAX) == NULL);
  CHECK(all(mi_heap_zalloc(heap, 1000), 0, 0, 1000) && all(mi_heap_calloc(heap, 10, 100), 0, 0, 1000));
  CHECK(mi_heap_mallocn(heap, 10, 10) != NULL && mi_heap_malloc_small(heap, 10) != NULL
        && mi_heap_mallocn(heap, huge, 2) == NULL);
  CHECK(aligned(mi_heap_malloc_aligned(heap, 10, 64), 64, 0)
        && aligned(mi_heap_malloc_aligned_at(heap, 10, 64, 8), 64, 8));
  CHECK(aligned(mi_heap_zalloc_aligned(heap, 10, 64), 64, 0)
        && aligned(mi_heap_zalloc_aligned_at(heap, 10, 64, 8), 64, 8));
  CHECK(aligned(mi_heap_calloc_aligned(heap, 10, 5, 64), 64, 0)
        && aligned(mi_heap_calloc_aligned_at(heap, 10, 5, 64, 8), 64, 8));
  CHECK(strcmp(mi_heap_strndup(heap, "hello", 2), "he") == 0
        && strcmp(mi_heap_realpath(heap, "/usr/..", NULL), "/") == 0);
  double* d = mi_heap_mallocn_tp(heap, double, 10);
  CHECK(d != NULL && mi_heap_of(d) == heap);
  d = mi_heap_reallocn_tp(heap, d, double, 100);
  CHECK(d != NULL && mi_usable_size(d) >= 100 * sizeof(double));
  d = mi_heap_calloc_tp(heap, double, 100);
  CHECK(all(d, 0, 0, 100 * sizeof(double)));
  d = mi_heap_recalloc_tp(heap, d, double, 300);
  CHECK(all(d, 0, 0, 300 * sizeof(double)));
  long long* number = mi_heap_zalloc_tp(heap, long long);
  count_t* counts = mi_heap_malloc_tp(heap, count_t);
  CHECK(*number == 0 && counts != NULL && mi_heap_of(counts) == heap);
  mi_heap_destroy(heap);
}

/* Names of mimalloc 3. */
static void test_heaps_of_3(const char* name) {
  CHECK(mi_heap_main() == mi_heap_get_backing() && mi_theap_get_default() == mi_heap_theap(mi_heap_main()));
  mi_heap_t* heap = mi_heap_new();
  mi_theap_t* theap = mi_heap_theap(heap);
  void* p = mi_theap_malloc(theap, 100);
  CHECK(mi_heap_of(p) == heap && mi_heap_contains(heap, p) && !mi_heap_contains(NULL, p)
        && mi_any_heap_contains(p) && !mi_any_heap_contains(&p));
  p = mi_theap_realloc(theap, p, 10000);
  CHECK(mi_heap_contains(heap, p) && mi_heap_contains(heap, (char*)p + 5000));
  CHECK(all(mi_theap_zalloc(theap, 100), 0, 0, 100) && all(mi_theap_calloc(theap, 10, 10), 0, 0, 100)
        && all(mi_theap_zalloc_small(theap, 100), 0, 0, 100));
  CHECK(mi_theap_malloc_small(theap, 10) != NULL && aligned(mi_theap_malloc_aligned(theap, 10, 256), 256, 0));
  mi_theap_t* old = mi_theap_set_default(theap);
  void* q = mi_malloc(10);
  CHECK(mi_heap_of(q) == heap && mi_theap_get_default() == theap && mi_theap_set_default(old) == theap);
  mi_theap_collect(theap, true);
  mi_theap_guarded_set_sample_rate(theap, 0, 0);
  mi_theap_guarded_set_size_bound(theap, 0, 0);
  mi_heap_guarded_set_sample_rate(heap, 0, 0);
  mi_heap_guarded_set_size_bound(heap, 0, 0);
  mi_stats_t s;
  CHECK(mi_heap_stats_get(heap, &s) && s.version == MI_STAT_VERSION && s.malloc_normal.current >= 10000
        && s.malloc_huge.current == 0 && s.pages.current > 0);
  CHECK(mi_heap_stats_get(NULL, &s) && !mi_heap_stats_get(heap, NULL));
  char* json = mi_heap_stats_get_json(heap, 0, NULL);
  CHECK(json != NULL && json[0] == '{' && strstr(json, "\"live_blocks\":7,") != NULL);
  mi_free(json);
  written = 0;
  mi_heap_stats_print_out(heap, &output, &written);
  CHECK(written > 50 && written < 1000000);
  mi_heap_destroy(heap);
  CHECK(!mi_unsafe_heap_page_is_under_utilized(NULL, NULL, 50));
  mi_arenas_purge();
}

/* Other names of mimalloc 3. */
static void test_names_of_3(const char* name) {
  mi_heap_t* heap = mi_heap_new();
  void* p = mi_heap_zalloc_small(heap, 100);
  CHECK(all(p, 0, 0, 100) && mi_heap_of(p) == heap);
  mi_heap_set_numa_affinity(heap, 0);
  mi_heap_stats_merge_to_subproc(heap);
  mi_free_small(p);
  mi_heap_destroy(heap);
  CHECK(mi__posix_memalign(&p, 64, 100) == 0 && aligned(p, 64, 0));
  CHECK(mi_arena_min_alignment() >= 4096 && (mi_arena_min_alignment() & (mi_arena_min_alignment() - 1)) == 0);
  CHECK(mi_subproc_current() == mi_subproc_main());
  mi_subproc_id_t sub = mi_subproc_new();
  mi_stats_t s;
  CHECK(mi_subproc_stats_get(mi_subproc_main(), &s) && s.malloc_normal.current >= 100
        && s.version == MI_STAT_VERSION && s.mmap_calls.total == 0 && s.malloc_requested.current == 0);
  CHECK(mi_subproc_stats_get(sub, &s) && s.malloc_normal.current == 0 && !mi_subproc_stats_get(sub, NULL));
  char* json = mi_subproc_stats_get_json(sub, 0, NULL);
  CHECK(json != NULL && json[0] == '{');
  mi_free(json);
  json = mi_subproc_stats_get_json(NULL, 0, NULL);
  CHECK(json != NULL && json[0] == '{');
  mi_free(json);
  void (*const prints[])(mi_output_fun*, void*) = { &mi_options_print_out, &mi_process_info_print_out };
  for (int i = 0; i < 2; i++) {
    written = 0;
    prints[i](&output, &written);
    CHECK(written > 50 && written < 1000000);
  }
  for (int i = 0; i < 2; i++) {
    written = 0;
    mi_subproc_stats_print_out(i == 0 ? NULL : sub, &output, &written);
    CHECK(written > 50);
  }
  written = 0;
  mi_register_output(&output, &written);
  mi_process_info_print();
  mi_register_output(NULL, NULL);
  CHECK(written > 50);
  mi_subproc_destroy(sub);
  mi_free(p);
}

static void test_new_in_heaps(const char* name) {
  mi_heap_t* heap = mi_heap_new();
  CHECK(mi_heap_of(mi_heap_alloc_new(heap, 10)) == heap
        && mi_heap_of(mi_heap_alloc_new_n(heap, 10, 10)) == heap);
  mi_heap_destroy(heap);
}

static void test_sleep(const char* name) {
  void* p = mi_malloc(100);
  mi_thread_idle();
  void* q = mi_malloc(100);
  mi_free(p);
  mi_collect_all();
  mi_thread_set_in_threadpool();
  mi_free(q);
  count_t c = { 0, 0, 0 };
  CHECK(mi_abandoned_visit_blocks(mi_subproc_main(), -1, true, &visitor, &c)
        && mi_abandoned_visit_blocks(NULL, 77, true, &visitor, &c));
}

static void test_arenas(const char* name) {
  mi_arena_id_t id = 0;
  size_t size = 0;
  CHECK(mi_reserve_os_memory_ex((size_t)32 << 20, false, false, true, &id) == 0);
  unsigned char* start = (unsigned char*)mi_arena_area(id, &size);
  CHECK(start != NULL && size >= (size_t)16 << 20);
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  unsigned char* p = (unsigned char*)mi_heap_malloc(heap, 1000);
  CHECK(p >= start && p < start + size);
  mi_heap_destroy(heap);
  CHECK(mi_heap_new_in_arena(999) == NULL);
  CHECK(mi_reserve_os_memory((size_t)32 << 20, false, false) == 0);
  const int error = mi_reserve_huge_os_pages_interleave(1, 0, 0);
  CHECK(error == 0 || error == ENOMEM);
  static char own[100];
  CHECK(!mi_manage_os_memory(own, sizeof own, true, false, false, -1));
}

/* ---- options, statistics, callbacks ---- */

static void test_options(const char* name) {
  const long old = mi_option_get(mi_option_purge_delay);
  mi_option_set(mi_option_purge_delay, 5);
  CHECK(mi_option_get(mi_option_purge_delay) == 5 && mi_option_is_enabled(mi_option_reset_delay));
  CHECK(mi_option_get_clamp(mi_option_purge_delay, 7, 9) == 7);
  mi_option_set_default(mi_option_purge_delay, 6);
  CHECK(mi_option_get(mi_option_purge_delay) == 5);
  mi_option_set(mi_option_purge_delay, old);
  mi_option_enable(mi_option_verbose);
  CHECK(mi_option_is_enabled(mi_option_verbose));
  mi_option_set_enabled(mi_option_verbose, false);
  mi_option_set_enabled_default(mi_option_verbose, true);
  mi_option_disable(mi_option_verbose);
  CHECK(!mi_option_is_enabled(mi_option_verbose) && mi_option_get_size(mi_option_arena_reserve) > 0);
}

static void test_stats(const char* name) {
  void* p = mi_malloc(1000);
  size_t rss = 0, peak = 0, commit = 0, elapsed = 0;
  mi_process_info(&elapsed, NULL, NULL, &rss, &peak, &commit, NULL, NULL);
  CHECK(rss > 0 && peak >= rss / 2 && commit > 0);
  mi_stats_merge();
  written = 0;
  mi_stats_print_out(&output, &written);
  CHECK(written > 50 && written < 1000000);
  written = 0;
  mi_thread_stats_print_out(&output, &written);
  CHECK(written > 50);
  written = 0;
  mi_register_output(&output, &written);
  mi_stats_print(NULL);
  mi_options_print();
  mi_debug_show_arenas();
  mi_arenas_print();
  mi_register_output(NULL, NULL);
  CHECK(written > 100);
  mi_stats_t stats;
  mi_stats_get(sizeof stats, &stats);
  CHECK(stats.version == MI_STAT_VERSION && stats.malloc_normal.current >= 1000
        && stats.committed.current > 0);
  CHECK(mi_stats_get_bin_size(1) > 0);
  char* json = mi_stats_get_json(0, NULL);
  CHECK(json != NULL && json[0] == '{' && json[strlen(json) - 1] == '}');
  mi_free(json);
  char buf[100];
  CHECK(mi_stats_get_json(sizeof buf, buf) == buf && strlen(buf) < sizeof buf);
  mi_stats_reset();
  mi_free(p);
}

static int error_code;
static void mi_cdecl on_error(int err, void* arg) {
  (void)arg;
  error_code = err;
  mi_free(mi_malloc(100));
}
static size_t deferred, beats;
static unsigned long long last_beat;
static void mi_cdecl on_deferred(bool force, unsigned long long heartbeat, void* arg) {
  (void)force; (void)arg;
  beats += heartbeat > last_beat;
  last_beat = heartbeat;
  deferred++;
  mi_free(mi_malloc(100));
}

/* Macros of the headers, as a program uses them: a function of its own with the attributes of ours, and all
   fields by their list. */
mi_decl_nodiscard mi_decl_restrict static void* aligned_block(size_t size, size_t alignment)
    mi_attr_noexcept mi_attr_malloc mi_attr_alloc_size(1) mi_attr_alloc_align(2);
static void* aligned_block(size_t size, size_t alignment) mi_attr_noexcept {
  return mi_malloc_aligned(size, alignment);
}

static void test_macros(const char* name) {
  void* p = aligned_block(1000, 256);
  CHECK(aligned(p, 256, 0));
  mi_stats_t s;
  mi_stats_get(sizeof s, &s);
  int64_t counts = 0, counters = 0, bytes = 0;
#define MI_STAT_COUNT(field)   counts += s.field.current;
#define MI_STAT_COUNTER(field) counters += s.field.total;
  MI_STAT_FIELDS()
#undef MI_STAT_COUNT
#undef MI_STAT_COUNTER
  CHECK(counts == s.pages.current + s.reserved.current + s.committed.current + s.threads.current
                      + s.malloc_normal.current + s.malloc_huge.current);
  CHECK(counters == s.purged.total + s.arena_count.total + s.pages_retire.total
                        + s.pages_reclaim_on_alloc.total);
  for (size_t bin = 0; bin < MI_BIN_HUGE; bin++) bytes += s.malloc_bins[bin].current;
  CHECK(bytes == s.malloc_normal.current && s.malloc_bins[MI_BIN_HUGE].current == s.malloc_huge.current);
  CHECK(sizeof s.malloc_bins / sizeof s.malloc_bins[0] == MI_BIN_HUGE + 1);
  mi_free(p);
}

static void test_callbacks(const char* name) {
  int on_stack = 0;
  mi_option_disable(mi_option_show_errors);
  mi_option_disable(mi_option_abort_on_error);          /* on in the shared library */
  mi_register_error(&on_error, NULL);
  mi_cfree(&on_stack);                                  /* not ours: nothing, and no misuse */
  CHECK(error_code == 0);
  mi_free(&on_stack);
  CHECK(error_code == EINVAL);
  void* p = mi_malloc(100);
  void* volatile freed = p;
  mi_free(p);
  mi_free(freed);
  CHECK(error_code == EAGAIN);
  mi_register_error(NULL, NULL);
  mi_option_enable(mi_option_show_errors);
  mi_register_deferred_free(&on_deferred, NULL);
  mi_collect(true);
  mi_collect(false);
  mi_heap_collect(mi_heap_main(), false);
  CHECK(deferred >= 3 && beats == deferred);
  mi_register_deferred_free(NULL, NULL);
}

static void test_process(const char* name) {
  mi_process_init();
  mi_thread_init();
  CHECK(mi_version() == MI_MALLOC_VERSION);
  mi_collect(false);
  mi_collect_reduce(0);
  mi_subproc_id_t sub = mi_subproc_new();
  CHECK(sub != NULL && sub != mi_subproc_main());
  mi_subproc_add_current_thread(sub);
  mi_subproc_delete(sub);
  mi_thread_done();
  void* p = mi_malloc(10);
  CHECK(p != NULL);
  mi_free(p);
}

static void test_cpp(const char* name) {
  (void)name;
#ifdef __cplusplus
  std::vector<int, mi_stl_allocator<int> > v;
  for (int i = 0; i < 100000; i++) v.push_back(i);
  long long sum = 0;
  for (size_t i = 0; i < v.size(); i++) sum += v[i];
  CHECK(sum == 4999950000LL && mi_is_in_heap_region(&v[0]));
  struct alignas(128) line { char bytes[128]; };
  std::vector<line, mi_stl_allocator<line> > lines(10);
  CHECK(aligned(&lines[3], 128, 0));
  CHECK(mi_stl_allocator<int>() == mi_stl_allocator<line>());
  mi_heap_t* heap = mi_heap_new();
  {
    mi_heap_stl_allocator<int> in_heap(heap);
    std::vector<int, mi_heap_stl_allocator<int> > w(in_heap);
    for (int i = 0; i < 1000; i++) w.push_back(i);
    CHECK(mi_heap_of(&w[0]) == heap && w.get_allocator() == in_heap
          && in_heap != mi_heap_stl_allocator<int>());
    std::vector<line, mi_heap_stl_allocator<line> > l(10, line(), in_heap);
    CHECK(aligned(&l[3], 128, 0) && mi_heap_of(&l[0]) == heap);
    mi_heap_stl_allocator<int> own;
    std::vector<int, mi_heap_stl_allocator<int> > x(w.begin(), w.end(), own);
    w = x;
    CHECK(w[999] == 999 && mi_heap_of(&w[0]) == mi_heap_of(&x[0]) && mi_heap_of(&w[0]) != heap);
    own.collect(false);
  }
  {
    std::vector<int, mi_heap_destroy_stl_allocator<int> > w;
    for (int i = 0; i < 1000; i++) w.push_back(i);
    CHECK(mi_heap_of(&w[0]) != mi_heap_main() && mi_heap_of(&w[0]) != heap && w[999] == 999);
    std::list<int, mi_heap_destroy_stl_allocator<int>> l(w.begin(), w.end(),
                                                         mi_heap_destroy_stl_allocator<int>(heap));
    CHECK(l.size() == 1000 && mi_heap_of(&l.front()) == NULL && mi_heap_contains(heap, &l.front()));
  }
  CHECK(mi_heap_malloc(heap, 10) != NULL);                /* it is still there */
  mi_heap_destroy(heap);
  bool thrown = false;
  try { v.reserve(v.max_size() / 2); } catch (const std::exception&) { thrown = true; }
  CHECK(thrown);
  thrown = false;
  try { CHECK(mi_new(huge / 2) == NULL); } catch (const std::bad_alloc&) { thrown = true; }
  CHECK(thrown);
  thrown = false;
  try {
    mi_stl_allocator<line>().deallocate(mi_stl_allocator<line>().allocate(huge / 128 + 2), 1);
  } catch (const std::bad_alloc&) { thrown = true; }
  CHECK(thrown);
#endif
}

#include "signatures.h"

typedef struct { const char* name; void (*run)(const char* name); } test_t;
static const test_t tests[] = {
  { "blocks", &test_blocks }, { "with_sizes", &test_with_sizes }, { "zero", &test_zero },
  { "realloc", &test_realloc }, { "aligned", &test_aligned }, { "strings", &test_strings },
  { "new", &test_new }, { "heaps", &test_heaps }, { "heaps_of_3", &test_heaps_of_3 },
  { "names_of_3", &test_names_of_3 },
  { "new_in_heaps", &test_new_in_heaps }, { "sleep", &test_sleep }, { "arenas", &test_arenas },
  { "options", &test_options }, { "stats", &test_stats }, { "macros", &test_macros },
  { "callbacks", &test_callbacks }, { "process", &test_process }, { "cpp", &test_cpp },
  { "signatures", &test_signatures },
};

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  int bad = 0;
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
    failures = 0;
    tests[i].run(tests[i].name);
    if (failures == 0) printf("ok %s\n", tests[i].name);
    bad |= failures;
  }
  return bad != 0;
}
