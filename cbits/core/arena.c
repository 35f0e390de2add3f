/* See arena.h. Any thread. */
#include <errno.h>
#include <string.h>

#include "arena.h"
#include "clock.h"
#include "meta.h"
#include "options.h"
#include "pagemap.h"

mi_arena_totals_t mi_arena_totals;

static mi_lock_t arenas_lock = MI_LOCK_INIT(MI_RANK_ARENAS);   /* for adding one */
static mi_atomic(mi_arena_t*) arenas[MI_ARENAS_MAX];
static mi_atomic(size_t) narenas;
static size_t arenas_bytes;              /* of those that are not exclusive (the lock's) */
static mi_atomic(size_t) npurging, npurges;   /* threads that may have free slices claimed for purging; how often one began or ended */

size_t mi_arena_count(void) { return mi_load_acquire(&narenas); }                    /* pairs with arena_publish */
mi_arena_t* mi_arena_at(size_t number) { return mi_load_acquire(&arenas[number]); }  /* pairs with arena_publish */

mi_arena_t* mi_arena_of_address(const void* p) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    if ((uintptr_t)p - (uintptr_t)a->start < a->nslices * MI_SLICE_SIZE && !mi_load_relaxed(&a->xgone)) return a;  /* nothing of it is used */
  }
  return NULL;
}

bool mi_arena_of_id(int id, uint16_t* number) {
  if (id < 0 || (size_t)id > mi_arena_count()) return false;
  *number = id == 0 ? MI_ARENA_NONE : (uint16_t)(id - 1);
  return true;
}

/* ---- blocks with mappings of their own ---- */

static mi_lock_t mappings_lock = MI_LOCK_INIT(MI_RANK_MAPPINGS);
static mi_mapping_t* mappings;           /* the lock's, as are next and prev; start and xsize change under it once they are here */

static void mapping_link(mi_mapping_t* m) {
  mi_lock(&mappings_lock);
  m->next = mappings;
  m->prev = NULL;
  if (mappings != NULL) mappings->prev = m;
  mappings = m;
  mi_unlock(&mappings_lock);
}

static void mapping_unlink(mi_mapping_t* m) {
  mi_lock(&mappings_lock);
  if (m->prev != NULL) m->prev->next = m->next; else mappings = m->next;
  if (m->next != NULL) m->next->prev = m->prev;
  mi_unlock(&mappings_lock);
}

void mi_arena_mappings_each(bool (*visit)(mi_page_t* page, void* arg), void* arg) {
  mi_lock(&mappings_lock);
  for (mi_mapping_t *m = mappings, *next; m != NULL; m = next) {
    next = m->next;
    if (!visit(&m->page, arg)) break;
  }
  mi_unlock(&mappings_lock);
}

typedef struct { const void* p; mi_page_t* page; } mapping_search_t;
static bool mapping_is_elsewhere(mi_page_t* page, void* search) {
  mapping_search_t* s = search;
  if ((uintptr_t)s->p - (uintptr_t)page->start >= mi_page_size(page)) return true;
  if (mi_xword_state(mi_load_acquire(&page->xword)) != MI_PAGE_DEAD) s->page = page;   /* pairs with mi_remote_birth */
  return false;
}

static mi_page_t* mapping_of_address(const void* p) {
  mapping_search_t search = { p, NULL };
  mi_arena_mappings_each(&mapping_is_elsewhere, &search);
  return search.page;
}

/* A single page is mapped at its first slice only: look for that, towards the front. */
mi_page_t* mi_arena_page_of(const void* p) {
  if ((uintptr_t)p >> 48 != 0) return NULL;
  mi_page_t* page = mi_page_of(p);
  if (page != &mi_pagemap.zero.none) return mi_xword_state(mi_load_acquire(&page->xword)) == MI_PAGE_DEAD ? NULL : page;  /* pairs with mi_remote_birth; DEAD: kept */
  const mi_arena_t* a = mi_arena_of_address(p);
  if (a == NULL) return mapping_of_address(p);
  const size_t slice = mi_arena_slice_of(a, p);
  for (size_t i = slice + 1; i-- > 0; ) {
    page = &a->pages[i];
    if (mi_xword_state(mi_load_acquire(&page->xword)) != MI_PAGE_DEAD) return slice - i < mi_page_nslices(page) ? page : NULL;  /* pairs with mi_remote_birth */
    if (mi_bitmap_run(a->free, a->nslices, i, 1) != 0) return NULL;       /* a free slice is in no page */
  }
  return NULL;
}

/* ---- totals ---- */

static bool over_limit(size_t committed) {
  const size_t limit = mi_option_get_size(mi_option_commit_limit);
  return mi_unlikely(limit != 0 && committed > limit);
}

/* False, and nothing done, if the limit is in the way. Not asked for the user's own memory. */
static bool committed_add(size_t bytes, bool own) {
  const size_t now = mi_add_relaxed(&mi_arena_totals.xcommitted, bytes) + bytes;     /* a statistic */
  if (!own && over_limit(now)) {
    mi_sub_relaxed(&mi_arena_totals.xcommitted, bytes);
    errno = ENOMEM;
    return false;
  }
  size_t peak = mi_load_relaxed(&mi_arena_totals.xpeak_committed);
  while (now > peak && !mi_cas_acq_rel(&mi_arena_totals.xpeak_committed, &peak, now)) {}  /* pairs with itself */
  return true;
}
static void committed_sub(size_t bytes) { mi_sub_relaxed(&mi_arena_totals.xcommitted, bytes); }

