/* What is there now is larger and starts in front. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  void *front = mi_malloc(100000), *p = mi_malloc(100000);
  mi_free(front);
  mi_free(p);
  void* whole = mi_malloc(400000);
  if (whole != front) p = (char*)whole + 131072;
  BAD(p, mi_free(p));
  mi_free(whole);
}
