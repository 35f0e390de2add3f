/* thread_print.c: statistics as text. */
#include "core/heap.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/stats.h"
#include "include/mimalloc-stats.h"
#include "test.h"
#include "thread_print.h"

/* Ten blocks of 100 (112) bytes, three of 5000 (5120), two with pages of their own. */
enum { BLOCKS = 15 };
static void* block[BLOCKS];
static void fill(void) {
  for (int i = 0; i < BLOCKS; i++)
    CHECK((block[i] = mi_malloc(i < 10 ? 100 : i < 13 ? 5000 : i == 13 ? 204800 : MI_MiB)) != NULL);
}

/* ---- what is said for people ---- */

static char said[20000];
static size_t nlines, nested;
static void keep(const char* text, void* arg) {
  CHECK(arg == &nlines && strchr(text, '\n') == text + strlen(text) - 1);                /* a line each */
  strcat(said, text);
  nlines++;
  void* p = mi_malloc(100);                             /* a callback may allocate, and ask for statistics */
  CHECK(p != NULL && mi_stats_words(NULL, 0) > 0);
  mi_free(p);
  if (nlines == 1) nested = mi_stats_use(0).blocks;
  if (nlines == 20) mi_report_message("from inside\n");         /* it is not called from inside itself */
}

static bool has_line(const char* line) { return strstr(said, line) != NULL; }

/* ---- for people ---- */

static void print(void) {
  fill();
  mi_stats_print_out(&keep, &nlines);
  CHECK_AT(strncmp(said, "mimalloc: resident ", 19) == 0, "said = %s", said);
  CHECK(has_line(" the whole process; this allocator has committed 1.4 MiB\n")
        || has_line(" the whole process; this allocator has committed 1.5 MiB\n"));
  CHECK(has_line(" = live 1.2 MiB + free beside it 167.9 KiB + free and due 0 B + structures "));
  CHECK_AT(has_line("\n  most of it: the main heap (1.4 MiB), blocks with own pages (1.2 MiB), thread 0x"),
           "said = %s", said);
  CHECK(has_line("\n  most so far: resident ") && has_line("; given back so far 0 B\n"));
  CHECK(has_line("\n  15 blocks live, 0 freed by others; 4 pages; so far 4 fresh, 0 adopted, 0 given up "
                 "full, 0 empty\n"));
  CHECK(has_line(
      "\n  blocks with own pages             2 blocks      1.2 MiB live in       2 pages of      1.2 MiB,  "
      "95 % used\n"));
  CHECK(has_line(
      "\n  112 B blocks                     10 blocks      1.1 KiB live in       1 pages of     64.0 KiB,   "
      "1 % used\n"));
  CHECK(has_line(
      "\n  5 KiB blocks                      3 blocks     15.0 KiB live in       1 pages of     64.0 KiB,  "
      "23 % used\n"));
  CHECK(has_line("\n  thread 0x") && !has_line("\n  the main heap") && nlines == 5 + 1 + 3);
  CHECK(!has_line("holes") && !has_line("limit"));
  CHECK(nested == BLOCKS && mi_stats_use(0).blocks == BLOCKS);
}

static void print_of_others(void) {
  owners_begin();
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  char want[100];
  for (int i = 0; i < 80; i++) CHECK(o_malloc(i % NOWNERS, 1000) != NULL);
  for (int i = 0; i < 63; i++) CHECK(mi_alloc_malloc(mi_heap_lheap(heap, owners[0]), 16) != NULL);
  mi_thread_stats_print_out(&keep, &nlines);            /* all there is */
  CHECK_AT(has_line("\n  most of it: the main heap (512.0 KiB), 1 KiB blocks (512.0 KiB), capability 0 "),
           "said = %s", said);
  CHECK(has_line("  capability 0                     10 blocks ")
        && has_line("  capability 7                     10 blocks ") && !has_line("capability 8"));
  CHECK(has_line(
      "  nobody (adoptable)               63 blocks       1008 B live in       1 pages of     64.0 KiB,   "
      "1 % used\n"));
  CHECK(has_line("\n  the main heap                    80 blocks     80.0 KiB live "));
  snprintf(want, sizeof want, "\n  heap %-19zu         63 blocks       1008 B live ", (size_t)heap->xid);
  CHECK(has_line(want));
}

