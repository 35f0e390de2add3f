/* The protocols of docs/protocols.md, in the core's own functions, step by step (steps.h). The model plays
   the headers verbatim and a copy by hand of what stands round them; here is the original. */
#include "core/holes.h"
#include "core/pool_round.h"
#include "core/pressure.h"
#include "core/visit.h"
#include "steps/steps.h"

enum { SMALL = 100, LARGE = 3 * MI_MiB };   /* a block of a small page; one with a mapping of its own */

static mi_heap_t* heap;
static void *first, *block, *block2, *again[2];

static void* h_malloc(int owner, size_t size) {
  return mi_alloc_malloc(mi_heap_lheap(heap, owners[owner]), size);
}

static void begin(void) {
  /* KiB: small, since the whole is looked at after each order */
  mi_option_set(mi_option_arena_reserve, 4 * MI_KiB);
  owners_begin();
}

static void make(void) {
  heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  CHECK(heap != NULL);
}

/* Every slice is free and no invariant broken; `nerrors`: as many reports as there may be. */
static void all_is_well(size_t nerrors) {
  mi_report_pending();
  CHECK(test_nerrors <= nerrors);
  test_nerrors = 0;
  CHECK_EQ(mi_check_all(), 0);
  for (int i = 0; i < 4; i++) mi_owner_drain(owners[i], true);
  test_nothing_left();
}

/* ---- a free, while its heap ends (R0, D1) ---- */

static void set_heap(void) {
  make();
  first = h_malloc(0, SMALL);
  block = h_malloc(0, SMALL);
  again[0] = again[1] = NULL;
}
static void free_block(void) { o_free(1, block); }
static void destroy_heap(void) { mi_heap_end(heap, false); }
static void delete_heap(void) { mi_heap_end(heap, true); }

/* The slice has another life: the block is not in use in it, so a free that is too late finds
   it free, or none. */
static void destroy_and_again(size_t size) {
  mi_heap_end(heap, false);
  for (int i = 0; i < 2; i++)
    if (again[i] == NULL && (i == 0 || size != SMALL))
      test_fill(again[i] = o_malloc(2, size), mi_min(size, 64), 7);
}
static void destroy_and_same(void) { destroy_and_again(SMALL); }
static void destroy_and_other(void) { destroy_and_again(3000); }
static void destroy_and_single(void) { destroy_and_again(300000); }

static void free_again(void) {
  for (int i = 0; i < 2; i++)
    if (again[i] != NULL) {
      CHECK(test_filled(again[i], 64, 7));
      o_free(2, again[i]);
    }
  all_is_well(1);
}

static void while_destroyed(long delay, void (*set)(void), void (*ends)(void)) {
  begin();
  test_expect_errors();
  mi_option_set(mi_option_purge_delay, delay);
  steps_all(&(scenario_t){ set, { &free_block, ends }, &free_again }, 2);
}
static void destroy_same(void) { while_destroyed(1000000, &set_heap, &destroy_and_same); }
static void destroy_other(void) { while_destroyed(0, &set_heap, &destroy_and_other); }
static void destroy_single(void) { while_destroyed(0, &set_heap, &destroy_and_single); }

/* Who has pinned a page finds it alive until it takes the pin off. */
static void pin_and_look(void) {
  mi_page_t* page = mi_page_of(block);
  if (mi_page_is_none(page) || !mi_remote_pin(&page->xword, mi_load_acquire(&page->xword))) return;
  for (int i = 0; i < 3; i++) CHECK(mi_xword_state(mi_load_acquire(&page->xword)) != MI_PAGE_DEAD);
  mi_remote_unpin(&page->xword);
}
static void ended(void) { all_is_well(0); }
static void pinned_lives(void) {
  begin();
  steps_all(&(scenario_t){ set_heap, { &pin_and_look, &destroy_heap }, &ended }, 2);
}

