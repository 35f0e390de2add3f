/* The model's allocator (actors.h): transitions of pages round remote.h and pool_bits.h, and the
   check of what an execution leaves. Line 0, the constants and the blocks are tracked memory, so an
   access that the protocol does not order is a race.
   Ghost state (holder, live) is looked at and changed between two operations, so it is exact. */
#include "actors.h"

#include <stdio.h>
#include <string.h>

page_t pages[PAGES];
mi_xbits_t pool[BINS];
mi_xbits_t arena_free;
model_cell_t queue[OWNERS];

static int setting_as, nblocks;
int looks;
page_t* twice_page;
int twice_slot, told;

void as_owner(int owner) { setting_as = owner; }

/* The owner that runs; its id is 16 times that. */
static int me(void) { return model_self() == 0 ? setting_as : model_self(); }
static uint64_t my_id(void) { return 16 * (uint64_t)me(); }
static bool can_end(uint64_t heap) { return heap >= SHARED; }   /* mi_heap_is_listed */
static uint64_t my_xid(uint64_t heap) { return can_end(heap) ? 0 : my_id(); }
static size_t slice_of(const page_t* g) { return (size_t)(g - pages); }
static bool is_single(page_t* g) { return model_get(&g->bin) == SINGLE; }

/* ---- ghosts ---- */

static void take(page_t* g) {
  if (g->holder != NOBODY) model_fail("two holders of %s", g->name);
  g->holder = me();
}

static void held(const page_t* g) {
  if (g->holder != me()) model_fail("line 0 of %s used without holding it", g->name);
}

static void let_go(page_t* g) {
  held(g);
  g->holder = NOBODY;
}

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

static bool is_twice(const page_t* g, int slot) { return g == twice_page && slot == twice_slot; }
static uint64_t mark_of(page_t* g, int slot) {
  return is_twice(g, slot) ? mi_load_relaxed(&g->block[slot].xmark) : model_get(&g->block[slot].mark);
}
static void mark_set(page_t* g, int slot, uint64_t mark) {
  if (is_twice(g, slot)) mi_store_relaxed(&g->block[slot].xmark, mark);
  else model_set(&g->block[slot].mark, mark);
}
static uint64_t word_of(page_t* g, int slot) {
  return is_twice(g, slot) ? mi_load_relaxed(&g->block[slot].xlink) : model_get(&g->block[slot].word);
}
static void word_set(page_t* g, int slot, uint64_t word) {
  if (is_twice(g, slot)) mi_store_relaxed(&g->block[slot].xlink, word);
  else model_set(&g->block[slot].word, word);
}

static void tell(const page_t* g) {
  told++;
  model_note("a double free is told in", g->name);
}

/* ---- the holder's lists ---- */

static void list_push(page_t* g, model_cell_t* list, int slot) {
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

bool in_queue(const page_t* g) { return model_get(&queue[me()]) >> slice_of(g) & 1; }

static void take_single(page_t* g, mi_xlist_t list, bool counted) {
  const uint64_t used = model_get(&g->used), n = counted ? list.count : used - list.count;
  if (n > used) model_fail("%s: more collected than used", g->name);
  model_set(&g->used, used - n);
}

/* A taken remote list goes to a list that is empty, as it is; else it is walked. Its length is its count, or
   all that is used but its count, if that says how many are live. */
static void take_list(page_t* g, mi_xlist_t list, bool counted) {
  if (is_single(g)) { take_single(g, list, counted); return; }
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
    if (g == twice_page && (slot == 0 || mark_of(g, (int)slot) != model_get(&g->key))) {
      model_set(&g->used, model_get(&g->used) + n - i);
      break;
    }
    if (slot == 0 || slot > BLOCKS) model_fail("the remote list of %s is broken", g->name);
    const uint64_t next = word_of(g, (int)slot);
    list_push(g, &g->local_free, (int)slot);
    slot = next;
  }
}

/* C1 */
void page_collect(page_t* g) {
  held(g);
  if (model_get(&g->free) == 0) {
    model_set(&g->free, model_get(&g->local_free));
    model_set(&g->local_free, 0);
  }
  take_list(g, mi_remote_collect(&g->xword), true);
}

/* ---- birth and death ---- */

