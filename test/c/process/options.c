/* Prints what is heeded of the environment. */
#include <stdio.h>
#include <sys/auxv.h>

#include "mimalloc.h"

int main(void) {
  printf("secure %d purge_delay %ld commit_limit %ld abort_on_error %ld\n", getauxval(AT_SECURE) != 0,
         mi_option_get(mi_option_purge_delay), mi_option_get(mi_option_commit_limit),
         mi_option_get(mi_option_abort_on_error));
  return 0;
}
