/* remote.h: the ownership word, step by step and by threads. test/c/model runs it exhaustively. */
#include <pthread.h>

#include "core/remote.h"
#include "test.h"

static mi_xword_t word;
enum { KEY = 77 };
static mi_xkey_t key = KEY;
static mi_atomic(uint32_t) next_of[70000];       /* the links, by slot */
static void set_next(void* block, uint32_t next) { mi_store_relaxed((mi_atomic(uint32_t)*)block, next); }
static mi_remote_t push(uint32_t slot) {
  return mi_remote_push(&word, &key, KEY, slot, 0, &set_next, &next_of[slot]);
}

static size_t length(mi_xlist_t list) {
  size_t n = 0;
  for (uint32_t slot = list.head; slot != 0; slot = next_of[slot]) n++;
  return n;
}

static void in_owned(void) {
  CHECK_EQ(push(1), MI_REMOTE_DEAD);
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  CHECK_EQ(mi_xword_state(word), MI_PAGE_OWNED);
  for (uint32_t s = 1; s <= 4096; s++) CHECK_EQ(push(s), MI_REMOTE_DONE);
  CHECK_EQ(mi_xword_count(word), 4096);
  CHECK(!mi_remote_release(&word, MI_PAGE_FULL, 5));
  mi_xlist_t list;
  CHECK(!mi_remote_acquire(&word, true, &list));
  list = mi_remote_collect(&word);
  CHECK(list.count == 4096 && length(list) == 4096 && list.head == 4096);
  list = mi_remote_collect(&word);
  CHECK(list.count == 0 && list.head == 0);
  CHECK(mi_remote_death(&word));
  CHECK_EQ(mi_xword_state(word), MI_PAGE_DEAD);
}

static void full_to_pooled_to_last(void) {
  mi_xlist_t list;
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  CHECK(mi_remote_release(&word, MI_PAGE_FULL, 4));
  CHECK(mi_xword_state(word) == MI_PAGE_FULL && mi_xword_count(word) == 4);
  CHECK_EQ(push(32768), MI_REMOTE_INDEX);
  CHECK_EQ(mi_xword_head(word), 32768);
  CHECK_EQ(push(9), MI_REMOTE_SPARSER);
  CHECK_EQ(mi_xword_state(word), MI_PAGE_POOLED);
  CHECK(mi_remote_acquire(&word, true, &list));
  CHECK(list.count == 2 && length(list) == 2 && mi_xword_state(word) == MI_PAGE_OWNED
        && mi_xword_count(word) == 0);
  CHECK(mi_remote_release(&word, MI_PAGE_POOLED, 2));
  CHECK_EQ(push(1), MI_REMOTE_SPARSER);
  CHECK_EQ(push(2), MI_REMOTE_LAST);
  CHECK(mi_xword_state(word) == MI_PAGE_OWNED && mi_xword_head(word) == 0 && mi_xword_count(word) == 0);
  CHECK(mi_remote_death(&word));
  CHECK_EQ(push(2), MI_REMOTE_DEAD);
}

/* Whenever a quarter to a third is gone: at 3/4 and 1/2 of a power of two; each of the last eight. */
static void sparser(void) {
  uint32_t nsparser = 0, last = 4096;
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  CHECK(mi_remote_release(&word, MI_PAGE_POOLED, 4096));
  for (uint32_t live = 4095; live > 0; live--) {
    const mi_remote_t todo = push(live);
    CHECK_EQ(mi_xword_count(word), live);
    if (todo == MI_REMOTE_DONE) continue;
    CHECK_EQ(todo, MI_REMOTE_SPARSER);
    CHECK(live * 4 == last * 3 || live * 3 == last * 2 || live < 8);
    last = live, nsparser++;
  }
  CHECK_EQ(nsparser, 25);
  CHECK_EQ(push(4096), MI_REMOTE_LAST);
  CHECK(mi_remote_death(&word));
}

static void one_block(void) {
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  CHECK(mi_remote_release(&word, MI_PAGE_FULL, 1));
  CHECK_EQ(push(1), MI_REMOTE_LAST);
}

/* A2 takes what is pooled only, H1 a full page too. */
static void full_or_pooled(void) {
  mi_xlist_t list;
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  CHECK(mi_remote_release(&word, MI_PAGE_FULL, 1));
  CHECK(!mi_remote_acquire(&word, false, &list));
  CHECK(mi_remote_acquire(&word, true, &list));
  CHECK(mi_remote_release(&word, MI_PAGE_POOLED, 1));
  CHECK(mi_remote_acquire(&word, false, &list) && list.count == 1 && list.head == 0);
}