static page_t* page_birth(int heap, int bin) {
  const uint64_t free_slices = mi_load_acquire(&arena_free);
  if (free_slices == 0) return NULL;
  const uint64_t bit = free_slices & (0 - free_slices);
  if (!(mi_and_acq_rel(&arena_free, ~bit) & bit)) return NULL;
  page_t* g = &pages[__builtin_ctzll(bit)];
  take(g);
  model_note("claims", g->name);
  model_set(&g->free, 0);
  model_set(&g->local_free, 0);
  model_set(&g->used, 0);
  model_set(&g->lheap, (uint64_t)me());
  model_set(&g->bin, (uint64_t)bin);
  model_set(&g->key, 100 + 2 * (uint64_t)g->life + slice_of(g));
  for (int slot = bin == SINGLE ? 0 : nblocks; slot > 0; slot--) {
    mark_set(g, slot, model_get(&g->key));
    list_push(g, &g->free, slot);
  }
  mi_store_relaxed(&g->xowner, 0);  /* published with the blocks themselves, as the next */
  mi_store_relaxed(&g->xtop, (uint64_t)bin + 1);
  /* pairs with R0: the class is not of a life before the key */
  mi_store_release(&g->xkey, model_get(&g->key));
  mi_store_release(&g->xheap, (uint64_t)heap);  /* pairs with R0 of a late free: the life before is over */
  return g;
}

page_t* page_fresh(int heap, int bin) {
  page_t* g = page_birth(heap, bin);
  if (g == NULL) return NULL;
  mi_store_relaxed(&g->xowner, my_xid((uint64_t)heap));
  mi_remote_birth(&g->xword, MI_PAGE_OWNED, 0);
  queue_add(g);
  return g;
}

page_t* page_single(int heap) {
  page_t* g = page_birth(heap, SINGLE);
  if (g == NULL) return NULL;
  model_set(&g->used, 1);
  g->block[1].live = true;
  mi_store_relaxed(&g->xowner, can_end((uint64_t)heap) ? 0 : my_id() | 1);
  mi_remote_birth(&g->xword, MI_PAGE_FULL, 1);
  let_go(g);
  return g;
}

/* It is DEAD: the slice is free. */
static void page_dead(page_t* g, const char* how) {
  if (g->pins != 0) model_fail("%s dies while a free has it pinned", g->name);
  for (int slot = 1; slot <= BLOCKS; slot++) g->block[slot].live = false;
  g->life++;
  mi_or_acq_rel(&arena_free, (uint64_t)1 << slice_of(g));      /* pairs with the next claim of the slice */
  let_go(g);
  model_note(how, g->name);
}

/* D1, and the slice is free. Holder only; the page is in no queue. What is live in it ends if `destroyed`. */
static void page_end(page_t* g, bool destroyed) {
  held(g);
  for (int slot = 1; slot <= BLOCKS; slot++) {
    if (g->block[slot].live && !destroyed) model_fail("%s freed while a block is live", g->name);
  }
  model_set(&g->used, 0);
  mi_store_relaxed(&g->xowner, 0);
  while (!mi_remote_death(&g->xword)) model_await(&g->xword, MI_XPIN_MASK);  /* D1 */
  page_dead(g, destroyed ? "destroyed" : "freed");
}

static void pool_put(page_t* g);

/* What is free is marked: the lists anew, and `used`. */
static void page_mend(page_t* g) {
  uint64_t used = 0;
  held(g);
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
    if (mark_of(g, slot) != model_get(&g->key)) { page_mend(g); return false; }
  }
  return true;
}

static void page_free(page_t* g) {
  if (!is_empty(g)) { pool_put(g); return; }
  const int bin = (int)model_get(&g->bin);
  const bool marked = bin != SINGLE && (mi_load_relaxed(&pool[bin]) >> slice_of(g) & 1) != 0;
  if (marked) mi_pool_bit_clear(&pool[bin], slice_of(g));    /* one too many does no harm */
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
  b->live = true;
  word_set(g, slot, 99);                                       /* the user's own data */
  return slot;
}