size_t mi_arena_committed(void) {
  const size_t committed = mi_load_relaxed(&mi_arena_totals.xcommitted);   /* a statistic */
  size_t holes = 0;
  for (size_t i = 0; i < mi_arena_count(); i++) holes += mi_bitmap_count(mi_arena_at(i)->holes, mi_arena_nholes(mi_arena_at(i)));
  return committed - mi_min(committed, holes * MI_HOLE_SIZE);
}

/* ---- adding arenas ---- */

/* Under the lock. */
static bool arena_publish(mi_arena_t* a) {
  const size_t n = mi_load_relaxed(&narenas);                              /* changed under the lock only */
  if (n == MI_ARENAS_MAX || !mi_pagemap_prepare(a->start, a->nslices * MI_SLICE_SIZE)) return false;
  a->number = (uint16_t)n;
  mi_store_release(&arenas[n], a);                                         /* pairs with mi_arena_at */
  mi_store_release(&narenas, n + 1);                                       /* pairs with mi_arena_count */
  if (!a->exclusive) arenas_bytes += a->nslices * MI_SLICE_SIZE;
  return true;
}

/* The structures of an arena of n slices, in one mapping. */
static mi_arena_t* arena_structures(size_t n, size_t* bytes) {
  const size_t words = mi_bitmap_words(n) * sizeof(mi_bits_t);
  const size_t head = mi_align_up(sizeof(mi_arena_t), 128);
  const size_t hole_words = mi_bitmap_words(n * (MI_SLICE_SIZE / MI_HOLE_SIZE)) * sizeof(mi_bits_t);
  *bytes = mi_align_up(head + n * sizeof(mi_page_t) + (6 + MI_BIN_COUNT) * words + hole_words, mi_os_page_size());
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
  a->seams = a->dirty + mi_bitmap_words(n);
  a->changed = a->seams + mi_bitmap_words(n);
  a->pool = a->changed + mi_bitmap_words(n);
  a->holes = a->pool + MI_BIN_COUNT * mi_bitmap_words(n);
  mi_store_relaxed(&a->xlongest, UINT32_MAX);                              /* shown to others with the arena */
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
  mi_add_relaxed(&mi_arena_totals.xreserved, a->nslices * MI_SLICE_SIZE);
  if (!zero) committed_add(a->nslices * MI_SLICE_SIZE, true);
  return true;
}

bool mi_arena_add(void* start, size_t size, bool zero, bool pinned, bool exclusive, uint16_t* number) {
  mi_lock(&arenas_lock);
  const bool ok = arena_add(start, size, zero, pinned, exclusive, number);
  mi_unlock(&arenas_lock);
  return ok;
}

static size_t reserve_most(void) { return mi_max(mi_align_up(mi_option_get_size(mi_option_arena_reserve), MI_SLICE_SIZE), MI_ARENA_MIN); }

/* As much as there is, so that what a small program reserves is small and the number of arenas too; at most arena_reserve, and then an
   eighth. */
static size_t next_size(void) {
  const size_t first = mi_min(MI_ARENA_FIRST, reserve_most());
  return mi_max(mi_min(mi_max(arenas_bytes, first), reserve_most()), mi_align_up(arenas_bytes / 8, MI_SLICE_SIZE));
}

/* Gives the addresses of arenas back in which all is free, where the system has no more: true if there was one. Its structures stay,
   since others may look at them; no slice of it is ever free again. Under the lock. */
static bool arenas_release(void) {
  bool any = false;
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    const size_t size = a->nslices * MI_SLICE_SIZE;
    if (!a->own || mi_load_relaxed(&a->xgone) || !mi_bitmap_claim_at(a->free, 0, a->nslices)) continue;  /* changed under the lock */
    mi_store_relaxed(&a->xgone, true);
    mi_bitmap_clear(a->purge, 0, a->nslices);
    mi_bitmap_clear(a->due, 0, a->nslices);
    committed_sub(mi_bitmap_count(a->dirty, a->nslices) * MI_SLICE_SIZE);
    mi_bitmap_clear(a->dirty, 0, a->nslices);
    mi_os_release(a->start, size);
    mi_sub_relaxed(&mi_arena_totals.xreserved, size);                      /* a statistic */
    arenas_bytes -= size;
    any = true;
  }
  return any;
}

static mi_atomic(size_t) xrefused = SIZE_MAX;  /* what the system refused to reserve last, doubled by each that it granted (the lock's) */
static size_t refused(void) { return mi_load_relaxed(&xrefused); }           /* written under the lock; without it a hint */
static void refused_set(size_t size) { mi_store_relaxed(&xrefused, size); }   /* as above */

