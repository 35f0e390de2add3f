/* See test.h. */
#define _GNU_SOURCE
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include "test.h"

/* ---- running ---- */

static char* why;                        /* shared with the child: what went wrong */
#define WHY_SIZE 1024

void test_fail(const char* file, int line, const char* format, ...) {
  va_list args;
  va_start(args, format);
  const int n = snprintf(why, WHY_SIZE, "%s:%d: ", file, line);
  vsnprintf(why + n, WHY_SIZE - (size_t)n, format, args);
  va_end(args);
  _exit(1);
}

void test_equal(const char* file, int line, const char* what, uint64_t a, uint64_t b) {
  if (a != b)
    test_fail(file, line, "%s: %#llx and %#llx", what, (unsigned long long)a, (unsigned long long)b);
}

static const char* running;

bool test_skips(bool skips, const char* reason) {
  if (skips) printf("# skipped: %s: %s\n", running, reason);
  return skips;
}

static void child(const test_t* test) {
  running = test->name;
  mi_option_set(mi_option_abort_on_error, 1);    /* a report that no test asked for is a failure */
  mi_option_set(mi_option_purge_thread, 0);      /* what is committed and free is counted: the suite
                                                    purger has the thread */
  alarm(900);                                    /* a guard against hangs, on a busy machine too */
  test->run();
  CHECK_EQ(mi_check_all(), 0);
  CHECK_EQ(mi_check_overlaps(), 0);
  fflush(stdout);
  _exit(0);
}

static bool run_one(const char* suite, const test_t* test) {
  int status;
  why[0] = 0;
  const pid_t pid = fork();
  if (pid == 0) child(test);
  if (pid < 0 || waitpid(pid, &status, 0) != pid) snprintf(why, WHY_SIZE, "no process: %s", strerror(errno));
  else if (WIFSIGNALED(status)) snprintf(why, WHY_SIZE, "%s", strsignal(WTERMSIG(status)));
  else if (WEXITSTATUS(status) != 0 && why[0] == 0)
    snprintf(why, WHY_SIZE, "exit status %d", WEXITSTATUS(status));
  if (why[0] == 0) printf("ok %s %s\n", suite, test->name);
  else printf("not ok %s %s: %s\n", suite, test->name, why);
  return why[0] == 0;
}

static bool is_wanted(const char* name, int argc, char** argv) {
  for (int i = 1; i < argc; i++) if (strcmp(argv[i], name) == 0) return true;
  return argc < 2;
}

int test_run(const char* suite, const test_t* tests, size_t n, int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  why = mmap(NULL, WHY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (why == MAP_FAILED) return 2;
  bool ok = true;
  for (size_t i = 0; i < n; i++) if (is_wanted(tests[i].name, argc, argv)) ok &= run_one(suite, &tests[i]);
  return ok ? 0 : 1;
}

bool test_dies(void (*run)(void), int sig) {
  int status;
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
    run();
    _exit(0);
  }
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  return WIFSIGNALED(status) && WTERMSIG(status) == sig;
}

/* ---- bytes ---- */

uint64_t test_random(uint64_t* state) {
  uint64_t x = (*state += 0x9e3779b97f4a7c15u);  /* splitmix64 */
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static uint8_t byte_at(uint64_t seed, size_t i) {
  return (uint8_t)((seed * 31 + i * 7 + (i >> 8)) ^ (seed >> 8));
}

void test_fill(void* p, size_t n, uint64_t seed) {
  for (size_t i = 0; i < n; i++) ((uint8_t*)p)[i] = byte_at(seed, i);
}

bool test_filled(const void* p, size_t n, uint64_t seed) {
  for (size_t i = 0; i < n; i++) if (((const uint8_t*)p)[i] != byte_at(seed, i)) return false;
  return true;
}

bool test_all(const void* p, size_t n, uint8_t value) {
  const uint8_t* b = p;
  return n == 0 || (b[0] == value && memcmp(b, b + 1, n - 1) == 0);
}

/* ---- the whole allocator ---- */

size_t test_free_slices(void) {
  size_t n = 0;
  for (size_t i = 0; i < mi_arena_count(); i++)
    n += mi_bitmap_count(mi_arena_at(i)->free, mi_arena_at(i)->nslices);
  return n;
}

void test_nothing_left(void) {
  mi_purger_run(true);
  size_t all = 0;
  CHECK_EQ(mi_check_all(), 0);
  CHECK_EQ(mi_check_live_blocks(), 0);
  for (size_t i = 0; i < mi_arena_count(); i++) all += mi_arena_at(i)->xgone ? 0 : mi_arena_at(i)->nslices;
  CHECK_EQ(test_free_slices(), all);
  CHECK_EQ(mi_commit_totals.xreserved, all * MI_SLICE_SIZE);      /* no mapping is left either */
}

size_t test_rss(void) {
  mi_os_process_t info;
  mi_os_process(&info);
  return info.rss;
}

size_t test_accounted(void) {
  char line[1000];
  size_t from, to, size = 0, sum = 0;
  FILE* f = fopen("/proc/self/smaps", "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    /* grows by itself */
    if (sscanf(line, "%zx-%zx ", &from, &to) == 2) size = strstr(line, "[stack]") != NULL ? 0 : to - from;
    if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " ac") != NULL) sum += size;
  }
  if (f != NULL) fclose(f);
  return sum;
}

