/* In a page that its owner gave up full, freed twice by another thread. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (1024-byte blocks)", EAGAIN) {
  void* p[200];
  for (int i = 0; i < 200; i++) p[i] = mi_malloc(1000);
  misuse_elsewhere(&mi_free, p[3]);
  BAD(p[3], misuse_elsewhere(&mi_free, p[3]); errno = 1234);
  for (int i = 0; i < 200; i++) if (i != 3) mi_free(p[i]);
}
