/* The scenarios (README.md lists what each is for), and main.
     model            runs all
     model NAME ...   runs these
     model -q NAME    without the trace of a bad execution
     model -l         lists them
   Each has a setting, two or three actors, and ends in check_all. Actor n is owner n. */
#include "actors.h"

#include <stdio.h>
#include <string.h>

static page_t *g0, *g1;

static void fill(page_t* g) { while (page_malloc(g) != 0) {} }

/* An OWNED page of owner 1 in which all blocks are live. */
static page_t* owned_page(int heap, int bin) {
  page_t* g = page_fresh(heap, bin);
  fill(g);
  return g;
}

static void due_runs(void) { due_setting(true); }
static void due_none(void) { due_setting(false); }
static void name_2(void) { name_change(2); }
static void name_2_3(void) { name_change(2); name_change(3); }
static void nothing_left(void) { }
static void ask_0(void) { due_asker(0); }
static void ask_1(void) { due_asker(1); }
static void ask_0_1(void) { ask_0(); ask_1(); }

static void free_1(void) { block_free(g0, 1); }
static void free_2(void) { block_free(g0, 2); }
static void free_3(void) { block_free(g0, 3); }
static void free_1_2(void) { free_1(); free_2(); }

static void owned_2(void) { setting(2); g0 = owned_page(MAIN, 0); }
static void owned_3(void) { setting(3); g0 = owned_page(MAIN, 0); }
static void shared_3(void) { setting(3); g0 = owned_page(SHARED, 0); }
static void full_2(void) { owned_2(); page_to_full(g0); }
static void full_3(void) { owned_3(); page_to_full(g0); }

/* A pooled page in which slots 1 .. live are live. */
static void pooled(int live) {
  owned_3();
  for (int slot = 3; slot > live; slot--) block_free(g0, slot);
  page_to_pool(g0);
}
static void pooled_1(void) { pooled(1); }
static void pooled_2(void) { pooled(2); }

/* The holder allocates twice while others free. */
static void malloc_twice(void) {
  page_malloc(g0);
  page_malloc(g0);
}

/* The holder collects and frees all that it finds, and its own block 1. */
static void collect_and_free(void) {
  page_collect(g0);
  free_1();
}

static void malloc_then_pool(void) {
  page_malloc(g0);
  page_to_pool(g0);
}

/* Allocates and gives up full as heap_pages.c does; ends with the page either given up or in its queue. */
static void use_up(page_t* g) {
  do fill(g); while (!page_to_full(g));
}

static void use_up_0(void) { use_up(g0); }
static void pool_0(void) { page_to_pool(g0); }

/* Home: gives up full, then frees its own block. */
static void full_then_free(void) {
  use_up(g0);
  free_1();
}

/* Home again with its full page, which it then uses. */
static void home_returns(void) {
  free_1();
  if (in_queue(g0)) page_malloc(g0);
}

static page_t* adopt(int heap) {
  page_t* g = pool_adopt(heap, 0);
  if (g != NULL && (g->bin.value != 0 || g->xheap != (uint64_t)heap)) model_fail("adopted %s of another heap or class", g->name);
  return g;
}

static void adopt_bin_0(void) { adopt(MAIN); }
static void adopt_other(void) { adopt(OTHER); }
static void adopt_shared(void) { adopt(SHARED); }

static void adopt_and_malloc(void) {
  page_t* g = adopt(MAIN);
  if (g != NULL) page_malloc(g);
}

static void adopt_and_use_up(void) {
  page_t* g = adopt(MAIN);
  if (g != NULL) use_up(g);
}

static void adopt_and_pool(void) {
  page_t* g = adopt(MAIN);
  if (g != NULL) page_to_pool(g);
}

/* Empties the page of bin 0, then has a page of bin 1, perhaps in the same slice, and pools it. */
static void reborn_and_pooled(void) {
  free_1();
  page_t* g = page_fresh(MAIN, 1);
  if (g == NULL) return;
  page_malloc(g);
  page_to_pool(g);
}

