/* The GHC ring: who am I, for a capability. The functions are described in mimalloc-cap.h;
   docs/protocols.md, section 10.
   The capability is found in the call that uses it: a number read earlier may be another one's by now. */
#include "Rts.h"

#include <errno.h>
#include <string.h>

#include "core/commit.h"
#include "core/family.h"
#include "core/clock.h"
#include "core/mapping.h"
#include "core/memory.h"
#include "core/report.h"
#include "core/os.h"
#include "core/owner.h"
#include "core/pressure.h"
#include "core/purger.h"
#include "core/stats.h"
#include "ghc/drain.h"
#include "ghc/fast.h"
#include "ghc/labels.h"
#include "include/mimalloc-cap.h"
#include "thread.h"

#ifndef MI_USE_GHC_CAPABILITIES
#error "the GHC ring is built with MI_USE_GHC_CAPABILITIES"
#endif

/* The local heap that each capability allocates from, by number: its main one, or that of the heap it
   made its default. NULL until it allocates. Written by its capability, and set back to the main one
   when that heap ends. */
static mi_atomic(mi_lheap_t*) xlheaps[MI_CAPS_MAX];
static mi_atomic(uint32_t) xncaps;          /* no capability from this number on has allocated */

_Static_assert(MI_ID_STEP == 1u << 4, "fast.cmm shifts a capability's number by 4 for its id");

/* What fast.cmm goes by. The checking build has no capability and no id for it (ids have bits 4 and up, and
   bit 0 when a page was given up full), so that it leaves everything to C. */
const mi_fast_t mi_fast = {
  .lheaps = xlheaps, .caps = MI_CHECK ? 0 : MI_CAPS_MAX, .first_id = MI_CHECK ? 2 : MI_ID_STEP,
  .octave = { 0, 3, 4, 4, [4 ... 7] = 5, [8 ... 15] = 6, [16 ... 31] = 7, [32 ... 63] = 8 },
};

_Static_assert(offsetof(mi_page_t, free) == MI_FAST_PAGE_FREE
                   && offsetof(mi_page_t, local_free) == MI_FAST_PAGE_LOCAL_FREE
                   && offsetof(mi_page_t, xused) == MI_FAST_PAGE_USED
                   && offsetof(mi_page_t, key) == MI_FAST_PAGE_KEY
                   && offsetof(mi_page_t, xowner) == MI_FAST_PAGE_OWNER
                   && offsetof(mi_page_t, xtop) == MI_FAST_PAGE_TOP
                   && offsetof(mi_page_t, recip) == MI_FAST_PAGE_RECIP && sizeof(((mi_page_t*)0)->xused) == 4,
               "fast.cmm reads a page at the offsets of fast.h");
_Static_assert(offsetof(mi_block_t, xmark) == 0 && offsetof(mi_block_t, next) == MI_FAST_BLOCK_NEXT,
               "fast.cmm reads a free block at the offsets of fast.h");
_Static_assert(offsetof(mi_lheap_t, direct) == 0 && offsetof(mi_lheap_t, queue) == MI_FAST_LHEAP_QUEUE
                   && offsetof(mi_queue_t, first) == 0 && sizeof(mi_queue_t) == 16
                   && offsetof(mi_lheap_t, tick) == MI_FAST_LHEAP_TICK
                   && MI_SWEEP_EVERY == MI_FAST_SWEEP_EVERY,
               "fast.cmm reads a local heap at the offsets of fast.h");
_Static_assert(MI_DIRECT_MAX == MI_FAST_DIRECT_MAX && MI_MEDIUM_MAX == MI_FAST_MEDIUM_MAX
                   && MI_DIRECT_MAX == 64 * MI_GRANULE && MI_GRANULE_SHIFT == MI_FAST_GRANULE_SHIFT,
               "fast.cmm finds the page for a size by the numbers of fast.h");
_Static_assert(offsetof(mi_pagemap_t, root) == MI_FAST_PAGEMAP_ROOT && MI_SLICE_SHIFT == 16
                   && sizeof(mi_atomic(uintptr_t)) == 8,
               "fast.cmm reads the page map at the offsets of fast.h");
_Static_assert(MI_CAPS_MAX == MI_FAST_KEY_CAPS,
               "the key of a heap has a word for each capability that has heaps of its own");
_Static_assert(MI_FAST_KEY_LHEAPS + 8 * MI_FAST_KEY_CAPS == MI_FAST_KEY_ENDS,
               "behind them the key has the ends of what was packed");
_Static_assert(MI_FAST_KEY_ENDS + 8 * MI_FAST_KEY_PACKERS == MI_FAST_KEY_USED
                   && MI_FAST_KEY_USED + 2 * sizeof(uint64_t) <= MI_FAST_KEY_SIZE,
               "Haskell makes the key, and clears what is used (Internal/Heap.hs, Internal/Numbers.hs)");
