/* Code. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  BAD(&misuse_begin, mi_free((void*)(uintptr_t)&misuse_begin));
}
