/* Heaps that everybody makes, shares and ends: threads that come and go publish heaps in places, allocate
   from each other's, delete and destroy them while others free. When all is over nothing is left, and a late
   round needs no more memory than an early one. Arguments: threads seconds seed; or STRESS_THREADS,
   STRESS_SECONDS, STRESS_SEED.

   What makes it a legal program: who allocates from a heap is counted (place_enter, place_leave), and who
   ends it shuts the place and waits for these. Blocks of a heap that will be deleted go to `slots`, too,
   where anybody frees them at any time. Blocks of one that will be destroyed stay in the place, and who frees
   them is counted, so that it is before the end.

   What breaks this on purpose: in places with an arena of their own, racers free who are not counted. When
   the heap is destroyed meanwhile such a free is right or is reported, and does no harm; nobody else has
   memory of that arena. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "blocks.h"
#include "core/stats.h"
#include "include/mimalloc-stats.h"

enum { PLACES = 24, WITH_ARENA = 6, KEPT = 64, SLOTS = 1024, MAX_THREADS = 64, ARENA_BYTES = 4 << 20 };
/* the last: destroyed, which it does not allow */
typedef enum { DELETED, DESTROYED, NOT_DESTROYED, FATES } fate_t;

#define EMPTY (1u << 31)                 /* in xusers: there is no heap */
#define SHUT  (1u << 30)                 /* somebody makes or ends the heap */

typedef struct {
  mi_heap_t* heap;                       /* these two: written by who has it shut, read by users */
  fate_t fate;
  mi_arena_id_t arena;                   /* 0: any */
  mi_atomic(unsigned) xusers;            /* who allocate from the heap */
  mi_atomic(unsigned) xracers;           /* who free without being users */
  mi_atomic(bool) xdestroying;
  mi_atomic(void*) xkept[KEPT];
} place_t;

static place_t places[PLACES];
static mi_atomic(void*) slots[SLOTS];
static mi_atomic(bool) stop;
static mi_atomic(uint64_t) nended[FATES], nraces, nlate;

/* ---- errors: only from racers ---- */

static _Thread_local place_t* racing_in;

static void on_error(int err, void* arg) {
  (void)arg;
  if (err == ENOMEM) return;             /* an arena is full; seen where it may not be */
  if (racing_in == NULL || !mi_load_acquire(&racing_in->xdestroying) || (err != EAGAIN && err != EINVAL)) {
    printf("not ok heaps: error %d, %s\n", err, strerror(err));
    abort();
  }
  nlate++;
}

/* ---- places ---- */

static void place_begin(place_t* place, uint64_t* r) {
  unsigned none = EMPTY;
  if (!mi_cas_acq_rel(&place->xusers, &none, SHUT)) return;
  place->fate = (fate_t)(test_random(r) % FATES);
  place->heap = mi_heap_new_ex(7, place->fate != NOT_DESTROYED, place->arena);
  if (place->heap == NULL) wrong(place, "no heap");
  mi_store_release(&place->xusers, 0);
}

static bool place_enter(place_t* place) {
  unsigned n = mi_load_relaxed(&place->xusers);
  while ((n & (EMPTY | SHUT)) == 0) if (mi_cas_acquire(&place->xusers, &n, n + 1)) return true;
  return false;
}

static void place_leave(place_t* place) { place->xusers--; }

static void place_end(place_t* place) {
  unsigned n = mi_load_relaxed(&place->xusers);
  do if ((n & (EMPTY | SHUT)) != 0) return; while (!mi_cas_acquire(&place->xusers, &n, n | SHUT));
  while (mi_load_acquire(&place->xusers) != SHUT) sched_yield();
  const fate_t fate = place->fate;
  mi_store_release(&place->xdestroying, fate == DESTROYED);
  if (fate == DELETED) mi_heap_delete(place->heap); else mi_heap_destroy(place->heap);
  for (int i = 0; i < KEPT; i++) {  /* what racers did not get; it lives on in the main heap, or does not */
    void* p = mi_exchange_acq_rel(&place->xkept[i], NULL);
    if (fate == DESTROYED || p == NULL) continue;
    if (mi_heap_of(p) != mi_heap_get_backing()) wrong(p, "not in the main heap");
    release(p);
  }
  while (mi_load_acquire(&place->xracers) != 0) sched_yield();
  mi_store_relaxed(&place->xdestroying, false);
  nended[fate]++;
  mi_store_release(&place->xusers, EMPTY);
}

/* Frees some of its blocks, whatever happens to the heap. The blocks themselves are not touched:
   they may be gone. */
