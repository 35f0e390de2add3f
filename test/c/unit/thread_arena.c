/* thread_arena.c: memory reserved or handed over as arenas, sub-processes. */
#include <pthread.h>
#include <sys/mman.h>

#include "include/mimalloc-stats.h"
#include "test.h"

static uint8_t memory[4 * MI_MiB] mi_cachealign;

static bool within(const void* p, const void* area, size_t size) {
  return (uintptr_t)p - (uintptr_t)area < size;
}

/* ---- what the slices are used for ---- */

enum { NRUNS = 2000 };
static mi_arena_run_t runs[NRUNS];

/* Covers the arena; no two neighbours but pages are used alike. */
static size_t map_of(mi_arena_id_t id) {
  size_t size, at = 0;
  CHECK(mi_arena_area(id, &size) != NULL);
  const size_t n = mi_arena_map(id, runs, NRUNS);
  CHECK(n > 0 && n <= NRUNS);
  for (size_t i = 0; i < n; i++) {
    CHECK(runs[i].first == at && runs[i].nslices > 0);
    CHECK(i == 0 || runs[i].use == MI_ARENA_PAGE || runs[i].use != runs[i - 1].use);
    at += runs[i].nslices;
  }
  CHECK_EQ(at, size / MI_SLICE_SIZE);
  return n;
}

static const mi_arena_run_t* run_of(mi_arena_id_t id, const void* p) {
  const size_t slice = (size_t)((const uint8_t*)p - (uint8_t*)mi_arena_area(id, NULL)) / MI_SLICE_SIZE;
  const mi_arena_run_t* run = runs;
  while (run->first + run->nslices <= slice) run++;
  return run;
}

static void map(void) {
  mi_arena_id_t id;
  CHECK_EQ(mi_reserve_os_memory_ex(8 * MI_MiB, true, false, true, &id), 0);
  CHECK_EQ(map_of(id), 1);
  CHECK(runs[0].use == MI_ARENA_FREE && runs[0].nslices == 8 * MI_MiB / MI_SLICE_SIZE);
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  void *small = mi_heap_malloc(heap, 100), *other = mi_heap_malloc(heap, 100);
  void *medium = mi_heap_malloc(heap, 20000), *large = mi_heap_malloc(heap, MI_MiB);
  map_of(id);
  const mi_arena_run_t* run = run_of(id, small);
  CHECK(run->use == MI_ARENA_PAGE && run->nslices == 1 && run->block_size == 112 && run->live_blocks == 2);
  CHECK(run->heap == mi_load_relaxed(&heap->xid) && run->owner == 0 && run->hole_bytes == 0);
  run = run_of(id, medium);
  CHECK(run->use == MI_ARENA_PAGE && run->block_size >= 20000 && run->live_blocks == 1);
  run = run_of(id, large);
  CHECK(run->use == MI_ARENA_PAGE && run->nslices == MI_MiB / MI_SLICE_SIZE && run->live_blocks == 1);
  /* Three pages, and what is free. One that does not fit is counted, and not written. */
  const size_t n = mi_arena_map(id, NULL, 0);
  CHECK(n >= 4);
  runs[1].first = 77;
  CHECK(mi_arena_map(id, runs, 1) == n && runs[1].first == 77);
  mi_free(large);
  mi_free(other);
  map_of(id);
  CHECK(run_of(id, large)->use != MI_ARENA_PAGE && run_of(id, large)->owner == 0);
  CHECK(MI_HARD || run_of(id, large)->use == MI_ARENA_WAITS);
  CHECK_EQ(run_of(id, small)->live_blocks, 1);
  mi_collect(true);
  map_of(id);
  CHECK_EQ(run_of(id, large)->use, MI_ARENA_FREE);
  mi_heap_destroy(heap);
}

static void map_of_none(void) {
  CHECK(mi_arena_next(0) == 0 && mi_arena_next(-1) == 0 && mi_arena_next(1) == 0);
  mi_arena_id_t a, b;
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, true, &a), 0);
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, true, &b), 0);
  CHECK(mi_arena_next(0) == a && mi_arena_next(-5) == a && mi_arena_next(a) == b && mi_arena_next(b) == 0);
  const mi_arena_id_t none[] = { 0, -1, b + 1, INT32_MAX };
  for (size_t i = 0; i < 4; i++) CHECK_EQ(mi_arena_map(none[i], runs, NRUNS), 0);
}

