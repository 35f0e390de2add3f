/* See stats.h. Any thread. */
#include <string.h>

#include "commit.h"
#include "mapping.h"
#include "memory.h"
#include "meta.h"
#include "os.h"
#include "owner.h"
#include "stats.h"

/* ---- one page ---- */

typedef struct {
  uint64_t blocks;
  uint32_t reserved, born;
  mi_where_t where;
  size_t size, nslices;
  uintptr_t owner;
  mi_heap_t* heap;
  bool single;
} mi_reading_t;

/* False: it is dead, or (*changed) had another life meanwhile. */
static bool page_read_once(mi_page_t* page, mi_reading_t* r, bool* changed) {
  /* Pairs with mi_remote_birth, F1, P1: shows what they wrote. */
  const uint64_t w = mi_load_acquire(&page->xword);
  const mi_page_state_t state = mi_xword_state(w);
  *changed = false;
  if (state == MI_PAGE_DEAD) return false;
  /* Pairs with nobody: keeps the second look behind these. */
  r->owner = mi_load_acquire(&page->xowner) & ~(uintptr_t)1;
  r->heap = mi_load_acquire(&page->xheap);                                /* pairs with nobody: the same */
  r->size = mi_load_acquire(&page->xsize);                                /* pairs with nobody: the same */
  r->nslices = mi_load_acquire(&page->xnslices);                          /* pairs with nobody: the same */
  r->single = mi_load_acquire(&page->xbin) == MI_BIN_SINGLE;              /* pairs with nobody: the same */
  const uint32_t used = mi_load_acquire(&page->xused);                    /* pairs with nobody: the same */
  const int32_t left_out = mi_load_acquire(&page->xleft_out);             /* pairs with nobody: the same */
  r->born = mi_load_acquire(&page->xborn);                                /* pairs with nobody: the same */
  r->where = mi_page_where(page);        /* may be a little newer */
  *changed = (mi_load_relaxed(&page->xword) ^ w) >= MI_XVERSION_ONE;
  r->reserved = r->single ? 1 : r->size == 0 ? 0 : (uint32_t)(r->nslices * MI_SLICE_SIZE / r->size);
  /* They may be of two moments. */
  const uint32_t live =
      used == 0 && left_out < 0 ? 0 : (uint32_t)mi_min(used + (uint32_t)left_out, r->reserved);
  const uint32_t count = mi_xword_count(w);
  r->blocks = state != MI_PAGE_OWNED ? count : live > count ? live - count : 0;
  return !*changed;
}

static bool page_read(mi_page_t* page, mi_reading_t* r) {
  bool changed = true;
  for (unsigned tries = 0; tries < 4 && changed; tries++) if (page_read_once(page, r, &changed)) return true;
  return false;
}

/* Calls `visit` for each live page of each arena; a page's first slice was handed out, so it is dirty. */
static void pages_read(void (*visit)(const mi_reading_t* r, void* arg), void* arg) {
  mi_reading_t r;
  for (size_t n = 0; n < mi_arena_count(); n++) {
    const mi_arena_t* a = mi_arena_at(n);
    size_t i = mi_bitmap_next(a->dirty, a->nslices, 0);
    for (; i < a->nslices; i = mi_bitmap_next(a->dirty, a->nslices, i + 1))
      if (page_read(&a->pages[i], &r)) visit(&r, arg);
  }
}

/* The same for the pages of a heap that has a list of them, those with mappings of their own among them.
   Under its lock: none leaves the list meanwhile. */
static void listed_pages_read(const mi_heap_t* heap, void (*visit)(const mi_reading_t* r, void* arg),
                              void* arg) {
  mi_reading_t r;
  mi_lock(mi_heap_pages_lock(heap));
  for (mi_page_t* page = heap->pages; page != NULL; page = page->heap_next)
    if (page_read(page, &r)) visit(&r, arg);
  mi_unlock(mi_heap_pages_lock(heap));
}

/* ---- the slices of an arena ---- */

