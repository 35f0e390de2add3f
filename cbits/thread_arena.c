/* Arenas, as mimalloc.h describes them. Any thread. */
#include <errno.h>

#include "core/arena.h"
#include "core/report.h"
#include "core/os.h"
#include "core/stats.h"

/* ---- arenas ---- */

/* Memory from the OS as an arena; an error number, or 0 and its id. */
static int arena_reserve(size_t size, bool huge, bool exclusive, mi_arena_id_t* id) {
  const int saved = errno;
  uint16_t number;
  if (id != NULL) *id = 0;
  if (size == 0 || size > MI_SIZE_LIMIT) return EINVAL;
  size = mi_align_up(size, huge ? MI_GiB : MI_SLICE_SIZE);
  void* p = huge ? mi_os_reserve_huge(size, MI_SLICE_SIZE) : mi_os_reserve(size, MI_SLICE_SIZE);
  const bool ok = p != NULL && mi_arena_add(p, size, true, huge, exclusive, &number);
  if (p != NULL && !ok) mi_os_release(p, size);
  errno = saved;
  if (!ok) return ENOMEM;
  if (id != NULL) *id = number + 1;
  return 0;
}

int mi_reserve_os_memory_ex(size_t size, bool commit, bool allow_large, bool exclusive,
                            mi_arena_id_t* arena_id) {
  (void)commit; (void)allow_large;                                        /* committed as it is used */
  return arena_reserve(size, false, exclusive, arena_id);
}
int mi_reserve_os_memory(size_t size, bool commit, bool allow_large) {
  return mi_reserve_os_memory_ex(size, commit, allow_large, false, NULL);
}

int mi_reserve_huge_os_pages_at_ex(size_t pages, int numa_node, size_t timeout_msecs, bool exclusive,
                                   mi_arena_id_t* arena_id) {
  (void)numa_node; (void)timeout_msecs;
  if (arena_id != NULL) *arena_id = 0;
  if (pages > MI_SIZE_LIMIT / MI_GiB) return EINVAL;
  return pages == 0 ? 0 : arena_reserve(pages * MI_GiB, true, exclusive, arena_id);
}
int mi_reserve_huge_os_pages_at(size_t pages, int numa_node, size_t timeout_msecs) {
  return mi_reserve_huge_os_pages_at_ex(pages, numa_node, timeout_msecs, false, NULL);
}
int mi_reserve_huge_os_pages_interleave(size_t pages, size_t numa_nodes, size_t timeout_msecs) {
  (void)numa_nodes;
  return mi_reserve_huge_os_pages_at(pages, -1, timeout_msecs);
}
int mi_reserve_huge_os_pages(size_t pages, double max_secs, size_t* pages_reserved) {
  (void)max_secs;
  const int error = mi_reserve_huge_os_pages_at(pages, -1, 0);
  if (pages_reserved != NULL) *pages_reserved = error == 0 ? pages : 0;
  return error;
}

/* The user's memory, of which nothing could be used: the slices of its arena can from now on. The system
   gives memory to what is touched. */
static bool make_writable(void* start, size_t size) {
  uint8_t* first = (uint8_t*)mi_align_up((uintptr_t)start, MI_SLICE_SIZE);
  const size_t lost = (size_t)(first - (uint8_t*)start);
  if (start == NULL || size < lost + MI_SLICE_SIZE) { errno = EINVAL; return false; }
  return mi_os_make_writable(first, (size - lost) / MI_SLICE_SIZE * MI_SLICE_SIZE);
}

/* The user's memory is never purged: what is behind it is not ours to drop. */
bool mi_manage_os_memory_ex(void* start, size_t size, bool is_committed, bool is_large, bool is_zero,
                            int numa_node, bool exclusive, mi_arena_id_t* arena_id) {
  uint16_t number;
  (void)is_large; (void)numa_node;
  if (arena_id != NULL) *arena_id = 0;
  if ((!is_committed && !make_writable(start, size))
      || !mi_arena_add(start, size, is_zero, true, exclusive, &number)) {
    mi_report_fail(errno == ENOMEM ? MI_ERROR_NO_MEMORY : MI_ERROR_ARGUMENT, size);
    return false;
  }
  if (arena_id != NULL) *arena_id = number + 1;
  return true;
}
bool mi_manage_os_memory(void* start, size_t size, bool is_committed, bool is_large, bool is_zero,
                         int numa_node) {
  return mi_manage_os_memory_ex(start, size, is_committed, is_large, is_zero, numa_node, false, NULL);
}

/* NULL: there is none. */
static const mi_arena_t* arena_of(mi_arena_id_t id) {
  uint16_t number;
  /* xgone: its holder's, as any id. */
  const bool ok = mi_arena_of_id(id, &number) && number != MI_ARENA_NONE
                  && !mi_load_relaxed(&mi_arena_at(number)->xgone);
  return ok ? mi_arena_at(number) : NULL;
}

void* mi_arena_area(mi_arena_id_t arena_id, size_t* size) {
  const mi_arena_t* a = arena_of(arena_id);
  if (size != NULL) *size = a == NULL ? 0 : a->nslices * MI_SLICE_SIZE;
  return a == NULL ? NULL : a->start;
}

mi_arena_id_t mi_arena_next(mi_arena_id_t arena_id) {
  for (size_t i = arena_id < 0 ? 0 : (size_t)arena_id; i < mi_arena_count(); i++)
    if (arena_of((int)i + 1) != NULL) return (int)i + 1;
  return 0;
}

size_t mi_arena_map(mi_arena_id_t arena_id, mi_arena_run_t* runs, size_t max) {
  const mi_arena_t* a = arena_of(arena_id);
  return a == NULL ? 0 : mi_stats_arena_map(a, runs, runs == NULL ? 0 : max);
}

void mi_arenas_print(void) {
  for (size_t i = 0; i < mi_arena_count(); i++) {
    mi_arena_t* a = mi_arena_at(i);
    if (mi_load_relaxed(&a->xgone)) continue;                             /* a statistic */
    const size_t kib = MI_SLICE_SIZE / MI_KiB;
    mi_report_message("mimalloc: arena %zu at %p: %zu KiB, %zu free, %zu committed, %zu to be purged%s%s\n",
                      i + 1, (void*)a->start, a->nslices * kib, mi_bitmap_count(a->free, a->nslices) * kib,
                      mi_bitmap_count(a->dirty, a->nslices) * kib,
                      (mi_bitmap_count(a->purge, a->nslices) + mi_bitmap_count(a->due, a->nslices)) * kib,
                      a->exclusive ? ", exclusive" : "", a->pinned ? ", pinned" : "");
  }
}
