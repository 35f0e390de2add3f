/* See alloc.h. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "os.h"

size_t mi_size_good(size_t size) {
  if (size <= MI_MEDIUM_MAX) return mi_bin_size(mi_bin_of(size));
  return size > MI_SIZE_LIMIT ? size : mi_align_up(size, mi_os_page_size());
}

static void* malloc_zero(mi_lheap_t* lh, size_t size, bool* zero) {
  void* p = mi_lheap_malloc_queued(lh, size);
  *zero = false;
  if (mi_likely(p != NULL)) return p;
  if (mi_unlikely(size > MI_SIZE_LIMIT)) return mi_error_fail(MI_ERROR_TOO_LARGE, size);
  return mi_lheap_malloc_slow(lh, size, zero);
}

void* mi_lheap_malloc_generic(mi_lheap_t* lh, size_t size) {
  bool zero;
  return malloc_zero(lh, size, &zero);
}

void* mi_lheap_zalloc(mi_lheap_t* lh, size_t size) {
  bool zero;
  void* p = mi_lheap_zalloc_fast(lh, size);
  if (mi_likely(p != NULL)) return p;
  p = malloc_zero(lh, size, &zero);
  return p == NULL || zero ? p : memset(p, 0, mi_size_good(size));
}

bool mi_size_overflow(size_t size) { return mi_error_fail(MI_ERROR_TOO_LARGE, size) != NULL; }

void* mi_lheap_calloc(mi_lheap_t* lh, size_t n, size_t size) {
  size_t total;
  return mi_size_product(n, size, &total) ? mi_lheap_zalloc(lh, total) : NULL;
}

void* mi_lheap_mallocn(mi_lheap_t* lh, size_t n, size_t size) {
  size_t total;
  return mi_size_product(n, size, &total) ? mi_lheap_malloc(lh, total) : NULL;
}

static char* copy_text(mi_lheap_t* lh, const char* s, size_t length) {
  char* copy = mi_lheap_malloc(lh, length + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, s, length);
  copy[length] = 0;
  return copy;
}

char* mi_lheap_strdup(mi_lheap_t* lh, const char* s) { return s == NULL ? NULL : copy_text(lh, s, strlen(s)); }
char* mi_lheap_strndup(mi_lheap_t* lh, const char* s, size_t n) { return s == NULL ? NULL : copy_text(lh, s, strnlen(s, n)); }

char* mi_lheap_realpath(mi_lheap_t* lh, const char* name, char* resolved) {
  char buffer[PATH_MAX];
  if (resolved != NULL) return realpath(name, resolved);
  return realpath(name, buffer) == NULL ? NULL : mi_lheap_strdup(lh, buffer);
}
