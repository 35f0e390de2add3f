/* Threads that come and go, blocks of random sizes that they hand to each other through shared slots, heaps
   that are made, shared, deleted and destroyed, reallocation, alignment; every block carries a pattern.
   When all is freed nothing may be left. Arguments: threads seconds seed; or STRESS_THREADS,
   STRESS_SECONDS, STRESS_SEED. */
#include <pthread.h>
#include <time.h>

#include "blocks.h"

enum { SLOTS = 1024, MINE = 64, MAX_THREADS = 64 };

static mi_atomic(void*) slots[SLOTS];
static mi_atomic(mi_heap_t*) shared;     /* one heap that all use in a round */
static mi_atomic(bool) stop;
static mi_atomic(uint64_t) noperations;

static void* random_block(uint64_t* r, mi_heap_t* heap) {
  const size_t size = random_size(r);
  const size_t align = (size_t)8 << test_random(r) % 10;
  void* p;
  switch (test_random(r) % 12) {
    case 0: p = zeroed(mi_zalloc(size), size); break;
    case 1: p = zeroed(mi_calloc(1, size), size); break;
    case 2: p = mi_malloc_aligned(size, align); break;
    case 3: p = mi_malloc_aligned_at(size, align, 8); break;
    case 4: p = zeroed(mi_zalloc_aligned_at(size, align, 24), size); break;
    case 5: case 6: p = mi_heap_malloc(heap, size); break;
    case 7: p = zeroed(mi_heap_zalloc(heap, size), size); break;
    default: p = mi_malloc(size);
  }
  return written(p, size, test_random(r));
}

static void* resized(void* p, uint64_t* r) {
  const size_t size = random_size(r);
  const head_t old = *(head_t*)p;
  checked(p);
  p = test_random(r) % 8 == 0 ? mi_realloc_aligned(p, size, 64) : mi_realloc(p, size);
  return moved(p, old, size, test_random(r));
}

/* A heap of one thread: blocks that stay in it die with it, and what is handed out lives on. */
static void own_heap(uint64_t* r) {
  mi_heap_t* heap = mi_heap_new();
  const bool destroys = test_random(r) % 2;
  void* p[40];
  for (int i = 0; i < 40; i++) {
    const size_t size = random_size(r);
    p[i] = written(mi_heap_malloc(heap, size), size, test_random(r));
    if (!destroys && i % 3 == 0) {
      release(mi_exchange_acq_rel(&slots[test_random(r) % SLOTS], p[i]));
      p[i] = NULL;
    }
  }
  for (int i = 0; i < 40; i += 2) { release(p[i]); p[i] = NULL; }
  if (destroys) { mi_heap_destroy(heap); return; }
  mi_heap_delete(heap);
  for (int i = 0; i < 40; i++) release(p[i]);
}

static void step(uint64_t* r, void** mine) {
  void** m = &mine[test_random(r) % MINE];
  mi_atomic(void*)* slot = &slots[test_random(r) % SLOTS];
  switch (test_random(r) % 64) {
    case 0: mi_collect(test_random(r) % 16 == 0); break;
    case 1: if (test_random(r) % 8 == 0) own_heap(r); break;
    case 2: case 3: case 4: case 5: if (*m != NULL) *m = resized(*m, r); break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13: *m = mi_exchange_acq_rel(slot, *m); break;
    case 14: case 15: case 16: case 17: release(mi_exchange_acq_rel(slot, NULL)); break;
    default:
      if (*m != NULL) { release(*m); *m = NULL; }
      else *m = random_block(r, mi_load_acquire(&shared));
  }
}

static void* worker(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  void* mine[MINE] = { NULL };
  const uint64_t n = 500 + test_random(&r) % 20000;
  for (uint64_t i = 0; i < n && !mi_load_relaxed(&stop); i++) step(&r, mine);
  for (int i = 0; i < MINE; i++) {       /* some are freed, some outlive the thread */
    if (i % 2) release(mine[i]);
    else release(mi_exchange_acq_rel(&slots[test_random(&r) % SLOTS], mine[i]));
  }
  mi_add_relaxed(&noperations, n);
  return NULL;
}

/* Only frees: never has a heap. */
static void* freer(void* arg) {
  uint64_t r = (uint64_t)(uintptr_t)arg;
  for (int i = 0; i < 3000; i++) release(mi_exchange_acq_rel(&slots[test_random(&r) % SLOTS], NULL));
  return NULL;
}

static void nothing_left(void) {
  for (int i = 0; i < SLOTS; i++) release(mi_exchange_acq_rel(&slots[i], NULL));
  mi_thread_done();
  mi_collect(true);
  test_nothing_left();
}

/* A round: a shared heap, threads one after another in each of n places, and then nobody. */
static void round_of(int n, uint64_t* r, time_t until) {
  pthread_t t[MAX_THREADS];
  mi_heap_t* heap = mi_heap_new();
  CHECK(heap != NULL);
  mi_store_release(&shared, heap);
  for (int i = 0; i < n; i++)
    CHECK_EQ(pthread_create(&t[i], NULL, &worker, (void*)(uintptr_t)test_random(r)), 0);
  for (int k = 0; k < 4 * n && time(NULL) < until; k++) {
    pthread_join(t[k % n], NULL);
    CHECK_EQ(pthread_create(&t[k % n], NULL, k % 5 == 0 ? &freer : &worker, (void*)(uintptr_t)test_random(r)),
             0);
  }
  mi_store_relaxed(&stop, time(NULL) >= until);
  if (test_random(r) % 2) {              /* its end, while others go on in the main heap and free */
    for (int i = 0; i < n; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < n; i++)
      CHECK_EQ(pthread_create(&t[i], NULL, &freer, (void*)(uintptr_t)test_random(r)), 0);
    mi_heap_delete(heap);
    heap = NULL;
  }
  for (int i = 0; i < n; i++) pthread_join(t[i], NULL);
  if (heap != NULL) mi_heap_delete(heap);
  nothing_left();
}

static long nthreads, seconds, seed;

static void stress(void) {
  uint64_t r = (uint64_t)seed;
  const time_t until = time(NULL) + seconds;
  alarm((unsigned)seconds * 4 + 900);
  int nrounds = 0;
  do { round_of((int)nthreads, &r, until); nrounds++; } while (time(NULL) < until);
  printf("# stress: %ld threads, seed %ld: %d rounds, %llu operations\n", nthreads, seed, nrounds,
         (unsigned long long)noperations);
}

int main(int argc, char** argv) {
  static const test_t tests[] = { TEST(stress) };
  nthreads = mi_min((size_t)argument(argc, argv, 1, "STRESS_THREADS", 4), MAX_THREADS);
  seconds = argument(argc, argv, 2, "STRESS_SECONDS", 4);
  seed = argument(argc, argv, 3, "STRESS_SEED", (long)time(NULL));
  return test_run("stress", tests, 1, 1, argv);
}
