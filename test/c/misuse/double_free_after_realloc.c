/* realloc moved it. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  void *p = mi_malloc(40), *other = mi_malloc(40), *q = mi_realloc(p, 5000);
  BAD(p, mi_free(p));
  mi_free(q);
  mi_free(other);
}
