/* Linux. See os.h. Any thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "check.h"
#include "os.h"

/* ---- faults for tests ---- */

typedef struct { mi_atomic(size_t) xafter, xcount; mi_atomic(int) xway; } mi_fault_t;   /* calls left before the first failure; 0: off */
static mi_fault_t any_fault, faults[MI_OS_CALLS];
static mi_atomic(bool) faulty;

static void fault_set(mi_fault_t* f, mi_os_way_t way, size_t nth, size_t count) {
  mi_store_relaxed(&f->xway, way);       /* tests set it while nothing else runs: nothing is published */
  mi_store_relaxed(&f->xcount, count);
  mi_store_relaxed(&f->xafter, nth);
  mi_store_relaxed(&faulty, true);
}

void mi_os_fail_in(size_t nth, size_t count) { fault_set(&any_fault, MI_OS_AT_START, nth, count); }

void mi_os_fail_call(mi_os_call_t call, mi_os_way_t way, size_t nth, size_t count) { fault_set(&faults[call], way, nth, count); }

static mi_os_way_t fault_next(mi_fault_t* f) {
  if (mi_load_relaxed(&f->xafter) == 0) return MI_OS_GOES_ON;             /* a counter, publishes nothing */
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

/* ---- memory ---- */

size_t mi_os_page_size(void) {
  static mi_atomic(size_t) cached;
  size_t size = mi_load_relaxed(&cached);                                 /* idempotent */
  if (mi_unlikely(size == 0)) {
    size = (size_t)sysconf(_SC_PAGESIZE);
    mi_store_relaxed(&cached, size);
  }
  return size;
}

/* With vm.overcommit_memory = 2 every writable page counts at once: reserve what can only be read then. */
static mi_atomic(int) must_commit;       /* 0 unknown, 1 no, 2 yes */
void mi_os_set_must_commit(bool must) { mi_store_relaxed(&must_commit, must ? 2 : 1); }   /* tests: nothing else runs */

bool mi_os_must_commit(void) {
  int answer = mi_load_relaxed(&must_commit);                             /* idempotent */
  if (mi_unlikely(answer == 0)) {
    char c = '0';
    const int saved = errno;
    const int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
      if (read(fd, &c, 1) != 1) c = '0';
      close(fd);
    }
    errno = saved;
    answer = (c == '2') ? 2 : 1;
    mi_store_relaxed(&must_commit, answer);
  }
  return answer == 2;
}

/* Memory at `at` or, without flags that say so, anywhere. Where every page counts none is exempt from that. */
static void* map(void* at, size_t size, int flags) {
  const bool must = mi_os_must_commit();
  return mmap(at, size, must ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (must ? 0 : MAP_NORESERVE) | flags, -1, 0);
}

/* mmap of addresses that the system chooses: done or not. */
static void* map_anywhere(size_t size) {
  void* p = fault_of(MI_OS_RESERVE, true) != MI_OS_GOES_ON ? MAP_FAILED : map(NULL, size, 0);
  if (p == MAP_FAILED) { errno = ENOMEM; return NULL; }
  return p;
}

/* munmap: done or not, as when the process has no more map entries and an end of the range is inside a mapping (it may be split
   there). Then at least its memory goes. */
void mi_os_release(void* p, size_t size) {
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_RELEASE, false);
  if (fault > MI_OS_AT_START) munmap(p, size / 2 / mi_os_page_size() * mi_os_page_size());
  if (fault != MI_OS_GOES_ON || munmap(p, size) != 0) (void)madvise(p, size, MADV_DONTNEED);   /* passes over gaps */
  errno = saved;
}

void* mi_os_reserve(size_t size, size_t align) {
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

/* mprotect: where it fails the first part may be done. */
bool mi_os_commit(void* p, size_t size) {
  const mi_os_way_t fault = fault_of(MI_OS_COMMIT, true);
  if (fault > MI_OS_AT_START && mi_os_must_commit()) mprotect(p, size / 2 / mi_os_page_size() * mi_os_page_size(), PROT_READ | PROT_WRITE);
  if (fault == MI_OS_GOES_ON && (!mi_os_must_commit() || mprotect(p, size, PROT_READ | PROT_WRITE) == 0)) return true;
  errno = ENOMEM;
  return false;
}

/* madvise: where it fails, as for locked memory, what is in front of that may be zero. */
bool mi_os_purge(void* p, size_t size) {
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_PURGE, false);
  if (fault > MI_OS_AT_START) madvise(p, size / 2 / mi_os_page_size() * mi_os_page_size(), MADV_DONTNEED);
  const bool ok = fault == MI_OS_GOES_ON && madvise(p, size, MADV_DONTNEED) == 0;
  errno = saved;
  return ok;
}

/* ---- calls that unmap a range before they put something else there: where they fail it may be a gap, in which the next mmap of
   another thread may come to lie. So its first word says before whose it is. ---- */

static uint64_t word_of(const void* p) { return (uint64_t)(uintptr_t)p * 0x9e3779b97f4a7c15u | 1; }