/* A pinned page does not die before the push that ends the pin. */
static void pins(void) {
  uint64_t w = word;
  CHECK(!mi_remote_pin(&word, w));               /* DEAD */
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  w = word;
  CHECK(mi_remote_pin(&word, w));
  CHECK(!mi_remote_pin(&word, w));               /* changed since: to be looked at again */
  CHECK(mi_remote_pin(&word, word));
  CHECK(!mi_remote_death(&word));
  CHECK_EQ(mi_remote_push(&word, &key, KEY, 7, 1, &set_next, &next_of[7]), MI_REMOTE_DONE);
  CHECK(!mi_remote_death(&word));
  CHECK_EQ(mi_remote_push(&word, &key, KEY, 8, 1, &set_next, &next_of[8]), MI_REMOTE_DONE);
  CHECK_EQ(mi_remote_collect(&word).count, 2);
  CHECK(mi_remote_death(&word) && mi_xword_state(word) == MI_PAGE_DEAD);
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  int n = 0;
  while (mi_remote_pin(&word, word)) n++;
  CHECK_EQ(n, 63);                               /* no more than fit: the 64th tries again */
  while (n-- > 0) mi_remote_push(&word, &key, KEY, 1, 1, &set_next, &next_of[1]);
  CHECK(mi_remote_death(&word));
}

static void version_changes(void) {
  mi_xlist_t list;
  uint64_t last = word >> 44;
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  for (int i = 0; i < 100; i++) {
    CHECK(word >> 44 != last);
    last = word >> 44;
    CHECK(mi_remote_release(&word, i % 2 ? MI_PAGE_FULL : MI_PAGE_POOLED, 3));
    CHECK(word >> 44 != last);
    last = word >> 44;
    CHECK(mi_remote_acquire(&word, true, &list));
  }
  word |= ~(uint64_t)0 << 44;                    /* it wraps and touches nothing else */
  CHECK(mi_remote_release(&word, MI_PAGE_FULL, 3));
  CHECK(word >> 44 == 0 && mi_xword_count(word) == 3 && mi_xword_head(word) == 0
        && mi_xword_state(word) == MI_PAGE_FULL);
}

/* ---- threads ---- */

enum { THREADS = 4, EACH = 10000 };
static mi_atomic(size_t) last_seen, index_seen, sparser_seen, done;

static void* pusher(void* arg) {
  const uint32_t first = (uint32_t)(uintptr_t)arg * EACH + 1;
  for (uint32_t s = first; s < first + EACH; s++) {
    const mi_remote_t todo = push(s);
    if (todo == MI_REMOTE_LAST) mi_add_relaxed(&last_seen, 1);
    if (todo == MI_REMOTE_INDEX) mi_add_relaxed(&index_seen, 1);
    if (todo == MI_REMOTE_SPARSER) mi_add_relaxed(&sparser_seen, 1);
    CHECK(todo != MI_REMOTE_DEAD);
  }
  mi_add_relaxed(&done, 1);
  return NULL;
}

static void start(pthread_t* t) {
  for (uintptr_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, &pusher, (void*)i), 0);
}
static void join(pthread_t* t) { for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL); }

static void push_and_collect(void) {
  pthread_t t[THREADS];
  size_t n = 0;
  bool end;
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  start(t);
  do {
    end = mi_load_acquire(&done) == THREADS;
    const mi_xlist_t list = mi_remote_collect(&word);
    CHECK_EQ(length(list), list.count);
    n += list.count;
  } while (!end);
  join(t);
  CHECK_EQ(n, THREADS * EACH);
  CHECK(last_seen == 0 && index_seen == 0);
}

static void push_to_the_last(void) {
  pthread_t t[THREADS];
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  CHECK(mi_remote_release(&word, MI_PAGE_FULL, THREADS * EACH));
  start(t);
  join(t);
  CHECK(last_seen == 1 && index_seen == 1);
  CHECK_EQ(sparser_seen, 16 + 14 + 2);           /* 1 .. 32768, 3 .. 24576, 5 and 7: each by who came to it */
  CHECK_EQ(mi_xword_state(word), MI_PAGE_OWNED);
}

/* Adopters take and give up while others free: every block is counted once. */
static void push_and_adopt(void) {
  pthread_t t[THREADS];
  mi_xlist_t list;
  size_t live = THREADS * EACH;
  mi_remote_birth(&word, MI_PAGE_OWNED, 0);
  CHECK(mi_remote_release(&word, MI_PAGE_POOLED, (uint32_t)live));
  start(t);
  while (live > 0 && last_seen == 0) {
    if (!mi_remote_acquire(&word, true, &list)) continue;
    CHECK_EQ(length(list), live - list.count);
    live = list.count;
    while (live > 0 && !mi_remote_release(&word, MI_PAGE_POOLED, (uint32_t)live)) {
      list = mi_remote_collect(&word);
      CHECK_EQ(length(list), list.count);
      live -= list.count;
    }
  }
  join(t);
  CHECK_EQ(last_seen, live > 0);  /* either the last freer has the page, or it came back empty */
}

TEST_MAIN("remote", TEST(in_owned), TEST(full_to_pooled_to_last), TEST(sparser), TEST(one_block),
          TEST(full_or_pooled), TEST(pins), TEST(version_changes), TEST(push_and_collect),
          TEST(push_to_the_last), TEST(push_and_adopt))
