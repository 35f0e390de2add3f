/* A process of one thread that may make no other system calls than these; any other ends it. Then it
   allocates, so much that rounds are made, which ask for the processor's time. (strict.c is a small program,
   in which there are none.) The C library's own malloc asks for a random number. 77: no such sandbox here. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { N = 300 };
static const int allowed[] = { SYS_brk,      SYS_mmap,  SYS_munmap,        SYS_mremap,    SYS_madvise,
                               SYS_mprotect, SYS_futex, SYS_clock_gettime, SYS_getrandom, SYS_exit_group };
enum { CALLS = sizeof allowed / sizeof *allowed };

static int forbid_the_rest(void) {
  struct sock_filter f[2 * CALLS + 2];
  size_t n = 0;
  f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < CALLS; i++) {
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  const struct sock_fprog program = { (unsigned short)n, f };
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
         && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int main(void) {
  static char* p[N];
  unsigned r = 1;
  if (!forbid_the_rest()) return 77;
  for (int i = 0; i < 30000; i++) {
    const size_t k = (unsigned)rand_r(&r) % N,
                 size = 1 + (unsigned)rand_r(&r) % (i % 20 == 0 ? 2000000 : 9000);
    if (i % 3 == 0) p[k] = realloc(p[k], size);
    else { free(p[k]); p[k] = malloc(size); }
    if (p[k] == NULL) return 1;
    memset(p[k], 1, size);
  }
  for (int k = 0; k < N; k++) free(p[k]);
  return 0;
}