static uint64_t hole_bytes(const mi_arena_t* a, size_t slice, size_t n) {
  const size_t each = MI_SLICE_SIZE / MI_HOLE_SIZE, end = (slice + n) * each;
  size_t count = 0;
  size_t i = mi_bitmap_next(a->holes, end, slice * each);
  for (size_t len; i < end; i = mi_bitmap_next(a->holes, end, i + len))
    count += len = mi_bitmap_run(a->holes, end, i, end - i);
  return count * MI_HOLE_SIZE;
}

/* One slice, or a page: what begins there may have ended since, so that it is cut at the arena's end. */
static mi_arena_run_t run_at(const mi_arena_t* a, size_t i) {
  mi_arena_run_t run = { .first = i, .nslices = 1, .use = MI_ARENA_KEPT };
  mi_reading_t r;
  const bool free = mi_bitmap_run(a->free, a->nslices, i, 1) != 0;
  if (free) run.use = mi_bitmap_run(a->dirty, a->nslices, i, 1) != 0 ? MI_ARENA_WAITS : MI_ARENA_FREE;
  if (free || !page_read(&a->pages[i], &r)) return run;
  run.use = MI_ARENA_PAGE;
  run.nslices = mi_max(mi_min(r.nslices, a->nslices - i), 1);
  run.owner = r.owner == MI_ID_GONE ? 0 : r.owner;
  run.heap = r.heap == NULL ? 0 : mi_load_relaxed(&r.heap->xid);          /* as in add_page */
  run.block_size = r.size;
  run.live_blocks = r.blocks;
  run.hole_bytes = hole_bytes(a, i, run.nslices);
  return run;
}

size_t mi_stats_arena_map(const mi_arena_t* a, mi_arena_run_t* runs, size_t max) {
  size_t n = 0;
  mi_arena_run_t last = { .use = MI_ARENA_PAGE };
  for (size_t i = 0; i < a->nslices; ) {
    const mi_arena_run_t run = run_at(a, i);
    i += run.nslices;
    if (run.use != MI_ARENA_PAGE && run.use == last.use) { last.nslices += run.nslices; n--; }
    else last = run;
    if (n < max) runs[n] = last;
    n++;
  }
  return n;
}

/* ---- the use of one owner, or of all ---- */

typedef struct { uintptr_t id; mi_use_t use; } mi_use_of_t;

static void add_use(const mi_reading_t* r, void* arg) {
  mi_use_of_t* of = arg;
  if (of->id != 0 && r->owner != of->id) return;
  of->use.blocks += r->blocks;
  of->use.bytes += r->blocks * r->size;
}

mi_use_t mi_stats_use(uintptr_t id) {
  mi_use_of_t of = { id, { 0, 0 } };
  pages_read(&add_use, &of);
  if (id == 0) {
    of.use.blocks += mi_load_relaxed(&mi_commit_totals.xmappings);         /* statistics */
    of.use.bytes += mi_load_relaxed(&mi_commit_totals.xmapped);
  }
  return of.use;
}

/* ---- everything ---- */

/* How full a page is, in quarters, rounded up. One without room stands for mappings. */
static unsigned quarter_of(const mi_reading_t* r) {
  return r->reserved == 0 ? 4 : (unsigned)mi_min((r->blocks * 4 + r->reserved - 1) / r->reserved, 4);
}

/* Adds a page to the part with that key. */
static mi_part_t* part_add(mi_parts_t* parts, uint64_t key, const mi_reading_t* r) {
  mi_assert(parts->n <= parts->max / 2 && parts->max > 0);
  /* A hash table: max is twice what there can be. */
  size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 32) % parts->max;
  for (parts->looks++; parts->parts[i].pages != 0 && parts->parts[i].key != key; parts->looks++)
    i = (i + 1) % parts->max;
  mi_part_t* part = &parts->parts[i];
  if (part->pages == 0) {
    if (parts->n >= parts->max / 2) return part;  /* owners or heaps came up meanwhile: left out */
    parts->n++;
    part->key = key;
  }
  part->pages++;
  part->blocks += r->blocks;
  part->bytes += r->blocks * r->size;
  part->page_bytes += r->nslices * MI_SLICE_SIZE;
  part->filled[quarter_of(r)]++;
  return part;
}

