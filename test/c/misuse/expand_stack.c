/* expand of a local variable. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  char local[64];
  BAD(local, MUST(mi_expand(local, 100) == NULL));
}
