/* See local.h. */
#include "local.h"

mi_tls mi_local_t mi_local_own = MI_LOCAL_INIT;

void mi_local_after_fork(void) { }