/* An offset block: what says that it is one is read while the mapping ends. */
static void set_offset(void) {
  make();
  block = mi_aligned_block(mi_heap_lheap(heap, owners[0]), LARGE, 4096, 8, false);
  CHECK(block != NULL && mi_page_of(block)->arena == MI_ARENA_NONE);
}
static void set_offset_in_arena(void) {
  make();
  block = mi_aligned_block(mi_heap_lheap(heap, owners[0]), 300000, 4096, 8, false);
}
static void set_mapping(void) {
  make();
  block = h_malloc(0, LARGE);
}
static void gone(void) { all_is_well(1); }
static void offset_block(void (*set)(void)) {
  begin();
  test_expect_errors();
  mi_option_set(mi_option_purge_delay, 0);
  steps_all(&(scenario_t){ set, { &free_block, &destroy_heap }, &gone }, 2);
}
static void destroy_offset_mapping(void) { offset_block(&set_offset); }
static void destroy_offset(void) { offset_block(&set_offset_in_arena); }
static void destroy_mapping(void) { offset_block(&set_mapping); }

/* The same, and then the arena is unmapped: mark and note of a block are not read any more. */
static void set_medium(void) {
  make();
  block = h_malloc(0, 20000);
}
static void set_offset_in(size_t size) {
  make();
  block = mi_aligned_block(mi_heap_lheap(heap, owners[0]), size, 64, 8, false);
  CHECK(block != NULL && !mi_page_is_start(mi_page_of(block), block));
}
static void set_offset_small(void) { set_offset_in(SMALL); }
static void set_offset_medium(void) { set_offset_in(20000); }
static void destroy_and_release(void) {
  mi_heap_end(heap, false);
  mi_lock(&mi_arena_lock);
  mi_arena_release(true);  /* in vain where the other has emptied the page and holds it still */
  mi_unlock(&mi_arena_lock);
}
static void free_sized(void) { if (mi_block_suits(block, SMALL, 1)) free_block(); }
static void look_at_block(void) { mi_block_usable(block); }
static void while_released(void (*set)(void), void (*actor)(void)) {
  begin();
  test_expect_errors();
  mi_option_set(mi_option_purge_delay, 0);
  steps_all(&(scenario_t){ set, { actor, &destroy_and_release }, &gone }, 2);
}
/* A resize: where it is, or whole in another place, or told. */
static size_t new_size;
static void set_filled(size_t size) {
  make();
  again[0] = NULL;
  test_fill(block = h_malloc(0, size), 64, 5);
}
static void set_filled_small(void) { set_filled(SMALL); }
static void set_filled_medium(void) { set_filled(20000); }
static void set_filled_single(void) { set_filled(300000); }
static void set_filled_mapping(void) { set_filled(LARGE); }
static void resize(void) {
  void* p = mi_realloc_block(&owners[1]->main, block, new_size, 0, 0, false);
  again[0] = p == block || p == NULL || mi_page_heap(mi_page_of(p)) == heap ? NULL : p;
}
static void resized_or_told(void) {
  if (again[0] != NULL) {
    CHECK(test_filled(again[0], 64, 5));
    o_free(1, again[0]);
  }
  all_is_well(1);
}
static void while_resized(void (*set)(void), size_t size) {
  begin();
  test_expect_errors();
  mi_option_set(mi_option_purge_delay, 0);
  new_size = size;
  steps_all(&(scenario_t){ set, { &resize, &destroy_heap }, &resized_or_told }, 2);
}
static void resize_small(void) { while_resized(&set_filled_small, 1000); }
static void resize_medium(void) { while_resized(&set_filled_medium, 50000); }
static void resize_single(void) { while_resized(&set_filled_single, 400000); }
static void resize_single_down(void) { while_resized(&set_filled_single, 100000); }
static void resize_single_away(void) { while_resized(&set_filled_single, 100); }
static void resize_mapping(void) { while_resized(&set_filled_mapping, LARGE + MI_MiB); }
static void resize_mapping_away(void) { while_resized(&set_filled_mapping, 100000); }
static void release_small(void) { while_released(&set_heap, &free_block); }
static void release_medium(void) { while_released(&set_medium, &free_block); }
static void release_offset_small(void) { while_released(&set_offset_small, &free_block); }
static void release_offset_medium(void) { while_released(&set_offset_medium, &free_block); }
static void release_sized(void) { while_released(&set_heap, &free_sized); }
static void release_looked_at(void) { while_released(&set_offset_small, &look_at_block); }

