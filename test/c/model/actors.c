/* The model's allocator (actors.h): transitions of pages round remote.h and pool_bits.h. Line 0, the constants
   and the blocks are tracked memory, so an access that the protocol does not order is a race.
   Ghost state (holder, live) is looked at and changed between two operations, so it is exact. */
#include "actors.h"

page_t pages[PAGES];
mi_xbits_t pool[BINS];
model_cell_t queue[OWNERS], parked[OWNERS];

int nblocks;
bool has_ended[OWNERS];
static int setting_as;
int looks;
page_t* twice_page;
int twice_slot, told;

void as_owner(int owner) { setting_as = owner; }

/* The owner that runs; its id is 16 times that. */
static int me(void) { return model_self() == 0 ? setting_as : model_self(); }
static uint64_t my_id(void) { return 16 * (uint64_t)me(); }
static bool can_end(uint64_t heap) { return heap >= SHARED; }   /* mi_heap_is_listed */
static uint64_t my_xid(uint64_t heap) { return can_end(heap) ? 0 : my_id(); }
size_t slice_of(const page_t* g) { return (size_t)(g - pages); }
bool is_single(page_t* g) { return model_get(&g->bin) == SINGLE; }
int blocks_in(page_t* g) { return is_single(g) ? 1 : nblocks; }

/* ---- ghosts ---- */

void take(page_t* g) {
  if (g->holder != NOBODY) model_fail("two holders of %s", g->name);
  g->holder = me();
}

static void held(const page_t* g) {
  if (g->holder != me()) model_fail("line 0 of %s used without holding it", g->name);
}

void let_go(page_t* g) {
  held(g);
  g->holder = NOBODY;
}

/* ---- where a page is: changed by who holds it, from one of these to that ---- */

where_t where_is(page_t* g) { return (where_t)model_get(&g->where); }

void where_set(page_t* g, where_t from, where_t to) {
  static const char* const names[] = { "dead", "cached", "queued", "parked", "full", "pooled", "waited", "searched", "single" };
  held(g);
  if (where_is(g) != from) model_fail("%s goes from %s to %s, and is %s", g->name, names[from], names[to], names[where_is(g)]);
  model_set(&g->where, to);
}

static bool is_pooled(page_t* g) { return where_is(g) >= POOLED && where_is(g) <= SEARCHED; }
bool has_waited(page_t* g) { return where_is(g) == WAITED || where_is(g) == SEARCHED; }

/* A free is about to touch the page that its pointer led to. */
static void same_life(pointer_t p) {
  if (p.page->life != p.life) model_fail("a free touches another life of %s", p.page->name);
}

/* A free did nothing: is that right? */
static void too_late(pointer_t p) {
  if (p.page->life == p.life) model_fail("%s: the free of block %d is lost", p.page->name, p.slot);
  model_note("frees too late in", p.page->name);
}

/* ---- the two words of a free block ---- */

bool is_twice(const page_t* g, int slot) { return g == twice_page && slot == twice_slot; }
static uint64_t mark_of(page_t* g, int slot) { return is_twice(g, slot) ? mi_load_relaxed(&g->block[slot].xmark) : model_get(&g->block[slot].mark); }
void mark_set(page_t* g, int slot, uint64_t mark) {
  if (is_twice(g, slot)) mi_store_relaxed(&g->block[slot].xmark, mark); else model_set(&g->block[slot].mark, mark);
}
uint64_t word_of(page_t* g, int slot) { return is_twice(g, slot) ? mi_load_relaxed(&g->block[slot].xlink) : model_get(&g->block[slot].word); }
void word_set(page_t* g, int slot, uint64_t word) {
  if (is_twice(g, slot)) mi_store_relaxed(&g->block[slot].xlink, word); else model_set(&g->block[slot].word, word);
}

/* The user's own bytes: written by who allocates the block, and there until it is freed. */
static void user_writes(page_t* g, int slot) {
  g->block[slot].live = true;
  word_set(g, slot, FIRST_BYTE);
  model_set(&g->block[slot].tail, LAST_BYTE);
}
static void user_reads(page_t* g, int slot) {
  const bool first = is_twice(g, slot) || model_get(&g->block[slot].word) == FIRST_BYTE;
  if (!first || model_get(&g->block[slot].tail) != LAST_BYTE) model_fail("%s: the bytes of live block %d are gone", g->name, slot);
}

