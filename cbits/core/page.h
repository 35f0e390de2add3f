/* A page: its three lists, its constants, the checks of a free.
   docs/DESIGN.md, section 3; docs/protocols.md, section 6.
   Holder, but for what says any-thread. */
#ifndef MI_PAGE_H
#define MI_PAGE_H

#include "pagemap.h"
#include "sample.h"
#include "where.h"

/* A page for blocks of `size` bytes from freshly claimed slices: mapped, nothing in its lists; OWNED, or FULL
   if it has one block only. False if the page map has no room; then nothing was changed. */
bool mi_page_init(mi_page_t* page, size_t size, unsigned bin, mi_heap_t* heap, uintptr_t xowner);
/* A single page of the main heap, cached since it died, once more: FULL. A new life, as every birth is: with
   a key of its own. */
void mi_page_revive(mi_page_t* page, size_t size, uintptr_t xowner);
/* Enters a page into the page map, or takes it out; false if there is no room. Its holder. */
bool mi_page_map(mi_page_t* page, bool on);
/* Nothing is live in it: DEAD, still mapped; the slices are the caller's to give back. */
void mi_page_die(mi_page_t* page);

/* Moves local_free and the remote list to `free`; true if something is free then. *nremote: how many came
   from others. While sampling is on nothing goes to `free`, which only an allocation fills (sampler.h). */
bool mi_page_collect(mi_page_t* page, uint32_t* nremote);
/* After mi_remote_acquire: the list that came with the page. */
void mi_page_take_list(mi_page_t* page, mi_xlist_t list);
/* Brings blocks that were never used into `free`; false if there are none left. */
bool mi_page_extend(mi_page_t* page);
/* What `free` has behind k blocks goes to local_free; how many are left, k or fewer. */
uint32_t mi_page_cut(mi_page_t* page, uint32_t k);
/* `free` was found written to: reported, and its blocks are used no more. */
mi_cold void mi_page_drop_free(mi_page_t* page);

mi_inline bool mi_page_is_single(const mi_page_t* page) { return mi_page_bin(page) == MI_BIN_SINGLE; }
mi_inline bool mi_page_is_none(const mi_page_t* page) { return page == &mi_pagemap.zero.none; }

/* If its block is a sample, it is none any more. */
mi_cold void mi_page_end_sample_slow(mi_page_t* page);
mi_inline void mi_page_end_sample(mi_page_t* page) {
  /* Shown with the block. */
  if (mi_unlikely(mi_load_relaxed(&page->xsample) != 0)) mi_page_end_sample_slow(page);
}

/* Any thread. Is p the start of a block below capacity? One multiplication (docs/protocols.md, section 6). */
mi_inline bool mi_page_is_start(mi_page_t* page, const void* p) {
  /* Whoever has the block has it after the top rose over it. */
  const uint64_t below_top = mi_load_relaxed(&page->xtop) - (uintptr_t)p;
  return mi_likely(below_top * page->recip <= INT32_MAX);
}

/* Any thread. The start of the block that p points to or, offset, into; NULL if there is no such block. */
mi_block_t* mi_page_block_of(mi_page_t* page, const void* p);
/* Marks a pointer inside a block as one that mi_page_block_of accepts; p is 16 bytes or more past its start.
   Who allocates it. */
void mi_page_set_offset(mi_page_t* page, void* block, void* p);

/* In the child of fork: what it draws from here on is no key of its parent's either. */
void mi_page_after_fork(void);

_Static_assert(MI_SLICE_SIZE / MI_GRANULE <= 0xffff
                   && MI_MEDIUM_SLICES * MI_SLICE_SIZE / MI_GRANULE < 0xfffff,
               "the ownership word has 16 bits for a count of blocks and 20 for an offset in granules");

mi_inline mi_block_t* mi_page_slot(const mi_page_t* page, uint32_t slot) {
  return (mi_block_t*)(void*)(page->start + (size_t)(slot - 1) * MI_GRANULE);
}

typedef struct { const mi_page_t* page; mi_block_t* block; } mi_pushed_t;
static inline void mi_pushed_next(void* pushed, uint32_t slot) {
  const mi_pushed_t* p = pushed;
  p->block->next = slot == 0 ? &mi_nil : mi_page_slot(p->page, slot);
}
static inline void mi_pushed_nothing(void* pushed, uint32_t slot) { (void)pushed; (void)slot; }

/* Any thread, for a block that the caller is freeing, and has claimed, if it is of a small or medium page:
   pushes it to the page's remote list. `bin`: the page's, read while it could not change; `key`: when the
   block was checked; `pinned`: with mi_remote_pin. */
mi_inline mi_remote_t mi_page_remote_free(mi_page_t* page, unsigned bin, mi_block_t* block, uint64_t key,
                                          bool pinned) {
  /* Its memory is not touched. */
  if (mi_unlikely(bin == MI_BIN_SINGLE))
    return mi_remote_push(&page->xword, &page->xkey, key, 1, pinned, &mi_pushed_nothing, NULL);
  const uint32_t slot = (uint32_t)(((uintptr_t)block - (uintptr_t)page->start) / MI_GRANULE) + 1;
  mi_pushed_t pushed = { page, block };
  return mi_remote_push(&page->xword, &page->xkey, key, slot, pinned, &mi_pushed_next, &pushed);
}

#endif
