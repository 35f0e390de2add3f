/* heap_pages.h: the list of a heap's pages, the places of local heaps. */
#include "core/heap.h"
#include "test.h"

static size_t npages(const mi_heap_t* heap) {
  size_t n = 0;
  const mi_page_t* prev = NULL;
  for (const mi_page_t* page = heap->pages; page != NULL; prev = page, page = page->heap_next, n++)
    CHECK(page->heap_prev == prev);
  return n;
}

static void list_of_pages(void) {
  static mi_page_t page[50];
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  CHECK(heap != NULL && npages(heap) == 0);
  for (int i = 0; i < 50; i++) mi_heap_pages_add(heap, &page[i]);
  CHECK_EQ(npages(heap), 50);
  mi_heap_pages_remove(heap, &page[49]);          /* first, last, inside */
  mi_heap_pages_remove(heap, &page[0]);
  mi_heap_pages_remove(heap, &page[25]);
  CHECK_EQ(npages(heap), 47);
  for (int i = 1; i < 49; i++) if (i != 25) mi_heap_pages_remove(heap, &page[i]);
  CHECK(heap->pages == NULL && page[7].heap_next == NULL && page[7].heap_prev == NULL);
}

static void main_heap(void) {
  owners_begin();
  CHECK(mi_main_heap.xid == 1);
  CHECK(mi_heap_lheap(&mi_main_heap, owners[3]) == &owners[3]->main);
  owners_end();
}

/* Its pages are listed as long as they live, whoever frees what is in them. */
static void pages_come_and_go(void) {
  static void* p[3000];
  owners_begin();
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  for (int i = 0; i < 3000; i++) {
    mi_lheap_t* lh = mi_heap_lheap(heap, owners[i % NOWNERS]);
    CHECK(lh != NULL && lh != &owners[i % NOWNERS]->main);
    p[i] = mi_alloc_malloc(lh, 1 + (size_t)i * 37 % 70000);
    CHECK(mi_page_of(p[i])->xheap == heap && mi_page_of(p[i])->xowner == 0);
  }
  CHECK(npages(heap) > 100);
  CHECK_EQ(mi_check_all(), 0);
  for (int i = 0; i < 3000; i++) o_free(i % 5, p[i]);
  for (int i = 0; i < NOWNERS; i++) mi_owner_drain(owners[i], true);
  CHECK_EQ(npages(heap), 0);
  test_nothing_left();
  mi_heap_end(heap, false);
  owners_end();
}

TEST_MAIN("heap_pages", TEST(list_of_pages), TEST(main_heap), TEST(pages_come_and_go))
