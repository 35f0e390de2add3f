/* Linux. See os.h. Any thread.

   Inside an allocation the C library is called for nothing that is a cancellation point, that allocates, or
   that programs replace by what allocates: such calls go to the kernel by number (`syscall` is none of these;
   os_kernel.h). test/c/imports/list holds what is left. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "check.h"
#include "local.h"
#include "os.h"
#include "os_kernel.h"

typedef void (*mi_mend_t)(void);

/* ---- faults for tests ---- */

/* Calls left before the first failure; 0: off. */
typedef struct { mi_atomic(size_t) xafter, xcount; mi_atomic(int) xway; } mi_fault_t;
static mi_fault_t any_fault, faults[MI_OS_CALLS];
static mi_atomic(bool) faulty;

static void fault_set(mi_fault_t* f, mi_os_way_t way, size_t nth, size_t count) {
  mi_store_relaxed(&f->xway, way);       /* tests set it while nothing else runs: nothing is published */
  mi_store_relaxed(&f->xcount, count);
  mi_store_relaxed(&f->xafter, nth);
  mi_store_relaxed(&faulty, true);
}

void mi_os_fail_in(size_t nth, size_t count) { fault_set(&any_fault, MI_OS_AT_START, nth, count); }

void mi_os_fail_call(mi_os_call_t call, mi_os_way_t way, size_t nth, size_t count) {
  fault_set(&faults[call], way, nth, count);
}

static mi_os_way_t fault_next(mi_fault_t* f) {
  const size_t after = mi_load_relaxed(&f->xafter);                       /* a counter, publishes nothing */
  if (after == 0) return MI_OS_GOES_ON;
  /* For ever, so in all threads at once: as above. */
  if (after == 1 && mi_load_relaxed(&f->xcount) == SIZE_MAX) return (mi_os_way_t)mi_load_relaxed(&f->xway);
  if (mi_sub_relaxed(&f->xafter, 1) > 1) return MI_OS_GOES_ON;
  mi_store_relaxed(&f->xafter, mi_sub_relaxed(&f->xcount, 1) > 1 ? 1 : 0);
  return (mi_os_way_t)mi_load_relaxed(&f->xway);
}

/* `asks`: for memory. */
static mi_os_way_t fault_of(mi_os_call_t call, bool asks) {
  if (mi_likely(!mi_load_relaxed(&faulty))) return MI_OS_GOES_ON;         /* as above */
  const mi_os_way_t way = asks ? fault_next(&any_fault) : MI_OS_GOES_ON;
  return way != MI_OS_GOES_ON ? way : fault_next(&faults[call]);
}

/* ---- the process ---- */

static uint64_t started;                 /* both written when the library is loaded */
static bool few_addresses;
/* What glibc gives to each constructor: our library's may run before its own. */
static char** first_environment;

static bool is_limited(long resource) {
  struct rlimit limit;
  return syscall(SYS_prlimit64, 0L, resource, NULL, &limit) == 0 && limit.rlim_cur <= 4 * MI_GiB;
}

__attribute__((constructor(101))) static void process_starts(int argc, char** argv, char** env) {
  (void)argc, (void)argv;
  started = mi_os_now_ms();
  /* Once: a sandbox may not expect these questions later. */
  few_addresses = is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA);
  (void)mi_os_must_commit();
#ifdef __GLIBC__
  first_environment = env;
#else
  (void)env;
#endif
}

/* ---- memory ---- */

size_t mi_os_page_size(void) {
  static mi_atomic(size_t) cached;
  size_t size = mi_load_relaxed(&cached);                                 /* idempotent */
  if (mi_unlikely(size == 0)) {
    size = mi_max((size_t)getauxval(AT_PAGESZ), 4 * MI_KiB);              /* 0: unknown */
    mi_store_relaxed(&cached, size);
  }
  return size;
}

/* The first bytes of a file; how many there are. No error is left in errno. */
static size_t file_read(const char* name, char* text, size_t size) {
  const int saved = errno;
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
  long n = 0;
  if (fd >= 0) {
    n = syscall(SYS_read, fd, text, size);
    syscall(SYS_close, fd);
  }
  errno = saved;
  return n > 0 ? (size_t)n : 0;
}

/* With vm.overcommit_memory = 2 every writable page counts at once: reserve what can only be read then. Asked
   when the process begins; or before, by who allocates earlier. */
static mi_atomic(int) must_commit;       /* 0 unknown, 1 no, 2 yes */
/* Tests: nothing else runs. */
void mi_os_set_must_commit(bool must) { mi_store_relaxed(&must_commit, must ? 2 : 1); }