static void tell(const page_t* g) {
  told++;
  model_note("a double free is told in", g->name);
}

/* ---- the holder's lists ---- */

void list_push(page_t* g, model_cell_t* list, int slot) {
  word_set(g, slot, model_get(list));
  model_set(list, (uint64_t)slot);
}

static void queue_add(page_t* g) {
  held(g);
  const int owner = (int)model_get(&g->lheap);
  model_set(&queue[owner], model_get(&queue[owner]) | (uint64_t)1 << slice_of(g));
}

static void queue_remove(page_t* g) {
  held(g);
  const int owner = (int)model_get(&g->lheap);
  model_set(&queue[owner], model_get(&queue[owner]) & ~((uint64_t)1 << slice_of(g)));
}

static void parked_set(page_t* g, bool on) {
  held(g);
  const uint64_t bit = (uint64_t)1 << slice_of(g);
  model_cell_t* list = &parked[model_get(&g->lheap)];
  model_set(list, on ? model_get(list) | bit : model_get(list) & ~bit);
}

bool is_parked(const page_t* g) { return model_get(&parked[me()]) >> slice_of(g) & 1; }
bool in_queue(const page_t* g) { return model_get(&queue[me()]) >> slice_of(g) & 1; }

static void take_single(page_t* g, mi_xlist_t list, bool counted) {
  const uint64_t used = model_get(&g->used), n = counted ? list.count : used - list.count;
  if (n > used && g != twice_page) model_fail("%s: more collected than used", g->name);
  model_set(&g->used, used - n);
}

/* A taken remote list goes to a list that is empty, as it is; else it is walked. Its length is its count, or all that is
   used but its count, if that says how many are live. */
void take_list(page_t* g, mi_xlist_t list, bool counted) {
  if (is_single(g)) { take_single(g, list, counted); return; }
  if (!counted && list.head != 0 && where_is(g) == FULL) where_set(g, FULL, POOLED);    /* its word was: R3 */
  if (!counted && list.head != 0 && where_is(g) == SEARCHED) where_set(g, SEARCHED, WAITED);
  uint64_t used = model_get(&g->used);
  const uint64_t n = counted ? list.count : used - list.count;
  if (n > used && g != twice_page) model_fail("%s: more collected than used", g->name);
  if (n > used) used = n;
  if ((n == 0) != (list.head == 0)) model_fail("the count of %s and its list do not agree", g->name);
  if (n == 0) return;
  model_set(&g->used, used - n);
  if (model_get(&g->free) == 0) { model_set(&g->free, list.head); return; }
  if (model_get(&g->local_free) == 0) { model_set(&g->local_free, list.head); return; }
  uint64_t slot = list.head;
  for (uint64_t i = 0; i < n; i++) {
    if (g == twice_page && (slot == 0 || mark_of(g, (int)slot) != model_get(&g->key))) { model_set(&g->used, model_get(&g->used) + n - i); break; }
    if (slot == 0 || slot > BLOCKS) model_fail("the remote list of %s is broken", g->name);
    const uint64_t next = word_of(g, (int)slot);
    list_push(g, &g->local_free, (int)slot);
    slot = next;
  }
}

/* C1 */
static uint32_t collect(page_t* g) {
  held(g);
  if (model_get(&g->free) == 0) {
    model_set(&g->free, model_get(&g->local_free));
    model_set(&g->local_free, 0);
  }
  const mi_xlist_t list = mi_remote_collect(&g->xword);
  take_list(g, list, true);
  return list.count;
}
void page_collect(page_t* g) { collect(g); }

/* ---- birth and death ---- */

/* A cached page, or a fresh one. */
static page_t* page_claim(int bin) {
  bool zero = false;
  page_t* g = cache_take(bin);
  const bool cached = g != NULL;
  if (!cached) g = slice_claim(&zero);
  if (g == NULL) return NULL;
  take(g);
  model_note(cached ? "takes from the cache" : "claims", g->name);
  if (zero) memory_is_zero(g);
  return g;
}