static void race(place_t* place, uint64_t* r) {
  void* p[8];
  place->xracers++;
  for (int i = 0; i < 8; i++)
    nraces += (p[i] = mi_exchange_acq_rel(&place->xkept[test_random(r) % KEPT], NULL)) != NULL;
  racing_in = place;
  for (int i = 0; i < 8; i++) {
    if (test_random(r) % 8 == 0) sched_yield();
    mi_free(p[i]);
  }
  racing_in = NULL;
  place->xracers--;
}

/* ---- users ---- */

static void hand_out(void* p, uint64_t* r) {
  release(mi_exchange_acq_rel(&slots[test_random(r) % SLOTS], p));
}

static void store(place_t* place, void* p, uint64_t* r) {
  const bool mine = mi_heap_of(p) == place->heap;       /* a realloc in place leaves a block where it was */
  if (!mine || (place->fate != DESTROYED && test_random(r) % 2)) hand_out(p, r);
  else release(mi_exchange_acq_rel(&place->xkept[test_random(r) % KEPT], p));
}

static void* block_in(mi_heap_t* heap, size_t size, uint64_t* r) {
  const size_t align = (size_t)8 << test_random(r) % 10;
  switch (test_random(r) % 8) {
    case 0: return zeroed(mi_heap_zalloc(heap, size), size);
    case 1: return zeroed(mi_heap_calloc(heap, 1, size), size);
    case 2: return mi_heap_malloc_aligned(heap, size, align);
    case 3: return zeroed(mi_heap_zalloc_aligned_at(heap, size, align, 24), size);
    default: return mi_heap_malloc(heap, size);
  }
}

static void allocate(place_t* place, bool as_default, uint64_t* r) {
  const size_t size = random_size(r);
  mi_heap_t* const old = as_default ? mi_heap_set_default(place->heap) : NULL;
  void* p = as_default ? mi_malloc(size) : block_in(place->heap, size, r);
  if (as_default && mi_heap_set_default(old) != place->heap) wrong(p, "another default heap");
  if (p == NULL && place->arena != 0) return;
  written(p, size, test_random(r));
  if (mi_heap_of(p) != place->heap || !mi_heap_contains_block(place->heap, p)) wrong(p, "of another heap");
  store(place, p, r);
}

/* A block of this heap, or one that anybody handed out. */
static void resize(place_t* place, mi_atomic(void*)* from, uint64_t* r) {
  void* p = mi_exchange_acq_rel(from, NULL);
  if (p == NULL) return;
  const size_t size = random_size(r);
  const head_t old = *(head_t*)p;
  checked(p);
  const bool handed_out = from >= slots && from < slots + SLOTS;
  if (handed_out && place->fate == DESTROYED && mi_heap_of(p) == place->heap)
    wrong(p, "taken for one of a new heap");
  void* q = mi_heap_realloc(place->heap, p, size);
  if (q == NULL && place->arena != 0) { store(place, p, r); return; }
  store(place, moved(q, old, size, test_random(r)), r);
}

static void use(place_t* place, uint64_t* r) {
  if (!place_enter(place)) return;
  for (unsigned n = test_random(r) % 8; n > 0; n--) {
    switch (test_random(r) % 16) {
      case 0: allocate(place, true, r); break;
      case 1: mi_heap_collect(place->heap, test_random(r) % 8 == 0); break;
      case 2: resize(place, &place->xkept[test_random(r) % KEPT], r); break;
      case 3: resize(place, &slots[test_random(r) % SLOTS], r); break;
      case 4: case 5: release(mi_exchange_acq_rel(&place->xkept[test_random(r) % KEPT], NULL)); break;
      default: allocate(place, false, r);
    }
  }
  place_leave(place);
}

static void step(uint64_t* r) {
  place_t* place = &places[test_random(r) % PLACES];
  const uint64_t kind = test_random(r) % 64;
  if (kind == 0) mi_collect(test_random(r) % 16 == 0);
  else if (kind == 1 && (mi_heap_count() > PLACES + 1 || mi_stats_words(NULL, 0) == 0))
    wrong(place, "statistics");
  else if (kind < 4) place_end(place);
  else if (kind < 8) place_begin(place, r);
  else if (kind < 12) race(&places[test_random(r) % WITH_ARENA], r);
  else if (kind < 22) release(mi_exchange_acq_rel(&slots[test_random(r) % SLOTS], NULL));
  else if (kind < 26) {
    const size_t size = random_size(r);
    hand_out(written(mi_malloc(size), size, test_random(r)), r);
  } else use(place, r);
}

static void* worker(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  for (uint64_t n = 200 + test_random(&r) % 3000; n > 0 && !mi_load_relaxed(&stop); n--) step(&r);
  return NULL;
}

/* ---- rounds ---- */

typedef struct { size_t rss, peak, reserved; } need_t;
static long nthreads, seconds, seed;

