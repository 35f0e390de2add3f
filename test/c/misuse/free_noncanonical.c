/* An address that cannot be. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  BAD(0xdead000000000010, mi_free((void*)(uintptr_t)0xdead000000000010));
}