/* An arena of `size` bytes that the system is asked for. MI_OS_NOT: it refused. */
static mi_os_result_t arena_ask(size_t size) {
  void* p = mi_os_reserve(size, MI_SLICE_SIZE);
  if (p == NULL) { refused_set(size); return MI_OS_NOT; }
  if (refused() <= SIZE_MAX / 2) refused_set(2 * refused());
  if (!mi_option_is_enabled(mi_option_allow_thp)) mi_os_advise_huge(p, size, false);
  else if (mi_option_is_enabled(mi_option_allow_large_os_pages)) mi_os_advise_huge(p, size, true);
  if (arena_add(p, size, true, false, false, NULL)) {
    mi_arena_at(mi_arena_count() - 1)->own = true;
    return MI_OS_DONE;
  }
  mi_os_release(p, size);
  return MI_OS_LOST;
}

/* One more arena, with room for `size` aligned bytes; half as large where the system refuses. Under the lock. */
static bool arena_reserve(size_t size) {
  size = mi_align_up(size, MI_SLICE_SIZE);
  size_t want = next_size();
  if (want > size && mi_os_locks_memory()) want = mi_max(mi_min(want, MI_ARENA_FIRST), mi_align_up(arenas_bytes / 8, MI_SLICE_SIZE));
  if (want >= refused()) want = mi_align_up(refused() / 2, MI_SLICE_SIZE);
  for (want = mi_max(want, size); ; want = mi_align_up(mi_max(want / 2, size), MI_SLICE_SIZE)) {
    mi_os_result_t result = arena_ask(want);
    if (result != MI_OS_DONE && want == size && arenas_release()) result = arena_ask(want);
    if (result != MI_OS_NOT) return result == MI_OS_DONE;
    if (want == size || want <= MI_ARENA_MIN) return false;
  }
}

/* ---- claiming ---- */

/* How many of the slices i .. i+n are dirty. */
static size_t ndirty(const mi_arena_t* a, size_t i, size_t n) {
  size_t count = 0, end = i + n;
  for (size_t len; (i = mi_bitmap_next(a->dirty, end, i)) < end; i += len, count += len) len = mi_bitmap_run(a->dirty, end, i, end - i);
  return count;
}

/* Hints may be too high (slices were given back meanwhile): who finds nothing looks from the start. */
static mi_atomic(size_t)* hint_for(mi_arena_t* a, size_t n) { return &a->xhint[mi_min(n, MI_ARENA_HINTS) - 1]; }

static void hints_lower(mi_arena_t* a, size_t i) {
  for (size_t k = 0; k < MI_ARENA_HINTS; k++) {
    const size_t first = i < k ? 0 : i - k;                                /* where a run of k + 1 may begin now */
    if (first < mi_load_relaxed(&a->xhint[k])) mi_store_relaxed(&a->xhint[k], first);  /* a hint */
  }
}

/* xlongest is no hint: where a run is longer than it, somebody has set bits and not been here yet. It is lowered by who searched
   the whole arena and found that it did not change meanwhile; each change has a number. */
#define LONGEST_SOUGHT 1024u             /* a longer run counts as unknown */
static uint32_t longest_of(uint64_t word) { return (uint32_t)word; }

static void longest_raise(mi_arena_t* a, size_t i, size_t n) {
  uint64_t old = mi_load_acquire(&a->xlongest), word;                      /* pairs with the swap below, by who gave the slices beside these: it or I see both */
  do {
    size_t run = UINT32_MAX;
    if (longest_of(old) != UINT32_MAX) {
      run = n + mi_bitmap_run_before(a->free, i, LONGEST_SOUGHT) + mi_bitmap_run(a->free, a->nslices, i + n, LONGEST_SOUGHT);
      run = run >= LONGEST_SOUGHT ? UINT32_MAX : mi_max(run, longest_of(old));
    }
    word = ((old >> 32) + 1) << 32 | run;
  } while (!mi_cas_acq_rel(&a->xlongest, &old, word));                     /* pairs with itself and the acquire in slices_claim */
}

uint64_t mi_arena_changes(void) {
  uint64_t sum = 0;
  for (size_t i = 0; i < mi_arena_count(); i++) sum += mi_load_relaxed(&mi_arena_at(i)->xlongest) >> 32;  /* a hint */
  return sum;
}

bool mi_arena_commit_counts(void) { return mi_option_get_size(mi_option_commit_limit) != 0 || mi_os_must_commit(); }

/* Slices i .. i+n, claimed by us, may be claimed by anybody. */
static void slices_free(mi_arena_t* a, size_t i, size_t n) {
  mi_assert(n > 0 && i + n <= a->nslices && mi_bitmap_run(a->free, a->nslices, i, 1) == 0);
  mi_bitmap_set(a->free, i, n);
  hints_lower(a, i);
  longest_raise(a, i, n);
}

