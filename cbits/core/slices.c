/* See slices.h. Any thread. */
#include <string.h>

#include "clock.h"
#include "commit.h"
#include "options.h"
#include "policy.h"
#include "slices.h"

static size_t ndirty(const mi_arena_t* a, size_t i, size_t n) {
  size_t count = 0, end = i + n;
  for (size_t len; (i = mi_bitmap_next(a->dirty, end, i)) < end; i += len, count += len)
    len = mi_bitmap_run(a->dirty, end, i, end - i);
  return count;
}

size_t mi_slices_dirty(const mi_arena_t* a, size_t i, size_t n) { return ndirty(a, i, n); }

/* ---- where free slices are ---- */

/* Hints may be too high (slices were given back meanwhile): who finds nothing looks from the start. */
static mi_atomic(size_t) * hint_for(mi_arena_t* a, size_t n) {
  return &a->xhint[mi_min(n, MI_ARENA_HINTS) - 1];
}

static void hints_lower(mi_arena_t* a, size_t i) {
  for (size_t k = 0; k < MI_ARENA_HINTS; k++) {
    const size_t first = i < k ? 0 : i - k;  /* where a run of k + 1 may begin now */
    if (first < mi_load_relaxed(&a->xhint[k])) mi_store_relaxed(&a->xhint[k], first);  /* a hint */
  }
}

/* xlongest is no hint: where a run is longer than it, somebody has set bits and not been here yet. It is
   lowered by who searched the whole arena and found that it did not change meanwhile; each change has a
   number. */
#define LONGEST_SOUGHT 1024u             /* a longer run counts as unknown */

static uint32_t longest_of(uint64_t word) { return (uint32_t)word; }

static void longest_raise(mi_arena_t* a, size_t i, size_t n) {
  /* Pairs with the swap below, by who gave the slices beside these: it or I see both. */
  uint64_t old = mi_load_acquire(&a->xlongest), word;
  do {
    size_t run = UINT32_MAX;
    if (longest_of(old) != UINT32_MAX) {
      run = n + mi_bitmap_run_before(a->free, i, LONGEST_SOUGHT)
            + mi_bitmap_run(a->free, a->nslices, i + n, LONGEST_SOUGHT);
      run = run >= LONGEST_SOUGHT ? UINT32_MAX : mi_max(run, longest_of(old));
    }
    word = ((old >> 32) + 1) << 32 | run;
  /* Pairs with itself and the acquire in slices_claim. */
  } while (!mi_cas_acq_rel(&a->xlongest, &old, word));
}

void mi_slices_free(mi_arena_t* a, size_t i, size_t n) {
  mi_assert(n > 0 && i + n <= a->nslices && mi_bitmap_run(a->free, a->nslices, i, 1) == 0);
  mi_bitmap_set(a->free, i, n);
  hints_lower(a, i);
  longest_raise(a, i, n);
}

/* ---- claiming ---- */

/* The first n free slices at an index that is `first` modulo `align`: claimed, *i is the first one. */
static bool slices_claim(mi_arena_t* a, size_t n, size_t align, size_t first, size_t* i) {
  /* Pairs with longest_raise: shows the bits that it is about. */
  uint64_t longest = mi_load_acquire(&a->xlongest);
  mi_atomic(size_t)* xhint = hint_for(a, n);
  const size_t hint = mi_load_relaxed(xhint);                              /* a hint */
  if (n > longest_of(longest)) return false;
  for (size_t from = hint; ; from = 0) {
    mi_add_relaxed(&mi_commit_totals.xscans, 1);                            /* a statistic */
    *i = from;
    bool missed = false;
    const bool ok = mi_bitmap_claim_run(a->free, a->nslices, n, align, first, i, &missed);
    if (missed && n > 1) mi_arena_longest_unknown(a);
    if (ok) {
      /* A hint. */
      if (n <= MI_ARENA_HINTS && align == 1 && hint == mi_load_relaxed(xhint)) mi_store_relaxed(xhint, *i);
      return true;
    }
    if (from == 0) break;
  }
  /* Pairs with longest_raise. */
  if (align == 1) mi_cas_acq_rel(&a->xlongest, &longest, (longest & ~(uint64_t)UINT32_MAX) | (n - 1));
  return false;
}

/* Slices i .. i+n are ours: those that are not dirty count no more, where the system counts what can be
   written to. They are given back, but for what was lost. */
static void slices_uncommit(mi_arena_t* a, size_t i, size_t n) {
  for (size_t at = i, len; at < i + n; at += len) {
    len = mi_bitmap_run(a->dirty, i + n, at, i + n - at);
    const bool dirty = len > 0;
    if (!dirty) len = mi_bitmap_next(a->dirty, i + n, at) - at;
    if (dirty || mi_os_decommit(a->start + at * MI_SLICE_SIZE, len * MI_SLICE_SIZE) != MI_OS_LOST)
      mi_slices_free(a, at, len);
  }
}

static bool slices_writable(mi_arena_t* a, size_t i, size_t n) {
  return !mi_os_must_commit() || a->pinned || mi_os_commit(a->start + i * MI_SLICE_SIZE, n * MI_SLICE_SIZE);
}

