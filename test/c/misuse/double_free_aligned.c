/* An offset block. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (192-byte blocks)", EAGAIN) {
  void *p = mi_malloc_aligned_at(100, 64, 8), *other = mi_malloc_aligned_at(100, 64, 8);
  mi_free(p);
  BAD(p, mi_free(p));
  mi_free(other);
}
