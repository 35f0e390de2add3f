/* See meta.h. Any thread: one lock. */
#include <string.h>

#include "atomic.h"
#include "check.h"
#include "meta.h"
#include "policy.h"

/* Reserved at a time, aligned to REGION_SIZE; touched as it is used, but all of it where memory is locked: so
   the first one is small, and each as large as all before it. */
#define REGION_SIZE  (MI_MiB)
#define REGION_FIRST (REGION_SIZE / 4)
#define SLAB_SIZE    (REGION_SIZE / 32)
#define LARGE_MIN    (SLAB_SIZE / 4)     /* so large a structure has a mapping of its own */

typedef struct mi_meta_free_s { struct mi_meta_free_s* next; } mi_meta_free_t;

/* What is known of a slab lies at the start of its region, apart from it, so that all of a slab can be given
   back. */
typedef struct mi_slab_s {
  struct mi_slab_s *next, *prev;        /* in its kind's list, if there is room in it */
  mi_meta_free_t* free;
  uint8_t*    start;
  uint32_t    bump;                     /* bytes that were ever handed out: what is behind is zero */
  uint32_t    nlive;
} mi_slab_t;

typedef struct {
  mi_slab_t   slab[REGION_SIZE / SLAB_SIZE];  /* where the first slab would be is this */
} mi_region_t;

typedef struct {
  mi_slab_t  *first, *last;  /* in which there is room; those whose memory went back are the last */
  uint32_t    nempty;                   /* in which nothing is used, and whose memory did not go back */
  size_t      size;                     /* of its structures, rounded up */
} mi_kind_t;

static mi_lock_t meta_lock = MI_LOCK_INIT(MI_RANK_META);
static mi_kind_t kinds[MI_META_KINDS];
static mi_region_t* region;              /* the newest; */
static size_t region_slabs, region_used; /* .. how many slabs it has, and how many are some kind's; */
static size_t regions_bytes;             /* .. and all of them */
/* Written under the lock, but for the peak when it starts anew. */
static mi_atomic(size_t) xcommitted, xpeak, xreserved;

size_t mi_meta_committed(void) { return mi_load_relaxed(&xcommitted); }   /* statistics */
size_t mi_meta_peak_committed(void) { return mi_load_relaxed(&xpeak); }
size_t mi_meta_reserved(void) { return mi_load_relaxed(&xreserved); }
void mi_meta_restart_peak(void) { mi_store_relaxed(&xpeak, mi_load_relaxed(&xcommitted)); }

/* Under the lock. */
static void committed_add(size_t bytes) {
  const size_t now = mi_load_relaxed(&xcommitted) + bytes;                /* statistics */
  mi_store_relaxed(&xcommitted, now);
  if (now > mi_load_relaxed(&xpeak)) mi_store_relaxed(&xpeak, now);
}

static void* slab_reserve(size_t size, size_t align) {
  void* p = mi_os_reserve(size, align);
  if (p == NULL) return NULL;
  if (!mi_os_commit(p, size)) { mi_os_release(p, size); return NULL; }
  mi_add_relaxed(&xreserved, size);                                       /* a statistic */
  return p;
}

/* ---- the slabs of a kind: under the lock ---- */

static bool is_full(const mi_slab_t* slab, size_t size) {
  return slab->free == NULL && slab->bump + size > SLAB_SIZE;
}

static void slab_remove(mi_kind_t* kind, mi_slab_t* slab) {
  mi_assert(slab->prev == NULL ? kind->first == slab : slab->prev->next == slab);
  mi_assert(slab->next == NULL ? kind->last == slab : slab->next->prev == slab);
  if (slab->prev != NULL) slab->prev->next = slab->next; else kind->first = slab->next;
  if (slab->next != NULL) slab->next->prev = slab->prev; else kind->last = slab->prev;
}

static void slab_add(mi_kind_t* kind, mi_slab_t* slab, bool front) {
  slab->next = front ? kind->first : NULL;
  slab->prev = front ? NULL : kind->last;
  if (slab->next != NULL) slab->next->prev = slab; else kind->last = slab;
  if (slab->prev != NULL) slab->prev->next = slab; else kind->first = slab;
}

static bool slab_make(mi_kind_t* kind) {
  if (region_used == region_slabs) {
    const size_t size = mi_min(mi_max(regions_bytes, REGION_FIRST), REGION_SIZE);
    mi_region_t* fresh = slab_reserve(size, REGION_SIZE);
    if (fresh == NULL) return false;
    committed_add(mi_align_up(sizeof *fresh, mi_os_page_size()));
    regions_bytes += size;
    region = fresh;
    region_slabs = size / SLAB_SIZE;
    region_used = 1;
  }
  mi_slab_t* slab = &region->slab[region_used];
  mi_assert(region_used >= 1 && region_used < region_slabs && slab->start == NULL);
  slab->start = (uint8_t*)region + region_used++ * SLAB_SIZE;
  slab_add(kind, slab, false);
  return true;
}