/* Read while others go on: it covers the arena at each moment. */
static void map_meanwhile(void) {
  pthread_t t[3];
  for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&t[i], NULL, &test_churn, (void*)(i + 1)), 0);
  for (int i = 0; i < 300; i++)
    for (int id = 0; (id = mi_arena_next(id)) != 0; ) {
      size_t size, slices = 0;
      const size_t n = mi_arena_map(id, runs, NRUNS);
      for (size_t k = 0; k < n && n <= NRUNS; k++) slices += runs[k].nslices;
      CHECK(mi_arena_area(id, &size) == NULL || n == 0 || n > NRUNS || slices == size / MI_SLICE_SIZE);
    }
  mi_store_relaxed(&test_stop, true);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
}

/* ---- reserving ---- */

static void reserve(void) {
  errno = 5;
  mi_arena_id_t id = -7, other = -7;
  size_t size = 77;
  CHECK_EQ(mi_reserve_os_memory_ex(3 * MI_MiB + 1, false, false, true, &id), 0);
  uint8_t* area = mi_arena_area(id, &size);
  CHECK(id > 0 && area != NULL && (uintptr_t)area % MI_SLICE_SIZE == 0 && errno == 5);
  CHECK_EQ(size, 3 * MI_MiB + MI_SLICE_SIZE);           /* rounded up to whole slices */
  CHECK(mi_arena_area(id, NULL) == area);
  CHECK_EQ(mi_reserve_os_memory_ex(MI_SLICE_SIZE, true, true, false, &other), 0);
  CHECK(other > 0 && other != id && mi_arena_area(other, &size) != area && size == MI_SLICE_SIZE);
  CHECK_EQ(mi_commit_totals.xreserved, 3 * MI_MiB + 2 * MI_SLICE_SIZE);
  CHECK_EQ(mi_commit_totals.xcommitted, 0);              /* as it is used, and zero then */
  CHECK_EQ(mi_reserve_os_memory(MI_MiB, true, false), 0);
  CHECK_EQ(mi_arena_count(), 3);
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, false, NULL), 0);
}

static void reserve_errors(void) {
  static const struct {
    size_t size;
    int error;
  } cases[] = { { 0, EINVAL },
                { SIZE_MAX, EINVAL },
                { (size_t)PTRDIFF_MAX + 1, EINVAL },
                { PTRDIFF_MAX, ENOMEM },
                { (size_t)1 << 60, ENOMEM } };
  errno = 5;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mi_arena_id_t id = 77;
    CHECK_EQ(mi_reserve_os_memory_ex(cases[i].size, true, false, true, &id), cases[i].error);
    CHECK_EQ(mi_reserve_os_memory(cases[i].size, true, false), cases[i].error);
    CHECK(id == 0 && errno == 5);
  }
  for (size_t n = 1; n < 10; n++) {  /* each call that asks the system may fail; nothing is left of it */
    mi_arena_id_t id = 77;
    const size_t before = mi_commit_totals.xreserved, mapped = test_mapped();
    mi_os_fail_in(n, 1);
    const int error = mi_reserve_os_memory_ex(64 * MI_MiB, true, false, true, &id);
    mi_os_fail_in(0, 0);
    CHECK(error == 0 ? id > 0
                     : error == ENOMEM && id == 0 && mi_commit_totals.xreserved == before
                           && test_mapped() < mapped + MI_MiB);
    CHECK(n > 2 || error == ENOMEM);                    /* the memory, and what describes it */
  }
  CHECK_EQ(errno, 5);
}

/* What is reserved is used first when all may use it, and by those who name it when not. */
static void who_may_use_it(void) {
  mi_arena_id_t exclusive, common;
  size_t size;
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, true, &exclusive), 0);
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, false, &common), 0);
  uint8_t *e = mi_arena_area(exclusive, &size), *c = mi_arena_area(common, &size);
  void *p = mi_malloc(100), *q = mi_malloc(200000);
  CHECK(within(p, c, size) && within(q, c, size));
  mi_heap_t* heap = mi_heap_new_in_arena(exclusive);
  void *r = mi_heap_malloc(heap, 100), *s = mi_heap_malloc(heap, 200000);
  CHECK(within(r, e, size) && within(s, e, size));
  void* t = mi_malloc(2 * MI_MiB);                      /* larger than both: reserved anew */
  CHECK(t != NULL && !within(t, e, size) && !within(t, c, size));
  mi_heap_destroy(heap);
  mi_free(p);
  mi_free(q);
  mi_free(t);
  mi_thread_done();
  test_nothing_left();
}

