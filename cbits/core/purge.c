/* See purge.h. Any thread. */
#include "clock.h"
#include "purge.h"

/* Threads that may have free slices claimed for purging; how often one began or ended. */
static mi_atomic(size_t) npurging, npurges;

/* A hint: a claim that fails in vain is no more than that. */
bool mi_purge_is_under_way(void) { return mi_load_relaxed(&npurging) != 0; }
size_t mi_purge_turns(void) { return mi_load_relaxed(&npurges); }         /* the same */

/* One thread fewer. In the child of fork it may be 0 already, when a signal's handler forked in the middle of
   a purge. */
static void purge_ends(void) {
  size_t n = mi_load_relaxed(&npurging);  /* hints for claim_behind_purge; the swap decides */
  mi_add_relaxed(&npurges, 1);
  while (n > 0 && !mi_cas_acq_rel(&npurging, &n, n - 1)) {}                /* pairs with itself */
}

/* Of the slices in `map` at most `budget`; returns what is left of it. */
static size_t arena_purge_some(mi_arena_t* a, mi_bits_t* map, size_t budget) {
  mi_assert(map == a->purge || map == a->due);
  mi_add_relaxed(&npurging, 1);                                            /* hints for claim_behind_purge */
  mi_add_relaxed(&npurges, 1);
  size_t i = mi_bitmap_next(map, a->nslices, 0);
  while (i < a->nslices && budget > 0) {
    size_t n = mi_bitmap_run(map, a->nslices, i, mi_min(budget, MI_PURGE_PIECE / MI_SLICE_SIZE));
    bool mine = n > 0 && mi_arena_claim_at(a, i, n);
    /* Part of the run was claimed meanwhile: its first slice alone. */
    if (!mine && n > 1) mine = mi_arena_claim_at(a, i, n = 1);
    if (mine) {
      /* Not set: somebody had them meanwhile and gave them back purged. */
      const bool set = mi_bitmap_clear(map, i, n);
      (set ? &mi_slices_purge : &mi_slices_free)(a, i, n);
      budget -= n;
    }
    i = mi_bitmap_next(map, a->nslices, i + (mine ? n : 1));  /* claimed: its new holder clears the bit */
  }
  purge_ends();
  return budget;
}

/* What the system did not take back is free, dirty, and not marked. It is due in the next round again, but no
   round is made for it alone. */
static void arena_again(mi_arena_t* a) {
  if (!mi_load_relaxed(&a->xrefused)) return;                             /* a hint */
  mi_store_relaxed(&a->xrefused, false);                                  /* the same */
  for (size_t w = 0; w < mi_bitmap_words(a->nslices); w++) {
    const uint64_t bits = mi_load_relaxed(&a->free[w]) & mi_load_relaxed(&a->dirty[w]);   /* a hint */
    mi_or_acq_rel(&a->due[w], bits);                                       /* pairs with mi_bitmap_clear */
  }
}

/* What was given back since the last round is due in the next: so it stays free for at least the delay. A
   slice that is claimed just now may stay marked: then it is purged early the next time that it is free. True
   if there is any. */
static bool arena_age(mi_arena_t* a) {
  uint64_t any = 0;
  for (size_t w = 0; w < mi_bitmap_words(a->nslices); w++) {
    /* A hint: what is set from now on is for the next round. */
    if (mi_load_relaxed(&a->purge[w]) == 0) continue;
    const uint64_t bits = mi_exchange_acq_rel(&a->purge[w], 0);            /* pairs with mi_bitmap_set */
    mi_or_acq_rel(&a->due[w], bits);                                       /* pairs with mi_bitmap_clear */
    any |= bits;
  }
  arena_again(a);
  return any != 0;
}

bool mi_purge_some(bool now) {
  size_t budget = MI_PURGE_PIECE / MI_SLICE_SIZE;
  for (size_t i = 0; i < mi_arena_count() && budget > 0; i++) {
    mi_arena_t* a = mi_arena_at(i);
    budget = arena_purge_some(a, a->due, budget);
    if (now && budget > 0) budget = arena_purge_some(a, a->purge, budget);
  }
  return budget == 0;
}

void mi_purge_all(void) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    arena_age(a);
    arena_purge_some(a, a->due, SIZE_MAX);
  }
}

bool mi_purge_age(void) {
  bool any = false;
  for (size_t i = 0; i < mi_arena_count(); i++) any |= arena_age(mi_arena_at(i));
  return any;
}

size_t mi_purge_waiting(void) {
  size_t n = 0;
  for (size_t i = 0; i < mi_arena_count(); i++) {
    const mi_arena_t* a = mi_arena_at(i);
    if (mi_load_relaxed(&a->xgone)) continue;                             /* a hint */
    n += mi_bitmap_count(a->purge, a->nslices) + mi_bitmap_count(a->due, a->nslices);
  }
  return n * MI_SLICE_SIZE;
}

/* Who was purging is gone: nobody waits for him, and what he had begun is due. One thread only. */
void mi_purge_after_fork(void) {
  mi_store_relaxed(&npurging, 0);
  if (mi_purge_waiting() > 0) mi_clock_schedule();
}
