/* A plugin that is linked with the archive: its blocks are the archive's. See plugins.c. */
#include <stdlib.h>
#include <string.h>

#include "mimalloc.h"

enum { BLOCKS = 64, SIZE = 1 << 20 };
int plugin_use(void);

/* Takes and frees so much that something is due to go back to the system. */
__attribute__((visibility("default"))) int plugin_use(void) {
  void* block[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    if ((block[i] = mi_malloc(SIZE)) == NULL) return 0;
    memset(block[i], 1, SIZE);
  }
  for (int i = 0; i < BLOCKS; i++) mi_free(block[i]);
  return 1;
}