bool mi_slices_commit(mi_arena_t* a, size_t i, size_t n, bool* zero) {
  mi_assert(n > 0 && i + n <= a->nslices);
  const size_t clean = n - ndirty(a, i, n);
  if (clean > 0 && !mi_commit_add(clean * MI_SLICE_SIZE, false)) {
    mi_slices_free(a, i, n);
    return false;
  }
  if (clean > 0 && !slices_writable(a, i, n)) {
    mi_commit_sub(clean * MI_SLICE_SIZE);
    slices_uncommit(a, i, n);
    return false;
  }
  mi_bitmap_clear(a->purge, i, n);
  mi_bitmap_clear(a->due, i, n);
  *zero = (clean == n);
  if (clean > 0) mi_bitmap_set(a->dirty, i, n);
  return true;
}

mi_page_t* mi_slices_page(mi_arena_t* a, size_t i, size_t n, bool* zero) {
  if (!mi_slices_commit(a, i, n, zero)) return NULL;
  mi_page_t* page = &a->pages[i];
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD
            && mi_page_where(page) == MI_WHERE_DEAD);
  mi_store_relaxed(&page->xnslices, (uint32_t)n);
  if (mi_likely(page->start != NULL)) return page;
  /* For ever: P2 reads them when the page may have another life. */
  page->start = a->start + i * MI_SLICE_SIZE;
  page->arena = a->number;
  return page;
}

/* What was cleared by a purge last, and not asked for without zeros since: a hint. */
static mi_atomic(uintptr_t) xcleared;

/* Much is given back in place of being written to. Not the same memory again: whoever frees and takes it
   again and again touches it, and page faults take longer. And not the user's own memory, which may be a
   file's. */
static bool clear_by_purge(const mi_arena_t* a, uint8_t* p, size_t n) {
  if (!a->own || !mi_policy_clears_by_purge(n) || mi_load_relaxed(&xcleared) == (uintptr_t)p) return false;
  mi_store_relaxed(&xcleared, (uintptr_t)p);                               /* as above */
  return mi_os_purge(p, n * MI_SLICE_SIZE);
}

/* Our slices i .. i+n become zero; what is clean is not touched. False, and nothing done, where the caller
   can do it as well: it knows where in the last slice its block ends. */
static bool slices_clear(mi_arena_t* a, size_t i, size_t n, size_t dirty) {
  if (dirty == n && !mi_policy_clears_by_purge(n)) return false;
  size_t at = i;
  for (size_t len; (at = mi_bitmap_next(a->dirty, i + n, at)) < i + n; at += len) {
    len = mi_bitmap_run(a->dirty, i + n, at, i + n - at);
    uint8_t* p = a->start + at * MI_SLICE_SIZE;
    if (!clear_by_purge(a, p, len)) memset(p, 0, len * MI_SLICE_SIZE);
  }
  return true;
}

mi_page_t* mi_slices_page_for(mi_arena_t* a, mi_claim_t* c) {
  /* An aligned slice, modulo the alignment in slices. */
  const size_t first = 0 - (uintptr_t)a->start / MI_SLICE_SIZE;
  size_t i;
  if (!slices_claim(a, c->n, c->align / MI_SLICE_SIZE, first, &i)) return NULL;
  const size_t dirty = c->touched || c->clears ? ndirty(a, i, c->n) : 0;
  if (c->touched && dirty == 0) {
    mi_slices_free(a, i, c->n);
    return NULL;
  }
  const bool cleared = c->clears && slices_clear(a, i, c->n, dirty);
  if (!c->clears && mi_policy_clears_by_purge(c->n)) mi_store_relaxed(&xcleared, 0);        /* a hint */
  mi_page_t* page = mi_slices_page(a, i, c->n, c->zero);
  if (cleared && page != NULL) *c->zero = true;
  c->refused |= page == NULL;
  return page;
}

/* ---- giving back ---- */

void mi_slices_purge(mi_arena_t* a, size_t i, size_t n) {
  mi_assert(n > 0 && i + n <= a->nslices && !a->pinned);
  for (size_t at = i, len; at < i + n; at += len) {
    mi_os_result_t result = MI_OS_NOT;
    len = mi_bitmap_run(a->dirty, a->nslices, at, i + n - at);
    const bool dirty = len > 0;
    if (!dirty) len = mi_bitmap_next(a->dirty, i + n, at) - at;
    else result = mi_os_decommit(a->start + at * MI_SLICE_SIZE, len * MI_SLICE_SIZE);
    if (dirty && result == MI_OS_NOT) mi_store_relaxed(&a->xrefused, true);  /* a hint for the next round */
    if (result != MI_OS_NOT) {
      mi_bitmap_clear(a->dirty, at, len);
      mi_commit_sub(len * MI_SLICE_SIZE);
    }
    if (result == MI_OS_DONE) mi_add_relaxed(&mi_commit_totals.xpurged, len * MI_SLICE_SIZE);
    if (result != MI_OS_LOST) mi_slices_free(a, at, len);
  }
}

void mi_slices_give(mi_arena_t* a, size_t i, size_t n) {
  mi_assert(n > 0 && i + n <= a->nslices);
  const long delay = a->pinned ? -1 : mi_option_get(mi_option_purge_delay);
  if (delay == 0 && !mi_local()->frees_late) {
    mi_slices_purge(a, i, n);
    return;
  }
  if (delay >= 0) mi_bitmap_set(a->purge, i, n);
  mi_slices_free(a, i, n);
  mi_clock_tick(n);
  if (delay >= 0) mi_clock_schedule();
}

void mi_slices_lose(mi_arena_t* a, size_t i, size_t n) {
  mi_assert(n > 0 && i + n <= a->nslices);
  mi_commit_sub(ndirty(a, i, n) * MI_SLICE_SIZE);
  mi_bitmap_clear(a->dirty, i, n);
}
