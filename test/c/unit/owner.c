/* owner.h: the table, the slots, what an owner leaves. */
#include <pthread.h>

#include "core/owner.h"
#include "test.h"

static void table(void) {
  enum { N = 1000 };
  static mi_owner_t* o[N];
  CHECK(mi_owner_slots() == 0 && mi_owner_at(0) == NULL && mi_owner_at(100000) == NULL);
  for (uint32_t i = 0; i < N; i++) {
    CHECK((o[i] = mi_owner_begin(MI_OWNER_THREAD, 0x100000 + 16 * i)) != NULL);
    CHECK(mi_owner_at(o[i]->slot) == o[i] && o[i]->id == 0x100000 + 16 * i && o[i]->xkind == MI_OWNER_THREAD);
  }
  CHECK_EQ(mi_owner_slots(), N);
  CHECK_EQ(mi_check_all(), 0);
  for (uint32_t i = 0; i < N; i++) mi_owner_end(o[i]);
  for (uint32_t i = 0; i < N; i++) CHECK_EQ(mi_owner_at(i)->xkind, MI_OWNER_UNUSED);
  for (uint32_t i = 0; i < N; i++) CHECK((o[i] = mi_owner_begin(MI_OWNER_THREAD, 0x200000 + 16 * i)) != NULL);
  CHECK_EQ(mi_owner_slots(), N);                 /* slots are used again */
}

static void same_id_again(void) {
  void* p[2000];
  for (int round = 0; round < 20; round++) {
    mi_owner_t* o = mi_owner_begin(MI_OWNER_THREAD, 0x10000);
    for (int i = 0; i < 2000; i++) {
      if (round > 0) mi_free_as(p[i], o, o->id);
      CHECK((p[i] = mi_alloc_malloc(&o->main, (size_t)i)) != NULL);
    }
    CHECK_EQ(mi_check_all(), 0);
    mi_owner_end(o);
  }
  for (int i = 0; i < 2000; i++) mi_free_as(p[i], NULL, 0x10000);  /* by a thread with that id and no heap */
  test_nothing_left();
}

static void drain(void) {
  owners_begin();
  void* p[500];
  for (int i = 0; i < 500; i++) p[i] = o_malloc(0, 300);
  for (int i = 0; i < 500; i++) o_free(1, p[i]);
  mi_owner_drain(owners[0], false);
  CHECK_EQ(owners[0]->main.xcounts.pages, 0);
  owners_end();
  test_nothing_left();
}

/* What sleeps keeps nothing: pages without live blocks go back, others are nobody's and go with
   their last block. */
static void abandon(void) {
  owners_begin();
  void *p[3000], *q[300];
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  mi_lheap_t* lh = mi_heap_lheap(heap, owners[0]);
  for (int i = 0; i < 3000; i++) p[i] = o_malloc(0, (size_t)(i * 37 % 20000));
  for (int i = 0; i < 300; i++) CHECK((q[i] = mi_alloc_malloc(lh, (size_t)i)) != NULL);
  for (int i = 0; i < 3000; i++) if (i % 10 != 0) o_free(i % 2, p[i]);
  mi_owner_abandon(owners[0]);
  CHECK(owners[0]->main.xcounts.pages == 0 && lh->xcounts.pages == 0);
  CHECK_EQ(mi_check_all(), 0);
  for (int i = 0; i < 3000; i += 10) o_free(1, p[i]);  /* by another, and its owner does not come back */
  for (int i = 0; i < 300; i++) o_free(2, q[i]);
  for (int o = 1; o < NOWNERS; o++) mi_owner_drain(owners[o], true);
  test_nothing_left();
  for (int i = 0; i < 3000; i++) p[i] = o_malloc(0, 100);    /* or it does */
  mi_owner_abandon(owners[0]);
  mi_owner_abandon(owners[0]);
  void* more = o_malloc(0, 100);
  CHECK(more != NULL && mi_check_all() == 0);
  o_free(0, more);
  for (int i = 0; i < 3000; i++) o_free(0, p[i]);
  mi_heap_end(heap, false);
  owners_end();
  test_nothing_left();
}

static void no_memory(void) {
  mi_os_fail_in(1, SIZE_MAX);
  errno = 0;
  CHECK(mi_owner_begin(MI_OWNER_THREAD, 0x1000) == NULL);
  CHECK_EQ(errno, ENOMEM);
  CHECK_EQ(mi_owner_slots(), 0);
  mi_os_fail_in(0, 0);
  mi_owner_t* o = mi_owner_begin(MI_OWNER_THREAD, 0x1000);
  CHECK(o != NULL && mi_owner_slots() == 1);
  mi_owner_end(o);
}

static void* come_and_go(void* arg) {
  for (int i = 0; i < 500; i++) {
    mi_owner_t* o = mi_owner_begin(MI_OWNER_THREAD, (uintptr_t)arg);
    CHECK(o != NULL && o->id == (uintptr_t)arg && mi_owner_at(o->slot) == o);
    void* p = mi_alloc_malloc(&o->main, 100);
    CHECK(p != NULL);
    if (i % 2) mi_free_as(p, o, o->id);
    mi_owner_end(o);
    if (i % 2 == 0) mi_free_as(p, NULL, (uintptr_t)arg);
  }
  return NULL;
}

static void threads(void) {
  pthread_t t[4];
  for (uintptr_t i = 0; i < 4; i++)
    CHECK_EQ(pthread_create(&t[i], NULL, &come_and_go, (void*)(0x10000 + 16 * i)), 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK(mi_owner_slots() <= 4);
  test_nothing_left();
}

#if MI_CHECK >= 2
static void overlaps(void) {
  owners_begin();
  mi_owner_enter(owners[0]);
  mi_owner_enter(owners[1]);
  mi_owner_leave(owners[0]);
  mi_owner_leave(owners[1]);
  CHECK_EQ(mi_check_overlaps(), 0);
  mi_owner_enter(owners[0]);
  mi_owner_enter(owners[0]);
  CHECK_EQ(mi_check_overlaps(), 1);
  _exit(0);                                      /* the frame wants to see none */
}
#else
static void overlaps(void) { CHECK_EQ(mi_check_overlaps(), 0); }
#endif

TEST_MAIN("owner", TEST(table), TEST(same_id_again), TEST(drain), TEST(abandon), TEST(no_memory),
          TEST(threads), TEST(overlaps))
