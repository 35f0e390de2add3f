// Every form of C++'s new and delete, containers and threads. Not linked with the library; run with and
// without it: the lines "value" are the same, the lines "ok" say that what was asked for is so.
// Under the library (PRELOADED is set) every block must be its own.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

static const char* why;
static int failures;
#define CHECK(x) do { if (!(x) && why == nullptr) why = #x; } while (0)

static void done(const char* name) {
  if (why == nullptr) std::printf("ok preload-operators-%s\n", name);
  else std::printf("not ok preload-operators-%s: %s\n", name, why);
  failures += why != nullptr;
  why = nullptr;
}

static std::size_t (*usable)(const void*);  // mi_usable_size: 0 for what is no live block of the library
static thread_local void* volatile hidden;   // the compiler may leave out a new and its delete: not these
static volatile std::size_t huge = SIZE_MAX / 2 + 1;

template <class T> static T* seen(T* p, std::size_t align = alignof(std::max_align_t)) {
  hidden = const_cast<void*>(static_cast<const volatile void*>(p));
  CHECK(p != nullptr && reinterpret_cast<std::uintptr_t>(p) % align == 0);
  CHECK(usable == nullptr || usable(hidden) != 0);
  return p;
}

struct alignas(64) Line { char bytes[192]; };
struct alignas(8192) Wide { char bytes[8192]; };
struct Thrower { char bytes[300]; Thrower() { throw 7; } };

static void test_forms() {
  const std::align_val_t a64{64}, a4096{4096};
  for (std::size_t n : {1, 8, 100, 1024, 5000, 70000, 3000000}) {
    void* p = seen(operator new(n)); std::memset(p, 1, n); operator delete(p);
    p = seen(operator new(n)); operator delete(p, n);
    p = seen(operator new[](n)); operator delete[](p);
    p = seen(operator new[](n)); operator delete[](p, n);
    p = seen(operator new(n, std::nothrow)); operator delete(p, std::nothrow);
    p = seen(operator new[](n, std::nothrow)); operator delete[](p, std::nothrow);
    p = seen(operator new(n, a64), 64); operator delete(p, a64);
    p = seen(operator new(n, a64), 64); operator delete(p, n, a64);
    p = seen(operator new[](n, a4096), 4096); operator delete[](p, a4096);
    p = seen(operator new[](n, a4096), 4096); operator delete[](p, n, a4096);
    p = seen(operator new(n, a64, std::nothrow), 64); operator delete(p, a64, std::nothrow);
    p = seen(operator new[](n, a64, std::nothrow), 64); operator delete[](p, a64, std::nothrow);
    p = seen(operator new(n)); std::free(p);          // one allocator: they may be mixed
    p = seen(std::malloc(n)); operator delete(p);
  }
  delete seen(new int(3));
  delete[] seen(new int[100]);
  delete[] (hidden = new std::string[100], static_cast<std::string*>(hidden));  // its length stands before it
  delete seen(new Line, 64);
  delete[] seen(new Line[7], 64);
  delete seen(new Wide, 8192);
  operator delete(static_cast<void*>(nullptr));
  done("forms");
}

template <class F> static bool throws(F f) {
  try { hidden = f(); } catch (const std::bad_alloc&) { return true; }
  return false;
}

static void test_throwing() {
  CHECK(throws([] { return operator new(huge); }));
  CHECK(throws([] { return operator new[](huge); }));
  CHECK(throws([] { return operator new(huge, std::align_val_t{64}); }));
  CHECK(throws([] { return operator new[](huge, std::align_val_t{64}); }));
  CHECK(throws([] { return new int[huge]; }));        // bad_array_new_length is a bad_alloc
  CHECK(throws([] { return new std::vector<char>(huge - 2); }));
  CHECK(operator new(huge, std::nothrow) == nullptr);
  CHECK(operator new[](huge, std::nothrow) == nullptr);
  CHECK(operator new(huge, std::align_val_t{64}, std::nothrow) == nullptr);
  CHECK(operator new[](huge, std::align_val_t{64}, std::nothrow) == nullptr);
  bool caught = false;
  try { delete new Thrower; } catch (int seven) { caught = seven == 7; }
  CHECK(caught);
  done("bad_alloc");
}

static int calls;
static void handler() { if (++calls % 3 == 0) std::set_new_handler(nullptr); }
static void throwing_handler() { calls++; throw std::bad_alloc(); }

