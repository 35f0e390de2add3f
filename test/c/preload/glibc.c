/* What else programs call that are written for glibc's malloc: its own names for the functions, and what it
   tells of itself. Run with the library preloaded, and linked with the archive, statically
   (test/c/preload/run). Prints a line for each. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void*, size_t),
    *__libc_memalign(size_t, size_t);
void *__libc_valloc(size_t), *__libc_pvalloc(size_t);
void __libc_free(void*);
/* No program that is linked without the library has these: C23's, and ours. */
extern void free_sized(void*, size_t) __attribute__((weak));
extern void free_aligned_sized(void*, size_t, size_t) __attribute__((weak));
extern size_t mi_usable_size(const void* p) __attribute__((weak));

static const char* why;
static int failures;
static const char* way;
#define CHECK(x) do { if (!(x) && why == NULL) why = #x; } while (0)

static void done(const char* name) {
  if (why == NULL) printf("ok preload-glibc-%s-%s\n", way, name);
  else printf("not ok preload-glibc-%s-%s: %s\n", way, name, why);
  failures += why != NULL;
  why = NULL;
}

static _Bool is_ours(const void* p, size_t size, size_t align) {
  return mi_usable_size(p) >= (size == 0 ? 1 : size) && (uintptr_t)p % align == 0;
}

/* Any function's blocks go through any other. */
static void names(void) {
  const long page = sysconf(_SC_PAGESIZE);
  for (size_t size = 0; size < 300000; size = 3 * size + 1) {
    void* p[] = { __libc_malloc(size),        __libc_calloc(size, 1), __libc_realloc(NULL, size),
                  __libc_memalign(256, size), __libc_valloc(size),    __libc_pvalloc(size) };
    CHECK(is_ours(p[0], size, 16) && is_ours(p[1], size, 16) && is_ours(p[2], size, 16)
          && is_ours(p[3], size, 256));
    CHECK(is_ours(p[4], size, (size_t)page) && is_ours(p[5], size, (size_t)page)
          && mi_usable_size(p[5]) % (size_t)page == 0);
    for (size_t i = 0; i < size; i++) CHECK(((char*)p[1])[i] == 0);
    p[0] = realloc(p[0], 2 * size + 1);
    p[1] = __libc_realloc(p[1], 2 * size + 1);
    CHECK(is_ours(p[0], 2 * size + 1, 16) && is_ours(p[1], 2 * size + 1, 16));
    for (int i = 0; i < 6; i += 2) free(p[i]);
    for (int i = 1; i < 6; i += 2) __libc_free(p[i]);
    CHECK(mi_usable_size(p[0]) == 0 && mi_usable_size(p[1]) == 0);
    __libc_free(malloc(size));
    free_sized(__libc_malloc(size), size);
    free_aligned_sized(aligned_alloc(64, size), 64, size);
    CHECK(__libc_realloc(malloc(10), 0) == NULL);
  }
  __libc_free(NULL);
  done("names");
}

static size_t live(void) { const struct mallinfo2 i = mallinfo2(); return i.uordblks + i.hblkhd; }

static void numbers(void) {
  enum { N = 1000, SIZE = 10000 };
  static void* p[N];
  const struct mallinfo2 before = mallinfo2();
  for (int i = 0; i < N; i++) p[i] = malloc(SIZE);
  const struct mallinfo2 after = mallinfo2();
  CHECK(after.uordblks - before.uordblks >= (size_t)N * SIZE
        && after.uordblks - before.uordblks <= (size_t)N * SIZE / 4 * 5);
  CHECK(after.arena == after.uordblks + after.fordblks && after.keepcost <= after.fordblks
        && after.ordblks > 0 && after.arena >= before.arena);
  CHECK(after.smblks == 0 && after.usmblks == 0 && after.fsmblks == 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const struct mallinfo narrow = mallinfo();
#pragma GCC diagnostic pop
  CHECK((size_t)narrow.arena == after.arena && (size_t)narrow.uordblks == after.uordblks
        && (size_t)narrow.fordblks == after.fordblks);
  for (int i = 0; i < N; i++) free(p[i]);
  CHECK(mallinfo2().uordblks < before.uordblks + SIZE * 10);
  const size_t small = live();
  char* volatile large = malloc((size_t)700 << 20);
  CHECK(large != NULL && live() - small >= (size_t)700 << 20 && live() - small < (size_t)701 << 20);
  free(large);
  CHECK(live() < small + (1 << 20));
  done("mallinfo");
}

static void options(void) {
  CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1
        && mallopt(M_ARENA_MAX, 1) == 1 && mallopt(M_PERTURB, 0) == 1);
  CHECK(mallopt(12345, 1) == 0 && mallopt(-12345, 1) == 0 && mallopt(0, 1) == 0);
  done("mallopt");
}

