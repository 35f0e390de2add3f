/* A C++ program that knows new and delete only, and mimalloc-new-delete.h, which this file includes: what
   they and the library's containers allocate is ours. Linked without what replaces the C library's
   functions, and misuse ends it. */
#include <cstdio>
#include <string>
#include <vector>

#include <mimalloc-new-delete.h>

static int bad;
static void failed(int line) {
  bad = 1;
  printf("not ok new_delete: line %d\n", line);
}
#define CHECK(condition) ((condition) ? (void)0 : failed(__LINE__))

static volatile std::size_t huge = (std::size_t)-1 / 2;    // more than there is; not known to the compiler
static int handled;
static void give_up() { if (++handled == 3) std::set_new_handler(0); }

static void test_plain() {
  int* p = new int(7);
  CHECK(mi_is_in_heap_region(p) && *p == 7);
  delete p;
  std::string* q = new std::string[10];
  CHECK(mi_is_in_heap_region(q));
  delete[] q;
  int* r = new (std::nothrow) int[100];
  CHECK(mi_is_in_heap_region(r));
  delete[] r;
  std::vector<int> v(1000);
  std::string s(1000, 'x');
  CHECK(mi_is_in_heap_region(&v[0]) && mi_is_in_heap_region(s.data()));
}

static void test_failures() {
  bool thrown = false;
  try { delete[] new char[huge - 16]; } catch (const std::bad_alloc&) { thrown = true; }
  CHECK(thrown);
  CHECK(new (std::nothrow) char[huge - 16] == 0);
  thrown = false;
  std::set_new_handler(&give_up);
  try { delete[] new char[huge - 16]; } catch (const std::bad_alloc&) { thrown = true; }
  CHECK(thrown && handled == 3);
}

static void test_aligned() {
#ifdef __cpp_aligned_new
  struct alignas(256) line { char bytes[256]; };
  line* p = new line;
  CHECK(mi_is_in_heap_region(p) && (std::size_t)p % 256 == 0);
  delete p;
  line* q = new (std::nothrow) line[5];
  CHECK(mi_is_in_heap_region(q) && (std::size_t)q % 256 == 0);
  delete[] q;
  std::vector<line> v(3);
  CHECK(mi_is_in_heap_region(&v[0]) && (std::size_t)&v[0] % 256 == 0);
#endif
}

int main() {
  mi_option_enable(mi_option_abort_on_error);
  test_plain();
  test_failures();
  test_aligned();
  if (!bad) std::puts("ok new_delete");
  return bad;
}
