/* See pool.h. Holder, but for what says any-thread. */
#include "cache.h"
#include "clock.h"
#include "holes.h"
#include "mend.h"
#include "policy.h"
#include "pool.h"
#include "pool_bits.h"

#define LOOK_GRAIN    16u                /* in look_from: a place in an arena, in so many slices */
#define LOOK_SLICES   0xfffffu
_Static_assert((uint64_t)MI_ARENAS_MAX*(LOOK_SLICES + 1) <= (uint64_t)1 << 32,
               "look_from has room for each arena's number");

/* How many pool bits of a class are set, in all arenas: is it worth looking? */
static mi_atomic(size_t) npooled[MI_BIN_COUNT];

/* ---- its index ---- */

/* A free that pooled the page just before may set its bit only after this. Then there is a bit without a
   page, which does no harm. */
void mi_pool_unindex(mi_page_t* page) {
  if (mi_page_is_single(page)) return;
  mi_arena_t* a = mi_arena_at(page->arena);
  mi_bits_t* bits = mi_arena_pool(a, mi_page_bin(page));
  const size_t i = mi_arena_slice_of(a, page->start);
  /* Hints. */
  if (mi_bitmap_run(bits, a->nslices, i, 1) != 0 && mi_pool_bit_clear(bits, i))
    mi_sub_relaxed(&npooled[mi_page_bin(page)], 1);
}

/* Arena and start are the same in its next life. */
void mi_pool_index(const mi_page_t* page, unsigned bin) {
  mi_assert(bin >= 1 && bin <= MI_BIN_LAST && page->arena != MI_ARENA_NONE);
  mi_arena_t* a = mi_arena_at(page->arena);
  /* P2; the count is a hint. */
  if (mi_pool_bit_set(mi_arena_pool(a, bin), mi_arena_slice_of(a, page->start)))
    mi_add_relaxed(&npooled[bin], 1);
}

/* P3. A swap even where the bit is set: who looked only might not see that a round has cleared it, which did
   not see P1 or R4 (pairs with Q1). */
void mi_pool_page_changed(const mi_page_t* page) {
  mi_arena_t* a = mi_arena_at(page->arena);
  if (mi_pool_bit_set(a->changed, mi_arena_slice_of(a, page->start))) mi_clock_schedule();
}

void mi_pool_page_sparser(const mi_page_t* page) {
  const mi_arena_t* a = mi_arena_at(page->arena);
  const size_t i = mi_arena_slice_of(a, page->start);
  /* A hint: the round that clears it swaps the word of the page, behind R4. */
  if ((mi_load_relaxed(&a->changed[i / 64]) >> (i % 64) & 1) == 0) mi_pool_page_changed(page);
}

/* ---- a page ends, or is given up ---- */

/* OWNED -> DEAD. Only a page of a main heap can be miscounted (mend.h): in all others even the owner frees by
   the word. */
void mi_pool_page_free(mi_page_t* page) {
  mi_assert(page->lheap == NULL && !mi_page_is_listed(page));
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_OWNED);
  mi_heap_t* heap = mi_page_heap(page);
  if (heap->is_main && !mi_mend_is_empty(page)) { mi_pool_page_put(page); return; }
  if (mi_heap_is_listed(heap)) mi_heap_pages_remove(heap, page);
  mi_pool_unindex(page);
  if (mi_page_has_waited(page)) mi_holes_forget(page);
  mi_page_die(page);
  if (mi_page_is_single(page)) mi_cache_release(page);
  else mi_cache_put_class(page);
}

/* A single page goes to FULL: its block is live, and whoever frees that frees the page. `home`: what it
   carries in xowner then, 0 if it may have holes. */