static page_t* page_birth(int heap, int bin) {
  page_t* g = page_claim(bin);
  if (g == NULL) return NULL;
  model_set(&g->free, 0);
  model_set(&g->local_free, 0);
  model_set(&g->used, 0);
  model_set(&g->left_out, 0);
  model_set(&g->lheap, (uint64_t)me());
  model_set(&g->bin, (uint64_t)bin);
  model_set(&g->key, 100 + 2 * (uint64_t)g->life + slice_of(g));
  for (int slot = bin == SINGLE ? 0 : nblocks; slot > 0; slot--) {
    mark_set(g, slot, model_get(&g->key));
    list_push(g, &g->free, slot);
  }
  mi_store_relaxed(&g->xowner, 0);                             /* published with the blocks themselves, as the next */
  mi_store_relaxed(&g->xtop, (uint64_t)bin + 1);
  mi_store_release(&g->xkey, model_get(&g->key));              /* pairs with R0: the class is not of a life before the key */
  mi_store_release(&g->xheap, (uint64_t)heap);                 /* pairs with R0 of a late free: the life before is over */
  return g;
}

page_t* page_fresh(int heap, int bin) {
  page_t* g = page_birth(heap, bin);
  if (g == NULL) return NULL;
  if (where_is(g) == CACHED) where_set(g, CACHED, DEAD);
  mi_store_relaxed(&g->xowner, my_xid((uint64_t)heap));
  mi_remote_birth(&g->xword, MI_PAGE_OWNED, 0);
  where_set(g, DEAD, QUEUED);
  queue_add(g);
  return g;
}

page_t* page_single(int heap) {
  page_t* g = page_birth(heap, SINGLE);
  if (g == NULL) return NULL;
  model_set(&g->used, 1);
  where_set(g, where_is(g) == CACHED ? CACHED : DEAD, ALONE);
  user_writes(g, 1);
  mi_store_relaxed(&g->xowner, can_end((uint64_t)heap) ? 0 : my_id() | 1);
  mi_remote_birth(&g->xword, MI_PAGE_FULL, 1);
  let_go(g);
  return g;
}

/* It is DEAD: cached, or the slice is free. */
static void page_dead(page_t* g, const char* how) {
  if (g->pins != 0) model_fail("%s dies while a free has it pinned", g->name);
  for (int slot = 1; slot <= BLOCKS; slot++) g->block[slot].live = false;
  g->life++;
  cache_put(g);                                                /* pairs with who takes it, or the next claim of the slice */
  model_note(how, g->name);
}

/* D1, and the slice is free. Holder only; the page is in no queue. What is live in it ends if `destroyed`. */
static void page_end(page_t* g, bool destroyed) {
  held(g);
  for (int slot = 1; slot <= BLOCKS; slot++) {
    if (g->block[slot].live && !destroyed) model_fail("%s freed while a block is live", g->name);
  }
  model_set(&g->used, 0);
  if (has_waited(g)) holes_forget(g);
  if (!is_single(g)) where_set(g, where_is(g) == FULL || is_pooled(g) ? where_is(g) : POOLED, DEAD);
  mi_store_relaxed(&g->xowner, 0);
  while (!mi_remote_death(&g->xword)) model_await(&g->xword, MI_XPIN_MASK);  /* D1 */
  page_dead(g, destroyed ? "destroyed" : "freed");
}

static void pool_put(page_t* g);

/* What is free is marked: the lists anew, and `used`. */
static void page_mend(page_t* g) {
  uint64_t used = 0;
  held(g);
  if (has_waited(g)) holes_undo(g);
  if (where_is(g) == SEARCHED) where_set(g, SEARCHED, WAITED);
  mi_remote_collect(&g->xword);
  model_set(&g->free, 0);
  model_set(&g->local_free, 0);
  for (int slot = nblocks; slot > 0; slot--) {
    if (mark_of(g, slot) == model_get(&g->key)) list_push(g, &g->free, slot); else used++;
  }
  model_set(&g->used, used);
  tell(g);
}