size_t test_mapped(void) {
  unsigned long pages = 0;
  FILE* f = fopen("/proc/self/statm", "r");
  CHECK(f != NULL && fscanf(f, "%lu", &pages) == 1);
  fclose(f);
  return pages * mi_os_page_size();
}

size_t test_smaps_anonymous(void) {
  char line[256];
  size_t all = 0, kib;
  FILE* f = fopen("/proc/self/smaps", "r");
  CHECK(f != NULL);
  while (fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, "Anonymous: %zu", &kib) == 1) all += kib * 1024;
  fclose(f);
  return all;
}

/* ---- while others go on ---- */

mi_atomic(bool) test_stop;

void test_await(mi_atomic(int)* word, int value) {
  enum { AWAKE = 20000 };
  /* Pairs with the other's store. */
  for (int n = 0; mi_load_acquire(word) != value; n++) if (n > AWAKE) usleep(20);
}

#if defined(__x86_64__) && defined(__GLIBC__)
static struct { uintptr_t start, end; } libc_text[8];
static size_t nlibc_texts;

static int find_libc(struct dl_phdr_info* info, size_t size, void* arg) {
  bool found = false;
  (void)size;
  for (int load = 1; load >= 0; load--) {        /* is it that one? then its code */
    for (int i = 0; i < info->dlpi_phnum; i++) {
      const ElfW(Phdr)* h = &info->dlpi_phdr[i];
      const uintptr_t start = info->dlpi_addr + h->p_vaddr, end = start + h->p_memsz;
      if (h->p_type != PT_LOAD || (h->p_flags & PF_X) == 0) continue;
      if (load) found = found || ((uintptr_t)arg >= start && (uintptr_t)arg < end);
      else if (found && nlibc_texts < 8) {
        libc_text[nlibc_texts].start = start;
        libc_text[nlibc_texts++].end = end;
      }
    }
  }
  return found;
}

bool test_knows_libc(void) {
  if (nlibc_texts == 0) dl_iterate_phdr(&find_libc, (void*)&gnu_get_libc_version);
  /* In an older one the lock is taken while handlers run. */
  return nlibc_texts > 0 && strverscmp(gnu_get_libc_version(), "2.36") >= 0;
}

bool test_may_fork(const void* context) {
  const uintptr_t at = (uintptr_t)((const ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
  for (size_t i = 0; i < nlibc_texts; i++)
    if (at >= libc_text[i].start && at < libc_text[i].end)
      return ((const uint8_t*)at)[-2] == 0x0f && ((const uint8_t*)at)[-1] == 0x05;       /* `syscall` */
  return true;
}
#else
bool test_knows_libc(void) { return false; }
bool test_may_fork(const void* context) { (void)context; return false; }
#endif

void* test_churn(void* seed) {
  uint64_t r = (uint64_t)(uintptr_t)seed;
  void* p[100] = { NULL };
  while (!mi_load_relaxed(&test_stop)) {                         /* asks only that it ends */
    const size_t k = test_random(&r) % 100;
    mi_free(p[k]);
    p[k] = mi_malloc(test_random(&r) % (k == 0 ? 200000 : 3000));
  }
  for (int i = 0; i < 100; i++) mi_free(p[i]);
  return NULL;
}

/* ---- errors ---- */

size_t test_nerrors;
int test_last_error;

static void count_error(int err, void* arg) {
  (void)arg;
  test_nerrors++;
  test_last_error = err;
}

void test_expect_errors(void) {
  test_nerrors = 0;
  test_last_error = 0;
  mi_option_set(mi_option_abort_on_error, 0);
  mi_option_set(mi_option_show_errors, 0);
  mi_register_error(&count_error, NULL);
}

bool test_one_error(int err) {
  mi_report_pending();
  return test_nerrors == 1 && test_last_error == err;
}

/* ---- owners ---- */

mi_owner_t* owners[NOWNERS];

void owners_begin(void) {
  for (uint32_t i = 0; i < NOWNERS; i++) {
    owners[i] = mi_owner_begin(MI_OWNER_CAPABILITY, mi_id_of_capability(i));
    CHECK(owners[i] != NULL);
  }
}

void owners_end(void) {
  for (int i = 0; i < NOWNERS; i++) mi_owner_end(owners[i]);
}
