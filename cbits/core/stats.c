/* See stats.h. Any thread. */
#include "arena.h"
#include "stats.h"

/* A page is read between two looks at its word: with another version in the second it is another page by now. */
static bool page_use(mi_page_t* page, uintptr_t id, mi_use_t* use) {
  const uint64_t w = mi_load_acquire(&page->xword);                       /* pairs with mi_remote_birth, F1, P1: shows what they wrote */
  const mi_page_state_t state = mi_xword_state(w);
  if (state == MI_PAGE_DEAD) return true;
  const uintptr_t xowner = mi_load_acquire(&page->xowner);                /* pairs with nobody: keeps the second look behind these */
  const size_t size = mi_load_acquire(&page->xsize);                      /* pairs with nobody: the same */
  const uint32_t used = mi_load_acquire(&page->xused);                    /* pairs with nobody: the same */
  const bool retired = mi_load_acquire(&page->xretire) != 0;              /* pairs with nobody: the same */
  if ((mi_load_relaxed(&page->xword) ^ w) >= MI_XVERSION_ONE) return false;
  if (id != 0 && (xowner | 1) != (id | 1)) return true;
  const uint64_t counted = mi_xword_count(w);
  const uint64_t taken = counted + (retired ? 1 : 0);
  const uint64_t blocks = state != MI_PAGE_OWNED ? counted : used > taken ? used - taken : 0;
  use->blocks += blocks;
  use->bytes += blocks * size;
  return true;
}

mi_use_t mi_stats_use(uintptr_t id) {
  mi_use_t use = { 0, 0 };
  for (size_t n = 0; n < mi_arena_count(); n++) {
    const mi_arena_t* a = mi_arena_at(n);
    size_t i = mi_bitmap_next(a->dirty, a->nslices, 0);                   /* a page's first slice was handed out: dirty */
    for (; i < a->nslices; i = mi_bitmap_next(a->dirty, a->nslices, i + 1)) {
      for (unsigned tries = 0; tries < 4 && !page_use(&a->pages[i], id, &use); tries++) {}
    }
  }
  if (id == 0) {
    use.blocks += mi_load_relaxed(&mi_arena_totals.xmappings);            /* statistics */
    use.bytes += mi_load_relaxed(&mi_arena_totals.xmapped);
  }
  return use;
}
