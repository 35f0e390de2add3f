/* See visit.h. No lock is held while the visitor runs: the pages are taken first (those without a
   holder by H1, so that no remote free can end them), listed, visited, and given up again. */
#include <string.h>

#include "holes.h"
#include "os.h"
#include "pool.h"
#include "purger.h"
#include "visit.h"

typedef struct { mi_page_t* page; bool taken; } mi_visit_t;
typedef struct { mi_visit_t* pages; size_t n, max; } mi_visit_list_t;

static void visit_add(mi_visit_list_t* list, mi_page_t* page, bool taken) {
  mi_assert(list->n <= list->max && !(taken && mi_page_is_listed(page)));
  if (list->n < list->max) list->pages[list->n++] = (mi_visit_t){ page, taken };
  else if (taken) mi_pool_page_put(page);
}

/* A page that has no holder. */
static bool visit_take(mi_page_t* page) {
  mi_xlist_t taken;
  if (!mi_remote_acquire(&page->xword, true, &taken)) return false;       /* H1 */
  mi_page_take_list(page, taken);
  return true;
}

static bool is_of(mi_page_t* page, const mi_owner_t* owner) {
  return owner != NULL && mi_load_relaxed(&page->xowner) == owner->id;  /* equal only if the owner wrote it */
}

/* Of the main heap, if it still is when it is taken: it may have another life. */
static void visit_main(mi_visit_list_t* list, mi_page_t* page, const mi_owner_t* owner) {
  if (mi_load_relaxed(&page->xheap) != &mi_main_heap) return;             /* looked at again */
  if (!visit_take(page)) { if (is_of(page, owner)) visit_add(list, page, false); }
  else if (mi_load_relaxed(&page->xheap) == &mi_main_heap) visit_add(list, page, true);
  else mi_pool_page_put(page);                                       /* another life of the slice */
}

typedef struct { mi_visit_list_t* list; mi_page_t* strange; } mi_visit_mappings_t;
/* One that has another life meanwhile cannot end under the lock of the list: the others are left for the next
   look. */
static bool visit_mapping(mi_page_t* page, void* arg) {
  mi_visit_mappings_t* v = arg;
  /* As above. */
  if (v->list->n == v->list->max || mi_load_relaxed(&page->xheap) != &mi_main_heap || !visit_take(page))
    return true;
  if (mi_load_relaxed(&page->xheap) == &mi_main_heap) visit_add(v->list, page, true);
  else v->strange = page;
  return v->strange == NULL;
}

static void visit_mappings(mi_visit_list_t* list) {
  mi_visit_mappings_t v = { list, NULL };
  mi_mapping_each(&visit_mapping, &v);
  while (v.strange != NULL) {
    mi_pool_page_put(v.strange);
    v.strange = NULL;
    mi_mapping_each(&visit_mapping, &v);  /* those that are taken are not taken again */
  }
}

/* The process's main heap has no list: every page in every arena is looked at. */
static void visit_arenas(mi_visit_list_t* list, const mi_owner_t* owner) {
  for (size_t n = 0; n < mi_arena_count(); n++) {
    const mi_arena_t* a = mi_arena_at(n);
    size_t i = mi_bitmap_next(a->dirty, a->nslices, 0);
    for (; i < a->nslices; i = mi_bitmap_next(a->dirty, a->nslices, i + 1)) {
      mi_page_t* page = &a->pages[i];
      /* Pairs with mi_remote_birth. */
      if (mi_xword_state(mi_load_acquire(&page->xword)) == MI_PAGE_DEAD) continue;
      visit_main(list, page, owner);
    }
  }
}

/* A heap with a list, whose lock keeps its pages from ending. One that is held is in a queue, where it stays
   (in a sub-process's main heap: if it is the owner's), or a remote free holds it, which has emptied it. */