static void add_page(const mi_reading_t* r, void* arg) {
  mi_snapshot_t* s = arg;
  s->pages_read++;
  if (s->of != NULL && r->heap != s->of) return;
  part_add(&s->classes, r->single ? 0 : r->size, r);
  part_add(&s->owners, r->owner == MI_ID_GONE ? 0 : r->owner, r);
  /* Heaps' structures are never unmapped. */
  part_add(&s->heaps, r->heap == NULL ? 0 : mi_load_relaxed(&r->heap->xid), r)->heap = r->heap;
  s->where[mi_min(r->where, MI_WHERE_LOST)]++;
  s->totals.pages++;
  s->totals.used_blocks += r->blocks;
  s->totals.used_bytes += r->blocks * r->size;
}

/* Blocks with mappings of their own are in no arena: of the class of large blocks, and nobody's. */
static void add_mappings(mi_snapshot_t* s, uint64_t n, uint64_t bytes) {
  const mi_reading_t empty = { .blocks = 0 };
  mi_parts_t* const all[] = { &s->classes, &s->owners };
  for (size_t i = 0; i < 2 && n > 0; i++) {
    mi_part_t* part = part_add(all[i], 0, &empty);
    part->pages += n - 1;                                                 /* part_add counted one */
    part->filled[4] += (uint32_t)(n - 1);
    part->blocks += n;
    part->bytes += bytes;
    part->page_bytes += bytes;
  }
  s->totals.pages += n;
  s->totals.used_blocks += n;
  s->totals.used_bytes += bytes;
}

/* Moves n parts from one place to another, in order of byte `byte` of their keys; what is equal stays in
   order. */
static void sort_by_byte(const mi_part_t* from, mi_part_t* to, size_t n, unsigned byte) {
  mi_assert(byte < sizeof from->key);
  size_t end[257] = { 0 };
  for (size_t i = 0; i < n; i++) end[(from[i].key >> byte * 8 & 255) + 1]++;
  for (unsigned k = 1; k < 257; k++) end[k] += end[k - 1];
  for (size_t i = 0; i < n; i++) to[end[from[i].key >> byte * 8 & 255]++] = from[i];
}

/* The parts that are there, in order of key, at the front: byte by byte, those in which all are equal left
   out. The half that is not used is the room for it. */
static void parts_sort(mi_parts_t* parts) {
  mi_part_t *from = parts->parts, *to = parts->parts + parts->max / 2;
  uint64_t differ = 0;
  size_t n = 0;
  for (size_t i = 0; i < parts->max; i++) {
    if (parts->parts[i].pages == 0) continue;
    from[n++] = parts->parts[i];
    differ |= from[n - 1].key ^ from[0].key;
  }
  parts->n = n;
  parts->looks += parts->max;
  mi_assert(n <= parts->max / 2);
  for (unsigned byte = 0; byte < 8; byte++) {
    if ((differ >> byte * 8 & 255) == 0) continue;
    sort_by_byte(from, to, n, byte);
    parts->looks += n;
    mi_part_t* const other = from;
    from = to;
    to = other;
  }
  parts->parts = from;
}

static void add_counts(mi_totals_t* t, const mi_lheap_counts_t* c) {
  t->fresh_pages += mi_load_relaxed(&c->fresh_pages);                     /* statistics */
  t->adopted_pages += mi_load_relaxed(&c->adopted_pages);
  t->full_pages += mi_load_relaxed(&c->full_pages);
  t->retired_pages += mi_load_relaxed(&c->retired_pages);
  t->remote_freed_blocks += mi_load_relaxed(&c->remote_freed);
}

uint64_t mi_stats_committed(void) { return mi_memory_committed() + mi_meta_committed(); }
/* The two need not have been at the same time. */
uint64_t mi_stats_peak_committed(void) {
  return mi_load_relaxed(&mi_commit_totals.xpeak_committed) + mi_meta_peak_committed();  /* a statistic */
}

