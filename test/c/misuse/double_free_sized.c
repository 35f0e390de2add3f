/* Freed twice by a sized free whose size is right. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  void *p = mi_malloc(40), *other = mi_malloc(40);
  mi_free_size(p, 40);
  BAD(p, mi_free_size(p, 40));
  mi_free(other);
}
