/* Inside a block. */
#include "misuse.h"

MISUSE(INTERIOR " (48-byte blocks)", EINVAL) {
  char* p = mi_malloc(40);
  BAD(p + 16, mi_free(p + 16));
  mi_free(p);
}