_Static_assert(offsetof(mi_fast_t, lheaps) == MI_FAST_LHEAPS && offsetof(mi_fast_t, caps) == MI_FAST_CAPS
                   && offsetof(mi_fast_t, first_id) == MI_FAST_FIRST_ID
                   && offsetof(mi_fast_t, octave) == MI_FAST_OCTAVES,
               "fast.cmm reads mi_fast at the offsets of fast.h");

/* Capability-held. The number stands right behind the public part (capno.c). */
mi_inline uint32_t cap_number(void) {
  const Capability* cap = rts_unsafeGetMyCapability();
  return *(const uint32_t*)(const void*)((const char*)cap + sizeof(CapabilityPublic));
}

/* Words of GHC's that others write meanwhile: hints. */
#define GHC_LOAD(lvalue) __atomic_load_n(&(lvalue), __ATOMIC_RELAXED)

/* Capability-held. GHC's linker for object files does not know the generations' names. The youngest is found
   by a block of the nursery, the others by `to`, since they are larger in the threaded runtime system than
   this file knows: it has fields of its own behind `collections`. */
static const generation* youngest_generation(void) {
  const CapabilityPublic* cap = (const void*)rts_unsafeGetMyCapability();
  return cap->r.rNursery->blocks->gen;
}

static mi_atomic(const generation*) xoldest;    /* for whoever holds no capability; there as long
                                                   as the process is */
static void note_oldest(void) {
  const generation* g = youngest_generation();
  while (g->to != g) g = g->to;
  mi_store_relaxed(&xoldest, g);  /* publishes nothing: what it points to is GHC's, and older */
}

/* ---- the end of the runtime system ---- */

/* When a program ends GHC runs all C finalizers, while threads in safe calls go on, which may read what these
   free. A finalizer is not told; but then no Haskell thread runs any more, and no collection comes. So from a
   free while no Haskell thread runs on this capability memory is not given back (clock.h), until there has
   been a collection, or a Haskell thread calls us; or until the last such free is so long ago, for a program
   that sleeps, or that goes on after hs_exit. */
enum { PAUSE_MS = 500, PAUSE_AFTER_EXIT_MS = 10000 };
static mi_atomic(const generation*) xyoungest;
/* The first such free behind a collection, or behind such a call: the collections before it and 1 more (0: no
   pause); and the time of the last one that may have given memory back. */
static mi_atomic(uint64_t) xpaused_at, xpaused_ms;

/* They lie in an array, the youngest first: how many, and how far apart, in bytes. So whoever holds no
   capability follows no pointer of GHC's, whose memory may be free by then. */
static mi_atomic(uint32_t) xngenerations;
static mi_atomic(size_t) xapart;

/* Capability-held. */
static void note_generations(const generation* youngest) {
  /* Shown by the last of what pause_begin writes. */
  mi_store_relaxed(&xngenerations, RtsFlags.GcFlags.generations);
  mi_store_relaxed(&xapart, (size_t)((const char*)youngest->to - (const char*)youngest));
  mi_store_relaxed(&xyoungest, youngest);
}

/* GHC counts a collection in the oldest generation that it collects: all that there were. Any thread, after
   note_generations. */
static uint64_t collections(void) {
  /* As above; always the same, while the runtime system lives. */
  const char* g = (const char*)mi_load_relaxed(&xyoungest);
  const size_t apart = mi_load_relaxed(&xapart);
  uint64_t sum = 0;
  for (uint32_t i = 0, n = mi_load_relaxed(&xngenerations); i < n; i++, g += apart)
    sum += GHC_LOAD(((const generation*)(const void*)g)->collections);
  return sum;
}

/* Any thread. */
static bool is_paused(void) {
  const uint64_t at = mi_load_acquire(&xpaused_at);                       /* pairs with pause_begin */
  /* written before that; a later one will do */
  const uint64_t ms = mi_load_relaxed(&xpaused_ms), now = mi_os_now_ms();
  const bool ended = !mi_rts_lives();
  if (at == 0 || (now > ms && now - ms >= (ended ? PAUSE_AFTER_EXIT_MS : PAUSE_MS))) return false;
  /* As above. Asked once more: the runtime system may have ended meanwhile, and its generations with it. */
  const bool same = ended || collections() + 1 == at;
  return same || !mi_rts_lives();
}

/* Capability-held, in a Haskell thread's call: hs_exit, which has all capabilities when it runs finalizers,
   has not come so far. */
mi_inline void pause_end(void) {
  /* relaxed: publishes nothing, and comes before hs_exit through the capability */
  if (mi_unlikely(mi_load_relaxed(&xpaused_at) != 0)) mi_store_relaxed(&xpaused_at, 0);
}