/* A heap's name stands behind its number. */
static void print_named(void) {
  mi_heap_t *a = mi_heap_new(), *b = mi_heap_new();
  CHECK(mi_malloc(100) != NULL && mi_heap_malloc(a, 100) != NULL && mi_heap_malloc(b, 100) != NULL);
  mi_heap_set_name(b, "cache");
  mi_stats_print_out(&keep, &nlines);
  char whose[40], want[100];
  snprintf(whose, sizeof whose, "heap %zu \"cache\"", (size_t)b->xid);
  snprintf(want, sizeof want, "\n  %-24s          1 blocks ", whose);
  CHECK_AT(has_line(want), "no line%s", want);
  snprintf(whose, sizeof whose, "heap %zu", (size_t)a->xid);
  snprintf(want, sizeof want, "\n  %-24s          1 blocks ", whose);
  CHECK_AT(has_line(want) && has_line("\n  the main heap                     1 blocks "), "no line%s", want);
}

/* The largest first, and of many the largest; what is in the way. */
static void print_sorted(void) {
  char want[100];
  mi_heap_t* heap[30];
  for (int i = 0; i < 30; i++) {
    heap[i] = mi_heap_new();
    for (int k = 0; k <= i; k++) CHECK(mi_heap_malloc(heap[i], 200000) != NULL);
  }
  mi_heap_set_name(heap[29], "cache");
  for (int i = 0; i < 100; i++) CHECK(mi_heap_malloc(heap[20], 50000) != NULL);
  for (int i = 0; i < 100; i++) CHECK(mi_heap_malloc(heap[20], 200000) != NULL);
  mi_option_set(mi_option_commit_limit, 200 * 1024);
  test_expect_errors();
  for (int i = 0; i < 3; i++) CHECK(mi_malloc(250 * MI_MiB) == NULL);
  mi_stats_print_out(&keep, &nlines);
  snprintf(want, sizeof want, "\n  most of it: heap %zu (3", (size_t)heap[20]->xid);
  CHECK_AT(has_line(want) && has_line("), blocks with own pages (141.2 MiB), nobody (adoptable) (14"), "%s",
           said);
  CHECK(has_line("\n  limit 200.0 MiB; requests that it refused: 3\n"));
  const char* at_heap = said;
  for (int i = 20, n = 0; n < 20; i = i == 20 ? 29 : i == 21 ? 19 : i - 1, n++) {
    snprintf(want, sizeof want, "\n  heap %zu %s", (size_t)heap[i]->xid, i == 29 ? "\"cache\"" : "");
    const char* next = strstr(at_heap, want);
    CHECK_AT(next != NULL, "heap %d: %s", i, said);
    at_heap = next;
  }
  CHECK(strstr(at_heap, "\n  10 other heaps                   55 blocks ") != NULL);
  const char *large = strstr(said, "\n  blocks with own"), *medium = strstr(said, "\n  52 KiB blocks");
  CHECK(large != NULL && medium != NULL && large < medium);
  mi_stats_reset();
  mi_snapshot_t s;
  CHECK(mi_snapshot_take(&s) && s.totals.refused_requests == 0
        && s.totals.commit_limit_bytes == 200 * MI_MiB);
  mi_snapshot_drop(&s);
}

/* Whose the resident memory is, where somebody knows it. */
static void print_resident(void) {
  fill();
  mi_register_output(&keep, &nlines);
  mi_stats_print_resident(3000 * MI_MiB, 1200 * MI_MiB, 1700 * MI_MiB);
  CHECK_AT(has_line("mimalloc: resident 2.9 GiB = GHC 1.2 GiB + this allocator 1.7 GiB + other 100.0 MiB\n"),
           "said = %s", said);
  mi_stats_print_resident(30, 20, 20);                  /* of two moments */
  CHECK(has_line("mimalloc: resident 30 B = GHC 20 B + this allocator 10 B + other 0 B\n"));
  mi_stats_print_resident(0, 0, 0);
  CHECK(has_line(" the whole process; this allocator"));
  mi_register_output(NULL, NULL);
}