/* Is nothing live, as it seems? In a heap that can end nobody's free is plain, and nothing is miscounted. */
static bool is_empty(page_t* g) {
  if (g == twice_page && can_end(mi_load_relaxed(&g->xheap))) return true;
  for (int slot = 1; g == twice_page && !is_single(g) && slot <= nblocks; slot++) {
    if (mark_of(g, slot) != model_get(&g->key) && !(has_waited(g) && holes_touch(g, slot))) { page_mend(g); return false; }
  }
  return true;
}

static void page_free(page_t* g) {
  if (!is_empty(g)) { pool_put(g); return; }
  const int bin = (int)model_get(&g->bin);
  if (bin != SINGLE && (mi_load_relaxed(&pool[bin]) >> slice_of(g) & 1) != 0) mi_pool_bit_clear(&pool[bin], slice_of(g));  /* one too many does no harm */
  page_end(g, false);
}

/* ---- malloc and free ---- */

int page_malloc(page_t* g) {
  held(g);
  if (model_get(&g->free) == 0) page_collect(g);
  const int slot = (int)model_get(&g->free);
  if (slot == 0) return 0;
  block_t* b = &g->block[slot];
  const uint64_t mark = mark_of(g, slot);
  if (mark != model_get(&g->key) && g == twice_page) { page_mend(g); return page_malloc(g); }
  if (b->live) model_fail("%s: block %d given out twice", g->name, slot);
  if (mark != model_get(&g->key)) model_fail("%s: block %d in a list has no mark", g->name, slot);
  model_set(&g->free, word_of(g, slot));
  mark_set(g, slot, 0);
  model_set(&g->used, model_get(&g->used) + 1);
  user_writes(g, slot);
  return slot;
}

/* The last free of an owner in its page. */
static void page_retire(page_t* g) {
  where_set(g, QUEUED, POOLED);
  queue_remove(g);
  page_free(g);
}

/* Or the first in a page that it parked. */
static void parked_to_queued(page_t* g);
static void page_emptied(page_t* g) {
  if (where_is(g) == PARKED) parked_to_queued(g);
  else page_retire(g);
}

static void free_own(page_t* g, int slot) {
  held(g);
  const uint64_t mark = mark_of(g, slot);
  if (is_twice(g, slot) && mark == model_get(&g->key)) { tell(g); return; }
  if (mark == model_get(&g->key)) model_fail("%s: live block %d is marked", g->name, slot);
  mark_set(g, slot, model_get(&g->key));
  g->block[slot].live = false;
  list_push(g, &g->local_free, slot);
  model_set(&g->used, model_get(&g->used) - 1);
  if (model_get(&g->used) == 0) page_emptied(g);
}

/* Who took it by a swap of its word: into his queue. H1 and A4 end here. */
static void page_attach(page_t* g, uint64_t xowner) {
  if (has_waited(g)) holes_undo(g);
  model_set(&g->lheap, (uint64_t)me());
  mi_store_release(&g->xowner, xowner);                        /* H1, A4: read as mine by myself only; pairs with is_free: shows the marks */
  where_set(g, where_is(g) == FULL || is_pooled(g) ? where_is(g) : FULL, QUEUED);
  queue_add(g);
}

/* H1. The page may have had other holders since F1 named me: its local heap is written anew. */
static bool full_to_owned(page_t* g) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&g->xword, true, &list)) return false;
  take(g);
  model_note("has taken back", g->name);
  mi_pool_bit_clear(&pool[model_get(&g->bin)], slice_of(g));
  take_list(g, list, false);
  if (mi_load_relaxed(&g->xheap) != MAIN) { pool_put(g); return false; }
  page_attach(g, my_id());
  return true;
}

static pointer_t freeing[MODEL_ACTORS];                        /* by each actor */

/* The second free of a block may write its link when the page has had its next life: its push fails. */
static void set_next(void* block, uint32_t next) {
  const pointer_t p = freeing[model_self()];
  if (!is_twice(p.page, p.slot)) same_life(p);
  word_set(p.page, p.slot, next);
  (void)block;
}
static void set_nothing(void* block, uint32_t next) { (void)block; (void)next; }

