/* mend.h: two frees of one block at the same moment. What is live is counted, no block is handed out twice,
   and no page dies with a live block in it, whoever the two are; step by step, and by threads. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/holes.h"
#include "core/mend.h"
#include "core/purger.h"
#include "test.h"

enum { SIZE = 1024, N = 64 };            /* a page of 64 */

/* A free by another owner that has looked at its block and been held up since; `twice_end`
   is the rest of it. */
static mi_remote_t twice_end(void* p) {
  mi_page_t* page = mi_page_of(p);
  return mi_page_remote_free(page, mi_page_bin(page), p, page->xkey, false);
}

/* The holder has the block again, and frees all others: by the counts none is live. */
static void no_death_with_a_live_block(void) {
  for (int how = 0; how < 2; how++) {
    test_expect_errors();
    owners_begin();
    uint8_t* p[4];
    for (int i = 0; i < 4; i++) CHECK((p[i] = o_malloc(0, SIZE)) != NULL);
    mi_page_t* page = mi_page_of(p[0]);
    o_free(0, p[0]);  /* marked, as it is when both have marked it */
    CHECK_EQ(twice_end(p[0]), MI_REMOTE_DONE);
    uint8_t* q = o_malloc(0, SIZE);
    /* the rest of the page stays live */
    while (q != p[0]) CHECK((q = o_malloc(0, SIZE)) != NULL && mi_page_of(q) == page);
    test_fill(q, SIZE, 1);
    mi_owner_drain(owners[0], how);  /* collects: `used` is one too low */
    if (how == 1) mi_owner_end(owners[0]);
    for (uint8_t* b = page->start; b < page->start + N * SIZE; b += SIZE)
      if (b != q && mi_block_usable(b) != 0)
        mi_free_as(b, how == 1 ? owners[1] : owners[0], mi_id_of_capability((uint32_t)how));
    CHECK(mi_block_usable(q) >= SIZE && test_filled(q, SIZE, 1));
    CHECK_EQ(mi_check_all(), 0);
    if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), 1);
    mi_report_pending();
    CHECK(test_nerrors > 0 && test_last_error == EAGAIN);
    o_free(1, q);
    if (how == 1) CHECK((owners[0] = mi_owner_begin(MI_OWNER_CAPABILITY, mi_id_of_capability(0))) != NULL);
    owners_end();
    test_nothing_left();
  }
}

/* More is collected than was live. */
static void more_than_live(void) {
  test_expect_errors();
  owners_begin();
  void* p[3];
  for (int i = 0; i < 3; i++) CHECK((p[i] = o_malloc(0, SIZE)) != NULL);
  for (int i = 0; i < 2; i++) {
    o_free(0, p[i]);
    twice_end(p[i]);
  }
  mi_owner_drain(owners[0], false);
  CHECK_EQ(mi_block_usable(p[2]), SIZE);
  CHECK_EQ(mi_check_all(), 0);
  if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), 1);
  o_free(0, p[2]);
  owners_end();
  test_nothing_left();
}

/* A block in a hole is freed again, and then so few seem to be live that none is. The next round makes holes
   anew. */
static void holes_come_again(void) {
  test_expect_errors();
  owners_begin();
  void* p[N];
  for (int i = 0; i < N; i++) CHECK((p[i] = o_malloc(0, SIZE)) != NULL);
  mi_page_t* page = mi_page_of(p[0]);
  for (int i = 2; i < N; i++) o_free(0, p[i]);
  mi_owner_abandon(owners[0]);
  mi_purger_run_pages();
  CHECK(mi_page_of(p[40]) == page && mi_page_where(page) == MI_WHERE_SEARCHED);
  CHECK(mi_holes_touch(page, p[40]));
  CHECK_EQ(twice_end(p[40]), MI_REMOTE_SPARSER);
  o_free(1, p[1]);
  CHECK(test_nerrors > 0 && !mi_holes_touch(page, p[40]));
  CHECK_EQ(mi_check_all(), 0);
  mi_purger_run_pages();
  CHECK(mi_holes_touch(page, p[40]) && mi_block_usable(p[0]) == SIZE);
  o_free(1, p[0]);
  owners_end();
  test_nothing_left();
}