/* The first n free slices at an index that is `first` modulo `align`: claimed, *i is the first one. */
static bool slices_claim(mi_arena_t* a, size_t n, size_t align, size_t first, size_t* i) {
  uint64_t longest = mi_load_acquire(&a->xlongest);                        /* pairs with longest_raise: shows the bits that it is about */
  mi_atomic(size_t)* xhint = hint_for(a, n);
  const size_t hint = mi_load_relaxed(xhint);                              /* a hint */
  if (n > longest_of(longest)) return false;
  for (size_t from = hint; ; from = 0) {
    mi_add_relaxed(&mi_arena_totals.xscans, 1);                            /* a statistic */
    *i = from;
    if (mi_bitmap_claim_run(a->free, a->nslices, n, align, first, i)) {
      if (n <= MI_ARENA_HINTS && align == 1 && hint == mi_load_relaxed(xhint)) mi_store_relaxed(xhint, *i);  /* a hint */
      return true;
    }
    if (from == 0) break;
  }
  if (align == 1) mi_cas_acq_rel(&a->xlongest, &longest, (longest & ~(uint64_t)UINT32_MAX) | (n - 1));  /* pairs with longest_raise */
  return false;
}

/* Slices i .. i+n are ours: those that are not dirty count no more, where the system counts what can be written to. They are given
   back, but for what was lost. */
static void slices_uncommit(mi_arena_t* a, size_t i, size_t n) {
  for (size_t at = i, len; at < i + n; at += len) {
    len = mi_bitmap_run(a->dirty, i + n, at, i + n - at);
    const bool dirty = len > 0;
    if (!dirty) len = mi_bitmap_next(a->dirty, i + n, at) - at;
    if (dirty || mi_os_decommit(a->start + at * MI_SLICE_SIZE, len * MI_SLICE_SIZE) != MI_OS_LOST) slices_free(a, at, len);
  }
}

static bool slices_writable(mi_arena_t* a, size_t i, size_t n) {
  return !mi_os_must_commit() || a->pinned || mi_os_commit(a->start + i * MI_SLICE_SIZE, n * MI_SLICE_SIZE);
}

/* Slices i .. i+n are ours: ready to be used. False: the OS or the limit refused to commit; they are given back. */
static bool slices_commit(mi_arena_t* a, size_t i, size_t n, bool* zero) {
  const size_t clean = n - ndirty(a, i, n);
  if (clean > 0 && !committed_add(clean * MI_SLICE_SIZE, false)) {
    slices_free(a, i, n);
    return false;
  }
  if (clean > 0 && !slices_writable(a, i, n)) {
    committed_sub(clean * MI_SLICE_SIZE);
    slices_uncommit(a, i, n);
    return false;
  }
  mi_bitmap_clear(a->purge, i, n);
  mi_bitmap_clear(a->due, i, n);
  *zero = (clean == n);
  if (clean > 0) mi_bitmap_set(a->dirty, i, n);
  return true;
}

/* Slices i .. i+n, claimed by us, as a page. NULL as in slices_commit. */
static mi_page_t* slices_page(mi_arena_t* a, size_t i, size_t n, bool* zero) {
  if (!slices_commit(a, i, n, zero)) return NULL;
  mi_page_t* page = &a->pages[i];
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD && mi_page_where(page) == MI_WHERE_DEAD);
  mi_store_relaxed(&page->xnslices, (uint32_t)n);
  if (mi_likely(page->start != NULL)) return page;
  page->start = a->start + i * MI_SLICE_SIZE;                              /* for ever: P2 reads them when the page may have another life */
  page->arena = a->number;
  return page;
}

/* What is asked for. */
typedef struct {
  size_t   size, align, n;          /* bytes, the alignment at least a slice; slices */
  uint16_t number;                  /* of the arena, or MI_ARENA_NONE */
  bool     touched;                 /* not if it would all be new memory */
  bool     refused;                 /* there was room, which could not be committed: more room would not help */
  bool*    zero;
} mi_claim_t;

static mi_claim_t claim_of(size_t size, size_t align, uint16_t number, bool* zero) {
  return (mi_claim_t){ .size = size, .align = mi_max(align, MI_SLICE_SIZE), .n = mi_divide_up(size, MI_SLICE_SIZE), .number = number, .zero = zero };
}

static mi_page_t* arena_try_claim(mi_arena_t* a, mi_claim_t* c) {
  const size_t first = 0 - (uintptr_t)a->start / MI_SLICE_SIZE;            /* an aligned slice, modulo the alignment in slices */
  size_t i;
  if (!slices_claim(a, c->n, c->align / MI_SLICE_SIZE, first, &i)) return NULL;
  if (c->touched && ndirty(a, i, c->n) == 0) {
    slices_free(a, i, c->n);
    return NULL;
  }
  mi_page_t* page = slices_page(a, i, c->n, c->zero);
  c->refused |= page == NULL;
  return page;
}

static mi_page_t* arenas_try_claim(mi_claim_t* c) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    if (!mi_arena_serves(a, c->number)) continue;
    mi_page_t* page = arena_try_claim(a, c);
    if (page != NULL) return page;
  }
  return NULL;
}

static mi_page_t* arena_claim_roomy(mi_arena_t* a, size_t n, size_t room, bool* zero) {
  if (room > longest_of(mi_load_relaxed(&a->xlongest))) return NULL;       /* a hint */
  for (size_t i = a->nslices - a->nslices / 2 / room * room; i < a->nslices; i += room) {   /* multiples from the end */
    if (mi_bitmap_run(a->free, a->nslices, i, room) == room && mi_bitmap_claim_at(a->free, i, n)) return slices_page(a, i, n, zero);
  }
  return NULL;
}

