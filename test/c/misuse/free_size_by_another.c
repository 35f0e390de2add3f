/* The same by another thread, remotely. */
#include "misuse.h"

static void wrong(void* p) { BAD(p, mi_free_size_aligned(p, 5000, 16)); }
MISUSE(OTHER_SIZE " (48-byte blocks)", EINVAL) {
  void* p = mi_malloc(40);
  misuse_elsewhere(&wrong, p);
}
