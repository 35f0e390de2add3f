/* A large block's address with bit 63 set. */
#include "misuse.h"

MISUSE(INTERIOR " (102400-byte blocks)", EINVAL) {
  void* p = mi_malloc(100000);
  void* q = (void*)((uintptr_t)p | (uintptr_t)1 << 63);
  BAD(q, mi_free(q));
  mi_free(p);
}