static mi_noinline void pause_begin(void) {
  note_generations(youngest_generation());
  const uint64_t at = collections() + 1, was = mi_load_relaxed(&xpaused_at);
  if (was == at) return;                                                  /* a hint: another may do it, too */
  /* One that was on goes on: its time counts from the last late free (late_begin). */
  if (was == 0) mi_store_relaxed(&xpaused_ms, mi_os_now_ms());
  mi_clock_set_pause(&is_paused);
  mi_store_release(&xpaused_at, at);                                      /* pairs with is_paused */
}

/* Capability-held, at the begin of what may be a finalizer: is it one, and no Haskell thread runs? */
mi_inline bool is_late(void) {
  const CapabilityPublic* cap = (const void*)rts_unsafeGetMyCapability();
  const bool late = cap->r.rCurrentTSO == NULL;
  if (mi_unlikely(late)) pause_begin(); else pause_end();
  return late;
}

/* What this thread frees from here on is late. */
static void late_begin(void) {
  /* publishes nothing: a pause ends a little later, or a little sooner */
  mi_store_relaxed(&xpaused_ms, mi_os_now_ms());
  mi_local()->frees_late = true;
}

/* The same, if this call is a late one. */
static void late_enter(void) { if (is_late()) late_begin(); }
static void late_leave(void) { mi_local()->frees_late = false; }

/* ---- owners ---- */

/* The first use of a capability: its owner. NULL and errno if there is no memory. */
mi_cold static mi_lheap_t* cap_begin(uint32_t number) {
  mi_owner_t* owner = mi_owner_begin(MI_OWNER_CAPABILITY, mi_id_of_capability(number));
  if (owner == NULL) return mi_report_fail(MI_ERROR_NO_MEMORY, sizeof(mi_owner_t));
  /* pairs with itself; default_end says why no more */
  for (uint32_t n = mi_load_relaxed(&xncaps); n <= number && !mi_cas_acq_rel(&xncaps, &n, number + 1); ) {}
  mi_store_release(&xlheaps[number], &owner->main);                       /* pairs with mi_cap_stats */
  mi_process_begin();
  note_oldest();
  mi_labels_begin();
  mi_drainer_start(number);
  return &owner->main;
}

/* The local heap of capability `number`, which is below MI_CAPS_MAX. */
mi_inline mi_lheap_t* lheap_of(uint32_t number) {
  /* written by this capability: holding it orders the two */
  mi_lheap_t* lh = mi_load_relaxed(&xlheaps[number]);
  return mi_likely(lh != NULL) ? lh : cap_begin(number);
}

mi_inline void* leave(mi_lheap_t* lh, void* p) {
  mi_owner_leave(lh->owner);
  return p;
}

/* `expression` in terms of lh, the capability's local heap; `other` past the table. */
#define WITH_CAP(expression, other) \
  const uint32_t number = cap_number(); \
  if (mi_unlikely(number >= MI_CAPS_MAX)) return other; \
  mi_lheap_t* lh = lheap_of(number); \
  if (mi_unlikely(lh == NULL)) return NULL; \
  pause_end(); \
  mi_owner_enter(lh->owner); \
  return leave(lh, expression)

/* ---- blocks ---- */

void* mi_cap_malloc(size_t size) { WITH_CAP(mi_alloc_malloc(lh, size), mi_malloc(size)); }
void* mi_cap_zalloc(size_t size) { WITH_CAP(mi_alloc_zalloc(lh, size), mi_zalloc(size)); }
char* mi_cap_strdup(const char* s) { WITH_CAP(mi_alloc_strdup(lh, s), mi_strdup(s)); }
char* mi_cap_strndup(const char* s, size_t n) { WITH_CAP(mi_alloc_strndup(lh, s, n), mi_strndup(s, n)); }

/* Past the table, and before the capability's first allocation: a remote free, for which no heap is made.
   What carries the capability's id needs no look at the table: it owns a page, so it is in it. */
static void free_slow_on(uint32_t number, void* p) {
  /* as in lheap_of */
  mi_lheap_t* lh = mi_likely(number < MI_CAPS_MAX) ? mi_load_relaxed(&xlheaps[number]) : NULL;
  if (mi_unlikely(lh == NULL)) { mi_free(p); return; }
  mi_owner_enter(lh->owner);
  mi_free_as(p, lh->owner, mi_id_of_capability(number));
  mi_owner_leave(lh->owner);
}

/* Frees a block of a page in which others live, as far as `used` says: that gives no memory back, late or
   not. */
static bool free_within_page(uint32_t number, void* p) {
  /* A hint: of another's page it says nothing, nor is that freed into here. */
  return mi_load_relaxed(&mi_page_of(p)->xused) > 1 && mi_free_local(p, mi_id_of_capability(number));
}

