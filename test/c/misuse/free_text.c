/* A string literal. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  const char* text = "text";
  BAD(text, mi_free((void*)(uintptr_t)text));
}
