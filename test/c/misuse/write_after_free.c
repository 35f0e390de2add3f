/* A free block's first word was written: found when it would be handed out. */
#include "misuse.h"

MISUSE(WRITTEN " (48-byte blocks)", EFAULT) {
  void *p = mi_malloc(40), *other = mi_malloc(40);
  mi_free(p);
  memset(p, 0x41, 8);
  BAD(p, for (int i = 0; i < 5000; i++) MUST(mi_malloc(40) != p));
  mi_free(other);
}