static mi_noinline void free_late_on(uint32_t number, void* p) {
  if (!MI_CHECK && mi_likely(free_within_page(number, p))) return;
  late_begin();
  free_slow_on(number, p);
  late_leave();
}

mi_inline void free_on(uint32_t number, void* p) {
  if (mi_unlikely(is_late())) free_late_on(number, p);
  else if (MI_CHECK || mi_unlikely(!mi_free_local(p, mi_id_of_capability(number)))) free_slow_on(number, p);
}
void mi_cap_free(void* p) { free_on(cap_number(), p); }

void mi_cap_free_of_heap(void* heap_id, void* p) {
  const uint32_t number = cap_number();
  /* as in lheap_of */
  mi_lheap_t* lh = number < MI_CAPS_MAX ? mi_load_relaxed(&xlheaps[number]) : NULL;
  late_enter();
  if (lh != NULL) mi_owner_enter(lh->owner);
  mi_free_of_heap(p, (uintptr_t)heap_id, lh == NULL ? NULL : lh->owner);
  if (lh != NULL) mi_owner_leave(lh->owner);
  late_leave();
}

/* By the page: the same for a block and a pointer into it, and all the time that the block lives. A block
   that is alone takes up whole slices: earlier blocks have written to their rest, or later ones will. */
static size_t held_bytes(const void* p) {
  mi_page_t* page = mi_page_of(p);
  return mi_page_is_single(page) ? mi_page_nslices(page) * MI_SLICE_SIZE : mi_page_size(page);
}

int mi_cap_pressure_due;
/* a hint: mi_pressure_begin decides */
static void set_due(int due) { mi_store_relaxed((mi_atomic(int)*)&mi_cap_pressure_due, due); }

/* What GHC says of its own heap. Capability-held: no collection is under way. Objects in the youngest
   generation have not outlived a collection yet, or one. */
static mi_collector_t collector(void) {
  const generation *youngest = youngest_generation(), *g = youngest;
  W_ nblocks = 0;
  note_generations(youngest);
  do {
    g = g->to;
    nblocks += GHC_LOAD(g->n_blocks) + GHC_LOAD(g->n_large_blocks) + GHC_LOAD(g->n_compact_blocks);
  } while (g->to != g);
  return (mi_collector_t){ .live = (uint64_t)nblocks * BLOCK_SIZE,
                           .collections = (uint32_t)collections(),
                           .majors = GHC_LOAD(g->collections),
                           .ncaps = GHC_LOAD(n_capabilities),
                           .now = getMonotonicNSec() };
}

mi_cold static void look(void) {
  /* in a forked process nobody drains; a hint */
  if (mi_load_relaxed(&xncaps) > 1) mi_drainer_start(cap_number());
  const mi_collector_t c = collector();
  if (mi_pressure_look(&c) != MI_PRESSURE_NONE) set_due(1);
}

void mi_cap_hold(const void* p) {
  pause_end();
  if (mi_unlikely(mi_pressure_hold(cap_number(), held_bytes(p)))) look();
}

size_t mi_cap_held(const void* p) { return p == NULL ? 0 : held_bytes(p); }

void mi_cap_reheld(size_t before, const void* p) {
  mi_pressure_drop(cap_number(), before);
  if (p != NULL) mi_cap_hold(p);
}

void mi_cap_free_held(void* p) {
  const uint32_t number = cap_number();
  mi_pressure_drop(number, held_bytes(p));
  free_on(number, p);
}

void mi_cap_free_box(void* box) {
  if (box == NULL) return;
  void* p = *(void**)(void*)((char*)box + MI_FAST_BOX_BLOCK);
  if (p != NULL) mi_cap_free_held(p);
  mi_cap_free_held(box);
}

uint64_t mi_cap_heap_id(const mi_heap_t* heap) { return mi_load_relaxed(&heap->xid); }  /* constant */
void mi_cap_heap_weigh(mi_heap_t* heap) { heap->weighs = true; }
void mi_cap_pressure_look(void) {
  if (mi_unlikely(mi_pressure_shared_enough())) look();
}

/* ---- files ---- */

/* So that collections come before there are 16384 mappings of files that are dead, of the 65530 mappings that
   a process has on Linux: a major one is due, at the latest, when as much was made as lives in GHC's heap and
   half of what lives here (pressure.c). But no less than MI_SLICE_SIZE, with which 1000 come to 64 MiB. The
   bytes themselves are the system's cache, which it takes back; it does not take back the tables for them, 8
   bytes for each OS page. */
enum { FILES = 16384, TABLES = 512 };

static size_t file_weight(size_t size, uint64_t live) {
  return mi_max(MI_SLICE_SIZE, (live + mi_pressure_held()) / FILES) + size / TABLES;
}

mi_file_t* mi_cap_map_file(int fd, size_t size) { return mi_mapping_file(fd, size); }