bool mi_os_must_commit(void) {
  int answer = mi_load_relaxed(&must_commit);                             /* idempotent */
  if (mi_unlikely(answer == 0)) {
    char c = '0';
    if (file_read("/proc/sys/vm/overcommit_memory", &c, 1) != 1) c = '0';
    answer = (c == '2') ? 2 : 1;
    mi_store_relaxed(&must_commit, answer);
  }
  return answer == 2;
}

/* Memory at `at` or, without flags that say so, anywhere. Where every page counts none is exempt from
   that. */
static void* map_memory(void* at, size_t size, int flags) {
  const bool must = mi_os_must_commit();
  return os_mmap(at, size, must ? PROT_READ : PROT_READ | PROT_WRITE,
                        (must ? 0 : MAP_NORESERVE) | flags);
}

bool mi_os_has_few_addresses(void) { return few_addresses; }

/* mmap of addresses that the system chooses: done or not. */
static void* map_anywhere(size_t size) {
  void* p = fault_of(MI_OS_RESERVE, true) != MI_OS_GOES_ON ? MAP_FAILED : map_memory(NULL, size, 0);
  if (p == MAP_FAILED) { errno = ENOMEM; return NULL; }
  return p;
}

/* munmap: done or not, as when the process has no more map entries and an end of the range is inside a
   mapping (it may be split there). Then at least its memory goes. */
void mi_os_release(void* p, size_t size) {
  mi_assert(p != NULL && ((uintptr_t)p | size) % mi_os_page_size() == 0);
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_RELEASE, false);
  if (fault > MI_OS_AT_START) os_munmap(p, size / 2 / mi_os_page_size() * mi_os_page_size());
  /* Passes over gaps. */
  if (fault != MI_OS_GOES_ON || os_munmap(p, size) != 0) (void)os_madvise(p, size, MADV_DONTNEED);
  errno = saved;
}

void* mi_os_reserve(size_t size, size_t align) {
  mi_assert(size > 0 && size % mi_os_page_size() == 0 && mi_is_pow2(align));
  uint8_t* p = map_anywhere(size);
  if (p == NULL || ((uintptr_t)p & (align - 1)) == 0) return p;
  mi_os_release(p, size);
  if (size > MI_SIZE_LIMIT - align) { errno = ENOMEM; return NULL; }
  p = map_anywhere(size + align);        /* once more, with room to cut an aligned piece from */
  if (p == NULL) return NULL;
  uint8_t* start = (uint8_t*)mi_align_up((uintptr_t)p, align);
  if (start > p) mi_os_release(p, (size_t)(start - p));
  mi_os_release(start + size, (size_t)(p + align - start));
  return start;
}

/* mmap: done or not. An old kernel takes the flag for none, and the address for advice. */
bool mi_os_reserve_at(void* p, size_t size) {
  const bool fails = fault_of(MI_OS_RESERVE, true) != MI_OS_GOES_ON;
  void* got = fails ? MAP_FAILED : map_memory(p, size, MAP_FIXED_NOREPLACE);
  if (got == p) return true;
  if (got != MAP_FAILED) mi_os_release(got, size);
  errno = ENOMEM;
  return false;
}

/* mprotect: where it fails the first part may be done. */
bool mi_os_commit(void* p, size_t size) {
  mi_assert(((uintptr_t)p | size) % mi_os_page_size() == 0);
  const mi_os_way_t fault = fault_of(MI_OS_COMMIT, true);
  if (fault > MI_OS_AT_START && mi_os_must_commit())
    os_mprotect(p, size / 2 / mi_os_page_size() * mi_os_page_size(), PROT_READ | PROT_WRITE);
  if (fault == MI_OS_GOES_ON && (!mi_os_must_commit() || os_mprotect(p, size, PROT_READ | PROT_WRITE) == 0))
    return true;
  errno = ENOMEM;
  return false;
}

/* madvise: where it fails, as for locked memory, what is in front of that may be zero. */
bool mi_os_purge(void* p, size_t size) {
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_PURGE, false);
  if (fault > MI_OS_AT_START) os_madvise(p, size / 2 / mi_os_page_size() * mi_os_page_size(), MADV_DONTNEED);
  const bool ok = fault == MI_OS_GOES_ON && os_madvise(p, size, MADV_DONTNEED) == 0;
  errno = saved;
  return ok;
}

