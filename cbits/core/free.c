/* See free.h. */
#include <errno.h>

#include "free.h"
#include "options.h"

mi_page_t* mi_block_find(const void* p, mi_block_t** block, bool report) {
  mi_page_t* page = mi_page_of(p);
  if (mi_page_is_none(page)) {
    if (report) mi_error_misuse(MI_ERROR_NOT_A_BLOCK, p, 0);
    return NULL;
  }
  *block = mi_page_block_of(page, p);
  if (*block == NULL) {
    if (report) mi_error_misuse(MI_ERROR_INTERIOR, p, mi_page_size(page));
    return NULL;
  }
  if ((*block)->mark == page && !mi_page_is_single(page)) {               /* a single page's memory is never marked */
    if (report) mi_error_misuse(MI_ERROR_DOUBLE_FREE, p, mi_page_size(page));
    return NULL;
  }
  return page;
}

size_t mi_block_usable(const void* p) {
  mi_block_t* block;
  if (p == NULL) return 0;
  mi_page_t* page = mi_block_find(p, &block, false);
  return page == NULL ? 0 : mi_page_size(page) - ((uintptr_t)p - (uintptr_t)block);
}

/* A heap that may be destroyed meanwhile: the page is pinned if it is still what the block was checked
   against. NULL: it is not, look again. */
static bool free_remote(mi_page_t* page, mi_block_t* block, const void* p, uint64_t w) {
  const bool pinned = mi_heap_is_listed(mi_load_relaxed(&page->xheap));   /* of a live block: that heap, or the main one by now, where a pin is not needed */
  if (pinned && !mi_remote_pin(&page->xword, w)) return false;
  const mi_place_t place = mi_lheap_place(page);
  const mi_remote_t todo = mi_page_remote_free(page, block, pinned);
  if (todo == MI_REMOTE_DEAD) mi_error_misuse(MI_ERROR_DOUBLE_FREE, p, 0);
  else mi_lheap_remote_todo(page, place, todo);
  return true;
}

void mi_free_slow(void* p, mi_owner_t* owner, uintptr_t id) {
  mi_block_t* block;
  mi_page_t* page;
  uint64_t w;
  if (p == NULL) return;
  do {
    w = mi_load_acquire(&mi_page_of(p)->xword);                           /* R0 pairs with mi_remote_birth: before everything that is checked */
    page = mi_block_find(p, &block, true);
    if (page == NULL) return;
    const uintptr_t xowner = mi_load_relaxed(&page->xowner);              /* as in mi_free_local; id|1 is a hint */
    const bool single = mi_page_is_single(page);
    if (xowner == id || (!single && owner != NULL && xowner == (id | 1) && mi_lheap_full_to_owned(&owner->main, page))) {
      mi_free_local(block, id);                                           /* an offset block, or ours again */
      return;
    }
  } while (!free_remote(page, block, p, w));
}
