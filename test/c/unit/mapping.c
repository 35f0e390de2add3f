/* mapping.h, and the pause of clock.h: what is freed while somebody may still read it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/clock.h"
#include "core/mapping.h"
#include "core/stats.h"
#include "core/visit.h"
#include "test.h"

enum { SIZE = 3 * MI_MiB };
/* From here on such a block has a mapping of its own. */
static void arenas_are_small(void) { mi_option_set(mi_option_arena_reserve, 4 * 1024); }

static mi_atomic(bool) xpaused;
static bool is_paused(void) { return mi_load_relaxed(&xpaused); }           /* tests: one thread sets it */
static void pause_begins(void) {
  mi_store_relaxed(&xpaused, true);
  mi_clock_set_pause(&is_paused);
}
static void pause_ends(void) { mi_store_relaxed(&xpaused, false); }

/* A small program makes no rounds. */
static void* much(void) {
  void* p = mi_malloc(MI_ROUND_COMMITTED);
  CHECK(p != NULL);
  return p;
}

/* As a finalizer does. */
static void free_late(void* p) {
  mi_local()->frees_late = true;
  mi_free(p);
  mi_local()->frees_late = false;
}

static bool is_mapped(const void* p) {
  unsigned char there;
  return mincore((void*)((uintptr_t)p / 4096 * 4096), 1, &there) == 0;
}

static bool something_waits(void) { return mi_load_relaxed(&mi_mapping_xwaits); }  /* as above */

/* With something at its start and its end. */
static uint8_t* block_make(void) {
  arenas_are_small();
  uint8_t* p = mi_malloc(SIZE);
  CHECK(p != NULL && mi_page_of(p)->arena == MI_ARENA_NONE);
  p[0] = 1;
  p[SIZE - 1] = 2;
  return p;
}

static bool block_is_whole(const uint8_t* p) {
  return is_mapped(p) && is_mapped(p + SIZE - 1) && p[0] == 1 && p[SIZE - 1] == 2;
}

/* Freed in a pause: it can still be read, and is no block any more; its bytes count as committed, as free
   slices do that wait. */
static uint8_t* block_freed_in_pause(void) {
  uint8_t* p = block_make();
  pause_begins();
  const size_t committed = mi_commit_totals.xcommitted, reserved = mi_commit_totals.xreserved;
  free_late(p);
  CHECK(block_is_whole(p));
  CHECK(mi_commit_totals.xmappings == 0 && mi_commit_totals.xmapped == 0);
  CHECK(mi_commit_totals.xcommitted == committed && mi_commit_totals.xreserved == reserved);
  CHECK_EQ(mi_stats_use(0).blocks, 0);
  CHECK_EQ(mi_check_all(), 0);
  return p;
}

static bool another(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size, void* p) {
  (void)heap, (void)area, (void)size;
  return block == NULL || block != p;
}

static bool is_there(mi_page_t* page, void* place) {
  const void** p = place;
  if ((const void*)page->start == *p) *p = NULL;
  return true;
}

/* It is resident still, and ours: who says whose memory is resident finds it. */
static void is_committed(void) {
  const void *p = block_freed_in_pause(), *q = p, *live = block_make(), *r = live;
  mi_mapping_each(&is_there, &q);
  CHECK(q == p);
  mi_mapping_each_committed(&is_there, &q);
  mi_mapping_each_committed(&is_there, &r);
  CHECK(q == NULL && r == NULL);
  mi_collect(true);
  mi_mapping_each_committed(&is_there, &p);
  CHECK(p != NULL);
}

static void is_no_block(void) {
  uint8_t* p = block_freed_in_pause();
  CHECK(mi_memory_page_of(p) == NULL && mi_mapping_page_of(p + MI_MiB) == NULL);
  CHECK(mi_usable_size(p) == 0 && !mi_is_in_heap_region(p));
  CHECK(mi_visit_heap(&mi_main_heap, NULL, true, &another, p));
  test_expect_errors();
  mi_free(p);
  CHECK(test_nerrors == 1 && block_is_whole(p));
}

/* What others free meanwhile goes at once. */
static void others_go_at_once(void) {
  uint8_t* p = block_freed_in_pause();
  uint8_t* q = block_make();
  CHECK(q != p);
  mi_free(q);
  CHECK(!is_mapped(q) && block_is_whole(p));
}

static void goes_with_next_malloc(void) {
  const uint8_t* p = block_freed_in_pause();
  void* q = mi_malloc(MI_MiB);
  CHECK(q != NULL && block_is_whole(p));
  pause_ends();
  mi_free(q);
  q = mi_malloc(2 * MI_MiB);
  CHECK(q != NULL && !something_waits());
  mi_free(q);
  mi_collect(true);
  test_nothing_left();
}

