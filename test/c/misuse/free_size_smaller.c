/* A sized free that says less than a block of this class is given for: of a base class, say. */
#include "misuse.h"

MISUSE(OTHER_SIZE " (320-byte blocks)", EINVAL) {
  void* p = mi_malloc(300);
  BAD(p, mi_free_size(p, 40));
}