/* A heap that is deleted: its blocks live on, and each is freed once. */
static void free_first(void) { o_free(3, first); all_is_well(0); }
static void nothing_more(void) { all_is_well(0); }
static void delete_small(void) {
  begin();
  steps_all(&(scenario_t){ &set_heap, { &free_block, &delete_heap }, &free_first }, 2);
}
static void delete_mapping(void) {
  begin();
  steps_all(&(scenario_t){ &set_mapping, { &free_block, &delete_heap }, &nothing_more }, 2);
}

/* ---- pages that nobody holds ---- */

static void set_abandoned(void) {
  first = o_malloc(0, SMALL);
  block = o_malloc(0, SMALL);
  block2 = o_malloc(0, SMALL);
  mi_owner_abandon(owners[0]);
}
static void free_block2(void) { o_free(2, block2); }
static void adopt(void) { again[0] = o_malloc(2, SMALL); }
static void dig(void) { mi_purger_run_pages(); }
static void abandon(void) { mi_owner_abandon(owners[0]); }

static void free_rest(void) {
  if (first != NULL) o_free(3, first);
  if (again[0] != NULL) o_free(2, again[0]);
  first = again[0] = NULL;
  all_is_well(0);
}

static void set_last_two(void) { set_abandoned(); o_free(3, first); first = NULL; }
static void set_last(void) { set_last_two(); o_free(3, block2); }

static void pooled(void (*set)(void), void (*other)(void), unsigned most) {
  begin();
  steps_all(&(scenario_t){ set, { &free_block, other }, &free_rest }, most);
}
static void free_and_free(void) { pooled(&set_last_two, &free_block2, 3); }
static void free_and_adopt(void) { pooled(&set_last, &adopt, 2); }
static void free_and_dig(void) { pooled(&set_last, &dig, 2); }

/* A3: between the look at the bit and the swap the page dies; its slice is pooled again, with blocks
   of another size. */
static void set_large_pooled(void) {
  block = o_malloc(0, 3000);
  block2 = again[0] = NULL;
  mi_owner_abandon(owners[0]);
}
static void adopt_large(void) { again[0] = o_malloc(2, 3000); }
static void free_and_pool_again(void) {
  free_block();
  block = o_malloc(3, SMALL);
  block2 = o_malloc(3, SMALL);
  mi_owner_abandon(owners[3]);
}
static void large_enough(void) {
  CHECK(mi_block_usable(again[0]) >= 3000);
  o_free(1, block);
  o_free(1, block2);
  o_free(2, again[0]);
  all_is_well(0);
}
static void adopt_and_again(void) {
  begin();
  mi_option_set(mi_option_purge_delay, 0);
  steps_all(&(scenario_t){ &set_large_pooled, { &adopt_large, &free_and_pool_again }, &large_enough }, 2);
}

/* A page of eight blocks, in which nothing is left: parked; or full. */
static void* eight[8];
static void set_parked(void) {
  for (int i = 0; i < 8; i++) eight[i] = o_malloc(0, MI_SMALL_MAX);
  first = o_malloc(0, MI_SMALL_MAX);
  block = eight[0];
  block2 = eight[1];
  again[0] = NULL;
}
static void set_full(void) {
  set_parked();
  mi_queue_unpark_all(&owners[0]->main);
  CHECK_EQ(mi_xword_state(mi_page_of(block)->xword), MI_PAGE_FULL);
}
static void free_home(void) { o_free(0, block2); }
static void rest_of_eight(void) {
  for (int i = 2; i < 8; i++) o_free(3, eight[i]);
  free_rest();
}
static void full(void (*set)(void), void (*other)(void)) {
  begin();
  steps_all(&(scenario_t){ set, { &free_block, other }, &rest_of_eight }, 2);
}
static void give_up_home(void) { mi_queue_unpark_all(&owners[0]->main); o_free(0, block2); }
static void free2_after_abandon(void) { abandon(); o_free(2, block2); }
static void free_and_home(void) { full(&set_full, &free_home); }
static void free_and_give_up(void) { full(&set_parked, &give_up_home); }
static void free_and_abandon(void) { full(&set_parked, &free2_after_abandon); }

