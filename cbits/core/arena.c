/* See arena.h. Any thread. */
#include <errno.h>

#include "arena.h"
#include "commit.h"
#include "options.h"
#include "pagemap.h"
#include "policy.h"

mi_lock_t mi_arena_lock = MI_LOCK_INIT(MI_RANK_ARENAS);   /* for adding one, and for giving one back */
mi_atomic(mi_arena_t*) mi_arena_table[MI_ARENAS_MAX];
mi_atomic(size_t) mi_arena_xcount;
static size_t arenas_bytes;              /* of those that are not exclusive (the lock's) */

mi_arena_t* mi_arena_of_address(const void* p) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    /* Nothing of it is used. */
    if ((uintptr_t)p - (uintptr_t)a->start < a->nslices * MI_SLICE_SIZE && !mi_load_relaxed(&a->xgone))
      return a;
  }
  return NULL;
}

bool mi_arena_of_id(int id, uint16_t* number) {
  if (id < 0 || (size_t)id > mi_arena_count()) return false;
  *number = id == 0 ? MI_ARENA_NONE : (uint16_t)(id - 1);
  return true;
}

/* ---- claiming ---- */

/* Bits of `free` were set again that others may have seen clear. */
void mi_arena_longest_unknown(mi_arena_t* a) {
  uint64_t old = mi_load_relaxed(&a->xlongest);
  /* A change, as in longest_raise; pairs with the acquire in slices_claim. */
  while (!mi_cas_acq_rel(&a->xlongest, &old, ((old >> 32) + 1) << 32 | UINT32_MAX)) {}
}

bool mi_arena_claim_at(mi_arena_t* a, size_t i, size_t n) {
  mi_assert(n > 0 && i + n <= a->nslices);
  if (mi_bitmap_claim_at(a->free, i, n)) return true;
  if (i / 64 != (i + n - 1) / 64) mi_arena_longest_unknown(a);
  return false;
}

/* ---- making one ---- */

/* Under the lock. */
static bool arena_publish(mi_arena_t* a) {
  const size_t n = mi_load_relaxed(&mi_arena_xcount);  /* changed under the lock only */
  if (n == MI_ARENAS_MAX || !mi_pagemap_prepare(a->start, a->nslices * MI_SLICE_SIZE)) return false;
  a->number = (uint16_t)n;
  mi_store_release(&mi_arena_table[n], a);  /* pairs with mi_arena_at */
  mi_store_release(&mi_arena_xcount, n + 1);  /* pairs with mi_arena_count */
  if (!a->exclusive) arenas_bytes += a->nslices * MI_SLICE_SIZE;
  return true;
}

/* The structures of an arena of n slices, in one mapping. */
static mi_arena_t* arena_structures(size_t n, size_t* bytes) {
  const size_t words = mi_bitmap_words(n) * sizeof(mi_bits_t);
  const size_t head = mi_align_up(sizeof(mi_arena_t), 128);
  const size_t hole_words = mi_bitmap_words(n * (MI_SLICE_SIZE / MI_HOLE_SIZE)) * sizeof(mi_bits_t);
  *bytes =
      mi_align_up(head + n * sizeof(mi_page_t) + (6 + MI_BIN_COUNT) * words + hole_words, mi_os_page_size());
  uint8_t* p = mi_os_reserve(*bytes, mi_os_page_size());
  if (p == NULL) return NULL;
  if (!mi_os_commit(p, *bytes)) { mi_os_release(p, *bytes); return NULL; }
  mi_arena_t* a = (mi_arena_t*)(void*)p;
  a->nslices = n;
  a->pages = (mi_page_t*)(void*)(p + head);
  a->free = (mi_bits_t*)(void*)(p + head + n * sizeof(mi_page_t));
  a->purge = a->free + mi_bitmap_words(n);
  a->due = a->purge + mi_bitmap_words(n);
  a->dirty = a->due + mi_bitmap_words(n);
  a->boundaries = a->dirty + mi_bitmap_words(n);
  a->changed = a->boundaries + mi_bitmap_words(n);
  a->pool = a->changed + mi_bitmap_words(n);
  a->holes = a->pool + MI_BIN_COUNT * mi_bitmap_words(n);
  mi_store_relaxed(&a->xlongest, UINT32_MAX);  /* shown to others with the arena */
  return a;
}

