/* The ownership word of a page, and the remote free (docs/protocols.md, section 3: R0-R5, C1, F1, H1, D1).
   Includes only the atomics, so that test/c/model runs it verbatim.
   Each function says who may run it.

    63      44 43  38 37       18 17         2 1   0
   +----------+------+-----------+------------+-----+
   | version  | pins | head      | count      |state|     head: 1 + (offset in the page)/16, 0 = empty list
   +----------+------+-----------+------------+-----+     pins: frees under way that keep the page from dying

   count   OWNED: the length of the remote list, counted up.
           FULL, POOLED: the live blocks, counted down, so that whoever frees the last one knows it from this word alone.
   State, head and count decide every step. The version changes with every change of state; it is for
   those who look twice (mi_remote_pin, statistics): the same version is the same life of the page. */
#ifndef MI_REMOTE_H
#define MI_REMOTE_H

#include "atomic.h"

typedef enum { MI_PAGE_DEAD = 0, MI_PAGE_OWNED = 1, MI_PAGE_FULL = 2, MI_PAGE_POOLED = 3 } mi_page_state_t;

/* What a remote free leaves to be done by its caller. */
typedef enum {
  MI_REMOTE_DONE,   /* nothing */
  MI_REMOTE_INDEX,  /* the page went to POOLED: set its pool bit (P2) */
  MI_REMOTE_SPARSER,/* the page is POOLED, and a quarter to a third of its live blocks are gone since such a free was last */
  MI_REMOTE_LAST,   /* the caller now holds the page, in which nothing is live: free it */
  MI_REMOTE_DEAD    /* no page: the pointer was freed before; nothing was changed */
} mi_remote_t;

#define MI_XCOUNT_ONE    ((uint64_t)1 << 2)
#define MI_XCOUNT_MASK   ((uint64_t)0xffff << 2)
#define MI_XHEAD_SHIFT   18
#define MI_XHEAD_MASK    ((uint64_t)0xfffff << MI_XHEAD_SHIFT)
#define MI_XLIST_MASK    (MI_XHEAD_MASK | MI_XCOUNT_MASK)
#define MI_XPIN_ONE      ((uint64_t)1 << 38)
#define MI_XPIN_MASK     ((uint64_t)0x3f << 38)
#define MI_XVERSION_ONE  ((uint64_t)1 << 44)

typedef mi_atomic(uint64_t) mi_xword_t;
typedef mi_atomic(uint64_t) mi_xkey_t;   /* of a page: another in each of its lives, shown by mi_remote_birth */

static inline mi_page_state_t mi_xword_state(uint64_t w) { return (mi_page_state_t)(w & 3); }
static inline uint32_t mi_xword_count(uint64_t w) { return (uint32_t)((w & MI_XCOUNT_MASK) >> 2); }
static inline uint32_t mi_xword_head(uint64_t w) { return (uint32_t)((w & MI_XHEAD_MASK) >> MI_XHEAD_SHIFT); }

/* The same list in another state, one version on. */
static inline uint64_t mi_xword_to(uint64_t w, mi_page_state_t state) {
  return ((w & ~(uint64_t)3) | (uint64_t)state) + MI_XVERSION_ONE;
}

/* A remote list: `count` blocks from `head` on. */
typedef struct { uint32_t head, count; } mi_xlist_t;

/* A number below 8; or one or two binary digits 1, then zeros: two thirds or three quarters of the one before. */
static inline bool mi_is_milestone(uint32_t n) {
  const uint32_t lowest = n & (0 - n);
  return n < 8 || n == lowest || n == 3 * lowest;
}