void mi_pool_page_put_of(mi_page_t* page, uintptr_t home) {
  uint32_t nremote;
  const unsigned bin = mi_page_bin(page);
  const bool single = mi_page_is_single(page);
  bool searched;
  mi_assert(page->lheap == NULL && !mi_page_is_listed(page)
            && single == !(mi_page_is_pooled(page) || mi_page_where(page) == MI_WHERE_FULL));
  if (mi_page_where(page) == MI_WHERE_FULL) mi_page_full_to_pooled(page);
  mi_store_relaxed(&page->xowner, home);                                  /* P1: shown by the swap */
  do {
    mi_page_collect(page, &nremote);
    /* Whoever freed them saw a page that was held. */
    if (nremote > 0 && mi_page_where(page) == MI_WHERE_SEARCHED) mi_page_searched_to_waited(page);
    if (mi_page_used(page) == 0) { mi_pool_page_free(page); return; }
    searched = mi_page_where(page) == MI_WHERE_SEARCHED;
  /* P1: from here on it may be anybody's. */
  } while (!mi_remote_release(&page->xword, single ? MI_PAGE_FULL : MI_PAGE_POOLED, mi_page_used(page)));
  if (!single) mi_pool_index(page, bin);                                     /* P2 */
  if (!single && !searched) mi_pool_page_changed(page);                      /* P3 */
}

void mi_pool_page_put(mi_page_t* page) { mi_pool_page_put_of(page, 0); }

/* ---- adoption: any thread ---- */

/* One pooled page of this class and heap from this arena, at or after slice *i, where it ends. */
static mi_page_t* adopt_from(mi_arena_t* a, mi_heap_t* heap, unsigned bin, size_t* i, unsigned* looks,
                             mi_xlist_t* list) {
  mi_bits_t* bits = mi_arena_pool(a, bin);
  for (; *looks > 0 && (*i = mi_bitmap_next(bits, a->nslices, *i)) < a->nslices; ++*i, (*looks)--) {
    if (mi_load_relaxed(&a->pages[*i].xheap) != heap) continue;           /* a hint: not worth the swap */
    if (!mi_pool_bit_take(bits, a->nslices, i)) return NULL;              /* A1: this one, or one behind it */
    *looks -= mi_min(*looks - 1, MI_ADOPT_SWAP - 1);
    mi_page_t* page = &a->pages[*i];
    mi_sub_relaxed(&npooled[bin], 1);                                     /* a hint */
    if (mi_load_relaxed(&page->xheap) != heap) {  /* a hint: A3 decides. A bit without a page does no harm */
      if (mi_pool_bit_set(bits, *i)) mi_add_relaxed(&npooled[bin], 1);
      continue;
    }
    if (!mi_remote_acquire(&page->xword, false, list)) continue;          /* A2 */
    if (mi_page_heap(page) == heap && mi_page_bin(page) == bin) return page;   /* A3 */
    mi_page_take_list(page, *list);
    mi_pool_page_put(page);
  }
  return NULL;
}

/* Who looked at many pages in vain leaves off there, and looks on behind them the next time: other heaps'
   pages do not hide a heap's own for ever. */
mi_page_t* mi_pool_adopt(mi_heap_t* heap, unsigned bin, uint32_t* look_from, mi_xlist_t* list) {
  unsigned looks = MI_ADOPT_LOOKS;
  if (mi_load_relaxed(&npooled[bin]) == 0) return NULL;                   /* a hint */
  for (uint32_t from = *look_from, rest = 1; rest != 0 && looks > 0; from = 0) {
    size_t i = (size_t)(from & LOOK_SLICES) * LOOK_GRAIN;
    for (size_t n = from / (LOOK_SLICES + 1); n < mi_arena_count() && looks > 0; n++, i = 0) {
      mi_arena_t* a = mi_arena_at(n);
      mi_page_t* page = mi_arena_serves(a, heap->arena) ? adopt_from(a, heap, bin, &i, &looks, list) : NULL;
      if (page != NULL) return page;
      if (looks == 0) *look_from = (uint32_t)(n * (LOOK_SLICES + 1) + mi_min(i / LOOK_GRAIN, LOOK_SLICES));
    }
    if (looks > 0) *look_from = 0;
    rest = from;  /* from the start, what was left out */
  }
  return NULL;
}