/* Counters of the owners' main local heaps, which outlive their owners, and the gauges of the arenas. */
static void totals_take(mi_totals_t* t) {
  for (uint32_t slot = 0; slot < mi_owner_slots(); slot++) {
    const mi_owner_t* owner = mi_owner_at(slot);
    const int kind = mi_load_acquire(&owner->xkind);                      /* pairs with mi_owner_begin_in */
    t->threads += kind == MI_OWNER_THREAD;
    t->capabilities += kind == MI_OWNER_CAPABILITY;
    add_counts(t, &owner->main.xcounts);
  }
  t->structure_bytes = mi_meta_committed();
  t->reserved_bytes = mi_load_relaxed(&mi_commit_totals.xreserved) + mi_meta_reserved();  /* statistics */
  t->committed_bytes = mi_stats_committed();
  t->peak_committed_bytes = mi_stats_peak_committed();
  t->purged_bytes = mi_load_relaxed(&mi_commit_totals.xpurged);
  t->mappings = mi_load_relaxed(&mi_commit_totals.xmappings);
  t->arenas = mi_arena_count();
  for (size_t n = 0; n < mi_arena_count(); n++)
    t->hole_bytes += MI_HOLE_SIZE * mi_bitmap_count(mi_arena_at(n)->holes, mi_arena_nholes(mi_arena_at(n)));
  t->commit_limit_bytes = mi_commit_limit() == SIZE_MAX ? 0 : mi_commit_limit();
  t->refused_requests = mi_load_relaxed(&mi_commit_totals.xrefused);      /* a statistic */
}

static struct { mi_atomic(uint64_t) purged, fresh, adopted, full, retired, remote, refused; } base;

/* The base may be newer than the counter, which was read before. */
static uint64_t since(uint64_t count, mi_atomic(uint64_t)* from) {
  return count - mi_min(count, mi_load_relaxed(from));                    /* statistics */
}

static void totals_subtract_base(mi_totals_t* t) {
  t->purged_bytes = since(t->purged_bytes, &base.purged);
  t->fresh_pages = since(t->fresh_pages, &base.fresh);
  t->adopted_pages = since(t->adopted_pages, &base.adopted);
  t->full_pages = since(t->full_pages, &base.full);
  t->retired_pages = since(t->retired_pages, &base.retired);
  t->remote_freed_blocks = since(t->remote_freed_blocks, &base.remote);
  t->refused_requests = since(t->refused_requests, &base.refused);
}

void mi_stats_restart(void) {
  mi_totals_t t = { 0 };
  totals_take(&t);
  mi_store_relaxed(&base.purged, t.purged_bytes);                         /* statistics */
  mi_store_relaxed(&base.fresh, t.fresh_pages);
  mi_store_relaxed(&base.adopted, t.adopted_pages);
  mi_store_relaxed(&base.full, t.full_pages);
  mi_store_relaxed(&base.retired, t.retired_pages);
  mi_store_relaxed(&base.remote, t.remote_freed_blocks);
  mi_store_relaxed(&base.refused, t.refused_requests);
  mi_store_relaxed(&mi_commit_totals.xpeak_committed, mi_load_relaxed(&mi_commit_totals.xcommitted));
  mi_meta_restart_peak();
}

/* Room for what there can be, and for as much again; of = NULL: of all heaps. */
static bool snapshot_begin(mi_snapshot_t* s, const mi_heap_t* of) {
  *s = (mi_snapshot_t){ .of = of };
  s->classes.max = 2 * MI_BIN_COUNT;
  s->owners.max = 2 * ((size_t)mi_owner_slots() + 16);
  s->heaps.max = 2 * (of != NULL ? 1 : mi_heap_count() + 16);
  const size_t parts = s->classes.max + s->owners.max + s->heaps.max;
  const size_t names = s->heaps.max / 2 * sizeof *s->names;
  s->memory_bytes = mi_align_up(parts * sizeof(mi_part_t) + names, mi_os_page_size());
  s->memory = mi_os_reserve(s->memory_bytes, mi_os_page_size());
  if (s->memory == NULL) return false;
  if (!mi_os_commit(s->memory, s->memory_bytes)) { mi_snapshot_drop(s); return false; }
  s->classes.parts = s->memory;
  s->owners.parts = s->classes.parts + s->classes.max;
  s->heaps.parts = s->owners.parts + s->owners.max;
  s->names = (mi_name_t*)(s->heaps.parts + s->heaps.max);
  return true;
}

/* Looks some times while somebody changes it: who does has a few words to write. Then it has none. */
static void name_take(mi_name_t* name, const mi_part_t* part) {
  uint64_t words[1 + MI_NAME_WORDS];
  bool read = false;
  for (int i = 0; i < 100 && !read && part->heap != NULL; i++)
    read = mi_heap_name_get(&part->heap->name, words);
  if (read && words[0] == part->key) memcpy(name, &words[1], sizeof *name);
}