/* ---- calls that unmap a range before they put something else there: where they fail it may be a gap, in
   which the next mmap of another thread may come to lie. So its first word says before whose it is. ---- */

static uint64_t word_of(const void* p) { return (uint64_t)(uintptr_t)p * 0x9e3779b97f4a7c15u | 1; }

static bool range_sign(void* p) {
  if (mi_os_must_commit() && os_mprotect(p, mi_os_page_size(), PROT_READ | PROT_WRITE) != 0) return false;
  *(volatile uint64_t*)p = word_of(p);
  return true;
}

/* Is it there as it was signed? A page that is not resident is somebody else's, or may be. */
static bool range_is_signed(void* p) {
  unsigned char resident = 0;
  if (os_mincore(p, mi_os_page_size(), &resident) != 0 || (resident & 1) == 0) return false;
  return *(volatile uint64_t*)p == word_of(p);
}

/* After such a call failed for a range that was signed: it is there still, or is put back. */
static mi_os_result_t range_back(void* p, size_t size) {
  if (range_is_signed(p)) return MI_OS_NOT;
  void* q = map_memory(p, size, MAP_FIXED_NOREPLACE);
  if (q == p) return MI_OS_NOT;
  if (q != MAP_FAILED) (void)os_munmap(q, size);  /* before Linux 4.17 it was a hint */
  return MI_OS_LOST;
}

/* What such a call leaves when it fails. */
static void range_fault(mi_os_way_t fault, void* p, size_t size) {
  if (fault >= MI_OS_HALF) (void)os_munmap(p, size);
  if (fault == MI_OS_TAKEN) (void)os_mmap(p, mi_os_page_size(), PROT_NONE, MAP_FIXED);
}

/* madvise, as above; then mmap over it: not done and unchanged, or a gap. A private mapping that nobody can
   write to counts for nothing, and a change of protection alone would not take back what counts. */
mi_os_result_t mi_os_decommit(void* p, size_t size) {
  mi_assert(((uintptr_t)p | size) % mi_os_page_size() == 0);
  if (!mi_os_purge(p, size)) return MI_OS_NOT;
  if (!mi_os_must_commit()) return MI_OS_DONE;
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_DECOMMIT, false);
  mi_os_result_t result = MI_OS_DONE;
  if (fault != MI_OS_AT_START && range_sign(p)) {
    range_fault(fault, p, size);
    if (fault != MI_OS_GOES_ON || map_memory(p, size, MAP_FIXED) != p) result = range_back(p, size);
    /* Zero, though it counts. */
    if (result == MI_OS_NOT) result = mi_os_purge(p, mi_os_page_size()) ? MI_OS_DONE : MI_OS_NOT;
  }
  errno = saved;
  return result;
}

/* mmap: done or not. */
void* mi_os_map_file(int fd, size_t size) {
  const bool fails = fault_of(MI_OS_MAP_FILE, true) != MI_OS_GOES_ON;
  if (fails) errno = ENOMEM;
  void* p = fails ? MAP_FAILED : os_mmap_file(size, fd);
  return p == MAP_FAILED ? NULL : p;
}

/* mremap in place: done or not. Growing needs one mapping, shrinking is munmap. */
bool mi_os_resize(void* p, size_t old_size, size_t new_size) {
  mi_assert(((uintptr_t)p | old_size | new_size) % mi_os_page_size() == 0);
  if (fault_of(MI_OS_RESIZE, true) != MI_OS_GOES_ON) { errno = ENOMEM; return false; }
  return os_mremap(p, old_size, new_size, 0, NULL) == p;
}

/* mremap to larger memory: what is moved is one mapping, or it fails. One mapping is moved whole or stays;
   the target is unmapped first. (Where a mapping shrinks its end is unmapped before it is moved: so none that
   shrinks comes here.) */
