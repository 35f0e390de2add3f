/* A program that has functions of the C library's names, which allocate: none of them is called
   inside an allocation. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "include/mimalloc-stats.h"
#include "test.h"

static mi_tls bool watched;              /* this thread is inside one of ours */
static const char* called;
static void* called_here(const char* name) {
  if (!watched) return NULL;
  called = name;
  return mi_malloc(100);                         /* without end, if it is called from there */
}

/* Each does what the C library's does, as far as it is needed here. */
char* getenv(const char* name) {
  called_here("getenv");
  for (char** e = environ; e != NULL && *e != NULL; e++) {
    const size_t n = strlen(name);
    if (strncmp(*e, name, n) == 0 && (*e)[n] == '=') return *e + n + 1;
  }
  return NULL;
}
char* secure_getenv(const char* name) { return getenv(name); }
int clock_gettime(clockid_t clock, struct timespec* t) {
  called_here("clock_gettime");
  return (int)syscall(SYS_clock_gettime, clock, t);
}
int nanosleep(const struct timespec* t, struct timespec* rest) {
  called_here("nanosleep");
  return (int)syscall(SYS_nanosleep, t, rest);
}
int sched_yield(void) { called_here("sched_yield"); return (int)syscall(SYS_sched_yield); }
int open(const char* name, int flags, ...) {
  called_here("open");
  return (int)syscall(SYS_openat, -100, name, flags, 0);
}
int open64(const char* name, int flags, ...) {
  called_here("open64");
  return (int)syscall(SYS_openat, -100, name, flags, 0);
}
ssize_t read(int fd, void* to, size_t n) { called_here("read"); return syscall(SYS_read, fd, to, n); }
ssize_t write(int fd, const void* from, size_t n) {
  called_here("write");
  return syscall(SYS_write, fd, from, n);
}
int close(int fd) { called_here("close"); return (int)syscall(SYS_close, fd); }
int getrusage(__rusage_who_t who, struct rusage* u) {
  called_here("getrusage");
  return (int)syscall(SYS_getrusage, who, u);
}
long sysconf(int name) { called_here("sysconf"); return name == _SC_PAGESIZE ? 4096 : -1; }
long strtol(const char* text, char** end, int base) {
  called_here("strtol");
  (void)base;
  if (end != NULL) *end = (char*)(uintptr_t)text;
  return 0;
}
int strcasecmp(const char* a, const char* b) { called_here("strcasecmp"); return strcmp(a, b); }
int pthread_mutex_lock(pthread_mutex_t* m) { called_here("pthread_mutex_lock"); (void)m; return 0; }
int pthread_mutex_unlock(pthread_mutex_t* m) { called_here("pthread_mutex_unlock"); (void)m; return 0; }

#if !TEST_SANITIZED                      /* which has them itself, and must see all that becomes of memory */
void* mmap(void* at, size_t size, int access, int flags, int fd, off_t from) {
  called_here("mmap");
  return (void*)syscall(SYS_mmap, at, size, (long)access, (long)flags, (long)fd, (long)from);
}
void* mmap64(void* at, size_t size, int access, int flags, int fd, off_t from) {
  return mmap(at, size, access, flags, fd, from);
}
int munmap(void* p, size_t size) { called_here("munmap"); return (int)syscall(SYS_munmap, p, size); }
int madvise(void* p, size_t size, int advice) {
  called_here("madvise");
  return (int)syscall(SYS_madvise, p, size, (long)advice);
}
int mprotect(void* p, size_t size, int access) {
  called_here("mprotect");
  return (int)syscall(SYS_mprotect, p, size, (long)access);
}
void* mremap(void* p, size_t old_size, size_t new_size, int flags, ...) {
  va_list args;
  called_here("mremap");
  va_start(args, flags);
  void* to = (flags & MREMAP_FIXED) != 0 ? va_arg(args, void*) : NULL;
  va_end(args);
  return (void*)syscall(SYS_mremap, p, old_size, new_size, (long)flags, to);
}
int mincore(void* p, size_t size, unsigned char* resident) {
  called_here("mincore");
  return (int)syscall(SYS_mincore, p, size, resident);
}
int mlock(const void* p, size_t size) { called_here("mlock"); return (int)syscall(SYS_mlock, p, size); }
int munlock(const void* p, size_t size) { called_here("munlock"); return (int)syscall(SYS_munlock, p, size); }
#endif

/* Every call for memory: blocks that grow in place, that move with their mapping, page by page; moves and
   givings back that fail half-way; memory that counts. */
static void memory(void) {
  test_expect_errors();
  watched = true;
  for (int must = 0; must < 2; must++) {
    mi_os_set_must_commit(must != 0);
    for (int call = 0; call < MI_OS_CALLS; call++) {
      mi_os_fail_call(call, must ? MI_OS_TAKEN : MI_OS_HALF, 1, 2);
      void *p = mi_malloc((size_t)600 << 20), *wall = mi_malloc((size_t)600 << 20), *q = mi_malloc(3 << 20);
      void* between = mi_malloc(3 << 20);
      p = mi_realloc(p, (size_t)700 << 20);
      q = mi_realloc(q, 9 << 20);
      mi_free(p), mi_free(wall), mi_free(q), mi_free(between);
      mi_collect(true);
      mi_os_fail_call(call, MI_OS_GOES_ON, 0, 0);
    }
  }
  mi_os_locks_memory();
  mi_reserve_huge_os_pages_at(1, 0, 100);
  watched = false;
  CHECK_AT(called == NULL, "called = %s", called);
}

static void use(void) {
  watched = true;
  static void* p[2000];
  for (int i = 0; i < 2000; i++) p[i] = mi_malloc((size_t)i * 50);
  mi_heap_t* heap = mi_heap_new();
  for (int i = 0; i < 1000; i++) CHECK(mi_heap_malloc(heap, 1000) != NULL);
  for (int i = 0; i < 2000; i++) mi_free(p[i]);
  mi_free(mi_malloc((size_t)600 << 20));
  mi_heap_delete(heap);
  mi_collect(true);
  mi_report_fail(MI_ERROR_NO_MEMORY, 1);
  test_rss();
  mi_option_get(mi_option_verbose);
  mi_os_yield();
  mi_os_sleep_ms(1);
  watched = false;
}
static void* in_thread(void* arg) { use(); return arg; }

static void nothing_is_called(void) {
  pthread_t t;
  use();
  CHECK_EQ(pthread_create(&t, NULL, &in_thread, NULL), 0);
  pthread_join(t, NULL);
  CHECK_AT(called == NULL, "called = %s", called);
}

/* mi_report_message writes by itself. */
static void messages(void) {
  CHECK(freopen("/dev/null", "w", stderr) != NULL);
  watched = true;
  mi_options_print();
  watched = false;
  CHECK_AT(called == NULL, "called = %s", called);
}

TEST_MAIN("replaced", TEST(nothing_is_called), TEST(memory), TEST(messages))
