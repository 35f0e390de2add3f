/* plugins PLUGIN...: opens plugins that are linked with the archive, uses each in a thread of its own, and
   closes them while a thread of theirs purges. What they left goes on: that thread, handlers of fork, and
   what is done at the end of a thread. With MIMALLOC_PURGE_THREAD=1. */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(x) \
  do { if (!(x)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); exit(1); } } while (0)

static int ntasks(void) {
  int n = 0;
  DIR* tasks = opendir("/proc/self/task");
  MUST(tasks != NULL);
  for (struct dirent* t; (t = readdir(tasks)) != NULL; ) n += t->d_name[0] != '.';
  closedir(tasks);
  return n;
}
/* Until there are more threads, or not more, than n; half a minute at most. */
static int wait_for(int more, int n) {
  for (int i = 0; i < 3000 && (ntasks() > n) != more; i++) usleep(10000);
  return (ntasks() > n) == more;
}

static void forks(void) {
  int status = -1;
  const pid_t child = fork();
  if (child == 0) _exit(0);
  MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static pthread_barrier_t used, closed;
static atomic_bool purges;
static void* user(void* plugin) {
  int (*use)(void);
  *(void**)&use = dlsym(plugin, "plugin_use");
  MUST(use != NULL);
  do MUST(use()); while (!purges);
  pthread_barrier_wait(&used);
  pthread_barrier_wait(&closed);
  return NULL;                           /* and so its heap ends, which is no more the plugin's */
}

int main(int argc, char** argv) {
  enum { MOST = 8 };
  void* plugin[MOST];
  pthread_t thread[MOST];
  const int n = argc - 1;
  MUST(n > 0 && n <= MOST);
  pthread_barrier_init(&used, NULL, (unsigned)n + 1);
  pthread_barrier_init(&closed, NULL, (unsigned)n + 1);
  for (int i = 0; i < n; i++) {
    plugin[i] = dlopen(argv[i + 1], RTLD_NOW | RTLD_LOCAL);
    if (plugin[i] == NULL) puts(dlerror());
    MUST(plugin[i] != NULL && pthread_create(&thread[i], NULL, &user, plugin[i]) == 0);
  }
  MUST(wait_for(1, n + 1));              /* a thread that purges */
  purges = 1;
  pthread_barrier_wait(&used);
  for (int i = 0; i < n; i++) MUST(dlclose(plugin[i]) == 0);
  forks();
  pthread_barrier_wait(&closed);
  for (int i = 0; i < n; i++) MUST(pthread_join(thread[i], NULL) == 0);
  MUST(wait_for(0, 1));                  /* they end when nothing is due */
  forks();
  return 0;
}
