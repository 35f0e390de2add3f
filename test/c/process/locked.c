/* Locks all its memory, of which it may lock 8 MiB, and then needs some: before its first allocation, or (an argument) after it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static int needs(size_t size) {
  void* volatile p = malloc(size);
  if (p == NULL) return printf("no %zu bytes\n", size), 1;
  memset(p, 1, size);
  return 0;
}

int main(int argc, char** argv) {
  const struct rlimit limit = { 8 << 20, 8 << 20 };
  int bad = 0;
  (void)argv;
  if (argc > 1) bad += needs(100);
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 77;
  if (geteuid() == 0 && setuid(65534) != 0) return 77;
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return puts("mlockall fails"), 1;
  bad += needs(100000);
  if (argc == 1) bad += needs(3 << 20);
  else for (int i = 0; i < 20; i++) bad += needs(100000);
  return bad;
}
