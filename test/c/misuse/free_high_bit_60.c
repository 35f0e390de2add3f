/* A block's address with bit 60 set. */
#include "misuse.h"

MISUSE(INTERIOR " (48-byte blocks)", EINVAL) {
  void* p = mi_malloc(40);
  void* q = (void*)((uintptr_t)p | (uintptr_t)1 << 60);
  BAD(q, mi_free(q));
  mi_free(p);
}
