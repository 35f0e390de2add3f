/* glibc's replacement list under LD_PRELOAD: every function is the library's, and does what malloc(3) says.
   Not linked with the library. Prints one line for each function; the status is 0 if all are ok.
   The names in `names` are looked up as a program that was linked long ago would find them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char* why;                  /* the first thing that was wrong in this test */
static int failures;

#define CHECK(x) do { if (!(x) && why == NULL) why = #x; } while (0)
#define HUGE ((size_t)PTRDIFF_MAX + 1)

static _Thread_local void* volatile hidden;  /* the compiler knows malloc: nothing here may
                                                be optimised away */
static volatile size_t huge = HUGE, nothing = 0;
#define KEEP(p) (hidden = (p), (void*)hidden)

static void done(const char* name) {
  if (why == NULL) printf("ok preload-replaced-%s\n", name);
  else printf("not ok preload-replaced-%s: %s\n", name, why);
  failures += why != NULL;
  why = NULL;
}

static size_t (*usable)(const void*);  /* mi_usable_size: 0 for what is no live block of the library */
static _Bool (*is_redirected)(void);
static void (*sized_free)(void*, size_t);
static void (*sized_aligned_free)(void*, size_t, size_t);

static int is_ours(const void* p) { return usable(p) != 0; }

/* A live block of the library's, aligned, of at least that size, all of it writable. */
static void check_block(void* p, size_t size, size_t align) {
  CHECK(p != NULL);
  if (p == NULL) return;
  CHECK(is_ours(p));
  CHECK((uintptr_t)p % align == 0);
  CHECK(malloc_usable_size(p) >= size);
  memset(p, 0xa5, malloc_usable_size(p));
}

/* p must be NULL, with ENOMEM. */
#define CHECK_REFUSED(call) do { errno = 0; CHECK(KEEP(call) == NULL); CHECK(errno == ENOMEM); } while (0)

static void test_names(void) {
  static const char* const names[] = {
    "malloc", "free", "calloc", "realloc", "reallocarray", "memalign", "posix_memalign", "aligned_alloc",
    "valloc", "pvalloc",
    "malloc_usable_size", "free_sized", "free_aligned_sized", "cfree", "malloc_trim", "mallopt",
    "mallinfo", "mallinfo2", "malloc_stats", "malloc_info", "__libc_malloc", "__libc_free", "__libc_calloc",
    "__libc_realloc",
    "__libc_memalign", "__libc_valloc", "__libc_pvalloc", "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t", "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvRKSt9nothrow_t",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t" };
  static char text[160];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    Dl_info info;
    void* f = dlsym(RTLD_DEFAULT, names[i]);
    if (f != NULL && dladdr(f, &info) != 0 && strstr(info.dli_fname, "libmimalloc") != NULL) continue;
    snprintf(text, sizeof text, "%s is %s", names[i], f == NULL ? "missing" : "not the library's");
    if (why == NULL) why = text;
  }
  CHECK(is_redirected());
  done("names");
}

static void test_malloc(void) {
  for (size_t size = 0; size < 200000; size += size / 5 + 1) {
    char* p = malloc(size);
    char* q = malloc(size);
    check_block(p, size, 16);
    CHECK(p != q);
    free(q);
    free(p);
  }
  CHECK_REFUSED(malloc(huge));
  CHECK_REFUSED(malloc(huge * 2 - 1));
  CHECK_REFUSED(malloc(huge - 4096));
  done("malloc");
  free((void*)hidden);
  void* p = malloc(100);
  void* large = malloc(3 << 20);
  errno = 77;
  free(p);
  free(large);
  free(NULL);
  CHECK(errno == 77);
  done("free");
}

static void test_calloc(void) {
  for (size_t size = 1; size < 3000000; size += size / 3 + 1) {
    for (int round = 0; round < 3; round++) {
      unsigned char* p = calloc(3, size);
      size_t i = 0;
      while (i < 3 * size && p[i] == 0) i++;
      CHECK(i == 3 * size);
      check_block(p, 3 * size, 16);
      free(p);
    }
  }
  CHECK_REFUSED(calloc(huge, 2));
  CHECK_REFUSED(calloc(huge / 4 + 1, 8));
  CHECK_REFUSED(calloc(1, huge));
  void* p = calloc(nothing, 10);
  check_block(p, 0, 16);
  free(p);
  done("calloc");
}

static void test_realloc(void) {
  unsigned char* p = realloc(KEEP(NULL), 1);
  p[0] = 42;
  size_t size = 1;
  for (int step = 0; step < 60 && why == NULL; step++) {
    const size_t next = step < 40 ? size + size / 2 + 1 : size / 3 + 1;
    const size_t kept = next < size ? next : size;
    for (size_t i = 1; i < size; i++) p[i] = (unsigned char)(i * 7);
    p = realloc(p, next);
    CHECK(p != NULL && p[0] == 42 && malloc_usable_size(p) >= next);
    for (size_t i = 1; i < kept && why == NULL; i++) CHECK(p[i] == (unsigned char)(i * 7));
    size = next;
  }
  CHECK_REFUSED(realloc(p, huge));
  CHECK(p[0] == 42);
  done("realloc");
  errno = 0;
  CHECK(KEEP(realloc(p, nothing)) == NULL);
  CHECK(errno == 0);
  CHECK(!is_ours(p));
  p = realloc(KEEP(NULL), nothing);
  check_block(p, 0, 16);
  free(p);
  done("realloc-0");
  p = reallocarray(KEEP(NULL), 10, 20);
  check_block(p, 200, 16);
  p = reallocarray(p, 1000, 20);
  check_block(p, 20000, 16);
  CHECK(p[199] == 0xa5);
  CHECK_REFUSED(reallocarray(p, huge, 2));
  CHECK(is_ours(p));
  CHECK(KEEP(reallocarray(p, nothing, 8)) == NULL);
  CHECK(!is_ours(p));
  done("reallocarray");
}