/* What is freed while a round is at the page: the next one finds it. */
static void set_dug(void) {
  set_full();
  o_free(3, block2);
  o_free(0, first);
  mi_owner_abandon(owners[0]);
  mi_purger_run_pages();
  first = NULL;
  CHECK(mi_holes_touch(mi_page_of(block), block2));
  o_free(3, eight[7]);                           /* so that the next round comes by */
  eight[7] = NULL;
}
static void block_is_hole(void) {
  mi_purger_run_pages();
  CHECK(mi_holes_touch(mi_page_of(block), block));
  rest_of_eight();
}
static void dug_the_next_time(void) {
  begin();
  steps_all(&(scenario_t){ &set_dug, { &free_block, &dig }, &block_is_hole }, 2);
}

/* ---- two frees of one block at the same moment ---- */

static void free_it_too(void) { o_free(2, block); }
static void free_it_at_home(void) { o_free(0, block); }
static void set_two(void) {
  first = o_malloc(0, SMALL);
  block = o_malloc(0, SMALL);
  block2 = again[0] = NULL;
}
static void set_two_pooled(void) { set_two(); mi_owner_abandon(owners[0]); }
static void counts_are_whole(void) {
  mi_report_pending();
  test_nerrors = 0;
  mi_check_all();
  mi_report_pending();
  CHECK_EQ(mi_check_all(), 0);
  test_nerrors = 0;
  free_rest();
}
static void twice(void (*set)(void), void (*other)(void)) {
  begin();
  test_expect_errors();
  steps_all(&(scenario_t){ set, { &free_block, other }, &counts_are_whole }, 2);
}
static void twice_by_others(void) { twice(&set_two, &free_it_too); }
static void twice_and_home(void) { twice(&set_two, &free_it_at_home); }
static void twice_pooled(void) { twice(&set_two_pooled, &free_it_too); }

/* The same of other kinds of blocks, by two others and by one and the owner. `size` + 8: at an offset. */
static void set_alone(size_t size, bool offset) {
  first = block2 = again[0] = NULL;
  block = offset ? mi_aligned_block(&owners[0]->main, size, 64, 8, false) : o_malloc(0, size);
  CHECK(block != NULL && offset != mi_page_is_start(mi_page_of(block), block));
}
static void set_two_medium(void) {
  set_alone(20000, false);
  first = o_malloc(0, 20000);
}
static void set_two_single(void) { set_alone(300000, false); }
static void set_two_mapping(void) {
  set_alone(LARGE, false);
  CHECK_EQ(mi_page_of(block)->arena, MI_ARENA_NONE);
}
static void set_two_offset(void) { set_alone(SMALL, true); }
static void set_two_offset_medium(void) { set_alone(20000, true); }
static void set_two_offset_single(void) { set_alone(300000, true); }
static void set_two_offset_mapping(void) {
  set_alone(LARGE, true);
  CHECK_EQ(mi_page_of(block)->arena, MI_ARENA_NONE);
}
static void twice_both(void (*set)(void)) {
  twice(set, &free_it_too);
  owners_end();
  twice(set, &free_it_at_home);
}
static void twice_medium(void) { twice_both(&set_two_medium); }
static void twice_offset(void) { twice_both(&set_two_offset); }
static void twice_offset_medium(void) { twice_both(&set_two_offset_medium); }

/* No free of a single page is plain: one is told, always. By two others, by one and the owner, by two threads
   without a heap; also of a heap that may be destroyed. */
static void free_ownerless(void) { mi_free_as(block, NULL, mi_id_of_capability(NOWNERS)); }
static void free_ownerless_too(void) { mi_free_as(block, NULL, mi_id_of_capability(NOWNERS + 1)); }
static void one_is_told(void) {
  const bool one = test_one_error(EAGAIN) || test_one_error(EINVAL);
  CHECK_AT(one, "%zu errors, the last %d", test_nerrors, test_last_error);
  test_nerrors = 0;
  if (heap != NULL) mi_heap_end(heap, true);
  heap = NULL;
  all_is_well(0);
}
static void twice_alone(void (*set)(void)) {
  static void (*const frees[][2])(void) = { { &free_block, &free_it_too }, { &free_block, &free_it_at_home },
                                            { &free_ownerless, &free_ownerless_too } };
  begin();
  test_expect_errors();
  for (int i = 0; i < 3; i++) {
    mi_option_set(mi_option_purge_delay, i == 1 ? 0 : 1000000);
    steps_all(&(scenario_t){ set, { frees[i][0], frees[i][1] }, &one_is_told }, 2);
  }
}
static void set_two_single_of_heap(void) {
  make();
  block = h_malloc(0, 300000);
}
static void twice_single(void) { twice_alone(&set_two_single); }
static void twice_single_of_heap(void) { twice_alone(&set_two_single_of_heap); }
static void twice_mapping(void) { twice_alone(&set_two_mapping); }
static void twice_mapping_of_heap(void) { twice_alone(&set_mapping); }
static void twice_offset_single(void) { twice_alone(&set_two_offset_single); }
static void twice_offset_mapping(void) { twice_alone(&set_two_offset_mapping); }

