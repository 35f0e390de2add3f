/* Loads a library that is written in Haskell, uses it, closes it, and goes on: threads that have used it end
   afterwards. With a second argument the library used several capabilities just before, so many
   microseconds. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4 };
static int (*work)(void);
static void (*thread_done)(void);
static pthread_barrier_t used, closed;

static void* find(void* library, const char* name) {
  void* p = dlsym(library, name);
  if (p == NULL) { fprintf(stderr, "no %s: %s\n", name, dlerror()); exit(2); }
  return p;
}

static void* run(void* bad) {
  if (work() != 0) *(int*)bad = 1;
  thread_done();
  pthread_barrier_wait(&used);
  pthread_barrier_wait(&closed);
  return NULL;
}

int main(int argc, char** argv) {
  pthread_t threads[THREADS];
  static int bad[THREADS];
  int count = 1;
  char* args[] = { argv[0], NULL }, **all = args;
  void* library = argc < 2 ? NULL : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) { fprintf(stderr, "%s\n", argc < 2 ? "no library" : dlerror()); return 2; }
  work = (int (*)(void))find(library, "exported_work");
  thread_done = (void (*)(void))find(library, "hs_thread_done");
  void (*spread)(void) = (void (*)(void))find(library, "exported_spread");
  void (*begin)(int*, char***) = (void (*)(int*, char***))find(library, "hs_init");
  void (*end)(void) = (void (*)(void))find(library, "hs_exit");
  begin(&count, &all);
  pthread_barrier_init(&used, NULL, THREADS + 1);
  pthread_barrier_init(&closed, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, &run, &bad[i]);
  if (work() != 0) return 3;
  pthread_barrier_wait(&used);
  if (argc > 2) {
    spread();
    usleep((useconds_t)atoi(argv[2]));
  }
  end();
  if (dlclose(library) != 0) { fprintf(stderr, "%s\n", dlerror()); return 4; }
  pthread_barrier_wait(&closed);
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    if (bad[i]) return 5;
  }
  sleep(1);                              /* some rounds of the thread that gives memory back */
  printf("fine\n");
  return 0;
}
