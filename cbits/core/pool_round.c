/* See pool_round.h. Any thread. */
#include "holes.h"
#include "memory.h"
#include "pool.h"
#include "pool_round.h"

/* Q2, Q3. xowner becomes 0 before there are holes: from then on whoever frees a block looks whether one
   touches it (is_free in free.c). It stays as it is where there are none, so that frees take the short
   way. */
static void page_round(mi_page_t* page, bool now) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&page->xword, false, &list)) return;             /* A2 */
  uintptr_t home = mi_load_relaxed(&page->xowner);  /* its holder, who alone changes it */
  if (mi_unlikely(home == MI_ID_GONE)) home = 0;  /* forked just here, by a signal's handler (forget_page) */
  mi_page_take_list(page, list);
  mi_assert(!mi_page_is_single(page) && mi_page_is_pooled(page));
  const bool waited = mi_page_has_waited(page);
  if (!waited) mi_page_pooled_to_waited(page);
  if (waited || now) {
    mi_store_relaxed(&page->xowner, 0);                                   /* as in P1 */
    if (mi_holes_make(page)) home = 0;
    if (mi_page_where(page) == MI_WHERE_WAITED) mi_page_waited_to_searched(page);
  }
  mi_assert(mi_page_has_waited(page) && (home == 0 || (home & 1) != 0));
  mi_pool_page_put_of(page, home);                                   /* P1 */
}

bool mi_pool_round_finds(void) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    const mi_arena_t* a = mi_arena_at(i);
    if (mi_bitmap_next(a->changed, a->nslices, 0) < a->nslices) return true;
  }
  return false;
}

bool mi_pool_round(mi_pool_place_t* at, size_t npages, bool now) {
  mi_assert(npages > 0);
  for (size_t n = 0; at->arena < mi_arena_count(); at->arena++, at->slice = 0) {
    mi_arena_t* a = mi_arena_at(at->arena);
    while ((at->slice = mi_bitmap_next(a->changed, a->nslices, at->slice)) < a->nslices) {
      if (n++ == npages) return true;
      /* Q1 pairs with P3: before A2, what changes from here on sets it again. */
      mi_bitmap_clear(a->changed, at->slice, 1);
      page_round(&a->pages[at->slice++], now);
    }
  }
  *at = (mi_pool_place_t){ 0, 0 };
  return false;
}
