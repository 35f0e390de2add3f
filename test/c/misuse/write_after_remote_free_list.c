/* One of many that another thread freed: those freed after it come back. */
#include "misuse.h"

MISUSE(WRITTEN " (48-byte blocks)", EFAULT) {
  void* p[100];
  for (int i = 0; i < 100; i++) p[i] = mi_malloc(40);
  for (int i = 0; i < 100; i++) misuse_elsewhere(&mi_free, p[i]);
  memset(p[50], 0x41, 8);
  BAD(p[50], for (int i = 0; i < 5000; i++) MUST(mi_malloc(40) != p[50]));
}
