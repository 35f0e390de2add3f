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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "check.h"
#include "os.h"

/* ---- faults for tests ---- */

static mi_atomic(size_t) fail_after;     /* calls left before the first failure; 0: off */
static mi_atomic(size_t) fail_count;

void mi_os_fail_in(size_t nth, size_t count) {
  mi_store_relaxed(&fail_count, count);  /* tests set it while nothing else runs: nothing is published */
  mi_store_relaxed(&fail_after, nth);
}

static bool should_fail(void) {
  if (mi_likely(mi_load_relaxed(&fail_after) == 0)) return false;         /* a counter, publishes nothing */
  if (mi_sub_relaxed(&fail_after, 1) > 1) return false;
  mi_store_relaxed(&fail_after, mi_sub_relaxed(&fail_count, 1) > 1 ? 1 : 0);
  return true;
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

/* With vm.overcommit_memory = 2 every writable page counts at once: reserve without access then. */
bool mi_os_must_commit(void) {
  static mi_atomic(int) cached;          /* 0 unknown, 1 no, 2 yes */
  int answer = mi_load_relaxed(&cached);                                  /* idempotent */
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
    mi_store_relaxed(&cached, answer);
  }
  return answer == 2;
}

static void* map(void* hint, size_t size, int extra_flags) {
  if (should_fail()) { errno = ENOMEM; return NULL; }
  const int prot = mi_os_must_commit() ? PROT_NONE : PROT_READ | PROT_WRITE;
  void* p = mmap(hint, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | extra_flags, -1, 0);
  if (p == MAP_FAILED) { errno = ENOMEM; return NULL; }
  return p;
}

void mi_os_release(void* p, size_t size) {
  const int saved = errno;               /* cannot fail on a range that is ours but for want of map entries; then it stays */
  (void)munmap(p, size);
  errno = saved;
}

void* mi_os_reserve(size_t size, size_t align) {
  uint8_t* p = map(NULL, size, 0);
  if (p == NULL || ((uintptr_t)p & (align - 1)) == 0) return p;
  mi_os_release(p, size);
  if (size > MI_SIZE_LIMIT - align) { errno = ENOMEM; return NULL; }
  p = map(NULL, size + align, 0);        /* once more, with room to cut an aligned piece from */
  if (p == NULL) return NULL;
  uint8_t* start = (uint8_t*)mi_align_up((uintptr_t)p, align);
  if (start > p) mi_os_release(p, (size_t)(start - p));
  mi_os_release(start + size, (size_t)(p + align - start));
  return start;
}

bool mi_os_commit(void* p, size_t size) {
  if (should_fail()) { errno = ENOMEM; return false; }
  return !mi_os_must_commit() || mprotect(p, size, PROT_READ | PROT_WRITE) == 0;
}

bool mi_os_purge(void* p, size_t size) {
  const int saved = errno;               /* locked memory is refused: then it stays, and is not zero */
  const bool ok = madvise(p, size, MADV_DONTNEED) == 0;
  errno = saved;
  return ok;
}

bool mi_os_resize(void* p, size_t old_size, size_t new_size) {
  if (should_fail()) { errno = ENOMEM; return false; }
  return mremap(p, old_size, new_size, 0) == p;
}

bool mi_os_move(void* p, size_t old_size, void* to, size_t new_size) {
  if (should_fail()) { errno = ENOMEM; return false; }
  return mremap(p, old_size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
}

bool mi_os_move_pages(void* p, void* to, size_t size) {
  if (should_fail()) return false;
#ifdef MREMAP_DONTUNMAP
  const int saved = errno;
  const bool ok = mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to;
  if (!ok && errno != EINVAL) {          /* before Linux 6.17 `to` was unmapped first, and then found that p is several mappings */
    (void)mmap(to, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  }
  errno = saved;
  return ok;
#else
  (void)p, (void)to, (void)size;
  return false;
#endif
}

void mi_os_advise_huge(void* p, size_t size, bool huge) {
  const int saved = errno;
  (void)madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  errno = saved;
}

void* mi_os_reserve_huge(size_t size, size_t align) {
  uint8_t* p = map(NULL, size, MAP_HUGETLB);
  if (p != NULL && ((uintptr_t)p & (align - 1)) != 0) { mi_os_release(p, size); p = NULL; }
  return p;
}

/* ---- a thread ---- */

/* No stack size is asked for: the C library puts the thread-local storage of every module into the stack, and only its own
   default is known to have room for it. What is not touched of it costs address space only. */
bool mi_os_thread_start(void* (*run)(void* arg)) {
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, old;
  const int saved = errno;
  if (pthread_attr_init(&attributes) != 0) return false;
  sigfillset(&all);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const bool ok = pthread_create(&thread, &attributes, run, NULL) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attributes);
  errno = saved;
  return ok;
}

static mi_atomic(uint32_t) woken;        /* a futex: 1 from a wake to the end of the wait */

void mi_os_wait(uint64_t ms) {
  const struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
  if (mi_exchange_acq_rel(&woken, 0) != 0) return;                        /* pairs with mi_os_wake */
  syscall(SYS_futex, &woken, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
  mi_exchange_acq_rel(&woken, 0);                                         /* pairs with mi_os_wake */
}

void mi_os_wake(void) {
  const int saved = errno;
  if (mi_exchange_acq_rel(&woken, 1) == 0) syscall(SYS_futex, &woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);  /* pairs with mi_os_wait */
  errno = saved;
}

uint64_t mi_os_process_id(void) { return (uint64_t)getpid(); }

/* A directory has two links more than it has directories in it. */
size_t mi_os_threads(void) {
  struct stat s;
  const int saved = errno;
  const size_t n = stat("/proc/self/task", &s) == 0 && s.st_nlink > 2 ? s.st_nlink - 2 : 0;
  errno = saved;
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

/* The state stands behind the name, which is in parentheses: Z is a thread that has ended and is still there, as main is. */
bool mi_os_is_last_thread(void) {
  char path[48], text[256];
  if (mi_os_threads() != 2) return false;
  const int saved = errno;
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  errno = saved;
  if (n <= 0) return false;
  text[n] = 0;
  const char* name_end = strrchr(text, ')');
  return name_end != NULL && strncmp(name_end, ") Z", 3) == 0;
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

uint64_t mi_os_cpu_us(void) {
  struct timespec t = { 0 };
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
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

bool mi_trylock(mi_lock_t* lock) {
  if (pthread_mutex_trylock(&lock->mutex) != 0) return false;
  rank_take(lock->rank);
  return true;
}

void mi_unlock(mi_lock_t* lock) {
  rank_drop(lock->rank);                 /* first: once it is open, others may end what it is in */
  pthread_mutex_unlock(&lock->mutex);
}

void mi_lock_reset(mi_lock_t* lock) {
  pthread_mutex_init(&lock->mutex, NULL);
  rank_drop(lock->rank);
}
