/* Copies of strings and of the environment, and C++'s new: mimalloc.h. Any thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/os.h"
#include "core/os_object.h"
#include "include/mimalloc.h"
#include "thread.h"

/* ---- strings ---- */

unsigned short* mi_wcsdup(const unsigned short* s) {
  size_t n = 0;
  if (s == NULL) return NULL;
  while (s[n] != 0) n++;
  unsigned short* copy = mi_mallocn(n + 1, sizeof *s);
  return copy == NULL ? NULL : memcpy(copy, s, (n + 1) * sizeof *s);
}

unsigned char* mi_mbsdup(const unsigned char* s) { return (unsigned char*)mi_strdup((const char*)s); }

int mi_dupenv_s(char** buf, size_t* size, const char* name) {
  const int saved = errno;
  if (buf == NULL || name == NULL) return EINVAL;
  if (size != NULL) *size = 0;
  *buf = NULL;
  const char* value = mi_os_getenv(name);
  if (value == NULL) return 0;
  *buf = mi_strdup(value);
  errno = saved;
  if (*buf == NULL) return ENOMEM;
  if (size != NULL) *size = strlen(value) + 1;
  return 0;
}

int mi_wdupenv_s(unsigned short** buf, size_t* size, const unsigned short* name) {
  (void)name;
  if (buf != NULL) *buf = NULL;
  if (size != NULL) *size = 0;
  return EINVAL;
}

/* ---- C++ ---- */

/* libstdc++'s and libc++'s, where they were there when this was loaded. A C program may have loaded them
   since, with a plugin. */
typedef void (*handler_t)(void);
extern handler_t _ZSt15get_new_handlerv(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak));

static handler_t new_handler(void) {
  handler_t (*get)(void) = &_ZSt15get_new_handlerv;
  if (get == NULL) *(void**)&get = mi_os_cxx_function("_ZSt15get_new_handlerv");
  return get == NULL ? NULL : get();
}

static _Noreturn void throw_bad_alloc(void) {
  void (*throws)(void) = &_ZSt17__throw_bad_allocv;
  if (throws == NULL) *(void**)&throws = mi_os_cxx_function("_ZSt17__throw_bad_allocv");
  if (throws != NULL) throws();
  abort();                               /* there is nobody who could catch */
}

/* No memory: the new-handler may make some (true: try again); without one, throw unless told not to. */
static bool new_failed(bool nothrow) {
  const handler_t handler = new_handler();
  if (handler != NULL) { handler(); return true; }
  if (nothrow) return false;
  throw_bad_alloc();
}

/* A handler is asked where memory is short, not where it cannot help. */
static bool try_again(bool nothrow) {
  if (errno == ENOMEM) return new_failed(nothrow);
  if (!nothrow) throw_bad_alloc();
  return false;
}

/* Nor can it where a product of sizes is more than there can ever be. */
static size_t product(size_t n, size_t size) {
  size_t total;
  if (mi_unlikely(!mi_mul(n, size, &total) || total > PTRDIFF_MAX)) throw_bad_alloc();
  return total;
}

static void* new_slow(size_t size, size_t align, bool nothrow) {
  void* p;
  do p = mi_malloc_aligned(size, align);
  while (mi_unlikely(p == NULL) && try_again(nothrow));
  return p;
}

void* mi_new(size_t size) {
  void* p = mi_alloc_malloc_fast(mi_local()->lheap, size);
  return mi_likely(p != NULL) ? p : new_slow(size, 1, false);
}
void* mi_new_nothrow(size_t size) { return new_slow(size, 1, true); }
void* mi_new_aligned(size_t size, size_t align) { return new_slow(size, align, false); }
void* mi_new_aligned_nothrow(size_t size, size_t align) { return new_slow(size, align, true); }

void* mi_new_n(size_t n, size_t size) { return mi_new(product(n, size)); }

static void* heap_new(mi_heap_t* heap, size_t size) {
  void* p;
  do p = mi_heap_malloc(heap, size);
  while (mi_unlikely(p == NULL) && try_again(false));
  return p;
}
void* mi_heap_alloc_new(mi_heap_t* heap, size_t size) { return heap_new(heap, size); }
void* mi_heap_alloc_new_n(mi_heap_t* heap, size_t n, size_t size) {
  return heap_new(heap, product(n, size));
}

void* mi_new_realloc(void* p, size_t newsize) {
  void* q;
  do q = mi_realloc(p, newsize);
  while (mi_unlikely(q == NULL) && try_again(false));
  return q;
}

void* mi_new_reallocn(void* p, size_t n, size_t size) { return mi_new_realloc(p, product(n, size)); }