/* The row of that table and name has these columns, of 11 places each, one after the other. */
static void row(const char* table, const char* name, const char* columns) {
  char head[40], text[200];
  size_t n = 0;
  snprintf(head, sizeof head, "\n  %-28s", name);
  const char* from = strstr(table, head);
  CHECK_AT(from != NULL, "%s in %s", name, table);
  for (from += strlen(head); *from != '\n'; from += 11) {
    const size_t blanks = strspn(from, " ");
    CHECK(blanks > 0 && blanks < 11);
    memcpy(text + n, from + blanks, 11 - blanks);
    n += 11 - blanks;
  }
  text[n] = 0;
  CHECK_AT(strcmp(text, columns) == 0, "%s: %s", name, text);
}

static void born(const void* p, uint32_t seconds) {
  mi_store_relaxed(&mi_memory_page_of(p)->xborn,
                   (uint32_t)((mi_os_now_ms() - 1000 * (uint64_t)seconds) / MI_BORN_MS));
}

static void print_heap(void) {
  char want[100];
  mi_heap_t* heap = mi_heap_new_ex(7, false, 0);
  mi_heap_set_name(heap, "cache");
  for (int i = 0; i < 15; i++)
    CHECK((block[i] = mi_heap_malloc(heap, i < 10 ? 100 : i < 13 ? 5000 : 204800)) != NULL);
  born(block[14], 1800);
  mi_option_set(mi_option_max_errors, 5);
  mi_heap_print_out(heap, &keep, &nlines);
  snprintf(want, sizeof want, "mimalloc: heap %zu \"cache\": live 416.1 KiB in 15 blocks, in 4 pages of ",
           (size_t)heap->xid);
  CHECK_AT(has_line(want), "said = %s", said);
  CHECK(has_line("; tag 7; is deleted\n") && has_line("\n  nobody (adoptable) "));
  CHECK(has_line("\n  pages: 2 queued, 2 single\n"));
  const char *filled = strstr(said, "\n  pages of which there live "),
             *ages = strstr(said, "\n  live, no older than ");
  CHECK(filled != NULL && ages != NULL && filled < ages);
  row(filled, "112 B blocks", "01000");
  row(filled, "blocks with own pages", "00002");
  CHECK_EQ(strcspn(ages + 1, "\n"), 2 + 28 + 7 * 11);
  row(ages, "live, no older than", "1 s10 s1 min10 min1 h1 d(more)");
  row(ages, "blocks up to 112 B", "1.1 KiB0 B0 B0 B0 B0 B0 B");
  row(ages, "blocks up to 256 KiB", "200.0 KiB0 B0 B0 B200.0 KiB0 B0 B");
  CHECK(has_line("\n  option max_errors = 5\n") && !has_line("option purge_delay"));
  said[0] = 0;
  CHECK(mi_malloc(100) != NULL);
  mi_heap_print_out(NULL, &keep, &nlines);
  CHECK(has_line("mimalloc: the main heap: live ") && has_line("; tag 0; a main heap\n"));
  mi_heap_stats_print_out(heap, &keep, &nlines);
  CHECK(has_line(want) && has_line("\n  112 B blocks "));
  said[0] = 0;
  mi_register_output(&keep, &nlines);
  mi_heap_print(heap);
  mi_os_fail_in(1, 1);
  nlines = 0;
  mi_heap_print(heap);                                  /* no memory for the pass: nothing is said */
  mi_os_fail_in(0, 0);
  CHECK(has_line(want) && nlines == 0);
  mi_register_output(NULL, NULL);
}

/* With no function: where messages go, which may be the user's function, too. */
static void print_elsewhere(void) {
  fill();
  CHECK(freopen("/dev/null", "w", stderr) != NULL);
  mi_register_output(&keep, &nlines);
  mi_stats_print(NULL);
  CHECK_EQ(nlines, 9);
  mi_stats_print(&nlines);                              /* `out` is not looked at */
  CHECK_EQ(nlines, 18);
  mi_stats_print_out(NULL, NULL);
  mi_thread_stats_print_out(NULL, NULL);
  CHECK_EQ(nlines, 36);
  CHECK(strncmp(said, "mimalloc: resident ", 19) == 0);
  mi_os_fail_in(1, 1);
  mi_stats_print(NULL);                                 /* no memory for the pass: nothing is said */
  mi_os_fail_in(0, 0);
  CHECK_EQ(nlines, 36);
  mi_register_output(NULL, NULL);
}

TEST_MAIN("thread_print", TEST(print), TEST(print_of_others), TEST(print_named), TEST(print_sorted),
          TEST(print_resident), TEST(print_heap), TEST(print_elsewhere))