/* A block that nobody else frees is claimed without more ado. */
static mi_remote_t push(pointer_t p, uint64_t key, bool pinned) {
  page_t* g = p.page;
  if (p.bin == SINGLE) return mi_remote_push(&g->xword, &g->xkey, key, 1, pinned, set_nothing, NULL);
  if (!is_twice(g, p.slot)) {
    if (mark_of(g, p.slot) == key) model_fail("%s: live block %d is marked", g->name, p.slot);
    mark_set(g, p.slot, key);
  }
  return mi_remote_push(&g->xword, &g->xkey, key, (uint32_t)p.slot, pinned, set_next, &g->block[p.slot]);
}

/* Right behind the swap, so that its word is the newest. */
static void check_sparser(const page_t* g, mi_remote_t todo) {
  const bool sparser = mi_xword_state(g->xword) == MI_PAGE_POOLED && mi_is_milestone(mi_xword_count(g->xword));
  if (todo == MI_REMOTE_DONE && sparser) model_fail("no round hears of a free in %s", g->name);
  if (todo == MI_REMOTE_SPARSER && !sparser) model_fail("a round is to look at %s, which has not become sparser", g->name);
}

/* R1-R4 and what is left to do. The class is read before R4: afterwards the page may be another. */
static void free_remote(pointer_t p, bool pinned) {
  page_t* g = p.page;
  same_life(p);
  freeing[model_self()] = p;
  const int bin = (int)model_get(&g->bin);
  const mi_remote_t todo = push(p, mi_load_relaxed(&g->xkey), pinned);
  check_sparser(g, todo);
  same_life(p);
  g->pins -= pinned;
  g->block[p.slot].live = false;
  switch (todo) {
    case MI_REMOTE_DONE: break;
    case MI_REMOTE_SPARSER: page_sparser(g); break;
    case MI_REMOTE_INDEX: mi_pool_bit_set(&pool[bin], slice_of(g)); page_changed(g); break;
    case MI_REMOTE_LAST:
      take(g);
      model_note("emptied", g->name);
      page_free(g);
      break;
    case MI_REMOTE_DEAD: model_fail("%s: a live block's page read as dead", g->name);
  }
}

static void unpin(page_t* g, bool pinned) {
  if (!pinned) return;
  g->pins--;
  mi_remote_unpin(&g->xword);
}

/* The page, pinned before anything of a block is looked at, if its heap may be destroyed. The page map always leads here: a free
   that is too late goes as far as it can. False: look again. */
static bool find_page(page_t* g, bool* listed, bool* pinned, uint64_t* w) {
  *listed = can_end(mi_load_acquire(&g->xheap));
  *w = mi_load_acquire(&g->xword);                             /* R0 */
  *pinned = *listed && mi_xword_state(*w) != MI_PAGE_DEAD && mi_remote_pin(&g->xword, *w);   /* R0 */
  g->pins += *pinned;
  return *pinned || !*listed || mi_xword_state(*w) == MI_PAGE_DEAD;
}

/* A heap that never ends: what is constant while a block lives is not asked, nor the word, which could only order more than the
   push itself does. */
static bool find_page_of(pointer_t p, bool* listed, bool* pinned, uint64_t* w) {
  *listed = *pinned = false;
  *w = MI_PAGE_OWNED;
  return !p.ends || find_page(p.page, listed, pinned, w);
}

/* The check of the start. */
static bool is_start(pointer_t p) { return !p.ends || mi_load_relaxed(&p.page->xtop) == (uint64_t)p.bin + 1; }

/* Is a block marked, or touched by a hole? Only a page without owner has holes; it may be adopted meanwhile, and the mark is
   there again. Played where there are rounds. */
static bool is_free(page_t* g, int slot, uint64_t key) {
  if (mark_of(g, slot) == key) return true;
  if (!plays(ROUNDS)) return false;
  if (mi_load_acquire(&g->xowner) == 0 && holes_touch(g, slot)) return true;   /* pairs with page_attach */
  return mark_of(g, slot) == key;
}

