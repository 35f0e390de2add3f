/* See hollow.h. The bits lie with the arena, one for each HOLE bytes. They are written by a page's holder, shown by the word
   of the page; who frees a block reads them as he reads its mark: that of a live block has been clear since it was allocated. */
#include <string.h>

#include "hollow.h"
#include "os.h"

static mi_bits_t* holes_of(mi_page_t* page) { return mi_arena_at(page->arena)->holes; }
static size_t hole_at(mi_page_t* page, size_t offset) {
  return (size_t)(page->start + offset - mi_arena_at(page->arena)->start) / MI_HOLE_SIZE;
}
static size_t nholes_max(mi_page_t* page) { return mi_page_nslices(page) * (MI_SLICE_SIZE / MI_HOLE_SIZE); }

static bool has_holes(mi_page_t* page) {
  const size_t first = hole_at(page, 0), end = first + nholes_max(page);
  return mi_bitmap_next(holes_of(page), end, first) < end;
}

bool mi_hollow_touches(mi_page_t* page, const mi_block_t* block) {
  const size_t at = (size_t)((const uint8_t*)block - page->start);
  const size_t first = hole_at(page, at), end = hole_at(page, at + mi_page_size(page) - 1) + 1;
  return mi_bitmap_next(holes_of(page), end, first) < end;
}

/* ---- the holder ---- */

static mi_block_t* block_at(mi_page_t* page, size_t i) { return (mi_block_t*)(void*)(page->start + i * mi_page_size(page)); }

static uint32_t mark_list(mi_page_t* page, const mi_block_t* b, mi_block_bits_t* is_free) {
  uint32_t n = 0;
  for (; b != &mi_nil && n < page->capacity && mi_page_is_start(page, b) && b->mark == page; b = b->next, n++) {
    const size_t i = ((uintptr_t)b - (uintptr_t)page->start) / mi_page_size(page);
    is_free->bits[i / 64] |= (uint64_t)1 << (i % 64);
  }
  return n;
}

uint32_t mi_hollow_free_blocks(mi_page_t* page, mi_block_bits_t* is_free) {
  memset(is_free, 0, sizeof *is_free);
  uint32_t n = mark_list(page, page->free, is_free) + mark_list(page, page->local_free, is_free);
  for (size_t i = 0; has_holes(page) && i < page->capacity; i++) {
    if (!mi_hollow_touches(page, block_at(page, i))) continue;
    is_free->bits[i / 64] |= (uint64_t)1 << (i % 64);
    n++;
  }
  return n;
}

/* Are all blocks free that touch the bytes from `offset` on? */
static bool is_hole(mi_page_t* page, size_t offset, size_t bytes, const mi_block_bits_t* is_free) {
  const size_t size = mi_page_size(page), last = mi_min((offset + bytes - 1) / size, page->capacity - 1u);
  for (size_t i = offset / size; i <= last; i++) if (!mi_block_bit(is_free, i)) return false;
  return true;
}

/* The lists are one, of the free blocks that no hole touches, in the order of their addresses. */
static void list_anew(mi_page_t* page, const mi_block_bits_t* is_free) {
  page->free = page->local_free = &mi_nil;
  for (size_t i = page->capacity; i-- > 0; ) {
    mi_block_t* block = block_at(page, i);
    if (!mi_block_bit(is_free, i) || mi_hollow_touches(page, block)) continue;
    block->next = page->free;
    page->free = block;
  }
}

static void holes_purge(mi_page_t* page) {
  const size_t first = hole_at(page, 0), end = first + nholes_max(page);
  size_t i = mi_bitmap_next(holes_of(page), end, first);
  for (size_t n; i < end; i = mi_bitmap_next(holes_of(page), end, i + n)) {
    n = mi_bitmap_run(holes_of(page), end, i, end - i);
    mi_os_purge(page->start + (i - first) * MI_HOLE_SIZE, n * MI_HOLE_SIZE);
  }
}

void mi_hollow_dig(mi_page_t* page) {
  mi_block_bits_t is_free;
  const size_t step = mi_max(mi_os_page_size(), MI_HOLE_SIZE);
  if (mi_arena_at(page->arena)->pinned || step > MI_SLICE_SIZE) return;
  if (mi_hollow_free_blocks(page, &is_free) + mi_page_used(page) != page->capacity) return;   /* a damaged list: told when it is met */
  size_t dug = 0;
  for (size_t at = 0; at < page->capacity * mi_page_size(page); at += step) {
    if (!is_hole(page, at, step, &is_free)) continue;
    const size_t i = hole_at(page, at);
    if (mi_bitmap_run(holes_of(page), i + 1, i, 1) != 0) continue;
    mi_bitmap_set(holes_of(page), i, step / MI_HOLE_SIZE);
    dug += step;
  }
  if (dug == 0) return;
  list_anew(page, &is_free);
  holes_purge(page);
  mi_add_relaxed(&mi_arena_totals.xpurged, dug);                          /* a statistic */
}

void mi_hollow_fill(mi_page_t* page) {
  if (!has_holes(page)) return;
  mi_block_t* list = page->free;
  for (size_t i = page->capacity; i-- > 0; ) {
    mi_block_t* block = block_at(page, i);
    if (!mi_hollow_touches(page, block)) continue;
    block->mark = page;
    block->next = list;
    list = block;
  }
  page->free = list;
  mi_hollow_forget(page);
}

void mi_hollow_forget(mi_page_t* page) { mi_bitmap_clear(holes_of(page), hole_at(page, 0), nholes_max(page)); }