/* The same with a page of another heap in the same class, pooled or given up full. */
static void reborn_other(void) {
  free_1();
  page_t* g = page_fresh(OTHER, 0);
  if (g == NULL) return;
  page_malloc(g);
  page_to_pool(g);
}
static void reborn_and_full(void) {
  free_1();
  page_t* g = page_fresh(OTHER, 0);
  if (g != NULL) use_up(g);
}

/* The only slice left is the one of the page: so that it is what is born again. */
static void one_slice(void) { page_fresh(MAIN, 1); }

static void pooled_1_one_slice(void) { pooled_1(); as_owner(GONE); one_slice(); }
static void full_2_gone(void) { setting(2); as_owner(GONE); g0 = owned_page(MAIN, 0); page_to_full(g0); }
static void full_2_one_slice(void) { full_2_gone(); one_slice(); }

static void last_and_reborn(void) {
  free_2();
  page_t* g = page_fresh(MAIN, 1);
  if (g == NULL) return;
  const int slot = page_malloc(g);
  block_free(g, slot);
}

static void both_and_reborn(void) {
  free_1_2();
  page_t* g = page_fresh(MAIN, 1);
  if (g != NULL) page_malloc(g);
}
static void owned_2_one_slice(void) { owned_2(); as_owner(GONE); one_slice(); }

/* A page of one block in a slice whose old bit is still set in a class's pool. */
static void single_page(int heap) {
  setting(1);
  as_owner(GONE);
  g0 = page_single(heap);
  mi_pool_bit_set(&pool[0], 0);
}
static void single(void) { single_page(MAIN); }

/* A heap ends while its blocks are freed; it has a page that is pooled, or full, or single. */
static void shared_pooled(void) { setting(2); as_owner(GONE); g0 = owned_page(SHARED, 0); page_to_pool(g0); }
static void shared_given_up_full(void) { setting(2); as_owner(GONE); g0 = owned_page(SHARED, 0); page_to_full(g0); }
static void shared_single(void) { single_page(SHARED); }
static void shared_owned(void) { setting(2); g0 = owned_page(SHARED, 0); }
static void reassign_0(void) { page_reassign(g0); }

static void pool_and_reassign(void) { page_to_pool(g0); page_reassign(g0); }

/* The same when the heap is destroyed: what the freers have are addresses, good or too late. */
static pointer_t at[2];
static void late_1(void) { pointer_free(at[0]); }
static void late_2(void) { pointer_free(at[1]); }
static void late_1_2(void) { late_1(); late_2(); }
static void keep_addresses(void) { at[0] = pointer_to(g0, 1); at[1] = pointer_to(g0, 2); one_slice(); }
static void doomed_owned(void) { shared_owned(); keep_addresses(); }
static void doomed_full(void) { shared_given_up_full(); keep_addresses(); }
static void doomed_pooled(void) { shared_pooled(); keep_addresses(); }
static void doomed_single(void) { shared_single(); keep_addresses(); }
static void doomed_look_again(void) { doomed_full(); looks = 5; }    /* one for each change that others make */
static void destroy_0(void) { page_destroy(g0); }
static void pool_and_destroy(void) { page_to_pool(g0); page_destroy(g0); }

/* The slice is born again, as another heap's page of another class, and used. */
static void use_anew(int heap) {
  page_t* g = page_fresh(heap, 1);
  if (g != NULL) page_malloc(g);
}
static void use_main(void) { use_anew(MAIN); }
static void use_shared(void) { use_anew(SHARED_2); }
static void use_single(void) { page_single(MAIN); }
static void destroy_and_use(void) { destroy_0(); use_main(); }
static void destroy_and_use_shared(void) { destroy_0(); use_shared(); }
static void destroy_and_use_single(void) { destroy_0(); use_single(); }
static void destroy_and_pool(void) {
  destroy_0();
  page_t* g = page_fresh(MAIN, 1);
  if (g == NULL) return;
  page_malloc(g);
  page_to_pool(g);
}

static void visit_0(void) { page_visit(g0, MAIN); }
static void visit_shared(void) { page_visit(g0, SHARED); }

/* A page that is owned and has an old bit in the pool: the holder's and the adopter's ways cross. */
static void owned_with_old_bit(void) {
  owned_2();
  mi_pool_bit_set(&pool[0], 0);
}

