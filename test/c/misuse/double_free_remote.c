/* Freed by another thread, then by its owner. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  void *p = mi_malloc(40), *other = mi_malloc(40);
  misuse_elsewhere(&mi_free, p);
  BAD(p, mi_free(p));
  mi_free(other);
}
