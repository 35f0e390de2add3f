/* Visiting the blocks of a heap. Any thread; everybody may free meanwhile, but nobody may allocate from the
   heap or collect, nor may an owner end that has pages of it. */
#ifndef MI_VISIT_H
#define MI_VISIT_H

#include "../include/mimalloc.h"
#include "heap.h"

/* As mi_heap_visit_blocks; `owner`: whose pages of a main heap are looked at besides nobody's; may be
   NULL. */
bool mi_visit_heap(mi_heap_t* heap, mi_owner_t* owner, bool blocks, mi_block_visit_fun* visitor, void* arg);

#endif
