/* Inside a large block, slices away from its start. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  char* p = mi_malloc(1000000);
  BAD(p + 500000, mi_free(p + 500000));
  mi_free(p);
}
