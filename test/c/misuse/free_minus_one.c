/* The last address. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  BAD(UINTPTR_MAX, mi_free((void*)UINTPTR_MAX));
}
