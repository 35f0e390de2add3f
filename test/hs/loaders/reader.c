/* Reads what a Haskell program made, for as long as the process is there, which ends slowly. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static atomic_int nreading;

int reading(void) { return nreading; }

/* All bytes were 7 when it began. The first ones of a block are its allocator's, when it is freed. */
void read_on(const volatile unsigned char* p, size_t n) {
  for (size_t i = 64; ; i = i + 4096 < n ? i + 4096 : 64) {
    if (p[i] != 7) {
      static const char text[] = "a byte that is read was given back\n";
      _exit(write(2, text, sizeof text - 1) < 0 ? 67 : 66);
    }
    if (i + 4096 >= n) nreading++;
  }
}

/* Longer than freed memory waits else. */
static void wait_a_second(void) {
  const struct timespec t = { 1, 0 };
  nanosleep(&t, NULL);
}
void end_slowly(void) { atexit(&wait_a_second); }
