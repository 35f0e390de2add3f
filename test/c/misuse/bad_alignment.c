/* No power of two: the error function and errno, and no line. */
#include "misuse.h"

MISUSE(NULL, EINVAL) {
  BAD(0, MUST(mi_malloc_aligned(100, 24) == NULL); MUST(errno == EINVAL));
}
