/* What fast.cmm knows of the structures, in numbers, for C-- reads no C. cap.c asserts that each is right. */
#ifndef MI_FAST_H
#define MI_FAST_H

/* mi_page_t */
#define MI_FAST_PAGE_FREE       0
#define MI_FAST_PAGE_LOCAL_FREE 8
#define MI_FAST_PAGE_USED       16
#define MI_FAST_PAGE_KEY        24
#define MI_FAST_PAGE_OWNER      64
#define MI_FAST_PAGE_TOP        72
#define MI_FAST_PAGE_RECIP      80

/* mi_block_t, which begins with its mark */
#define MI_FAST_BLOCK_NEXT      8

/* mi_lheap_t, which begins with `direct` */
#define MI_FAST_DIRECT_MAX      1024
#define MI_FAST_LHEAP_QUEUE     552
#define MI_FAST_LHEAP_TICK      544

/* sizes */
#define MI_FAST_GRANULE_SHIFT   4
#define MI_FAST_MEDIUM_MAX      65536
#define MI_FAST_SWEEP_EVERY     256

/* mi_pagemap_t */
#define MI_FAST_PAGEMAP_ROOT    524288

/* mi_fast_t */
#define MI_FAST_LHEAPS          0
#define MI_FAST_CAPS            8
#define MI_FAST_FIRST_ID        16
#define MI_FAST_OCTAVES         24

/* The key of a heap, in bytes. From here on src/Mimalloc/Internal/Numbers.hs has the same numbers. */
#define MI_FAST_KEY_HEAP        0
#define MI_FAST_KEY_LIFE        8
#define MI_FAST_KEY_LHEAPS      16
#define MI_FAST_KEY_CAPS        256
#define MI_FAST_KEY_TOGETHER    2
#define MI_FAST_KEY_ENDS        2064
#define MI_FAST_KEY_PACKERS     128
#define MI_FAST_KEY_USED        3088
#define MI_FAST_KEY_SIZE        3500

/* Where the cell of a bracket, and the box of a growable vector, have their block; the size of no block */
#define MI_FAST_CELL_BLOCK      0
#define MI_FAST_BOX_BLOCK       0
#define MI_FAST_NO_BLOCK        (-1)

#ifndef CMINUSMINUS
#include "core/types.h"
#include "include/mimalloc.h"

/* Owner-only, all: of the capability that is held. */
/* mi_cap_heap_malloc, which also caches the capability's local heap in `lheaps`. */
void* mi_cap_heap_malloc_cached(mi_heap_t* heap, size_t size, mi_lheap_t** lheaps);
/* A block for Haskell: of the heap or, NULL, the capability's own. */
void* mi_cap_block(mi_heap_t* heap, size_t size, size_t align, bool zero);
/* Bytes for something that never changes and is never freed by itself, not aligned: behind what the
   capability had from this heap before, whose ends are in the key. NULL and errno if there is no memory.
   Haskell code that was inlined into a program calls it. */
mi_decl_export void* mi_cap_heap_pack(mi_heap_t* heap, size_t size, uint8_t* key);

typedef struct {
  mi_atomic(mi_lheap_t*)* lheaps;   /* by number */
  size_t    caps;                   /* how many of them */
  uintptr_t first_id;               /* capability 0's id */
  uint8_t   octave[64];             /* mi_bin_of's, of w granules over MI_DIRECT_MAX: octave[w / 64] */
} mi_fast_t;
extern const mi_fast_t mi_fast;
#endif

#endif
