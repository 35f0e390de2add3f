/* Linked into the soundness test: what is looked at from outside Haskell.

   At the end of the process, when every finalizer has run: no block is left, the walker agrees, nothing
   owner-only was entered twice at once.

   Meanwhile: GHC 9.0's setNumCapabilities now and then waits for ever, all of its threads idle (with
   glibc's malloc in place of ours just the same: 2 of 60 runs of a second). That ends the process with a
   status of its own. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mimalloc.h"

enum { STATUS_WRONG = 1, STATUS_HANGS = 75, PATIENCE = 60 };

static size_t report(const char* what, size_t n) {
  if (n != 0) fprintf(stderr, "at exit: %s: %zu\n", what, n);
  return n;
}

/* The runtime system's threads end on their own time, each giving its pages up; the walker wants nobody under
   way. So until there are but this thread, the watching one and drainers, which sleep for ever; a minute at
   the most, because who waits for a capability then waits for ever. */
static bool drains(const char* thread) {
  char path[300], name[32] = "";
  snprintf(path, sizeof path, "/proc/self/task/%s/comm", thread);
  FILE* f = fopen(path, "r");
  if (f == NULL) return false;
  const bool read = fgets(name, sizeof name, f) != NULL;
  fclose(f);
  return read && strcmp(name, "mi_drainer\n") == 0;
}

static void threads_end(void) {
  for (int tries = 0; tries < 6000; tries++, usleep(10000)) {
    int n = 0;
    DIR* tasks = opendir("/proc/self/task");
    if (tasks == NULL) return;
    for (struct dirent* t; (t = readdir(tasks)) != NULL; ) n += !drains(t->d_name);
    closedir(tasks);
    if (n <= 2 + 2) return;      /* . and .. */
  }
}

__attribute__((destructor)) static void process_ends(void) {
  threads_end();
  const size_t wrong = report("blocks left", mi_check_live_blocks())
                       + report("broken invariants", mi_check_all())
                       + report("overlaps", mi_check_overlaps());
  if (wrong != 0) _exit(STATUS_WRONG);
}

/* ---- setNumCapabilities ---- */

static _Atomic long changing;   /* when it was entered, in seconds; 0: nobody is in it */

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void change_begins(void) { atomic_store(&changing, (long)seconds(CLOCK_MONOTONIC) + 1); }
void change_ends(void) { atomic_store(&changing, 0); }

/* Somebody has been in it for long, and nobody has used the processor for as much as one second of that,
   which whoever can run gets on a busy machine, too: whoever hangs inside the allocator spins. */
static void* watch(void* nothing) {
  double used = 0;
  for (long since = 0;; sleep(1)) {
    const long now = atomic_load(&changing);
    if (now == 0 || now != since) { since = now; used = seconds(CLOCK_PROCESS_CPUTIME_ID); continue; }
    if (seconds(CLOCK_MONOTONIC) - (double)since < PATIENCE || seconds(CLOCK_PROCESS_CPUTIME_ID) - used > 1)
      continue;
    fprintf(stderr, "the runtime system hangs in setNumCapabilities\n");
    _exit(STATUS_HANGS);
  }
  return nothing;
}

__attribute__((constructor)) static void process_begins(void) {
  pthread_t t;
  pthread_create(&t, NULL, &watch, NULL);
}
