/* The model's memory (actors.h): slices, which are claimed, given back and purged; the cache of dead pages; holes in pages
   of the pool; and who does all that, round after round (due.h). In the shape of slices.c, purge.c, cache.c, holes.c,
   pool_round.c and purger.c.

   A purge makes bytes zero: of blocks and of what is free. Who had a live block there finds its bytes gone; and
   a write that the protocol does not order is a race with the purge. */
#include "actors.h"

#include <string.h>

mi_xbits_t arena_free;                          /* bit i: slice i is free; the same in the next three */
static mi_xbits_t purge, due_bits;              /* free, and to be purged; in this round */
static mi_xbits_t dirty;                        /* written to since it was last purged */
static mi_xbits_t changed;                      /* a round is to look at this page */
static mi_xbits_t holes;                        /* bit PIECES * i + k: system page k of slice i is given back */
static mi_xbits_t cache[BINS + 1];              /* a place for each class, and one for single pages: 1 + slice, or 0 */
static mi_due_t due;
static mi_xbits_t waiting[2];                   /* what waits where no memory is played, a word each */
static unsigned played;

bool plays(unsigned what) { return (played & what) != 0; }
static uint64_t bit_of(const page_t* g) { return (uint64_t)1 << slice_of(g); }

/* mi_bitmap_clear: the look is a hint. */
static bool bits_clear(mi_xbits_t* map, uint64_t bits) {
  return (mi_load_relaxed(map) & bits) != 0 && (mi_and_acq_rel(map, ~bits) & bits) != 0;
}

/* Something waits, as a bit shows that was set before. T1, T2. */
static void schedule(void) { if (!mi_due_is_scheduled(&due)) mi_due_schedule(&due, 1); }
/* The same where rounds exchange all that they look at. */
static void schedule_again(void) { if (mi_load_relaxed(&due.xsince) == 0) mi_due_schedule(&due, 1); }

/* ---- bytes ---- */

static void block_zero(page_t* g, int slot) {
  mark_set(g, slot, 0);
  word_set(g, slot, 0);
}

/* What lies in this system page (block_t). */
static void piece_purge(page_t* g, int piece) {
  block_zero(g, piece == 0 ? 1 : 3);
  model_set(&g->block[piece == 0 ? 1 : 3].tail, 0);
  if (piece == 0) block_zero(g, 2);
  else model_set(&g->block[2].tail, 0);
}

void memory_is_zero(page_t* g) {
  for (int slot = 1; slot <= BLOCKS; slot++) {
    block_t* b = &g->block[slot];
    if (model_get(&b->mark) != 0 || model_get(&b->word) != 0 || model_get(&b->tail) != 0) model_fail("%s is claimed as zero, and is not", g->name);
  }
}

/* ---- slices ---- */

/* mi_bitmap_claim_at */
static bool slice_claim_at(const page_t* g) {
  uint64_t w = mi_load_relaxed(&arena_free);                   /* only the swap decides */
  while (w & bit_of(g)) {
    if (mi_cas_acquire(&arena_free, &w, w & ~bit_of(g))) return true;  /* pairs with slice_free: shows the memory */
  }
  return false;
}

static void slice_free(page_t* g) { mi_or_acq_rel(&arena_free, bit_of(g)); }  /* pairs with slice_claim_at */

/* mi_slices_commit */
static void slice_commit(page_t* g, bool* zero) {
  *zero = (mi_load_relaxed(&dirty) & bit_of(g)) == 0;
  bits_clear(&purge, bit_of(g));
  bits_clear(&due_bits, bit_of(g));
  if (*zero) mi_or_acq_rel(&dirty, bit_of(g));
}

page_t* slice_claim(bool* zero) {
  for (int i = 0; i < PAGES; i++) {
    if (!slice_claim_at(&pages[i])) continue;
    if (plays(CACHE)) slice_commit(&pages[i], zero);
    return &pages[i];
  }
  return NULL;
}

/* mi_slices_give, by who holds the page that was here. */
void slice_give(page_t* g) {
  if (plays(CACHE)) mi_or_acq_rel(&purge, bit_of(g));          /* pairs with slices_age */
  slice_free(g);
  let_go(g);
  if (plays(CACHE)) schedule();
}

/* mi_slices_purge: a slice that is free, and claimed. */
static void slice_purge(page_t* g) {
  if (mi_load_relaxed(&dirty) & bit_of(g)) {
    for (int piece = 0; piece < PIECES; piece++) piece_purge(g, piece);
    bits_clear(&dirty, bit_of(g));
  }
  slice_free(g);
}

