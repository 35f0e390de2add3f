/* See free.h. */
#include <errno.h>

#include "free.h"
#include "holes.h"
#include "cache.h"
#include "report.h"
#include "pool.h"

/* Of a small or medium page. Only a page without owner has holes; it may be adopted meanwhile, and the mark
   is there again. */
static bool is_free(mi_page_t* page, const mi_block_t* block) {
  /* Whoever has a live block has it after the page's birth. */
  const uint64_t key = mi_load_relaxed(&page->xkey);
  if (mi_block_is_marked(block, &key)) return true;
  const uintptr_t xowner = mi_load_acquire(&page->xowner);                /* pairs with page_attach */
  if ((xowner == 0 || xowner == MI_ID_GONE) && mi_holes_touch(page, block)) return true;
  return mi_load_relaxed(&block->xmark) == key;                           /* shown by the acquire */
}

mi_page_t* mi_block_find(const void* p, mi_block_t** block, bool report) {
  mi_page_t* page = mi_page_of(p);
  if (mi_page_is_none(page)) {
    if (report) mi_report_misuse(MI_ERROR_NOT_A_BLOCK, p, 0);
    return NULL;
  }
  *block = mi_page_block_of(page, p);
  if (*block == NULL) {
    if (report) mi_report_misuse(MI_ERROR_INTERIOR, p, mi_page_size(page));
    return NULL;
  }
  /* A single page's memory is never marked, nor touched: it may be gone. A cached page is DEAD. */
  if (mi_xword_state(mi_load_relaxed(&page->xword)) == MI_PAGE_DEAD
      || (!mi_page_is_single(page) && is_free(page, *block))) {
    if (report) mi_report_misuse(MI_ERROR_DOUBLE_FREE, p, mi_page_size(page));
    return NULL;
  }
  return page;
}

size_t mi_block_usable(const void* p) {
  mi_block_t* block;
  if (p == NULL) return 0;
  mi_page_t* page = mi_block_find(p, &block, false);
  return page == NULL ? 0 : mi_page_size(page) - ((uintptr_t)p - (uintptr_t)block);
}

/* The block was claimed, and then its page was found to have died: it had been freed before. Its first word
   is what it was. */
mi_cold static void free_dead(unsigned bin, mi_block_t* block, const void* p, uint64_t key, uint64_t was) {
  /* Pairs with nobody: if it is another's by now he wrote to it. */
  if (bin != MI_BIN_SINGLE) mi_cas_acquire(&block->xmark, &key, was);
  mi_report_misuse(MI_ERROR_DOUBLE_FREE, p, 0);
}

/* Of the main heap. The thread that freed it may want another of its size. */
static void single_page_free(mi_page_t* page, const mi_owner_t* owner) {
  mi_page_die(page);
  mi_cache_put(owner->slot, page);
}

/* Any thread: a remote free left this to be done. `bin` was read before it: the page may be another's since.
   `owner`: the freer's, or NULL; near to whom a page is cached for the next, and whose local heap learns that
   it frees in pages it gave up. */
static void remote_todo(mi_page_t* page, unsigned bin, mi_remote_t todo, mi_owner_t* owner) {
  if (todo == MI_REMOTE_INDEX) {
    mi_pool_index(page, bin);
    mi_pool_page_changed(page);                                           /* P3 */
    /* A hint. */
    if (owner != NULL && mi_load_relaxed(&page->xowner) == (owner->id | 1))
      mi_queue_park_more(&owner->main, bin);
  }
  if (todo == MI_REMOTE_SPARSER) mi_pool_page_sparser(page);
  if (todo != MI_REMOTE_LAST) return;
  mi_assert(!mi_page_is_listed(page) && mi_page_left_out(page) == 0);
  mi_page_used_set(page, 0);
  page->doubted = true;
  if (owner != NULL && mi_page_is_single(page) && !mi_heap_is_listed(mi_page_heap(page))) {
    single_page_free(page, owner);
    return;
  }
  mi_pool_page_free(page);
}

/* `key`, `w`: the page's when the block was looked at. `listed`: the heap may be destroyed meanwhile, so the
   page is pinned if it is still what the block was checked against. False: it is not, or the block is just
   being freed; look again. */
static bool free_remote(mi_page_t* page, mi_block_t* block, const void* p, uint64_t key, uint64_t w,
                        bool listed, mi_owner_t* owner) {
  uint64_t was = 0;
  if (mi_xword_state(w) == MI_PAGE_DEAD) {  /* too late: not a word is written */
    mi_report_misuse(MI_ERROR_DOUBLE_FREE, p, 0);
    return true;
  }
  if (listed && !mi_remote_pin(&page->xword, w)) return false;
  const unsigned bin = mi_page_bin(page);
  if (bin != MI_BIN_SINGLE && !mi_remote_claim(&block->xmark, key, &was)) {
    if (listed) mi_remote_unpin(&page->xword);
    return false;
  }
  const mi_remote_t todo = mi_page_remote_free(page, bin, block, key, listed);
  if (todo == MI_REMOTE_DEAD) free_dead(bin, block, p, key, was);
  else remote_todo(page, bin, todo, owner);
  return true;
}