/* Frees all its blocks, so the page; then has one of bin 1 in its slice, and pools that. */
static void retire_and_reborn(void) {
  free_1_2();
  page_t* g = page_fresh(MAIN, 1);
  if (g == NULL) return;
  page_malloc(g);
  page_to_pool(g);
}

/* Two pooled pages. */
static void two_pooled(void) {
  setting(2);
  g0 = owned_page(MAIN, 0);
  g1 = owned_page(MAIN, 0);
  block_free(g0, 2);
  block_free(g1, 2);
  page_to_pool(g0);
  page_to_pool(g1);
}
static void empty_g1(void) { block_free(g1, 1); }

/* Owner 1 has one page, gave up another full, and ends. */
static void one_full_one_owned(void) {
  setting(2);
  g0 = owned_page(MAIN, 0);
  g1 = owned_page(MAIN, 0);
  page_to_full(g0);
}
static void end_1(void) { owner_end(1); }
static void free_one_of_each(void) { block_free(g0, 1); block_free(g1, 1); }

/* Two free block 1 at the same moment. */
static pointer_t both;
static void twice_setting(void) {
  both = pointer_to(g0, 1);
  twice_page = g0;
  twice_slot = 1;
  model_atomic(&g0->block[1].xmark, "a mark");
  model_atomic(&g0->block[1].xlink, "a link");
}
static void twice_full(void) { full_2_gone(); twice_setting(); }
static void twice_shared_full(void) { shared_given_up_full(); twice_setting(); }
static void twice_last(void) { full_2_one_slice(); as_owner(3); block_free(g0, 2); twice_setting(); }
static void twice_owned(void) { owned_2(); twice_setting(); }
static void twice_single_setting(void) { twice_setting(); model_atomic(&g0->xfreed, "p0.xfreed"); }
static void twice_single(void) { single(); twice_single_setting(); }
static void twice_shared_single(void) { shared_single(); twice_single_setting(); }
static void free_both(void) { twice_free(both); }
static void free_both_and_destroy(void) { free_both(); destroy_0(); }
static void free_both_and_reborn(void) { free_both(); use_main(); }

/* Its holder's free is plain. Then he has the block again, collects, and frees the other: so few seem to be live that none is. */
static void free_both_as_holder(void) {
  free_both();
  page_malloc(g0);
  page_collect(g0);
  free_2();
}

/* And has it twice, if nobody looks. */
static void free_both_and_malloc(void) {
  free_both();
  page_malloc(g0);
  page_malloc(g0);
}

/* ---- parked pages ---- */

static void parked_3(void) { owned_3(); page_park(g0); }
static void free_1_parked(void) {                /* the free comes by, and the page is in its queue */
  free_1();
  if (is_parked(g0)) model_fail("its owner's free does not come by the parked page");
  page_malloc(g0);
}
static void unpark_0(void) { page_unpark(g0); }
static void free_1_unpark(void) { page_unpark(g0); free_1(); }
static void malloc_unpark(void) {                /* what malloc does where its queue has nothing */
  if (page_unpark_freed(g0)) malloc_twice();
  else page_unpark(g0);
}
static void park_again(void) {                   /* the owner uses up what it freed */
  free_1();
  do fill(g0); while (g0->used.value != (uint64_t)nblocks);
  page_park(g0);
  page_unpark(g0);
}
static void end_parked(void) { owner_end(1); }

/* ---- rounds, and holes ---- */

