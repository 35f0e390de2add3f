/* See free.h. */
#include <errno.h>

#include "free.h"
#include "holes.h"
#include "cache.h"
#include "report.h"
#include "pool.h"

/* Where a free claims the block: its first word. A single page's memory may be gone, so its structure has a
   word for that. */
static mi_xkey_t* mark_of(mi_page_t* page, unsigned bin, mi_block_t* block) {
  return bin == MI_BIN_SINGLE ? &page->xfreed : &block->xmark;
}

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

static void unpin(mi_found_t* f) {
  if (f->pinned) mi_remote_unpin(&f->page->xword);
  f->pinned = false;
}

/* R0: the page that p is in, or the empty one. If its heap may be destroyed meanwhile, and its arena
   unmapped, the page is pinned, unless it is DEAD, before anything of a block is read: what lies inside its
   bounds is memory. */
static void find_page(const void* p, mi_found_t* f) {
  mi_page_t* page = f->page = mi_page_of(p);
  do {
    /* Pairs with mi_page_init, page_reassign. Before the word: a main heap's name is no older than w. */
    const bool listed = mi_heap_is_listed(mi_load_acquire(&page->xheap));
    /* R0 pairs with mi_remote_birth: before everything that is checked. */
    f->w = mi_load_acquire(&page->xword);
    f->ends = listed && mi_xword_state(f->w) != MI_PAGE_DEAD;
    f->pinned = f->ends && mi_remote_pin(&page->xword, f->w);
  } while (f->pinned != f->ends);           /* its word changed meanwhile */
  /* R0 pairs with new_life: what is checked is of its life, or a later one. */
  f->key = mi_load_acquire(&page->xkey);
}

/* No block of a page that is DEAD is looked at. A single page's memory is never marked, nor touched: it may
   be gone. */
static bool find_block(const void* p, mi_found_t* f, mi_error_t* error) {
  mi_page_t* page = f->page;
  const bool dead = mi_xword_state(f->w) == MI_PAGE_DEAD, single = mi_page_is_single(page);
  if (mi_page_is_none(page)) return false;
  *error = MI_ERROR_INTERIOR;
  if (single || !dead) f->block = mi_page_block_of(page, p);
  else f->block = mi_page_is_start(page, p) ? (mi_block_t*)(uintptr_t)p : NULL;
  if (f->block == NULL) return false;
  *error = MI_ERROR_DOUBLE_FREE;
  if (dead) return false;
  /* Shown by R4 or with the block; who claims it looks again. */
  return single ? mi_load_relaxed(&page->xfreed) != f->key : !is_free(page, f->block);
}

/* Is the page in the heap with this id? A heap's memory is a heap's for ever. */
static bool is_of_heap(const mi_found_t* f, uint64_t heap_id) {
  if (mi_xword_state(f->w) == MI_PAGE_DEAD) return false;
  const mi_heap_t* heap = mi_load_acquire(&f->page->xheap);               /* pairs with mi_page_init */
  return mi_load_relaxed(&heap->xid) == heap_id;                          /* shown with its first page */
}

/* A live block, of this heap unless `heap_id` is 0, whose page may be pinned then; or nothing, and a report
   if `report`. */
static bool find(const void* p, uint64_t heap_id, mi_found_t* f, bool report) {
  mi_error_t error = MI_ERROR_NOT_A_BLOCK;
  find_page(p, f);
  if ((heap_id == 0 || is_of_heap(f, heap_id)) && find_block(p, f, &error)) return true;
  unpin(f);
  if (report) mi_report_misuse(error, p, mi_page_size(f->page));
  return false;
}

mi_page_t* mi_block_find(const void* p, mi_block_t** block, bool report) {
  mi_found_t found;
  if (!find(p, 0, &found, report)) return NULL;
  unpin(&found);
  *block = found.block;
  return found.page;
}

bool mi_block_hold(const void* p, mi_found_t* f) { return find(p, 0, f, true); }
void mi_block_let_go(mi_found_t* f) { unpin(f); }

size_t mi_block_usable(const void* p) {
  mi_block_t* block;
  if (p == NULL) return 0;
  mi_page_t* page = mi_block_find(p, &block, false);
  return page == NULL ? 0 : mi_page_size(page) - ((uintptr_t)p - (uintptr_t)block);
}

/* The block was claimed, and then its page was found to have died: it had been freed before. The word is
   what it was. */