/* Any free that is not local. */
static void free_checked(void* p, mi_owner_t* owner, uintptr_t id) {
  mi_assert(id != 0 && (owner == NULL || owner->id == id));
  mi_block_t* block;
  if (p == NULL) return;
  for (;;) {
    mi_page_t* page = mi_page_of(p);
    /* Pairs with mi_page_init, page_reassign. Before R0: a main heap's name is no older than w. */
    const bool listed = mi_heap_is_listed(mi_load_acquire(&page->xheap));
    /* R0 pairs with mi_remote_birth: before everything that is checked. */
    const uint64_t w = mi_load_acquire(&page->xword);
    /* R0 pairs with new_life: what is checked is of its life, or a later one. */
    const uint64_t key = mi_load_acquire(&page->xkey);
    mi_page_t* found = mi_block_find(p, &block, true);
    if (found == NULL) return;
    if (found != page) continue;                                          /* mapped anew meanwhile */
    const uintptr_t xowner = mi_load_relaxed(&page->xowner);  /* as in mi_free_local; id|1 is a hint */
    if (xowner == id
        || (mi_page_bin(page) <= MI_BIN_SMALL_LAST && owner != NULL && xowner == (id | 1)
            && mi_lheap_take_back(&owner->main, page))) {
      /* An offset block, or ours again. Another was faster. */
      if (!mi_free_local(block, id)) mi_report_misuse(MI_ERROR_DOUBLE_FREE, p, mi_page_size(page));
      return;
    }
    if (free_remote(page, block, p, key, w, listed, owner)) return;
  }
}

static mi_noinline void free_any(void* p, mi_owner_t* owner, uintptr_t id) {
  free_checked(p, owner, id);
  mi_lheap_freed(owner == NULL ? NULL : &owner->main);
}

/* The page of p, pinned, if it is in the heap with this id; else NULL. A heap's memory is one for ever. */
static mi_page_t* page_pin(const void* p, uint64_t heap_id) {
  for (;;) {
    mi_page_t* page = mi_page_of(p);
    const uint64_t w = mi_load_acquire(&page->xword);                     /* R0 pairs with mi_remote_birth */
    if (mi_xword_state(w) == MI_PAGE_DEAD) return NULL;
    const mi_heap_t* heap = mi_load_acquire(&page->xheap);                /* pairs with mi_page_init */
    if (mi_load_relaxed(&heap->xid) != heap_id) return NULL;              /* shown with its first page */
    if (mi_remote_pin(&page->xword, w)) return page;
  }
}

/* Nothing of the page is read before it is pinned: it may have had its end, and be another's. */
void mi_free_of_heap(void* p, uint64_t heap_id, mi_owner_t* owner) {
  mi_page_t* page = p == NULL || heap_id == 0 ? NULL : page_pin(p, heap_id);
  if (page == NULL) return;
  mi_assert(mi_heap_is_listed(mi_page_heap(page)));
  mi_block_t* block;
  const unsigned bin = mi_page_bin(page);
  const uint64_t key = mi_load_relaxed(&page->xkey);                      /* of the life that is pinned */
  uint64_t was;
  if (mi_block_find(p, &block, false) != page
      || (bin != MI_BIN_SINGLE && !mi_remote_claim(&block->xmark, key, &was))) {
    mi_remote_unpin(&page->xword);
    return;
  }
  remote_todo(page, bin, mi_page_remote_free(page, bin, block, key, true), owner);
  mi_lheap_freed(owner == NULL ? NULL : &owner->main);
}

static mi_noinline void free_remote_end(mi_page_t* page, unsigned bin, mi_remote_t todo, mi_owner_t* owner) {
  mi_assert(todo != MI_REMOTE_DONE && todo != MI_REMOTE_DEAD);
  remote_todo(page, bin, todo, owner);
  mi_lheap_freed(owner == NULL ? NULL : &owner->main);
}

/* The block of a single page of the main heap. Its memory is not touched. `key`, `w`: the page's when the
   block was looked at. */
static mi_noinline void free_single(mi_page_t* page, void* p, uint64_t key, uint64_t w, mi_owner_t* owner) {
  if (mi_likely(owner != NULL && mi_remote_end(&page->xword, w))) {       /* R5 */
    mi_cache_put(owner->slot, page);  /* it may want another of its size */
    mi_lheap_freed(&owner->main);
    return;
  }
  free_remote(page, p, p, key, w, false, owner);
  mi_lheap_freed(owner == NULL ? NULL : &owner->main);
}

/* Most frees that are not local: of the start of a block in a page of the main heap, which nobody destroys,
   that is another's or full; or that the owner gave up full, of large blocks: such a page is nobody's until
   it is needed, so that whoever purges finds it. FAST */
void mi_free_slow(void* p, mi_owner_t* owner, uintptr_t id) {
  mi_page_t* page = mi_page_of(p);
  mi_block_t* block = p;
  mi_prefetch_write(p);
  /* Pairs with mi_page_init, page_reassign; false if there is no page. */
  const bool main = mi_load_acquire(&page->xheap) == &mi_main_heap;
  const uint64_t w = mi_load_acquire(&page->xword);                       /* R0 pairs with mi_remote_birth */
  const uint64_t key = mi_load_acquire(&page->xkey);                      /* R0 pairs with new_life */
  const uintptr_t xowner = mi_load_relaxed(&page->xowner);                /* as above; 0: it may have holes */
  const unsigned bin = mi_page_bin(page);
  uint64_t was;
  if (mi_unlikely(!main || mi_xword_state(w) == MI_PAGE_DEAD || xowner == 0 || xowner == id
                  || !mi_page_is_start(page, p)
                  || (xowner == (id | 1) && owner != NULL && bin <= MI_BIN_SMALL_LAST))) {
    free_any(p, owner, id);
  }
  else if (bin == MI_BIN_SINGLE) free_single(page, p, key, w, owner);
  else if (mi_unlikely(!mi_remote_claim(&block->xmark, key, &was))) free_any(p, owner, id);
  else {
    const mi_remote_t todo = mi_page_remote_free(page, bin, block, key, false);
    if (mi_likely(todo == MI_REMOTE_DONE)) return;
    if (todo == MI_REMOTE_DEAD) free_dead(bin, block, p, key, was);
    else free_remote_end(page, bin, todo, owner);
  }
}
