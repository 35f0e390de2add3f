/* Free. The fast half, and what it rests on. docs/DESIGN.md, section 4; docs/protocols.md, section 6.
   Any thread: the identity is an argument, and a page of anybody else is freed into remotely. */
#ifndef MI_FREE_H
#define MI_FREE_H

#include "lheap.h"

/* The call tree of a free:
     mi_free_local                 own page, a start, not free yet: push, done
       mi_lheap_page_emptied       .. and it was the last: retire the page or free it; or a parked one's first
     mi_free_slow                  anything else
       mi_cache_put                .. a page of its own (R5)
       mi_page_remote_free         .. another's page
       mi_lheap_take_back          .. a page this owner gave up full
       mi_report_misuse            .. no live block */

/* Is the block marked with its page's key? Its upper half is compared first. Where a program last wrote fewer
   than 8 bytes to the first word (an int, a char), an 8-byte load would wait for that store. `key` is passed
   by address, so that its upper half is one load. FAST */
mi_inline bool mi_block_is_marked(const mi_block_t* block, const uint64_t* key) {
  typedef struct { uint32_t half[2]; } __attribute__((may_alias)) halves_t;
  enum { UPPER = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ };
  if (mi_likely(((const halves_t*)(const void*)&block->xmark)->half[UPPER]
                != ((const halves_t*)(const void*)key)->half[UPPER]))
    return false;
  return mi_load_relaxed(&block->xmark) == *key;  /* whoever has the block has it with this word */
}

/* Frees a block of the owner `id`; false, and nothing done, if this is not that simple. FAST */
mi_inline bool mi_free_local(void* p, uintptr_t id) {
  mi_page_t* page = mi_page_of(p);
  /* Equal only if I wrote it; F1 and H1 are mine. */
  if (mi_unlikely(mi_load_relaxed(&page->xowner) != id)) return false;
  if (mi_unlikely(!mi_page_is_start(page, p))) return false;
  mi_block_t* block = p;
  if (mi_unlikely(mi_block_is_marked(block, &page->key))) return false;
  mi_store_relaxed(&block->xmark, page->key);  /* shown with the page, or not at all */
  block->next = page->local_free;
  page->local_free = block;
  if (mi_unlikely(mi_own_decrement(&page->xused))) mi_lheap_page_emptied(page);
  return true;
}

/* Frees anything; `owner`: whose id it is, NULL if the caller has no heap. Keeps errno. */
mi_noinline void mi_free_slow(void* p, mi_owner_t* owner, uintptr_t id);

/* The same, of a block that the heap with this id had; nothing if that has ended with its blocks, whatever is
   there now. No other heap has had that id or will. 0: nothing. */
void mi_free_of_heap(void* p, uint64_t heap_id, mi_owner_t* owner);

mi_inline void mi_free_as(void* p, mi_owner_t* owner, uintptr_t id) {
  if (!mi_free_local(p, id)) mi_free_slow(p, owner, id);
}

/* What a pointer leads to. */
typedef struct {
  mi_page_t*  page;
  mi_block_t* block;
  uint64_t    w, key;               /* of the page, read before the block was checked */
  bool        ends;                 /* its heap may be destroyed meanwhile; */
  bool        pinned;               /* .. but the page neither dies nor is unmapped so long */
} mi_found_t;

/* Finds a live block, whose memory stays until mi_block_let_go, also if its heap is destroyed meanwhile: who
   does that waits. So in between nothing is allocated. False, and a report, for anything else. */
bool mi_block_hold(const void* p, mi_found_t* f);
void mi_block_let_go(mi_found_t* f);
/* The page of a live block and the block's start; NULL, and a report if `report`, for anything else. */
mi_page_t* mi_block_find(const void* p, mi_block_t** block, bool report);
/* Usable bytes from p on; 0 for anything that is no live block. */
size_t mi_block_usable(const void* p);

#endif