/* arena_purge_some. If the bit is not there any more somebody had the slice meanwhile. */
static void slices_purge(void) {
  for (int i = 0; i < PAGES; i++) {
    page_t* g = &pages[i];
    if ((mi_load_relaxed(&due_bits) & bit_of(g)) == 0 || !slice_claim_at(g)) continue;
    model_note("purges", g->name);
    if (bits_clear(&due_bits, bit_of(g))) slice_purge(g);
    else slice_free(g);
  }
}

/* arena_age: what was given back since the last round is due in the next. True if there is any. */
static bool slices_age(void) {
  if (mi_load_relaxed(&purge) == 0) return false;              /* a hint */
  const uint64_t bits = mi_exchange_acq_rel(&purge, 0);
  mi_or_acq_rel(&due_bits, bits);                              /* pairs with slice_commit */
  return bits != 0;
}

/* ---- the cache ---- */

static page_t* page_at(uint64_t place) { return place == 0 ? NULL : &pages[place - 1]; }

page_t* cache_take(int bin) {
  if (!plays(CACHE) || mi_load_relaxed(&cache[bin]) == 0) return NULL;  /* a hint */
  return page_at(mi_exchange_acq_rel(&cache[bin], 0));         /* pairs with cache_put */
}

/* mi_cache_release: the slice of the caller's page is free. */
static void cache_release(page_t* g) {
  const where_t where = where_is(g);
  if (where != DEAD) where_set(g, where == ALONE ? ALONE : CACHED, DEAD);
  slice_give(g);
}

/* The last one of its kind stays; which one is there goes. */
static void cache_put_single(page_t* g) {
  where_set(g, ALONE, CACHED);                                 /* shown to others by the exchange */
  page_t* old = page_at(mi_exchange_acq_rel(&cache[SINGLE], 1 + slice_of(g)));   /* pairs with cache_take, cache_flush */
  let_go(g);
  schedule_again();
  if (old == NULL) return;
  take(old);
  cache_release(old);
}

static void cache_put_class(page_t* g) {
  uint64_t none = 0;
  const int bin = (int)model_get(&g->bin);
  where_set(g, DEAD, CACHED);                                  /* shown to others by the swap */
  if (mi_load_relaxed(&cache[bin]) != 0 || !mi_cas_acq_rel(&cache[bin], &none, 1 + slice_of(g))) {  /* pairs with cache_take, cache_flush */
    cache_release(g);
    return;
  }
  let_go(g);
  schedule_again();
}

void cache_put(page_t* g) {
  if (!plays(CACHE)) cache_release(g);
  else if (is_single(g)) cache_put_single(g);
  else cache_put_class(g);
}

void cache_flush(void) {
  for (int bin = 0; bin <= SINGLE; bin++) {
    page_t* g = page_at(mi_exchange_acq_rel(&cache[bin], 0));  /* pairs with both ways to put, also where there is none */
    if (g == NULL) continue;
    take(g);
    model_note("flushes", g->name);
    cache_release(g);
  }
}

/* ---- holes ---- */

static uint64_t hole_bit(const page_t* g, int piece) { return (uint64_t)1 << (PIECES * slice_of(g) + (size_t)piece); }
static bool is_in(int slot, int piece) { return piece == 0 ? slot <= 2 : slot >= 2; }

/* A bit for each piece. */
static uint64_t holes_of(const page_t* g) { return mi_load_relaxed(&holes) / hole_bit(g, 0) & ((1 << PIECES) - 1); }

bool touches(uint64_t pieces, int slot) {
  for (int piece = 0; piece < PIECES; piece++) if ((pieces >> piece & 1) != 0 && is_in(slot, piece)) return true;
  return false;
}
bool holes_touch(const page_t* g, int slot) { return touches(holes_of(g), slot); }

static int mark_list(page_t* g, model_cell_t* list, bool* is_free) {
  int n = 0;
  for (uint64_t slot = model_get(list); slot != 0; slot = word_of(g, (int)slot)) {
    if (n++ == blocks_in(g)) break;                            /* a damaged list */
    is_free[slot] = true;
  }
  return n;
}

/* mi_holes_free_blocks: those in a list, and those that a hole touches. */
static int free_blocks(page_t* g, uint64_t pieces, bool* is_free) {
  int n = mark_list(g, &g->free, is_free) + mark_list(g, &g->local_free, is_free);
  for (int slot = 1; slot <= blocks_in(g); slot++) {
    if (!touches(pieces, slot)) continue;
    is_free[slot] = true;
    n++;
  }
  return n;
}