/* A page that its owner gave up full, or to the pool, with rounds; in which slots 1 .. live are live, and a round was. */
static void rounds_3(void) { setting_of(3, ROUNDS); g0 = owned_page(MAIN, 0); }
static void with_holes(int live, bool now) {
  rounds_3();
  for (int slot = 3; slot > live; slot--) block_free(g0, slot);
  page_to_pool(g0);
  as_owner(GONE);
  if (now) round_pages(true);
}
static void pooled_round_1(void) { with_holes(1, false); }
static void holes_1(void) { with_holes(1, true); }
static void waited_2(void) {                     /* blocks 1 and 2 live; no system page is free yet */
  with_holes(2, true);
}
static void waited_3(void) { with_holes(3, true); }
static void holes_3(void) {                      /* block 3 lives, and the first system page is a hole */
  rounds_3();
  free_1_2();
  page_to_pool(g0);
  as_owner(GONE);
  round_pages(true);
}
static void holes_1_one_slice(void) { holes_1(); as_owner(GONE); one_slice(); }
static void full_rounds(void) {                  /* its owner gave it up full; another freed, and a round was there */
  setting_of(3, ROUNDS);
  g0 = owned_page(MAIN, 0);
  page_to_full(g0);
  as_owner(GONE);
  block_free(g0, 3);
  round_pages(false);
}
/* A page that is full, and has an old bit in `changed`. */
static void full_changed(void) {
  setting_of(3, ROUNDS);
  as_owner(GONE);
  g0 = owned_page(MAIN, 0);
  block_free(g0, 3);
  page_to_pool(g0);
  g0 = adopt(MAIN);
  use_up(g0);
}
static void round_now(void) { round_pages(true); }
static void round_twice(void) { round_pages(false); round_pages(false); }
static void adopt_and_malloc_twice(void) {
  page_t* g = adopt(MAIN);
  if (g == NULL) return;
  page_malloc(g);
  page_malloc(g);
}
static void adopt_and_empty(void) {
  page_t* g = adopt(MAIN);
  if (g == NULL) return;
  const int slot = page_malloc(g);
  if (slot != 0) block_free(g, slot);
}
static void empty_and_pool(void) {               /* the page dies with its holes; its slice is born again, used up, and pooled */
  free_1();
  page_t* g = page_fresh(MAIN, 0);
  if (g == NULL) return;
  fill(g);
  page_to_pool(g);
  block_free(g, 2);
}
static void round_pages_once(void) { round_pages(false); }

/* A block that was freed, and is in a hole or will be, is freed again. */
static void twice_freed(void (*set)(void)) {
  set();
  both = (pointer_t){ g0, 3, g0->life, 0, false };
  told = 0;
  twice_page = g0;
  twice_slot = 3;
  g0->block[3].xmark = g0->block[3].mark.value;
  g0->block[3].xlink = g0->block[3].word.value;
  model_atomic(&g0->block[3].xmark, "a mark");
  model_atomic(&g0->block[3].xlink, "a link");
}
static void twice_pooled_round(void) { twice_freed(pooled_round_1); }
static void twice_holes(void) { twice_freed(holes_1); }

/* A page with holes dies, and is cached with what it was purged of. */
static void holes_1_cached(void) {
  setting_of(3, ROUNDS | CACHE);
  as_owner(GONE);
  g0 = owned_page(MAIN, 0);
  block_free(g0, 3);
  block_free(g0, 2);
  page_to_pool(g0);
  round_pages(true);
  one_slice();
}
static void fresh_and_pool(void) {
  page_t* g = page_fresh(MAIN, 0);
  if (g == NULL) return;
  fill(g);
  page_to_pool(g);
  block_free(g, 2);
}

/* ---- the cache, and purges ---- */

