/* A sized free of a block with a page of its own, with another size. */
#include "misuse.h"

MISUSE(OTHER_SIZE " (200704-byte blocks)", EINVAL) {
  void* p = mi_malloc(200000);
  BAD(p, mi_free_size(p, 300000));
}
