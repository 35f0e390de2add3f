/* See keep.h. */
#include "arena.h"
#include "keep.h"
#include "options.h"
#include "os.h"

#define COLUMNS 64u                      /* by the owner's slot; each a cache line, so that owners stay out of each other's way */

typedef struct { mi_atomic(mi_page_t*) xpage[MI_KEEP_SLICES]; } mi_cachealign mi_keep_column_t;
static mi_keep_column_t columns[COLUMNS];
static mi_atomic(uint64_t) xflush_at;    /* milliseconds; 0: nothing is kept */

static void page_give(mi_page_t* page) {
  mi_page_map(page, false);
  mi_arena_give(page);
}

mi_page_t* mi_keep_take(uint32_t slot, size_t nslices) {
  if (nslices > MI_KEEP_SLICES) return NULL;
  mi_atomic(mi_page_t*)* place = &columns[slot % COLUMNS].xpage[nslices - 1];
  if (mi_load_relaxed(place) == NULL) return NULL;                        /* a hint */
  return mi_exchange_acq_rel(place, NULL);                                /* pairs with mi_keep_put */
}

static bool worth_keeping(mi_page_t* page) {
  if (mi_page_nslices(page) > MI_KEEP_SLICES || page->arena == MI_ARENA_NONE || mi_page_retire(page) != 0) return false;
  if (!mi_arena_serves(mi_arena_at(page->arena), MI_ARENA_NONE)) return false;   /* left by a heap that was deleted */
  return MI_HARD || mi_option_get(mi_option_purge_delay) != 0;
}

void mi_keep_put(uint32_t slot, mi_page_t* page) {
  if (worth_keeping(page)) {
    page = mi_exchange_acq_rel(&columns[slot % COLUMNS].xpage[mi_page_nslices(page) - 1], page);  /* pairs with mi_keep_take, flush */
    if (mi_load_relaxed(&xflush_at) == 0 && mi_option_get(mi_option_purge_delay) >= 0) {  /* a time only */
      mi_store_relaxed(&xflush_at, mi_os_now_ms() + mi_option_get_size(mi_option_purge_delay));
      mi_os_wake();
    }
  }
  if (page != NULL) page_give(page);
}

static void flush(void) {
  mi_store_relaxed(&xflush_at, 0);                                        /* shown by each exchange: who puts after it sets it again */
  for (size_t i = 0; i < COLUMNS * MI_KEEP_SLICES; i++) {
    mi_page_t* page = mi_exchange_acq_rel(&columns[i / MI_KEEP_SLICES].xpage[i % MI_KEEP_SLICES], NULL);  /* pairs with mi_keep_put, also where there is none */
    if (page != NULL) page_give(page);
  }
}

void mi_purge(bool force) {
  const uint64_t at = mi_load_relaxed(&xflush_at);                        /* a time only */
  if (force || (at != 0 && mi_os_now_ms() >= at)) flush();
  mi_arena_purge(force);
}

uint64_t mi_purge_at(void) {
  const uint64_t flush_at = mi_load_relaxed(&xflush_at), purge_at = mi_arena_purge_at();  /* times only */
  return flush_at == 0 || purge_at == 0 ? flush_at + purge_at : flush_at < purge_at ? flush_at : purge_at;
}
