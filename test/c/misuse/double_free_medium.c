/* In a medium page. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (32768-byte blocks)", EAGAIN) {
  void *p = mi_malloc(32000), *other = mi_malloc(32000);
  mi_free(p);
  BAD(p, mi_free(p));
  mi_free(other);
}
