/* misuse KIND: frees what may not be freed. */
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  char* volatile p = malloc(100);
  char here[64];
  if (argc < 2) return 2;
  if (strcmp(argv[1], "double") == 0) { free(p); free(p); }
  if (strcmp(argv[1], "inside") == 0) free(p + 16);
  if (strcmp(argv[1], "stack") == 0) { p = here; free(p); }
  return 0;
}
