/* Bytes that nobody wrote, moved about: a program may copy what it never set, also to the start of a block,
   and whatever the allocator left there is copied with it. Every free must be accepted, every block have its
   size, and what a block's user did write must stay. Sizes change all the while, so that pages are born again
   with blocks of other sizes. Played by eight owners in one thread, with heaps that are deleted and
   destroyed, and by threads that pass blocks on. BYTES_OPERATIONS: of all tests together; BYTES_SEED:
   another run. */
#include <pthread.h>

#include "test.h"

enum { BLOCKS = 1000, HEAPS = 3, THREADS = 4, PASSED = 64, PHASE = 4000, TESTS = 3 };

typedef struct { uint8_t* p; size_t size; uint64_t stamp; int heap; } own_t;       /* heap 0: the main one */
typedef struct {
  uint64_t r;
  size_t sizes[3];                       /* what is asked for at present, or near to it */
  own_t own[BLOCKS];
  mi_heap_t* heaps[HEAPS + 1];
  bool played;                           /* by owners; else by the thread that it belongs to */
} player_t;

static long noperations, seed;
static size_t below(player_t* a, size_t n) { return test_random(&a->r) % n; }
static mi_owner_t* someone(player_t* a) { return owners[below(a, NOWNERS)]; }

/* ---- blocks: the last word is the stamp, all before it is left as it was, or is moved ---- */

static void stamp(player_t* a, own_t* o) {
  CHECK(o->p != NULL);
  o->stamp = test_random(&a->r);
  memcpy(o->p + o->size - 8, &o->stamp, 8);
}

static void check_block(own_t* o) {
  CHECK(memcmp(o->p + o->size - 8, &o->stamp, 8) == 0);
  CHECK_AT(mi_block_usable(o->p) >= o->size, "size = %zu", o->size);
}

static size_t some_size(player_t* a) { return 16 + a->sizes[below(a, 3)] - below(a, 8); }

static void new_phase(player_t* a) {
  for (int i = 0; i < 3; i++) a->sizes[i] = 8 + below(a, below(a, 4) == 0 ? 3000 : 200);
  if (below(a, 8) == 0) a->sizes[0] = 70000 + below(a, 200000);
}

static void allocate(player_t* a, own_t* o) {
  const size_t offset = below(a, 20) == 0 ? 8 : 0;
  o->size = some_size(a);
  o->heap = below(a, 4) == 0 ? 1 + (int)below(a, HEAPS) : 0;
  if (a->heaps[o->heap] == NULL) o->heap = 0;
  if (!a->played)
    o->p = o->heap != 0  ? mi_heap_malloc(a->heaps[o->heap], o->size)
           : offset != 0 ? mi_malloc_aligned_at(o->size, 64, 8)
                         : mi_malloc(o->size);
  else {
    mi_owner_t* owner = someone(a);
    mi_lheap_t* lh = o->heap == 0 ? &owner->main : mi_heap_lheap(a->heaps[o->heap], owner);
    o->p = offset != 0 ? mi_aligned_block(lh, o->size, 64, offset, false) : mi_alloc_malloc(lh, o->size);
  }
  stamp(a, o);
}

static void release(player_t* a, own_t* o) {
  check_block(o);
  if (!a->played) mi_free(o->p);
  else {
    mi_owner_t* owner = someone(a);
    mi_free_as(o->p, owner, owner->id);
  }
  o->p = NULL;
}

static void resize(player_t* a, own_t* o) {
  const uint64_t was = o->stamp;
  const size_t old = o->size;
  check_block(o);
  o->size = some_size(a);
  uint8_t* p =
      a->played ? mi_realloc_block(&someone(a)->main, o->p, o->size, 0, 0, false) : mi_realloc(o->p, o->size);
  if (o->size >= old) CHECK(memcmp(p + old - 8, &was, 8) == 0);
  if (p != o->p) o->heap = 0;
  o->p = p;
  stamp(a, o);
}

/* Bytes of one block to another, most often to its start: some words, as if a struct were copied. */
static void move(player_t* a) {
  own_t *from = &a->own[below(a, BLOCKS)], *to = &a->own[below(a, BLOCKS)];
  if (from->p == NULL || to->p == NULL) return;
  const size_t room = mi_min(from->size, to->size) - 8;
  const size_t n = mi_min(8 + 8 * below(a, 8), room);
  const size_t at = below(a, (from->size - 8 - n) / 8 + 1) * 8,
               to_at = below(a, 4) != 0 ? 0 : below(a, (to->size - 8 - n) / 8 + 1) * 8;
  memmove(to->p + to_at, from->p + at, n);
}

