/* See memory.h. Any thread. */
#include "commit.h"
#include "memory.h"
#include "options.h"
#include "pagemap.h"
#include "policy.h"
#include "purge.h"

/* ---- what there is ---- */

/* A single page is mapped at its first slice only: look for that, towards the front. */
mi_page_t* mi_memory_page_of(const void* p) {
  if ((uintptr_t)p >> 48 != 0) return NULL;
  mi_page_t* page = mi_page_of(p);
  /* Pairs with mi_remote_birth; DEAD: cached. */
  if (page != &mi_pagemap.zero.none)
    return mi_xword_state(mi_load_acquire(&page->xword)) == MI_PAGE_DEAD ? NULL : page;
  const mi_arena_t* a = mi_arena_of_address(p);
  if (a == NULL) return mi_mapping_page_of(p);
  const size_t slice = mi_arena_slice_of(a, p);
  for (size_t i = slice + 1; i-- > 0; ) {
    page = &a->pages[i];
    /* Pairs with mi_remote_birth. */
    if (mi_xword_state(mi_load_acquire(&page->xword)) != MI_PAGE_DEAD)
      return slice - i < mi_page_nslices(page) ? page : NULL;
    if (mi_bitmap_run(a->free, a->nslices, i, 1) != 0) return NULL;       /* a free slice is in no page */
  }
  return NULL;
}

/* The user's own memory is under no limit. */
size_t mi_memory_most(uint16_t number) {
  if (number != MI_ARENA_NONE) return mi_arena_at(number)->nslices * MI_SLICE_SIZE;
  size_t most = mi_min(mi_commit_limit(), MI_ADDRESSES);
  for (size_t i = 0; i < mi_arena_count(); i++) {
    const mi_arena_t* a = mi_arena_at(i);
    if (!a->own && mi_arena_serves(a, number)) most = mi_max(most, a->nslices * MI_SLICE_SIZE);
  }
  return most;
}

size_t mi_memory_committed(void) {
  const size_t committed = mi_load_relaxed(&mi_commit_totals.xcommitted);   /* a statistic */
  size_t holes = 0;
  for (size_t i = 0; i < mi_arena_count(); i++)
    holes += mi_bitmap_count(mi_arena_at(i)->holes, mi_arena_nholes(mi_arena_at(i)));
  return committed - mi_min(committed, holes * MI_HOLE_SIZE);
}

uint64_t mi_memory_changes(void) {
  uint64_t sum = 0;
  for (size_t i = 0; i < mi_arena_count(); i++) sum += mi_slices_changes(mi_arena_at(i));
  return sum;
}

/* ---- claiming ---- */

static mi_claim_t claim_of(size_t size, size_t align, uint16_t number, bool* zero) {
  return (mi_claim_t){ .size = size,
                       .align = mi_max(align, MI_SLICE_SIZE),
                       .n = mi_divide_up(size, MI_SLICE_SIZE),
                       .number = number,
                       .zero = zero };
}

static mi_page_t* arenas_try_claim(mi_claim_t* c) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    if (!mi_arena_serves(a, c->number) || c->n > mi_slices_longest(a)) continue;
    mi_page_t* page = mi_slices_page_for(a, c);
    if (page != NULL) return page;
  }
  return NULL;
}

static bool may_ask_os(uint16_t number) {
  return number == MI_ARENA_NONE && !mi_option_is_enabled(mi_option_disallow_os_alloc);
}

static bool is_huge(size_t size, size_t align) {
  if (!mi_policy_is_huge(size, align, MI_ARENA_MIN)) return false;        /* without a look at the option */
  return mi_policy_is_huge(size, align, mi_max(mi_option_get_size(mi_option_arena_reserve), MI_ARENA_MIN));
}

/* What seems to be full may have free slices that are just being purged: they are back soon. Again while
   anybody has begun or ended since the look before. */
