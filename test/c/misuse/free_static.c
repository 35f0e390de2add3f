/* A static variable. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  static char variable[64];
  BAD(variable, mi_free(variable));
}
