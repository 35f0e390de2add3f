/* See os.h: files that are written when the user asks for it, also by a signal. Any thread. Files by number,
   as the calls for memory: none is a cancellation point. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os.h"

int mi_os_file_create(const char* path) {
  return (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

bool mi_os_file_write(int fd, const char* text, size_t length) {
  while (length > 0) {
    const long n = syscall(SYS_write, fd, text, length);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text += n;
    length -= (size_t)n;
  }
  return true;
}

bool mi_os_file_rename(const char* from, const char* to) {
  return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0u) == 0;
}

void mi_os_file_close(int fd) { syscall(SYS_close, fd); }

bool mi_os_file_copy(const char* path, int fd) {
  char text[4096];
  const int from = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (from < 0) return false;
  long n;
  do n = syscall(SYS_read, from, text, sizeof text);
  while ((n < 0 && errno == EINTR) || (n > 0 && mi_os_file_write(fd, text, (size_t)n)));
  const int saved = errno;
  syscall(SYS_close, from);
  errno = saved;
  return n == 0;
}

uint64_t mi_os_pid(void) { return (uint64_t)syscall(SYS_getpid); }

/* sigaction is the C library's, which knows what a handler returns to. */
bool mi_os_signal_handle(const char* name, void (*handler)(int number)) {
  static const struct { const char* name; int number; } names[] = {
    { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "HUP", SIGHUP },
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(name, names[i].name) != 0) continue;
    struct sigaction action;
    if (sigaction(names[i].number, NULL, &action) != 0) return false;
    if (action.sa_handler != SIG_DFL) { errno = EBUSY; return false; }
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART | SA_ONSTACK;  /* a thread's stack may be small, and have another for this */
    return sigaction(names[i].number, &action, NULL) == 0;
  }
  errno = EINVAL;
  return false;
}
