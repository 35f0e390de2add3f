/* See page.h. */
#include <string.h>

#include "memory.h"
#include "local.h"
#include "report.h"
#include "os.h"
#include "page.h"

/* ---- keys ---- */

/* So many lives of pages, from a start that differs from process to process; 0: none yet. */
static mi_atomic(uint64_t) xlives;

/* A bijection: different numbers stay different, and neighbours come to lie far apart. */
static uint64_t scattered(uint64_t n) {
  n = (n ^ n >> 31) * 0x9e3779b97f4a7c15u;                                /* odd: the golden ratio, */
  n = (n ^ n >> 29) * 0x243f6a8885a308d3u;                                /* and the digits of pi */
  return n ^ n >> 32;
}

/* A thread takes some lives at a time, so that threads whose pages come and go stay out of each other's
   way. */
#define LIVES 64u

mi_cold static void lives_take(uint64_t* life) {
  uint64_t none = 0;
  /* Pairs with nobody: who is first decides. */
  if (mi_load_relaxed(&xlives) == 0) mi_cas_acq_rel(&xlives, &none, scattered(mi_os_salt()));
  *life = mi_add_relaxed(&xlives, 1) * LIVES + 1;                         /* a count */
}

/* A key that no page of this process has had. */
static uint64_t key_next(void) {
  uint64_t* life = &mi_local()->life;
  uint64_t key;
  do {
    if (mi_unlikely(*life % LIVES == 0)) lives_take(life);
    key = scattered((*life)++);
  } while (mi_unlikely(key == 0));
  return key;
}

void mi_page_after_fork(void) {
  mi_local()->life = 0;                  /* its parent has the others of these */
  /* A count; one thread only. */
  if (mi_load_relaxed(&xlives) != 0) mi_add_relaxed(&xlives, scattered(mi_os_salt()));
}

/* ---- birth and death ---- */

/* A single page is found by its first slice alone, and by the one that the pointer of an offset block is
   in. */
bool mi_page_map(mi_page_t* page, bool on) {
  mi_assert(page->start != NULL && mi_page_nslices(page) > 0);
  const mi_page_t* entry = on ? page : NULL;
  const uintptr_t inner = mi_load_relaxed(&page->xinner);  /* shown to others together with the block */
  if (!mi_page_is_single(page)) return mi_pagemap_set(page->start, mi_page_nslices(page), entry);
  return mi_pagemap_set(page->start, 1, entry)
         && (inner == 0 || mi_pagemap_set((const void*)inner, 1, entry));
}

/* After the constants by which a block's start is found. */
static void new_life(mi_page_t* page) {
  page->key = key_next();
  mi_assert(page->key != 0);
  page->doubted = false;
  mi_store_relaxed(&page->xbelieved, false);  /* shown to others together with the block */
  /* Pairs with mi_free_slow, find_page: who reads it finds no start of the life before. */
  mi_store_release(&page->xkey, page->key);
}

bool mi_page_init(mi_page_t* page, size_t size, unsigned bin, mi_heap_t* heap, uintptr_t xowner) {
  mi_assert(mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD
            && mi_page_where(page) == MI_WHERE_DEAD);
  mi_assert(size > 0 && bin > 0 && bin <= MI_BIN_SINGLE && size <= mi_page_nslices(page) * MI_SLICE_SIZE);
  const bool single = (bin == MI_BIN_SINGLE);
  mi_page_left_out_set(page, 0);                                          /* nothing counts yet */
  mi_store_relaxed(&page->xinner, 0);  /* shown to others together with the block */
  mi_store_relaxed(&page->xbin, (uint8_t)bin);
  if (!mi_page_map(page, true)) {
    mi_page_map(page, false);
    return false;
  }
  page->free = page->local_free = &mi_nil;
  mi_page_used_set(page, single);
  page->capacity = single;
  page->reserved = (uint16_t)(single ? 1 : mi_page_nslices(page) * MI_SLICE_SIZE / size);
  page->lheap = NULL;
  page->next = page->prev = page->heap_next = page->heap_prev = NULL;
  page->sample_cut = 0;
  mi_store_relaxed(&page->xborn, (uint32_t)(mi_os_now_ms() / MI_BORN_MS));  /* a statistic */
  page->recip = single ? 1 : (UINT64_MAX / size + 1) | 1;
  mi_store_relaxed(&page->xsize, size);
  mi_store_relaxed(&page->xowner, xowner);  /* shown to others together with the first block */
  mi_store_relaxed(&page->xtop, (uintptr_t)page->start - (single ? 0 : size));
  new_life(page);
  if (single) mi_page_dead_to_single(page);
  /* Pairs with mi_free_slow: whoever reads it knows that the life before is over. */
  mi_store_release(&page->xheap, heap);
  mi_remote_birth(&page->xword, single ? MI_PAGE_FULL : MI_PAGE_OWNED, single);
  return true;
}