mi_cold static void free_dead(mi_xkey_t* mark, const void* p, uint64_t key, uint64_t was) {
  /* Pairs with nobody: if it is another's by now he wrote to it. */
  mi_cas_acquire(mark, &key, was);
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

/* False: another is just freeing the block, or wrote to it; look again. The pin ends. */
static bool free_remote(mi_found_t* f, const void* p, mi_owner_t* owner) {
  uint64_t was = 0;
  const unsigned bin = mi_page_bin(f->page);
  mi_xkey_t* mark = mark_of(f->page, bin, f->block);
  if (!mi_remote_claim(mark, f->key, &was)) {
    unpin(f);
    return false;
  }
  const mi_remote_t todo = mi_page_remote_free(f->page, bin, f->block, f->key, f->pinned);
  if (todo == MI_REMOTE_DEAD) free_dead(mark, p, f->key, was);
  else remote_todo(f->page, bin, todo, owner);
  return true;
}

/* Is the page mine, or mine again? Then it is of a main heap, which nobody destroys. */
static bool is_mine(mi_found_t* f, mi_owner_t* owner, uintptr_t id) {
  const uintptr_t xowner = mi_load_relaxed(&f->page->xowner);  /* as in mi_free_local; id|1 is a hint */
  if ((xowner & ~(uintptr_t)1) != id) return false;
  unpin(f);
  return xowner == id
         || (mi_page_bin(f->page) <= MI_TAKEN_BACK_LAST && owner != NULL
             && mi_lheap_take_back(&owner->main, f->page));
}

/* Any free that is not local. */
static void free_checked(void* p, mi_owner_t* owner, uintptr_t id) {
  mi_assert(id != 0 && (owner == NULL || owner->id == id));
  mi_found_t f;
  if (p == NULL) return;
  do {
    if (!find(p, 0, &f, true)) return;
    if (is_mine(&f, owner, id)) {
      /* An offset block, or ours again. Another was faster. */
      if (!mi_free_local(f.block, id)) mi_report_misuse(MI_ERROR_DOUBLE_FREE, p, mi_page_size(f.page));
      return;
    }
  } while (!free_remote(&f, p, owner));
}

static mi_noinline void free_any(void* p, mi_owner_t* owner, uintptr_t id) {
  free_checked(p, owner, id);
  mi_lheap_freed(owner == NULL ? NULL : &owner->main);
}

void mi_free_of_heap(void* p, uint64_t heap_id, mi_owner_t* owner) {
  mi_found_t f;
  do if (p == NULL || heap_id == 0 || !find(p, heap_id, &f, false)) return;
  while (!free_remote(&f, p, owner));
  mi_lheap_freed(owner == NULL ? NULL : &owner->main);
}

static mi_noinline void free_remote_end(mi_page_t* page, unsigned bin, mi_remote_t todo, mi_owner_t* owner) {
  mi_assert(todo != MI_REMOTE_DONE && todo != MI_REMOTE_DEAD);
  remote_todo(page, bin, todo, owner);
  mi_lheap_freed(owner == NULL ? NULL : &owner->main);
}

/* The block of a single page of the main heap. Its memory is not touched. `key`, `w`: the page's when the
   block was looked at. */
static mi_noinline void free_single(mi_page_t* page, void* p, uint64_t key, uint64_t w, mi_owner_t* owner,
                                    uintptr_t id) {
  if (mi_likely(owner != NULL && mi_remote_end(&page->xword, w))) {       /* R5 */
    mi_page_end_sample(page);
    mi_cache_put(owner->slot, page);  /* it may want another of its size */
    mi_lheap_freed(&owner->main);
    return;
  }
  mi_found_t f = { .page = page, .block = p, .w = w, .key = key };
  if (!free_remote(&f, p, owner)) free_checked(p, owner, id);
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
                  || (xowner == (id | 1) && owner != NULL && bin <= MI_TAKEN_BACK_LAST))) {
    free_any(p, owner, id);
  }
  else if (bin == MI_BIN_SINGLE) free_single(page, p, key, w, owner, id);
  else if (mi_unlikely(!mi_remote_claim(&block->xmark, key, &was))) free_any(p, owner, id);
  else {
    const mi_remote_t todo = mi_page_remote_free(page, bin, block, key, false);
    if (mi_likely(todo == MI_REMOTE_DONE)) return;
    if (todo == MI_REMOTE_DEAD) free_dead(&block->xmark, p, key, was);
    else free_remote_end(page, bin, todo, owner);
  }
}