static void test_handler() {
  std::set_new_handler(handler);
  calls = 0;
  CHECK(throws([] { return operator new(huge); }));
  CHECK(calls == 3 && std::get_new_handler() == nullptr);
  std::set_new_handler(handler);
  CHECK(operator new(huge, std::nothrow) == nullptr && calls == 6);
  std::set_new_handler(throwing_handler);
  CHECK(throws([] { return operator new(huge, std::align_val_t{256}); }) && calls == 7);
  CHECK(operator new(huge, std::nothrow) == nullptr && calls == 8);  // what the handler throws stays inside
  CHECK(operator new[](huge, std::align_val_t{256}, std::nothrow) == nullptr && calls == 9);
  std::set_new_handler(nullptr);
  done("new_handler");
}

static std::uint64_t fold(std::uint64_t h, std::uint64_t x) { return (h ^ x) * 1099511628211u; }

static std::uint64_t containers(unsigned seed) {
  std::map<std::string, std::vector<int>> tree;
  std::unordered_map<int, std::string> table;
  std::list<std::deque<double>> chains;
  std::vector<std::shared_ptr<std::string>> shared;
  std::uint64_t h = 14695981039346656037u;
  for (int i = 0; i < 20000; i++) {
    seed = seed * 1103515245 + 12345;
    const unsigned r = seed >> 16;
    tree["key" + std::to_string(r % 700)].push_back(i);
    table[r % 3000] += std::string(r % 50, 'x');
    if (r % 5 == 0) chains.emplace_back(r % 40, 1.5);
    if (r % 7 == 0 && chains.size() > 20) chains.pop_front();
    shared.push_back(std::make_shared<std::string>(r % 90, 'y'));
    if (r % 11 == 0) shared.erase(shared.begin(), shared.begin() + static_cast<long>(shared.size() / 2));
    if (r % 13 == 0) table.erase(r % 3000);
  }
  for (auto& [k, v] : tree) h = fold(fold(h, k.size()), v.size());
  std::vector<int> keys;
  for (auto& [k, v] : table) keys.push_back(k);
  std::sort(keys.begin(), keys.end());
  for (int k : keys) h = fold(fold(h, static_cast<unsigned>(k)), table[k].size());
  for (auto& c : chains) h = fold(h, c.size());
  for (auto& s : shared) h = fold(h, s->size());
  std::ostringstream out;
  out << h << ' ' << shared.size();
  std::function<std::string()> text = [copy = out.str(), tree] { return copy + std::to_string(tree.size()); };
  for (char c : text()) h = fold(h, static_cast<unsigned char>(c));
  return h;
}

/* Two threads make strings, two take them: every free is of another thread's block. */
static std::uint64_t handed_over() {
  std::mutex m;
  std::condition_variable changed;
  std::deque<std::unique_ptr<std::string>> queue;
  std::atomic<std::uint64_t> total{0};
  std::vector<std::thread> threads;
  const int each = 20000;
  for (unsigned t = 0; t < 2; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; i++) {
        auto s = std::make_unique<std::string>((static_cast<unsigned>(i) * 7 + t) % 500, 'z');
        std::lock_guard<std::mutex> lock(m);
        queue.push_back(std::move(s));
        changed.notify_one();
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < each; i++) {
        std::unique_lock<std::mutex> lock(m);
        changed.wait(lock, [&] { return !queue.empty(); });
        auto s = std::move(queue.front());
        queue.pop_front();
        lock.unlock();
        total += s->size();
      }
    });
  }
  for (auto& t : threads) t.join();
  return total;
}

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 4096);
  if (std::getenv("PRELOADED") != nullptr) {
    usable = reinterpret_cast<std::size_t (*)(const void*)>(dlsym(RTLD_DEFAULT, "mi_usable_size"));
    if (usable == nullptr) {
      std::printf("not ok preload-operators: the library is not preloaded\n");
      return 1;
    }
  }
  test_forms();
  test_throwing();
  test_handler();
  std::uint64_t sums[4];
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; t++) threads.emplace_back([&sums, t] { sums[t] = containers(t); });
  for (auto& t : threads) t.join();
  for (std::uint64_t s : sums) std::printf("value containers %llu\n", static_cast<unsigned long long>(s));
  std::printf("value handed over %llu\n", static_cast<unsigned long long>(handed_over()));
  done("containers");
  return failures != 0;
}
