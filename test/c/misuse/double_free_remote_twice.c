/* Freed twice by other threads. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  void *p = mi_malloc(40), *other = mi_malloc(40);
  misuse_elsewhere(&mi_free, p);
  BAD(p, misuse_elsewhere(&mi_free, p); errno = 1234);
  mi_free(other);
}
