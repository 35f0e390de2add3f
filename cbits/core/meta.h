/* Memory for structures: owners, heaps, pages with mappings of their own. From the OS layer, never
   from the allocator. Any thread. 128-byte aligned; what is freed is used again for the same
   kind of thing only, so that a stale pointer finds a structure of its type (mi_meta_kind_t). */
#ifndef MI_META_H
#define MI_META_H

#include "os.h"
#include "types.h"

typedef enum {
  MI_META_OWNER, MI_META_LHEAP, MI_META_HEAP, MI_META_PAGE,
  MI_META_PLACES,                   /* and the next MI_OWNER_CHUNKS - 1: one kind for each size of chunk */
  MI_META_KINDS = MI_META_PLACES + MI_OWNER_CHUNKS
} mi_meta_kind_t;

/* `size`: always the same for one kind. Zeroed, but for a heap or a page that was used before. NULL and ENOMEM if the OS refuses. */
void* mi_meta_alloc(mi_meta_kind_t kind, size_t size);
void  mi_meta_free(mi_meta_kind_t kind, void* p);

void mi_meta_before_fork(void);
void mi_meta_after_fork(bool child);

#endif
