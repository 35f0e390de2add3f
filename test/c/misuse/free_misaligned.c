/* A byte behind the start. */
#include "misuse.h"

MISUSE(INTERIOR " (48-byte blocks)", EINVAL) {
  char* p = mi_malloc(40);
  BAD(p + 1, mi_free(p + 1));
  mi_free(p);
}
