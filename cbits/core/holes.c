/* See holes.h. The bits lie with the arena, one for each MI_HOLE_SIZE bytes. They are written by a page's
   holder, shown by the word of the page; who frees a block reads them as he reads its mark: that of a live
   block has been clear since it was allocated. */
#include <string.h>

#include "commit.h"
#include "holes.h"
#include "options.h"
#include "os.h"

static mi_bits_t* holes_of(mi_page_t* page) { return mi_arena_at(page->arena)->holes; }
static size_t page_bytes(mi_page_t* page) { return mi_page_nslices(page) * MI_SLICE_SIZE; }

/* The bit of the hole that `offset` bytes into the page are in. */
static size_t hole_at(mi_page_t* page, size_t offset) {
  return (size_t)(page->start + offset - mi_arena_at(page->arena)->start) / MI_HOLE_SIZE;
}

/* The next run of holes at or after `*from` bytes into the page: to `*to`; false if there is none. */
static bool next_holes(mi_page_t* page, size_t* from, size_t* to) {
  const size_t first = hole_at(page, 0), end = hole_at(page, page_bytes(page) - 1) + 1;
  const size_t i = mi_bitmap_next(holes_of(page), end, first + mi_divide_up(*from, MI_HOLE_SIZE));
  if (i >= end) return false;
  *from = (i - first) * MI_HOLE_SIZE;
  *to = *from + mi_bitmap_run(holes_of(page), end, i, end - i) * MI_HOLE_SIZE;
  mi_assert(*from < *to && *to <= page_bytes(page));
  return true;
}

bool mi_holes_touch(mi_page_t* page, const mi_block_t* block) {
  const size_t at = (size_t)((const uint8_t*)block - page->start);
  const size_t first = hole_at(page, at), end = hole_at(page, at + mi_page_size(page) - 1) + 1;
  return mi_bitmap_next(holes_of(page), end, first) < end;
}

/* ---- the holder ---- */

static mi_block_t* block_at(mi_page_t* page, size_t i) {
  return (mi_block_t*)(void*)(page->start + i * mi_page_size(page));
}
static void set_bit(mi_block_bits_t* of, size_t i) {
  mi_assert(i < 8 * sizeof *of);
  of->bits[i / 64] |= (uint64_t)1 << (i % 64);
}

/* The block behind the last one that bytes below `to` are in. */
static size_t blocks_end(mi_page_t* page, size_t to) {
  return mi_min((to - 1) / mi_page_size(page) + 1, page->capacity);
}

static uint32_t mark_list(mi_page_t* page, const mi_block_t* b, mi_block_bits_t* is_free) {
  uint32_t n = 0;
  /* Shown with the page. */
  for (; b != &mi_nil && n < page->capacity && mi_page_is_start(page, b)
         && mi_load_relaxed(&b->xmark) == page->key;
       b = b->next, n++) {
    set_bit(is_free, ((uintptr_t)b - (uintptr_t)page->start) / mi_page_size(page));
  }
  return n;
}

/* No block is touched by two runs of holes: what lies between them in a free block would be one, too. */
uint32_t mi_holes_free_blocks(mi_page_t* page, mi_block_bits_t* is_free) {
  memset(is_free, 0, sizeof *is_free);
  uint32_t n = mark_list(page, page->free, is_free) + mark_list(page, page->local_free, is_free);
  for (size_t from = 0, to; next_holes(page, &from, &to); from = to) {
    for (size_t i = from / mi_page_size(page); i < blocks_end(page, to); i++, n++) set_bit(is_free, i);
  }
  return n;
}

/* Is no block live that touches the bytes from `from` to `to`? */
static bool is_hole(mi_page_t* page, size_t from, size_t to, const mi_block_bits_t* is_free) {
  mi_assert(from < to && to <= page_bytes(page));
  for (size_t i = from / mi_page_size(page); i < blocks_end(page, to); i++)
    if (!mi_block_bit(is_free, i)) return false;
  return true;
}

/* The lists are one, of the blocks in `is_free`, in the order of their addresses. */
static void list_anew(mi_page_t* page, const mi_block_bits_t* is_free) {
  mi_assert(!mi_page_is_listed(page));
  page->free = page->local_free = &mi_nil;
  for (size_t i = page->capacity; i-- > 0; ) {
    if (!mi_block_bit(is_free, i)) continue;
    mi_block_t* block = block_at(page, i);
    block->next = page->free;
    page->free = block;
  }
}

