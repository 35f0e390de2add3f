/* Its page died with it, and is kept for the next of its size. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (102400-byte blocks)", EAGAIN) {
  void* p = mi_malloc(100000);
  mi_free(p);
  BAD(p, mi_free(p));
}
