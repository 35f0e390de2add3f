/* unloaded LIBRARY  - opens the library, uses it and closes it again, as programs do with a plugin that is
   linked with it: the thread that purges and what is set up for the end of threads go on. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 64, SIZE = 1 << 20 };
static void* (*take)(size_t);
static void (*give)(void*);

static void* use(void* library) {
  void* block[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    if ((block[i] = take(SIZE)) == NULL) return NULL;
    memset(block[i], 1, SIZE);
  }
  for (int i = 0; i < BLOCKS; i++) give(block[i]);
  if (dlclose(library) != 0) return NULL;
  usleep(800000);                                /* more than two purge delays */
  return block[0];
}

int main(int argc, char** argv) {
  pthread_t t;
  void* done;
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (library == NULL) { puts(dlerror()); return 1; }
  *(void**)&take = dlsym(library, "mi_malloc");
  *(void**)&give = dlsym(library, "mi_free");
  if (take == NULL || give == NULL || pthread_create(&t, NULL, &use, library) != 0) return 2;
  return pthread_join(t, &done) == 0 && done != NULL ? 0 : 3;
}
