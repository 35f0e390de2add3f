/* Memory for structures: owners, heaps, local heaps, pages with mappings of their own, mapped files. From the
   OS layer, never from the allocator. Any thread: one lock. 64-byte aligned. In a slab what is freed is used
   again for the same kind of thing only, so that a stale pointer finds a structure of its type
   (mi_meta_kind_t), or zeros.

   Structures of a kind lie in slabs of 32 KiB. Some slabs of a kind (MI_META_EMPTY) of which nothing is used
   stay as they are, and all of pages, whose words go on counting lives; others' memory goes back to the
   system, and their addresses stay the kind's. What is larger than a quarter of a slab (tables by owner) has
   a mapping of its own, which is unmapped when it is freed. */
#ifndef MI_META_H
#define MI_META_H

#include "os.h"
#include "types.h"

typedef enum {
  MI_META_OWNER, MI_META_LHEAP, MI_META_HEAP, MI_META_PAGE, MI_META_FILE,
  MI_META_SAMPLES, MI_META_STACKS, MI_META_LABELS, MI_META_LABELLED,
  MI_META_PLACES,                   /* and the next MI_OWNER_CHUNKS - 1: one kind for each size of chunk */
  MI_META_KINDS = MI_META_PLACES + MI_OWNER_CHUNKS
} mi_meta_kind_t;

/* `size`: always the same for one kind. Zeroed, but for a heap or a page that was used before. NULL and
   ENOMEM if the OS refuses. */
void* mi_meta_alloc(mi_meta_kind_t kind, size_t size);
void  mi_meta_free(mi_meta_kind_t kind, void* p);

/* Bytes that structures occupy, never less than what is resident of them; the most so far, or since the
   restart; and their address space. Statistics. */
size_t mi_meta_committed(void);
size_t mi_meta_peak_committed(void);
size_t mi_meta_reserved(void);
void   mi_meta_restart_peak(void);

void mi_meta_before_fork(void);
void mi_meta_after_fork(bool child);

#endif