static void test_aligned(void) {
  for (size_t align = 8; align <= 4 << 20; align *= 2) {
    void* p = NULL;
    errno = 77;
    CHECK(posix_memalign(&p, align, 3 * align + 5) == 0);
    CHECK(errno == 77);
    check_block(p, 3 * align + 5, align);
    void* q = memalign(align, 40);
    check_block(q, 40, align);
    void* r = aligned_alloc(align, 2 * align);
    check_block(r, 2 * align, align);
    sized_aligned_free(r, align, 2 * align);
    free(q);
    free(p);
  }
  void* p = &p;
  errno = 77;
  CHECK(posix_memalign(&p, 24, 100) == EINVAL);
  CHECK(posix_memalign(&p, 4, 100) == EINVAL);
  CHECK(posix_memalign(&p, nothing, 100) == EINVAL);
  CHECK(posix_memalign(&p, 64, huge) == ENOMEM);
  CHECK(errno == 77 && p == &p);
  done("posix_memalign");
  CHECK_REFUSED(memalign(64, huge));
  void* odd = memalign(48, 100);                       /* glibc rounds it up: 64 */
  CHECK(odd != NULL && (uintptr_t)odd % 64 == 0);
  free(odd);
  done("memalign");
  CHECK_REFUSED(aligned_alloc(64, huge));
  done("aligned_alloc");
  void* v = valloc(100);
  check_block(v, 100, 4096);
  CHECK_REFUSED(valloc(huge));
  free(v);
  done("valloc");
  v = pvalloc(100);
  check_block(v, 4096, 4096);
  CHECK_REFUSED(pvalloc(huge * 2 - 1));
  free(v);
  done("pvalloc");
}

static void test_rest(void) {
  void* p = malloc(100);
  CHECK(malloc_usable_size(p) >= 100 && malloc_usable_size(NULL) == 0);
  done("malloc_usable_size");
  sized_free(p, 100);
  CHECK(!is_ours(p));
  sized_free(NULL, 0);
  done("free_sized");
  p = aligned_alloc(256, 512);
  sized_aligned_free(p, 256, 512);
  CHECK(!is_ours(p));
  done("free_aligned_sized");
  char* text = NULL;                     /* glibc's own functions that allocate */
  CHECK(asprintf(&text, "%d %s", 12, "words") == 8 && is_ours(text));
  char* copy = strdup(text);
  CHECK(is_ours(copy));
  char* path = realpath("/", NULL);
  CHECK(is_ours(path));
  free(path);
  free(copy);
  free(text);
  const int trimmed = malloc_trim(0);
  CHECK(trimmed == 0 || trimmed == 1);
  done("libc");
}

/* ---- threads, fork, and what runs late in a thread's life ---- */

static pthread_key_t key;
static void late(void* p) {
  free(p);
  char* q = malloc(50000);
  check_block(q, 50000, 16);
  free(q);
}

static void* thread(void* block) {
  free(block);
  pthread_setspecific(key, malloc(1000));
  for (int i = 0; i < 10000; i++) free(KEEP(malloc((size_t)i % 3000)));
  return malloc(5000);
}

static void test_threads(void) {
  pthread_key_create(&key, late);
  for (int round = 0; round < 20; round++) {
    pthread_t t[4];
    void* result;
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, thread, malloc(200));
    for (int i = 0; i < 4; i++) {
      pthread_join(t[i], &result);
      check_block(result, 5000, 16);
      free(result);
    }
  }
  done("threads");
}

static void test_fork(void) {
  pthread_t t[2];
  void* result;
  char* p = malloc(3000);
  for (int i = 0; i < 2; i++) pthread_create(&t[i], NULL, thread, NULL);
  for (int i = 0; i < 20; i++) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(300);                        /* a lock that the fork left locked */
      check_block(p, 3000, 16);
      free(p);
      for (size_t size = 1; size < 200000; size += size / 7 + 1) free(KEEP(malloc(size)));
      pthread_t u;
      pthread_create(&u, NULL, thread, malloc(10));
      pthread_join(u, &result);
      free(result);
      _exit(why != NULL);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  for (int i = 0; i < 2; i++) { pthread_join(t[i], &result); free(result); }
  free(p);
  done("fork");
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 4096);
  *(void**)&is_redirected = dlsym(RTLD_DEFAULT, "mi_is_redirected");
  *(void**)&usable = dlsym(RTLD_DEFAULT, "mi_usable_size");
  *(void**)&sized_free = dlsym(RTLD_DEFAULT, "free_sized");
  *(void**)&sized_aligned_free = dlsym(RTLD_DEFAULT, "free_aligned_sized");
  if (is_redirected == NULL || usable == NULL || sized_free == NULL || sized_aligned_free == NULL) {
    printf("not ok preload-replaced: the library is not preloaded\n");
    return 1;
  }
  test_names();
  test_malloc();
  test_calloc();
  test_realloc();
  test_aligned();
  test_rest();
  test_threads();
  test_fork();
  return failures != 0;
}