/* Pages of a heap that can end are nobody's own: that is not asked either. */
static bool free_as_owner(pointer_t p, bool listed) {
  page_t* g = p.page;
  if (listed) return false;
  const uint64_t owner = mi_load_relaxed(&g->xowner);          /* mine only if I wrote it last */
  if (owner != my_id() && (p.bin == SINGLE || owner != (my_id() | 1) || !full_to_owned(g))) return false;
  same_life(p);
  free_own(g, p.slot);
  return true;
}

/* R5. False: pushed then, as any other. */
static bool end_single(page_t* g, uint64_t w) {
  if (!mi_remote_end(&g->xword, w)) return false;
  take(g);
  model_set(&g->used, 0);
  page_dead(g, "freed at once");
  return true;
}

static bool free_single(pointer_t p, bool listed) {
  page_t* g = p.page;
  if (listed || p.bin != SINGLE) return false;
  same_life(p);
  return end_single(g, mi_load_relaxed(&g->xword));
}

/* A free that has to look again has changed nothing: the later look is explored without the first,
   except where `looks` allows more; those must be enough. */
void pointer_free(pointer_t p) {
  bool listed, pinned;
  uint64_t w;
  for (int look = 1; ; look++) {
    if (look > looks && looks == 1) model_covered();
    if (look > looks) model_fail("a free looks at %s for ever", p.page->name);
    if (find_page_of(p, &listed, &pinned, &w)) break;
  }
  if (mi_xword_state(w) == MI_PAGE_DEAD || !is_start(p)) {
    unpin(p.page, pinned);
    too_late(p);
    return;
  }
  if (plays(ROUNDS) && !p.ends && p.bin != SINGLE && is_free(p.page, p.slot, mi_load_relaxed(&p.page->xkey)))
    model_fail("%s: live block %d reads as free", p.page->name, p.slot);
  if (free_as_owner(p, listed)) return;
  if (!free_single(p, listed)) free_remote(p, pinned);
}

/* ---- two frees of one block ---- */

/* What its push left to do. */
static void twice_end(pointer_t p, int bin, mi_remote_t todo) {
  page_t* g = p.page;
  if (todo != MI_REMOTE_DEAD) same_life(p);
  if (todo == MI_REMOTE_INDEX) mi_pool_bit_set(&pool[bin], slice_of(g));
  if (todo == MI_REMOTE_INDEX) page_changed(g);
  if (todo == MI_REMOTE_SPARSER) page_sparser(g);
  if (todo == MI_REMOTE_LAST) {
    take(g);
    model_note("emptied", g->name);
    page_free(g);
  }
}

/* Where it is claimed. */
static mi_xkey_t* claim_at(pointer_t p) { return p.bin == SINGLE ? &p.page->xfreed : &p.page->block[p.slot].xmark; }

static bool is_freed(pointer_t p, uint64_t key) {
  return p.bin == SINGLE ? mi_load_relaxed(&p.page->xfreed) == key : is_free(p.page, p.slot, key);
}

/* One look at it. True: it is freed, or told. */
static bool twice_look(pointer_t p) {
  page_t* g = p.page;
  uint64_t was, was_key, w;
  bool listed, pinned;
  if (!find_page(g, &listed, &pinned, &w)) return false;
  const uint64_t key = was_key = mi_load_acquire(&g->xkey);   /* R0 */
  if (mi_xword_state(w) == MI_PAGE_DEAD || mi_load_relaxed(&g->xtop) != (uint64_t)p.bin + 1 || is_freed(p, key)) {
    unpin(g, pinned);
    tell(g);
    return true;
  }
  if (!listed && mi_load_relaxed(&g->xowner) == my_id()) { free_own(g, p.slot); return true; }
  if (!listed && p.bin == SINGLE && end_single(g, w)) return true;
  if (!mi_remote_claim(claim_at(p), key, &was)) {              /* R0 */
    unpin(g, pinned);
    return false;
  }
  if (g->life == p.life) g->block[p.slot].live = false;
  const int bin = p.bin;
  freeing[model_self()] = p;
  const mi_remote_t todo = push(p, key, pinned);
  g->pins -= pinned;
  if (todo == MI_REMOTE_DEAD) { mi_cas_acquire(claim_at(p), &was_key, was); tell(g); return true; }
  twice_end(p, bin, todo);
  return true;
}

