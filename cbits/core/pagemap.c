/* See pagemap.h. */
#include "os.h"
#include "pagemap.h"

#define LEAF_BYTES (MI_PAGEMAP_LEAF * sizeof(uintptr_t))

mi_pagemap_t mi_pagemap;

_Static_assert((uint64_t)MI_PAGEMAP_ROOT * MI_PAGEMAP_LEAF * MI_SLICE_SIZE == (uint64_t)1 << 48,
               "root and leaf together cover 48 address bits, 16 each");

static mi_atomic(uintptr_t)* leaf_at(uintptr_t distance) {
  mi_assert(distance != 0);
  return (mi_atomic(uintptr_t)*)((uintptr_t)&mi_pagemap + distance * sizeof(uintptr_t));
}

static mi_atomic(bool) xunlocks;

/* Memory that is zero, as it is afterwards. */
static void zero_unlock(void* p, size_t size) {
  mi_os_unlock(p, size);
  (void)mi_os_purge(p, size);
}

/* The OS pages that lie inside [p, p + size). */
static void inner_pages(void* p, size_t size, void (*act)(void* p, size_t size)) {
  const uintptr_t page = mi_os_page_size(), start = mi_align_up((uintptr_t)p, page);
  act((void*)start, (((uintptr_t)p + size) & ~(page - 1)) - start);
}

void mi_pagemap_unlock(void) {
  if (mi_exchange_acq_rel(&xunlocks, true)) return;                       /* pairs with itself: done once */
  inner_pages(&mi_pagemap.zero, sizeof mi_pagemap.zero, &zero_unlock);
  inner_pages(mi_pagemap.root, sizeof mi_pagemap.root, &mi_os_unlock);
  for (size_t i = 0; i < MI_PAGEMAP_ROOT; i++) {
    /* Pairs with leaf_put. */
    const uintptr_t distance = mi_load_acquire(&mi_pagemap.root[i]);
    if (distance != 0) mi_os_unlock(leaf_at(distance), LEAF_BYTES);
  }
}

void* mi_pagemap_spare(void) {
  void* leaf = mi_os_reserve(LEAF_BYTES, mi_os_page_size());
  if (leaf == NULL) return NULL;
  if (mi_load_relaxed(&xunlocks)) zero_unlock(leaf, LEAF_BYTES);          /* a hint */
  if (mi_os_commit(leaf, LEAF_BYTES)) return leaf;
  mi_os_release(leaf, LEAF_BYTES);
  return NULL;
}

/* This memory, or what another thread has put there meanwhile. */
static mi_atomic(uintptr_t)* leaf_put(mi_atomic(uintptr_t)* root, void* leaf) {
  uintptr_t distance = 0;
  const uintptr_t mine = ((uintptr_t)leaf - (uintptr_t)&mi_pagemap) / sizeof(uintptr_t);
  /* Pairs with itself and the acquire in leaf_of. */
  if (mi_cas_acq_rel(root, &distance, mine)) return leaf;
  mi_os_release(leaf, LEAF_BYTES);
  return leaf_at(distance);
}

void mi_pagemap_prepare_with(const void* p, void* spare) {
  mi_assert((uintptr_t)p >> 48 == 0);
  leaf_put(&mi_pagemap.root[(uintptr_t)p >> 32], spare);
}

static mi_atomic(uintptr_t)* leaf_make(mi_atomic(uintptr_t)* root) {
  void* leaf = mi_pagemap_spare();
  return leaf == NULL ? NULL : leaf_put(root, leaf);
}

/* The leaf for an address, made if need be. NULL if it cannot be had or the address has over 48 bits. */
static mi_atomic(uintptr_t)* leaf_of(uintptr_t p) {
  if (p >> 48 != 0) return NULL;
  mi_atomic(uintptr_t)* root = &mi_pagemap.root[p >> 32];
  const uintptr_t distance = mi_load_acquire(root);  /* pairs with the swap above: shows zeros */
  return mi_likely(distance != 0) ? leaf_at(distance) : leaf_make(root);
}

bool mi_pagemap_prepare(const void* start, size_t size) {
  mi_assert(size > 0);
  const uintptr_t end = (uintptr_t)start + size - 1;
  for (uintptr_t r = (uintptr_t)start >> 32; r <= end >> 32; r++) {
    if (leaf_of(r << 32) == NULL) return false;
  }
  return true;
}

bool mi_pagemap_set(const void* start, size_t nslices, const mi_page_t* page) {
  mi_assert(nslices > 0 && start != NULL);
  const uintptr_t value = page == NULL ? 0 : (uintptr_t)page - (uintptr_t)&mi_pagemap;
  uintptr_t p = (uintptr_t)start;
  for (size_t i = 0; i < nslices; i++, p += MI_SLICE_SIZE) {
    mi_atomic(uintptr_t)* leaf = leaf_of(p);
    if (leaf == NULL) return false;
    /* Shown to others together with the first block. */
    mi_store_relaxed(&leaf[(uint32_t)p >> MI_SLICE_SHIFT], value);
  }
  return true;
}
