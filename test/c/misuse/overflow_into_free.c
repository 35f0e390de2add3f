/* A write behind a block into its free neighbour. */
#include "misuse.h"

MISUSE(WRITTEN " (48-byte blocks)", EFAULT) {
  char *p = mi_malloc(40), *q = mi_malloc(40), *low = p < q ? p : q, *high = p < q ? q : p;
  mi_free(high);
  memset(low, 0x41, (size_t)(high - low) + 8);
  BAD(high, for (int i = 0; i < 5000; i++) MUST(mi_malloc(40) != high));
  mi_free(low);
}
