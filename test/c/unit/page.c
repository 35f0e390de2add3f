/* page.h: the start check, the three lists, offset blocks; on pages of every class. */
#include "core/page.h"
#include "test.h"

static mi_page_t* page_make(unsigned bin) {
  bool zero;
  const size_t size = mi_bin_size(bin);
  mi_page_t* page =
      mi_memory_claim((size <= MI_SMALL_MAX ? 1 : MI_MEDIUM_SLICES) * MI_SLICE_SIZE, 1, MI_ARENA_NONE, &zero);
  CHECK(page != NULL && mi_page_init(page, size, bin, &mi_main_heap, 0));
  return page;
}

static void page_end(mi_page_t* page) {
  const void* start = page->start;
  if (!mi_page_is_single(page)) mi_page_where_set(page, MI_WHERE_POOLED);   /* it was in no queue */
  mi_page_die(page);
  mi_page_map(page, false);
  CHECK(mi_page_is_none(mi_page_of(start)));
  mi_memory_give(page);
}

static mi_block_t* pop(mi_page_t* page) {
  mi_block_t* b = mi_alloc_pop(page);
  CHECK(b == NULL || (mi_page_of(b) == page && mi_page_is_start(page, b)));
  return b;
}

static void take(mi_page_t* page, mi_block_t** b, int n) {
  for (int i = 0; i < n; i++) while ((b[i] = pop(page)) == NULL) mi_page_extend(page);
}

static void extend_all(mi_page_t* page) {
  while (page->free = &mi_nil, mi_page_extend(page)) {}
}

/* ---- the start check ---- */

static void starts_of(unsigned bin, unsigned step) {
  mi_page_t* page = page_make(bin);
  const size_t size = mi_bin_size(bin), bytes = mi_page_nslices(page) * MI_SLICE_SIZE;
  CHECK(!mi_page_is_start(page, page->start));   /* nothing below capacity yet */
  for (int full = 0; full < 2; full++) {
    if (full) extend_all(page); else mi_page_extend(page);
    const size_t end = page->capacity * size;
    for (size_t at = 0; at < bytes; at += (at % size == 0 || at % size == size - step) ? 1 : step) {
      CHECK_AT(mi_page_is_start(page, page->start + at) == (at % size == 0 && at < end),
               "size = %zu, at = %zu", size, at);
    }
    for (unsigned bit = 48; bit < 64; bit++) {
      CHECK(!mi_page_is_start(page, (void*)((uintptr_t)page->start ^ (uintptr_t)1 << bit)));
      CHECK(!mi_page_is_start(page, (void*)((uintptr_t)page->start | ~(uintptr_t)0 << bit)));
      CHECK(mi_page_block_of(page, (void*)((uintptr_t)page->start ^ (uintptr_t)1 << bit)) == NULL);
    }
    for (uint64_t high = 1; high < 65536; high++)
      CHECK(!mi_page_is_start(page, (void*)((uintptr_t)page->start ^ high << 48)));
  }
  CHECK_EQ(page->capacity, page->reserved);
  CHECK(page->reserved >= 8);
  CHECK((page->recip & 1) != 0 && size * page->recip > 0 && size * page->recip <= 2 * size);
  page_end(page);
}

static void every_start(void) {
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) starts_of(bin, mi_bin_size(bin) <= MI_SMALL_MAX ? 1 : 16);
  test_nothing_left();
}

/* Claimed and pushed, as by another thread. */
static mi_remote_t remote_free(mi_page_t* page, mi_block_t* b) {
  uint64_t was;
  CHECK(mi_remote_claim(&b->xmark, page->xkey, &was));
  return mi_page_remote_free(page, mi_page_bin(page), b, page->xkey, false);
}

/* ---- lists ---- */

static void pop_and_collect(void) {
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin += 7) {
    uint32_t nremote;
    mi_page_t* page = page_make(bin);
    CHECK(pop(page) == NULL && !mi_page_collect(page, &nremote));
    size_t n = 0;
    mi_block_t* block[4096];
    while (mi_page_extend(page)) {
      for (mi_block_t* b; (b = pop(page)) != NULL; n++) {
        CHECK(b->xmark == 0);
        block[n] = b;
      }
    }
    CHECK(n == page->reserved && mi_page_used(page) == n);
    mi_store_relaxed(&page->xowner, 16);         /* play its owner; the last one is kept, so that the
                                                    page is not given up */
    for (size_t i = 0; i + 1 < n; i++) {
      if (i % 2 == 0) CHECK(mi_free_local(block[i], 16));
      else CHECK_EQ(remote_free(page, block[i]), MI_REMOTE_DONE);
    }
    CHECK(!mi_free_local(block[0], 16) && !mi_free_local(block[1], 16));
    CHECK(!mi_free_local(block[n - 1], 32) && !mi_free_local((uint8_t*)block[n - 1] + 8, 16));
    size_t again = 0;
    CHECK(mi_page_collect(page, &nremote));
    CHECK_EQ(nremote, (n - 1) / 2);
    CHECK_EQ(mi_page_used(page), 1);
    do while (pop(page) != NULL) again++; while (mi_page_collect(page, &nremote));
    CHECK_EQ(again, n - 1);
    page_end(page);
  }
}

static void extend_touches_little(void) {
  mi_page_t* page = page_make(1);
  CHECK(mi_page_extend(page));
  CHECK_EQ(page->capacity, MI_EXTEND_BYTES / 16);
  page_end(page);
}

/* ---- damage ---- */