static bool range_sign(void* p) {
  if (mi_os_must_commit() && mprotect(p, mi_os_page_size(), PROT_READ | PROT_WRITE) != 0) return false;
  *(volatile uint64_t*)p = word_of(p);
  return true;
}

/* Is it there as it was signed? A page that is not resident is somebody else's, or may be. */
static bool range_is_signed(void* p) {
  unsigned char resident = 0;
  if (mincore(p, mi_os_page_size(), &resident) != 0 || (resident & 1) == 0) return false;
  return *(volatile uint64_t*)p == word_of(p);
}

/* After such a call failed for a range that was signed: it is there still, or is put back. */
static mi_os_result_t range_back(void* p, size_t size) {
  if (range_is_signed(p)) return MI_OS_NOT;
  void* q = map(p, size, MAP_FIXED_NOREPLACE);
  if (q == p) return MI_OS_NOT;
  if (q != MAP_FAILED) (void)munmap(q, size);                             /* before Linux 4.17 it was a hint */
  return MI_OS_LOST;
}

/* What such a call leaves when it fails. */
static void range_fault(mi_os_way_t fault, void* p, size_t size) {
  if (fault >= MI_OS_HALF) (void)munmap(p, size);
  if (fault == MI_OS_TAKEN) (void)mmap(p, mi_os_page_size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* madvise, as above; then mmap over it: not done and unchanged, or a gap. A private mapping that nobody can write to counts for
   nothing, and a change of protection alone would not take back what counts. */
mi_os_result_t mi_os_decommit(void* p, size_t size) {
  if (!mi_os_purge(p, size)) return MI_OS_NOT;
  if (!mi_os_must_commit()) return MI_OS_DONE;
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_DECOMMIT, false);
  mi_os_result_t result = MI_OS_DONE;
  if (fault != MI_OS_AT_START && range_sign(p)) {
    range_fault(fault, p, size);
    if (fault != MI_OS_GOES_ON || map(p, size, MAP_FIXED) != p) result = range_back(p, size);
    if (result == MI_OS_NOT) result = mi_os_purge(p, mi_os_page_size()) ? MI_OS_DONE : MI_OS_NOT;   /* zero, though it counts */
  }
  errno = saved;
  return result;
}

/* mremap in place: done or not. Growing needs one mapping, shrinking is munmap. */
bool mi_os_resize(void* p, size_t old_size, size_t new_size) {
  if (fault_of(MI_OS_RESIZE, true) != MI_OS_GOES_ON) { errno = ENOMEM; return false; }
  return mremap(p, old_size, new_size, 0) == p;
}

/* mremap to larger memory: what is moved is one mapping, or it fails. One mapping is moved whole or stays; the target is unmapped
   first. (Where a mapping shrinks its end is unmapped before it is moved: so none that shrinks comes here.) */
mi_os_result_t mi_os_move(void* p, size_t old_size, void* to, size_t new_size) {
  const mi_os_way_t fault = fault_of(MI_OS_MOVE, true);
  mi_assert(new_size > old_size);
  if (fault != MI_OS_AT_START && range_sign(to)) {
    range_fault(fault, to, new_size);
    if (fault == MI_OS_GOES_ON && mremap(p, old_size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to) return MI_OS_DONE;
    if (!range_is_signed(to)) { errno = ENOMEM; return MI_OS_LOST; }
  }
  errno = ENOMEM;
  return MI_OS_NOT;
}

#ifdef MREMAP_DONTUNMAP
/* Several mappings, as where the program gave part of its block another property, cannot grow (EFAULT); part of one mapping has no
   room to. Nobody else splits it meanwhile: it is the caller's. */
static bool is_one_mapping(uint8_t* p, size_t size) {
  const bool grown = mremap(p, size, size + mi_os_page_size(), 0) == p;
  if (grown) (void)munmap(p + size, mi_os_page_size());                   /* its end, and nothing behind it */
  return grown || errno == ENOMEM || errno == EAGAIN;
}

/* mremap of as many mappings as there are, from Linux 6.17 on one after the other: when it fails the first of them have moved. So
   only one is moved at a time, which is done or not; the target is unmapped first. */
mi_os_result_t mi_os_move_pages(void* p, void* to, size_t size) {
  const int saved = errno;
  const mi_os_way_t fault = fault_of(MI_OS_MOVE_PAGES, true);
  mi_os_result_t result = MI_OS_NOT;
  if (fault != MI_OS_AT_START && !mi_os_must_commit() && is_one_mapping(p, size) && range_sign(to)) {   /* where every page counts these would twice */
    range_fault(fault, to, size);
    const bool ok = fault == MI_OS_GOES_ON && mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to;
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
  if (fault != MI_OS_AT_START) (void)madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  errno = saved;
}

/* mmap, mincore and munmap of a page: where it fails the answer is no. */
bool mi_os_locks_memory(void) {
  const int saved = errno;
  unsigned char resident = 0;
  void* p = map(NULL, mi_os_page_size(), 0);
  if (p != MAP_FAILED) {
    if (mincore(p, mi_os_page_size(), &resident) != 0) resident = 0;
    (void)munmap(p, mi_os_page_size());
  }
  errno = saved;
  return (resident & 1) != 0;
}

/* Are huge pages behind all of it? What cannot be had is told here, or the program is ended when it first touches it. Before Linux
   5.14 it cannot be asked, and what mmap has set aside must do. */
static bool are_there(void* p, size_t size) {
#ifdef MADV_POPULATE_WRITE
  return madvise(p, size, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
#else
  (void)p, (void)size;
  return true;
#endif
}

/* mmap, which sets the pages aside or fails (without MAP_NORESERVE), and madvise: nothing is half done. */
void* mi_os_reserve_huge(size_t size, size_t align) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
  const bool fails = fault_of(MI_OS_RESERVE_HUGE, true) != MI_OS_GOES_ON;
  uint8_t* p = fails ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (p == MAP_FAILED) { errno = ENOMEM; return NULL; }
  if (((uintptr_t)p & (align - 1)) == 0 && are_there(p, size)) return p;
  mi_os_release(p, size);
  errno = ENOMEM;
  return NULL;
}

/* ---- a thread ---- */

bool mi_os_thread_start(void* (*run)(void* arg)) {
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, old;
  if (pthread_attr_init(&attributes) != 0) return false;
  sigfillset(&all);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 128 * MI_KiB);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const bool ok = pthread_create(&thread, &attributes, run, NULL) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attributes);
  return ok;
}

static mi_atomic(uint32_t) woken;        /* a futex: 1 from a wake to the end of the wait */

void mi_os_wait(void) {
  while (mi_exchange_acq_rel(&woken, 0) == 0) syscall(SYS_futex, &woken, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);  /* pairs with mi_os_wake */
}

void mi_os_wake(void) {
  const int saved = errno;
  if (mi_exchange_acq_rel(&woken, 1) == 0) syscall(SYS_futex, &woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);  /* pairs with mi_os_wait */
  errno = saved;
}

void mi_os_sleep_ms(uint64_t ms) {
  const struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
  nanosleep(&t, NULL);
}

/* ---- time, text, process ---- */

uint64_t mi_os_now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void mi_os_write(const char* text, size_t length) {
  const int saved = errno;
  while (length > 0) {
    const ssize_t n = write(STDERR_FILENO, text, length);
    if (n <= 0 && errno != EINTR) break;
    if (n > 0) { text += n; length -= (size_t)n; }
  }
  errno = saved;
}

const char* mi_os_getenv(const char* name) { return getenv(name); }

void mi_os_yield(void) { sched_yield(); }

/* The second number of /proc/self/statm: resident pages. Read without stdio, which allocates. */
static size_t current_rss(void) {
  char text[128];
  const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  const char* second = strchr(text, ' ');
  return second == NULL ? 0 : strtoul(second + 1, NULL, 10) * mi_os_page_size();
}

static uint64_t started;                 /* written before there are other threads */
__attribute__((constructor)) static void process_starts(void) { started = mi_os_now_ms(); }

void mi_os_process(mi_os_process_t* info) {
  const int saved = errno;
  struct rusage u;
  *info = (mi_os_process_t){ 0 };
  info->elapsed_ms = (size_t)(mi_os_now_ms() - started);
  if (getrusage(RUSAGE_SELF, &u) == 0) {
    info->user_ms = (size_t)u.ru_utime.tv_sec * 1000 + (size_t)u.ru_utime.tv_usec / 1000;
    info->system_ms = (size_t)u.ru_stime.tv_sec * 1000 + (size_t)u.ru_stime.tv_usec / 1000;
    info->peak_rss = (size_t)u.ru_maxrss * 1024;
    info->page_faults = (size_t)u.ru_majflt;
  }
  info->rss = current_rss();
  info->peak_rss = mi_max(info->peak_rss, info->rss);                     /* the system's own is behind at times */
  errno = saved;
}

/* ---- locks ---- */

#if MI_CHECK
static mi_tls unsigned held_ranks;       /* a bit for each rank this thread holds */
static void rank_take(mi_rank_t rank) {
  mi_assert(held_ranks >> (rank + 1) == 0);  /* locks are taken in rising rank; of one rank, several only around fork */
  held_ranks |= 1u << rank;
}
static void rank_drop(mi_rank_t rank) { held_ranks &= ~(1u << rank); }
#else
static void rank_take(mi_rank_t rank) { (void)rank; }
static void rank_drop(mi_rank_t rank) { (void)rank; }
#endif

void mi_lock_init(mi_lock_t* lock, mi_rank_t rank) {
  lock->rank = rank;
  pthread_mutex_init(&lock->mutex, NULL);
}

void mi_lock(mi_lock_t* lock) {
  rank_take(lock->rank);
  pthread_mutex_lock(&lock->mutex);
}

void mi_unlock(mi_lock_t* lock) {
  rank_drop(lock->rank);                 /* first: once it is open, others may end what it is in */
  pthread_mutex_unlock(&lock->mutex);
}

void mi_lock_reset(mi_lock_t* lock) {
  pthread_mutex_init(&lock->mutex, NULL);
  rank_drop(lock->rank);
}
