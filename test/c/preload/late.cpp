// A plugin in C++ of a program in C: new without memory. See late.c.
#include <cstddef>
#include <cstdint>
#include <new>

static volatile std::size_t huge = SIZE_MAX / 2 + 1;
static void* volatile hidden;
static int calls;
static void handler() { if (++calls == 3) std::set_new_handler(nullptr); }
static void throwing() { calls++; throw std::bad_alloc(); }

template <class F> static bool throws(F f) {
  try { hidden = f(); } catch (const std::bad_alloc&) { return true; }
  return false;
}

// 0, or the number of what is not right.
extern "C" int late_new(void) {
  const std::align_val_t a{64};
  hidden = operator new(100);
  operator delete(hidden, 100);
  if (!throws([] { return operator new(huge); })) return 1;
  if (!throws([] { return operator new[](huge); })) return 2;
  if (!throws([a] { return operator new(huge, a); })) return 3;
  if (operator new(huge, std::nothrow) != nullptr) return 4;
  std::set_new_handler(handler);
  if (!throws([] { return operator new(huge); }) || calls != 3) return 5;
  std::set_new_handler(handler);
  calls = 0;
  if (operator new(huge, std::nothrow) != nullptr || calls != 3) return 6;
  std::set_new_handler(throwing);
  if (operator new[](huge, std::nothrow) != nullptr || calls != 4) return 7;
  if (operator new(huge, a, std::nothrow) != nullptr || calls != 5) return 8;
  if (operator new[](huge, a, std::nothrow) != nullptr || calls != 6) return 9;
  std::set_new_handler(nullptr);
  return 0;
}