mi_os_result_t mi_os_move(void* p, size_t old_size, void* to, size_t new_size) {
  const mi_os_way_t fault = fault_of(MI_OS_MOVE, true);
  mi_assert(new_size > old_size);
  mi_assert(((uintptr_t)p | (uintptr_t)to | old_size | new_size) % mi_os_page_size() == 0);
  if (fault != MI_OS_AT_START && range_sign(to)) {
    range_fault(fault, to, new_size);
    if (fault == MI_OS_GOES_ON && os_mremap(p, old_size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
      return MI_OS_DONE;
    if (!range_is_signed(to)) { errno = ENOMEM; return MI_OS_LOST; }
  }
  errno = ENOMEM;
  return MI_OS_NOT;
}

enum { GROW_TRIES = 4 };

/* A mapping that must not grow where it is, so there is a page behind it meanwhile. NULL: it is as it was. */
static uint8_t* grow_elsewhere(uint8_t* p, size_t size, size_t more) {
  void* wall = os_mmap(p + size, mi_os_page_size(), PROT_NONE, MAP_FIXED_NOREPLACE);
  void* q = os_mremap(p, size, size + more, MREMAP_MAYMOVE, NULL);
  if (wall != MAP_FAILED) (void)os_munmap(wall, mi_os_page_size());
  return q == MAP_FAILED ? NULL : q;
}

/* mremap to where the system likes: done or not; several mappings do not grow. It is made larger
   until it begins at a multiple of `align`. The system puts it directly below another mapping: where this one
   was before, or below where it is now. So its next end is known, and with it the size that it needs to begin
   at a multiple. If that fails the bytes are copied up within the mapping, and all of them are resident. */
void* mi_os_grow(void* p, size_t old_size, size_t new_size, size_t align) {
  const size_t page = mi_os_page_size();
  const mi_os_way_t fault = fault_of(MI_OS_GROW, true);
  size_t size = new_size + align - page;
  mi_assert(new_size > old_size && ((uintptr_t)p | old_size | new_size | align) % page == 0);
  uint8_t* q = fault == MI_OS_AT_START ? MAP_FAILED : os_mremap(p, old_size, size, MREMAP_MAYMOVE, NULL);
  if (q == MAP_FAILED) { errno = ENOMEM; return NULL; }
  uint8_t* before = NULL;                /* the end of where it was */
  for (int tries = 0; ((uintptr_t)q & (align - 1)) != 0 && tries < GROW_TRIES; tries++) {
    const uintptr_t end = (uintptr_t)(before > q ? before : q);
    const size_t more = page + ((end - size - page) & (align - 1));
    uint8_t* next = fault == MI_OS_GOES_ON ? grow_elsewhere(q, size, more) : NULL;
    if (next == NULL) break;
    before = q + size;
    q = next, size += more;
  }
  uint8_t *start = (uint8_t*)mi_align_up((uintptr_t)q, align), *end = start + new_size;
  if (start > q) {
    memmove(start, q, old_size);
    mi_os_release(q, (size_t)(start - q));
  }
  if (end < q + size) mi_os_release(end, (size_t)(q + size - end));
  return start;
}

#ifdef MREMAP_DONTUNMAP
/* Several mappings, as where the program gave part of its block another property, cannot grow (EFAULT); part
   of one mapping has no room to. Nobody else splits it meanwhile: it is the caller's. */
static bool is_one_mapping(uint8_t* p, size_t size) {
  const bool grown = os_mremap(p, size, size + mi_os_page_size(), 0, NULL) == p;
  if (grown) (void)os_munmap(p + size, mi_os_page_size());                /* its end, and nothing behind it */
  return grown || errno == ENOMEM || errno == EAGAIN;
}

/* mremap of as many mappings as there are, from Linux 6.17 on one after the other: when it fails the first of
   them have moved. So only one is moved at a time, which is done or not; the target is unmapped first. */
mi_os_result_t mi_os_move_pages(void* p, void* to, size_t size) {
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_MOVE_PAGES, true);
  mi_os_result_t result = MI_OS_NOT;
  /* Where every page counts these would twice. */
  if (fault != MI_OS_AT_START && !mi_os_must_commit() && is_one_mapping(p, size) && range_sign(to)) {
    range_fault(fault, to, size);
    const bool ok = fault == MI_OS_GOES_ON
                    && os_mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to;
    result = ok ? MI_OS_DONE : range_back(to, size);
  }
  errno = saved;
  return result;
}
#else
mi_os_result_t mi_os_move_pages(void* p, void* to, size_t size) {
  (void)p, (void)to, (void)size;
  return MI_OS_NOT;
}
#endif

/* madvise: where it fails part may be advised, which nobody minds. */
void mi_os_advise_huge(void* p, size_t size, bool huge) {
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_ADVISE, false);
  if (fault > MI_OS_AT_START) size = size / 2 / mi_os_page_size() * mi_os_page_size();
  if (fault != MI_OS_AT_START) (void)os_madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  errno = saved;
}

/* mmap, madvise and munmap of a page, which sandboxes allow: what is locked cannot be given back. Where there
   is no page, or another reason why it cannot be given back, the answer is no. */
