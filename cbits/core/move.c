/* See move.h. Holder of both pages. */
#include <string.h>

#include "commit.h"
#include "move.h"
#include "policy.h"

static mi_atomic(size_t) nboundaries;

static void boundary_at(mi_arena_t* a, size_t i) {
  if (i >= a->nslices || mi_bitmap_run(a->boundaries, a->nslices, i, 1) != 0) return;
  mi_bitmap_set(a->boundaries, i, 1);
  mi_add_relaxed(&nboundaries, 1);                                              /* a count */
}

/* Part of a page, without a mapping boundary inside: moved, or copied where the system does not move it.
   False if what it should go to is lost. */
static bool part_move(mi_arena_t* a, size_t i, mi_arena_t* b, size_t j, size_t n) {
  mi_assert(n > 0 && i + n <= a->nslices && j + n <= b->nslices);
  uint8_t *from = a->start + i * MI_SLICE_SIZE, *to = b->start + j * MI_SLICE_SIZE;
  boundary_at(b, j);
  boundary_at(b, j + n);
  const mi_os_result_t result = mi_os_move_pages(from, to, n * MI_SLICE_SIZE);
  if (result == MI_OS_NOT) memcpy(to, from, n * MI_SLICE_SIZE);
  if (result != MI_OS_DONE) return result == MI_OS_NOT;
  mi_bitmap_clear(a->dirty, i, n);
  mi_commit_sub(n * MI_SLICE_SIZE);
  return true;
}

/* The first n slices of a page are there again. */
static void part_restore(mi_arena_t* a, size_t i, const uint8_t* from, size_t n) {
  mi_assert(i + n <= a->nslices);
  mi_commit_add((n - mi_slices_dirty(a, i, n)) * MI_SLICE_SIZE, true);
  mi_bitmap_set(a->dirty, i, n);
  memcpy(a->start + i * MI_SLICE_SIZE, from, n * MI_SLICE_SIZE);
}

/* What is several mappings the system does not move. So boundaries are remembered for ever, and each part
   goes by itself. Where there are many, or one was lost, nothing is moved any more. */
mi_os_result_t mi_move_slices(mi_page_t* from, mi_page_t* to) {
  const size_t n = mi_page_nslices(from);
  if (from->arena == MI_ARENA_NONE || to->arena == MI_ARENA_NONE || mi_page_nslices(to) < n) return MI_OS_NOT;
  mi_arena_t *a = mi_arena_at(from->arena), *b = mi_arena_at(to->arena);
  /* A count. */
  if (a->pinned || b->pinned || mi_load_relaxed(&nboundaries) >= MI_BOUNDARIES_MAX) return MI_OS_NOT;
  const size_t i = mi_arena_slice_of(a, from->start), j = mi_arena_slice_of(b, to->start);
  for (size_t done = 0, len; done < n; done += len) {
    len = mi_bitmap_next(a->boundaries, i + n, i + done + 1) - i - done;
    if (part_move(a, i + done, b, j + done, len)) continue;
    part_restore(a, i, to->start, done);
    mi_page_single_to_lost(to);
    mi_store_relaxed(&nboundaries, MI_BOUNDARIES_MAX);                                  /* as above */
    return MI_OS_LOST;
  }
  return MI_OS_DONE;
}