void twice_free(pointer_t p) {
  for (int look = 1; !twice_look(p); look++) if (look > 6) model_fail("a free looks at %s for ever", p.page->name);
}

pointer_t pointer_to(page_t* g, int slot) {
  return (pointer_t){ g, slot, g->life, (int)g->bin.value, can_end(g->xheap) };
}

void block_free(page_t* g, int slot) {
  if (!g->block[slot].live) model_fail("the scenario frees block %d of %s twice", slot, g->name);
  user_reads(g, slot);
  pointer_free(pointer_to(g, slot));
}

/* ---- to full, to the pool, and back ---- */

/* F1, of a page that is in no queue. False if something was freed in the meantime: it is in the queue, and collected. */
static bool full_leave(page_t* g) {
  const uint64_t owner = my_xid(g->xheap);
  mi_store_relaxed(&g->xowner, owner == 0 ? 0 : owner | 1);    /* F1: before the swap, while it is mine to write */
  const uint32_t used = (uint32_t)model_get(&g->used);
  if (mi_remote_release(&g->xword, MI_PAGE_FULL, used)) {
    let_go(g);
    model_note("gave up full", g->name);
    return true;
  }
  mi_store_relaxed(&g->xowner, owner);
  where_set(g, FULL, QUEUED);
  queue_add(g);
  page_collect(g);
  return false;
}

bool page_to_full(page_t* g) {
  where_set(g, QUEUED, FULL);
  queue_remove(g);
  return full_leave(g);
}

/* ---- parked pages: nothing is left in them, and their owner's next free comes by ---- */

void page_park(page_t* g) {
  const uint64_t used = model_get(&g->used);
  if (used != (uint64_t)nblocks) model_fail("%s is parked with blocks left", g->name);
  where_set(g, QUEUED, PARKED);
  queue_remove(g);
  model_set(&g->left_out, used - 1);
  model_set(&g->used, 1);
  parked_set(g, true);
  model_note("parks", g->name);
}

/* It leaves the list, and `used` is what it says. */
static void parked_remove(page_t* g, where_t to) {
  where_set(g, PARKED, to);
  parked_set(g, false);
  model_set(&g->used, model_get(&g->used) + model_get(&g->left_out));
  model_set(&g->left_out, 0);
}

static void parked_to_queued(page_t* g) {
  parked_remove(g, QUEUED);
  queue_add(g);
}

bool page_unpark_freed(page_t* g) {
  if (mi_xword_head(mi_load_relaxed(&g->xword)) == 0) return false;    /* a hint */
  parked_to_queued(g);
  return true;
}

void page_unpark(page_t* g) {
  parked_remove(g, FULL);
  page_collect(g);
  if (model_get(&g->free) == 0) full_leave(g);
  else if (model_get(&g->used) == 0) page_free(g);
  else {
    where_set(g, FULL, QUEUED);
    queue_add(g);
  }
}

/* ---- to the pool ---- */

/* P1, P2. Not in a queue any more. Class and slice are read before P1. A single page goes to FULL, and has no bit. */
void pool_put_of(page_t* g, uint64_t home) {
  bool searched;
  const int bin = (int)model_get(&g->bin);
  if (where_is(g) == FULL) where_set(g, FULL, POOLED);
  mi_store_relaxed(&g->xowner, home);                          /* P1 */
  for (;;) {
    const uint32_t nremote = collect(g);
    if (nremote > 0 && where_is(g) == SEARCHED) where_set(g, SEARCHED, WAITED);  /* who freed saw a page that was held */
    const uint32_t used = (uint32_t)model_get(&g->used);
    if (used == 0) { page_free(g); return; }
    searched = where_is(g) == SEARCHED;
    if (mi_remote_release(&g->xword, bin == SINGLE ? MI_PAGE_FULL : MI_PAGE_POOLED, used)) break;
  }
  let_go(g);
  model_note("pooled", g->name);
  if (bin != SINGLE) mi_pool_bit_set(&pool[bin], slice_of(g));
  if (bin != SINGLE && !searched) page_changed(g);
}
static void pool_put(page_t* g) { pool_put_of(g, 0); }