/* A page of class 0 that died is cached; the other slice is used by somebody. */
static void cached_1(void) {
  setting_of(2, CACHE);
  as_owner(GONE);
  g0 = owned_page(MAIN, 0);
  one_slice();
  free_1_2();
}
/* Both slices have a page of class 0, with one live block. */
static void cache_two(void) {
  setting_of(2, CACHE);
  as_owner(GONE);
  g0 = owned_page(MAIN, 0);
  g1 = owned_page(MAIN, 0);
  block_free(g0, 2);
  block_free(g1, 2);
  page_to_pool(g0);
  page_to_pool(g1);
}
static void cache_last(void) { setting_of(2, CACHE); as_owner(GONE); g0 = owned_page(MAIN, 0); block_free(g0, 2); page_to_pool(g0); one_slice(); }
static void cache_last_thread(void) { cache_last(); memory_thread(); }
static void cached_and_last_thread(void) { cache_two(); block_free(g0, 1); memory_thread(); }
static void free_g1_and_look(void) { empty_g1(); due_look(); }
static void cache_singles(void) {
  setting_of(1, CACHE);
  as_owner(GONE);
  g0 = page_single(MAIN);
  g1 = page_single(MAIN);
}
static void cached_single(void) { cache_singles(); free_1(); }
/* A slice was written to, and waits to be purged in the next round. */
static void slice_waits(void) {
  setting_of(1, CACHE);
  as_owner(GONE);
  g0 = page_fresh(MAIN, 0);
  one_slice();
  page_malloc(g0);
  free_1();
  cache_flush();
}
static void slice_is_due(void) { slice_waits(); round_slices(); }
static void fresh_and_use(void) {
  page_t* g = page_fresh(MAIN, 0);
  if (g != NULL) fill(g);
}
static void fresh_and_free(void) {
  page_t* g = page_fresh(MAIN, 0);
  if (g == NULL) return;
  const int slot = page_malloc(g);
  block_free(g, slot);
}
static void fresh_twice(void) { fresh_and_free(); fresh_and_use(); }
static void round_slices_twice(void) { round_slices(); round_slices(); }
static void free_last_of_0(void) { block_free(g0, 1); }
static void free_last_and_look(void) { free_last_of_0(); due_look(); }
static void single_anew(void) {
  page_t* g = page_single(MAIN);
  if (g != NULL) block_free(g, 1);
}
static void free_g1_single(void) { block_free(g1, 1); }