static mi_slab_t* slab_of(const void* p) {
  mi_region_t* r = (mi_region_t*)mi_align_down((uintptr_t)p, REGION_SIZE);
  return &r->slab[((uintptr_t)p - (uintptr_t)r) / SLAB_SIZE];
}

/* How much of it may be resident. */
static size_t slab_committed(const mi_slab_t* slab) { return mi_align_up(slab->bump, mi_os_page_size()); }

static void* slab_alloc(mi_kind_t* kind, mi_slab_t* slab, bool* used) {
  mi_assert(!is_full(slab, kind->size) && kind->size <= LARGE_MIN);
  if (slab->nlive++ == 0 && slab->bump > 0) kind->nempty--;
  mi_meta_free_t* p = slab->free;
  *used = (p != NULL);
  if (p != NULL) slab->free = p->next;
  else {
    const size_t before = slab_committed(slab);
    p = (mi_meta_free_t*)(void*)(slab->start + slab->bump);
    slab->bump += (uint32_t)kind->size;
    committed_add(slab_committed(slab) - before);
  }
  if (is_full(slab, kind->size)) slab_remove(kind, slab);
  return p;
}

/* A page's word goes on counting its lives, so its memory stays; so does what shares an OS page. */
static bool may_go(const mi_kind_t* kind) {
  return kind != &kinds[MI_META_PAGE] && SLAB_SIZE % mi_os_page_size() == 0;
}

/* Nothing in it is used. What is locked stays. */
static void slab_emptied(mi_kind_t* kind, mi_slab_t* slab) {
  mi_assert(slab->nlive == 0);
  if (++kind->nempty <= MI_META_EMPTY || !may_go(kind) || !mi_os_purge(slab->start, SLAB_SIZE)) return;
  kind->nempty--;
  committed_add(0 - slab_committed(slab));
  slab->free = NULL;
  slab->bump = 0;
  slab_remove(kind, slab);
  slab_add(kind, slab, false);
}

static void slab_free(mi_kind_t* kind, mi_slab_t* slab, mi_meta_free_t* p) {
  mi_assert(slab->nlive > 0 && (size_t)((uint8_t*)p - slab->start) < slab->bump
            && (size_t)((uint8_t*)p - slab->start) % kind->size == 0);
  const bool was_full = is_full(slab, kind->size);
  p->next = slab->free;
  slab->free = p;
  if (was_full) slab_add(kind, slab, true);
  if (--slab->nlive == 0) slab_emptied(kind, slab);
}

/* ---- any thread ---- */

void* mi_meta_alloc(mi_meta_kind_t k, size_t size) {
  mi_kind_t* kind = &kinds[k];
  bool used = false;
  void* p = NULL;
  mi_lock(&meta_lock);
  const size_t rounded = mi_align_up(size, size > LARGE_MIN ? mi_os_page_size() : 64);
  mi_assert(kind->size == 0 || kind->size == rounded);
  kind->size = rounded;
  if (kind->size > LARGE_MIN) {
    p = slab_reserve(kind->size, mi_os_page_size());
    if (p != NULL) committed_add(kind->size);
  }
  else if (kind->first != NULL || slab_make(kind)) p = slab_alloc(kind, kind->first, &used);
  mi_unlock(&meta_lock);
  /* A heap's id may be being read, a page's word goes on counting its lives: who takes one sets every
     field. */
  const bool kept = k == MI_META_HEAP || k == MI_META_PAGE;
  return used && !kept ? memset(p, 0, size) : p;
}

void mi_meta_free(mi_meta_kind_t k, void* p) {
  mi_kind_t* kind = &kinds[k];
  mi_lock(&meta_lock);
  mi_assert(kind->size > 0);
  if (kind->size > LARGE_MIN) {
    mi_os_release(p, kind->size);
    committed_add(0 - kind->size);
    mi_sub_relaxed(&xreserved, kind->size);                               /* a statistic */
  }
  else slab_free(kind, slab_of(p), p);
  mi_unlock(&meta_lock);
}

void mi_meta_before_fork(void) { mi_lock(&meta_lock); }

void mi_meta_after_fork(bool child) {
  (child ? &mi_lock_reset : &mi_unlock)(&meta_lock);
}
