/* See check.h. */
#include "check.h"

#if MI_CHECK
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mi_assert_fail(const char* text) {
  const ssize_t n = write(STDERR_FILENO, text, strlen(text));             /* it ends in any case */
  (void)n;
  abort();
}
#endif