static const model_scenario_t scenarios[] = {
  { "twice",                twice_full,           { { "freer1", free_both }, { "freer2", free_both } }, check_told },
  { "twice_other",          twice_full,           { { "freer1", free_both }, { "freer2", free_both }, { "freer3", free_2 } }, check_told },
  { "twice_shared",         twice_shared_full,    { { "freer", free_both }, { "ender", free_both_and_destroy } }, check_told },
  { "twice_reborn",         twice_last,           { { "freer1", free_both_and_reborn }, { "freer2", free_both } }, check_told },
  { "twice_single",         twice_single,         { { "freer1", free_both }, { "freer2", free_both }, { "visitor", visit_0 } }, check_told },
  { "twice_single_reborn",  twice_single,         { { "freer1", free_both_and_reborn }, { "freer2", free_both } }, check_told },
  { "twice_shared_single",  twice_shared_single,  { { "freer", free_both }, { "ender", free_both_and_destroy } }, check_told },
  { "twice_again",          twice_owned,          { { "holder", free_both_and_malloc }, { "freer", free_both } }, check_twice },
  { "twice_holder",         twice_owned,          { { "holder", free_both_as_holder }, { "freer", free_both } }, check_twice },
  { "collect",              owned_3,              { { "holder", malloc_twice }, { "freer1", free_1_2 }, { "freer2", free_3 } }, check_all },
  { "collect_own",          owned_3,              { { "holder", collect_and_free }, { "freer1", free_2 }, { "freer2", free_3 } }, check_all },
  { "shared",               shared_3,             { { "holder", collect_and_free }, { "freer1", free_2 }, { "freer2", free_3 } }, check_all },
  { "shared_full",          shared_3,             { { "holder", full_then_free }, { "freer1", free_2 }, { "adopter", adopt_shared } }, check_all },
  { "full",                 owned_3,              { { "holder", use_up_0 }, { "freer1", free_1 }, { "freer2", free_3 } }, check_all },
  { "full_all",             owned_3,              { { "holder", use_up_0 }, { "freer", free_1_2 }, { "adopter", adopt_bin_0 } }, check_all },
  { "full_last",            owned_2,              { { "holder", use_up_0 }, { "freer1", free_1 }, { "freer2", free_2 } }, check_all },
  { "full_free",            owned_3,              { { "home", full_then_free }, { "freer1", free_2 }, { "freer2", free_3 } }, check_all },
  { "home",                 full_3,               { { "home", home_returns }, { "freer1", free_2 }, { "freer2", free_3 } }, check_all },
  { "home_or_adopted",      full_2,               { { "home", home_returns }, { "freer", free_2 }, { "adopter", adopt_and_malloc } }, check_all },
  { "home_stolen",          full_2,               { { "home", home_returns }, { "freer", free_2 }, { "adopter", adopt_and_use_up } }, check_all },
  { "pool",                 owned_2,              { { "holder", pool_0 }, { "freer1", free_1 }, { "freer2", free_2 } }, check_all },
  { "pool_malloc",          owned_3,              { { "holder", malloc_then_pool }, { "freer1", free_1 }, { "freer2", free_3 } }, check_all },
  { "pool_adopt",           owned_2,              { { "holder", pool_0 }, { "freer", free_1 }, { "adopter", adopt_and_malloc } }, check_all },
  { "pool_adopt_last",      owned_2,              { { "holder", pool_0 }, { "freer", free_1_2 }, { "adopter", adopt_and_pool } }, check_all },
  { "adopt_two",            pooled_2,             { { "adopter1", adopt_and_malloc }, { "freer", free_1_2 }, { "adopter2", adopt_and_pool } }, check_all },
  { "adopt_free_free",      pooled_2,             { { "adopter", adopt_and_use_up }, { "freer1", free_1 }, { "freer2", free_2 } }, check_all },
  { "index_late",           full_2_one_slice,     { { "freer1", free_1 }, { "freer2", last_and_reborn }, { "adopter", adopt_bin_0 } }, check_all },
  { "index_adopt",          full_2_gone,          { { "freer1", free_1 }, { "freer2", free_2 }, { "adopter", adopt_and_pool } }, check_all },
  { "reuse",                pooled_1_one_slice,   { { "freer", reborn_and_pooled }, { "adopter1", adopt_bin_0 }, { "adopter2", adopt_bin_0 } }, check_all },
  { "reuse_full",           pooled_1_one_slice,   { { "freer", reborn_and_full }, { "adopter1", adopt_bin_0 }, { "adopter2", adopt_bin_0 } }, check_all },
  { "pool_reborn",          owned_2_one_slice,    { { "holder", pool_0 }, { "freer", both_and_reborn }, { "adopter", adopt_bin_0 } }, check_all },
  { "reuse_other",          pooled_1_one_slice,   { { "freer", reborn_other }, { "adopter1", adopt_other }, { "adopter2", adopt_bin_0 } }, check_all },
  { "single",               single,               { { "freer", free_1 }, { "adopter1", adopt_bin_0 }, { "adopter2", adopt_bin_0 } }, check_all },
  { "reassign",             shared_pooled,        { { "ender", reassign_0 }, { "freer", free_1 }, { "adopter", adopt_bin_0 } }, check_all },
  { "reassign_last",        shared_pooled,        { { "ender", reassign_0 }, { "freer", free_1_2 } }, check_all },
  { "reassign_full",        shared_given_up_full, { { "ender", reassign_0 }, { "freer", free_1_2 } }, check_all },
  { "reassign_owned",       shared_owned,         { { "ender", pool_and_reassign }, { "freer", free_1_2 } }, check_all },
  { "reassign_single",      shared_single,        { { "ender", reassign_0 }, { "freer", free_1 }, { "adopter", adopt_bin_0 } }, check_all },
  { "destroy",              doomed_full,          { { "ender", destroy_0 }, { "freer1", late_1 }, { "freer2", late_2 } }, check_all },
  { "destroy_look_again",   doomed_look_again,    { { "ender", destroy_and_use }, { "freer", late_1_2 } }, check_all },
  { "destroy_last",         doomed_pooled,        { { "ender", destroy_and_use }, { "freer", late_1_2 } }, check_all },
  { "destroy_owned",        doomed_owned,         { { "ender", pool_and_destroy }, { "freer", late_1 }, { "reuser", use_main } }, check_all },
  { "destroy_adopt",        doomed_pooled,        { { "ender", destroy_and_pool }, { "freer", late_1 }, { "adopter", adopt_bin_0 } }, check_all },
  { "destroy_reuse",        doomed_full,          { { "ender", destroy_and_use }, { "freer1", late_1 }, { "freer2", late_2 } }, check_all },
  { "destroy_reuse_other",  doomed_full,          { { "ender", destroy_0 }, { "freer", late_1 }, { "reuser", use_main } }, check_all },
  { "destroy_reuse_shared", doomed_full,          { { "ender", destroy_and_use_shared }, { "freer", late_1_2 } }, check_all },
  { "destroy_reuse_single", doomed_full,          { { "ender", destroy_and_use_single }, { "freer", late_1_2 } }, check_all },
  { "destroy_single",       doomed_single,        { { "ender", destroy_and_use }, { "freer", late_1 }, { "adopter", adopt_bin_0 } }, check_all },
  { "visit",                full_3,               { { "visitor", visit_0 }, { "freer1", free_1 }, { "freer2", free_2 } }, check_all },
  { "visit_home",           full_2,               { { "home", home_returns }, { "freer", free_2 }, { "visitor", visit_0 } }, check_all },
  { "visit_last",           full_2_one_slice,     { { "visitor", visit_0 }, { "freer1", free_1 }, { "freer2", last_and_reborn } }, check_all },
  { "visit_adopt",          pooled_2,             { { "visitor", visit_0 }, { "freer", free_1 }, { "adopter", adopt_and_malloc } }, check_all },
  { "visit_two",            shared_pooled,        { { "visitor1", visit_shared }, { "freer", free_1 }, { "visitor2", visit_shared } }, check_all },
  { "visit_single",         single,               { { "visitor1", visit_0 }, { "freer", free_1 }, { "visitor2", visit_0 } }, check_all },
  { "visit_shared",         shared_pooled,        { { "visitor", visit_shared }, { "freer", free_1_2 } }, check_all },
  { "visit_shared_single",  shared_single,        { { "visitor", visit_shared }, { "freer", free_1 }, { "adopter", adopt_bin_0 } }, check_all },
  { "retire_reborn",        owned_with_old_bit,   { { "holder", retire_and_reborn }, { "adopter1", adopt_bin_0 }, { "adopter2", adopt_and_pool } }, check_all },
  { "home_last",            full_2,               { { "home", free_1 }, { "freer", free_2 }, { "adopter", adopt_and_pool } }, check_all },
  { "old_bit",              owned_with_old_bit,   { { "holder", use_up_0 }, { "freer", free_2 }, { "adopter", adopt_and_malloc } }, check_all },
  { "two_pages",            two_pooled,           { { "adopter1", adopt_bin_0 }, { "adopter2", adopt_bin_0 }, { "freer", empty_g1 } }, check_all },
  { "due_thread",           due_runs,             { { "thread", due_thread }, { "asker", ask_0 } }, due_check },
  { "due_two",              due_none,             { { "asker1", ask_0 }, { "asker2", ask_1 } }, due_check },
  { "due_twice",            due_runs,             { { "thread", due_thread }, { "asker", ask_0_1 } }, due_check },
  { "name",                 name_setting,         { { "setter", name_2 }, { "reader", name_look } }, nothing_left },
  { "name_twice",           name_setting,         { { "setter", name_2_3 }, { "reader", name_look } }, nothing_left },
  { "park_free",            parked_3,             { { "owner", free_1_parked }, { "freer1", free_2 }, { "freer2", free_3 } }, check_all },
  { "park_leave",           parked_3,             { { "owner", unpark_0 }, { "freer1", free_1_2 }, { "freer2", free_3 } }, check_all },
  { "park_home",            parked_3,             { { "owner", free_1_unpark }, { "freer", free_2 }, { "adopter", adopt_and_malloc } }, check_all },
  { "park_malloc",          parked_3,             { { "owner", malloc_unpark }, { "freer1", free_1 }, { "freer2", free_3 } }, check_all },
  { "park_again",           parked_3,             { { "owner", park_again }, { "freer", free_2 }, { "adopter", adopt_and_malloc } }, check_all },
  { "park_ends",            parked_3,             { { "owner", end_parked }, { "freer", free_1_2 }, { "adopter", adopt_and_malloc } }, check_all },
  { "holes",                pooled_round_1,       { { "round", round_now }, { "adopter", adopt_and_malloc_twice }, { "freer", free_1 } }, check_all },
  { "holes_rounds",         pooled_round_1,       { { "round", round_twice }, { "adopter", adopt_and_malloc_twice } }, check_all },
  { "holes_free",           waited_3,             { { "round", round_now }, { "freer1", free_1 }, { "freer2", free_2 } }, check_all },
  { "holes_first",          holes_3,              { { "round", round_now }, { "adopter", adopt_and_empty }, { "freer", free_3 } }, check_all },
  { "holes_home",           full_rounds,          { { "home", home_returns }, { "freer", free_2 }, { "round", round_pages_once } }, check_all },
  { "holes_index",          full_changed,         { { "freer", free_1 }, { "round", round_now } }, check_all },
  { "holes_reborn",         holes_1_one_slice,    { { "freer", empty_and_pool }, { "round", round_now } }, check_all },
  { "holes_cached",         holes_1_cached,       { { "freer", free_1 }, { "owner", fresh_and_pool }, { "round", round_now } }, check_all },
  { "holes_visit",          waited_2,             { { "visitor", visit_0 }, { "round", round_now }, { "freer", free_2 } }, check_all },
  { "holes_twice",          twice_holes,          { { "freer", free_both }, { "adopter", adopt_and_malloc } }, check_told },
  { "holes_twice_round",    twice_pooled_round,   { { "freer", free_both }, { "round", round_now } }, check_told },
  { "cache",                cached_1,             { { "owner1", fresh_and_use }, { "owner2", fresh_and_use }, { "round", round_slices } }, check_all },
  { "cache_put",            cache_last,           { { "freer", free_last_of_0 }, { "owner", fresh_and_use }, { "round", round_slices } }, check_all },
  { "cache_put_two",        cache_two,            { { "freer1", free_last_of_0 }, { "freer2", empty_g1 }, { "owner", fresh_and_use } }, check_all },
  { "cache_thread",         cache_last_thread,    { { "thread", due_thread }, { "freer", free_last_and_look } }, memory_nothing_waits },
  { "cache_thread_two",     cached_and_last_thread, { { "thread", due_thread }, { "freer", free_g1_and_look } }, memory_nothing_waits },
  { "cache_single",         cache_singles,        { { "freer1", free_last_of_0 }, { "freer2", free_g1_single }, { "owner", single_anew } }, check_all },
  { "cache_single_round",   cached_single,        { { "round", round_slices }, { "freer", free_g1_single } }, check_all },
  { "cache_single_take",    cached_single,        { { "round", round_slices }, { "owner1", single_anew }, { "owner2", single_anew } }, check_all },
  { "purge",                slice_is_due,         { { "round", round_slices }, { "owner", fresh_twice } }, check_all },
  { "purge_claim",          slice_is_due,         { { "round", round_slices }, { "owner1", fresh_and_use }, { "owner2", fresh_and_use } }, check_all },
  { "purge_age",            slice_waits,          { { "round", round_slices_twice }, { "owner", fresh_and_free } }, check_all },
  { "owner_ends",           one_full_one_owned,   { { "owner", end_1 }, { "freer", free_one_of_each }, { "adopter", adopt_bin_0 } }, check_all },
};
enum { NSCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static bool run_named(const char* name, bool quiet) {
  for (int i = 0; i < NSCENARIOS; i++) {
    if (strcmp(scenarios[i].name, name) == 0) return model_explore(&scenarios[i], quiet);
  }
  printf("not ok model %s: no such scenario\n", name);
  return false;
}

int main(int argc, char** argv) {
  int i = 1;
  if (argc > 1 && strcmp(argv[1], "-l") == 0) {
    for (int k = 0; k < NSCENARIOS; k++) printf("%s\n", scenarios[k].name);
    return 0;
  }
  model_skip_hopeless = true;
  const bool quiet = argc > 1 && strcmp(argv[1], "-q") == 0;
  if (quiet) i++;
  if (i == argc) {
    for (int k = 0; k < NSCENARIOS; k++) model_explore(&scenarios[k], quiet);
    return 0;
  }
  bool good = true;
  for (; i < argc; i++) good = run_named(argv[i], quiet) && good;
  return good ? 0 : 1;
}
