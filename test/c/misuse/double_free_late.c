/* Freed twice, with many frees and allocations of other sizes in between. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  void *p = mi_malloc(40), *other = mi_malloc(40);
  mi_free(p);
  for (size_t i = 100; i < 3000; i++) mi_free(mi_malloc(i));
  BAD(p, mi_free(p));
  mi_free(other);
}
