/* misuse KIND: frees what may not be freed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*sized_t)(void*, size_t);
typedef void (*sized_aligned_t)(void*, size_t, size_t);
static void* function(const char* name) { return dlsym(RTLD_DEFAULT, name); }
static char* not_aligned(void) {         /* to 32: of three neighbours one is not */
  char* p[3];
  for (int i = 0; i < 3; i++) p[i] = malloc(48);
  for (int i = 0; i < 3; i++) if ((uintptr_t)p[i] % 32 != 0) return p[i];
  return p[0];
}

int main(int argc, char** argv) {
  char* volatile p = malloc(100);
  char here[64];
  if (argc < 2) return 2;
  if (strcmp(argv[1], "double") == 0) { free(p); free(p); }
  if (strcmp(argv[1], "inside") == 0) free(p + 16);
  if (strcmp(argv[1], "stack") == 0) { p = here; free(p); }
  if (strcmp(argv[1], "sized") == 0) ((sized_t)(uintptr_t)function("free_sized"))(p, 200);
  if (strcmp(argv[1], "deleted_as_base") == 0) ((sized_t)(uintptr_t)function("_ZdlPvm"))(p, 40);
  if (strcmp(argv[1], "larger") == 0) ((sized_t)(uintptr_t)function("_ZdaPvm"))(p, 100000);
  if (strcmp(argv[1], "unaligned") == 0)
    ((sized_t)(uintptr_t)function("_ZdlPvSt11align_val_t"))(not_aligned(), 32);
  if (strcmp(argv[1], "aligned_size") == 0)
    ((sized_aligned_t)(uintptr_t)function("free_aligned_sized"))(aligned_alloc(64, 64), 64, 1000);
  return 0;
}
