// What C++ programs that were written for mimalloc do with its headers: the members of its allocators,
// function pointers that promise not to throw, and requests for more than there can be. From C++98 on.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <list>
#include <map>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <mimalloc.h>
#include <mimalloc-stats.h>

static int bad;
static void failed(int line) {
  bad = 1;
  printf("not ok allocator: line %d\n", line);
}
#define CHECK(condition) ((condition) ? (void)0 : failed(__LINE__))

static volatile std::size_t huge = (std::size_t)-1;        // not known to the compiler
static int handled;
// Comes back, as one does that has freed something; what it cannot help must not be tried again.
static void come_back() {
  if (++handled < 100) return;
  std::puts("not ok allocator: asked for ever");
  std::exit(1);
}

// Members, as allocators had them before C++20.
template <class A> static void test_members(A a) {
  typedef typename A::template rebind<long>::other other;
  typename other::pointer p = other(a).allocate(10);
  typename other::const_pointer c = p;
  typename other::size_type n = 5;
  typename other::difference_type d = &p[7] - &p[2];
  CHECK(d == 5 && mi_is_in_heap_region(c));
  other b(a);
  b.construct(p, 7L);
  typename other::reference r = *p;
  typename other::const_reference cr = *c;
  CHECK(r == 7 && cr == 7 && b.address(r) == p && b.address(cr) == c);
  b.destroy(p);
  b.deallocate(p, 10);
  typename A::value_type* q = a.allocate(n, c);
  CHECK(q != 0);
  a.deallocate(q, n);
  CHECK(a.max_size() >= ((std::size_t)1 << 40) && a.max_size() <= huge / 2 / sizeof(typename A::value_type));
  CHECK(a.select_on_container_copy_construction() == a && !(a != A(a)) && other(a) == b);
}

template <class A> static void test_too_many(A a) {
  int thrown = 0;
  handled = 0;
  const std::size_t sizes[] = { a.max_size() + 1, huge, huge / 2 + 2 };
  std::set_new_handler(&come_back);
  for (int i = 0; i < 3; i++) {
#if __cplusplus >= 201103L
    try { a.deallocate(a.allocate(sizes[i]), 1); } catch (const std::bad_array_new_length&) { thrown++; }
#else
    try { a.deallocate(a.allocate(sizes[i]), 1); } catch (const std::bad_alloc&) { thrown++; }
#endif
  }
  std::set_new_handler(0);
  CHECK(thrown == 3 && handled == 0);
}

static void test_products() {
  int thrown = 0;
  handled = 0;
  std::set_new_handler(&come_back);
  try { mi_free(mi_new_n(huge / 2, 4)); } catch (const std::bad_alloc&) { thrown++; }
  try { mi_free(mi_new_n(huge / 4 + 1, 2)); } catch (const std::bad_alloc&) { thrown++; }
  void* p = mi_new(10);
  try { mi_free(mi_new_reallocn(p, huge / 2, 4)); } catch (const std::bad_alloc&) { thrown++; }
  mi_free(p);
  mi_heap_t* heap = mi_heap_main();
  try { mi_free(mi_heap_alloc_new_n(heap, huge / 2, 4)); } catch (const std::bad_alloc&) { thrown++; }
  try { mi_free(mi_new_aligned(10, 24)); } catch (const std::bad_alloc&) { thrown++; }
  std::set_new_handler(0);
  CHECK(thrown == 5 && handled == 0);
}

static void test_containers() {
  typedef std::pair<const int, std::string> pair;
  std::map<int, std::string, std::less<int>, mi_stl_allocator<pair> > m;
  std::list<std::string, mi_stl_allocator<std::string> > l;
  std::vector<int, mi_stl_allocator<int> > v, w;
  std::basic_string<char, std::char_traits<char>, mi_stl_allocator<char> > s(100, 'x');
  for (int i = 0; i < 1000; i++) {
    m[i] = "text";
    l.push_back("text");
    v.push_back(i);
  }
  w = v;
  w.swap(v);
  CHECK(m.size() == 1000 && l.size() == 1000 && w == v && mi_is_in_heap_region(&*m.begin()));
  CHECK(mi_is_in_heap_region(&l.front()) && mi_is_in_heap_region(s.data()));
  mi_stl_allocator<void> nothing;
  mi_stl_allocator<char> chars(nothing);
  CHECK(chars == nothing);
}

#if __cplusplus >= 201103L
struct alignas(128) line { char bytes[128]; };

template <class A> static void test_traits(A a) {
  typedef std::allocator_traits<A> traits;
  static_assert(std::is_nothrow_constructible<typename traits::template rebind_alloc<long>, A>::value, "");
  static_assert(std::is_nothrow_copy_constructible<A>::value && noexcept(a == a) && noexcept(a != a), "");
  static_assert(traits::propagate_on_container_copy_assignment::value
                && traits::propagate_on_container_move_assignment::value
                && traits::propagate_on_container_swap::value, "");
  static_assert(std::is_same<typename traits::pointer, typename traits::value_type*>::value, "");
  typename traits::pointer p = traits::allocate(a, 3, nullptr);
  traits::construct(a, p);
  traits::destroy(a, p);
  traits::deallocate(a, p, 3);
  CHECK(traits::max_size(a) == a.max_size() && traits::select_on_container_copy_construction(a) == a);
}

template <template <class> class A> static void test_allocator() {
  test_members(A<int>());
  test_too_many(A<int>());
  test_too_many(A<line>());
  test_too_many(A<char>());
  test_traits(A<int>());
  test_traits(A<line>());
  CHECK((std::size_t)A<line>().max_size() == huge / 2 / 128);
}
#endif

static void test_promises() {
#if __cplusplus >= 201103L
  static_assert(noexcept(mi_free(nullptr)) && noexcept(mi_malloc(1)) && noexcept(mi_collect(true)), "");
  static_assert(!noexcept(mi_new(1)) && !noexcept(mi_new_n(1, 1)) && !noexcept(mi_new_aligned(1, 1)), "");
#endif
#if __cplusplus >= 201703L
  void (*f)(void*) noexcept = &mi_free;
  void* (*m)(size_t) noexcept = &mi_malloc;
  void* (*r)(void*, size_t) noexcept = &mi_realloc;
  size_t (*u)(const void*) noexcept = &mi_usable_size;
  void* p = r(m(100), 200);
  CHECK(u(p) >= 200);
  f(p);
#endif
}

int main() {
  test_containers();
  test_promises();
  test_products();
  test_members(mi_stl_allocator<int>());
  test_too_many(mi_stl_allocator<int>());
#if __cplusplus >= 201103L
  static_assert(mi_stl_allocator<int>::is_always_equal::value
                && std::is_nothrow_default_constructible<mi_stl_allocator<int>>::value, "");
  test_allocator<mi_stl_allocator>();
  test_allocator<mi_heap_stl_allocator>();
  test_allocator<mi_heap_destroy_stl_allocator>();
#endif
  if (!bad) std::puts("ok allocator");
  return bad;
}
