/* Linux: the clock. See os.h. Any thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "os.h"

/* The kernel's clock: a function in an object that it maps into each process. The C library's own would do,
   but programs replace that, by functions that allocate. NULL if it is not found; then a system call does
   it. */
typedef int (*mi_clock_t)(clockid_t clock, struct timespec* t);

typedef struct {
  uintptr_t moved;
  const ElfW(Sym) * symbols;
  const char* names;
  const uint32_t* hash;
} mi_object_t;

static mi_object_t object_read(uintptr_t start) {
  mi_object_t o = { 0, NULL, NULL, NULL };
  const ElfW(Ehdr)* head = (const void*)start;
  const ElfW(Phdr)* part = (const void*)(start + head->e_phoff);
  const ElfW(Dyn)* dynamic = NULL;
  for (unsigned i = 0; i < head->e_phnum; i++) {
    if (part[i].p_type == PT_LOAD && o.moved == 0) o.moved = start + part[i].p_offset - part[i].p_vaddr;
    if (part[i].p_type == PT_DYNAMIC) dynamic = (const void*)(start + part[i].p_offset);
  }
  for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++) {
    const void* at = (const void*)(o.moved + dynamic->d_un.d_ptr);
    if (dynamic->d_tag == DT_SYMTAB) o.symbols = at;
    if (dynamic->d_tag == DT_STRTAB) o.names = at;
    if (dynamic->d_tag == DT_HASH) o.hash = at;
  }
  return o;
}

static bool same_text(const char* a, const char* b) {
  while (*a == *b && *a != 0) a++, b++;
  return *a == *b;
}

static mi_clock_t clock_find(void) {
  const uintptr_t start = getauxval(AT_SYSINFO_EHDR);
  const mi_object_t o = start == 0 ? (mi_object_t){ 0, NULL, NULL, NULL } : object_read(start);
  if (o.symbols == NULL || o.names == NULL || o.hash == NULL) return NULL;
  for (uint32_t i = 0; i < o.hash[1]; i++) {                              /* the number of symbols */
    const char* name = o.names + o.symbols[i].st_name;
    const bool clock = same_text(name, "__vdso_clock_gettime") || same_text(name, "__kernel_clock_gettime");
    if (clock && o.symbols[i].st_shndx != SHN_UNDEF) return (mi_clock_t)(o.moved + o.symbols[i].st_value);
  }
  return NULL;
}

static int clock_by_call(clockid_t clock, struct timespec* t) {
  const int saved = errno, result = (int)syscall(SYS_clock_gettime, clock, t);
  errno = saved;
  return result;
}

/* False: there is no such clock; *t is zero then. */
static bool clock_read(clockid_t which, struct timespec* t) {
  static mi_atomic(mi_clock_t) found;
  mi_clock_t clock = mi_load_relaxed(&found);                             /* idempotent */
  *t = (struct timespec){ 0, 0 };
  if (mi_unlikely(clock == NULL)) {
    clock = clock_find();
    if (clock == NULL) clock = &clock_by_call;
    mi_store_relaxed(&found, clock);
  }
  return clock(which, t) == 0;
}

uint64_t mi_os_now_ms(void) {
  struct timespec t;
  if (!clock_read(CLOCK_MONOTONIC_COARSE, &t)) return 0;                  /* no clock: nothing is ever due */
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The time to the nanosecond, and where this process lies in memory. */
uint64_t mi_os_salt(void) {
  struct timespec t;
  clock_read(CLOCK_MONOTONIC, &t);
  return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) ^ (uint64_t)(uintptr_t)&t << 20
         ^ (uint64_t)(uintptr_t)&mi_os_salt << 8;
}

uint64_t mi_os_cpu_us(void) {
  struct timespec t;
  clock_read(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
