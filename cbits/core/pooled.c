/* See pooled.h. */
#include "abandon.h"
#include "hollow.h"
#include "pooled.h"

/* True if the next round is to come to it. */
static bool page_round(mi_page_t* page, bool force) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&page->xword, false, &list)) return false;       /* A2 */
  const bool seen = mi_hollow_is_seen(page), done = seen && page->next == page && list.count == mi_page_used(page);
  mi_page_take_list(page, list);
  page->prev = page;
  page->next = done ? page : NULL;
  if (!done && (seen || force)) {
    mi_hollow_dig(page);
    page->next = page;
  }
  const bool again = page->next != page;
  mi_lheap_page_to_pool(page);                                            /* P1 */
  return again;
}

static bool arena_round(mi_arena_t* a, bool force) {
  bool again = false;
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) {
    const mi_bits_t* bits = mi_arena_pool(a, bin);
    for (size_t i = mi_bitmap_next(bits, a->nslices, 0); i < a->nslices; i = mi_bitmap_next(bits, a->nslices, i + 1)) again |= page_round(&a->pages[i], force);
  }
  return again;
}

bool mi_pooled_round(bool force) {
  bool again = false;
  for (size_t i = 0; i < mi_arena_count(); i++) again |= arena_round(mi_arena_at(i), force);
  return again;
}
