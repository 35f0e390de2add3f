/* Inside an offset block, not where its pointer is. */
#include "misuse.h"

MISUSE(INTERIOR " (192-byte blocks)", EINVAL) {
  char* p = mi_malloc_aligned_at(100, 64, 8);
  BAD(p + 32, mi_free(p + 32));
  mi_free(p);
}