/* With at least `least` slices. */
static mi_page_t* arenas_claim_roomy(size_t n, size_t least, uint16_t number, bool* zero) {
  for (size_t room = MI_ARENA_ROOM / MI_SLICE_SIZE; room >= least; room /= 2) {   /* less: what is left between those that have more */
    for (size_t k = 0; k < mi_arena_count(); k++) {
      mi_arena_t* a = mi_arena_at(k);
      mi_page_t* page = mi_arena_serves(a, number) ? arena_claim_roomy(a, n, room, zero) : NULL;
      if (page != NULL) return page;
    }
  }
  return NULL;
}

static bool may_ask_os(uint16_t number) {
  return number == MI_ARENA_NONE && !mi_option_is_enabled(mi_option_disallow_os_alloc);
}

/* An arena whose upper half has room, while all of them together are no more than one is when there are many: much, but where
   addresses or memory are few. */
static bool room_reserve(size_t much, size_t little, uint16_t number) {
  if (!may_ask_os(number)) return false;
  mi_lock(&arenas_lock);
  const size_t room = 2 * (refused() == SIZE_MAX && !mi_os_locks_memory() ? much : little) * MI_SLICE_SIZE;
  const bool ok = arenas_bytes < reserve_most() && room <= reserve_most() && arena_reserve(room);
  mi_unlock(&arenas_lock);
  return ok;
}

bool mi_arena_is_narrow(const mi_page_t* page) {
  return page->arena != MI_ARENA_NONE && mi_arena_at(page->arena)->nslices < 2 * MI_ARENA_ROOM / MI_SLICE_SIZE
         && 2 * MI_ARENA_ROOM <= reserve_most() && refused() == SIZE_MAX && may_ask_os(MI_ARENA_NONE);
}

mi_page_t* mi_arena_claim_roomy(size_t size, uint16_t number, bool* zero) {
  const size_t n = mi_divide_up(size, MI_SLICE_SIZE), most = MI_ARENA_ROOM / MI_SLICE_SIZE;
  const size_t little = mi_min((size_t)1 << mi_log2(8 * n), most);         /* so that it is copied seldom */
  if (2 * n > most) return NULL;
  mi_page_t* page = arenas_claim_roomy(n, most, number, zero);
  if (page == NULL && room_reserve(most, little, number)) page = arenas_claim_roomy(n, little, number, zero);
  return page != NULL ? page : arenas_claim_roomy(n, 2 * n, number, zero);
}

/* Committed, and its first entry in the page map can be made. NULL if not. */
static uint8_t* mapping_make(size_t size, size_t align) {
  if (over_limit(mi_load_relaxed(&mi_arena_totals.xcommitted) + size)) return NULL;  /* a hint */
  uint8_t* p = mi_os_reserve(size, align);
  if (p == NULL) {
    mi_lock(&arenas_lock);
    if (arenas_release()) p = mi_os_reserve(size, align);
    if (p != NULL) refused_set(mi_min(refused(), size));
    mi_unlock(&arenas_lock);
  }
  if (p == NULL) return NULL;
  if (mi_os_commit(p, size) && mi_pagemap_prepare(p, MI_SLICE_SIZE) && committed_add(size, false)) return p;
  mi_os_release(p, size);
  return NULL;
}

static void nslices_set(mi_page_t* page, size_t size) {
  mi_store_relaxed(&page->xnslices, (uint32_t)mi_min(mi_divide_up(size, MI_SLICE_SIZE), UINT32_MAX));
}

/* A page with a mapping of its own. */
static mi_page_t* mapping_claim(size_t size, size_t align, bool* zero) {
  size = mi_align_up(size, mi_os_page_size());
  uint8_t* start = mapping_make(size, align);
  mi_mapping_t* m = start == NULL ? NULL : mi_meta_alloc(MI_META_PAGE, sizeof *m);
  if (m == NULL) {
    if (start != NULL) {
      mi_os_release(start, size);
      committed_sub(size);
    }
    errno = ENOMEM;
    return NULL;
  }
  m->page.start = start;
  m->page.arena = MI_ARENA_NONE;
  nslices_set(&m->page, size);
  mi_store_relaxed(&m->page.xsize, size);                   /* mi_arena_give needs it even before the page is made */
  mi_add_relaxed(&mi_arena_totals.xreserved, size);
  mi_add_relaxed(&mi_arena_totals.xmappings, 1);                           /* statistics */
  mi_add_relaxed(&mi_arena_totals.xmapped, size);
  mapping_link(m);
  *zero = true;
  return &m->page;
}

/* Over half of a large arena. */
static bool is_huge(size_t size, size_t align) {
  if (size <= MI_ARENA_MIN / 2 && align <= MI_ARENA_MIN / 4) return false; /* small pages are always in an arena */
  const size_t largest = mi_max(mi_option_get_size(mi_option_arena_reserve), MI_ARENA_MIN) / 2;
  return size > largest || align > largest / 2;
}

/* What seems to be full may have free slices that are just being purged: they are back soon. Again while anybody has begun or
   ended since the look before. */