static bool piece_is_free(page_t* g, int piece, const bool* is_free) {
  for (int slot = 1; slot <= blocks_in(g); slot++) if (is_in(slot, piece) && !is_free[slot]) return false;
  return true;
}

/* The lists are one, of the blocks that are free and no hole touches. */
static void list_anew(page_t* g, uint64_t pieces, const bool* is_free) {
  model_set(&g->free, 0);
  model_set(&g->local_free, 0);
  for (int slot = blocks_in(g); slot > 0; slot--) if (is_free[slot] && !touches(pieces, slot)) list_push(g, &g->free, slot);
}

bool holes_make(page_t* g) {
  bool is_free[BLOCKS + 1] = { false };
  const uint64_t before = holes_of(g);
  uint64_t fresh = 0;
  if (free_blocks(g, before, is_free) + (int)model_get(&g->used) != blocks_in(g)) return before != 0;
  for (int piece = 0; piece < PIECES; piece++) {
    if ((before >> piece & 1) != 0 || !piece_is_free(g, piece, is_free)) continue;
    mi_or_acq_rel(&holes, hole_bit(g, piece));
    fresh |= (uint64_t)1 << piece;
  }
  if (fresh == 0) return before != 0;
  list_anew(g, before | fresh, is_free);
  model_note("makes holes in", g->name);
  for (int piece = 0; piece < PIECES; piece++) if (fresh >> piece & 1) piece_purge(g, piece);
  return true;
}

void holes_undo(page_t* g) {
  const uint64_t pieces = holes_of(g);
  for (int slot = blocks_in(g); slot > 0; slot--) {
    if (!touches(pieces, slot)) continue;
    mark_set(g, slot, model_get(&g->key));                     /* shown with the page */
    list_push(g, &g->free, slot);
  }
  holes_forget(g);
}

void holes_forget(page_t* g) {
  if (plays(ROUNDS)) bits_clear(&holes, hole_bit(g, 0) | hole_bit(g, 1));
}

/* ---- rounds ---- */

/* mi_pool_page_changed. Any thread: the page may be another's by now. A swap even where the bit is set: the round that clears
   it finds the page pooled, or I find that it has cleared it. */
void page_changed(const page_t* g) {
  if (plays(ROUNDS)) mi_pool_bit_set(&changed, slice_of(g));
}

/* mi_pool_page_sparser: of a page that was pooled before. */
void page_sparser(const page_t* g) {
  if (!plays(ROUNDS)) return;
  if (mi_load_relaxed(&changed) & bit_of(g)) return;           /* a hint: a round's A2 is still to come, and sees what was freed */
  page_changed(g);
}

/* page_round. xowner becomes 0 before there are holes. */
static void page_round(page_t* g, bool now) {
  mi_xlist_t list;
  if (!mi_remote_acquire(&g->xword, false, &list)) return;     /* A2 */
  take(g);
  model_note("looks at", g->name);
  uint64_t home = mi_load_relaxed(&g->xowner);
  take_list(g, list, false);
  const bool waited = has_waited(g);
  if (!waited) where_set(g, POOLED, WAITED);
  if (waited || now) {
    mi_store_relaxed(&g->xowner, 0);                           /* as in P1 */
    if (holes_make(g)) home = 0;
    if (where_is(g) == WAITED) where_set(g, WAITED, SEARCHED);
  }
  pool_put_of(g, home);                                        /* P1 */
}

/* mi_pool_round: the bit is cleared first, so what changes from here on sets it again. */
void round_pages(bool now) {
  for (int i = 0; i < PAGES; i++) {
    if ((mi_load_relaxed(&changed) & bit_of(&pages[i])) == 0) continue;
    bits_clear(&changed, bit_of(&pages[i]));
    page_round(&pages[i], now);
  }
}

/* round_work, slices_piece: what is due is purged; what was given back since, and what was cached, is due in the next. */
void round_slices(void) {
  mi_due_round(&due);                                          /* T3 */
  slices_purge();
  cache_flush();
  if (slices_age()) schedule();
}

/* ---- what is due, and its thread ---- */

void due_setting(bool thread) {
  played = 0;
  due.xsince = waiting[0] = waiting[1] = 0;
  due.xthread = thread;
  model_atomic(&due.xsince, "since");
  model_atomic(&due.xthread, "thread");
  model_atomic(&waiting[0], "waiting 0");
  model_atomic(&waiting[1], "waiting 1");
}

