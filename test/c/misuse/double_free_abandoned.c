/* The thread that allocated it has ended. */
#include "misuse.h"

static void* p[2];
static void make(void* unused) { (void)unused; p[0] = mi_malloc(40); p[1] = mi_malloc(40); }

MISUSE(DOUBLE_FREE " (48-byte blocks)", EAGAIN) {
  misuse_elsewhere(&make, NULL);
  mi_free(p[0]);
  BAD(p[0], mi_free(p[0]));
  mi_free(p[1]);
}