void page_to_pool(page_t* g) {
  where_set(g, QUEUED, POOLED);
  queue_remove(g);
  pool_put(g);
}

void owner_end(int owner) {
  has_ended[owner] = true;
  for (int i = 0; i < PAGES; i++) {
    if (model_get(&parked[owner]) >> i & 1) page_unpark(&pages[i]);
  }
  for (int i = 0; i < PAGES; i++) {
    if (model_get(&queue[owner]) >> i & 1) page_to_pool(&pages[i]);
  }
}

/* A1-A4. NULL if none was found. */
page_t* pool_adopt(int heap, int bin) {
  for (size_t i = 0; ; i++) {
    const uint64_t bits = i < PAGES ? mi_load_relaxed(&pool[bin]) >> i : 0;
    if (bits == 0) return NULL;
    i += (size_t)__builtin_ctzll(bits);
    if (mi_load_relaxed(&pages[i].xheap) != (uint64_t)heap) continue;  /* a look, before A1 */
    if (!mi_pool_bit_take(&pool[bin], PAGES, &i)) return NULL;     /* A1: this one, or one behind it */
    page_t* g = &pages[i];
    mi_xlist_t list;
    if (mi_load_relaxed(&g->xheap) != (uint64_t)heap) {        /* A1: a hint, A3 decides */
      mi_pool_bit_set(&pool[bin], i);
      continue;
    }
    if (!mi_remote_acquire(&g->xword, false, &list)) continue; /* A2 */
    take(g);
    model_note("adopts", g->name);
    take_list(g, list, false);
    const bool other = mi_load_relaxed(&g->xheap) != (uint64_t)heap || (int)model_get(&g->bin) != bin;  /* by the holder */
    if (other) { pool_put(g); continue; }                      /* A3 */
    page_attach(g, my_xid((uint64_t)heap));                    /* A4 */
    return g;
  }
}

/* ---- heaps that end, and visitors ---- */

static bool take_any(page_t* g, const char* what) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&g->xword, true, &list)) return false;
  take(g);
  model_note(what, g->name);
  take_list(g, list, false);
  return true;
}

void page_reassign(page_t* g) {
  if (!take_any(g, "reassigns")) return;
  if (model_get(&g->used) == 0) { page_free(g); return; }
  mi_store_release(&g->xheap, MAIN);                           /* pairs with R0 */
  pool_put(g);
}

void page_destroy(page_t* g) {
  if (take_any(g, "destroys")) page_end(g, true);
}

void page_visit(page_t* g, int heap) {
  if (mi_xword_state(mi_load_acquire(&g->xword)) == MI_PAGE_DEAD) return;
  if (mi_load_relaxed(&g->xheap) != (uint64_t)heap) return;    /* looked at again */
  if (!take_any(g, "visits")) return;
  if (mi_load_relaxed(&g->xheap) == (uint64_t)heap && !is_single(g)) page_collect(g);
  if (where_is(g) == SEARCHED) where_set(g, SEARCHED, WAITED);
  pool_put(g);
}

/* ---- a heap's name ---- */

static mi_heap_name_t name;

void name_setting(void) {
  name = (mi_heap_name_t){ 0, { 1, 1 } };
  model_atomic(&name.xchanges, "name.xchanges");
  model_atomic(&name.xwords[0], "name.id");
  model_atomic(&name.xwords[1], "name.word");
}

/* Its words are alike. */
void name_change(uint64_t to) {
  const uint64_t words[2] = { to, to };
  mi_heap_name_set(&name, words);
}

void name_look(void) {
  uint64_t words[2];
  if (!mi_heap_name_get(&name, words)) model_note("reads", "nothing");
  else if (words[0] != words[1]) model_fail("half a name was read");
}
