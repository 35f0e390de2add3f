/* realloc of an address that cannot be. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  void* q = (void*)(uintptr_t)0xdead000000000010;
  BAD(q, MUST(mi_realloc(q, 100) == NULL); MUST(errno == EINVAL));
}
