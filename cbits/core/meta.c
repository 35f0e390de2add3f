/* See meta.h. Any thread: one lock. */
#include <string.h>

#include "meta.h"

#define META_CHUNK (MI_MiB)              /* reserved at a time; touched as it is used */
#define META_FIRST (64 * MI_KiB)         /* .. but at first: a small program locks no more in memory than it needs */

typedef struct mi_meta_free_s { struct mi_meta_free_s* next; } mi_meta_free_t;

static mi_lock_t meta_lock = MI_LOCK_INIT(MI_RANK_META);
static uint8_t *bump, *bump_end;
static mi_meta_free_t* free_lists[MI_META_KINDS];

/* Under the lock. */
static void* meta_bump(size_t size) {
  size = mi_align_up(size, 128);
  if (size > (size_t)(bump_end - bump)) {
    const size_t chunk = mi_align_up(mi_max(size, bump == NULL ? META_FIRST : META_CHUNK), mi_os_page_size());
    uint8_t* p = mi_os_reserve(chunk, mi_os_page_size());
    if (p == NULL) return NULL;
    if (!mi_os_commit(p, chunk)) { mi_os_release(p, chunk); return NULL; }
    bump = p;                            /* the rest of the old chunk, less than `size`, stays untouched */
    bump_end = p + chunk;
  }
  void* p = bump;
  bump += size;
  return p;
}

void* mi_meta_alloc(mi_meta_kind_t kind, size_t size) {
  mi_lock(&meta_lock);
  mi_meta_free_t* p = free_lists[kind];
  if (p != NULL) free_lists[kind] = p->next;
  void* fresh = (p == NULL) ? meta_bump(size) : NULL;
  mi_unlock(&meta_lock);
  const bool kept = kind == MI_META_HEAP || kind == MI_META_PAGE;         /* a heap's id may be being read, a page's word goes on counting its lives: who takes one sets every field */
  if (p != NULL && !kept) memset(p, 0, size);
  return p != NULL ? p : fresh;
}

void mi_meta_free(mi_meta_kind_t kind, void* p) {
  mi_meta_free_t* f = p;
  mi_lock(&meta_lock);
  f->next = free_lists[kind];
  free_lists[kind] = f;
  mi_unlock(&meta_lock);
}

void mi_meta_before_fork(void) { mi_lock(&meta_lock); }

void mi_meta_after_fork(bool child) {
  (child ? &mi_lock_reset : &mi_unlock)(&meta_lock);
}
