/* Its page went with it. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  void* p = mi_malloc(100000);
  mi_free(p);
  BAD(p, mi_free(p));
}
