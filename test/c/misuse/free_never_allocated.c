/* A block of the page that nobody has had yet: it is in the free list. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (16-byte blocks)", EAGAIN) {
  char* p[5];                            /* a page grows by four blocks at least */
  for (int i = 0; i < 5; i++) p[i] = mi_malloc(10);
  BAD(p[4] + 16, mi_free(p[4] + 16));
  for (int i = 0; i < 5; i++) mi_free(p[i]);
}