void* mi_cap_hold_file(mi_file_t* file) {
  pause_end();
  note_oldest();
  file->weight = file_weight(file->size, collector().live);
  if (mi_unlikely(mi_pressure_hold(cap_number(), file->weight))) look();
  return file->start;
}

void mi_cap_unmap_held(mi_file_t* file) {
  mi_pressure_drop(cap_number(), file->weight);
  late_enter();
  mi_mapping_file_give(file);
  late_leave();
  mi_purger_ended();
}

/* ---- resizing and aligned ---- */

void* mi_cap_aligned(size_t size, size_t align, size_t offset, bool zero) {
  WITH_CAP(mi_aligned_block(lh, size, align, offset, zero), mi_thread_aligned(size, align, offset, zero));
}

void* mi_cap_resize(void* p, size_t size, size_t align, size_t offset, bool zero) {
  WITH_CAP(mi_realloc_block(lh, p, size, align, offset, zero),
           mi_thread_resize(p, size, align, offset, zero));
}

void* mi_cap_realloc(void* p, size_t size) { return mi_cap_resize(p, size, 0, 0, false); }

/* All others that resize and align. */
MI_FAMILY(mi_cap_, , , mi_cap_aligned, mi_cap_resize, mi_cap_free)
MI_FAMILY_OWN(mi_cap_, mi_cap_aligned)

/* ---- heaps ---- */

/* The local heap of `heap` for the owner of `mine`; NULL and a report. */
static mi_lheap_t* lheap_in(mi_heap_t* heap, const mi_lheap_t* mine) {
  if (mi_unlikely(heap == NULL)) return mi_report_fail(MI_ERROR_ARGUMENT, 0);
  mi_lheap_t* lh = mi_heap_lheap(heap, mine->owner);
  return lh != NULL ? lh : mi_report_fail(MI_ERROR_NO_MEMORY, sizeof(mi_lheap_t));
}
/* `expression` in terms of lh, the capability's local heap of `heap`; `other` past the table. */
#define WITH_CAP_HEAP(expression, other) \
  const uint32_t number = cap_number(); \
  if (mi_unlikely(number >= MI_CAPS_MAX)) return other; \
  mi_lheap_t* mine = lheap_of(number); \
  if (mi_unlikely(mine == NULL)) return NULL; \
  pause_end(); \
  mi_owner_enter(mine->owner); \
  mi_lheap_t* lh = lheap_in(heap, mine); \
  return leave(mine, lh == NULL ? NULL : expression)

void* mi_cap_heap_malloc(mi_heap_t* heap, size_t size) {
  WITH_CAP_HEAP(mi_alloc_malloc(lh, size), mi_heap_malloc(heap, size));
}

void* mi_cap_heap_malloc_cached(mi_heap_t* heap, size_t size, mi_lheap_t** lheaps) {
  WITH_CAP_HEAP(mi_alloc_malloc(lheaps[number] = lh, size), mi_heap_malloc(heap, size));
}

void* mi_cap_block(mi_heap_t* heap, size_t size, size_t align, bool zero) {
  const bool aligned = align > MI_GRANULE;
  if (heap == NULL) {
    if (aligned) return mi_cap_aligned(size, align, 0, zero);
    return zero ? mi_cap_zalloc(size) : mi_cap_malloc(size);
  }
  if (aligned) return mi_cap_heap_aligned(heap, size, align, 0, zero);
  return zero ? mi_cap_heap_zalloc(heap, size) : mi_cap_heap_malloc(heap, size);
}

/* A piece is a block, aligned to its size, so where something ends says where the piece does. 0, where
   nothing was, is in no piece. */
enum { PIECE = 8192, PACKED_MAX = PIECE / 8 };
_Static_assert(PIECE == MI_SMALL_MAX && MI_SLICE_SIZE % PIECE == 0,
               "a piece fills a block of a class, and these are aligned to their size");

void* mi_cap_heap_pack(mi_heap_t* heap, size_t size, uint8_t* key) {
  const uint32_t number = cap_number();
  /* nothing, too */
  if (number >= MI_FAST_KEY_PACKERS || size - 1 >= PACKED_MAX) return mi_cap_heap_malloc(heap, size);
  mi_lheap_t* mine = lheap_of(number);
  if (mi_unlikely(mine == NULL)) return NULL;
  /* of this capability: holding it orders them */
  uintptr_t* end = &((uintptr_t*)(void*)(key + MI_FAST_KEY_ENDS))[number];
  mi_owner_enter(mine->owner);
  const uintptr_t p = *end;
  const bool fits = ((p + size - 1) ^ (p - 1)) < PIECE;
  if (fits) *end = p + size;
  mi_owner_leave(mine->owner);
  if (mi_likely(fits)) return (void*)p;
  void* piece = mi_cap_heap_malloc(heap, PIECE);
  /* where there is no room for a piece */
  if (mi_unlikely(piece == NULL)) return mi_cap_heap_malloc(heap, size);
  *end = (uintptr_t)piece + size;
  return piece;
}

