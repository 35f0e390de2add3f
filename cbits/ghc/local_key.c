/* local.h by a thread key. A place is of the thread whose thread pointer stands beside it. Most threads
   have the place that their thread pointer says (index_of); to the others the key leads. Where there is no
   key, or no memory for it, the places are searched. Any thread; it allocates nothing, takes no lock, and
   calls nothing that asks which thread it is, since allocations, locks and that question call it. A thread
   that ends gives its place back after its heap has ended (thread.c has a key of its own). If it cannot, the
   next thread that has this thread pointer goes on with what stands there. */
#include <pthread.h>

#include "core/local.h"
#include "core/os.h"
#include "include/mimalloc.h"

enum { PLACES = 512 };
typedef struct {
  mi_atomic(uintptr_t) xthread;             /* a thread pointer; 0: free */
  mi_local_t local;
  char pad[256 - sizeof(mi_atomic(uintptr_t)) - sizeof(mi_local_t)];  /* a power of two is found by a shift */
} place_t;
typedef struct places_s {
  place_t places[PLACES];
  struct places_s* next;
} places_t;

static places_t first;
static mi_atomic(places_t*) xmore;          /* pushed, never taken away */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static mi_atomic(bool) xhas_key;

static uintptr_t self(void) { return (uintptr_t)__builtin_thread_pointer(); }

/* Where a thread looks first, and what it takes if that is free. Thread pointers lie a stack and its
   guard page apart. */
static size_t index_of(uintptr_t thread) { return thread >> 12 & (PLACES - 1); }

/* The place of `thread`, which is the caller's thread pointer, or 0 for one that is free and
   becomes its own. */
static mi_local_t* place_in(places_t* places, uintptr_t thread) {
  const size_t home = index_of(self());
  for (size_t n = 0; n < PLACES; n++) {
    place_t* place = &places->places[(home + n) % PLACES];
    /* mine was written by me, or by who had this thread pointer and has ended */
    uintptr_t found = mi_load_relaxed(&place->xthread);
    if (found != thread) continue;
    if (thread != 0) return &place->local;
    if (!mi_cas_acquire(&place->xthread, &found, self())) continue;       /* pairs with place_leave */
    place->local = (mi_local_t)MI_LOCAL_INIT;
    return &place->local;
  }
  return NULL;
}

static mi_local_t* place_of(uintptr_t thread) {
  mi_local_t* local = place_in(&first, thread);
  places_t* p = mi_load_acquire(&xmore);                                  /* pairs with places_grow */
  for (; local == NULL && p != NULL; p = p->next) local = place_in(p, thread);
  return local;
}

/* False: no memory. */
static bool places_grow(void) {
  const size_t size = mi_align_up(sizeof(places_t), mi_os_page_size());
  places_t* p = mi_os_reserve(size, mi_os_page_size());
  if (p == NULL) return false;
  if (!mi_os_commit(p, size)) { mi_os_release(p, size); return false; }
  p->next = mi_load_relaxed(&xmore);                                      /* the swap decides */
  while (!mi_cas_release(&xmore, &p->next, p)) {}                         /* pairs with place_of */
  return true;
}

static void place_leave(mi_local_t* local) {
  place_t* place = (place_t*)(void*)((char*)local - offsetof(place_t, local));
  mi_store_release(&place->xthread, 0);                                   /* pairs with place_in */
}

void mi_local_after_fork(void) {
  /* one thread only */
  for (places_t* p = &first; p != NULL; p = p == &first ? mi_load_relaxed(&xmore) : p->next) {
    for (place_t* place = p->places; place < &p->places[PLACES]; place++) {
      /* one thread only */
      if (mi_load_relaxed(&place->xthread) != self()) mi_store_relaxed(&place->xthread, 0);
    }
  }
}

/* Keys' destructors are called again as long as there are values, but not for ever. */
static void thread_ends(void* arg) {
  mi_local_t* local = arg;
  if (local->lheap != &mi_lheap_empty) pthread_setspecific(key, local);
  else place_leave(local);
}

/* pairs with mi_local_by_key */
static void make_key(void) { mi_store_release(&xhas_key, pthread_key_create(&key, &thread_ends) == 0); }

/* A handler of a signal may come in between: it finds the same place. */
mi_cold static mi_local_t* place_begin(void) {
  mi_local_t* local = place_of(self());
  pthread_once(&once, &make_key);
  while (local == NULL && (local = place_of(0)) == NULL) {
    /* Until another thread ends; asleep, since mi_os_yield asks which thread it is. */
    if (!places_grow()) mi_os_sleep_ms(1);
  }
  if (mi_load_relaxed(&xhas_key)) pthread_setspecific(key, local);        /* shown by pthread_once */
  return local;
}

mi_local_t* mi_local_by_key(void) {
  const uintptr_t thread = self();
  place_t* home = &first.places[index_of(thread)];
  if (mi_likely(mi_load_relaxed(&home->xthread) == thread)) return &home->local;  /* mine, as in place_in */
  /* pairs with make_key */
  mi_local_t* local = mi_likely(mi_load_acquire(&xhas_key)) ? pthread_getspecific(key) : NULL;
  return mi_likely(local != NULL) ? local : place_begin();
}
