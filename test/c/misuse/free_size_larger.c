/* A sized free that says more than the block has. */
#include "misuse.h"

MISUSE(OTHER_SIZE " (48-byte blocks)", EINVAL) {
  void* p = mi_malloc(40);
  BAD(p, mi_free_size(p, 49));
}
