/* No address at all. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  BAD(1, mi_free((void*)1));
}