/* Blocks that outlive their heap are the main heap's, which has nothing else in an exclusive arena, neither
   in their pages nor in those they leave. */
static void exclusive_outlives_its_heap(void) {
  mi_arena_id_t exclusive;
  size_t size;
  CHECK_EQ(mi_reserve_os_memory_ex(MI_MiB, true, false, true, &exclusive), 0);
  uint8_t* start = mi_arena_area(exclusive, &size);
  mi_heap_t* heap = mi_heap_new_in_arena(exclusive);
  void *small = mi_heap_malloc(heap, 3000), *freed = mi_heap_malloc(heap, 3000),
       *single = mi_heap_malloc(heap, 200000);
  mi_heap_delete(heap);
  mi_free(freed);
  mi_free(single);
  void *p = mi_malloc(3000), *q = mi_malloc(200000);
  CHECK(!within(p, start, size) && !within(q, start, size) && within(small, start, size));
  mi_free(small);
  mi_free(p);
  mi_free(q);
  mi_thread_done();
  test_nothing_left();
}

static void huge_pages(void) {
  errno = 5;
  mi_arena_id_t id = 77;
  size_t n = 77;
  CHECK(mi_reserve_huge_os_pages_at_ex(0, -1, 0, true, &id) == 0
        && mi_reserve_huge_os_pages_at(0, 0, 0) == 0);
  CHECK(mi_reserve_huge_os_pages_interleave(0, 2, 100) == 0 && mi_reserve_huge_os_pages(0, 1.5, &n) == 0
        && n == 0);
  CHECK_EQ(id, 0);                                      /* none was asked for, there is none */
  CHECK_EQ(mi_reserve_huge_os_pages_at_ex(SIZE_MAX, -1, 0, true, &id), EINVAL);
  CHECK_EQ(mi_reserve_huge_os_pages_at(MI_SIZE_LIMIT / MI_GiB + 1, -1, 0), EINVAL);
  CHECK_EQ(mi_reserve_huge_os_pages_interleave(SIZE_MAX, 1, 0), EINVAL);
  CHECK(mi_reserve_huge_os_pages(SIZE_MAX, 0, &n) == EINVAL && n == 0);
  mi_os_fail_in(1, SIZE_MAX);                           /* none set aside */
  n = id = 77;
  CHECK(mi_reserve_huge_os_pages_at_ex(1, -1, 0, true, &id) == ENOMEM && id == 0);
  CHECK(mi_reserve_huge_os_pages_at(1, 0, 10) == ENOMEM
        && mi_reserve_huge_os_pages_interleave(1, 1, 10) == ENOMEM);
  CHECK(mi_reserve_huge_os_pages(1, 0, &n) == ENOMEM && n == 0
        && mi_reserve_huge_os_pages(1, 0, NULL) == ENOMEM);
  mi_os_fail_in(0, 0);
  CHECK(errno == 5 && mi_arena_count() == 0);
}

/* The machine's own huge pages, by /proc/meminfo. */
static size_t huge_pages_free(void) {
  char line[200];
  size_t n = 0, kib = 0;
  FILE* f = fopen("/proc/meminfo", "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    sscanf(line, "HugePages_Free: %zu", &n);
    sscanf(line, "Hugepagesize: %zu kB", &kib);
  }
  if (f != NULL) fclose(f);
  return n * kib * MI_KiB;
}

/* Where there are none it is an error, and ordinary memory is used: nothing dies when it is touched. */
static void no_huge_pages(void) {
  if (test_skips(huge_pages_free() >= MI_GiB, "there are huge pages")) return;
  size_t n = 77;
  CHECK(mi_reserve_huge_os_pages_at(1, -1, 0) == ENOMEM && mi_reserve_huge_os_pages(1, 0, &n) == ENOMEM
        && n == 0);
  CHECK_EQ(mi_arena_count(), 0);
  void* p = mi_malloc(100000);
  memset(p, 1, 100000);
  mi_free(p);
}

