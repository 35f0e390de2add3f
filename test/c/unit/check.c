/* The walker (cbits/debug/check.c): each kind of damage is found. Only in the checking builds; in
   others it says 0. */
#include <signal.h>

#include "core/check.h"
#include "core/heap.h"
#include "test.h"

static void* p[300];
static mi_page_t* page;                  /* p[0]'s, in a queue and half used */
static mi_page_t *full, *parked;

static void begin(void) {
  mi_option_set(mi_option_show_errors, 0);
  owners_begin();
  for (int i = 0; i < 300; i++) {
    p[i] = o_malloc(0, 1000);
    if (i == 150) mi_queue_unpark_all(&owners[0]->main);
  }
  full = mi_page_of(p[100]);
  parked = mi_page_of(p[200]);
  page = mi_page_of(p[299]);
  o_free(0, p[298]);
  o_free(1, p[297]);
  CHECK_EQ(mi_check_all(), 0);
  if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), 298);
}

/* `damage` is done, found (at least one invariant), and undone. */
#define FOUND(field, value) do { \
    __typeof__(field) before = (field); \
    (field) = (value); \
    CHECK_AT((mi_check_all() > 0) == (MI_CHECK >= 2), "%s = %s", #field, #value); \
    (field) = before; \
    CHECK_EQ(mi_check_all(), 0); \
  } while (0)

static void silence(const char* text, void* arg) { (void)text; (void)arg; }

static void pages(void) {
  begin();
  mi_register_output(&silence, NULL);
  mi_block_t* last = (mi_block_t*)p[298];
  FOUND(page->start, page->start + MI_SLICE_SIZE);
  FOUND(page->capacity, page->capacity + 1);
  FOUND(page->reserved, 3);
  FOUND(page->xtop, page->xtop + 16);
  FOUND(page->recip, page->recip + 1);
  FOUND(page->xused, page->xused + 1);
  FOUND(page->xowner, 0);
  FOUND(page->xword, page->xword + MI_XCOUNT_ONE);
  FOUND(page->lheap, NULL);
  FOUND(page->xbin, 3);
  FOUND(page->xheap, NULL);
  FOUND(last->xmark, 0);
  FOUND(full->xowner, 16);
  FOUND(full->xword, full->xword + MI_XCOUNT_ONE);
  FOUND(full->local_free, (mi_block_t*)p[100]);
  FOUND(parked->xused, 2);
  FOUND(parked->xwhere, MI_WHERE_QUEUED);
  FOUND(parked->lheap, NULL);
}

/* Where a page is, and its word, queues and bits: each that disagrees is found. */
static void places(void) {
  begin();
  mi_register_output(&silence, NULL);
  void* left = o_malloc(1, 1000);
  mi_page_t *pooled = mi_page_of(left), *single = mi_page_of(o_malloc(0, 200000));
  void* kept = o_malloc(0, 100000);
  mi_page_t *cached = mi_page_of(kept), *dead = single + 1;
  FOUND(page->xsample, 1);
  FOUND(single->xsample, 1);
  mi_lheap_end(&owners[1]->main);
  o_free(0, kept);
  CHECK(mi_page_where(pooled) == MI_WHERE_POOLED && mi_page_where(single) == MI_WHERE_SINGLE
        && mi_page_where(dead) == MI_WHERE_DEAD);
  CHECK(mi_page_where(page) == MI_WHERE_QUEUED && mi_page_where(full) == MI_WHERE_FULL
        && mi_page_where(parked) == MI_WHERE_PARKED);
  CHECK_EQ(mi_page_where(cached), MI_WHERE_CACHED);
  CHECK_EQ(mi_check_all(), 0);
  FOUND(page->xwhere, MI_WHERE_POOLED);
  FOUND(page->xwhere, MI_WHERE_WATCHED);
  FOUND(page->xwhere, MI_WHERE_RETIRED);
  FOUND(page->xwhere, MI_WHERE_DEAD);
  FOUND(full->xwhere, MI_WHERE_SEARCHED);
  FOUND(full->xwhere, MI_WHERE_PARKED);
  FOUND(pooled->xwhere, MI_WHERE_FULL);
  FOUND(pooled->xwhere, MI_WHERE_QUEUED);
  FOUND(single->xwhere, MI_WHERE_FULL);
  FOUND(cached->xwhere, MI_WHERE_POOLED);
  FOUND(dead->xwhere, MI_WHERE_QUEUED);
  FOUND(pooled->lheap, &owners[1]->main);
  FOUND(full->next, page);
  FOUND(parked->xleft_out, 0);
  FOUND(page->xleft_out, 1);
  mi_arena_t* a = mi_arena_of_address(left);
  const size_t i = mi_arena_slice_of(a, pooled->start);
  FOUND(mi_arena_pool(a, mi_page_bin(pooled))[i / 64], 0);
  FOUND(a->changed[i / 64], 0);
}

static void local_heaps(void) {
  begin();
  mi_register_output(&silence, NULL);
  mi_lheap_t* lh = &owners[0]->main;
  FOUND(lh->direct[1], page);
  FOUND(lh->xcounts.pages, lh->xcounts.pages + 1);
  FOUND(lh->queue[page->xbin].last, NULL);
  FOUND(lh->parked[page->xbin].last, NULL);
  FOUND(lh->nparked[page->xbin], 0);
  FOUND(lh->parked_slices, 0);
  FOUND(owners[0]->id, 17);
  FOUND(owners[0]->id, owners[1]->id);
}

static void arenas(void) {
  begin();
  mi_register_output(&silence, NULL);
  mi_arena_t* a = mi_arena_of_address(p[0]);
  const size_t i = mi_arena_slice_of(a, page->start);
  FOUND(a->free[i / 64], a->free[i / 64] | (uint64_t)1 << i % 64);
  FOUND(mi_commit_totals.xcommitted, 0);
  CHECK(mi_pagemap_set(page->start, 1, NULL));
  CHECK_EQ(mi_check_all() > 0, MI_CHECK >= 2);
  CHECK(mi_pagemap_set(page->start, 1, page));
}

static char said[4000];
static void keep(const char* text, void* arg) {
  (void)arg;
  strncat(said, text, sizeof said - strlen(said) - 1);
}
static void dump(void) {
  begin();
  mi_register_output(&keep, NULL);
  mi_check_dump();
  if (MI_CHECK < 2) { CHECK(said[0] == 0); return; }
  CHECK(strncmp(said, "mimalloc: ", 10) == 0 && strstr(said, " pages, 298 live blocks; committed ") != NULL);
  CHECK(strstr(said, "\n  owner 0 id 0x10 capability: ") != NULL
        && strstr(said, "\n  owner 7 id 0x80 capability: 0 pages held, 0 fresh, ") != NULL);
}

static void assertion(void) { mi_assert(page == (mi_page_t*)1); }
static void assertions_end_the_process(void) {
  CHECK_EQ(test_dies(&assertion, SIGABRT), MI_CHECK >= 1);
}

TEST_MAIN("check", TEST(pages), TEST(places), TEST(local_heaps), TEST(arenas), TEST(dump),
          TEST(assertions_end_the_process))