/* ---- visitors ---- */

static bool count_block(const mi_heap_t* of, const mi_heap_area_t* area, void* p, size_t size, void* arg) {
  (void)of, (void)area, (void)size;
  *(size_t*)arg += p != NULL;
  return true;
}
static void visit(mi_heap_t* of) {
  size_t n = 0;
  CHECK(mi_visit_heap(of, owners[2], true, &count_block, &n));
  CHECK_AT(n <= 3, "n = %zu", n);
}
static void visit_main(void) { visit(&mi_main_heap); }
static void visit_heap(void) { visit(heap); }
static void set_listed(void) { set_heap(); mi_owner_abandon(owners[0]); }
static void end_listed(void) { mi_heap_end(heap, false); all_is_well(0); }
static void rest_after_visit(void) { o_free(3, block2); first = again[0] = NULL; all_is_well(0); }
static void free_one_and_visit(void) {
  begin();
  steps_all(&(scenario_t){ &set_last_two, { &free_block, &visit_main }, &rest_after_visit }, 2);
}
static void free_and_visit_heap(void) {
  begin();
  steps_all(&(scenario_t){ &set_listed, { &free_block, &visit_heap }, &end_listed }, 2);
}

/* ---- keeping pages (cache.h) ---- */

static void set_single(void) { block = o_malloc(1, 200000); block2 = o_malloc(2, 130000); o_free(2, block2); }
static void purge_all(void) { mi_purger_run(true); }
static bool something_is_due(void) { return mi_load_relaxed(&mi_due.xsince) != 0; }
static void known(void) {
  if (!mi_page_is_none(mi_page_of(block)) || !mi_page_is_none(mi_page_of(block2))) CHECK(something_is_due());
  all_is_well(0);
}
static void keep_and_flush(void) {
  begin();
  mi_option_set(mi_option_purge_delay, 1000000);
  steps_all(&(scenario_t){ &set_single, { &free_block, &purge_all }, &known }, 2);
}

/* ---- what stands before what ---- */

static step_t steps[4000];
static size_t nsteps;

static void record(void (*actor)(void)) {
  nsteps = steps_record(actor, steps, sizeof steps / sizeof *steps);
  CHECK(nsteps > 0 && nsteps < sizeof steps / sizeof *steps);
}
static size_t next(size_t i, const volatile void* at, step_kind_t kind) {
  while (i < nsteps && (steps[i].at != at || steps[i].kind != kind)) i++;
  return i;
}

/* R0: before the swap that pins the page or pushes the block the word is read directly behind the
   name of the heap. */
static void name_before_word(void* p) {
  mi_page_t* page = mi_page_of(p);
  block = p;
  record(&free_block);
  size_t nnames = 0;
  const size_t swap = next(0, &page->xword, STEP_CAS);
  for (size_t i = 0; i < swap; i++) {
    if (steps[i].at != &page->xheap || steps[i].order != memory_order_acquire) continue;
    CHECK_AT(steps[i + 1].at == &page->xword && steps[i + 1].kind == STEP_LOAD
             && steps[i + 1].order == memory_order_acquire, "step %zu", i);
    nnames++;
  }
  CHECK(swap < nsteps && nnames > 0);
}
static void heap_is_read_first(void) {
  begin();
  void* p = o_malloc(0, SMALL);
  void* alone = o_malloc(0, 300000);
  name_before_word(p);
  name_before_word(alone);
  set_heap();
  name_before_word(block);
  mi_heap_end(heap, false);
}