static size_t nsaid;
static void count_lines(const char* text, void* arg) { (void)text; (void)arg; nsaid++; }

static void no_huge_pages_by_option(void) {
  if (test_skips(huge_pages_free() >= MI_GiB, "there are huge pages")) return;
  mi_register_output(&count_lines, NULL);
  mi_option_set(mi_option_reserve_huge_os_pages, 1);
  void* p = mi_malloc(100000);
  memset(p, 1, 100000);
  mi_free(p);
  CHECK_EQ(nsaid, 0);
}

/* ---- memory of the user ---- */

static void manage(void) {
  mi_arena_id_t id = 77;
  size_t size;
  memset(memory, 0xcc, sizeof memory);                  /* not zero, and not aligned */
  CHECK(mi_manage_os_memory_ex(memory + 1, sizeof memory - 7, true, false, false, -1, true, &id) && id > 0);
  uint8_t* area = mi_arena_area(id, &size);
  CHECK(within(area, memory, sizeof memory) && (uintptr_t)area % MI_SLICE_SIZE == 0
        && size % MI_SLICE_SIZE == 0);
  CHECK(size >= sizeof memory - 2 * MI_SLICE_SIZE && area + size <= memory + sizeof memory - 6);
  CHECK(memory[0] == 0xcc && memory[sizeof memory - 1] == 0xcc);
  CHECK_EQ(mi_commit_totals.xcommitted, size);           /* all of it is there already */
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  for (size_t n = 8; n < MI_MiB; n *= 3) {
    void *p = mi_heap_zalloc(heap, n), *q = mi_heap_calloc(heap, 1, n);
    CHECK(within(p, area, size) && within(q, area, size) && test_all(p, n, 0) && test_all(q, n, 0));
  }
  uint8_t* kept = mi_heap_malloc(heap, 300000);
  memset(kept, 0x55, 300000);
  mi_heap_destroy(heap);
  mi_thread_done();
  mi_collect(true);
  CHECK(test_all(kept, 300000, 0x55));                  /* never purged: somebody may look after it */
  test_nothing_left();
}

/* What the user says is zero is not written to, to make it so. */
static void manage_zero(void) {
  mi_arena_id_t id;
  CHECK(mi_manage_os_memory_ex(memory, sizeof memory, true, true, true, 0, true, &id));
  CHECK_EQ(mi_commit_totals.xcommitted, 0);
  const size_t rss = test_rss();
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  uint8_t* p = mi_heap_zalloc(heap, 3 * MI_MiB);
  CHECK(within(p, memory, sizeof memory) && (TEST_SANITIZED || test_rss() < rss + MI_MiB));
  CHECK(test_all(p, 3 * MI_MiB, 0));
  mi_heap_destroy(heap);
}

static void manage_without_a_name(void) {
  CHECK(mi_manage_os_memory(memory, sizeof memory, true, false, true, -1));
  void* p = mi_malloc(100);
  CHECK(within(p, memory, sizeof memory));              /* everybody's */
  mi_free(p);
}

/* Memory that nobody can touch yet can be used from then on; what is in front of its first slice, and behind
   the last, stays as it was. */
static void manage_reserved(void) {
  const size_t page = mi_os_page_size(), all = 4 * MI_MiB;
  mi_arena_id_t id = 77;
  size_t size;
  int fds[2];
  test_expect_errors();
  uint8_t* start = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(start != MAP_FAILED);
  uint8_t* from = (uint8_t*)mi_align_up((uintptr_t)start, MI_SLICE_SIZE) + page;
  CHECK(mi_manage_os_memory_ex(from, 3 * MI_MiB, false, false, true, -1, true, &id) && id > 0);
  uint8_t* area = mi_arena_area(id, &size);
  CHECK(within(area, start, all) && size == 3 * MI_MiB - MI_SLICE_SIZE);
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  for (size_t n = 8; n < MI_MiB; n *= 3) {
    uint8_t* p = mi_heap_zalloc(heap, n);
    CHECK(within(p, area, size) && test_all(p, n, 0));
    memset(p, 0x55, n);
  }
  mi_heap_destroy(heap);
  CHECK(pipe(fds) == 0 && write(fds[1], area, 1) == 1);
  CHECK(write(fds[1], area - page, 1) == -1 && errno == EFAULT);
  CHECK(write(fds[1], area + size, 1) == -1 && errno == EFAULT);
  mi_thread_done();
  test_nothing_left();
  /* Where nothing is mapped. */
  CHECK(munmap(from + 3 * MI_MiB + MI_SLICE_SIZE, 8 * page) == 0);
  errno = 0;
  CHECK(!mi_manage_os_memory_ex(from + 3 * MI_MiB, 2 * MI_SLICE_SIZE, false, false, true, -1, true, &id));
  CHECK(errno == ENOMEM && id == 0);
}

