/* At the end of the process, when every finalizer has run: no block is left, the walker agrees, nothing owner-only was
   entered twice at once. Linked into the soundness test; what is wrong becomes its exit status. */
#include <stdio.h>
#include <unistd.h>

#include "mimalloc.h"

static size_t report(const char* what, size_t n) {
  if (n != 0) fprintf(stderr, "at exit: %s: %zu\n", what, n);
  return n;
}

__attribute__((destructor)) static void process_ends(void) {
  const size_t wrong = report("blocks left", mi_check_live_blocks()) + report("broken invariants", mi_check_all())
                     + report("overlaps", mi_check_overlaps());
  if (wrong != 0) _exit(1);
}
