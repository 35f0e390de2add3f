/* No thread is made with attributes while `refused` counts them, as if the system had no more: the library's
   own are made so, GHC's are not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_int refuses, refused;

void refuse(int yes) { refuses = yes; }
int refused_so_far(void) { return refused; }

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* arg) {
  int (*create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  *(void**)&create = dlsym(RTLD_NEXT, "pthread_create");
  if (attributes == NULL || !refuses) return create(thread, attributes, run, arg);
  refused++;
  return EAGAIN;
}