/* A free that makes a full page pooled: its class is read while it is still full (R4, P2), since then it
   may be another's. */
static void class_is_read_before(void) {
  begin();
  set_full();
  mi_page_t* page = mi_page_of(block);
  record(&free_block);
  const size_t r4 = next(0, &page->xword, STEP_CAS);
  CHECK_EQ(mi_xword_state(page->xword), MI_PAGE_POOLED);
  CHECK(r4 < nsteps && next(0, &page->xbin, STEP_LOAD) < r4 && next(r4, &page->xbin, STEP_LOAD) == nsteps);
  CHECK(next(r4 + 1, &page->xword, STEP_CAS) == nsteps);
}

/* P1: the class before the swap, the owner's id before it, the pool's bit behind it. */
static void pooled_in_order(void) {
  begin();
  first = o_malloc(0, SMALL);
  mi_page_t* page = mi_page_of(first);
  mi_arena_t* a = mi_arena_at(page->arena);
  mi_bits_t* bits = mi_arena_pool(a, mi_page_bin(page)) + mi_arena_slice_of(a, first) / 64;
  record(&abandon);
  const size_t p1 = next(0, &page->xword, STEP_CAS), p2 = next(0, bits, STEP_SWAP);
  CHECK(p1 < nsteps && p2 < nsteps && p1 < p2);
  CHECK(next(0, &page->xowner, STEP_STORE) < p1 && next(p1, &page->xbin, STEP_LOAD) == nsteps
        && next(p1, &page->xowner, STEP_STORE) == nsteps);
}

/* P3, where a page becomes pooled whose bit in `changed` is set: by a swap (the look alone may be an old
   one), behind the one of the word. */
static void bit_is_swapped(void (*actor)(void), mi_page_t* page) {
  const mi_arena_t* a = mi_arena_at(page->arena);
  const mi_bits_t* bits = a->changed + mi_arena_slice_of(a, page->start) / 64;
  mi_bitmap_set(a->changed, mi_arena_slice_of(a, page->start), 1);
  record(actor);
  const size_t swap = next(0, &page->xword, STEP_CAS), p3 = next(0, bits, STEP_SWAP);
  CHECK_EQ(mi_xword_state(page->xword), MI_PAGE_POOLED);
  CHECK(swap < nsteps && p3 < nsteps && swap < p3);
}
static void changed_in_order(void) {
  begin();
  set_full();
  bit_is_swapped(&free_block, mi_page_of(block));  /* R4 */
  first = o_malloc(0, 3000);
  bit_is_swapped(&abandon, mi_page_of(first));     /* P1 */
}

/* Birth: the name before the word, both released. */
static void o_malloc_first(void) { first = o_malloc(0, SMALL); }
static void born_in_order(void) {
  begin();
  record(&o_malloc_first);
  mi_page_t* page = mi_page_of(first);
  const size_t name = next(0, &page->xheap, STEP_STORE), word = next(0, &page->xword, STEP_STORE);
  CHECK(name < word && word < nsteps && steps[name].order == memory_order_release
        && steps[word].order == memory_order_release);
}

/* ---- a new arena: others may take all of it before the one who has made it ---- */

enum { HALF = MI_ARENA_MIN / 2 };
static mi_page_t* claimed[3];
static void claim_half(int i) {
  bool zero;
  claimed[i] = mi_memory_claim(HALF, 1, MI_ARENA_NONE, &zero);
}
static void claim_one(void) { claim_half(0); }
static void claim_two(void) { claim_half(1); claim_half(2); }
static void set_no_arena(void) {
  mi_lock(&mi_arena_lock);
  mi_arena_release(true);
  mi_unlock(&mi_arena_lock);
  CHECK_EQ(mi_commit_totals.xreserved, 0);
  mi_store_relaxed(&mi_arena_xcount, 0);         /* those before are gone: nobody looks at them */
}
static void each_has_its_half(void) {
  for (int i = 0; i < 3; i++) {
    CHECK_AT(claimed[i] != NULL, "%d", i);
    mi_memory_give(claimed[i]);
  }
}
static void new_arena(void) {
  mi_option_set(mi_option_arena_reserve, MI_ARENA_MIN / MI_KiB);
  mi_option_set(mi_option_purge_delay, 0);
  steps_all(&(scenario_t){ set_no_arena, { &claim_one, &claim_two }, &each_has_its_half }, 1);
}

