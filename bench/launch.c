/* launch REPORT LIBRARY CMD..  - runs CMD with LIBRARY preloaded and writes to the file REPORT: seconds, CPU
   seconds of it and all it started, KiB at the peak of the largest of them. A process of its own, because the
   peak begins with that of the process which forked it. The status is CMD's; 1 if a signal ended it. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const double start = now();
  const pid_t child = fork();
  if (child == 0) {
    setenv("LD_PRELOAD", argv[2], 1);
    execvp(argv[3], argv + 3);
    _exit(127);
  }
  int status = -1;
  struct rusage u;
  if (child < 0 || wait4(child, &status, 0, &u) < 0) return 2;
  FILE* f = fopen(argv[1], "w");
  if (f == NULL) return 2;
  fprintf(f, "%.6f %.6f %ld\n", now() - start, seconds(u.ru_utime) + seconds(u.ru_stime), u.ru_maxrss);
  fclose(f);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