/* Relaxed looks are hints, but for the round's at what waits, as in slices_age. */
static void round_waiting(void) {
  mi_due_round(&due);
  for (int i = 0; i < 2; i++) if (mi_load_relaxed(&waiting[i]) != 0) mi_exchange_acq_rel(&waiting[i], 0);
}

/* Who begins it goes on as the thread. */
void due_thread(void) {
  do {
    while (mi_load_relaxed(&due.xsince) != 0) {
      if (plays(CACHE)) round_slices();
      else round_waiting();
    }
  } while (!mi_due_thread_ends(&due, 1));
}

void due_look(void) {
  if (mi_load_relaxed(&due.xsince) != 0 && mi_load_relaxed(&due.xthread) == 0 && mi_due_thread_begins(&due, 1)) due_thread();
}

void due_asker(unsigned i) {
  mi_or_acq_rel(&waiting[i], 1);
  schedule();
  due_look();
}

static void check_thread(void) {
  if (due.xthread != 0) model_fail("end: a thread is believed to run");
}

void due_check(void) {
  if (waiting[0] != 0 || waiting[1] != 0) model_fail("end: something waits that nobody looks at");
  check_thread();
}

/* ---- the setting, and the end ---- */

void memory_setting(unsigned what) {
  played = what;
  arena_free = (1 << PAGES) - 1;
  purge = due_bits = dirty = changed = holes = 0;
  due = (mi_due_t){ 0, 0 };
  memset(cache, 0, sizeof cache);
  model_atomic(&arena_free, "slices");
  if (plays(ROUNDS)) {
    model_atomic(&changed, "changed");
    model_atomic(&holes, "holes");
  }
  if (!plays(CACHE)) return;
  model_atomic(&purge, "purge");
  model_atomic(&due_bits, "due");
  model_atomic(&dirty, "dirty");
  model_atomic(&cache[0], "cache[0]");
  model_atomic(&cache[1], "cache[1]");
  model_atomic(&cache[SINGLE], "cache[single]");
  model_atomic(&due.xsince, "since");
  model_atomic(&due.xthread, "thread");
}

void memory_thread(void) {
  mi_due_thread_begins(&due, 1);
  schedule();
}

uint64_t holes_at_end(const page_t* g) { return holes / hole_bit(g, 0) & ((1 << PIECES) - 1); }

static bool is_zero(const page_t* g) {
  for (int slot = 1; slot <= BLOCKS; slot++)
    if (g->block[slot].mark.value != 0 || g->block[slot].word.value != 0 || g->block[slot].tail.value != 0) return false;
  return true;
}

/* A round was at it, nothing was freed since, and what could be given back was. Else the next round is to look at it. */
static void check_searched(const page_t* g) {
  if (g->where.value != SEARCHED || mi_xword_head(g->xword) != 0) model_fail("end: no round will look at %s", g->name);
  for (int piece = 0; piece < PIECES; piece++) {
    bool any = false;
    for (int slot = 1; slot <= nblocks; slot++) any |= is_in(slot, piece) && g->block[slot].live;
    if (!any && (holes_at_end(g) >> piece & 1) == 0) model_fail("end: a free system page of %s is not given back", g->name);
  }
}

/* A dead page is in one place: its slice is free, or it is cached. */
void memory_check_page(const page_t* g) {
  const mi_page_state_t state = mi_xword_state(g->xword);
  const bool is_free = (arena_free & bit_of(g)) != 0;
  int places = 0;
  for (int bin = 0; bin <= SINGLE; bin++) places += cache[bin] == 1 + slice_of(g);
  if (is_free + places != (state == MI_PAGE_DEAD)) model_fail("end: the slice of %s and its state do not agree", g->name);
  if ((g->where.value == CACHED) != (places == 1)) model_fail("end: %s and the cache do not agree", g->name);
  if (plays(CACHE) && (dirty & bit_of(g)) == 0 && !is_zero(g)) model_fail("end: the slice of %s was written to and is not dirty", g->name);
  if (plays(ROUNDS) && state == MI_PAGE_POOLED && (changed & bit_of(g)) == 0) check_searched(g);
}

/* What waits is scheduled. */
void memory_check(void) {
  const uint64_t wait = (purge | due_bits) & arena_free;
  if (!plays(CACHE) || due.xsince != 0) return;
  if (wait != 0 || cache[0] != 0 || cache[1] != 0 || cache[SINGLE] != 0) model_fail("end: something waits that nobody looks at");
}

/* .. and was seen to, where a thread runs or begins whenever there is something. */
void memory_nothing_waits(void) {
  check_all();
  if (due.xsince != 0) model_fail("end: something is due and no thread runs");
  check_thread();
}