void mi_page_revive(mi_page_t* page, size_t size, uintptr_t xowner) {
  mi_assert(mi_page_is_single(page) && size > 0 && size <= mi_page_nslices(page) * MI_SLICE_SIZE);
  new_life(page);
  mi_page_cached_to_single(page);
  mi_page_used_set(page, 1);
  mi_store_relaxed(&page->xsize, size);
  mi_store_relaxed(&page->xowner, xowner);  /* shown to others together with the block, as above */
  mi_remote_birth(&page->xword, MI_PAGE_FULL, 1);
}

void mi_page_end_sample_slow(mi_page_t* page) {
  mi_sample_end(mi_load_relaxed(&page->xsample));                         /* shown with the block */
  mi_store_relaxed(&page->xsample, 0);
}

void mi_page_die(mi_page_t* page) {
  mi_assert(!mi_page_is_listed(page) && page->lheap == NULL);
  mi_page_end_sample(page);
  if (mi_page_where(page) == MI_WHERE_FULL) mi_page_full_to_dead(page);
  else if (!mi_page_is_single(page))
    mi_page_pooled_to_dead(page); /* a single page stays what it is until it is given back, or cached */
  mi_store_relaxed(&page->xowner, 0);  /* nothing live: a valid free cannot look */
  /* D1: a pin lasts a few instructions, or while its block is copied. */
  while (!mi_remote_death(&page->xword)) mi_os_yield();
}

/* ---- lists ---- */

/* Of a block that a list names. */
static bool is_free(mi_page_t* page, const mi_block_t* b) {
  return (uintptr_t)b - (uintptr_t)page->start < mi_page_nslices(page) * MI_SLICE_SIZE
         && mi_page_is_start(page, b) && mi_load_relaxed(&b->xmark) == page->key;        /* shown by C1 */
}

/* Puts a list of the page behind the n blocks from `first` on, where the last one names mi_nil. They are
   looked at on the way: what is no free block of this page ends the list: a freed block was written to. */
static void list_append(mi_page_t* page, mi_block_t** list, mi_block_t* first, uint32_t n) {
  mi_block_t* last = NULL;
  for (mi_block_t* b = first; n > 0; n--, last = b, b = b->next) {
    if (is_free(page, b)) continue;
    mi_report_later(MI_ERROR_CORRUPT, last == NULL ? first : last, mi_page_size(page));
    mi_page_used_set(page, mi_page_used(page) + n);                       /* what is lost stays used */
    break;
  }
  if (last == NULL) return;
  last->next = *list;
  *list = first;
}

uint32_t mi_page_cut(mi_page_t* page, uint32_t k) {
  mi_assert(!mi_page_is_single(page));
  mi_block_t *last = NULL, *rest = page->free;
  uint32_t n = 0;
  for (; n < k && is_free(page, rest); n++, rest = rest->next) last = rest;
  if (n < k || !is_free(page, rest)) return n;  /* it ends here, or was written to, which malloc finds */
  if (last != NULL) last->next = &mi_nil; else page->free = &mi_nil;
  if (page->local_free == &mi_nil) page->local_free = rest;
  else {
    uint32_t nrest = 0;
    for (const mi_block_t* b = rest; nrest < page->capacity && is_free(page, b); b = b->next) nrest++;
    list_append(page, &page->local_free, rest, nrest);
  }
  return n;
}

/* n blocks that others freed, from the one at `head` on: to a list of the page that is empty, as they are.
   Nobody looks at them before they are allocated: each may be in another's cache. */
static void take_remote(mi_page_t* page, uint32_t head, uint32_t n) {
  mi_assert(n == 0 || head != 0 || mi_page_is_single(page));
  if (n == 0) return;
  const uint32_t used = mi_page_used(page), least = (mi_page_where(page) == MI_WHERE_RETIRED);
  /* More than were live: some were freed twice (mend.h). */
  mi_page_used_set(page, used - n >= least && n <= used ? used - n : least);
  page->doubted = true;
  if (mi_page_is_single(page)) return;                                    /* its one block is in no list */
  mi_block_t* first = mi_page_slot(page, head);
  const bool cuts = mi_sample_is_on();
  if (page->free == &mi_nil && !cuts) page->free = first;
  else if (page->local_free == &mi_nil) page->local_free = first;
  else list_append(page, cuts ? &page->local_free : &page->free, first, n);
}

void mi_page_take_list(mi_page_t* page, mi_xlist_t list) {
  mi_assert(!mi_page_is_listed(page) && list.count <= mi_page_used(page));
  /* Its word was: R3. */
  if (list.head != 0 && mi_page_where(page) == MI_WHERE_FULL) mi_page_full_to_pooled(page);
  if (list.head != 0 && mi_page_where(page) == MI_WHERE_SEARCHED) mi_page_searched_to_waited(page);
  take_remote(page, list.head, mi_page_used(page) - list.count);
}

