/* What becomes a sample of the profile: docs/protocols.md, section 11. Owner-only.

   The steps of an allocation while sampling is on, in its slow path:
     mi_sampler_is_due     the page's list was cut, and is empty: the block is a sample
     mi_sampler_fill       .. else the page's blocks are all that malloc may take until the next point
     mi_sampler_passes     a block with a page of its own: does a point fall into it? */
#ifndef MI_SAMPLER_H
#define MI_SAMPLER_H

#include "callback.h"
#include "page.h"
#include "policy.h"
#include "sample.h"

/* The first slow path of a local heap in a session: its owner has a first point, and no first page of a queue
   a list that was not looked at. */
mi_cold void mi_sampler_begin(mi_lheap_t* lh);
mi_inline void mi_sampler_look(mi_lheap_t* lh) {
  if (!mi_sample_is_on()) return;
  /* A hint: whoever is late goes by the old one. */
  if (mi_unlikely(lh->sample_session != mi_load_relaxed(&mi_sample_xsession))) mi_sampler_begin(lh);
}

/* mi_lheap_may_skip, but for the points. */
mi_inline bool mi_sampler_may_skip(const mi_lheap_t* lh) {
  /* Hints. */
  return (lh->tick + 1) % MI_SWEEP_EVERY != 0 && mi_load_relaxed(&mi_callback_xwanted) == MI_WANTS_SAMPLES
         && lh->sample_session == mi_load_relaxed(&mi_sample_xsession);
}

/* Is the next block of this page a sample? That is asked once. */
mi_inline bool mi_sampler_is_due(const mi_lheap_t* lh, mi_page_t* page) {
  if (!mi_sample_is_on() || page->free != &mi_nil || page->sample_cut == 0
      || page->sample_cut != lh->sample_session)
    return false;
  page->sample_cut = 0;
  return true;
}

/* A page of a queue of this local heap is about to be allocated from: `free` is filled, and cut at the next
   point: it may be empty then, and the page due. `one`: one block is taken whatever is due, and those behind
   it are looked at in the next allocation. */
void mi_sampler_fill(mi_lheap_t* lh, mi_page_t* page, bool one);

/* A block of so many bytes passes: is it a sample? */
bool mi_sampler_passes(mi_lheap_t* lh, size_t size);

/* A sample, and its place in the table; 0: none, which is counted. A block that is not there yet is NULL, and
   mi_sample_move says where it is. */
uint32_t mi_sampler_note(mi_lheap_t* lh, const void* block, size_t asked, size_t size);
/* The only block of this page is a sample, and was asked for with so many bytes. `size`: the block's. */
void mi_sampler_take(mi_lheap_t* lh, mi_page_t* page, size_t asked, size_t size);

/* The only block of a single page was resized where it is, or moved with its page. */
void mi_sampler_resized(mi_lheap_t* lh, mi_page_t* page, size_t asked, size_t old_size);

/* The same by any thread that has the block: its sample, if it is one, stays. */
void mi_sampler_expanded(mi_page_t* page, size_t asked);

/* Pure. 1 / (1 - exp(-size/rate)): how many blocks a sample stands for. */
double mi_sampler_weight(size_t size, size_t rate);
/* Exponentially distributed, `rate` on average; *state: any number. */
uint64_t mi_sampler_draw(uint64_t* state, size_t rate);

#endif