static void nothing_left(void) {
  for (int i = 0; i < PLACES; i++) place_end(&places[i]);
  for (int i = 0; i < SLOTS; i++) release(mi_exchange_acq_rel(&slots[i], NULL));
  mi_thread_done();
  mi_collect(true);
  test_nothing_left();
  CHECK_EQ(mi_heap_count(), 1);
  CHECK_EQ(mi_stats_use(0).blocks, 0);
  CHECK(mi_commit_totals.xcommitted <= ARENA_BYTES);     /* the user's own memory is never purged */
  CHECK(mi_owner_slots() <= (uint32_t)nthreads + 1);
}

/* Threads one after another in each of n places; when all have ended, `most` is the most
   that any round took. */
static void round_of(int n, uint64_t* r, time_t until, need_t* most) {
  pthread_t t[MAX_THREADS];
  mi_stats_reset();
  for (int k = 0; k < 4 * n; k++) {
    if (k >= n) pthread_join(t[k % n], NULL);
    CHECK_EQ(pthread_create(&t[k % n], NULL, &worker, (void*)(uintptr_t)test_random(r)), 0);
    if (k >= n) mi_store_relaxed(&stop, time(NULL) >= until);
  }
  for (int i = 0; i < n; i++) pthread_join(t[i], NULL);
  nothing_left();
  most->rss = mi_max(most->rss, test_rss());
  most->peak = mi_max(most->peak, mi_commit_totals.xpeak_committed);
  most->reserved = mi_max(most->reserved, mi_commit_totals.xreserved);
}

static void begin(void) {
  /* an arena of the user's own memory, and reserved ones */
  static uint8_t memory[ARENA_BYTES] mi_cachealign;
  mi_option_set(mi_option_abort_on_error, 0);
  mi_option_set(mi_option_show_errors, 0);
  mi_register_error(&on_error, NULL);
  for (int i = 0; i < PLACES; i++) {
    mi_store_relaxed(&places[i].xusers, EMPTY);
    if (i == 0)
      CHECK(mi_manage_os_memory_ex(memory, sizeof memory, true, false, true, -1, true, &places[i].arena));
    else if (i < WITH_ARENA)
      CHECK_EQ(mi_reserve_os_memory_ex(ARENA_BYTES, false, false, true, &places[i].arena), 0);
  }
}

static void say(int nrounds, const need_t* most) {
  printf("# heaps: %ld threads, seed %ld: %d rounds; %llu heaps deleted, %llu destroyed, %llu that may not "
         "be; %llu frees raced, %llu came too late; "
         "KiB: %zu resident, %zu at once, %zu reserved\n",
         nthreads, seed, nrounds, (unsigned long long)nended[DELETED], (unsigned long long)nended[DESTROYED],
         (unsigned long long)nended[NOT_DESTROYED], (unsigned long long)nraces, (unsigned long long)nlate,
         most->rss / MI_KiB, most->peak / MI_KiB, most->reserved / MI_KiB);
}

static void heaps(void) {
  uint64_t r = (uint64_t)seed;
  const time_t start = time(NULL), until = start + seconds;
  time_t said = start;
  need_t early = { 0 }, late = { 0 };
  int nearly = 0, nlater = 0;
  alarm((unsigned)seconds * 4 + 900);
  begin();
  do {
    const bool warming = nearly < 2 || time(NULL) - start <= seconds / 3;
    round_of((int)nthreads, &r, until, warming ? &early : &late);
    *(warming ? &nearly : &nlater) += 1;
    if (time(NULL) - said >= 10) { said = time(NULL); say(nearly + nlater, warming ? &early : &late); }
  } while (time(NULL) < until);
  say(nearly + nlater, nlater > 0 ? &late : &early);
  if (nlater == 0) return;                              /* too short to compare */
  CHECK_AT(TEST_SANITIZED || late.rss <= early.rss + 4 * MI_MiB, "rss was %zu, is %zu", early.rss, late.rss);
  CHECK_AT(late.peak <= 2 * early.peak + 16 * MI_MiB, "peak was %zu, is %zu", early.peak, late.peak);
  CHECK_AT(late.reserved <= 2 * early.reserved, "reserved was %zu, is %zu", early.reserved, late.reserved);
}

int main(int argc, char** argv) {
  static const test_t tests[] = { TEST(heaps) };
  nthreads = (long)mi_min((size_t)argument(argc, argv, 1, "STRESS_THREADS", 4), MAX_THREADS);
  seconds = argument(argc, argv, 2, "STRESS_SECONDS", 4);
  seed = argument(argc, argv, 3, "STRESS_SEED", (long)time(NULL));
  return test_run("heapstress", tests, 1, 1, argv);
}