static void snapshot_end(mi_snapshot_t* s) {
  parts_sort(&s->classes);
  parts_sort(&s->owners);
  parts_sort(&s->heaps);
  for (size_t i = 0; i < s->heaps.n; i++) name_take(&s->names[i], &s->heaps.parts[i]);
}

bool mi_snapshot_take(mi_snapshot_t* s) {
  if (!snapshot_begin(s, NULL)) return false;
  totals_take(&s->totals);
  totals_subtract_base(&s->totals);
  pages_read(&add_page, s);
  add_mappings(s, s->totals.mappings, mi_load_relaxed(&mi_commit_totals.xmapped));  /* a statistic */
  snapshot_end(s);
  return true;
}

bool mi_snapshot_take_heap(mi_snapshot_t* s, const mi_heap_t* heap) {
  if (!snapshot_begin(s, heap)) return false;
  if (mi_heap_is_listed(heap)) listed_pages_read(heap, &add_page, s);
  else pages_read(&add_page, s);
  snapshot_end(s);
  for (size_t i = 0; i < s->classes.n; i++) s->totals.committed_bytes += s->classes.parts[i].page_bytes;
  s->totals.reserved_bytes = s->totals.peak_committed_bytes = s->totals.committed_bytes;
  return true;
}

void mi_snapshot_drop(mi_snapshot_t* s) { mi_os_release(s->memory, s->memory_bytes); }

/* ---- what is in a heap, by size and by age ---- */

typedef struct { const mi_heap_t* of; uint32_t now; mi_heap_content_t* rows; } mi_contents_t;

/* The first of the ages that is not exceeded. A page that was born after we began is young. */
static unsigned age_of(uint32_t now, uint32_t born) {
  static const uint32_t seconds[MI_CONTENT_AGES - 1] = { 1, 10, 60, 600, 3600, 86400 };
  const uint32_t steps = now - born;
  const uint64_t ms = steps > INT32_MAX ? 0 : (uint64_t)steps * MI_BORN_MS;
  unsigned i = 0;
  while (i < MI_CONTENT_AGES - 1 && ms > (uint64_t)seconds[i] * 1000) i++;
  return i;
}

/* The classes of sizes, and for larger blocks one for each doubling. */
static void add_content(const mi_reading_t* r, void* arg) {
  const mi_contents_t* c = arg;
  if (r->heap != c->of || r->size == 0) return;
  const bool large = r->size > MI_MEDIUM_MAX;
  const unsigned doubling = large ? mi_log2(r->size - 1) + 1 : 0, bin = large ? 0 : mi_bin_of(r->size);
  mi_heap_content_t* row = &c->rows[large ? MI_BIN_COUNT + doubling : bin];
  row->block_size = large ? (uint64_t)1 << doubling : mi_bin_size(bin);
  row->pages++;
  row->live_blocks += r->blocks;
  row->live_bytes += r->blocks * r->size;
  row->page_bytes += r->nslices * MI_SLICE_SIZE;
  row->bytes_by_age[age_of(c->now, r->born)] += r->blocks * r->size;
}

static bool add_mapped(mi_page_t* page, void* arg) {
  mi_reading_t r;
  if (page_read(page, &r)) add_content(&r, arg);
  return true;
}

/* The rows that are there, at the front: how many. */
size_t mi_stats_contents(const mi_heap_t* heap, mi_heap_content_t rows[MI_CONTENT_ROWS]) {
  mi_contents_t c = { heap, (uint32_t)(mi_os_now_ms() / MI_BORN_MS), rows };
  memset(rows, 0, MI_CONTENT_ROWS * sizeof *rows);
  if (mi_heap_is_listed(heap)) listed_pages_read(heap, &add_content, &c);
  else {
    pages_read(&add_content, &c);
    mi_mapping_each(&add_mapped, &c);
  }
  size_t n = 0;
  for (size_t i = 0; i < MI_CONTENT_ROWS; i++) if (rows[i].pages > 0) rows[n++] = rows[i];
  return n;
}
