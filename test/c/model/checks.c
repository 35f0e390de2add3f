/* The setting of an execution, and the check of what it leaves (actors.h). */
#include "actors.h"

#include <stdio.h>
#include <string.h>


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
  g->where.name = name_of(name, ".where");
  g->left_out.name = name_of(name, ".left_out");
  for (int slot = 1; slot <= BLOCKS; slot++)
    g->block[slot].word.name = g->block[slot].mark.name = g->block[slot].tail.name = name_of("a block of ", name);
  g->holder = NOBODY;
  model_atomic(&g->xword, name_of(name, ".xword"));
  model_atomic(&g->xowner, name_of(name, ".xowner"));
  model_atomic(&g->xheap, name_of(name, ".xheap"));
  model_atomic(&g->xtop, name_of(name, ".xtop"));
  model_atomic(&g->xkey, name_of(name, ".xkey"));
}

void setting(int blocks) { setting_of(blocks, 0); }

void setting_of(int blocks, unsigned what) {
  memset(pages, 0, sizeof pages);
  memset(queue, 0, sizeof queue);
  memset(parked, 0, sizeof parked);
  memset(has_ended, 0, sizeof has_ended);
  memset(pool, 0, sizeof pool);
  as_owner(1);
  looks = 1;
  twice_page = NULL;
  told = 0;
  nblocks = blocks;
  name_page(&pages[0], "p0");
  name_page(&pages[1], "p1");
  for (int i = 0; i < OWNERS; i++) queue[i].name = parked[i].name = "an owner's queue";
  model_atomic(&pool[0], "pool[0]");
  model_atomic(&pool[1], "pool[1]");
  memory_setting(what);
}

/* Counts the blocks of one list and that each is in no other. */
static uint32_t walk(page_t* g, uint64_t slot, const char* which) {
  uint32_t n = 0;
  for (; slot != 0; slot = is_twice(g, (int)slot) ? g->block[slot].xlink : g->block[slot].word.value) {
    if (slot > BLOCKS || g->block[slot].lists++ > 0) model_fail("end: %s of %s is broken", which, g->name);
    if (g->block[slot].live) model_fail("end: a live block of %s is in %s", g->name, which);
    if ((is_twice(g, (int)slot) ? g->block[slot].xmark : g->block[slot].mark.value) != g->key.value) model_fail("end: a block in %s of %s has no mark", which, g->name);
    n++;
  }
  return n;
}

static uint32_t blocks_of(const page_t* g) { return g->bin.value == SINGLE ? 1 : (uint32_t)nblocks; }

static void check_given_up(const page_t* g, uint32_t live) {
  const mi_page_state_t state = mi_xword_state(g->xword);
  if (g->holder != NOBODY) model_fail("end: %s is given up but has a holder", g->name);
  if (live == 0) model_fail("end: %s is stuck: nothing in it is live and nobody holds it", g->name);
  if (mi_xword_count(g->xword) != live) model_fail("end: %s has %u live blocks, its word says %u", g->name, live, mi_xword_count(g->xword));
  if (g->xowner != 0 && !(g->xowner & 1)) model_fail("end: %s is given up but its owner is %d", g->name, (int)(g->xowner / 16));
  if (state == MI_PAGE_FULL && live != blocks_of(g)) model_fail("end: %s is full but not all in it is live", g->name);
  if (state == MI_PAGE_POOLED && g->bin.value != SINGLE && !(pool[g->bin.value] >> slice_of(g) & 1)) model_fail("end: %s is pooled and has no bit", g->name);
}

static void check_owned(const page_t* g, uint32_t live, uint32_t remote) {
  const uint64_t id = 16 * (uint64_t)g->holder;
  if (g->holder == NOBODY) model_fail("end: %s is owned by nobody", g->name);
  if (mi_xword_count(g->xword) != remote) model_fail("end: %s: %u blocks in the remote list, its word says %u", g->name, remote, mi_xword_count(g->xword));
  const uint32_t used = (uint32_t)(g->used.value + g->left_out.value);
  if (used != live + remote) model_fail("end: %s: used is %u, live and uncollected %u", g->name, used, live + remote);
  if (g->xowner != id && g->xowner != 0) model_fail("end: %s is held by owner %d but says %d", g->name, g->holder, (int)(g->xowner / 16));
  if (has_ended[g->holder]) model_fail("end: %s is held by owner %d, who has ended", g->name, g->holder);
  if ((int)g->lheap.value != g->holder) model_fail("end: %s is in another owner's local heap", g->name);
}

