/* See hollow.h. */
#include "abandon.h"
#include "arena.h"
#include "hollow.h"
#include "options.h"
#include "os.h"

static mi_atomic(uint64_t) xdue_at;      /* milliseconds; 0: nothing was freed since */

void mi_hollow_note(void) {
  if (mi_load_relaxed(&xdue_at) != 0) return;                             /* a time only */
  const long delay = mi_option_get(mi_option_purge_delay);
  if (delay < 0) return;
  mi_store_relaxed(&xdue_at, mi_os_now_ms() + (uint64_t)delay + 1);       /* a time only */
  mi_os_wake();
}

/* Whole OS pages inside the free blocks of a list, neighbours in one call. */
static void purge_list(mi_page_t* page, const mi_block_t* b) {
  const size_t size = mi_page_size(page);
  uint8_t *from = NULL, *to = NULL;
  for (uint32_t n = 0; b != &mi_nil && b->mark == page && n < page->capacity; b = b->next, n++) {
    uint8_t* first = (uint8_t*)mi_align_up((uintptr_t)b + sizeof *b, mi_os_page_size());
    uint8_t* last = (uint8_t*)mi_align_down((uintptr_t)b + size, mi_os_page_size());
    if (first == to) { to = last; continue; }
    if (from < to) mi_os_purge(from, (size_t)(to - from));
    from = first;
    to = last;
  }
  if (from < to) mi_os_purge(from, (size_t)(to - from));
}

/* A page in which nothing was freed since the last time has itself for its neighbour: a queue would set that anew. */
static void hollow_page(mi_page_t* page) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&page->xword, false, &list)) return;             /* A2 */
  const bool fresh = page->prev != page || list.count < mi_page_used(page);
  mi_page_take_list(page, list);
  if (fresh && !mi_page_is_single(page) && !mi_arena_at(page->arena)->pinned) {
    purge_list(page, page->free);
    purge_list(page, page->local_free);
  }
  page->prev = page;
  mi_lheap_page_to_pool(page);                                            /* P1 */
}

static void hollow_arena(mi_arena_t* a) {
  for (unsigned bin = MI_BIN_SMALL_LAST + 1; bin <= MI_BIN_LAST; bin++) {
    const mi_bits_t* bits = mi_arena_pool(a, bin);
    for (size_t i = mi_bitmap_next(bits, a->nslices, 0); i < a->nslices; i = mi_bitmap_next(bits, a->nslices, i + 1)) hollow_page(&a->pages[i]);
  }
}

uint64_t mi_hollow_purge(uint64_t now) {
  const uint64_t at = mi_load_relaxed(&xdue_at);                          /* a time only */
  if (at == 0 || now < at) return at;
  mi_store_relaxed(&xdue_at, 0);                                          /* a time only: what is freed from now on sets it again */
  for (size_t i = 0; i < mi_arena_count(); i++) hollow_arena(mi_arena_at(i));
  return 0;
}
