/* See arena.h. Any thread. */
#include <errno.h>
#include <string.h>

#include "arena.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "pagemap.h"

mi_arena_totals_t mi_arena_totals;

static mi_lock_t arenas_lock = MI_LOCK_INIT(MI_RANK_ARENAS);   /* for adding one */
static mi_atomic(mi_arena_t*) arenas[MI_ARENAS_MAX];
static mi_atomic(size_t) narenas;
static mi_atomic(size_t) npurging, npurges;   /* threads that may have free slices claimed for purging; how often one began or ended */

size_t mi_arena_count(void) { return mi_load_acquire(&narenas); }                    /* pairs with arena_publish */
mi_arena_t* mi_arena_at(size_t number) { return mi_load_acquire(&arenas[number]); }  /* pairs with arena_publish */

mi_arena_t* mi_arena_of_address(const void* p) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    if ((uintptr_t)p - (uintptr_t)a->start < a->nslices * MI_SLICE_SIZE) return a;
  }
  return NULL;
}

bool mi_arena_of_id(int id, uint16_t* number) {
  if (id < 0 || (size_t)id > mi_arena_count()) return false;
  *number = id == 0 ? MI_ARENA_NONE : (uint16_t)(id - 1);
  return true;
}

/* A single page is mapped at its first slice only: look for that, towards the front. */
mi_page_t* mi_arena_page_of(const void* p) {
  if ((uintptr_t)p >> 48 != 0) return NULL;
  mi_page_t* page = mi_page_of(p);
  if (page != &mi_pagemap.zero.none) return mi_xword_state(mi_load_acquire(&page->xword)) == MI_PAGE_DEAD ? NULL : page;  /* pairs with mi_remote_birth; DEAD: kept */
  const mi_arena_t* a = mi_arena_of_address(p);
  if (a == NULL) return NULL;
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
  return a;
}

bool mi_arena_add(void* start, size_t size, bool zero, bool pinned, bool exclusive, uint16_t* number) {
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
  mi_lock(&arenas_lock);
  const bool ok = arena_publish(a);
  mi_unlock(&arenas_lock);
  if (!ok) { mi_os_release(a, bytes); errno = ENOMEM; return false; }
  if (number != NULL) *number = a->number;
  mi_add_relaxed(&mi_arena_totals.xreserved, a->nslices * MI_SLICE_SIZE);
  if (!zero) committed_add(a->nslices * MI_SLICE_SIZE, true);
  return true;
}

