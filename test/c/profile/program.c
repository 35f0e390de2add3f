/* program [fork | PATH | wait FILE FILE2 | leave FILE]  - allocates so many bytes by functions of known
   names, and keeps what `keep_` says. fork: a child allocates by another one, and exits too. PATH: prints
   that from its environment. wait: sends itself SIGUSR1, waits for the file, allocates 10 MB by `in_child`,
   and the same for FILE2. leave: main ends as a thread does, when the file is there. */
#include <pthread.h>
#include <signal.h>
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

/* A call that is interrupted goes on. */
static void signalled(const char* file) {
  char c;
  int ends[2];
  if (pipe(ends) != 0) exit(2);
  if (fork() == 0) {
    usleep(100000);
    _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
  }
  kill(getpid(), SIGUSR1);
  if (read(ends[0], &c, 1) != 1) { perror("read"); exit(3); }
  wait(NULL);
  for (int i = 0; access(file, R_OK) != 0; i++) {
    if (i == 3000) { fprintf(stderr, "no %s\n", file); exit(4); }
    usleep(10000);
  }
}

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
  if (argc > 3 && strcmp(argv[1], "wait") == 0) {
    signalled(argv[2]);
    in_child();
    signalled(argv[3]);
  }
  if (argc > 2 && strcmp(argv[1], "leave") == 0) {
    signalled(argv[2]);
    pthread_exit(NULL);
  }
  return 0;
}