bool mi_os_locks_memory(void) {
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_ASK_LOCKED, false);
  void* p = fault == MI_OS_AT_START ? MAP_FAILED : map_memory(NULL, mi_os_page_size(), 0);
  bool locks = false;
  if (p != MAP_FAILED) {
    locks =
        fault == MI_OS_GOES_ON && os_madvise(p, mi_os_page_size(), MADV_DONTNEED) != 0 && errno == EINVAL;
    mi_os_release(p, mi_os_page_size());
  }
  errno = saved;
  return locks;
}

/* munlock: where it fails part may be locked still, which nobody minds. */
void mi_os_unlock(void* p, size_t size) {
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_UNLOCK, false);
  if (fault > MI_OS_AT_START) size = size / 2 / mi_os_page_size() * mi_os_page_size();
  if (fault != MI_OS_AT_START) (void)syscall(SYS_munlock, p, size);
  errno = saved;
}

/* Are huge pages behind all of it? What cannot be had must fail here, or the program is ended when it first
   touches it. Before Linux 5.14 it cannot be asked, and what mmap has set aside must do. */
static bool are_there(void* p, size_t size) {
#ifdef MADV_POPULATE_WRITE
  return os_madvise(p, size, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
#else
  (void)p, (void)size;
  return true;
#endif
}

/* mmap, which sets the pages aside or fails (without MAP_NORESERVE), and madvise: nothing is half done. */
void* mi_os_reserve_huge(size_t size, size_t align) {
  const bool fails = fault_of(MI_OS_RESERVE_HUGE, true) != MI_OS_GOES_ON;
  uint8_t* p = fails ? MAP_FAILED : os_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_HUGETLB);
  if (p == MAP_FAILED) { errno = ENOMEM; return NULL; }
  if (((uintptr_t)p & (align - 1)) == 0 && are_there(p, size)) return p;
  mi_os_release(p, size);
  errno = ENOMEM;
  return NULL;
}

/* mprotect, as where memory is committed: where it fails the first part may be done. */
bool mi_os_make_writable(void* p, size_t size) {
  mi_assert(((uintptr_t)p | size) % mi_os_page_size() == 0);
  const mi_os_way_t fault = fault_of(MI_OS_COMMIT, true);
  if (fault > MI_OS_AT_START)
    os_mprotect(p, size / 2 / mi_os_page_size() * mi_os_page_size(), PROT_READ | PROT_WRITE);
  const bool ok = fault == MI_OS_GOES_ON && os_mprotect(p, size, PROT_READ | PROT_WRITE) == 0;
  if (!ok) errno = ENOMEM;
  return ok;
}

/* ---- a thread ---- */

/* No stack size is asked for: the C library puts the thread-local storage of every module into the stack, and
   only its own default is known to have room for it. What is not touched of it costs address space only. */
bool mi_os_thread_start(void* (*run)(void* arg), void* arg) {
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, old;
  const int saved = errno;
  if (pthread_attr_init(&attributes) != 0) return false;
  sigfillset(&all);
  bool ok = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0;
  /* Where signals cannot be blocked, as in a sandbox that forbids it, no thread is made: it would take the
     program's. */
  ok = ok && pthread_sigmask(SIG_SETMASK, &all, &old) == 0;
  if (ok) {
    ok = pthread_create(&thread, &attributes, run, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);                       /* it has just been allowed */
  }
  (void)pthread_attr_destroy(&attributes);                                /* has nothing that could fail */
  errno = saved;
  return ok;
}

void mi_os_thread_begins(void) {
  const struct sched_param none = { 0 };
  const long policy = syscall(SYS_sched_getscheduler, 0L) & ~(long)SCHED_RESET_ON_FORK;
  /* Refused: it goes on as it is. */
  if (policy == SCHED_FIFO || policy == SCHED_RR)
    syscall(SYS_sched_setscheduler, 0L, (long)SCHED_OTHER, &none);
}

static void signals_set(int how, uint64_t set, uint64_t* old) {
  const int saved = errno;
  /* Fails only in a sandbox: nothing is blocked then. */
  syscall(SYS_rt_sigprocmask, how, &set, old, sizeof set);
  errno = saved;
}

uint64_t mi_os_signals(void) {
  uint64_t set = 0;
  signals_set(SIG_BLOCK, 0, &set);
  return set;
}
void mi_os_signals_set(uint64_t set) { signals_set(SIG_SETMASK, set, NULL); }

