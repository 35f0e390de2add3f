/* Of anything that is no live block: 0, and no complaint. */
#include "misuse.h"

MISUSE(NULL, 0) {
  char local[64], *p = mi_malloc(40), *freed = mi_malloc(40);
  mi_free(freed);
  BAD(p, MUST(mi_usable_size(local) == 0 && mi_usable_size(p + 1) == 0 && mi_usable_size(freed) == 0));
  MUST(mi_usable_size((void*)((uintptr_t)p | (uintptr_t)1 << 60)) == 0
       && mi_usable_size((void*)((uintptr_t)p | (uintptr_t)1 << 48)) == 0);
  MUST(mi_usable_size((void*)(uintptr_t)0xdead000000000010) == 0 && mi_usable_size(NULL) == 0
       && mi_usable_size(p) == 48);
  mi_free(p);
}
