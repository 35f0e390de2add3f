/* A sized, aligned free with another size. */
#include "misuse.h"

MISUSE(OTHER_SIZE " (256-byte blocks)", EINVAL) {
  void* p = mi_malloc_aligned(100, 256);
  BAD(p, mi_free_size_aligned(p, 300, 256));
}