static void manage_errors(void) {
  mi_arena_id_t id = 77;
  test_expect_errors();
  static const struct {
    size_t at, size;
    bool null, committed;
  } cases[] = { { 0, sizeof memory, true, true },
                { 1, MI_SLICE_SIZE - 1, false, false },
                { 0, 0, false, true },
                { 1, MI_SLICE_SIZE - 1, false, true },
                { 0, MI_SLICE_SIZE - 1, false, true } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    void* start = cases[i].null ? NULL : memory + cases[i].at;
    errno = test_last_error = 0;
    id = 77;
    CHECK_AT(!mi_manage_os_memory_ex(start, cases[i].size, cases[i].committed, false, true, -1, true, &id),
             "case %zu", i);
    CHECK(errno == EINVAL && test_last_error == EINVAL && id == 0);
    CHECK(!mi_manage_os_memory(start, cases[i].size, cases[i].committed, false, true, -1));
  }
  mi_os_fail_in(1, SIZE_MAX);
  errno = test_last_error = 0;
  CHECK(!mi_manage_os_memory_ex(memory, sizeof memory, true, false, true, -1, true, &id) && id == 0);
  CHECK(errno == ENOMEM && test_last_error == ENOMEM);  /* no memory for its description */
  mi_os_fail_in(0, 0);
  CHECK_EQ(mi_arena_count(), 0);
}

static void area_of_none(void) {
  const mi_arena_id_t none[] = { 0, -1, 1, 2, 4097, INT_MAX, INT_MIN };
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    size_t size = 77;
    CHECK(mi_arena_area(none[i], &size) == NULL && size == 0 && mi_arena_area(none[i], NULL) == NULL);
  }
}

/* ---- printing ---- */

static char said[2000];
static void* nested;
static void keep(const char* text, void* arg) {
  CHECK(arg == &nested);
  strncat(said, text, sizeof said - strlen(said) - 1);
  mi_free(nested);                                      /* a callback may allocate */
  CHECK((nested = mi_malloc(20000)) != NULL);
}

static void print(void) {
  char want[500];
  mi_arena_id_t id;
  mi_option_set(mi_option_purge_delay, 1000000);
  CHECK(mi_reserve_os_memory(2 * MI_MiB, true, false) == 0
        && mi_manage_os_memory_ex(memory, sizeof memory, true, false, true, -1, true, &id));
  size_t size;
  const void* area = mi_arena_area(id, &size);
  nested = mi_malloc(20000);  /* its page is there, so that printing changes nothing */
  void *p = mi_malloc(200000), *q = mi_malloc(600000);
  mi_free(q);
  mi_register_output(&keep, &nested);
  mi_arenas_print();
  const int n = snprintf(want, sizeof want,
                         "mimalloc: arena 1 at %p: 2048 KiB, 1280 free, 1408 committed, 640 to be purged\n",
                         mi_arena_area(1, NULL));
  snprintf(want + n, sizeof want - (size_t)n,
           "mimalloc: arena 2 at %p: %zu KiB, %zu free, 0 committed, 0 to be purged, exclusive, pinned\n",
           area, size / MI_KiB, size / MI_KiB);
  CHECK_AT(strcmp(said, want) == 0, "said = %s", said);
  mi_register_output(NULL, NULL);
  mi_free(p);
  mi_free(nested);
}

/* ---- sub-processes ---- */

static mi_subproc_id_t sub;
static void* block[300];
static void run_thread(void* (*f)(void*), void* arg) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, f, arg), 0);
  pthread_join(t, NULL);
}

