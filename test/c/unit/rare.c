/* What happens rarely, made to happen: pins that a fork leaves behind, pages that are kept when nobody is
   awake, purges that the system refuses. */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/heap.h"
#include "core/purger.h"
#include "test.h"

/* ---- fork ---- */

static void* live[2];

/* One who waits for a pin that nobody takes away spins: so many seconds of the processor's
   are the end of it. */
static void not_for_ever(void) {
  struct rlimit limit = { 5, 5 };
  CHECK_EQ(setrlimit(RLIMIT_CPU, &limit), 0);
}

static void pin(mi_page_t* page) { CHECK(mi_remote_pin(&page->xword, mi_load_acquire(&page->xword))); }

/* Somebody is about to free, and is not there any more in the child: the heap ends all the same. */
static void pinned_while_forked(size_t size, void (*end)(mi_heap_t*)) {
  mi_option_set(mi_option_arena_reserve, 4 * MI_KiB);
  mi_heap_t* heap = mi_heap_new();
  for (int i = 0; i < 2; i++) CHECK((live[i] = mi_heap_malloc(heap, size)) != NULL);
  mi_page_t* page = mi_page_of(live[0]);
  pin(page);
  const pid_t pid = fork();
  if (pid == 0) {
    not_for_ever();
    CHECK_EQ(mi_load_relaxed(&page->xword) & MI_XPIN_MASK, 0);
    mi_free(live[1]);
    end(heap);
    if (end == &mi_heap_delete) mi_free(live[0]);
    mi_thread_done();
    test_nothing_left();
    _exit(0);
  }
  int status;
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHECK_AT(status == 0, "status = %#x", status);
  mi_sub_relaxed(&page->xword, MI_XPIN_ONE);     /* it is done */
  mi_heap_destroy(heap);
}

static void pins_of_small(void) { pinned_while_forked(100, &mi_heap_destroy); }
static void pins_of_mapping(void) { pinned_while_forked(3 * MI_MiB, &mi_heap_destroy); }
static void pins_and_delete(void) {
  pinned_while_forked(3000, &mi_heap_delete);
  pinned_while_forked(3 * MI_MiB, &mi_heap_delete);
}

/* ---- nobody is awake ---- */

static bool within_a_minute(bool (*happens)(void)) {
  for (int t = 0; t < 12000 && !happens(); t++) usleep(5000);
  return happens();
}

static bool is_given_back(void) { return mi_page_is_none(mi_page_of(live[0])); }

/* A page is kept when nothing is due, and nothing else happens: it goes back by itself. */
static void kept_while_asleep(size_t size) {
  mi_option_set(mi_option_purge_thread, 1);
  mi_option_set(mi_option_purge_delay, 30);
  void* large = mi_malloc(40 * MI_MiB);          /* so that there is the thread */
  CHECK(large != NULL);
  memset(large, 1, 40 * MI_MiB);
  CHECK((live[0] = mi_malloc(size)) != NULL);
  usleep(300000);                                /* so that it sleeps: nothing is due */
  mi_free(live[0]);
  CHECK(within_a_minute(&is_given_back));
  mi_free(large);
}
static void kept_single(void) { kept_while_asleep(300000); }

/* ---- refused ---- */

/* What is locked is not purged, nor zero, though all in front of it is; nor is it counted as given back. */
static void refused_purge_is_not_zero(void) {
  enum { SIZE = MI_HARD ? 512 * 1024 : 2 * 1024 * 1024 };  /* in an arena */
  uint8_t* p = mi_zalloc(SIZE);
  CHECK(p != NULL && test_all(p, SIZE, 0));
  memset(p, 1, SIZE);
  if (test_skips(mlock(p + SIZE / 2, 4096) != 0, "memory may not be locked")) return;
  mi_free(p);
  mi_collect(true);
  CHECK(mi_load_relaxed(&mi_commit_totals.xcommitted) >= MI_SLICE_SIZE);
  for (int i = 0; i < 3; i++) {
    uint8_t* q = mi_zalloc(SIZE);
    CHECK(q == p && test_all(q, SIZE, 0));
    memset(q, 1, SIZE);
    mi_free(q);
    mi_collect(true);
  }
  munlock(p + SIZE / 2, 4096);
  mi_collect(true);
}

/* Rounds pass while memory is locked. What they left goes back when it is locked no more: by a collection, or
   with what is freed later. Nothing is due meanwhile. */
static void refused_is_tried_again(bool by_collection) {
  enum { N = 64, SIZE = 256 * 1024 };
  static uint8_t* p[N];
  mi_option_set(mi_option_purge_delay, 20);
  for (int i = 0; i < N; i++) CHECK((p[i] = mi_malloc(SIZE)) != NULL);
  for (int i = 0; i < N; i++) memset(p[i], 1, SIZE);
  if (test_skips(mlockall(MCL_CURRENT) != 0, "memory may not be locked")) return;
  for (int i = 0; i < N; i++) mi_free(p[i]);
  for (int i = 0; i < 100 && (i < 20 || mi_clock_at() != 0); i++) {
    usleep(20000);
    mi_purger_run(false);
  }
  CHECK(mi_clock_at() == 0 && mi_load_relaxed(&mi_commit_totals.xcommitted) >= N / 2 * SIZE);
  munlockall();
  if (by_collection) mi_collect(true);
  for (int i = 0; !by_collection && i < 20; i++) {
    mi_free(mi_malloc(SIZE));
    usleep(20000);
    mi_purger_run(false);
  }
  CHECK(mi_load_relaxed(&mi_commit_totals.xcommitted) <= 4 * MI_MiB && mi_check_all() == 0);
}
static void refused_then_collected(void) { refused_is_tried_again(true); }
static void refused_then_due(void) { refused_is_tried_again(false); }

TEST_MAIN("rare", TEST(pins_of_small), TEST(pins_of_mapping), TEST(pins_and_delete), TEST(kept_single),
          TEST(refused_purge_is_not_zero), TEST(refused_then_collected), TEST(refused_then_due))