/* R3. The word after the block at `slot` was pushed. */
static inline uint64_t mi_xword_pushed(uint64_t w, uint32_t slot, mi_remote_t* todo) {
  const mi_page_state_t state = mi_xword_state(w);
  const uint64_t n = (w & ~MI_XHEAD_MASK) | ((uint64_t)slot << MI_XHEAD_SHIFT);
  *todo = MI_REMOTE_DONE;
  if (state == MI_PAGE_OWNED) return n + MI_XCOUNT_ONE;
  if (mi_xword_count(w) == 1) {
    *todo = MI_REMOTE_LAST;
    return mi_xword_to(w & ~MI_XLIST_MASK, MI_PAGE_OWNED);
  }
  if (state == MI_PAGE_FULL) {
    *todo = MI_REMOTE_INDEX;
    return mi_xword_to(n - MI_XCOUNT_ONE, MI_PAGE_POOLED);
  }
  if (mi_is_milestone(mi_xword_count(w) - 1)) *todo = MI_REMOTE_SPARSER;
  return n - MI_XCOUNT_ONE;
}

/* R0, in a heap that may be destroyed while others free. Any thread: `w`, loaded with acquire (pairs
   with mi_remote_birth), is what the block was checked against; true if nothing changed since, and
   then the page does not die before the push with this pin. */
static inline bool mi_remote_pin(mi_xword_t* xword, uint64_t w) {
  if (mi_xword_state(w) == MI_PAGE_DEAD || (w & MI_XPIN_MASK) == MI_XPIN_MASK) return false;
  return mi_cas_acquire(xword, &w, w + MI_XPIN_ONE);                     /* R0 pairs with D1: it waits for the pin */
}

/* Takes a pin off; in the child of fork they may all be gone, when a signal's handler forked in the middle of this. */
static inline uint64_t mi_xword_unpinned(uint64_t w, unsigned pins) {
  return pins != 0 && (w & MI_XPIN_MASK) != 0 ? w - MI_XPIN_ONE : w;
}

/* The pin ends without a push: the block was freed before, or is not to be freed. */
static inline void mi_remote_unpin(mi_xword_t* xword) {
  uint64_t w = mi_load_relaxed(xword);                                   /* only the swap decides */
  while (!mi_cas_release(xword, &w, mi_xword_unpinned(w, 1))) {}         /* pairs with D1 */
}

/* R0, when two free one block at the same moment: one of them marks it. Any thread, before it pushes the block. False: it is
   marked, or was just written to. *was: what stood there. */
static inline bool mi_remote_claim(mi_xkey_t* xmark, uint64_t key, uint64_t* was) {
  *was = mi_load_relaxed(xmark);                                         /* only the swap decides */
  return *was != key && mi_cas_acquire(xmark, was, key);                 /* R0 pairs with itself: nothing of the push goes before it */
}

/* R1-R4. Any thread. `key`: of the life in which the block was checked and marked; `set_next` writes the block's link to slot
   `next` (0 ends the list); `pins`: 1 with a pin, which ends here, else 0. */
static inline mi_remote_t mi_remote_push(mi_xword_t* xword, const mi_xkey_t* xkey, uint64_t key, uint32_t slot, unsigned pins,
                                         void (*set_next)(void* block, uint32_t next), void* block) {
  mi_remote_t todo;
  uint64_t w = mi_load_acquire(xword);                                   /* R1 pairs with mi_remote_birth: the key is no older */
  uint64_t n;
  do {
    if (mi_xword_state(w) == MI_PAGE_DEAD || mi_load_relaxed(xkey) != key) return MI_REMOTE_DEAD;  /* of w's life: or the swap fails */
    set_next(block, mi_xword_head(w));                                   /* R2 */
    n = mi_xword_unpinned(mi_xword_pushed(w, slot, &todo), pins);        /* R3 */
  } while (!mi_cas_acq_rel(xword, &w, n));                               /* R4 pairs with C1, H1, A2 (publishes the link), D1, F1, P1, R4 */
  return todo;
}

/* R5. Any thread, for the only block of a page of a heap that nobody destroys: FULL -> DEAD, R4 and D1 in one. The slices are the
   caller's to give back. `w`: what the block was checked against. False if somebody holds the page just now, or did: push. */