void* mi_cap_heap_zalloc(mi_heap_t* heap, size_t size) {
  WITH_CAP_HEAP(mi_alloc_zalloc(lh, size), mi_heap_zalloc(heap, size));
}
char* mi_cap_heap_strndup(mi_heap_t* heap, const char* s, size_t n) {
  WITH_CAP_HEAP(mi_alloc_strndup(lh, s, n), mi_heap_strndup(heap, s, n));
}

void* mi_cap_heap_aligned(mi_heap_t* heap, size_t size, size_t align, size_t offset, bool zero) {
  WITH_CAP_HEAP(mi_aligned_block(lh, size, align, offset, zero),
                mi_thread_heap_aligned(heap, size, align, offset, zero));
}

void* mi_cap_heap_realloc(mi_heap_t* heap, void* p, size_t size, size_t align, size_t offset, bool zero) {
  WITH_CAP_HEAP(mi_realloc_block(lh, p, size, align, offset, zero),
                mi_thread_heap_resize(heap, p, size, align, offset, zero));
}

void mi_cap_heap_collect(mi_heap_t* heap, bool force) {
  mi_callback_deferred_free(force);
  const uint32_t number = cap_number();
  mi_lheap_t* mine = number < MI_CAPS_MAX ? mi_load_relaxed(&xlheaps[number]) : NULL;  /* as in lheap_of */
  if (mine != NULL && heap != NULL) {
    mi_owner_enter(mine->owner);
    mi_lheap_t* lh = mi_heap_lheap(heap, mine->owner);
    if (lh != NULL) mi_lheap_collect(lh, force);
    mi_owner_leave(mine->owner);
    mi_report_pending();
  }
  mi_purger_run_piece();
  mi_purger_ended();
}

mi_heap_t* mi_cap_heap_set_default(mi_heap_t* heap) {
  const uint32_t number = cap_number();
  if (number >= MI_CAPS_MAX) return mi_heap_set_default(heap);
  mi_lheap_t* mine = lheap_of(number);
  if (mine == NULL) return NULL;
  mi_owner_enter(mine->owner);
  mi_heap_t* old = mi_load_relaxed(&mine->xheap);                         /* mine: read by me */
  mi_lheap_t* lh = heap == NULL ? NULL : lheap_in(heap, mine);
  if (lh != NULL) {
    /* from now on for ever: mi_cap_stats may look at it late, and finds its owner */
    mi_heap_lheap_is_default(lh, true);
    mi_store_release(&xlheaps[number], lh);  /* pairs with mi_cap_stats, default_end */
  }
  mi_owner_leave(mine->owner);
  return old;
}

mi_heap_t* mi_cap_heap_get_default(void) {
  const uint32_t number = cap_number();
  const mi_lheap_t* lh = number < MI_CAPS_MAX ? lheap_of(number) : NULL;
  /* mine: read by me */
  return number >= MI_CAPS_MAX ? mi_heap_get_default() : lh == NULL ? NULL : mi_load_relaxed(&lh->xheap);
}

mi_heap_t* mi_cap_heap_get_backing(void) {
  const uint32_t number = cap_number();
  const mi_lheap_t* lh = number < MI_CAPS_MAX ? lheap_of(number) : NULL;
  /* mine: read by me */
  if (number >= MI_CAPS_MAX) return mi_heap_get_backing();
  return lh == NULL ? NULL : mi_load_relaxed(&lh->owner->main.xheap);
}

bool mi_cap_check_owned(const void* p) { return mi_heap_check_owned(mi_cap_heap_get_default(), p); }

/* ---- housekeeping ---- */

void mi_cap_collect(bool force) {
  mi_callback_deferred_free(force);
  const uint32_t number = cap_number();
  mi_lheap_t* lh = number < MI_CAPS_MAX ? mi_load_relaxed(&xlheaps[number]) : NULL;  /* as in lheap_of */
  if (lh != NULL) {
    mi_owner_enter(lh->owner);
    mi_owner_drain(lh->owner, force);
    mi_owner_leave(lh->owner);
  }
  mi_purger_run_piece();
  mi_purger_ended();
}

void mi_cap_drain(void) {
  const uint32_t number = cap_number();
  mi_lheap_t* lh = number < MI_CAPS_MAX ? mi_load_relaxed(&xlheaps[number]) : NULL;  /* as in lheap_of */
  if (lh == NULL) return;
  mi_owner_enter(lh->owner);
  mi_owner_abandon(lh->owner);
  mi_owner_leave(lh->owner);
}

int mi_cap_number(void) { return (int)cap_number(); }