/* ---- who claims much, in vain, hides it for a moment; afterwards it is found ---- */

enum { WORD = 64 * MI_SLICE_SIZE };
static mi_page_t *lower, *upper;
static void half_of_it_is_free(void) {
  bool zero;
  set_no_arena();
  mi_lock(&mi_arena_lock);
  mi_arena_reserve(2 * WORD);
  mi_unlock(&mi_arena_lock);
  lower = mi_memory_claim(WORD, 1, MI_ARENA_NONE, &zero);
  upper = mi_memory_claim(WORD, 1, MI_ARENA_NONE, &zero);
  CHECK(mi_arena_count() == 1 && lower != NULL && upper != NULL);
  mi_memory_give(lower);
}
static void release_in_vain(void) { mi_arena_release(true); }
static void claim_a_slice(void) {
  bool zero;
  claimed[0] = mi_memory_claim(MI_SLICE_SIZE, 1, MI_ARENA_NONE, &zero);
}
static void all_is_found(void) {
  const mi_arena_t* a = mi_arena_at(0);
  CHECK(claimed[0] != NULL);
  const size_t run = mi_bitmap_run(a->free, a->nslices, 1, 64);
  CHECK_AT(run >= 63 && mi_slices_longest(a) >= run, "%u of %zu", mi_slices_longest(a), run);
  mi_memory_give(claimed[0]);
  mi_memory_give(upper);
}
static void claimed_in_vain(void) {
  mi_option_set(mi_option_arena_reserve, 2 * WORD / MI_KiB);
  mi_option_set(mi_option_purge_delay, 0);
  steps_all(&(scenario_t){ half_of_it_is_free, { &release_in_vain, &claim_a_slice }, &all_is_found }, 1);
}

/* ---- a fixed budget comes while another decides by the one before ---- */

static const mi_collector_t collector = { .ncaps = 1, .now = 1 };
static void set_much_held(void) {
  mi_pressure_set(-1);                   /* so much may be made that looks are few */
}
static void look(void) { mi_pressure_look(&collector); }
static void set_small_budget(void) { mi_pressure_set(MI_MiB); }
static void looks_are_many(void) {
  look();
  CHECK(mi_pressure_hold(0, MI_MiB / 16));
}
static void budget_and_look(void) {
  mi_pressure_hold(0, 1024 * MI_GiB);
  steps_all(&(scenario_t){ set_much_held, { &look, &set_small_budget }, &looks_are_many }, 2);
}

TEST_MAIN("steps", TEST(destroy_same), TEST(destroy_other), TEST(destroy_single), TEST(pinned_lives),
          TEST(destroy_offset_mapping), TEST(destroy_offset), TEST(destroy_mapping), TEST(release_small),
          TEST(release_medium), TEST(release_offset_small), TEST(release_offset_medium), TEST(release_sized),
          TEST(release_looked_at), TEST(resize_small), TEST(resize_medium), TEST(resize_single),
          TEST(resize_single_down), TEST(resize_single_away), TEST(resize_mapping), TEST(resize_mapping_away),
          TEST(delete_small), TEST(delete_mapping), TEST(free_and_free),
          TEST(free_and_adopt), TEST(free_and_dig),
          TEST(adopt_and_again), TEST(free_and_home), TEST(free_and_give_up), TEST(free_and_abandon),
          TEST(dug_the_next_time), TEST(free_one_and_visit), TEST(free_and_visit_heap), TEST(keep_and_flush),
          TEST(twice_by_others), TEST(twice_and_home), TEST(twice_pooled), TEST(twice_medium),
          TEST(twice_single), TEST(twice_single_of_heap), TEST(twice_mapping), TEST(twice_mapping_of_heap),
          TEST(twice_offset), TEST(twice_offset_medium),
          TEST(twice_offset_single), TEST(twice_offset_mapping), TEST(heap_is_read_first),
          TEST(class_is_read_before), TEST(pooled_in_order), TEST(changed_in_order),
          TEST(born_in_order), TEST(new_arena), TEST(claimed_in_vain),
          TEST(budget_and_look))