/* What the table of docs/DESIGN.md, section 3, says; whoever freed in a FULL page has changed the word alone. */
static bool where_is_right(const page_t* g, mi_page_state_t state) {
  switch ((where_t)g->where.value) {
    case DEAD: case CACHED: return state == MI_PAGE_DEAD;
    case QUEUED: case PARKED: return state == MI_PAGE_OWNED;
    case FULL: return state == MI_PAGE_FULL || (state == MI_PAGE_POOLED && mi_xword_head(g->xword) != 0);
    case POOLED: case WAITED: case SEARCHED: return state == MI_PAGE_POOLED;
    case ALONE: return state == MI_PAGE_FULL || state == MI_PAGE_POOLED;   /* which of them decides nothing */
  }
  return false;
}

static uint32_t check_bytes(const page_t* g) {
  uint32_t live = 0;
  for (int slot = 1; slot <= BLOCKS; slot++) {
    const block_t* b = &g->block[slot];
    live += b->live;
    if (b->live && ((!is_twice(g, slot) && b->word.value != FIRST_BYTE) || b->tail.value != LAST_BYTE))
      model_fail("end: the bytes of live block %d of %s are gone", slot, g->name);
  }
  return live;
}

/* Invariant 16. How many blocks are touched by a hole. */
static uint32_t check_holes(const page_t* g) {
  const uint64_t holes = holes_at_end(g);
  uint32_t n = 0;
  if (holes != 0 && g->where.value != WAITED && g->where.value != SEARCHED) model_fail("end: %s has holes", g->name);
  for (int slot = 1; holes != 0 && slot <= nblocks; slot++) {
    if (!touches(holes, slot)) continue;
    if (g->block[slot].live) model_fail("end: a hole touches live block %d of %s", slot, g->name);
    if (g->block[slot].lists > 0) model_fail("end: a hole touches block %d of %s, which is in a list", slot, g->name);
    n++;
  }
  return n;
}

static void check_page(page_t* g) {
  uint32_t lists = 0;
  const mi_page_state_t state = mi_xword_state(g->xword);
  const uint32_t live = check_bytes(g);
  for (int i = 0; i < OWNERS; i++) {
    const bool mine = state == MI_PAGE_OWNED && g->holder == i;
    if ((bool)(queue[i].value >> slice_of(g) & 1) != (mine && g->where.value == QUEUED)) model_fail("end: %s and the queue of owner %d do not agree", g->name, i);
    if ((bool)(parked[i].value >> slice_of(g) & 1) != (mine && g->where.value == PARKED)) model_fail("end: %s and the parked pages of owner %d do not agree", g->name, i);
  }
  if (!where_is_right(g, state)) model_fail("end: %s is not where its word says", g->name);
  memory_check_page(g);
  if ((g->xword & MI_XPIN_MASK) != 0) model_fail("end: %s is pinned", g->name);
  if (state == MI_PAGE_DEAD) {
    if (live != 0) model_fail("end: %s is dead and has live blocks", g->name);
    return;
  }
  lists += walk(g, g->free.value, "free");
  lists += walk(g, g->local_free.value, "local_free");
  const bool single = g->bin.value == SINGLE;                  /* its list is a head, which stands for the block */
  const uint32_t remote = single ? mi_xword_head(g->xword) : walk(g, mi_xword_head(g->xword), "the remote list");
  if (lists + remote + live + check_holes(g) != blocks_of(g)) model_fail("end: a block of %s is lost", g->name);
  if (state == MI_PAGE_OWNED) check_owned(g, live, remote);
  else check_given_up(g, live);
}

void check_all(void) {
  for (int i = 0; i < PAGES; i++) check_page(&pages[i]);
  memory_check();
}

/* What nobody has met yet is mended as its holder would: then what is free is what is marked, and all is whole. */
static void mend_twice(page_t* g) {
  if (mi_xword_state(g->xword) == MI_PAGE_DEAD || g->bin.value == SINGLE) return;
  uint64_t free = 0, used = 0;
  for (int slot = nblocks; slot > 0; slot--) {
    const bool marked = (is_twice(g, slot) ? g->block[slot].xmark : g->block[slot].mark.value) == g->key.value;
    if (marked == g->block[slot].live) model_fail("end: block %d of %s is %s", slot, g->name, marked ? "live and marked" : "lost");
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