/* ---- any thread ---- */

int mi_cap_pressure_busy(void) { return mi_pressure_busy(); }
uint64_t mi_cap_pressure_turns(void) { return mi_pressure_turns(); }
uint64_t mi_cap_pressure_wait(void) { return mi_pressure_wait(); }
void mi_cap_pressure_waited(void) { mi_pressure_waited(); }
int mi_cap_pressure_awaited(void) { return mi_pressure_awaited(); }

/* GHC runs the finalizers of what a collection found dead at the start of the next one. Who asks for a
   collection while another capability's is about to begin gets that one, which may be a minor one: so it is
   asked for again. False: there was no major one. */
enum { TRIES = 20 };
static bool collect_all(void) {
  const generation* oldest = mi_load_relaxed(&xoldest);  /* a hint: NULL before any capability allocated */
  const W_ majors = oldest == NULL ? 0 : GHC_LOAD(oldest->collections);
  bool was_major = false;
  for (int i = 0; i < TRIES && !was_major; i++) {
    performMajorGC();
    was_major = oldest == NULL || GHC_LOAD(oldest->collections) != majors;
  }
  performGC();
  return was_major;
}

void mi_cap_pressure_relieve(void) {
  mi_pressure_due_t due = mi_pressure_begin(getMonotonicNSec());
  if (due == MI_PRESSURE_NONE) {
    if (!mi_pressure_busy()) set_due(0);
    return;
  }
  if (due == MI_PRESSURE_MINOR) {
    performGC();
    if (mi_pressure_pause(getMonotonicNSec())) return;                    /* it stays due */
    due = MI_PRESSURE_FINISH;
  }
  if (due == MI_PRESSURE_FINISH) {
    performGC();
    due = mi_pressure_after_minor(getMonotonicNSec());
  }
  if (due == MI_PRESSURE_MAJOR && !collect_all()) due = MI_PRESSURE_NONE;
  set_due(0);
  mi_pressure_end(due, getMonotonicNSec());
}

/* What a collection may give back: of what is held, or to the one arena from which memory is wanted. */
static uint64_t taken_from(uint16_t arena) {
  if (arena == MI_ARENA_NONE) return mi_pressure_held();
  const mi_arena_t* a = mi_arena_at(arena);
  return (a->nslices - mi_bitmap_count(a->free, a->nslices)) * MI_SLICE_SIZE;
}

/* The non-moving collector has only begun when performMajorGC returns. */
enum { ROUNDS = 50, ROUND_MS = 1 };
enum { ANY_ARENA = 1, ONE_ARENA = 2 };
int mi_cap_pressure_exhausted(const mi_heap_t* heap, size_t size) {
  const uint16_t arena = heap == NULL ? MI_ARENA_NONE : heap->arena;
  const bool one = arena != MI_ARENA_NONE;
  const uint64_t before = taken_from(arena), began = getMonotonicNSec();
  if (size > mi_memory_most(arena) || !mi_pressure_may_help(one, size, mi_commit_room(), began)) return 0;
  collect_all();
  for (int i = 0; RtsFlags.GcFlags.useNonmoving && i < ROUNDS && taken_from(arena) + size > before; i++) {
    mi_os_sleep_ms(ROUND_MS);
    performGC();
  }
  (void)mi_mapping_unmap_waiting(true);  /* of finalizers just now: whoever is refused does not wait */
  const uint64_t after = taken_from(arena), freed = after < before ? before - after : 0;
  mi_pressure_asked(one, size, freed, began, getMonotonicNSec());
  return (one ? ONE_ARENA : ANY_ARENA) * (freed >= size ? 1 : -1);
}
void mi_cap_pressure_helped(int asked) { mi_pressure_helped(asked == ONE_ARENA || asked == -ONE_ARENA); }

void mi_cap_pressure_set(int64_t budget) { mi_pressure_set(budget); }
void mi_cap_pressure_stats(uint64_t words[8]) {
  mi_pressure_stats_t s;
  mi_pressure_stats(&s);
  memcpy(words, &s, sizeof s);
}

size_t mi_cap_max(void) { return MI_CAPS_MAX; }

/* Where an ending heap was the default, the main heap is again. */
static void default_end(const mi_heap_t* heap) {
  if (heap == NULL || heap->is_main) return;
  /* who ends a heap comes after whoever made it a default, and so after cap_begin */
  const uint32_t n = mi_load_relaxed(&xncaps);
  for (uint32_t number = 0; number < n; number++) {
    mi_lheap_t* lh = mi_load_acquire(&xlheaps[number]);  /* pairs with cap_begin, mi_cap_heap_set_default */
    if (lh == NULL || mi_load_relaxed(&lh->xheap) != heap) continue;  /* nobody makes it a default any more */
    /* pairs with mi_cap_heap_set_default: another is the default by now */
    mi_cas_acq_rel(&xlheaps[number], &lh, &lh->owner->main);
  }
}
void mi_cap_heap_delete(mi_heap_t* heap) { default_end(heap); mi_heap_delete(heap); }
void mi_cap_heap_destroy(mi_heap_t* heap) { default_end(heap); mi_heap_destroy(heap); }

