/* The C library's. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  void* p = malloc(100);
  BAD(p, mi_free(p));
  free(p);
}
