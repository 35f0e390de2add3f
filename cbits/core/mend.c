/* See mend.h. A remote free that has claimed its block and not pushed it yet is taken for one that is done:
   its block is in a list early, and `used` is one too low once more. So a page that is mended stays
   doubted. */
#include "mend.h"
#include "report.h"

static mi_block_t* block_at(mi_page_t* page, size_t i) {
  return (mi_block_t*)(void*)(page->start + i * mi_page_size(page));
}

/* Of a page without holes. */
static bool is_free(mi_page_t* page, size_t i) {
  return mi_load_relaxed(&block_at(page, i)->xmark) == page->key;         /* shown by C1, H1, A2 */
}

void mi_mend(mi_page_t* page) {
  mi_assert(!mi_page_is_single(page) && mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_OWNED);
  uint32_t nlive = 0;
  mi_assert(mi_page_where(page) != MI_WHERE_PARKED && mi_page_where(page) != MI_WHERE_WATCHED);
  if (mi_page_has_waited(page)) mi_holes_undo(page);
  if (mi_page_where(page) == MI_WHERE_SEARCHED) mi_page_searched_to_waited(page);   /* its holes come again */
  mi_remote_collect(&page->xword);                                        /* C1: its blocks are marked */
  page->free = page->local_free = &mi_nil;
  for (size_t i = page->capacity; i-- > 0; ) {
    if (!is_free(page, i)) { nlive++; continue; }
    block_at(page, i)->next = page->free;
    page->free = block_at(page, i);
  }
  mi_page_live_set(page, nlive);
}

bool mi_mend_is_empty(mi_page_t* page) {
  const bool waited = mi_page_has_waited(page);
  if (!page->doubted || mi_page_is_single(page)) return true;
  for (size_t i = 0; i < page->capacity; i++) {
    if (is_free(page, i) || (waited && mi_holes_touch(page, block_at(page, i)))) continue;
    mi_report_later(MI_ERROR_MISCOUNTED, page->start, mi_page_size(page));
    mi_mend(page);
    return false;
  }
  return true;
}