/* One more arena, with room for `size` aligned bytes; half as large where the system refuses. */
static bool arena_reserve(size_t size) {
  size_t want = mi_max(mi_align_up(mi_option_get_size(mi_option_arena_reserve), MI_SLICE_SIZE), MI_ARENA_MIN);
  want <<= mi_min(mi_arena_count() / 8, 6);                                /* many arenas: larger ones, so that their number stays small */
  size = mi_align_up(size, MI_SLICE_SIZE);
  for (want = mi_max(want, size); ; want = mi_align_up(mi_max(want / 2, size), MI_SLICE_SIZE)) {
    void* p = mi_os_reserve(want, MI_SLICE_SIZE);
    if (p != NULL) {
      if (!mi_option_is_enabled(mi_option_allow_thp)) mi_os_advise_huge(p, want, false);
      else if (mi_option_is_enabled(mi_option_allow_large_os_pages)) mi_os_advise_huge(p, want, true);
      if (mi_arena_add(p, want, true, false, false, NULL)) return true;
      mi_os_release(p, want);
      return false;
    }
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

/* Slices i .. i+n are ours: ready to be used. False: the OS or the limit refused to commit; they are given back. */
static bool slices_commit(mi_arena_t* a, size_t i, size_t n, bool* zero) {
  uint8_t* start = a->start + i * MI_SLICE_SIZE;
  const size_t clean = n - ndirty(a, i, n);
  const bool allowed = clean == 0 || committed_add(clean * MI_SLICE_SIZE, false);
  if (!allowed || (mi_os_must_commit() && !mi_os_commit(start, n * MI_SLICE_SIZE))) {
    if (allowed) committed_sub(clean * MI_SLICE_SIZE);
    mi_bitmap_set(a->free, i, n);
    return false;
  }
  mi_bitmap_clear(a->purge, i, n);
  mi_bitmap_clear(a->due, i, n);
  *zero = (clean == n);
  if (clean > 0) mi_bitmap_set(a->dirty, i, n);
  return true;
}

/* Hints may be too high (slices were given back meanwhile): mi_arena_claim looks from the start before it gives up. */
static mi_atomic(size_t)* hint_for(mi_arena_t* a, size_t n) { return &a->xhint[mi_min(n, MI_ARENA_HINTS) - 1]; }

static void hints_lower(mi_arena_t* a, size_t i) {
  for (size_t k = 0; k < MI_ARENA_HINTS; k++) {
    const size_t first = i < k ? 0 : i - k;                                /* where a run of k + 1 may begin now */
    if (first < mi_load_relaxed(&a->xhint[k])) mi_store_relaxed(&a->xhint[k], first);  /* a hint */
  }
}

/* Slices i .. i+n, claimed by us, as a page. NULL as in slices_commit. */
static mi_page_t* slices_page(mi_arena_t* a, size_t i, size_t n, bool* zero) {
  if (!slices_commit(a, i, n, zero)) return NULL;
  mi_page_t* page = &a->pages[i];
  mi_store_relaxed(&page->xnslices, (uint32_t)n);
  if (mi_likely(page->start != NULL)) return page;
  page->start = a->start + i * MI_SLICE_SIZE;                              /* for ever: P2 reads them when the page may have another life */
  page->arena = a->number;
  return page;
}

/* `touched`: not if it would all be new memory. */
static mi_page_t* arena_try_claim(mi_arena_t* a, size_t n, size_t align, bool touched, bool* zero) {
  const size_t align_slices = align / MI_SLICE_SIZE;
  const size_t first = 0 - (uintptr_t)a->start / MI_SLICE_SIZE;            /* an aligned slice, modulo align_slices */
  mi_atomic(size_t)* xhint = hint_for(a, n);
  const size_t hint = mi_load_relaxed(xhint);                              /* a hint */
  size_t i = hint;
  if (!mi_bitmap_claim_run(a->free, a->nslices, n, align_slices, first, &i)) return NULL;
  if (n <= MI_ARENA_HINTS && align_slices == 1 && hint == mi_load_relaxed(xhint)) mi_store_relaxed(xhint, i);  /* a hint */
  if (touched && ndirty(a, i, n) == 0) {
    mi_bitmap_set(a->free, i, n);
    hints_lower(a, i);
    return NULL;
  }
  return slices_page(a, i, n, zero);
}

static mi_page_t* arenas_try_claim(size_t n, size_t align, uint16_t number, bool touched, bool* zero) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    if (!mi_arena_serves(a, number)) continue;
    mi_page_t* page = arena_try_claim(a, n, align, touched, zero);
    if (page != NULL) return page;
  }
  return NULL;
}

static void hints_reset(void) {
  for (size_t i = 0; i < mi_arena_count(); i++) hints_lower(mi_arena_at(i), 0);
}

static mi_page_t* arena_claim_roomy(mi_arena_t* a, size_t n, size_t room, bool* zero) {
  for (size_t i = mi_align_up(a->nslices / 2, room); i + room <= a->nslices; i += room) {
    if (mi_bitmap_run(a->free, a->nslices, i, room) == room && mi_bitmap_claim_at(a->free, i, n)) return slices_page(a, i, n, zero);
  }
  return NULL;
}

mi_page_t* mi_arena_claim_roomy(size_t size, uint16_t number, bool* zero) {
  const size_t n = mi_divide_up(size, MI_SLICE_SIZE);
  for (size_t room = MI_ARENA_ROOM / MI_SLICE_SIZE; room >= 2 * n; room /= 2) {   /* less: what is left between those that have more */
    for (size_t k = 0; k < mi_arena_count(); k++) {
      mi_arena_t* a = mi_arena_at(k);
      mi_page_t* page = mi_arena_serves(a, number) ? arena_claim_roomy(a, n, room, zero) : NULL;
      if (page != NULL) return page;
    }
  }
  return NULL;
}

