/* Over PTRDIFF_MAX. */
#include "misuse.h"

MISUSE(NULL, EOVERFLOW) {
  volatile size_t size = (size_t)PTRDIFF_MAX + 1;
  BAD(0, MUST(mi_malloc(size) == NULL); MUST(errno == ENOMEM));
}