/* Each word of one block to the starts of others: whatever stands in it. */
static void scatter(player_t* a) {
  own_t* from = &a->own[below(a, BLOCKS)];
  if (from->p == NULL) return;
  for (size_t at = 8; at + 16 <= mi_min(from->size, 600); at += 8) {
    own_t* to = &a->own[below(a, BLOCKS)];
    if (to->p != NULL && to != from) memcpy(to->p, from->p + at, 8);
  }
}

/* ---- heaps and owners ---- */

static void heap_step(player_t* a) {
  const int h = 1 + (int)below(a, HEAPS);
  if (a->heaps[h] == NULL) {
    CHECK((a->heaps[h] = a->played ? mi_heap_make(MI_ARENA_NONE, 0, true) : mi_heap_new()) != NULL);
    return;
  }
  const bool keep = below(a, 2);
  for (own_t* o = a->own; o < a->own + BLOCKS; o++) {
    if (o->p == NULL || o->heap != h) continue;
    check_block(o);
    if (keep) o->heap = 0; else o->p = NULL;
  }
  if (a->played) mi_heap_end(a->heaps[h], keep);
  else if (keep) mi_heap_delete(a->heaps[h]);
  else mi_heap_destroy(a->heaps[h]);
  a->heaps[h] = NULL;
}

static void collect_step(player_t* a) {
  if (!a->played) { mi_collect(below(a, 32) == 0); return; }  /* by force it purges: nothing is left then */
  const size_t i = below(a, NOWNERS);
  if (below(a, 4) != 0) { mi_owner_drain(owners[i], below(a, 2)); return; }
  mi_owner_end(owners[i]);
  CHECK((owners[i] = mi_owner_begin(MI_OWNER_CAPABILITY, mi_id_of_capability((uint32_t)i))) != NULL);
}

/* Of the main heap, for another thread, which frees it; takes one in its place. */
static mi_atomic(uint8_t*) passed[PASSED];
static void pass_on(player_t* a, own_t* o) {
  if (o->heap != 0 || a->played) return;
  mi_free(mi_exchange_acq_rel(&passed[below(a, PASSED)], o->p));          /* pairs with itself */
  o->p = NULL;
}

/* ---- the test ---- */

static void step(player_t* a) {
  own_t* o = &a->own[below(a, BLOCKS)];
  const size_t what = below(a, 1000);
  if (what < 350) move(a);
  else if (what < 380) scatter(a);
  else if (what < 382) heap_step(a);
  else if (what < 384) collect_step(a);
  else if (o->p == NULL) allocate(a, o);
  else if (what < 450) resize(a, o);
  else if (what < 500) pass_on(a, o);
  else if (what < 520) check_block(o);
  else release(a, o);
}

static void play(player_t* a, uint64_t first, long n) {
  a->r = first;
  for (long i = 0; i < n; i++) {
    if (i % PHASE == 0) new_phase(a);
    step(a);
    if (a->played && i % (500 * (long)PHASE) == 0) CHECK_EQ(mi_check_all(), 0);
  }
  for (own_t* o = a->own; o < a->own + BLOCKS; o++) if (o->p != NULL) release(a, o);
  for (int h = 1; h <= HEAPS; h++)
    if (a->heaps[h] != NULL) {
      if (a->played) mi_heap_end(a->heaps[h], true);
      else mi_heap_delete(a->heaps[h]);
    }
}

static player_t players[THREADS];

static void by_owners_for(long delay) {
  alarm(0);  /* as long as it takes: whoever runs the suite has a limit */
  mi_option_set(mi_option_purge_delay, delay);
  owners_begin();
  players[0].played = true;
  play(&players[0], (uint64_t)seed * 3 + (uint64_t)delay, noperations / TESTS);
  owners_end();
  test_nothing_left();
}
static void by_owners(void) { by_owners_for(10); }
static void by_owners_purging_at_once(void) { by_owners_for(0); }

static void* thread(void* arg) {
  player_t* a = arg;
  play(a, (uint64_t)seed * 100 + (uint64_t)(a - players), noperations / TESTS / THREADS);
  return NULL;
}

static void by_threads(void) {
  pthread_t t[THREADS];
  alarm(0);
  mi_option_set(mi_option_purge_delay, 10);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, &thread, &players[i]), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < PASSED; i++) mi_free(passed[i]);
  mi_collect(true);
  test_nothing_left();
}

int main(int argc, char** argv) {
  static const test_t tests[TESTS] = { TEST(by_owners), TEST(by_owners_purging_at_once), TEST(by_threads) };
  const char* n = getenv("BYTES_OPERATIONS");
  const char* s = getenv("BYTES_SEED");
  noperations = n != NULL ? atol(n) : 1500000;
  seed = s != NULL ? atol(s) : 1;
  return test_run("bytes", tests, TESTS, argc, argv);
}
