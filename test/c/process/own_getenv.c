/* A program that exports a getenv which allocates. */
#include <stdlib.h>
#include <string.h>

extern char** environ;
static int depth;

char* getenv(const char* name) {
  if (++depth > 10) abort();
  char* copy = malloc(strlen(name) + 1);
  if (copy == NULL) abort();
  strcpy(copy, name);
  char* found = NULL;
  for (char** e = environ; e != NULL && *e != NULL; e++)
    if (strncmp(*e, copy, strlen(copy)) == 0 && (*e)[strlen(copy)] == '=') found = *e + strlen(copy) + 1;
  free(copy);
  depth--;
  return found;
}

int main(void) {
  void* volatile p = malloc(1000000);
  free(p);
  return getenv("PATH") != NULL ? 0 : 1;
}
