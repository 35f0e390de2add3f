/* Random operations of eight owners, played by one thread, against a shadow of what must be live: where, how
   large, with what inside, in which heap. Reproducible: arguments seed and number of operations (or
   FUZZ_SEED, FUZZ_OPERATIONS). A failure prints the operation's number; the same seed repeats it. */
#include "core/heap.h"
#include "test.h"

enum { BLOCKS = 700, HEAPS = 4 };

typedef struct { uint8_t* p; size_t size; uint64_t seed; int heap; } shadow_t;     /* heap 0: the main one */
static shadow_t shadow[BLOCKS];
static mi_heap_t* heaps[HEAPS + 1];
static uint64_t r;
static long operation;

static uint64_t random_below(uint64_t n) { return test_random(&r) % n; }
static int someone(void) { return (int)random_below(NOWNERS); }

#define MUST(x) CHECK_AT(x, "operation = %ld", operation)

static size_t shown(const shadow_t* s) { return mi_min(s->size, 300); }

static void overlaps_nobody(const shadow_t* s) {
  for (const shadow_t* o = shadow; o < shadow + BLOCKS; o++) {
    if (o != s && o->p != NULL) MUST(s->p + s->size <= o->p || o->p + o->size <= s->p);
  }
}

static void fill(shadow_t* s) {
  MUST(s->p != NULL && mi_block_usable(s->p) >= s->size);
  overlaps_nobody(s);
  s->seed = test_random(&r);
  test_fill(s->p, shown(s), s->seed);
}

static size_t random_size(void) {
  const uint64_t kind = random_below(200);
  return random_below(kind < 150 ? 600 : kind < 190 ? 10000 : kind < 199 ? 200000 : 3 * MI_MiB);
}

static mi_lheap_t* lheap_of(int heap, int owner) {
  return heap == 0 ? &owners[owner]->main : mi_heap_lheap(heaps[heap], owners[owner]);
}

static void allocate(shadow_t* s) {
  s->heap = random_below(3) == 0 ? (int)random_below(HEAPS + 1) : 0;
  if (heaps[s->heap] == NULL) s->heap = 0;
  mi_lheap_t* lh = lheap_of(s->heap, someone());
  s->size = random_size();
  const bool zero = random_below(4) == 0;
  if (random_below(6) == 0) {
    const size_t align = (size_t)1 << random_below(20), offset = random_below(2) * random_below(5000);
    s->p = mi_aligned_block(lh, s->size, align, offset, zero);
    MUST(((uintptr_t)s->p + offset) % align == 0);
  }
  else s->p = zero ? mi_alloc_zalloc(lh, s->size) : mi_alloc_malloc(lh, s->size);
  if (zero) MUST(test_all(s->p, s->size, 0));
  fill(s);
}

static void check_block(const shadow_t* s) {
  MUST(test_filled(s->p, shown(s), s->seed) && mi_block_usable(s->p) >= s->size);
}

static void release(shadow_t* s) {
  check_block(s);
  o_free(someone(), s->p);
  s->p = NULL;
}

static void resize(shadow_t* s) {
  check_block(s);
  const size_t old = s->size, usable = mi_block_usable(s->p);
  const bool zero = random_below(3) == 0;
  const int heap = heaps[s->heap] != NULL || s->heap == 0 ? s->heap : 0;
  s->size = random_size();
  uint8_t* before = s->p;
  s->p = mi_realloc_block(lheap_of(heap, someone()), s->p, s->size, 0, 0, zero);
  MUST(s->p != NULL && test_filled(s->p, mi_min(mi_min(old, s->size), 300), s->seed));
  if (zero && s->size > usable) MUST(test_all(s->p + usable, s->size - usable, 0));
  if (s->p != before) s->heap = heap;
  fill(s);
}

static void heap_step(void) {
  const int h = 1 + (int)random_below(HEAPS);
  if (heaps[h] == NULL) { MUST((heaps[h] = mi_heap_make(MI_ARENA_NONE, 0, true)) != NULL); return; }
  const bool keep = random_below(2);
  for (shadow_t* s = shadow; s < shadow + BLOCKS; s++) {
    if (s->p == NULL || s->heap != h) continue;
    check_block(s);
    if (keep) s->heap = 0; else s->p = NULL;
  }
  mi_heap_end(heaps[h], keep);
  heaps[h] = NULL;
}

static void owner_step(void) {
  const int o = someone();
  if (random_below(3) != 0) { mi_owner_drain(owners[o], random_below(2)); return; }
  mi_owner_end(owners[o]);
  MUST((owners[o] = mi_owner_begin(MI_OWNER_CAPABILITY, mi_id_of_capability((uint32_t)o))) != NULL);
}

static void check_everything(void) {
  size_t live = 0, mappings = mi_load_relaxed(&mi_commit_totals.xmappings);
  for (shadow_t* s = shadow; s < shadow + BLOCKS; s++) if (s->p != NULL) { check_block(s); live++; }
  MUST(mi_check_all() == 0);
  if (MI_CHECK >= 2) MUST(mi_check_live_blocks() == live || mi_check_live_blocks() + mappings == live);
}

static void step(void) {
  shadow_t* s = &shadow[random_below(BLOCKS)];
  switch (random_below(100)) {
    case 0: if (random_below(10) == 0) heap_step(); break;
    case 1: if (random_below(3) == 0) owner_step(); break;
    case 2: mi_purger_run(random_below(4) == 0); break;
    case 3: case 4: case 5: case 6: case 7: case 8: case 9: if (s->p != NULL) resize(s); break;
    default: if (s->p != NULL) release(s); else allocate(s);
  }
  if (operation % 5000 == 0) check_everything();
}

static long noperations;
static void fuzz(void) {
  mi_option_set(mi_option_purge_delay, (long)random_below(3) - 1);
  owners_begin();
  for (operation = 1; operation <= noperations; operation++) step();
  for (int h = 1; h <= HEAPS; h++) if (heaps[h] != NULL) mi_heap_end(heaps[h], true);
  for (shadow_t* s = shadow; s < shadow + BLOCKS; s++) if (s->p != NULL) release(s);
  owners_end();
  test_nothing_left();
}

static long argument(int argc, char** argv, int i, const char* name, long otherwise) {
  const char* text = argc > i ? argv[i] : getenv(name);
  return text != NULL ? atol(text) : otherwise;
}

/* Five seeds, one after the other. */
int main(int argc, char** argv) {
  const long first = argument(argc, argv, 1, "FUZZ_SEED", 1);
  noperations = argument(argc, argv, 2, "FUZZ_OPERATIONS", 100000);
  int bad = 0;
  for (long seed = first; seed < first + 5; seed++) {
    char name[40];
    snprintf(name, sizeof name, "seed %ld", seed);
    const test_t tests[] = { { name, &fuzz } };
    r = (uint64_t)seed;
    bad |= test_run("fuzz", tests, 1, 1, argv);
  }
  return bad;
}