static mi_page_t* claim_behind_purge(mi_claim_t* c, size_t before) {
  mi_page_t* page = NULL;
  for (int i = 0; page == NULL && i < MI_CLAIM_YIELDS + MI_CLAIM_SLEEPS; i++) {
    const size_t now = mi_purge_turns();                                    /* before the next question */
    if (now == before && !mi_purge_is_under_way()) break;
    if (i >= MI_CLAIM_YIELDS) mi_os_sleep_ms(1);
    else if (i > 0) mi_os_yield();
    before = now;
    page = arenas_try_claim(c);
  }
  return page;
}

static size_t demand;  /* bytes that a mapping was made for in place of an arena (the lock's) */

/* Under the lock. A large block for which there is no room has a mapping of its own. */
static bool is_alone(size_t room) {
  const bool few = mi_arena_addresses_are_few(), refused = mi_arena_refused() != SIZE_MAX;
  const bool alone = mi_policy_stands_alone(room, mi_arena_next_size(), demand, few, refused);
  if (alone && !few && !refused) demand += room;
  return alone;
}

/* From a new arena, or one that another has added meanwhile. Others need no lock to claim in it: they may
   have taken all of it before. Then there is another one. */
static mi_page_t* claim_new(mi_claim_t* c) {
  const size_t room = c->n * MI_SLICE_SIZE + c->align - MI_SLICE_SIZE;
  mi_lock(&mi_arena_lock);
  mi_page_t* page = arenas_try_claim(c);
  const bool alone = page == NULL && !c->refused && is_alone(room);
  /* So that small ones do not keep the large one. */
  if (page == NULL && !c->refused && !alone && mi_arena_bytes() == 0 && room > MI_ARENA_FIRST)
    mi_arena_reserve(1);
  while (page == NULL && !c->refused && !alone && mi_arena_reserve(room)) page = arenas_try_claim(c);
  mi_unlock(&mi_arena_lock);
  return alone ? mi_mapping_claim(c->size, c->align, c->zero) : page;
}

mi_page_t* mi_memory_claim_touched(size_t size, size_t align, bool* zero) {
  mi_claim_t c = claim_of(size, align, MI_ARENA_NONE, zero);
  c.touched = true;
  return is_huge(size, align) ? NULL : arenas_try_claim(&c);
}

static mi_page_t* claim(mi_claim_t* c) {
  if (mi_unlikely(is_huge(c->size, c->align)) && may_ask_os(c->number))
    return mi_mapping_claim(c->size, c->align, c->zero);
  const size_t turns = mi_purge_turns();
  mi_page_t* page = arenas_try_claim(c);
  if (mi_likely(page != NULL)) return page;
  page = claim_behind_purge(c, turns);
  const bool limited = !mi_commit_allows(c->size);  /* a hint: no new arena would help */
  return page == NULL && !limited && !c->refused && may_ask_os(c->number) ? claim_new(c) : page;
}

mi_page_t* mi_memory_claim(size_t size, size_t align, uint16_t number, bool* zero) {
  mi_claim_t c = claim_of(size, align, number, zero);
  return claim(&c);
}

mi_page_t* mi_memory_claim_cleared(size_t size, size_t align, uint16_t number, bool* zero) {
  mi_claim_t c = claim_of(size, align, number, zero);
  c.clears = true;
  return claim(&c);
}

/* ---- claiming with headroom ---- */

/* At a multiple of `nfree` from the arena's end, where so many slices are free. */
static mi_page_t* arena_claim_headroom(mi_arena_t* a, size_t n, size_t nfree, bool* zero) {
  mi_assert(n > 0 && n <= nfree);
  if (nfree > mi_slices_longest(a)) return NULL;
  for (size_t i = a->nslices - a->nslices / 2 / nfree * nfree; i < a->nslices; i += nfree) {
    if (mi_bitmap_run(a->free, a->nslices, i, nfree) == nfree && mi_arena_claim_at(a, i, n))
      return mi_slices_page(a, i, n, zero);
  }
  return NULL;
}

