/* Freed, allocated again, freed, and freed once more through the old pointer. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  void *p = mi_malloc(40), *other = mi_malloc(40), *q = NULL;
  mi_free(p);
  for (int i = 0; i < 5000 && q != p; i++) q = mi_malloc(40);
  MUST(q == p);
  mi_free(q);
  BAD(p, mi_free(p));
  mi_free(other);
}