/* Under the lock. */
static bool arena_add(void* start, size_t size, bool zero, bool pinned, bool exclusive, uint16_t* number) {
  uint8_t* first = (uint8_t*)mi_align_up((uintptr_t)start, MI_SLICE_SIZE);
  const size_t lost = (size_t)(first - (uint8_t*)start);
  if (start == NULL || size < lost + MI_SLICE_SIZE) { errno = EINVAL; return false; }
  size_t bytes;
  mi_arena_t* a = arena_structures((size - lost) / MI_SLICE_SIZE, &bytes);
  if (a == NULL) return false;
  a->start = first;
  a->pinned = pinned;
  a->exclusive = exclusive;
  if (!zero) mi_bitmap_set(a->dirty, 0, a->nslices);
  mi_bitmap_set(a->free, 0, a->nslices);
  if (!arena_publish(a)) { mi_os_release(a, bytes); errno = ENOMEM; return false; }
  if (number != NULL) *number = a->number;
  mi_add_relaxed(&mi_commit_totals.xreserved, a->nslices * MI_SLICE_SIZE);
  if (!zero) mi_commit_add(a->nslices * MI_SLICE_SIZE, true);
  return true;
}

bool mi_arena_add(void* start, size_t size, bool zero, bool pinned, bool exclusive, uint16_t* number) {
  mi_lock(&mi_arena_lock);
  const bool ok = arena_add(start, size, zero, pinned, exclusive, number);
  mi_unlock(&mi_arena_lock);
  return ok;
}

/* ---- more addresses, and fewer ---- */

size_t mi_arena_most(void) {
  return mi_max(mi_align_up(mi_option_get_size(mi_option_arena_reserve), MI_SLICE_SIZE), MI_ARENA_MIN);
}

size_t mi_arena_bytes(void) { return arenas_bytes; }

/* So that one that was released fits where another was. */
static size_t pow2_below(size_t size) { return (size_t)1 << mi_log2(mi_max(size, MI_SLICE_SIZE)); }

/* As much as there is, so that what a small program reserves is small and the number of arenas too; at most
   mi_arena_most, or an eighth of what there is, if that is more. */
size_t mi_arena_next_size(void) {
  const size_t first = mi_min(MI_ARENA_FIRST, mi_arena_most());
  return mi_max(mi_min(mi_max(pow2_below(arenas_bytes), first), mi_arena_most()),
                mi_policy_arena_least(arenas_bytes));
}

/* Under the lock, which changes xgone. Hints. */
static bool may_go(const mi_arena_t* a, bool also_dirty) {
  if (!a->own || mi_load_relaxed(&a->xgone)) return false;
  if (also_dirty) return true;
  return mi_policy_arena_goes(a->nslices * MI_SLICE_SIZE,
                              mi_bitmap_count(a->dirty, a->nslices) * MI_SLICE_SIZE,
                              mi_arena_addresses_are_few())
         && mi_bitmap_run(a->free, a->nslices, 0, a->nslices) == a->nslices;
}

/* Its structures stay, since others may look at them; no slice of it is free unless it comes back. */
bool mi_arena_release(bool also_dirty) {
  bool any = false;
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    const size_t size = a->nslices * MI_SLICE_SIZE;
    if (!may_go(a, also_dirty) || !mi_arena_claim_at(a, 0, a->nslices)) continue;
    mi_assert(a->own && !a->exclusive);
    mi_store_relaxed(&a->xgone, true);
    mi_bitmap_clear(a->purge, 0, a->nslices);
    mi_bitmap_clear(a->due, 0, a->nslices);
    mi_commit_sub(mi_bitmap_count(a->dirty, a->nslices) * MI_SLICE_SIZE);
    mi_bitmap_clear(a->dirty, 0, a->nslices);
    mi_os_release(a->start, size);
    mi_sub_relaxed(&mi_commit_totals.xreserved, size);                      /* a statistic */
    arenas_bytes -= size;
    any = true;
  }
  return any;
}

