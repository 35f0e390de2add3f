/* Locks all its memory, of which it may lock 8 MiB, and then needs some: before its first allocation, or (an
   argument) after it. Then all that there is. */
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

/* Until there is none left: then the system has no 256 KiB either. */
static int gives_up_early(void) {
  for (int i = 0; i < 100000; i++) {
    if (malloc(1000) != NULL) continue;
    if (mmap(NULL, 256 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
      return 0;
    return puts("malloc fails where mmap does not"), 1;
  }
  return puts("the limit is none"), 1;
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
  return bad + gives_up_early();
}