/* A push that comes when its page has died, or has had its next life, changes nothing. */
static void too_late(void) {
  owners_begin();
  void* p = o_malloc(0, SIZE);
  mi_page_t* page = mi_page_of(p);
  const uint64_t key = page->key;
  o_free(0, p);
  mi_owner_drain(owners[0], true);
  CHECK_EQ(mi_page_remote_free(page, mi_page_bin(page), p, key, false), MI_REMOTE_DEAD);
  CHECK(o_malloc(0, SIZE) != NULL && page->key != key && page->xkey == page->key);
  const uint64_t w = page->xword;
  if (mi_page_of(p) == page && mi_xword_state(w) == MI_PAGE_OWNED)
    CHECK(mi_page_remote_free(page, mi_page_bin(page), p, key, false) == MI_REMOTE_DEAD && page->xword == w);
  owners_end();
}

/* Every life has a key of its own, also in a child of fork. */
static void keys(void) {
  enum { LIVES = 300 };
  static uint64_t seen[LIVES];
  owners_begin();
  for (int i = 0; i < LIVES; i++) {
    void* p = o_malloc(0, (size_t)(16 << i % 9));
    seen[i] = mi_page_of(p)->key;
    CHECK(seen[i] != 0 && mi_page_of(p)->xkey == seen[i]);
    for (int k = 0; k < i; k++) CHECK(seen[k] != seen[i]);
    o_free(0, p);
    mi_owner_drain(owners[0], true);
    if (i == LIVES / 2) mi_page_after_fork();
  }
  owners_end();
}

/* Those that a child of fork draws its parent does not draw. */
enum { DRAWN = 200 };
static void draw(uint64_t* key) {
  for (int i = 0; i < DRAWN; i++) {
    void* p = mi_malloc(100000);
    key[i] = mi_page_of(p)->key;
    mi_free(p);
  }
}

static void keys_of_child(void) {
  static uint64_t mine[DRAWN];
  uint64_t* childs = mmap(NULL, sizeof mine, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int status;
  CHECK(childs != MAP_FAILED);
  draw(mine);
  const pid_t child = fork();
  if (child == 0) {
    draw(childs);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  draw(mine);
  for (int i = 0; i < DRAWN; i++) for (int k = 0; k < DRAWN; k++) CHECK(mine[i] != childs[k]);
}

/* ---- threads ---- */

enum { TRIALS = 20000 };
static mi_atomic(void*) block;
static mi_atomic(int) turn;
static mi_atomic(size_t) nerrors;
static void count_error(int err, void* arg) { (void)err; (void)arg; mi_add_relaxed(&nerrors, 1); }

static void* other(void* unused) {
  (void)unused;
  for (int i = 1; i <= TRIALS; i++) {
    test_await(&turn, i);
    mi_free(mi_load_relaxed(&block));
    mi_store_release(&turn, -i);                                          /* pairs with test_await */
  }
  return NULL;
}

/* `elsewhere`: the block is a third thread's, so that both frees are remote: of these one is
   told, each time. */
static void both_free(bool elsewhere) {
  pthread_t t;
  test_expect_errors();
  mi_register_error(&count_error, NULL);
  mi_heap_t* heap = elsewhere ? mi_heap_new() : NULL;
  CHECK_EQ(pthread_create(&t, NULL, &other, NULL), 0);
  for (int i = 1; i <= TRIALS; i++) {
    void* keep[3];
    const size_t before = mi_load_relaxed(&nerrors);
    void* p = elsewhere ? mi_heap_malloc(heap, 48) : mi_malloc(48);
    for (int k = 0; k < 3; k++)
      test_fill(keep[k] = elsewhere ? mi_heap_malloc(heap, 48) : mi_malloc(48), 48, (uint64_t)k);
    mi_store_relaxed(&block, p);
    mi_store_release(&turn, i);                                           /* pairs with test_await */
    for (volatile int d = i % 40; d > 0; d--) {}
    mi_free(p);
    test_await(&turn, -i);
    if (elsewhere) CHECK_EQ(mi_load_relaxed(&nerrors), before + 1);
    for (int k = 0; k < 3; k++) {
      CHECK(test_filled(keep[k], 48, (uint64_t)k));
      mi_free(keep[k]);
    }
    if (i % 1000 == 0) CHECK_EQ(mi_check_all(), 0);
  }
  pthread_join(t, NULL);
  if (heap != NULL) mi_heap_delete(heap);
  CHECK_EQ(mi_check_all(), 0);
  mi_collect(true);
  if (MI_CHECK >= 2) test_nothing_left();  /* else what nobody has met yet was not mended */
}

static void holder_and_another(void) { both_free(false); }
static void two_others(void) { both_free(true); }

TEST_MAIN("mend", TEST(no_death_with_a_live_block), TEST(more_than_live), TEST(holes_come_again),
          TEST(too_late), TEST(keys), TEST(keys_of_child), TEST(holder_and_another), TEST(two_others))