static mi_page_t* claim_behind_purger(mi_claim_t* c, size_t before) {
  mi_page_t* page = NULL;
  for (int i = 0; page == NULL && i < 300; i++) {                           /* a tenth of a second at most: who purges may have no processor */
    const size_t now = mi_load_relaxed(&npurges);                          /* hints: a claim that fails in vain is no more than that */
    if (now == before && mi_load_relaxed(&npurging) == 0) break;
    if (i >= 200) mi_os_sleep_ms(1);
    else if (i > 0) mi_os_yield();
    before = now;
    page = arenas_try_claim(c);
  }
  return page;
}

static size_t demand;                    /* bytes that a mapping was made for in place of an arena (the lock's) */

/* A large block for which there is no room has a mapping of its own where addresses are few, so that they are given back with it; and if
   it is the first so large: many programs have one. */
static bool is_alone(size_t room) {
  if (room <= MI_ARENA_FIRST) return false;
  if (refused() != SIZE_MAX) return true;
  if (room <= next_size() || room <= demand) return false;
  demand += room;
  return true;
}

/* From a new arena, or one that another has added meanwhile. */
static mi_page_t* claim_new(mi_claim_t* c) {
  const size_t room = c->n * MI_SLICE_SIZE + c->align - MI_SLICE_SIZE;
  mi_lock(&arenas_lock);
  mi_page_t* page = arenas_try_claim(c);
  const bool alone = page == NULL && !c->refused && is_alone(room);
  if (page == NULL && !c->refused && !alone && arenas_bytes == 0 && room > MI_ARENA_FIRST) arena_reserve(1);  /* so that small ones do not keep the large one */
  if (page == NULL && !c->refused && !alone && arena_reserve(room)) page = arenas_try_claim(c);
  mi_unlock(&arenas_lock);
  return alone ? mapping_claim(c->size, c->align, c->zero) : page;
}

mi_page_t* mi_arena_claim_touched(size_t size, size_t align, bool* zero) {
  mi_claim_t c = claim_of(size, align, MI_ARENA_NONE, zero);
  c.touched = true;
  return is_huge(size, align) ? NULL : arenas_try_claim(&c);
}

mi_page_t* mi_arena_claim(size_t size, size_t align, uint16_t number, bool* zero) {
  mi_claim_t c = claim_of(size, align, number, zero);
  if (mi_unlikely(is_huge(size, align)) && may_ask_os(number)) return mapping_claim(size, c.align, zero);
  const size_t npurges_before = mi_load_relaxed(&npurges);                 /* a hint */
  mi_page_t* page = arenas_try_claim(&c);
  if (mi_likely(page != NULL)) return page;
  page = claim_behind_purger(&c, npurges_before);
  const bool limited = over_limit(mi_load_relaxed(&mi_arena_totals.xcommitted) + size);  /* a hint: no new arena would help */
  return page == NULL && !limited && !c.refused && may_ask_os(number) ? claim_new(&c) : page;
}

/* ---- giving back ---- */

/* Slices i .. i+n, claimed by us and free: to the OS, but for those that another has purged since they were marked; then they may be
   claimed by anybody, but for what is not ours any more. */
static void slices_purge(mi_arena_t* a, size_t i, size_t n) {
  mi_assert(n > 0 && i + n <= a->nslices && !a->pinned);
  for (size_t at = i, len; at < i + n; at += len) {
    mi_os_result_t result = MI_OS_NOT;
    len = mi_bitmap_run(a->dirty, a->nslices, at, i + n - at);
    if (len == 0) len = mi_bitmap_next(a->dirty, i + n, at) - at;
    else result = mi_os_decommit(a->start + at * MI_SLICE_SIZE, len * MI_SLICE_SIZE);
    if (result != MI_OS_NOT) {
      mi_bitmap_clear(a->dirty, at, len);
      committed_sub(len * MI_SLICE_SIZE);
    }
    if (result == MI_OS_DONE) mi_add_relaxed(&mi_arena_totals.xpurged, len * MI_SLICE_SIZE);
    if (result != MI_OS_LOST) slices_free(a, at, len);
  }
}

static void slices_give(mi_arena_t* a, size_t i, size_t n) {
  const long delay = a->pinned ? -1 : mi_option_get(mi_option_purge_delay);
  if (delay == 0) {
    slices_purge(a, i, n);
    return;
  }
  if (delay > 0) mi_bitmap_set(a->purge, i, n);
  slices_free(a, i, n);
  mi_clock_tick(n);
  if (delay > 0) mi_clock_ask();
}

/* What a move lost: counted no more, and claimed for ever. */
static void slices_lose(mi_arena_t* a, size_t i, size_t n) {
  committed_sub(ndirty(a, i, n) * MI_SLICE_SIZE);
  mi_bitmap_clear(a->dirty, i, n);
}

static void mapping_give(mi_page_t* page) {
  const size_t size = mi_page_size(page);
  mapping_unlink(mi_mapping_of(page));
  mi_os_release(page->start, size);
  mi_sub_relaxed(&mi_arena_totals.xreserved, size);
  mi_sub_relaxed(&mi_arena_totals.xmapped, size);                          /* statistics */
  mi_sub_relaxed(&mi_arena_totals.xmappings, 1);
  committed_sub(size);
  mi_meta_free(MI_META_PAGE, page);
}