/* Committed, and its entries in the page map can be made. NULL if not. */
static uint8_t* mapping_make(size_t size, size_t align) {
  uint8_t* p = mi_os_reserve(size, align);
  if (p == NULL) return NULL;
  if (mi_os_commit(p, size) && mi_pagemap_prepare(p, size) && committed_add(size, false)) return p;
  mi_os_release(p, size);
  return NULL;
}

/* A page with a mapping of its own. */
static mi_page_t* mapping_claim(size_t size, size_t align, bool* zero) {
  mi_page_t* page = mi_meta_alloc(MI_META_PAGE, sizeof *page);
  if (page == NULL) return NULL;
  size = mi_align_up(size, mi_os_page_size());
  page->start = mapping_make(size, align);
  if (page->start == NULL) {
    mi_meta_free(MI_META_PAGE, page);
    return NULL;
  }
  mi_store_relaxed(&page->xnslices, (uint32_t)mi_min(mi_divide_up(size, MI_SLICE_SIZE), UINT32_MAX));
  page->arena = MI_ARENA_NONE;
  mi_store_relaxed(&page->xsize, size);                     /* mi_arena_give needs it even before the page is made */
  mi_add_relaxed(&mi_arena_totals.xreserved, size);
  mi_add_relaxed(&mi_arena_totals.xmappings, 1);                           /* statistics */
  mi_add_relaxed(&mi_arena_totals.xmapped, size);
  *zero = true;
  return page;
}

static bool may_ask_os(uint16_t number) {
  return number == MI_ARENA_NONE && !mi_option_is_enabled(mi_option_disallow_os_alloc);
}

/* Over half an arena. */
static bool is_huge(size_t size, size_t align) {
  if (size <= MI_ARENA_MIN / 2 && align <= MI_ARENA_MIN / 4) return false; /* small pages are always in an arena */
  const size_t largest = mi_max(mi_option_get_size(mi_option_arena_reserve), MI_ARENA_MIN) / 2;
  return size > largest || align > largest / 2;
}

/* What seems to be full may have free slices that are just being purged: they are back soon. Again while anybody has begun or
   ended since the look before. */
static mi_page_t* claim_behind_purger(size_t n, size_t align, uint16_t number, bool* zero) {
  mi_page_t* page = NULL;
  size_t before = mi_load_relaxed(&npurges) - 1;                           /* hints: a claim that fails in vain is no more than that */
  for (int i = 0; page == NULL && i < 300; i++) {                           /* a tenth of a second at most: who purges may have no processor */
    const size_t now = mi_load_relaxed(&npurges);
    if (now == before && mi_load_relaxed(&npurging) == 0) break;
    if (i >= 200) mi_os_sleep_ms(1);
    else if (i > 0) mi_os_yield();
    before = now;
    hints_reset();
    page = arenas_try_claim(n, align, number, false, zero);
  }
  return page;
}

mi_page_t* mi_arena_claim_touched(size_t size, size_t align, bool* zero) {
  if (is_huge(size, align)) return NULL;
  return arenas_try_claim(mi_divide_up(size, MI_SLICE_SIZE), mi_max(align, MI_SLICE_SIZE), MI_ARENA_NONE, true, zero);
}

mi_page_t* mi_arena_claim(size_t size, size_t align, uint16_t number, bool* zero) {
  align = mi_max(align, MI_SLICE_SIZE);
  if (mi_unlikely(is_huge(size, align)) && may_ask_os(number)) return mapping_claim(size, align, zero);
  const size_t n = mi_divide_up(size, MI_SLICE_SIZE);
  mi_page_t* page = arenas_try_claim(n, align, number, false, zero);
  if (mi_likely(page != NULL)) return page;
  hints_reset();
  page = arenas_try_claim(n, align, number, false, zero);
  if (page == NULL) page = claim_behind_purger(n, align, number, zero);
  const bool limited = over_limit(mi_load_relaxed(&mi_arena_totals.xcommitted) + size);  /* a hint: no new arena would help */
  if (page == NULL && !limited && may_ask_os(number) && arena_reserve(size + align - MI_SLICE_SIZE)) {
    page = arenas_try_claim(n, align, number, false, zero);
  }
  return page;
}

