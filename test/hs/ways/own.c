/* C code of a user's package: on the capability's heap in unsafe calls, on the thread's in safe ones. */
#include <mimalloc-cap.h>
#include <mimalloc-stats.h>

#include <string.h>

typedef struct { size_t length; char* text; } own_text_t;

/* Unsafe. */
own_text_t* own_make(const char* text) {
  own_text_t* own = mi_cap_malloc(sizeof *own);
  if (own == NULL) return NULL;
  own->length = strlen(text);
  own->text = mi_cap_strdup(text);
  if (own->text != NULL) return own;
  mi_cap_free(own);
  return NULL;
}

/* A finalizer. */
void own_free(own_text_t* own) {
  mi_cap_free(own->text);
  mi_cap_free(own);
}

/* Safe: frees what a capability allocated, and makes the text anew. */
size_t own_double(own_text_t* own) {
  char* twice = mi_mallocn(own->length + 1, 2);
  if (twice == NULL) return 0;
  memcpy(twice, own->text, own->length);
  memcpy(twice + own->length, own->text, own->length + 1);
  mi_free(own->text);
  own->text = twice;
  return own->length *= 2;
}

/* Safe. */
long long own_live_blocks(void) {
  mi_stats_t stats;
  uint64_t blocks, bytes;
  mi_stats_get(sizeof stats, &stats);
  mi_live(&blocks, &bytes);
  return stats.version == MI_STAT_VERSION ? (long long)blocks : -1;
}