/* One large block after the other: never two. */
static void is_not_there_twice(void) {
  uint8_t* p = block_freed_in_pause();
  pause_ends();
  for (int i = 0; i < 3; i++) {
    p = block_make();
    CHECK(mi_commit_totals.xcommitted < SIZE + SIZE / 2);
    pause_begins();
    free_late(p);
    CHECK(block_is_whole(p));
    pause_ends();
  }
  CHECK(mi_commit_totals.xpeak_committed < SIZE + SIZE / 2);
}

static void goes_with_a_round(void) {
  mi_option_set(mi_option_purge_thread, 0);
  mi_option_set(mi_option_purge_delay, 2);
  uint8_t* p = block_freed_in_pause();
  for (int i = 0; i < 10; i++) {
    mi_purger_run(false);
    mi_os_sleep_ms(5);
  }
  CHECK(block_is_whole(p));
  pause_ends();
  for (int i = 0; i < 10000 && is_mapped(p); i++) {
    mi_purger_run(false);
    mi_os_sleep_ms(1);
  }
  CHECK(!is_mapped(p));
}

/* Without a call, by the thread, which a pause does not end. */
static void goes_by_itself(void) {
  mi_option_set(mi_option_purge_thread, 1);
  mi_option_set(mi_option_purge_delay, 20);
  uint8_t* p = block_freed_in_pause();
  CHECK(mi_malloc(MI_MiB) != NULL);                                       /* begins the thread */
  CHECK(mi_purger_has_thread());
  mi_os_sleep_ms(200);
  CHECK(block_is_whole(p));
  pause_ends();
  for (int i = 0; i < 10000 && is_mapped(p); i++) mi_os_sleep_ms(1);
  CHECK(!is_mapped(p));
}

/* By default, too, where there are threads, though nothing else is due and little is committed: whoever frees
   a file begins the thread at the end (mi_cap_unmap_held). */
static void* sleeps(void* ms) {
  mi_os_sleep_ms((uint32_t)(uintptr_t)ms);
  return NULL;
}
static int some_file(void);
static void a_file_goes_by_itself(void) {
  pthread_t thread;
  mi_option_set(mi_option_purge_thread, -1);
  mi_option_set(mi_option_purge_delay, 20);
  mi_file_t* file = mi_mapping_file(some_file(), 10000);
  CHECK(file != NULL && pthread_create(&thread, NULL, &sleeps, (void*)60000) == 0);
  const uint8_t* start = file->start;
  CHECK(mi_load_relaxed(&mi_commit_totals.xcommitted) < MI_PURGE_THREAD_MIN && !mi_purger_has_thread());
  mi_purger_freed();
  CHECK(!mi_purger_has_thread());
  mi_local()->frees_late = true;
  mi_mapping_file_give(file);
  mi_local()->frees_late = false;
  CHECK(is_mapped(start));
  mi_purger_freed();
  CHECK(mi_purger_has_thread());
  for (int i = 0; i < 10000 && is_mapped(start); i++) mi_os_sleep_ms(1);
  CHECK(!is_mapped(start));
}

static void goes_when_asked_for(void) {
  uint8_t* p = block_freed_in_pause();
  mi_collect(false);
  CHECK(block_is_whole(p));
  mi_collect(true);
  CHECK(!is_mapped(p));
  test_nothing_left();
}

static void goes_at_the_limit(void) {
  block_freed_in_pause();
  mi_option_set(mi_option_commit_limit, (long)((SIZE + SIZE / 2) / MI_KiB));
  uint8_t* p = block_make();
  CHECK(is_paused() && !something_waits());
  mi_free(p);
}

static void goes_when_the_system_refuses(void) {
  block_freed_in_pause();
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 1, 1);
  uint8_t* p = block_make();
  CHECK(is_paused() && !something_waits());
  mi_free(p);
}

/* Slices wait, too, also those that are purged at once else. */
static void slices_are_not_purged(void) {
  static const long delays[] = { 0, 2 };
  mi_option_set(mi_option_purge_thread, 0);
  for (int i = 0; i < 2; i++) {
    mi_option_set(mi_option_purge_delay, delays[i]);
    uint8_t* p = mi_malloc(MI_MiB);
    CHECK(p != NULL && mi_page_of(p)->arena != MI_ARENA_NONE);
    much();
    p[MI_MiB / 2] = 3;
    pause_begins();
    free_late(p);
    for (int k = 0; k < 10; k++) {
      mi_purger_run(false);
      mi_purger_run_piece();
      mi_os_sleep_ms(5);
    }
    CHECK_AT(p[MI_MiB / 2] == 3, "the delay is %ld", delays[i]);
    pause_ends();
    for (int k = 0; k < 10000 && p[MI_MiB / 2] != 0; k++) {
      mi_purger_run(false);
      mi_os_sleep_ms(1);
    }
    CHECK_AT(p[MI_MiB / 2] == 0, "the delay is %ld", delays[i]);
  }
}

/* ---- fork, and others ---- */

