/* The slices of one arena: claimed through an atomic bitmap, committed, made a page, given back, purged.
   Any thread: what is said of "our" slices is for who has claimed them. */
#ifndef MI_SLICES_H
#define MI_SLICES_H

#include "arena.h"
#include "where.h"

/* How many of the slices i .. i+n are dirty. */
size_t mi_slices_dirty(const mi_arena_t* a, size_t i, size_t n);
/* No run of more free slices than this; UINT32_MAX: unknown. A hint. */
mi_inline uint32_t mi_slices_longest(const mi_arena_t* a) { return (uint32_t)mi_load_relaxed(&a->xlongest); }
/* A number that changes when slices become free. A hint. */
mi_inline uint64_t mi_slices_changes(const mi_arena_t* a) { return mi_load_relaxed(&a->xlongest) >> 32; }

/* What is asked for. */
typedef struct {
  size_t   size, align, n;          /* bytes, the alignment at least a slice; slices */
  uint16_t number;                  /* of the arena, or MI_ARENA_NONE */
  bool     touched;                 /* not if it would all be new memory */
  bool     clears;                  /* zeros are wanted: what is dirty is cleared, unless all of it is */
  bool     refused;  /* there was room, which could not be committed: more room would not help */
  bool*    zero;
} mi_claim_t;

/* A page as it is asked for, its word DEAD; NULL if this arena has none. */
mi_page_t* mi_slices_page_for(mi_arena_t* a, mi_claim_t* c);
/* Our slices i .. i+n: ready to be used. False: the OS or the limit refused to commit; they are given
   back. */
bool mi_slices_commit(mi_arena_t* a, size_t i, size_t n, bool* zero);
/* Our slices i .. i+n as a page, its word DEAD. NULL as in mi_slices_commit. */
mi_page_t* mi_slices_page(mi_arena_t* a, size_t i, size_t n, bool* zero);

/* Our slices i .. i+n may be claimed by anybody. */
void mi_slices_free(mi_arena_t* a, size_t i, size_t n);
/* The same; they are purged after the delay, or at once if there is none. */
void mi_slices_give(mi_arena_t* a, size_t i, size_t n);
/* Our slices i .. i+n, and free: to the OS, but for those that another has purged since they were marked;
   then they may be claimed by anybody, but for what is not ours any more. */
void mi_slices_purge(mi_arena_t* a, size_t i, size_t n);
/* What a move lost: counted no more, and claimed for ever. */
void mi_slices_lose(mi_arena_t* a, size_t i, size_t n);

#endif
