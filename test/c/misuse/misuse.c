/* See misuse.h. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "misuse.h"

static char expected[400];
static int ncalls, last_code;
static bool now;                         /* between misuse_begin and misuse_end */

static void on_error(int code, void* arg) {
  (void)arg;
  ncalls++;
  last_code = code;
}

void misuse_begin(void* p) {
  if (misuse_message != NULL) {
    const int n = snprintf(expected, sizeof expected, "mimalloc: ");
    snprintf(expected + n, sizeof expected - (size_t)n - 1, misuse_message, p);
    strcat(expected, "\n");
  }
  FILE* f = fdopen(dup(3), "w");         /* for the parent: what is to be seen on stderr */
  fputs(expected, f);
  fclose(f);
  MUST(ncalls == 0);
  errno = 1234;
  now = true;
}

void misuse_end(void) {
  MUST(now && ncalls == (misuse_code != 0) && last_code == misuse_code);
  /* EINVAL: a function that failed says why */
  if (misuse_message != NULL) MUST(errno == 1234 || errno == EINVAL);
  now = false;
}

typedef struct { void (*f)(void*); void* p; } job_t;
static void* job(void* arg) { ((job_t*)arg)->f(((job_t*)arg)->p); return NULL; }
void misuse_elsewhere(void (*f)(void* p), void* p) {
  pthread_t t;
  job_t j = { f, p };
  MUST(pthread_create(&t, NULL, &job, &j) == 0 && pthread_join(t, NULL) == 0);
}

/* The allocator is whole, and works. */
static void afterwards(void) {
  void* p[200];
  MUST(mi_check_all() == 0);
  for (size_t i = 0; i < 200; i++) {
    MUST((p[i] = mi_malloc(i * i)) != NULL);
    memset(p[i], 1, i * i);
  }
  for (size_t i = 0; i < 200; i++) mi_free(p[i]);
  mi_collect(true);
  MUST(mi_check_all() == 0 && ncalls == (misuse_code != 0));
}

static void child(bool aborts, int said, int awaited) {
  dup2(said, STDERR_FILENO);
  dup2(awaited, 3);
  alarm(300);
  mi_register_error(&on_error, NULL);
  mi_option_set(mi_option_abort_on_error, aborts);
  misuse();
  afterwards();
  _exit(0);
}

static void slurp(int fd, char* text, size_t size) {
  size_t n = 0;
  for (ssize_t k; n < size - 1 && (k = read(fd, text + n, size - 1 - n)) > 0; ) n += (size_t)k;
  text[n] = 0;
  text[strcspn(text, "\n") + (strchr(text, '\n') != NULL)] = 0;     /* its first line */
}

static bool run(const char* name, bool aborts) {
  int said[2], awaited[2], status;
  char what[500], want[500];
  if (pipe(said) != 0 || pipe(awaited) != 0) return false;
  const pid_t pid = fork();
  if (pid == 0) child(aborts, said[1], awaited[1]);
  close(said[1]);
  close(awaited[1]);
  slurp(said[0], what, sizeof what);
  slurp(awaited[0], want, sizeof want);
  waitpid(pid, &status, 0);
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  const bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  const bool ok = (aborts && misuse_message != NULL ? killed : ended) && strcmp(what, want) == 0;
  if (ok) printf("ok misuse %s%s\n", name, aborts ? ", abort_on_error" : "");
  else
    printf("not ok misuse %s%s: status %#x, said '%.*s', not '%.*s'\n", name,
           aborts ? ", abort_on_error" : "", status, (int)strcspn(what, "\n"), what, (int)strcspn(want, "\n"),
           want);
  return ok;
}

int main(int argc, char** argv) {
  const char* slash = strrchr(argv[0], '/');
  setvbuf(stdout, NULL, _IOLBF, 0);
  (void)argc;
  const bool ok = run(slash != NULL ? slash + 1 : argv[0], false);
  return run(slash != NULL ? slash + 1 : argv[0], true) && ok ? 0 : 1;
}
