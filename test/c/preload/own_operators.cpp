// A program that has some of C++'s operators itself; OWN says which (test/c/preload/run). All forms that the
// standard forwards to these must come to them, with every allocator. Prints a line.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <new>

// Blocks of our own begin so far behind the start of one of malloc's.
static const std::size_t kBehind = 64;
static int taken, given, full;
static const char* why;
#define CHECK(x) do { if (!(x) && why == nullptr) why = #x; } while (0)

static void* take(std::size_t n, std::size_t align = 16) {
  taken++;
  if (full) throw std::bad_alloc();
  char* p = static_cast<char*>(aligned_alloc(align, (n + kBehind + align) / align * align));
  return p + (kBehind < align ? align : kBehind);
}
static void give(void* p, std::size_t align = 16) {
  if (p == nullptr) return;
  given++;
  std::free(static_cast<char*>(p) - (kBehind < align ? align : kBehind));
}

#define PLAIN 1
#define ARRAYS 2
#define ALIGNED 4
#define ALIGNED_ARRAYS 8
#define NEW_ONLY 16
#if OWN & PLAIN
void* operator new(std::size_t n) { return take(n); }
void operator delete(void* p) noexcept { give(p); }
#endif
#if OWN & ARRAYS
void* operator new[](std::size_t n) { return take(n); }
void operator delete[](void* p) noexcept { give(p); }
#endif
#if OWN & ALIGNED
void* operator new(std::size_t n, std::align_val_t a) { return take(n, static_cast<std::size_t>(a)); }
void operator delete(void* p, std::align_val_t a) noexcept { give(p, static_cast<std::size_t>(a)); }
#endif
#if OWN & ALIGNED_ARRAYS
void* operator new[](std::size_t n, std::align_val_t a) { return take(n, static_cast<std::size_t>(a)); }
void operator delete[](void* p, std::align_val_t a) noexcept { give(p, static_cast<std::size_t>(a)); }
#endif
#if OWN & NEW_ONLY
// Gives more than was asked for; the delete that is there frees what malloc gave.
void* operator new(std::size_t n) { taken++; return std::malloc(10 * n + 1000); }
#endif

static void* volatile hidden;            // the compiler may leave out a new and its delete: not these
static std::uintptr_t word(void* p) { return reinterpret_cast<std::uintptr_t>(p); }

// What `gets` and `puts` do comes to the program's own once each, or not at all.
template <class Gets, class Puts> static void pairs(bool own, std::size_t align, Gets gets, Puts puts) {
  const int takes = taken, gives = given;
  hidden = gets();
  CHECK(hidden != nullptr && word(hidden) % align == 0 && taken - takes == own);
  puts(hidden);
  CHECK(given - gives == (own && !(OWN & NEW_ONLY)));
}

static void plain(std::size_t n) {
  const bool own = OWN & (PLAIN | NEW_ONLY);
  pairs(own, 16, [&] { return operator new(n); }, [&](void* p) { operator delete(p); });
  pairs(own, 16, [&] { return operator new(n); }, [&](void* p) { operator delete(p, n); });
  pairs(own, 16, [&] { return operator new(n, std::nothrow); },
        [&](void* p) { operator delete(p, std::nothrow); });
}

static void arrays(std::size_t n) {
  const bool own = OWN & (PLAIN | NEW_ONLY | ARRAYS);
  pairs(own, 16, [&] { return operator new[](n); }, [&](void* p) { operator delete[](p); });
  pairs(own, 16, [&] { return operator new[](n); }, [&](void* p) { operator delete[](p, n); });
  pairs(own, 16, [&] { return operator new[](n, std::nothrow); },
        [&](void* p) { operator delete[](p, std::nothrow); });
}

static void aligned(std::size_t n, std::align_val_t a) {
  const bool own = OWN & ALIGNED;
  const std::size_t align = static_cast<std::size_t>(a);
  pairs(own, align, [&] { return operator new(n, a); }, [&](void* p) { operator delete(p, a); });
  pairs(own, align, [&] { return operator new(n, a); }, [&](void* p) { operator delete(p, n, a); });
  pairs(own, align, [&] { return operator new(n, a, std::nothrow); },
        [&](void* p) { operator delete(p, a, std::nothrow); });
}

static void aligned_arrays(std::size_t n, std::align_val_t a) {
  const bool own = OWN & (ALIGNED | ALIGNED_ARRAYS);
  const std::size_t align = static_cast<std::size_t>(a);
  pairs(own, align, [&] { return operator new[](n, a); }, [&](void* p) { operator delete[](p, a); });
  pairs(own, align, [&] { return operator new[](n, a); }, [&](void* p) { operator delete[](p, n, a); });
  pairs(own, align, [&] { return operator new[](n, a, std::nothrow); },
        [&](void* p) { operator delete[](p, a, std::nothrow); });
}

// A form that does not throw catches what the program's own throws.
static void without_memory() {
  const std::align_val_t a{64};
  full = 1;
  if (OWN & PLAIN) CHECK(operator new(10, std::nothrow) == nullptr);
  if (OWN & (PLAIN | ARRAYS)) CHECK(operator new[](10, std::nothrow) == nullptr);
  if (OWN & ALIGNED) CHECK(operator new(10, a, std::nothrow) == nullptr);
  if (OWN & (ALIGNED | ALIGNED_ARRAYS)) CHECK(operator new[](10, a, std::nothrow) == nullptr);
  full = 0;
}

struct Counted { long words[9]; ~Counted() { hidden = this; } };

int main(int argc, char** argv) {
  for (std::size_t n : {1, 24, 100, 1024, 5000, 70000, 3000000}) {
    plain(n);
    arrays(n);
    for (std::size_t align : {32, 64, 4096}) aligned(n, std::align_val_t{align});
    for (std::size_t align : {32, 64, 4096}) aligned_arrays(n, std::align_val_t{align});
  }
  const bool own = OWN & (PLAIN | NEW_ONLY);
  pairs(own, 16, [] { return new Counted; }, [](void* p) { delete static_cast<Counted*>(p); });
  hidden = new Counted[7];               // their number stands before them
  delete[] (static_cast<Counted*>(hidden));
  without_memory();
  const char* way = argc > 1 ? argv[1] : "";
  if (why == nullptr) std::printf("ok preload-own_operators-%s\n", way);
  else std::printf("not ok preload-own_operators-%s: %s\n", way, why);
  return why != nullptr;
}
