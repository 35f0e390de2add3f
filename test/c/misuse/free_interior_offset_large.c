/* Inside a large offset block, with words in front that would make it the pointer of one of another size. */
#include <stdint.h>

#include "misuse.h"

MISUSE(INTERIOR " (204800-byte blocks)", EINVAL) {
  char* p = mi_malloc_aligned_at(200000, 4096, 48);
  const uintptr_t words[2] = { ~(uintptr_t)(p + 32), (uintptr_t)p };
  memcpy(p + 16, words, sizeof words);
  BAD(p + 32, mi_free(p + 32));
  mi_free(p);
}
