/* A program that knows malloc and its like only, and mimalloc-override.h: its blocks are ours. Linked without
   what replaces the C library's functions. Compiled as C and as C++. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include <mimalloc-override.h>

/* Names that are not called stay. */
struct pool { void* (*malloc)(size_t size); int free; };

static int bad;
static void failed(int line) {
  bad = 1;
  printf("not ok override: line %d\n", line);
}
#define CHECK(condition) ((condition) ? (void)0 : failed(__LINE__))

static bool ours(const void* p, size_t size) {
  return p != NULL && mi_is_in_heap_region(p) && malloc_usable_size((void*)p) >= size;
}

static void test_blocks(void) {
  char* p = (char*)malloc(100);
  CHECK(ours(p, 100));
  p = (char*)realloc(p, 1000);
  CHECK(ours(p, 1000));
  p = (char*)reallocarray(p, 100, 100);
  CHECK(ours(p, 10000) && malloc_good_size(10000) >= 10000 && malloc_size(p) >= 10000);
  CHECK(reallocarr(&p, 10, 10) == 0);
  p = (char*)reallocf(p, 20);
  CHECK(ours(p, 20));
  free(p);
  p = (char*)calloc(10, 10);
  CHECK(ours(p, 100) && p[99] == 0);
  free_sized(p, 100);
  void* own = (malloc)(10);                               /* not a call of the macro */
  CHECK(own != NULL && !mi_is_in_heap_region(own));
  cfree(own);                                             /* nothing, since it is not ours */
  (free)(own);
}

static void test_aligned(void) {
  void* p = NULL;
  CHECK(posix_memalign(&p, 64, 100) == 0 && ours(p, 100) && (uintptr_t)p % 64 == 0);
  cfree(p);
  p = aligned_alloc(256, 512);
  CHECK(ours(p, 512) && (uintptr_t)p % 256 == 0);
  free_aligned_sized(p, 256, 512);
  p = memalign(128, 10);
  CHECK(ours(p, 10) && (uintptr_t)p % 128 == 0);
  free(p);
  p = valloc(10);
  CHECK(ours(p, 10) && (uintptr_t)p % 4096 == 0);
  free(p);
  p = pvalloc(10);
  CHECK(ours(p, 4096));
  free(p);
}

static void test_text(void) {
  char name[PATH_MAX];
  char* s = strdup("text");
  CHECK(ours(s, 5) && strcmp(s, "text") == 0);
  free(s);
  s = strndup("text", 2);
  CHECK(ours(s, 3) && strcmp(s, "te") == 0);
  free(s);
  s = realpath("/", NULL);
  CHECK(ours(s, 2) && strcmp(s, "/") == 0);
  free(s);
  CHECK(realpath("/", name) == name && name[0] == '/');
}

static void test_microsofts(void) {
  void* p = _aligned_malloc(100, 64);
  CHECK(ours(p, 100) && _msize(p) >= 100 && _aligned_msize(p, 64, 0) >= 100);
  p = _aligned_realloc(p, 1000, 64);
  p = _aligned_recalloc(p, 10, 200, 64);
  CHECK(ours(p, 2000) && (uintptr_t)p % 64 == 0);
  _aligned_free(p);
  p = _aligned_offset_malloc(100, 64, 8);
  p = _aligned_offset_realloc(p, 1000, 64, 8);
  p = _aligned_offset_recalloc(p, 10, 200, 64, 8);
  CHECK(ours(p, 2000) && ((uintptr_t)p + 8) % 64 == 0);
  _aligned_free(p);
  char* s = _strdup("text");
  CHECK(ours(s, 5) && _expand(s, 5) == s);
  s = (char*)_recalloc(s, 10, 10);
  CHECK(ours(s, 100));
  free(s);
  size_t n = 0;
  CHECK(_dupenv_s(&s, &n, "PATH") == 0 && (s == NULL || ours(s, n)));
  free(s);
  s = _strndup("text", 1);
  unsigned char* m = _mbsdup((const unsigned char*)s);
  CHECK(ours(m, 2) && m[0] == 't' && m[1] == 0);
  free(m);
  free(s);
}

int main(void) {
  const struct pool pool = { NULL, 5 };
  test_blocks();
  test_aligned();
  test_text();
  test_microsofts();
  CHECK(pool.free == 5 && pool.malloc == NULL);
  if (!bad) puts("ok override");
  return bad;
}