/* The last free of an owner in its page. */
static void page_retire(page_t* g) {
  queue_remove(g);
  page_free(g);
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
  if (model_get(&g->used) == 0) page_retire(g);
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
  model_set(&g->lheap, (uint64_t)me());
  mi_store_relaxed(&g->xowner, my_id());                       /* H1: read as mine by myself only */
  queue_add(g);
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
  const bool sparser =
      mi_xword_state(g->xword) == MI_PAGE_POOLED && mi_is_milestone(mi_xword_count(g->xword));
  if (todo == MI_REMOTE_DONE && sparser) model_fail("no round hears of a free in %s", g->name);
  if (todo == MI_REMOTE_SPARSER && !sparser)
    model_fail("a round is to look at %s, which has not become sparser", g->name);
}

/* R1-R4 and what is left to do. The class is read before R4: afterwards the page may be another. */
static void free_remote(pointer_t p, bool pinned) {
  page_t* g = p.page;
  same_life(p);
  g->pins += pinned;
  freeing[model_self()] = p;
  const int bin = (int)model_get(&g->bin);
  const mi_remote_t todo = push(p, mi_load_relaxed(&g->xkey), pinned);
  check_sparser(g, todo);
  same_life(p);
  g->pins -= pinned;
  g->block[p.slot].live = false;
  switch (todo) {
    case MI_REMOTE_DONE:
    case MI_REMOTE_SPARSER: break;
    case MI_REMOTE_INDEX: mi_pool_bit_set(&pool[bin], slice_of(g)); break;
    case MI_REMOTE_LAST:
      take(g);
      model_note("emptied", g->name);
      page_free(g);
      break;
    case MI_REMOTE_DEAD: model_fail("%s: a live block's page read as dead", g->name);
  }
}

/* What stands before the push. The page map always leads here: a free that is too late goes as far as
   it can. A heap that never ends: what is constant while a block lives is not asked, nor the word,
   which could only order more than the push itself does. False: too late. */
