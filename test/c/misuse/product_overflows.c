/* calloc whose product does not fit. */
#include "misuse.h"

MISUSE(NULL, EOVERFLOW) {
  volatile size_t n = (size_t)1 << 33;
  BAD(0, MUST(mi_calloc(n, n) == NULL); MUST(errno == ENOMEM));
}
