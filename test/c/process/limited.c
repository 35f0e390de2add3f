/* A program under a limit of data, or of addresses: what it freed counts no more. The argument: what counts,
   by its name in /proc/self/status. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 50000, SIZE = 2000 };

static size_t counted(const char* name) {
  size_t kib = 0;
  char line[200];
  FILE* f = fopen("/proc/self/status", "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL)
    if (strncmp(line, name, strlen(name)) == 0) sscanf(strchr(line, ':'), ": %zu", &kib);
  if (f != NULL) fclose(f);
  return kib;
}

int main(int argc, char** argv) {
  static char* p[N];
  if (argc < 2) return 2;
  const size_t before = counted(argv[1]);
  for (int i = 0; i < N; i++) {
    if ((p[i] = malloc(SIZE)) == NULL) return 1;
    memset(p[i], 1, SIZE);
  }
  for (int i = 0; i < N; i++) free(p[i]);
  malloc_trim(0);
  const size_t after = counted(argv[1]);
  printf("%s: %zu KiB before, %zu after\n", argv[1], before, after);
  return before > 0 && after < before + 30000 ? 0 : 1;
}
