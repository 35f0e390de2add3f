/* A heap's name, which statistics read while it may be set: a few words, and one that counts the changes, odd
   while one is under way (docs/protocols.md, section 7). The first word is the heap's id, so that a structure
   that has another heap by now has no name of the old one's. Includes only the atomics, so that test/c/model
   runs the protocol verbatim. It is set under the lock of the list of heaps, and read by any thread. */
#ifndef MI_HEAP_NAME_H
#define MI_HEAP_NAME_H

#include "atomic.h"

#ifndef MI_NAME_WORDS               /* the model has fewer */
#define MI_NAME_WORDS 6u            /* of the name alone: at most 47 bytes and a 0 */
#endif

typedef struct {
  mi_atomic(uint64_t) xchanges;
  mi_atomic(uint64_t) xwords[1 + MI_NAME_WORDS];  /* an id, and the name's bytes */
} mi_heap_name_t;

/* One caller at a time (the lock). */
static inline void mi_heap_name_set(mi_heap_name_t* name, const uint64_t words[1 + MI_NAME_WORDS]) {
  const uint64_t n = mi_load_relaxed(&name->xchanges);                    /* mine: changed under the lock */
  mi_store_relaxed(&name->xchanges, n + 1);                               /* N1: shown by N2 */
  for (unsigned i = 0; i <= MI_NAME_WORDS; i++) {
    /* Who reads a new word finds n + 1, or more, at N6. */
    mi_store_release(&name->xwords[i], words[i]);                         /* N2 pairs with N5 */
  }
  mi_store_release(&name->xchanges, n + 2);  /* N3 pairs with N4: these words, or newer ones */
}

/* False: it was being changed; the words are nothing then. */
static inline bool mi_heap_name_get(const mi_heap_name_t* name, uint64_t words[1 + MI_NAME_WORDS]) {
  const uint64_t n = mi_load_acquire(&name->xchanges);                    /* N4 pairs with N3 */
  for (unsigned i = 0; i <= MI_NAME_WORDS; i++) {
    words[i] = mi_load_acquire(&name->xwords[i]);                         /* N5 pairs with N2 */
  }
  /* N6: by N5 no older than the words. */
  return (n & 1) == 0 && mi_load_relaxed(&name->xchanges) == n;
}

#endif
