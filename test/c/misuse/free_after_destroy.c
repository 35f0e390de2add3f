/* Its heap was destroyed. */
#include "misuse.h"

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  mi_heap_t* heap = mi_heap_new();
  void* p = mi_heap_malloc(heap, 40);
  mi_heap_destroy(heap);
  BAD(p, mi_free(p));
}
