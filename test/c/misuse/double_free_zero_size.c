/* A block of size 0 is a block. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (16-byte blocks)", EAGAIN) {
  void *p = mi_malloc(0), *other = mi_malloc(0);
  mi_free(p);
  BAD(p, mi_free(p));
  mi_free(other);
}