/* A bell is a futex: 1 from a wake to the end of the wait. */
void mi_os_wait_at(mi_atomic(uint32_t)* bell, uint64_t ms) {
  const struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
  if (mi_exchange_acq_rel(bell, 0) != 0) return;                          /* pairs with mi_os_wake_at */
  syscall(SYS_futex, bell, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
  mi_exchange_acq_rel(bell, 0);                                           /* pairs with mi_os_wake_at */
}

void mi_os_wake_at(mi_atomic(uint32_t)* bell) {
  const int saved = errno;
  /* Pairs with mi_os_wait_at. */
  if (mi_exchange_acq_rel(bell, 1) == 0) syscall(SYS_futex, bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  errno = saved;
}

static mi_atomic(uint32_t) woken;
void mi_os_wait(uint64_t ms) { mi_os_wait_at(&woken, ms); }
void mi_os_wake(void) { mi_os_wake_at(&woken); }

/* A page that the system clears in each copy of this memory, however that is made; who shares the memory
   finds it as it is. In it is the process's number. */
static mi_atomic(mi_atomic(uint64_t)*) xown;
static mi_atomic(uint64_t) no_own;       /* there is no such page, from the first question on */
static mi_atomic(uint64_t) xprocesses;   /* numbers drawn, by those of whose memory this is a copy, too */

/* mmap and madvise, before Linux 4.14 not. An emulator that ignores what it does not know takes -1, too. */
static mi_atomic(uint64_t)* own_make(void) {
  const int saved = errno;
  const size_t size = mi_os_page_size();
  mi_atomic(uint64_t)* none = NULL;
  void* p = os_mmap(NULL, size, PROT_READ | PROT_WRITE, 0);
  const bool clears =
      p != MAP_FAILED && os_madvise(p, size, MADV_WIPEONFORK) == 0 && os_madvise(p, size, -1) != 0;
  mi_atomic(uint64_t)* mine = clears ? p : &no_own;
  const bool first = mi_cas_acq_rel(&xown, &none, mine);                  /* pairs with mi_os_process_id */
  if (p != MAP_FAILED && (!clears || !first)) (void)os_munmap(p, size);
  errno = saved;
  return first ? mine : none;
}

uint64_t mi_os_process_id(void) {
  mi_atomic(uint64_t)* own = mi_load_acquire(&xown);                      /* pairs with own_make */
  if (own == NULL) own = own_make();
  if (own == &no_own) return (uint64_t)syscall(SYS_getpid);
  uint64_t id = mi_load_relaxed(own), none = 0;                           /* a number only */
  if (id != 0) return id;
  id = mi_add_relaxed(&xprocesses, 1) + 1;                                /* a count */
  return mi_cas_acq_rel(own, &none, id) ? id : none;                      /* pairs with itself */
}

/* What /proc/self/stat says behind the name, which is in parentheses: field 3, the state of the thread that
   main was, is the first. 0 terminates it. NULL: unknown. */
static const char* process_stat(char* text, size_t size) {
  size_t n = file_read("/proc/self/stat", text, size - 1), end = n;
  while (n > 0 && text[n - 1] != ')') n--;
  text[end] = 0;
  return n > 0 && text[n] == ' ' ? &text[n + 1] : NULL;
}

/* Field 20. */
size_t mi_os_threads(void) {
  char text[400];
  const char* p = process_stat(text, sizeof text);
  size_t n = 0;
  for (int spaces = 0; p != NULL && *p != 0 && spaces < 18; p++) {
    if (*p == ' ') spaces++;
    else if (spaces == 17 && *p >= '0' && *p <= '9') n = n * 10 + (size_t)(*p - '0');
  }
  return n;
}

/* glibc 2.32 or newer says it; else the system is asked. */
extern char __libc_single_threaded __attribute__((weak));
bool mi_os_has_threads(void) {
  static mi_atomic(bool) seen;
  if (&__libc_single_threaded != NULL) return __libc_single_threaded == 0;
  if (mi_load_relaxed(&seen)) return true;                                /* idempotent */
  if (mi_os_threads() < 2) return false;
  mi_store_relaxed(&seen, true);
  return true;
}

/* Z has ended and is still there. 0: unknown. */
static char main_state(void) {
  char text[400];
  const char* state = process_stat(text, sizeof text);
  return state == NULL ? 0 : *state;
}

bool mi_os_is_last_thread(void) { return mi_os_threads() == 2 && main_state() == 'Z'; }

bool mi_os_main_runs(void) {
  const char state = main_state();
  return state != 0 && state != 'Z';
}

void mi_os_sleep_ms(uint64_t ms) {
  const struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
  const int saved = errno;
  syscall(SYS_nanosleep, &t, NULL);
  errno = saved;
}

/* ---- text, process ---- */

void mi_os_write(const char* text, size_t length) {
  const int saved = errno;
  while (length > 0) {
    const long n = syscall(SYS_write, STDERR_FILENO, text, length);
    if (n <= 0 && errno != EINTR) break;
    if (n > 0) { text += n; length -= (size_t)n; }
  }
  errno = saved;
}

const char* mi_os_getenv(const char* name) { return getenv(name); }

void mi_os_environment_give(void) { if (environ == NULL) environ = first_environment; }

char** mi_os_environment(void) {
  static char* none[] = { NULL };
  return getauxval(AT_SECURE) != 0 ? none : environ != NULL ? environ : first_environment;
}

static mi_atomic(mi_mend_t) xmend;
static bool in_child_of_fork(void);

void mi_fork_set_mend(mi_mend_t mend) { mi_store_release(&xmend, mend); }  /* pairs with mi_os_yield */

void mi_os_yield(void) {
  if (mi_unlikely(in_child_of_fork())) mi_load_acquire(&xmend)();         /* pairs with mi_fork_set_mend */
  syscall(SYS_sched_yield);
}

/* The second number of /proc/self/statm: resident pages. */
static size_t current_rss(void) {
  char text[128];
  const size_t n = file_read("/proc/self/statm", text, sizeof text);
  size_t i = 0, pages = 0;
  while (i < n && text[i] != ' ') i++;
  for (i++; i < n && text[i] >= '0' && text[i] <= '9'; i++) pages = 10 * pages + (size_t)(text[i] - '0');
  return pages * mi_os_page_size();
}

void mi_os_process(mi_os_process_t* info) {
  const int saved = errno;
  struct rusage u;
  *info = (mi_os_process_t){ 0 };
  info->elapsed_ms = (size_t)(mi_os_now_ms() - started);
  if (syscall(SYS_getrusage, RUSAGE_SELF, &u) == 0) {
    info->user_ms = (size_t)u.ru_utime.tv_sec * 1000 + (size_t)u.ru_utime.tv_usec / 1000;
    info->system_ms = (size_t)u.ru_stime.tv_sec * 1000 + (size_t)u.ru_stime.tv_usec / 1000;
    info->peak_rss = (size_t)u.ru_maxrss * 1024;
    info->page_faults = (size_t)u.ru_majflt;
  }
  info->rss = current_rss();
  info->peak_rss = mi_max(info->peak_rss, info->rss);  /* the system's own is behind at times */
  errno = saved;
}

/* ---- locks ---- */

static unsigned* held_ranks(void) { return &mi_local()->held_ranks; }
uintptr_t mi_os_thread(void) { return (uintptr_t)held_ranks(); }

/* The half of the word that the kernel looks at. */
static uint32_t* futex_of(mi_lock_t* lock) {
  return (uint32_t*)(void*)&lock->xholder + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/* Equal only if I wrote it. */
static bool is_mine(mi_lock_t* lock) {
  return (mi_load_relaxed(&lock->xholder) & ~(uintptr_t)1) == mi_os_thread();
}

static bool lock_try(mi_lock_t* lock, uintptr_t mine) {
  uintptr_t none = 0;
  return mi_cas_acquire(&lock->xholder, &none, mine);                     /* pairs with lock_open */
}

/* Who has waited takes it with the mark that others may wait. A signal's handler that forks may take it
   meanwhile for this thread. */
mi_cold static void lock_wait(mi_lock_t* lock) {
  const int saved = errno;
  while (!lock_try(lock, mi_os_thread() | 1) && !is_mine(lock)) {
    uintptr_t w = mi_load_relaxed(&lock->xholder);                        /* the swap decides */
    /* Pairs with lock_open, which sees the mark. */
    if (w == 0 || ((w & 1) == 0 && !mi_cas_acquire(&lock->xholder, &w, w | 1))) continue;
    syscall(SYS_futex, futex_of(lock), FUTEX_WAIT_PRIVATE, (uint32_t)(w | 1), NULL, NULL, 0);
  }
  errno = saved;
}

static void lock_take(mi_lock_t* lock) {
  if (mi_unlikely(!lock_try(lock, mi_os_thread()))) lock_wait(lock);
}

static void lock_open(mi_lock_t* lock) {
  if ((mi_exchange_acq_rel(&lock->xholder, 0) & 1) == 0) return;          /* pairs with lock_try, lock_wait */
  const int saved = errno;  /* what the lock is in may be gone by now: nobody waits there then */
  syscall(SYS_futex, futex_of(lock), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  errno = saved;
}

void mi_lock_init(mi_lock_t* lock, mi_rank_t rank) {
  lock->rank = rank;
  lock->for_fork = false;
  mi_store_relaxed(&lock->xholder, 0);                                    /* not shown to others yet */
}

mi_cold static void lock_for_fork(mi_lock_t* lock);
mi_cold static void unlock_for_fork(mi_lock_t* lock);

void mi_lock(mi_lock_t* lock) {
  if (mi_unlikely(mi_forking())) { lock_for_fork(lock); return; }
  mi_assert(*held_ranks() >> lock->rank == 0);  /* locks are taken in rising rank, one of each */
  *held_ranks() |= 1u << lock->rank;
  lock_take(lock);
}

bool mi_trylock(mi_lock_t* lock) {
  if (mi_forking() || !lock_try(lock, mi_os_thread())) return false;
  mi_assert(*held_ranks() >> lock->rank == 0);
  *held_ranks() |= 1u << lock->rank;
  return true;
}

void mi_unlock(mi_lock_t* lock) {
  if (mi_unlikely(mi_forking())) { unlock_for_fork(lock); return; }
  const unsigned rank = lock->rank;      /* once it is open, others may end what it is in */
  lock_open(lock);
  *held_ranks() &=
      ~(1u << rank); /* last: a signal's handler that forks before that waits for no other lock for ever */
}

/* ---- fork ---- */

/* glibc has pthread_atfork in each object that calls it, where a loader of object files does not find it; it
   calls this. */
#if defined(__GLIBC__)
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void* dso);
#else
#define __register_atfork(prepare, parent, child, dso) pthread_atfork(prepare, parent, child)
#endif
bool mi_os_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
  /* Of no object: they stay when one is unloaded. */
  return __register_atfork(prepare, parent, child, NULL) == 0;
}

static mi_lock_t fork_lock;              /* who has it forks; the rest is its */
static unsigned fork_depth;              /* a handler of fork that forks makes it 2 */
static bool fork_ends;                   /* the locks are being opened */
static uint64_t fork_signals;            /* the mask before */
static uint64_t fork_process;            /* the parent */

bool mi_forking(void) { return is_mine(&fork_lock); }
static bool in_child_of_fork(void) {
  return mi_forking() && !fork_ends && mi_os_process_id() != fork_process;
}

/* All signals, but those that a fault of this thread sends it and two that the C library needs. */
static uint64_t signals_of_others(void) {
  static const uint8_t needed[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, 32, 33 };
  uint64_t set = ~(uint64_t)0;
  for (size_t i = 0; i < sizeof needed; i++) set &= ~((uint64_t)1 << (needed[i] - 1));
  return set;
}

void mi_fork_enter(void) {
  uint64_t before = 0;
  if (mi_forking()) { fork_depth++; return; }
  signals_set(SIG_BLOCK, signals_of_others(), &before);
  lock_take(&fork_lock);
  fork_signals = before;
  fork_depth = 1;
  fork_ends = false;
  fork_process = mi_os_process_id();
}

bool mi_fork_leave(bool child) {
  if (!mi_forking() || (--fork_depth > 0 && !child)) return false;
  fork_ends = true;
  return true;
}

void mi_fork_left(void) {
  const uint64_t before = fork_signals;
  lock_open(&fork_lock);
  signals_set(SIG_SETMASK, before, NULL);
}

/* A signal's handler may fork while the thread that it interrupted has a lock. Then whoever has another lock
   may be waiting for the first one, for ever: so that other lock is left to its holder after a tenth of a
   second. What it guards is whole while its holder waits for a second lock; in the child it is open. */
static void lock_for_fork(mi_lock_t* lock) {
  if (is_mine(lock)) return;
  if (*held_ranks() == 0) lock_take(lock);
  else {
    for (int i = 0; !lock_try(lock, mi_os_thread()); i++) {
      if (i == 100) return;
      mi_os_sleep_ms(1);
    }
  }
  lock->for_fork = true;
}

static void unlock_for_fork(mi_lock_t* lock) {
  if (!fork_ends || !lock->for_fork || !is_mine(lock)) return;
  lock->for_fork = false;
  lock_open(lock);
}

void mi_lock_reset(mi_lock_t* lock) {
  if (is_mine(lock) && !lock->for_fork) return;  /* an interrupted function's, which goes on in the child */
  lock->for_fork = false;
  mi_store_relaxed(&lock->xholder, 0);                                    /* one thread only */
}
