/* Zero is no power of two. */
#include "misuse.h"

MISUSE(NULL, EINVAL) {
  BAD(0, MUST(mi_aligned_alloc(0, 100) == NULL); MUST(errno == EINVAL));
}