static void damaged_free_list(void) {
  test_expect_errors();
  uint32_t nremote;
  mi_page_t* page = page_make(4);
  mi_page_extend(page);
  mi_store_relaxed(&page->xowner, 16);
  mi_block_t *a = pop(page), *b = pop(page);
  CHECK(a != NULL && (MI_HARD || b != NULL));
  while (b == NULL) { mi_page_extend(page); b = pop(page); }
  CHECK(mi_free_local(a, 16));
  const uint16_t capacity = page->capacity;
  if (page->free == &mi_nil) mi_page_extend(page);
  page->free->xmark = 0;
  CHECK(pop(page) == NULL);
  mi_page_drop_free(page);
  CHECK(test_one_error(EFAULT));
  CHECK(page->free == &mi_nil && page->capacity >= capacity);
  CHECK_EQ(mi_page_used(page), page->capacity - 1);
  CHECK(mi_page_collect(page, &nremote) && pop(page) == a);
  page_end(page);
}

/* A damaged link leads `local_free` in a circle: whatever is lost, live blocks stay counted, or the page
   would be freed with them. */
static void damaged_in_a_circle(void) {
  test_expect_errors();
  mi_page_t* page = page_make(4);
  mi_block_t* b[8];
  take(page, b, 8);
  mi_store_relaxed(&page->xowner, 16);
  CHECK(mi_free_local(b[0], 16) && mi_free_local(b[1], 16));
  b[0]->next = b[1];
  if (page->free == &mi_nil) mi_page_extend(page);
  page->free->xmark = 0;
  mi_page_drop_free(page);
  CHECK(test_one_error(EFAULT));
  CHECK(mi_page_used(page) >= 6);
  page_end(page);
}

/* A list of remote frees becomes `free` as it is: what was written to is found when it is to be allocated. */
static void damaged_remote_list(void) {
  test_expect_errors();
  uint32_t nremote;
  mi_page_t* page = page_make(4);
  mi_block_t* b[8];
  take(page, b, 8);
  while (pop(page) != NULL) {}
  for (int i = 0; i < 8; i++) remote_free(page, b[i]);
  b[5]->xmark = 0;
  CHECK(mi_page_collect(page, &nremote) && nremote == 8);
  CHECK(pop(page) == b[7] && pop(page) == b[6] && pop(page) == NULL);
  mi_page_drop_free(page);
  CHECK(test_one_error(EFAULT));
  page_end(page);
}

/* Where both other lists have blocks it is walked to its end, and looked at on the way. */
static void damaged_remote_list_appended(void) {
  for (int how = 0; how < 3; how++) {
    test_expect_errors();
    uint32_t nremote;
    mi_page_t* page = page_make(4);
    mi_block_t* b[10];
    take(page, b, 10);
    while (pop(page) != NULL) {}
    mi_store_relaxed(&page->xowner, 16);
    const uint32_t used = mi_page_used(page);
    CHECK(mi_free_local(b[8], 16) && mi_page_collect(page, &nremote) && mi_free_local(b[9], 16));
    for (int i = 0; i < 8; i++) remote_free(page, b[i]);
    if (how == 0) b[5]->next = (mi_block_t*)(uintptr_t)0x123456789abcdef0;
    if (how == 1) b[5]->next = (mi_block_t*)((uint8_t*)b[4] + 8);
    if (how == 2) b[5]->xmark = 0;
    CHECK(mi_page_collect(page, &nremote));
    CHECK_EQ(test_nerrors, 0);           /* told when whoever collects is done */
    CHECK(test_one_error(EFAULT));
    CHECK_EQ(mi_page_used(page), used - 2 - (how == 2 ? 2 : 3));
    for (int i = 7; i >= (how == 2 ? 6 : 5); i--) CHECK(pop(page) == b[i]);
    CHECK(pop(page) == b[8] && pop(page) == NULL);
    CHECK(mi_page_collect(page, &nremote) && pop(page) == b[9]);
    page_end(page);
  }
}

/* ---- offset blocks ---- */

static void offset_blocks(void) {
  mi_page_t* page = page_make(mi_bin_of(1024));
  mi_page_extend(page);
  uint8_t* b = (uint8_t*)pop(page);
  CHECK(b != NULL);
  memset(b, 0, 1024);
  for (size_t at = 1; at < 1024; at++) CHECK(mi_page_block_of(page, b + at) == NULL);
  for (size_t at = 16; at < 1024; at += 37) {    /* any offset, unaligned too */
    mi_page_set_offset(page, b, b + at);
    CHECK(mi_page_block_of(page, b + at) == (mi_block_t*)(void*)b);
    CHECK(mi_page_block_of(page, (void*)((uintptr_t)(b + at) | (uintptr_t)1 << 48)) == NULL);
    memset(b, 0, 1024);
  }
  uint8_t* last = page->start + (page->reserved - 1) * (size_t)1024;
  CHECK(page->capacity == page->reserved || mi_page_block_of(page, last + 100) == NULL);
  page_end(page);
}

static void no_page_map(void) {
  bool zero;
  mi_page_t* page = mi_memory_claim(MI_SLICE_SIZE, 1, MI_ARENA_NONE, &zero);
  CHECK(page != NULL);
  mi_os_fail_in(1, 2);                           /* its leaves exist already: this cannot fail */
  CHECK(mi_page_init(page, 16, 1, &mi_main_heap, 0));
  mi_os_fail_in(0, 0);
  page_end(page);
}

TEST_MAIN("page", TEST(every_start), TEST(pop_and_collect), TEST(extend_touches_little),
          TEST(damaged_free_list), TEST(damaged_in_a_circle), TEST(damaged_remote_list),
          TEST(damaged_remote_list_appended), TEST(offset_blocks), TEST(no_page_map))