static void* member(void* arg) {
  mi_subproc_add_current_thread(sub);
  CHECK(mi_heap_get_backing() == sub && mi_heap_get_default() == sub && mi_subproc_current() == sub);
  for (int i = 0; i < 300; i++)
    CHECK((block[i] = mi_malloc(i % 3 ? 64 : 3000)) != NULL && mi_heap_of(block[i]) == sub);
  for (int i = 0; i < 300; i += 2) { mi_free(block[i]); block[i] = NULL; }
  mi_subproc_add_current_thread(mi_subproc_main());     /* too late: it has a heap */
  CHECK(mi_heap_get_backing() == sub);
  return arg;
}

static void* stranger(void* arg) {                      /* finds nothing of what members left */
  void* p[300];
  for (int i = 0; i < 300; i++) CHECK((p[i] = mi_malloc(64)) != NULL && mi_heap_of(p[i]) == &mi_main_heap);
  for (int i = 0; i < 300; i++) mi_free(p[i]);
  return arg;
}

static void* heir(void* arg) {                          /* finds it */
  mi_subproc_add_current_thread(sub);
  size_t nfound = 0;
  for (int i = 0; i < 50; i++) {
    void* p = mi_malloc(64);
    for (int k = 0; k < 300; k++)
      nfound += block[k] != NULL && (uintptr_t)p / MI_SLICE_SIZE == (uintptr_t)block[k] / MI_SLICE_SIZE;
    mi_free(p);
  }
  CHECK(nfound > 0);
  return arg;
}

static void subprocess(void) {
  CHECK(mi_subproc_main() == NULL);
  CHECK((sub = mi_subproc_new()) != NULL && sub != mi_subproc_main());
  run_thread(&member, NULL);
  run_thread(&stranger, NULL);
  run_thread(&heir, NULL);
  mi_heap_destroy(sub);                                 /* is no heap that these end */
  mi_heap_delete(sub);
  for (int i = 0; i < 300; i++) CHECK(block[i] == NULL || mi_heap_of(block[i]) == sub);
  mi_subproc_delete(sub);
  for (int i = 0; i < 300; i++) CHECK(block[i] == NULL || mi_heap_of(block[i]) == &mi_main_heap);
  for (int i = 0; i < 300; i++) mi_free(block[i]);
  mi_subproc_delete(NULL);
  mi_subproc_delete(mi_subproc_main());
  test_nothing_left();
}

static void* back_to_main(void* arg) {
  CHECK(mi_subproc_current() == NULL);
  mi_subproc_add_current_thread(sub);
  CHECK(mi_subproc_current() == sub);
  mi_subproc_add_current_thread(mi_subproc_main());  /* before its first allocation it may change its mind */
  CHECK(mi_subproc_current() == mi_subproc_main());
  void* p = mi_malloc(10);
  CHECK(mi_heap_of(p) == &mi_main_heap && mi_subproc_current() == NULL);
  mi_free(p);
  return arg;
}

static void* of_a_dead_one(void* arg) {  /* a thread that did not allocate is of no sub-process yet */
  mi_subproc_add_current_thread(sub);
  mi_free(arg);
  return arg;
}

static void subprocess_of_threads_that_do_nothing(void) {
  CHECK((sub = mi_subproc_new()) != NULL);
  run_thread(&back_to_main, NULL);
  run_thread(&of_a_dead_one, mi_malloc(10));
  mi_subproc_delete(sub);
  mi_thread_done();
  test_nothing_left();
}

static void subprocess_without_memory(void) {
  test_expect_errors();
  mi_os_fail_in(1, SIZE_MAX);
  errno = 0;
  CHECK(mi_subproc_new() == NULL && errno == ENOMEM && test_last_error == ENOMEM);
  mi_os_fail_in(0, 0);
}

TEST_MAIN("thread_arena", TEST(map), TEST(map_of_none), TEST(map_meanwhile), TEST(reserve),
          TEST(reserve_errors), TEST(who_may_use_it),
          TEST(exclusive_outlives_its_heap), TEST(huge_pages), TEST(no_huge_pages),
          TEST(no_huge_pages_by_option), TEST(manage), TEST(manage_zero), TEST(manage_without_a_name),
          TEST(manage_reserved), TEST(manage_errors), TEST(area_of_none), TEST(print), TEST(subprocess),
          TEST(subprocess_of_threads_that_do_nothing), TEST(subprocess_without_memory))