void mi_arena_give(mi_page_t* page) {
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD && (mi_page_where(page) == MI_WHERE_DEAD || mi_page_where(page) == MI_WHERE_LOST));
  if (page->arena == MI_ARENA_NONE) { mapping_give(page); return; }
  mi_arena_t* a = mi_arena_at(page->arena);
  (mi_page_where(page) == MI_WHERE_LOST ? &slices_lose : &slices_give)(a, mi_arena_slice_of(a, page->start), mi_page_nslices(page));
}

bool mi_arena_resize(mi_page_t* page, size_t size) {
  if (page->arena == MI_ARENA_NONE) return false;
  mi_arena_t* a = mi_arena_at(page->arena);
  const size_t i = mi_arena_slice_of(a, page->start);
  const size_t old = mi_page_nslices(page), n = mi_divide_up(size, MI_SLICE_SIZE);
  bool zero;
  if (n > a->nslices - i) return false;
  if (n > old && (!mi_bitmap_claim_at(a->free, i + old, n - old) || !slices_commit(a, i + old, n - old, &zero))) return false;
  mi_store_relaxed(&page->xnslices, (uint32_t)n);
  if (n < old) slices_give(a, i + n, old - n);
  return true;
}

#define SEAMS_MAX 8192u                  /* each may be a mapping, of which a process has 65530 on Linux */
static mi_atomic(size_t) nseams;

static void seam_at(mi_arena_t* a, size_t i) {
  if (i >= a->nslices || mi_bitmap_run(a->seams, a->nslices, i, 1) != 0) return;
  mi_bitmap_set(a->seams, i, 1);
  mi_add_relaxed(&nseams, 1);                                              /* a count */
}

/* Part of a page, without a seam inside: moved, or copied where the system does not move it. False if what it should go to is lost. */
static bool part_move(mi_arena_t* a, size_t i, mi_arena_t* b, size_t j, size_t n) {
  uint8_t *from = a->start + i * MI_SLICE_SIZE, *to = b->start + j * MI_SLICE_SIZE;
  seam_at(b, j);
  seam_at(b, j + n);
  const mi_os_result_t result = mi_os_move_pages(from, to, n * MI_SLICE_SIZE);
  if (result == MI_OS_NOT) memcpy(to, from, n * MI_SLICE_SIZE);
  if (result != MI_OS_DONE) return result == MI_OS_NOT;
  mi_bitmap_clear(a->dirty, i, n);
  committed_sub(n * MI_SLICE_SIZE);
  return true;
}

/* The first n slices of a page are there again. */
static void part_restore(mi_arena_t* a, size_t i, const uint8_t* from, size_t n) {
  committed_add((n - ndirty(a, i, n)) * MI_SLICE_SIZE, true);
  mi_bitmap_set(a->dirty, i, n);
  memcpy(a->start + i * MI_SLICE_SIZE, from, n * MI_SLICE_SIZE);
}

/* What is several mappings the system does not move. So seams are remembered for ever, and each part goes by itself. Where there are
   many, or one was lost, nothing is moved any more. */
mi_os_result_t mi_arena_move(mi_page_t* from, mi_page_t* to) {
  const size_t n = mi_page_nslices(from);
  if (from->arena == MI_ARENA_NONE || to->arena == MI_ARENA_NONE || mi_page_nslices(to) < n) return MI_OS_NOT;
  mi_arena_t *a = mi_arena_at(from->arena), *b = mi_arena_at(to->arena);
  if (a->pinned || b->pinned || mi_load_relaxed(&nseams) >= SEAMS_MAX) return MI_OS_NOT;   /* a count */
  const size_t i = mi_arena_slice_of(a, from->start), j = mi_arena_slice_of(b, to->start);
  for (size_t done = 0, len; done < n; done += len) {
    len = mi_bitmap_next(a->seams, i + n, i + done + 1) - i - done;
    if (part_move(a, i + done, b, j + done, len)) continue;
    part_restore(a, i, to->start, done);
    mi_page_single_to_lost(to);
    mi_store_relaxed(&nseams, SEAMS_MAX);                                  /* as above */
    return MI_OS_LOST;
  }
  return MI_OS_DONE;
}

/* The start of the mapping when it has the new size, where the page map has an entry; NULL: it is as it was. */
static uint8_t* mapping_move(uint8_t* start, size_t old_size, size_t size) {
  if (mi_os_resize(start, old_size, size)) return start;
  if (size <= old_size) return NULL;
  uint8_t* p = mi_os_reserve(size, MI_SLICE_SIZE);
  if (p == NULL) return NULL;
  mi_os_result_t result = MI_OS_NOT;
  if (mi_pagemap_prepare(p, MI_SLICE_SIZE)) result = mi_os_move(start, old_size, p, size);
  if (result == MI_OS_NOT) mi_os_release(p, size);
  return result == MI_OS_DONE ? p : NULL;
}

