/* A sized, aligned free with an alignment that the block has not. */
#include "misuse.h"

MISUSE(OTHER_ALIGNMENT " (48-byte blocks)", EINVAL) {
  char *p = mi_malloc(48), *q = mi_malloc(48);
  char* odd = (uintptr_t)p % 32 != 0 ? p : q;          /* one of two neighbours is */
  BAD(odd, mi_free_size_aligned(odd, 48, 32));
  mi_free(odd == p ? q : p);
}