static size_t resident(void) {
  size_t pages = 0;
  FILE* f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%*u %zu", &pages) != 1) pages = 0;
  if (f != NULL) fclose(f);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void trim(void) {
  enum { N = 600, SIZE = 50000 };
  static char* p[N];
  for (int i = 0; i < N; i++) memset(p[i] = malloc(SIZE), 1, SIZE);
  const size_t most = resident();
  for (int i = 0; i < N; i++) free(p[i]);
  CHECK(malloc_trim(0) == 1);
  CHECK(resident() + (size_t)N * SIZE / 10 * 8 <= most);
  done("malloc_trim");
}

/* Elements that are closed, or close; names and numbers in quotes. */
static _Bool is_xml(const char* text) {
  char open[8][16];
  int depth = 0;
  for (const char* at = text; *at != 0; ) {
    if (*at++ != '<') continue;
    const _Bool closes = *at == '/';
    char name[16] = "";
    const char* end = strchr(at, '>');
    if (end == NULL || sscanf(at + closes, "%15[a-z]", name) != 1) return 0;
    size_t quotes = 0;
    for (const char* c = at; c < end; c++) quotes += *c == '"';
    if (quotes % 2 != 0) return 0;
    if (closes && (depth == 0 || strcmp(open[--depth], name) != 0)) return 0;
    if (!closes && end[-1] != '/') { if (depth == 8) return 0; strcpy(open[depth++], name); }
    at = end;
  }
  return depth == 0;
}

static void info(void) {
  char* text = NULL;
  size_t length = 0, count = 0, bytes = 0;
  char* volatile p = malloc(5000);       /* not to be optimised away */
  FILE* f = open_memstream(&text, &length);
  CHECK(malloc_info(0, f) == 0 && malloc_info(1, f) == EINVAL);
  fclose(f);
  CHECK(strncmp(text, "<malloc version=\"1\">", 20) == 0 && strstr(text, "</malloc>") != NULL
        && is_xml(text));
  const char* all = strstr(text, "<total type=\"live\"");
  CHECK(all != NULL && sscanf(all, "<total type=\"live\" count=\"%zu\" size=\"%zu\"", &count, &bytes) == 2
        && count > 1 && bytes >= 5000);
  CHECK(strstr(text, "<system type=\"current\" size=\"") != NULL
        && strstr(text, "<size to=\"5120\" count=\"") != NULL);
  free(text);
  free(p);
  done("malloc_info");
}

static void stats(void) {
  char text[200] = "";
  int out[2];
  const int err = dup(2);
  if (pipe(out) != 0) return;
  const pid_t child = fork();            /* what it prints may be more than a pipe holds */
  if (child == 0) { dup2(out[1], 2); malloc_stats(); _exit(0); }
  close(out[1]);
  for (size_t n = 0; n + 1 < sizeof text; n++) if (read(out[0], &text[n], 1) != 1) break;
  close(out[0]);
  int status = -1;
  waitpid(child, &status, 0);
  close(err);
  CHECK(WIFEXITED(status) || WIFSIGNALED(status));
  CHECK(strncmp(text, "mimalloc: resident ", 19) == 0);
  done("malloc_stats");
}

int main(int argc, char** argv) {
  way = argc > 1 ? argv[1] : "preloaded";
  setvbuf(stdout, NULL, _IOLBF, 4096);
  if (mi_usable_size == NULL) {
    printf("not ok preload-glibc-%s: the library is not there\n", way);
    return 1;
  }
  names();
  numbers();
  options();
  trim();
  info();
  stats();
  return failures != 0;
}
