/* Its mapping went with it. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  void* p = mi_malloc((size_t)700 << 20);
  mi_free(p);
  BAD(p, mi_free(p));
}
