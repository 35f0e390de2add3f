/* A byte before the start. */
#include "misuse.h"

MISUSE(INTERIOR " (48-byte blocks)", EINVAL) {
  char *p = mi_malloc(40), *q = mi_malloc(40), *higher = p > q ? p : q;
  BAD(higher - 1, mi_free(higher - 1));
  mi_free(p);
  mi_free(q);
}
