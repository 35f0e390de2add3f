/* Forks, from the main thread and from another, while a third one works in the library, and with blocks and
   a heap that all share. Each child works in the library, frees what it inherited, visits, takes statistics,
   ends the heap, and makes a thread. FORKS of each kind. What is not the C library's is found by its
   name when this runs; or (LINKED) linked. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mimalloc.h"
#include "mimalloc-stats.h"

void library_work(void);

#ifdef LINKED
#define NAME(f) f
#else
#define NAME(f) ((__typeof__(&f))named(#f))
static void* named(const char* name) {
  void* f = dlsym(RTLD_DEFAULT, name);
  if (f == NULL) _exit(3);
  return f;
}
#endif

enum { SLOTS = 64 };
static int stop;
static long nforks;
static mi_heap_t* shared;                /* none ends it but a child */
static void* slots[SLOTS];

static void put(int i, void* p) { free(__atomic_exchange_n(&slots[i % SLOTS], p, __ATOMIC_ACQ_REL)); }

static void* work(void* arg) {
  for (int i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
    library_work();
    for (int k = 0; k < 16; k++) {
      const size_t size = k == 0 ? 300000 : (size_t)(i * 16 + k) % 20000;
      put(i * 31 + k, k % 2 ? malloc(size) : NAME(mi_heap_malloc)(shared, size));
    }
  }
  return arg;
}

static void* nothing(void* arg) { free(malloc(100)); return arg; }

static bool count(const mi_heap_t* heap, const mi_heap_area_t* area, void* p, size_t size, void* n) {
  (void)heap, (void)area, (void)size;
  *(size_t*)n += p != NULL;
  return true;
}

static void in_child(int i) {
  char text[100];
  size_t n = 0;
  pthread_t t;
  alarm(60);
  library_work();
  for (int k = 0; k < SLOTS; k++) put(k, NULL);
  if (!NAME(mi_heap_visit_blocks)(shared, true, &count, &n)) _exit(4);
  if (!NAME(mi_heap_visit_blocks)(NAME(mi_heap_get_backing)(), true, &count, &n)) _exit(5);
  if (NAME(mi_stats_get_json)(sizeof text, text) == NULL) _exit(6);
  (i % 2 ? NAME(mi_heap_destroy) : NAME(mi_heap_delete))(shared);
  if (pthread_create(&t, NULL, &nothing, NULL) != 0 || pthread_join(t, NULL) != 0) _exit(2);
  library_work();
  _exit(0);
}

static void* fork_often(void* arg) {
  for (int i = 0; i < nforks; i++) {
    int status;
    const pid_t pid = fork();
    if (pid == 0) in_child(i);
    if (waitpid(pid, &status, 0) != pid || status != 0) _exit(status > 255 ? status >> 8 : 1);
  }
  return arg;
}

int main(void) {
  pthread_t worker, forker;
  nforks = getenv("FORKS") != NULL ? atol(getenv("FORKS")) : 200;
  alarm((unsigned)(300 + 2 * nforks));
  shared = NAME(mi_heap_new)();
  for (int i = 0; i < SLOTS; i++) put(i, NAME(mi_heap_malloc)(shared, (size_t)i * 1000));
  fork_often(NULL);
  if (pthread_create(&worker, NULL, &work, NULL) != 0) return 1;
  fork_often(NULL);
  if (pthread_create(&forker, NULL, &fork_often, NULL) != 0) return 1;
  pthread_join(forker, NULL);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  pthread_join(worker, NULL);
  return 0;
}
