/* A heap is destroyed while three threads free its blocks, and nobody allocates meanwhile: blocks of small
   and medium pages, of single ones, with mappings of their own, and at offsets. What is freed too late is
   reported, or not; nothing crashes, no invariant breaks, and nothing is left. In every other trial what is
   empty is unmapped at once. 1000 trials of each kind, or STRESS_SECONDS in all; STRESS_SEED. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "blocks.h"

enum { BLOCKS = 60, FREERS = 3 };

static void* block[BLOCKS];              /* shown by `trial` and by `nfreed` */
static mi_atomic(int) trial, nawake, nfreed;     /* the trial that goes on; who have begun it, who are done */
static bool stop;
static long seconds, seed;
static mi_atomic(uint64_t) ntold;

static void on_error(int err, void* arg) {
  (void)arg;
  if (err != EAGAIN && err != EINVAL) test_fail(__FILE__, __LINE__, "error %d, %s", err, strerror(err));
  ntold++;
}

static void* freer(void* first) {
  for (int n = 1; ; n++) {
    test_await(&trial, n);
    if (stop) return NULL;
    nawake++;                                    /* pairs with destroyed */
    for (size_t i = (size_t)first; i < BLOCKS; i += FREERS) mi_free(block[i]);
    nfreed++;                                    /* pairs with destroyed */
  }
}

typedef struct { size_t size, offset; bool alone, mapping; } kind_t;   /* what its page is */

static void* block_of(mi_heap_t* heap, const kind_t* kind) {
  void* p = kind->offset == 0 ? mi_heap_malloc(heap, kind->size)
                              : mi_heap_malloc_aligned_at(heap, kind->size, 4096, kind->offset);
  CHECK(p != NULL);
  mi_page_t* page = mi_page_of(p);
  CHECK(mi_page_is_single(page) == kind->alone && (page->arena == MI_ARENA_NONE) == kind->mapping);
  return p;
}

static void pause_for(uint64_t n) { for (volatile uint64_t i = n; i > 0; i--) {} }

static void destroyed(const kind_t* kind) {
  const time_t until = time(NULL) + seconds / 6;
  uint64_t r = (uint64_t)seed;
  pthread_t t[FREERS];
  mi_option_set(mi_option_abort_on_error, 0);
  mi_option_set(mi_option_show_errors, 0);
  mi_option_set(mi_option_arena_reserve, 1024);          /* KiB */
  mi_option_set(mi_option_purge_delay, 0);
  mi_register_error(&on_error, NULL);
  for (size_t i = 0; i < FREERS; i++) CHECK_EQ(pthread_create(&t[i], NULL, &freer, (void*)i), 0);
  int n = 1;
  for (; seconds != 0 ? time(NULL) < until : n <= 1000; n++) {
    mi_heap_t* heap = mi_heap_new();
    for (int i = 0; i < BLOCKS; i++) block[i] = block_of(heap, kind);
    mi_store_relaxed(&nfreed, 0);                /* nobody counts now */
    mi_store_relaxed(&nawake, 0);
    mi_store_release(&trial, n);                 /* pairs with freer */
    const int awake = (int)(test_random(&r) % (FREERS + 1));
    while (mi_load_acquire(&nawake) < awake) sched_yield();               /* pairs with freer */
    pause_for(test_random(&r) % 3000);
    mi_heap_destroy(heap);
    if (n % 2 == 0) mi_collect(true);
    test_await(&nfreed, FREERS);
    if (n % 50 == 0) CHECK_EQ(mi_check_all(), 0);
  }
  stop = true;
  mi_store_release(&trial, n);                   /* pairs with freer */
  for (int i = 0; i < FREERS; i++) pthread_join(t[i], NULL);
  printf("# %llu frees were told\n", (unsigned long long)ntold);
  mi_thread_done();
  test_nothing_left();
}

static void of_small_pages(void) { destroyed(&(kind_t){ 40, 0, false, false }); }
static void of_medium_pages(void) { destroyed(&(kind_t){ 20000, 0, false, false }); }
static void of_single_pages(void) { destroyed(&(kind_t){ 100000, 0, true, false }); }
static void of_mappings(void) { destroyed(&(kind_t){ 3 * MI_MiB, 0, true, true }); }
static void of_mappings_at_offsets(void) { destroyed(&(kind_t){ 3 * MI_MiB, 48, true, true }); }
static void at_offsets(void) { destroyed(&(kind_t){ 3000, 48, false, false }); }

int main(int argc, char** argv) {
  static const test_t tests[] = { TEST(of_small_pages), TEST(of_medium_pages),        TEST(of_single_pages),
                                  TEST(of_mappings),    TEST(of_mappings_at_offsets), TEST(at_offsets) };
  seconds = argument(1, argv, 2, "STRESS_SECONDS", 0);
  seed = argument(1, argv, 3, "STRESS_SEED", (long)time(NULL));
  printf("# destroys: seed %ld\n", seed);
  fflush(stdout);
  return test_run("destroystress", tests, sizeof tests / sizeof *tests, argc, argv);
}
