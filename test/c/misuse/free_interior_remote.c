/* Inside a block of another thread's page. */
#include "misuse.h"

MISUSE(INTERIOR " (48-byte blocks)", EINVAL) {
  char* p = mi_malloc(40);
  BAD(p + 8, misuse_elsewhere(&mi_free, p + 8); errno = 1234);
  mi_free(p);
}