bool mi_arena_remap(mi_page_t* page, size_t old_size, size_t size) {
  const size_t more = size > old_size ? size - old_size : 0;
  if (page->arena != MI_ARENA_NONE || (more > 0 && over_limit(mi_load_relaxed(&mi_arena_totals.xcommitted) + more))) return false;  /* a hint */
  mi_lock(&mappings_lock);                                                 /* nobody finds an address in it while it moves */
  uint8_t* start = mapping_move(page->start, old_size, size);
  if (start != NULL) {
    page->start = start;
    nslices_set(page, size);
    mi_store_relaxed(&page->xsize, size);
  }
  mi_unlock(&mappings_lock);
  if (start == NULL) return false;
  mi_add_relaxed(&mi_arena_totals.xreserved, size - old_size);             /* statistics; they wrap to less when it shrinks */
  mi_add_relaxed(&mi_arena_totals.xmapped, size - old_size);
  if (more > 0) committed_add(more, true);                                 /* asked above */
  else committed_sub(old_size - size);
  return true;
}

/* ---- purging ---- */

/* One thread fewer. In the child of fork it may be 0 already, when a signal's handler forked in the middle of a purge. */
static void purge_ends(void) {
  size_t n = mi_load_relaxed(&npurging);                                   /* hints for claim_behind_purger; the swap decides */
  mi_add_relaxed(&npurges, 1);
  while (n > 0 && !mi_cas_acq_rel(&npurging, &n, n - 1)) {}                /* pairs with itself */
}

/* Of the slices in `map` at most `budget`; returns what is left of it. */
static size_t arena_purge_some(mi_arena_t* a, mi_bits_t* map, size_t budget) {
  mi_add_relaxed(&npurging, 1);                                            /* hints for claim_behind_purger */
  mi_add_relaxed(&npurges, 1);
  size_t i = mi_bitmap_next(map, a->nslices, 0);
  while (i < a->nslices && budget > 0) {
    size_t n = mi_bitmap_run(map, a->nslices, i, mi_min(budget, MI_PURGE_PIECE / MI_SLICE_SIZE));
    bool mine = n > 0 && mi_bitmap_claim_at(a->free, i, n);
    if (!mine && n > 1) mine = mi_bitmap_claim_at(a->free, i, n = 1);      /* part of the run was claimed meanwhile: its first slice alone */
    if (mine) {
      const bool set = mi_bitmap_clear(map, i, n);                         /* not set: somebody had them meanwhile and gave them back purged */
      (set ? &slices_purge : &slices_free)(a, i, n);
      budget -= n;
    }
    i = mi_bitmap_next(map, a->nslices, i + (mine ? n : 1));               /* claimed: its new holder clears the bit */
  }
  purge_ends();
  return budget;
}

/* What was given back since the last round is due in the next: so it stays free for at least the delay. A slice that
   is claimed just now may stay marked: then it is purged early the next time that it is free. True if there is any. */
static bool arena_age(mi_arena_t* a) {
  uint64_t any = 0;
  for (size_t w = 0; w < mi_bitmap_words(a->nslices); w++) {
    if (mi_load_relaxed(&a->purge[w]) == 0) continue;                      /* a hint: what is set from now on is for the next round */
    const uint64_t bits = mi_exchange_acq_rel(&a->purge[w], 0);            /* pairs with mi_bitmap_set */
    mi_or_acq_rel(&a->due[w], bits);                                       /* pairs with mi_bitmap_clear */
    any |= bits;
  }
  return any != 0;
}

bool mi_arena_purge(bool now) {
  size_t budget = MI_PURGE_PIECE / MI_SLICE_SIZE;
  for (size_t i = 0; i < mi_arena_count() && budget > 0; i++) {
    mi_arena_t* a = mi_arena_at(i);
    budget = arena_purge_some(a, a->due, budget);
    if (now && budget > 0) budget = arena_purge_some(a, a->purge, budget);
  }
  return budget == 0;
}

void mi_arena_purge_all(void) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    arena_age(a);
    arena_purge_some(a, a->due, SIZE_MAX);
  }
}

bool mi_arena_age(void) {
  bool any = false;
  for (size_t i = 0; i < mi_arena_count(); i++) any |= arena_age(mi_arena_at(i));
  return any;
}

size_t mi_arena_waiting(void) {
  size_t n = 0;
  for (size_t i = 0; i < mi_arena_count(); i++) {
    const mi_arena_t* a = mi_arena_at(i);
    n += mi_bitmap_count(a->purge, a->nslices) + mi_bitmap_count(a->due, a->nslices);
  }
  return n * MI_SLICE_SIZE;
}

void mi_arena_before_fork(void) {
  mi_lock(&arenas_lock);
  mi_lock(&mappings_lock);
}

void mi_arena_after_fork(bool child) {
  (child ? &mi_lock_reset : &mi_unlock)(&mappings_lock);
  (child ? &mi_lock_reset : &mi_unlock)(&arenas_lock);
}

/* Who was purging is gone: nobody waits for him, and what he had begun is due. One thread only. */
void mi_arena_mend(void) {
  mi_store_relaxed(&npurging, 0);
  if (mi_arena_waiting() > 0) mi_clock_ask();
}