static inline bool mi_remote_end(mi_xword_t* xword, uint64_t w) {
  if (mi_xword_state(w) != MI_PAGE_FULL || mi_xword_count(w) != 1 || (w & MI_XPIN_MASK) != 0) return false;
  return mi_cas_acquire(xword, &w, mi_xword_to(w & ~MI_XLIST_MASK, MI_PAGE_DEAD));  /* R5 pairs with mi_remote_birth, P1 */
}

/* C1. Holder only: takes the whole remote list. */
static inline mi_xlist_t mi_remote_collect(mi_xword_t* xword) {
  mi_xlist_t list = { 0, 0 };
  if (mi_xword_head(mi_load_relaxed(xword)) == 0) return list;           /* a hint: nothing is read through it */
  const uint64_t w = mi_and_acquire(xword, ~MI_XLIST_MASK);              /* C1 pairs with R4: shows the links */
  list.head = mi_xword_head(w);
  list.count = mi_xword_count(w);
  return list;
}

/* F1, P1. Holder only: gives the page, in which `used` blocks are live, up to `state`; false if
   its remote list is not empty. */
static inline bool mi_remote_release(mi_xword_t* xword, mi_page_state_t state, uint32_t used) {
  uint64_t w = mi_load_relaxed(xword);                                   /* only the swap decides */
  while (mi_xword_head(w) == 0) {
    const uint64_t n = mi_xword_to(w, state) | ((uint64_t)used << 2);
    if (mi_cas_release(xword, &w, n)) return true;                       /* F1, P1 pairs with R4, H1, A2 */
  }
  return false;
}

/* H1, A2. Any thread: takes a page that nobody holds, with its remote list; `list->count` is how
   many blocks are live. `full`: a FULL one too (H1), else a POOLED one only (A2). */
static inline bool mi_remote_acquire(mi_xword_t* xword, bool full, mi_xlist_t* list) {
  uint64_t w = mi_load_relaxed(xword);                                   /* only the swap decides */
  while (mi_xword_state(w) == MI_PAGE_POOLED || (full && mi_xword_state(w) == MI_PAGE_FULL)) {
    list->head = mi_xword_head(w);
    list->count = mi_xword_count(w);
    if (mi_cas_acquire(xword, &w, mi_xword_to(w & ~MI_XLIST_MASK, MI_PAGE_OWNED))) return true;  /* H1, A2 pairs with F1, P1, R4 */
  }
  return false;
}

/* DEAD -> OWNED, for a fresh page; or -> FULL with `live` blocks. Holder of its slices: nobody else changes its word. */
static inline void mi_remote_birth(mi_xword_t* xword, mi_page_state_t state, uint32_t live) {
  const uint64_t w = mi_load_relaxed(xword) & ~(MI_XLIST_MASK | MI_XPIN_MASK);
  mi_store_release(xword, mi_xword_to(w, state) | ((uint64_t)live << 2));  /* pairs with acquires of those who look: they find a whole page */
}

/* D1. OWNED -> DEAD. Holder only; whatever is live in it ends. False while a free has it pinned: try again. */
static inline bool mi_remote_death(mi_xword_t* xword) {
  uint64_t w = mi_load_relaxed(xword);                                   /* only the swap decides */
  while ((w & MI_XPIN_MASK) == 0) {
    if (mi_cas_acquire(xword, &w, mi_xword_to(w & ~MI_XLIST_MASK, MI_PAGE_DEAD))) return true;  /* D1 pairs with R4: the pinned frees are over */
  }
  return false;
}

/* In the child of fork, by its one thread: whoever had the page pinned is not there any more. */
static inline void mi_remote_unpin_all(mi_xword_t* xword) {
  const uint64_t w = mi_load_relaxed(xword);
  if ((w & MI_XPIN_MASK) != 0) mi_store_relaxed(xword, w & ~MI_XPIN_MASK);
}

#endif