static void visit_listed(mi_visit_list_t* list, mi_heap_t* heap, const mi_owner_t* owner) {
  mi_lock(mi_heap_pages_lock(heap));
  for (mi_page_t* page = heap->pages; page != NULL; page = page->heap_next) {
    if (list->n == list->max) break;
    /* Left by fork, in any state: nobody may look into it. */
    if (mi_load_relaxed(&page->xowner) == MI_ID_GONE) continue;
    const bool queued = heap->is_main ? is_of(page, owner) : mi_page_is_listed(page);
    if (queued || visit_take(page)) visit_add(list, page, !queued);
  }
  mi_unlock(mi_heap_pages_lock(heap));
}

/* At least how many pages there are to visit. */
static size_t visit_count(mi_heap_t* heap) {
  size_t n = 0;
  if (!mi_heap_is_listed(heap)) {
    for (size_t i = 0; i < mi_arena_count(); i++)
      n += mi_bitmap_count(mi_arena_at(i)->dirty, mi_arena_at(i)->nslices);
    return n + mi_load_relaxed(&mi_commit_totals.xmappings);               /* a statistic */
  }
  mi_lock(mi_heap_pages_lock(heap));
  for (const mi_page_t* page = heap->pages; page != NULL; page = page->heap_next) n++;
  mi_unlock(mi_heap_pages_lock(heap));
  return n;
}

static bool visit_page(mi_page_t* page, mi_heap_t* heap, bool blocks, mi_block_visit_fun* visitor,
                       void* arg) {
  mi_block_bits_t is_free;
  uint32_t nremote = 0;
  const bool single = mi_page_is_single(page);
  const size_t size = mi_page_size(page);
  if (!single) mi_queue_page_unpark(page);
  if (!single) mi_page_collect(page, &nremote);
  mi_assert(mi_page_left_out(page) <= 0 && page->capacity <= page->reserved);
  const mi_heap_area_t area = {
    .blocks = page->start,
    .reserved = mi_page_nslices(page) * MI_SLICE_SIZE,
    .committed = page->capacity * size,
    .used = single ? mi_page_used(page) : mi_page_live(page),
    .block_size = size,
    .full_block_size = size,
    .heap_tag = heap->tag,
  };
  if (single) memset(&is_free, 0, sizeof is_free);
  else mi_holes_free_blocks(page, &is_free);
  if (!visitor(heap, &area, NULL, size, arg)) return false;
  for (size_t i = 0; blocks && i < page->capacity; i++) {
    if (mi_block_bit(&is_free, i)) continue;
    if (!visitor(heap, &area, page->start + i * size, size, arg)) return false;
  }
  return true;
}

bool mi_visit_heap(mi_heap_t* heap, mi_owner_t* owner, bool blocks, mi_block_visit_fun* visitor, void* arg) {
  mi_visit_list_t list = { NULL, 0, visit_count(heap) };
  mi_assert(owner == NULL || owner->id != MI_ID_GONE);
  const size_t bytes = mi_align_up((list.max + 1) * sizeof *list.pages, mi_os_page_size());
  list.pages = mi_os_reserve(bytes, mi_os_page_size());
  if (list.pages == NULL) return false;
  bool more = mi_os_commit(list.pages, bytes);
  mi_purger_stop();  /* it holds pages for a moment: they would be missed */
  if (more && mi_heap_is_listed(heap)) visit_listed(&list, heap, owner);
  else if (more) {
    visit_arenas(&list, owner);
    visit_mappings(&list);
  }
  mi_purger_go_on();
  for (size_t i = 0; i < list.n; i++) {
    more = more && visit_page(list.pages[i].page, heap, blocks, visitor, arg);
    if (!list.pages[i].taken) continue;
    /* What was freed meanwhile is in its list now. */
    if (mi_page_where(list.pages[i].page) == MI_WHERE_SEARCHED)
      mi_page_searched_to_waited(list.pages[i].page);
    mi_pool_page_put(list.pages[i].page);
  }
  mi_os_release(list.pages, bytes);
  return more;
}