/* What waits in the parent waits in the child, and each has its own. */
static void in_a_child(void) {
  uint8_t* p = block_freed_in_pause();
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(block_is_whole(p));
    pause_ends();
    void* q = mi_malloc(2 * MI_MiB);
    CHECK(q != NULL && !something_waits() && mi_check_all() == 0);
    _exit(0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(block_is_whole(p));
  mi_collect(true);
  CHECK(!is_mapped(p));
  test_nothing_left();
}

enum { THREADS = 4, TIMES = TEST_SANITIZED ? 100 : 1000 };

static void* makes_and_frees(void* fd) {
  for (int i = 0; i < TIMES; i++) {
    uint8_t* p = mi_malloc(SIZE);
    mi_file_t* file = mi_mapping_file((int)(intptr_t)fd, 10);
    CHECK(p != NULL && file != NULL);
    p[SIZE / 2] = file->start[0];
    if (i % 2 == 0) mi_free(p); else free_late(p);
    mi_local()->frees_late = i % 3 != 0;
    mi_mapping_file_give(file);
    mi_local()->frees_late = false;
  }
  return NULL;
}

static int some_file(void) {
  char text[10000];
  FILE* f = tmpfile();
  memset(text, 'x', sizeof text);
  CHECK(f != NULL && fwrite(text, sizeof text, 1, f) == 1 && fflush(f) == 0);
  return fileno(f);
}

/* Pauses come and go, processes are forked: nothing is unmapped twice, and nothing is left. */
static void several_threads(void) {
  arenas_are_small();
  pthread_t thread[THREADS];
  const int fd = some_file();
  mi_clock_set_pause(&is_paused);
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_create(&thread[i], NULL, &makes_and_frees, (void*)(intptr_t)fd) == 0);
  for (int i = 0; i < 30; i++) {
    mi_store_relaxed(&xpaused, i % 2 == 0);
    mi_mapping_unmap_waiting(i % 3 == 0);
#ifndef __SANITIZE_THREAD__
    const pid_t pid = fork();
    int status;
    if (pid == 0) {
      mi_mapping_unmap_waiting(true);
      _exit(mi_malloc(MI_MiB) != NULL && !something_waits() ? 0 : 1);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
    mi_os_sleep_ms(1);
  }
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(thread[i], NULL) == 0);
  mi_collect(true);
  CHECK(!mi_mapping_unmap_waiting(true));
  test_nothing_left();
}

/* ---- files ---- */

static void files(void) {
  const int fd = some_file();
  for (int i = 0; i < 2; i++) {
    mi_file_t* file = mi_mapping_file(fd, 10000);
    CHECK(file != NULL && test_all(file->start, 10000, 'x'));
    const uint8_t* start = file->start;
    CHECK(mi_memory_page_of(start) == NULL && mi_commit_totals.xmappings == 0);
    if (i == 1) pause_begins();
    mi_local()->frees_late = (i == 1);
    mi_mapping_file_give(file);
    mi_local()->frees_late = false;
    CHECK(is_mapped(start) == (i == 1) && is_mapped(start + 9999) == (i == 1));
    if (i == 0) continue;
    CHECK(test_all(start, 10000, 'x'));
    pause_ends();
    CHECK(mi_mapping_unmap_waiting(false) && !is_mapped(start) && !is_mapped(start + 9999));
  }
}

/* Before another one is made. */
static void files_do_not_heap_up(void) {
  const int fd = some_file();
  const size_t before = test_mapped();
  for (int i = 0; i < 1000; i++) {
    mi_file_t* file = mi_mapping_file(fd, 10000);
    CHECK(file != NULL);
    mi_local()->frees_late = true;
    mi_mapping_file_give(file);
    mi_local()->frees_late = false;
  }
  CHECK(test_mapped() < before + 2 * MI_MiB);
}

static void files_that_cannot_be_mapped(void) {
  errno = 0;
  CHECK(mi_mapping_file(-1, 10) == NULL && errno == EBADF);
  const int fd = some_file();
  mi_os_fail_call(MI_OS_MAP_FILE, MI_OS_AT_START, 1, 1);
  CHECK(mi_mapping_file(fd, 10) == NULL && errno == ENOMEM);
  mi_file_t* file = mi_mapping_file(fd, 10);
  CHECK(file != NULL);
  mi_mapping_file_give(file);
}

TEST_MAIN("mapping", TEST(is_no_block), TEST(is_committed), TEST(others_go_at_once),
          TEST(goes_with_next_malloc), TEST(is_not_there_twice), TEST(goes_with_a_round),
          TEST(goes_by_itself), TEST(a_file_goes_by_itself), TEST(goes_when_asked_for),
          TEST(goes_at_the_limit), TEST(goes_when_the_system_refuses), TEST(slices_are_not_purged),
          TEST(in_a_child), TEST(several_threads), TEST(files), TEST(files_do_not_heap_up),
          TEST(files_that_cannot_be_mapped))
