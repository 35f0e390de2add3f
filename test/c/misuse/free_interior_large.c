/* Inside a large block, in its first slice. */
#include "misuse.h"

MISUSE(INTERIOR " (102400-byte blocks)", EINVAL) {
  char* p = mi_malloc(100000);
  BAD(p + 4096, mi_free(p + 4096));
  mi_free(p);
}