/* A bit for each hole of a page. */
typedef struct { uint64_t bits[2]; } hole_bits_t;
_Static_assert(MI_MEDIUM_SLICES * MI_SLICE_SIZE / MI_HOLE_SIZE <= 128, "one bit for each hole of a page");

/* To the OS: the OS pages that are in `fresh`, in runs. */
static bool holes_purge(mi_page_t* page, const hole_bits_t* fresh, size_t step) {
  bool ok = true;
  for (size_t at = 0, end; at < page_bytes(page); at = end + step) {
    for (end = at; end < page_bytes(page)
                   && (fresh->bits[end / MI_HOLE_SIZE / 64] >> (end / MI_HOLE_SIZE % 64) & 1) != 0;)
      end += step;
    if (end > at) ok &= mi_os_purge(page->start + at, end - at);
  }
  return ok;
}

static bool has_holes(mi_page_t* page) {
  size_t from = 0, to;
  return next_holes(page, &from, &to);
}

/* Can it be that an OS page has only free blocks? And may it be given back? */
static bool may_have_holes(mi_page_t* page, size_t step) {
  mi_assert(mi_is_pow2(step) && mi_page_used(page) <= page->reserved);
  if (mi_arena_at(page->arena)->pinned || mi_option_is_enabled(mi_option_allow_large_os_pages)
      || step > MI_SLICE_SIZE)
    return false;
  return (page->reserved - mi_page_used(page)) * mi_page_size(page) >= step;
}

/* Marks the holes that are new, in `fresh`, too; returns their bytes. */
static size_t holes_mark(mi_page_t* page, size_t step, const mi_block_bits_t* is_free, hole_bits_t* fresh) {
  size_t made = 0;
  for (size_t at = 0; at < page_bytes(page); at += step) {
    if (!is_hole(page, at, at + step, is_free)) continue;
    if (mi_bitmap_run(holes_of(page), hole_at(page, at) + 1, hole_at(page, at), 1) != 0) continue;
    mi_bitmap_set(holes_of(page), hole_at(page, at), step / MI_HOLE_SIZE);
    fresh->bits[at / MI_HOLE_SIZE / 64] |= (uint64_t)1 << (at / MI_HOLE_SIZE % 64);
    made += step;
  }
  return made;
}

bool mi_holes_make(mi_page_t* page) {
  /* A child that a signal's handler forked in a round goes on here with a page that forget_page took for
     another's: to frees the one is as good as the other (is_free in free.c). */
  mi_assert(mi_page_has_waited(page)
            && (mi_load_relaxed(&page->xowner) == 0 || mi_load_relaxed(&page->xowner) == MI_ID_GONE));
  mi_block_bits_t is_free;
  const size_t step = mi_max(mi_os_page_size(), MI_HOLE_SIZE);
  if (!may_have_holes(page, step)) return has_holes(page);
  /* A damaged list: reported when it is met. */
  if (mi_holes_free_blocks(page, &is_free) + mi_page_used(page) != page->capacity) return has_holes(page);
  hole_bits_t fresh = { { 0, 0 } };
  const size_t made = holes_mark(page, step, &is_free, &fresh);
  if (made == 0) return has_holes(page);
  for (size_t from = 0, to; next_holes(page, &from, &to); from = to) {
    for (size_t i = from / mi_page_size(page); i < blocks_end(page, to); i++)
      is_free.bits[i / 64] &= ~((uint64_t)1 << (i % 64));
  }
  list_anew(page, &is_free);
  if (!holes_purge(page, &fresh, step)) {                                               /* locked memory */
    mi_holes_undo(page);
    return false;
  }
  mi_add_relaxed(&mi_commit_totals.xpurged, made);                          /* a statistic */
  return true;
}

void mi_holes_undo(mi_page_t* page) {
  mi_assert(mi_page_has_waited(page));
  for (size_t from = 0, to; next_holes(page, &from, &to); from = to) {
    for (size_t i = blocks_end(page, to); i-- > from / mi_page_size(page); ) {
      mi_block_t* block = block_at(page, i);
      mi_store_relaxed(&block->xmark, page->key);                         /* shown with the page */
      block->next = page->free;
      page->free = block;
    }
  }
  mi_holes_forget(page);
}

void mi_holes_forget(mi_page_t* page) {
  mi_assert(mi_page_has_waited(page) && !mi_page_is_single(page));
  mi_bitmap_clear(holes_of(page), hole_at(page, 0), page_bytes(page) / MI_HOLE_SIZE);
}
