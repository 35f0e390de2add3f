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

/* A block with a page of its own: whoever frees it takes the page. */
static void free_single(mi_page_t* page, const void* p) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&page->xword, &list)) {                          /* H1 */
    mi_error_misuse(MI_ERROR_DOUBLE_FREE, p, mi_page_size(page));
    return;
  }
  mi_page_used_set(page, 0);
  mi_lheap_page_free(page);
}

void mi_free_slow(void* p, mi_owner_t* owner, uintptr_t id) {
  mi_block_t* block;
  if (p == NULL) return;
  mi_page_t* page = mi_block_find(p, &block, true);
  if (page == NULL) return;
  if (mi_page_is_single(page)) { free_single(page, p); return; }
  const uintptr_t xowner = mi_load_relaxed(&page->xowner);                /* as in mi_free_local; id|1 is a hint */
  if (xowner == id || (owner != NULL && xowner == (id | 1) && mi_lheap_full_to_owned(&owner->main, page))) {
    mi_free_local(block, id);                                             /* an offset block, or ours again */
    return;
  }
  const mi_remote_t todo = mi_page_remote_free(page, block);
  if (todo == MI_REMOTE_DEAD) mi_error_misuse(MI_ERROR_DOUBLE_FREE, p, 0);
  else mi_lheap_remote_todo(page, todo);
}
