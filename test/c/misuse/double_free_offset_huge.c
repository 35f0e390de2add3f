/* An offset block with a mapping of its own: what it says of its pointer went not with the mapping,
   nor is that read. */
#include "misuse.h"

MISUSE(NOT_A_BLOCK, EINVAL) {
  void* p = mi_malloc_aligned_at((size_t)700 << 20, 4096, 48);
  mi_free(p);
  BAD(p, mi_free(p));
}
