/* On the stack. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  char local[64];
  BAD(local, mi_free(local));
}