bool mi_page_collect(mi_page_t* page, uint32_t* nremote) {
  mi_assert(mi_page_where(page) != MI_WHERE_PARKED && mi_page_where(page) != MI_WHERE_WATCHED);
  if (page->free == &mi_nil && !mi_sample_is_on()) {
    page->free = page->local_free;
    page->local_free = &mi_nil;
  }
  const mi_xlist_t list = mi_remote_collect(&page->xword);                /* C1 */
  take_remote(page, list.head, list.count);
  *nremote = list.count;
  return page->free != &mi_nil || page->local_free != &mi_nil;
}

bool mi_page_extend(mi_page_t* page) {
  mi_assert(page->free == &mi_nil);
  mi_assert(!mi_page_is_single(page) && page->capacity <= page->reserved);
  const size_t size = mi_page_size(page);
  const size_t n = mi_min((size_t)(page->reserved - page->capacity), mi_max(1, MI_EXTEND_BYTES / size));
  if (n == 0) return false;
  uint8_t* first = page->start + page->capacity * size;
  uint8_t* last = first + (n - 1) * size;
  for (uint8_t* p = first; p <= last; p += size) {
    mi_block_t* b = (mi_block_t*)(void*)p;
    mi_store_relaxed(&b->xmark, page->key);  /* shown to others together with the block */
    b->next = (p == last) ? &mi_nil : (mi_block_t*)(void*)(p + size);
  }
  page->free = (mi_block_t*)(void*)first;
  page->capacity = (uint16_t)(page->capacity + n);
  mi_store_relaxed(&page->xtop, (uintptr_t)last);  /* shown to others together with a block below it */
  return true;
}

void mi_page_drop_free(mi_page_t* page) {
  mi_assert(page->free != &mi_nil && !mi_page_is_single(page));
  mi_block_t* bad = page->free;
  uint32_t nlocal = 0;
  /* Its own. */
  for (mi_block_t* b = page->local_free; mi_load_relaxed(&b->xmark) == page->key && nlocal < page->capacity;
       b = b->next)
    nlocal++;
  page->free = &mi_nil;
  /* What is lost counts as live for ever. Never fewer than before, which were live: a damaged link may lead
     local_free in a circle. */
  mi_page_used_set(page,
                   (uint32_t)mi_max(mi_page_used(page),
                                    page->capacity - nlocal + (mi_page_where(page) == MI_WHERE_RETIRED)));
  mi_report_later(MI_ERROR_CORRUPT, bad, mi_page_size(page));
}

/* ---- any thread ---- */

/* The note of an offset block of a small or medium page lies in front of its pointer. Who looks for it has
   the page pinned, if its heap may be destroyed meanwhile (find_page). The memory of a single page is not
   read: it may be gone. */
mi_block_t* mi_page_block_of(mi_page_t* page, const void* p) {
  if (mi_page_is_start(page, p)) return (mi_block_t*)(uintptr_t)p;
  if ((uintptr_t)p >> 48 != 0) return NULL;
  /* Shown with the block. */
  if (mi_page_is_single(page))
    return mi_load_relaxed(&page->xinner) == (uintptr_t)p ? (mi_block_t*)(void*)page->start : NULL;
  const size_t at = (uintptr_t)p - (uintptr_t)page->start;
  const uintptr_t top = mi_load_relaxed(&page->xtop);                     /* as in mi_page_is_start */
  if (at >= top + mi_page_size(page) - (uintptr_t)page->start
      || at % mi_page_size(page) < 2 * sizeof(uintptr_t))
    return NULL;
  const uintptr_t block = (uintptr_t)p - at % mi_page_size(page);
  uintptr_t before[2];
  memcpy(before, (const uint8_t*)p - sizeof before, sizeof before);       /* p need not be aligned */
  return before[0] == ~(uintptr_t)p && before[1] == block ? (mi_block_t*)block : NULL;
}

void mi_page_set_offset(mi_page_t* page, void* block, void* p) {
  mi_assert((uintptr_t)p - (uintptr_t)block >= 2 * sizeof(uintptr_t)
            && (uintptr_t)p - (uintptr_t)block < mi_page_size(page));
  if (mi_page_is_single(page)) {
    mi_store_relaxed(&page->xinner, (uintptr_t)p);  /* shown to others together with the block */
    mi_page_map(page, true);                                              /* its leaves exist */
    return;
  }
  const uintptr_t before[2] = { ~(uintptr_t)p, (uintptr_t)block };
  memcpy((uint8_t*)p - sizeof before, before, sizeof before);
}
