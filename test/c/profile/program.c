/* program [fork | PATH]  - allocates so many bytes by functions of known names, and keeps what `keep_` says.
   fork: a child allocates by another one, and exits too. PATH: prints that from its environment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAME __attribute__((noinline, noclone))

static void* volatile last;

/* With something in it. No call is in the tail of a function: each has a frame. */
FRAME void* allocate(size_t size) {
  void* p = malloc(size);
  memset(p, 1, size < 64 ? size : 64);
  last = p;
  return p;
}

FRAME void keep_small(void) { for (int i = 0; i < 250000; i++) allocate(40); last = NULL; }   /* 10 MB */
FRAME void keep_medium(void) { for (int i = 0; i < 4000; i++) allocate(5000); last = NULL; }  /* 20 MB */
FRAME void keep_large(void) { for (int i = 0; i < 150; i++) allocate(200000); last = NULL; }  /* 30 MB */
FRAME void churn(void) { for (int i = 0; i < 400000; i++) free(allocate(100)); last = NULL; } /* 40 MB */
FRAME void in_child(void) { for (int i = 0; i < 2000; i++) allocate(5000); last = NULL; }     /* 10 MB */

int main(int argc, char** argv) {
  keep_small();
  keep_medium();
  keep_large();
  churn();
  if (argc > 1 && strcmp(argv[1], "fork") == 0) {
    const pid_t pid = fork();
    if (pid == 0) {
      in_child();
      exit(0);
    }
    waitpid(pid, NULL, 0);
  }
  if (argc > 1 && strcmp(argv[1], "PATH") == 0) puts(getenv("PATH") == NULL ? "none" : getenv("PATH"));
  return 0;
}