/* ---- giving back ---- */

/* Free slices i .. i+n, claimed by us: to the OS, but for those that another has purged since they were marked. */
static void slices_purge(mi_arena_t* a, size_t i, size_t n) {
  for (size_t at = i, len; at < i + n; at += len) {
    len = mi_bitmap_run(a->dirty, a->nslices, at, i + n - at);
    if (len == 0) { len = mi_bitmap_next(a->dirty, i + n, at) - at; continue; }
    if (!mi_os_purge(a->start + at * MI_SLICE_SIZE, len * MI_SLICE_SIZE)) continue;
    mi_bitmap_clear(a->dirty, at, len);
    committed_sub(len * MI_SLICE_SIZE);
    mi_add_relaxed(&mi_arena_totals.xpurged, len * MI_SLICE_SIZE);
  }
}

static void slices_give(mi_arena_t* a, size_t i, size_t n) {
  const long delay = a->pinned ? -1 : mi_option_get(mi_option_purge_delay);
  if (delay == 0) slices_purge(a, i, n);
  if (delay > 0) mi_bitmap_set(a->purge, i, n);
  mi_bitmap_set(a->free, i, n);
  hints_lower(a, i);
  if (delay > 0 && mi_or_acq_rel(&a->xpurge_at, 0) == 0) {                 /* pairs with the exchange in mi_arena_purge: it sees the bits, or I its 0 */
    mi_store_relaxed(&a->xpurge_at, mi_os_now_ms() + (uint64_t)delay);     /* a time only */
    mi_os_wake();
  }
}

static void mapping_give(mi_page_t* page) {
  const size_t size = mi_page_size(page);
  mi_os_release(page->start, size);
  mi_sub_relaxed(&mi_arena_totals.xreserved, size);
  mi_sub_relaxed(&mi_arena_totals.xmapped, size);                          /* statistics */
  mi_sub_relaxed(&mi_arena_totals.xmappings, 1);
  committed_sub(size);
  mi_meta_free(MI_META_PAGE, page);
}