static bool find_block(pointer_t p, bool* listed, uint64_t* w) {
  page_t* g = p.page;
  *listed = false;
  *w = MI_PAGE_OWNED;
  if (!p.ends) return true;
  *listed = can_end(mi_load_acquire(&g->xheap));
  *w = mi_load_acquire(&g->xword);                             /* R0 */
  return mi_load_relaxed(&g->xtop) == (uint64_t)p.bin + 1;     /* the check of the start */
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
static bool free_single(pointer_t p, bool listed) {
  page_t* g = p.page;
  if (listed || p.bin != SINGLE) return false;
  same_life(p);
  if (!mi_remote_end(&g->xword, mi_load_relaxed(&g->xword))) return false;
  take(g);
  model_set(&g->used, 0);
  page_dead(g, "freed at once");
  return true;
}

/* A free that has to look again has changed nothing: the later look is explored without the first,
   except where `looks` allows more; those must be enough. */
void pointer_free(pointer_t p) {
  bool listed;
  uint64_t w;
  for (int look = 1; ; look++) {
    if (look > looks && looks == 1) model_covered();
    if (look > looks) model_fail("a free looks at %s for ever", p.page->name);
    if (!find_block(p, &listed, &w)) { too_late(p); return; }
    if (free_as_owner(p, listed)) return;
    if (mi_xword_state(w) == MI_PAGE_DEAD) { too_late(p); return; }
    if (!listed || mi_remote_pin(&p.page->xword, w)) break;    /* R0 */
  }
  if (!free_single(p, listed)) free_remote(p, listed);
}

/* ---- two frees of one block ---- */

/* What its push left to do. */
static void twice_end(pointer_t p, int bin, mi_remote_t todo) {
  page_t* g = p.page;
  if (todo != MI_REMOTE_DEAD) same_life(p);
  if (todo == MI_REMOTE_INDEX) mi_pool_bit_set(&pool[bin], slice_of(g));
  if (todo == MI_REMOTE_LAST) {
    take(g);
    model_note("emptied", g->name);
    page_free(g);
  }
}

/* One look at it. True: it is freed, or told. */
static bool twice_look(pointer_t p) {
  page_t* g = p.page;
  uint64_t was, was_key;
  const bool listed = can_end(mi_load_acquire(&g->xheap));
  const uint64_t w = mi_load_acquire(&g->xword);               /* R0 */
  const uint64_t key = was_key = mi_load_acquire(&g->xkey);   /* R0 */
  if (mi_load_relaxed(&g->xtop) != (uint64_t)p.bin + 1 || mi_xword_state(w) == MI_PAGE_DEAD) {
    tell(g);
    return true;
  }
  if (mi_load_relaxed(&g->block[p.slot].xmark) == key) { tell(g); return true; }
  if (!listed && mi_load_relaxed(&g->xowner) == my_id()) { free_own(g, p.slot); return true; }
  if (listed && !mi_remote_pin(&g->xword, w)) return false;    /* R0 */
  g->pins += listed;
  if (!mi_remote_claim(&g->block[p.slot].xmark, key, &was)) {  /* R0 */
    if (listed) { g->pins--; mi_remote_unpin(&g->xword); }
    return false;
  }
  if (g->life == p.life) g->block[p.slot].live = false;
  const int bin = p.bin;
  freeing[model_self()] = p;
  const mi_remote_t todo = push(p, key, listed);
  g->pins -= listed;
  if (todo == MI_REMOTE_DEAD) {
    mi_cas_acquire(&g->block[p.slot].xmark, &was_key, was);
    tell(g);
    return true;
  }
  twice_end(p, bin, todo);
  return true;
}

void twice_free(pointer_t p) {
  for (int look = 1; !twice_look(p); look++)
    if (look > 6) model_fail("a free looks at %s for ever", p.page->name);
}

pointer_t pointer_to(page_t* g, int slot) {
  return (pointer_t){ g, slot, g->life, (int)g->bin.value, can_end(g->xheap) };
}

void block_free(page_t* g, int slot) {
  if (!g->block[slot].live) model_fail("the scenario frees block %d of %s twice", slot, g->name);
  pointer_free(pointer_to(g, slot));
}

/* ---- to full, to the pool, and back ---- */

/* F1. False if something was freed in the meantime: the page is kept and collected. */
bool page_to_full(page_t* g) {
  const uint64_t owner = my_xid(g->xheap);
  queue_remove(g);
  mi_store_relaxed(&g->xowner, owner == 0 ? 0 : owner | 1);    /* F1: before the swap, while it is mine */
  const uint32_t used = (uint32_t)model_get(&g->used);
  if (mi_remote_release(&g->xword, MI_PAGE_FULL, used)) {
    let_go(g);
    model_note("gave up full", g->name);
    return true;
  }
  mi_store_relaxed(&g->xowner, owner);
  queue_add(g);
  page_collect(g);
  return false;
}

/* P1, P2. Not in a queue any more. Class and slice are read before P1. A single page goes to
   FULL, and has no bit. */
static void pool_put(page_t* g) {
  const int bin = (int)model_get(&g->bin);
  mi_store_relaxed(&g->xowner, 0);                             /* P1 */
  for (;;) {
    page_collect(g);
    const uint32_t used = (uint32_t)model_get(&g->used);
    if (used == 0) { page_free(g); return; }
    if (mi_remote_release(&g->xword, bin == SINGLE ? MI_PAGE_FULL : MI_PAGE_POOLED, used)) break;
  }
  let_go(g);
  model_note("pooled", g->name);
  if (bin != SINGLE) mi_pool_bit_set(&pool[bin], slice_of(g));
}

void page_to_pool(page_t* g) {
  queue_remove(g);
  pool_put(g);
}

void owner_end(int owner) {
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
    /* by the holder */
    const bool other = mi_load_relaxed(&g->xheap) != (uint64_t)heap || (int)model_get(&g->bin) != bin;
    if (other) { pool_put(g); continue; }                      /* A3 */
    model_set(&g->lheap, (uint64_t)me());
    mi_store_relaxed(&g->xowner, my_xid((uint64_t)heap));      /* A4: read as mine by myself only */
    queue_add(g);
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
  pool_put(g);
}

/* ---- the setting, and the end ---- */

/* PREFIX.FIELD, for ever. */
static const char* name_of(const char* prefix, const char* field) {
  static char names[128][24];
  static int n;
  char name[24];
  snprintf(name, sizeof name, "%s%s", prefix, field);
  for (int i = 0; i < n; i++) if (strcmp(names[i], name) == 0) return names[i];
  if (n == 128) model_fail("too many names");
  memcpy(names[n], name, sizeof name);
  return names[n++];
}

static void name_page(page_t* g, const char* name) {
  g->name = name;
  g->free.name = name_of(name, ".free");
  g->local_free.name = name_of(name, ".local_free");
  g->used.name = name_of(name, ".used");
  g->lheap.name = name_of(name, ".lheap");
  g->bin.name = name_of(name, ".bin");
  g->key.name = name_of(name, ".key");
  for (int slot = 1; slot <= BLOCKS; slot++)
    g->block[slot].word.name = g->block[slot].mark.name = name_of("a block of ", name);
  g->holder = NOBODY;
  model_atomic(&g->xword, name_of(name, ".xword"));
  model_atomic(&g->xowner, name_of(name, ".xowner"));
  model_atomic(&g->xheap, name_of(name, ".xheap"));
  model_atomic(&g->xtop, name_of(name, ".xtop"));
  model_atomic(&g->xkey, name_of(name, ".xkey"));
}

void setting(int blocks) {
  memset(pages, 0, sizeof pages);
  memset(queue, 0, sizeof queue);
  memset(pool, 0, sizeof pool);
  setting_as = looks = 1;
  twice_page = NULL;
  told = 0;
  nblocks = blocks;
  arena_free = (1 << PAGES) - 1;
  name_page(&pages[0], "p0");
  name_page(&pages[1], "p1");
  for (int i = 0; i < OWNERS; i++) queue[i].name = "an owner's queue";
  model_atomic(&pool[0], "pool[0]");
  model_atomic(&pool[1], "pool[1]");
  model_atomic(&arena_free, "slices");
}

/* Counts the blocks of one list and that each is in no other. */
static uint32_t walk(page_t* g, uint64_t slot, const char* which) {
  uint32_t n = 0;
  for (; slot != 0; slot = is_twice(g, (int)slot) ? g->block[slot].xlink : g->block[slot].word.value) {
    if (slot > BLOCKS || g->block[slot].lists++ > 0) model_fail("end: %s of %s is broken", which, g->name);
    if (g->block[slot].live) model_fail("end: a live block of %s is in %s", g->name, which);
    if ((is_twice(g, (int)slot) ? g->block[slot].xmark : g->block[slot].mark.value) != g->key.value)
      model_fail("end: a block in %s of %s has no mark", which, g->name);
    n++;
  }
  return n;
}

static uint32_t blocks_of(const page_t* g) { return g->bin.value == SINGLE ? 1 : (uint32_t)nblocks; }

static void check_given_up(const page_t* g, uint32_t live) {
  const mi_page_state_t state = mi_xword_state(g->xword);
  if (g->holder != NOBODY) model_fail("end: %s is given up but has a holder", g->name);
  if (live == 0) model_fail("end: %s is stuck: nothing in it is live and nobody holds it", g->name);
  if (mi_xword_count(g->xword) != live)
    model_fail("end: %s has %u live blocks, its word says %u", g->name, live, mi_xword_count(g->xword));
  if (g->xowner != 0 && !(g->xowner & 1))
    model_fail("end: %s is given up but its owner is %d", g->name, (int)(g->xowner / 16));
  if (state == MI_PAGE_FULL && live != blocks_of(g))
    model_fail("end: %s is full but not all in it is live", g->name);
  if (state == MI_PAGE_POOLED && g->bin.value != SINGLE && !(pool[g->bin.value] >> slice_of(g) & 1))
    model_fail("end: %s is pooled and has no bit", g->name);
}

static void check_owned(const page_t* g, uint32_t live, uint32_t remote) {
  const uint64_t id = 16 * (uint64_t)g->holder;
  if (g->holder == NOBODY) model_fail("end: %s is owned by nobody", g->name);
  if (mi_xword_count(g->xword) != remote)
    model_fail("end: %s: %u blocks in the remote list, its word says %u", g->name, remote,
               mi_xword_count(g->xword));
  if (g->used.value != live + remote)
    model_fail("end: %s: used is %d, live and uncollected %u", g->name, (int)g->used.value, live + remote);
  if (g->xowner != id && g->xowner != 0)
    model_fail("end: %s is held by owner %d but says %d", g->name, g->holder, (int)(g->xowner / 16));
  if ((int)g->lheap.value != g->holder) model_fail("end: %s is in another owner's local heap", g->name);
}

static void check_page(page_t* g) {
  uint32_t live = 0, lists = 0;
  const mi_page_state_t state = mi_xword_state(g->xword);
  const bool is_free = arena_free >> slice_of(g) & 1;
  for (int slot = 1; slot <= BLOCKS; slot++) live += g->block[slot].live;
  for (int i = 0; i < OWNERS; i++) {
    const bool mine = state == MI_PAGE_OWNED && g->holder == i;
    if ((bool)(queue[i].value >> slice_of(g) & 1) != mine)
      model_fail("end: %s and the queue of owner %d do not agree", g->name, i);
  }
  if (is_free != (state == MI_PAGE_DEAD))
    model_fail("end: the slice of %s and its state do not agree", g->name);
  if ((g->xword & MI_XPIN_MASK) != 0) model_fail("end: %s is pinned", g->name);
  if (state == MI_PAGE_DEAD) {
    if (live != 0) model_fail("end: %s is dead and has live blocks", g->name);
    return;
  }
  lists += walk(g, g->free.value, "free");
  lists += walk(g, g->local_free.value, "local_free");
  const bool single = g->bin.value == SINGLE;  /* its list is a head, which stands for the block */
  const uint32_t remote =
      single ? mi_xword_head(g->xword) : walk(g, mi_xword_head(g->xword), "the remote list");
  if (lists + remote + live != blocks_of(g)) model_fail("end: a block of %s is lost", g->name);
  if (state == MI_PAGE_OWNED) check_owned(g, live, remote);
  else check_given_up(g, live);
}

void check_all(void) {
  for (int i = 0; i < PAGES; i++) check_page(&pages[i]);
}

/* What nobody has met yet is mended as its holder would: then what is free is what is marked,
   and all is whole. */
static void mend_twice(page_t* g) {
  if (mi_xword_state(g->xword) == MI_PAGE_DEAD || g->bin.value == SINGLE) return;
  uint64_t free = 0, used = 0;
  for (int slot = nblocks; slot > 0; slot--) {
    const bool marked =
        (is_twice(g, slot) ? g->block[slot].xmark : g->block[slot].mark.value) == g->key.value;
    if (marked == g->block[slot].live)
      model_fail("end: block %d of %s is %s", slot, g->name, marked ? "live and marked" : "lost");
    if (!marked) { used++; continue; }
    if (is_twice(g, slot)) g->block[slot].xlink = free; else g->block[slot].word.value = free;
    free = (uint64_t)slot;
  }
  g->free.value = free;
  g->local_free.value = 0;
  g->used.value = used;
  g->xword &= ~MI_XLIST_MASK;
  if (mi_xword_state(g->xword) != MI_PAGE_OWNED) g->xword |= used << 2;
}

void check_twice(void) {
  if (told != 1) mend_twice(twice_page);
  check_all();
}

void check_told(void) {
  if (told == 0) model_fail("end: a double free is not told");
  check_twice();
}

/* ---- what is due, and its thread ---- */

static mi_due_t due;
static mi_xbits_t waiting[2];                   /* what waits, a word each */

void due_setting(bool thread) {
  due.xsince = waiting[0] = waiting[1] = 0;
  due.xthread = thread;
  model_atomic(&due.xsince, "since");
  model_atomic(&due.xthread, "thread");
  model_atomic(&waiting[0], "waiting 0");
  model_atomic(&waiting[1], "waiting 1");
}

/* Relaxed looks are hints, but for the round's at what waits, as in arena_age. Who begins it goes
   on as the thread. */
void due_thread(void) {
  do {
    while (mi_load_relaxed(&due.xsince) != 0) {
      mi_due_round(&due);
      for (int i = 0; i < 2; i++) if (mi_load_relaxed(&waiting[i]) != 0) mi_exchange_acq_rel(&waiting[i], 0);
    }
  } while (!mi_due_thread_ends(&due, 1));
}

void due_asker(unsigned i) {
  mi_or_acq_rel(&waiting[i], 1);
  if (!mi_due_is_scheduled(&due)) mi_due_schedule(&due, 1);
  if (mi_load_relaxed(&due.xsince) != 0 && mi_load_relaxed(&due.xthread) == 0
      && mi_due_thread_begins(&due, 1))
    due_thread();
}

void due_check(void) {
  if (waiting[0] != 0 || waiting[1] != 0) model_fail("end: something waits that nobody looks at");
  if (due.xthread != 0) model_fail("end: a thread is believed to run");
}