/* With the headroom of at least `least` slices. */
static mi_page_t* arenas_claim_headroom(size_t n, size_t least, uint16_t number, bool* zero) {
  /* Less: what is left between those that have more. */
  for (size_t nfree = MI_HEADROOM_MOST / MI_SLICE_SIZE; nfree >= least; nfree /= 2) {
    for (size_t k = 0; k < mi_arena_count(); k++) {
      mi_arena_t* a = mi_arena_at(k);
      mi_page_t* page = mi_arena_serves(a, number) ? arena_claim_headroom(a, n, nfree, zero) : NULL;
      if (page != NULL) return page;
    }
  }
  return NULL;
}

/* An arena whose upper half gives headroom, while all of them together are no more than one is when there are
   many: much, but where addresses or memory are few. */
static bool headroom_reserve(size_t much, size_t little, uint16_t number) {
  if (!may_ask_os(number)) return false;
  mi_lock(&mi_arena_lock);
  const size_t size =
      2 * (mi_arena_refused() == SIZE_MAX && !mi_os_locks_memory() ? much : little) * MI_SLICE_SIZE;
  const bool ok = mi_arena_bytes() < mi_arena_most() && size <= mi_arena_most() && mi_arena_reserve(size);
  mi_unlock(&mi_arena_lock);
  return ok;
}

bool mi_memory_is_narrow(const mi_page_t* page) {
  return page->arena != MI_ARENA_NONE
         && mi_arena_at(page->arena)->nslices < 2 * MI_HEADROOM_MOST / MI_SLICE_SIZE
         && 2 * MI_HEADROOM_MOST <= mi_arena_most() && mi_arena_refused() == SIZE_MAX
         && may_ask_os(MI_ARENA_NONE);
}

mi_page_t* mi_memory_claim_headroom(size_t size, uint16_t number, bool* zero) {
  const size_t n = mi_divide_up(size, MI_SLICE_SIZE), most = MI_HEADROOM_MOST / MI_SLICE_SIZE;
  const size_t little = mi_min((size_t)1 << mi_log2(MI_HEADROOM_TIMES * n), most);
  if (MI_HEADROOM_LEAST * n > most) return NULL;
  mi_page_t* page = arenas_claim_headroom(n, most, number, zero);
  if (page == NULL && headroom_reserve(most, little, number))
    page = arenas_claim_headroom(n, little, number, zero);
  return page != NULL ? page : arenas_claim_headroom(n, MI_HEADROOM_LEAST * n, number, zero);
}

/* ---- giving back, and resizing ---- */

void mi_memory_give(mi_page_t* page) {
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD
            && (mi_page_where(page) == MI_WHERE_DEAD || mi_page_where(page) == MI_WHERE_LOST));
  if (page->arena == MI_ARENA_NONE) { mi_mapping_give(page); return; }
  mi_arena_t* a = mi_arena_at(page->arena);
  (mi_page_where(page) == MI_WHERE_LOST ? &mi_slices_lose : &mi_slices_give)(
      a, mi_arena_slice_of(a, page->start), mi_page_nslices(page));
}

bool mi_memory_resize(mi_page_t* page, size_t size) {
  if (page->arena == MI_ARENA_NONE) return false;
  mi_arena_t* a = mi_arena_at(page->arena);
  const size_t i = mi_arena_slice_of(a, page->start);
  const size_t old = mi_page_nslices(page), n = mi_divide_up(size, MI_SLICE_SIZE);
  bool zero;
  if (n > a->nslices - i) return false;
  if (n > old
      && (!mi_arena_claim_at(a, i + old, n - old) || !mi_slices_commit(a, i + old, n - old, &zero)))
    return false;
  mi_store_relaxed(&page->xnslices, (uint32_t)n);
  if (n < old) mi_slices_give(a, i + n, old - n);
  return true;
}
