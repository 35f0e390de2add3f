/* realloc inside a block: that stays as it is. */
#include "misuse.h"

MISUSE(INTERIOR " (48-byte blocks)", EINVAL) {
  char* p = memset(mi_malloc(40), 7, 40);
  BAD(p + 16, MUST(mi_realloc(p + 16, 100) == NULL); MUST(errno == EINVAL));
  MUST(p[0] == 7 && p[39] == 7 && mi_usable_size(p) == 48);
  mi_free(p);
}
