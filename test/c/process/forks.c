/* Forks, from the main thread and from another, while a third one works in the library. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void library_work(void);

static int stop;
static void* work(void* arg) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) library_work();
  return arg;
}

static void* nothing(void* arg) { free(malloc(100)); return arg; }

static void* fork_often(void* arg) {
  for (int i = 0; i < 200; i++) {
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
      pthread_t t;
      alarm(60);
      library_work();
      if (pthread_create(&t, NULL, &nothing, NULL) != 0 || pthread_join(t, NULL) != 0) _exit(2);
      _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0) _exit(1);
  }
  return arg;
}

int main(void) {
  pthread_t worker, forker;
  alarm(300);
  fork_often(NULL);
  if (pthread_create(&worker, NULL, &work, NULL) != 0) return 1;
  fork_often(NULL);
  if (pthread_create(&forker, NULL, &fork_often, NULL) != 0) return 1;
  pthread_join(forker, NULL);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  pthread_join(worker, NULL);
  return 0;
}
