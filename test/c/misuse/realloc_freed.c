/* realloc of a free block. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  void *p = mi_malloc(40), *other = mi_malloc(40);
  mi_free(p);
  BAD(p, MUST(mi_realloc(p, 100) == NULL); MUST(errno == EINVAL));
  mi_free(other);
}