void mi_arena_give(mi_page_t* page) {
  if (page->arena == MI_ARENA_NONE) { mapping_give(page); return; }
  mi_arena_t* a = mi_arena_at(page->arena);
  slices_give(a, mi_arena_slice_of(a, page->start), mi_page_nslices(page));
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

/* Part of a page, without a seam inside: moved, or copied where the system does not move it. */
static void part_move(mi_arena_t* a, size_t i, mi_arena_t* b, size_t j, size_t n) {
  uint8_t *from = a->start + i * MI_SLICE_SIZE, *to = b->start + j * MI_SLICE_SIZE;
  seam_at(b, j);
  seam_at(b, j + n);
  if (!mi_os_move_pages(from, to, n * MI_SLICE_SIZE)) {
    memcpy(to, from, n * MI_SLICE_SIZE);
    return;
  }
  mi_bitmap_clear(a->dirty, i, n);
  committed_sub(n * MI_SLICE_SIZE);
}

/* What is several mappings the system may refuse, or move in part. So seams are remembered for ever, and each part goes by itself.
   Where there are many nothing is moved any more. */
bool mi_arena_move(mi_page_t* from, mi_page_t* to) {
  const size_t n = mi_page_nslices(from);
  if (from->arena == MI_ARENA_NONE || to->arena == MI_ARENA_NONE || mi_page_nslices(to) < n) return false;
  mi_arena_t *a = mi_arena_at(from->arena), *b = mi_arena_at(to->arena);
  if (a->pinned || b->pinned || mi_load_relaxed(&nseams) >= SEAMS_MAX) return false;   /* a count */
  const size_t i = mi_arena_slice_of(a, from->start), j = mi_arena_slice_of(b, to->start);
  for (size_t done = 0, len; done < n; done += len) {
    len = mi_bitmap_next(a->seams, i + n, i + done + 1) - i - done;
    part_move(a, i + done, b, j + done, len);
  }
  return true;
}

static bool mapping_move(mi_page_t* page, size_t old_size, size_t size) {
  if (!mi_pagemap_prepare(page->start, size)) return false;
  if (mi_os_resize(page->start, old_size, size)) return true;
  uint8_t* p = mi_os_reserve(size, MI_SLICE_SIZE);
  if (p == NULL) return false;
  if (!mi_pagemap_prepare(p, size) || !mi_os_move(page->start, old_size, p, size)) {
    mi_os_release(p, size);
    return false;
  }
  page->start = p;
  return true;
}

bool mi_arena_remap(mi_page_t* page, size_t old_size, size_t size) {
  const size_t more = size > old_size ? size - old_size : 0;
  if (page->arena != MI_ARENA_NONE || (more > 0 && over_limit(mi_load_relaxed(&mi_arena_totals.xcommitted) + more))) return false;  /* a hint */
  if (!mapping_move(page, old_size, size)) return false;
  mi_store_relaxed(&page->xnslices, (uint32_t)mi_min(mi_divide_up(size, MI_SLICE_SIZE), UINT32_MAX));
  mi_add_relaxed(&mi_arena_totals.xreserved, size - old_size);             /* statistics; they wrap to less when it shrinks */
  mi_add_relaxed(&mi_arena_totals.xmapped, size - old_size);
  if (more > 0) committed_add(more, true);                                 /* asked above */
  else committed_sub(old_size - size);
  return true;
}

/* ---- purging ---- */

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
      if (mi_bitmap_clear(map, i, n)) slices_purge(a, i, n);               /* not set: somebody had them meanwhile and gave them back purged */
      mi_bitmap_set(a->free, i, n);
      budget -= n;
    }
    i = mi_bitmap_next(map, a->nslices, i + (mine ? n : 1));               /* claimed: its new holder clears the bit */
  }
  mi_add_relaxed(&npurges, 1);                                             /* hints */
  mi_sub_relaxed(&npurging, 1);
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

void mi_arena_purge(bool force) {
  size_t budget = force ? SIZE_MAX : MI_PURGE_PIECE / MI_SLICE_SIZE;
  const uint64_t now = mi_os_now_ms();
  for (size_t i = 0; i < mi_arena_count() && budget > 0; i++) {
    mi_arena_t* a = mi_arena_at(i);
    uint64_t at = mi_load_relaxed(&a->xpurge_at);                          /* a time only */
    if (!force && (at == 0 || now < at)) continue;
    /* 0: another is at it. Pairs with slices_give: what is given back from now on sets it again */
    if (mi_exchange_acq_rel(&a->xpurge_at, 0) == 0 && !force) continue;
    if (force) arena_age(a);
    budget = arena_purge_some(a, a->due, budget);
    if (budget == 0) mi_store_relaxed(&a->xpurge_at, now);                 /* not finished: go on at the next call */
    else if (arena_age(a)) mi_store_relaxed(&a->xpurge_at, now + (uint64_t)mi_max(mi_option_get_size(mi_option_purge_delay), 1));
  }
}

uint64_t mi_arena_purge_at(void) {
  uint64_t first = 0;
  for (size_t i = 0; i < mi_arena_count(); i++) {
    const uint64_t at = mi_load_relaxed(&mi_arena_at(i)->xpurge_at);       /* a time only */
    if (at != 0 && (first == 0 || at < first)) first = at;
  }
  return first;
}

void mi_arena_before_fork(void) { mi_lock(&arenas_lock); }

void mi_arena_after_fork(bool child) {
  (child ? &mi_lock_reset : &mi_unlock)(&arenas_lock);
  if (child) mi_store_relaxed(&npurging, 0);                               /* one thread only */
}