/* Capability-held. */
static void heap_end_held(mi_heap_t* heap, void (*end)(mi_heap_t* heap)) {
  late_enter();
  end(heap);
  late_leave();
}
void mi_cap_heap_delete_held(mi_heap_t* heap) { heap_end_held(heap, &mi_cap_heap_delete); }
void mi_cap_heap_destroy_held(mi_heap_t* heap) { heap_end_held(heap, &mi_cap_heap_destroy); }

void mi_live(uint64_t* blocks, uint64_t* bytes) {
  const mi_use_t use = mi_stats_use(0);
  *blocks = use.blocks;
  *bytes = use.bytes;
}

/* How many there are, also where there is no room for them. */
typedef struct { uint64_t* words; size_t n, max; } areas_t;

static void area_add(areas_t* areas, const void* start, size_t size) {
  if (areas->n < areas->max) {
    areas->words[2 * areas->n] = (uintptr_t)start;
    areas->words[2 * areas->n + 1] = (uintptr_t)start + size;
  }
  areas->n++;
}

static bool area_add_mapping(mi_page_t* page, void* areas) {
  area_add(areas, page->start, mi_page_size(page));
  return true;
}

size_t mi_areas(uint64_t* words, size_t max) {
  areas_t areas = { words, 0, max };
  for (size_t i = 0; i < mi_arena_count(); i++) {
    const mi_arena_t* a = mi_arena_at(i);
    const mi_bits_t* end = a->holes + mi_bitmap_words(mi_arena_nholes(a));  /* the last of its structures */
    area_add(&areas, a, mi_align_up((size_t)((uintptr_t)end - (uintptr_t)a), mi_os_page_size()));
    /* A statistic: one that goes meanwhile is nobody's, or somebody else's. */
    if (!mi_load_relaxed(&a->xgone)) area_add(&areas, a->start, a->nslices * MI_SLICE_SIZE);
  }
  mi_mapping_each_committed(&area_add_mapping, &areas);
  return areas.n;
}

uint64_t mi_cap_activity(int number) {
  /* pairs with cap_begin, mi_cap_heap_set_default */
  const mi_lheap_t* lh =
      number < 0 || (unsigned)number >= MI_CAPS_MAX ? NULL : mi_load_acquire(&xlheaps[number]);
  return lh == NULL ? 0 : mi_heap_activity(lh->owner);
}

void mi_cap_counts(int number, mi_cap_stats_t* stats) {
  *stats = (mi_cap_stats_t){ 0 };
  if (number < 0 || (unsigned)number >= MI_CAPS_MAX) return;
  mi_lheap_t* lh = mi_load_acquire(&xlheaps[number]);  /* pairs with cap_begin, mi_cap_heap_set_default */
  if (lh == NULL) return;
  mi_lheap_counts_t* c = &lh->owner->main.xcounts;
  stats->exists = 1;
  stats->pages = mi_load_relaxed(&c->pages);                              /* statistics */
  stats->fresh_pages = mi_load_relaxed(&c->fresh_pages);
  stats->adopted_pages = mi_load_relaxed(&c->adopted_pages);
  stats->full_pages = mi_load_relaxed(&c->full_pages);
  stats->retired_pages = mi_load_relaxed(&c->retired_pages);
  stats->remote_freed = mi_load_relaxed(&c->remote_freed);
}

void mi_cap_stats(int number, mi_cap_stats_t* stats) {
  mi_cap_counts(number, stats);
  if (stats->exists == 0) return;
  const mi_use_t use = mi_stats_use(mi_id_of_capability((uint32_t)number));
  stats->used_blocks = use.blocks;
  stats->used_bytes = use.bytes;
}

/* ---- a ring that is broken on purpose, to see that the soundness test sees it ---- */

#if MI_CHECK >= 2
/* They use the heap of capability `number`, whoever holds it. */
void* mi_test_cap_malloc_on(int number, size_t size) {
  mi_lheap_t* lh = lheap_of((uint32_t)number % MI_CAPS_MAX);
  mi_owner_enter(lh->owner);
  return leave(lh, mi_alloc_malloc(lh, size));
}

void mi_test_cap_free_on(int number, void* p) {
  mi_lheap_t* lh = lheap_of((uint32_t)number % MI_CAPS_MAX);
  mi_owner_enter(lh->owner);
  mi_free_as(p, lh->owner, lh->owner->id);
  mi_owner_leave(lh->owner);
}
#endif
