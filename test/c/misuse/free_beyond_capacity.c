/* A place in the page that was never made a block. */
#include "misuse.h"

MISUSE(INTERIOR " (16-byte blocks)", EINVAL) {
  char* p = mi_malloc(10);
  char* end = (char*)((uintptr_t)p | 65535) - 15;
  BAD(end, mi_free(end));
  mi_free(p);
}