static mi_atomic(size_t) xrefused = SIZE_MAX;
/* Written under the lock; without it a hint. */
size_t mi_arena_refused(void) { return mi_load_relaxed(&xrefused); }
void mi_arena_refused_set(size_t size) { mi_store_relaxed(&xrefused, size); }   /* as above */

bool mi_arena_addresses_are_few(void) {
  return mi_os_has_few_addresses() || mi_arena_refused() != SIZE_MAX;
}

void mi_arena_release_purged(void) {
  if (mi_option_is_enabled(mi_option_disallow_os_alloc) || !mi_policy_arenas_go(mi_arena_count())) return;
  mi_lock(&mi_arena_lock);
  mi_arena_release(false);
  mi_unlock(&mi_arena_lock);
}

static void arena_granted(void* p, size_t size) {
  if (mi_arena_refused() <= SIZE_MAX / 2) mi_arena_refused_set(2 * mi_arena_refused());
  if (!mi_option_is_enabled(mi_option_allow_thp)) mi_os_advise_huge(p, size, false);
  else if (mi_option_is_enabled(mi_option_allow_large_os_pages)) mi_os_advise_huge(p, size, true);
}

/* All of it is free again. */
static void arena_revive(mi_arena_t* a) {
  const size_t size = a->nslices * MI_SLICE_SIZE;
  arena_granted(a->start, size);
  arenas_bytes += size;
  mi_add_relaxed(&mi_commit_totals.xreserved, size);                      /* a statistic */
  mi_store_relaxed(&a->xgone, false);        /* who has a block of it claimed it after this */
  mi_bitmap_clear(a->due, 0, a->nslices);    /* of a round that looked at it just when it went */
  mi_bitmap_set(a->free, 0, a->nslices);
  for (size_t k = 0; k < MI_ARENA_HINTS; k++) mi_store_relaxed(&a->xhint[k], 0);   /* hints */
  mi_arena_longest_unknown(a);
}

/* An arena of `least` to `most` bytes that was released comes back, where nothing else is at its addresses.
   Else a program that drives arenas out again and again would use up their numbers. */
static bool arena_come_back(size_t least, size_t most) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    const size_t size = a->nslices * MI_SLICE_SIZE;
    if (!mi_load_relaxed(&a->xgone) || size < least || size > most) continue;   /* changed under the lock */
    if (mi_os_reserve_at(a->start, size)) { arena_revive(a); return true; }
  }
  return false;
}

/* An arena of `size` bytes that the system is asked for. False: it refused these, or what describes them. */
static bool arena_from_os(size_t size) {
  void* p = mi_os_reserve(size, MI_SLICE_SIZE);
  if (p == NULL) { mi_arena_refused_set(size); return false; }
  arena_granted(p, size);
  if (arena_add(p, size, true, false, false, NULL)) {
    mi_arena_at(mi_arena_count() - 1)->own = true;
    return true;
  }
  mi_os_release(p, size);
  mi_arena_refused_set(size);
  return false;
}

bool mi_arena_reserve(size_t size) {
  size = mi_align_up(size, MI_SLICE_SIZE);
  size_t want = mi_max(mi_arena_next_size(), mi_policy_arena_room(size, mi_arena_addresses_are_few()));
  if (want > size && mi_os_locks_memory()) {
    mi_pagemap_unlock();
    want = mi_max(mi_min(want, MI_ARENA_LOCKED), mi_policy_arena_least(arenas_bytes));
  }
  if (want >= mi_arena_refused()) want = pow2_below(mi_arena_refused() / 2);
  want = mi_max(want, size);
  if (arena_come_back(size, want)) return true;
  for (;;) {
    if (arena_from_os(want) || (want == size && mi_arena_release(true) && arena_from_os(want))) return true;
    if (want == size) return false;
    want = want <= MI_ARENA_MIN ? size : mi_align_up(mi_max(want / 2, size), MI_SLICE_SIZE);
  }
}

/* ---- fork ---- */

void mi_arena_before_fork(void) { mi_lock(&mi_arena_lock); }
void mi_arena_after_fork(bool child) { (child ? &mi_lock_reset : &mi_unlock)(&mi_arena_lock); }
