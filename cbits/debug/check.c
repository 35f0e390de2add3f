/* The whole-heap checker: one check for each numbered invariant of docs/protocols.md, section 2, and a
   dump on one screen. Only with MI_CHECK = 2. Nobody may allocate or free meanwhile. */
#include "../core/mend.h"
#include "../core/report.h"
#include "../core/owner.h"
#include "../core/pool.h"
#include "../core/purger.h"
#include "../core/sample.h"

#if MI_CHECK >= 2

static size_t nbroken;

static void broken(unsigned number, mi_page_t* page, const char* what) {
  if (++nbroken <= 20)
    mi_report_message("mimalloc: invariant %u: %s (page %p, %zu-byte blocks)\n", number, what,
                      (const void*)page, mi_page_size(page));
}
#define CHECK(number, page, condition) do { if (!(condition)) broken(number, page, #condition); } while (0)

/* ---- two frees of one block at the same moment (mend.h), which their page's holder has not met yet:
   reported, and mended ---- */

typedef struct { mi_block_bits_t seen; size_t n; bool twice; } mi_walk_t;

/* Blocks of a list; `twice`: it comes to one that is in a list already, or, if `strict`, to one that is
   live. */
static void walk_list(mi_page_t* page, const mi_block_t* b, bool strict, mi_walk_t* walk) {
  for (; b != &mi_nil && !walk->twice; b = b->next, walk->n++) {
    const size_t at = (uintptr_t)b - (uintptr_t)page->start, i = at / mi_page_size(page);
    /* No block: other damage. */
    if (at >= mi_page_nslices(page) * MI_SLICE_SIZE || !mi_page_is_start(page, b)) return;
    walk->twice = mi_block_bit(&walk->seen, i) || (strict && b->xmark != page->key);
    walk->seen.bits[i / 64] |= (uint64_t)1 << (i % 64);
  }
}

static size_t hole_blocks(mi_page_t* page);

static bool is_freed_twice(mi_page_t* page, mi_page_state_t state) {
  mi_walk_t walk = { .n = 0 };
  if (mi_page_is_single(page) || !mi_load_relaxed(&page->xheap)->is_main) return false;
  walk_list(page, page->free, page->doubted, &walk);
  walk_list(page, page->local_free, page->doubted, &walk);
  const size_t nlocal = walk.n, head = mi_xword_head(page->xword);
  if (head != 0) walk_list(page, mi_page_slot(page, (uint32_t)head), true, &walk);
  const size_t nremote = walk.n - nlocal, count = mi_xword_count(page->xword);
  if (walk.twice || !page->doubted) return walk.twice;
  return nlocal + hole_blocks(page) + mi_page_live(page) != page->capacity
         || (state == MI_PAGE_OWNED ? nremote : mi_page_used(page) - nremote) != count;
}

static size_t visit_freed_twice(mi_arena_t* a, size_t i, mi_page_t* page) {
  mi_xlist_t list;
  const mi_page_state_t state = mi_xword_state(page->xword);
  (void)a; (void)i;
  if (page->xowner == MI_ID_GONE || page->xheap == NULL || !is_freed_twice(page, state)) return 0;
  if (state != MI_PAGE_OWNED && !mi_remote_acquire(&page->xword, true, &list)) return 0;  /* H1 */
  mi_report_later(MI_ERROR_MISCOUNTED, page->start, mi_page_size(page));
  if (mi_page_is_listed(page)) mi_queue_page_unpark(page);
  mi_mend(page);
  if (state != MI_PAGE_OWNED) mi_pool_page_put(page);
  return 1;
}

/* ---- one page ---- */

static bool block_ok(mi_page_t* page, mi_block_t* b) {
  return (uintptr_t)b - (uintptr_t)page->start < mi_page_nslices(page) * MI_SLICE_SIZE
         && mi_page_is_start(page, b) && mi_load_relaxed(&b->xmark) == page->key && !mi_holes_touch(page, b);
}

/* How many blocks a list has; stops at the first that is none of the page's. */
static size_t list_length(mi_page_t* page, mi_block_t* b) {
  size_t n = 0;
  for (; b != &mi_nil && n <= page->capacity; b = b->next, n++) {
    if (!block_ok(page, b)) { broken(7, page, "a list has only marked blocks of its page"); break; }
  }
  return n;
}

static size_t hole_blocks(mi_page_t* page) {
  size_t n = 0;
  for (size_t i = 0; i < page->capacity; i++)
    n += mi_holes_touch(page, (const mi_block_t*)(const void*)(page->start + i * mi_page_size(page)));
  return n;
}

static void check_constants(const mi_arena_t* a, size_t i, mi_page_t* page) {
  const bool single = mi_page_is_single(page);
  const void* inner = (const void*)page->xinner;
  CHECK(18, page, page->key != 0 && page->xkey == page->key);
  CHECK(2, page,
        inner == NULL
            || (single && mi_page_of(inner) == page && mi_page_block_of(page, inner) == (void*)page->start));
  CHECK(1, page, page->start == a->start + i * MI_SLICE_SIZE);
  for (size_t s = 0; s < (single ? 1 : mi_page_nslices(page)); s++)
    CHECK(2, page, mi_page_of(page->start + s * MI_SLICE_SIZE) == page);
  for (size_t s = 0; s < mi_page_nslices(page); s++)
    CHECK(15, page, mi_bitmap_run(a->free, a->nslices, i + s, 1) == 0);
  CHECK(15, page, mi_bitmap_run(a->dirty, a->nslices, i, mi_page_nslices(page)) == mi_page_nslices(page));
  CHECK(3, page,
        page->capacity <= page->reserved
            && page->reserved * mi_page_size(page) <= mi_page_nslices(page) * MI_SLICE_SIZE);
  CHECK(4, page,
        page->xtop + mi_page_size(page) == (uintptr_t)page->start + page->capacity * mi_page_size(page));
  CHECK(22, page, page->xsample == 0 || (single && mi_sample_block(page->xsample) == page->start));
  const uint64_t excess = mi_page_size(page) * page->recip;                       /* modulo 2^64 */
  CHECK(4, page,
        single ? page->recip == 1
               : (page->recip & 1) != 0 && excess != 0 && excess <= 2 * mi_page_size(page));
}

static void check_lists(mi_page_t* page) {
  const uint64_t w = page->xword;
  const mi_page_state_t state = mi_xword_state(w);
  if (mi_page_is_single(page)) {
    CHECK(9, page, state == MI_PAGE_FULL && mi_xword_count(w) == 1);
    return;
  }
  const size_t nremote = mi_xword_head(w) == 0 ? 0 : list_length(page, mi_page_slot(page, mi_xword_head(w)));
  const size_t nfree = list_length(page, page->free), nlocal = list_length(page, page->local_free);
  const size_t nholed = hole_blocks(page);
  CHECK(5, page, nfree + nlocal + nholed + mi_page_live(page) == page->capacity);
  CHECK(16, page, nholed == 0 || state == MI_PAGE_POOLED);
  if (state == MI_PAGE_OWNED) CHECK(6, page, mi_xword_count(w) == nremote && nremote <= mi_page_live(page));
  else {
    CHECK(6, page, mi_xword_count(w) == mi_page_used(page) - nremote);
    CHECK(8, page, page->xowner == 0 || (page->xowner & 1) != 0);
    CHECK(10, page, mi_xword_count(w) > 0);
  }
  if (state == MI_PAGE_FULL) CHECK(9, page, nfree + nlocal + nremote == 0);
  if (state == MI_PAGE_OWNED && page->lheap != NULL) CHECK(8, page, page->xowner == page->lheap->xid);
}

/* What is left out of `used`, by where the page is. */
static bool left_out_ok(mi_page_t* page, mi_where_t where) {
  const int32_t n = mi_page_left_out(page);
  if (where == MI_WHERE_WATCHED)
    return n > 0 && n <= page->reserved / 2 && page->lheap != NULL && page->lheap->xid != 0;
  if (where == MI_WHERE_RETIRED) return n == -1 && mi_page_used(page) > 0;
  if (where == MI_WHERE_PARKED) return n == page->reserved - 1 && mi_page_used(page) == 1;
  return n == 0;
}

/* Where the page is, by its word; and nobody holds it but its owner. */
static bool where_ok(mi_page_t* page, mi_where_t where) {
  const uint64_t w = page->xword;
  if (mi_page_is_single(page)) return where == MI_WHERE_SINGLE || where == MI_WHERE_LOST;
  switch (mi_xword_state(w)) {
    case MI_PAGE_OWNED: return mi_page_is_listed(page);
    case MI_PAGE_FULL: return where == MI_WHERE_FULL;
    case MI_PAGE_POOLED: return mi_page_is_pooled(page) || (where == MI_WHERE_FULL && mi_xword_head(w) != 0);
    default: return false;
  }
}

static void check_where(mi_arena_t* a, size_t i, mi_page_t* page) {
  const mi_where_t where = mi_page_where(page);
  const bool pooled = mi_xword_state(page->xword) == MI_PAGE_POOLED;
  CHECK(20, page, where_ok(page, where));
  CHECK(11, page, (page->lheap != NULL) == mi_page_is_listed(page));
  CHECK(11, page, mi_page_is_listed(page) || (page->next == NULL && page->prev == NULL));
  CHECK(19, page, left_out_ok(page, where));
  CHECK(16, page, mi_page_is_single(page) || mi_page_has_waited(page) || hole_blocks(page) == 0);
  CHECK(21, page, !pooled || mi_bitmap_run(mi_arena_pool(a, mi_page_bin(page)), a->nslices, i, 1) != 0);
  CHECK(21, page, !pooled || where == MI_WHERE_SEARCHED || mi_bitmap_run(a->changed, a->nslices, i, 1) != 0);
}

/* No page begins here. What fork left behind in the middle of a single page's birth or end stays claimed. */
static void check_dead(const mi_arena_t* a, size_t i, mi_page_t* page) {
  const mi_where_t where = mi_page_where(page);
  const bool is_free = mi_bitmap_run(a->free, a->nslices, i, 1) != 0;
  CHECK(
      20, page,
      where == MI_WHERE_DEAD
          || (!is_free && (where == MI_WHERE_CACHED || where == MI_WHERE_LOST || where == MI_WHERE_SINGLE)));
  CHECK(20, page, where != MI_WHERE_CACHED || mi_page_of(page->start) == page);
  CHECK(22, page, page->xsample == 0 || !(is_free || where == MI_WHERE_CACHED));
}

/* ---- one local heap ---- */

static size_t nlisted;  /* pages found in the queues and lists */

static void check_queue(mi_lheap_t* lh, unsigned bin, size_t* npages) {
  const mi_page_t* prev = NULL;
  for (mi_page_t* page = lh->queue[bin].first; page != NULL; prev = page, page = page->next) {
    CHECK(11, page,
          mi_page_bin(page) == bin && page->lheap == lh && page->xheap == lh->xheap && page->prev == prev);
    const mi_where_t where = mi_page_where(page);
    CHECK(11, page, mi_page_is_listed(page) && where != MI_WHERE_PARKED);
    CHECK(11, page, where != MI_WHERE_RETIRED || (page->prev == NULL && page->next == NULL));
    ++*npages;
  }
  if (lh->queue[bin].last != prev) broken(11, &mi_page_empty, "queue.last is the last page");
}

static void check_parked(mi_lheap_t* lh, unsigned bin, size_t* npages, size_t* nslices) {
  const mi_page_t* prev = NULL;
  size_t n = 0;
  for (mi_page_t* page = lh->parked[bin].first; page != NULL; prev = page, page = page->next, n++) {
    CHECK(11, page,
          mi_page_bin(page) == bin && page->lheap == lh && page->xheap == lh->xheap && page->prev == prev
              && lh->xid != 0);
    CHECK(17, page, mi_page_where(page) == MI_WHERE_PARKED);
    CHECK(17, page, page->capacity == page->reserved && page->free == &mi_nil && page->local_free == &mi_nil);
    *nslices += mi_page_nslices(page);
  }
  *npages += n;
  if (lh->parked[bin].last != prev || n != lh->nparked[bin])
    broken(17, &mi_page_empty, "parked.last is the last page, nparked their number");
}

static void check_lheap(mi_lheap_t* lh) {
  size_t npages = 0, nslices = 0;
  for (unsigned bin = 1; bin <= MI_BIN_LAST && lh->xid != 0; bin++) check_parked(lh, bin, &npages, &nslices);
  if (lh->xid != 0 && nslices != lh->parked_slices)
    broken(17, &mi_page_empty, "parked_slices is the sum over the parked pages");
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++) check_queue(lh, bin, &npages);
  for (size_t w = 0; w < MI_DIRECT_COUNT; w++) {
    mi_page_t* first = lh->queue[mi_bin_of(w * MI_GRANULE)].first;
    if (lh->direct[w] != (first == NULL ? &mi_page_empty : first))
      broken(12, lh->direct[w], "direct[w] is the first page of its queue");
  }
  if (npages != lh->xcounts.pages)
    broken(14, &mi_page_empty, "xcounts.pages is the sum of the queues' lengths");
  nlisted += npages;
}

static void check_owners(void) {
  for (uint32_t s = 0; s < mi_owner_slots(); s++) {
    mi_owner_t* owner = mi_owner_at(s);
    if (owner->xkind == MI_OWNER_UNUSED || owner->id == MI_ID_GONE) continue;
    if (owner->id == 0 || owner->id % MI_ID_STEP != 0)
      broken(13, &mi_page_empty, "an id is a multiple of 16, not 0");
    for (uint32_t t = 0; t < s; t++) {
      mi_owner_t* other = mi_owner_at(t);
      if (other->xkind != MI_OWNER_UNUSED && other->id == owner->id)
        broken(13, &mi_page_empty, "ids are distinct");
    }
    check_lheap(&owner->main);
    for (mi_lheap_t* lh = owner->lheaps; lh != NULL; lh = lh->next) if (lh->xheap != NULL) check_lheap(lh);
  }
}

/* ---- everything ---- */

/* Calls visit for each live page of each arena; returns the sum. */
static size_t pages_visit(size_t (*visit)(mi_arena_t* a, size_t i, mi_page_t* page)) {
  size_t sum = 0;
  for (size_t n = 0; n < mi_arena_count(); n++) {
    mi_arena_t* a = mi_arena_at(n);
    for (size_t i = 0; i < a->nslices; i++) {
      mi_page_t* page = &a->pages[i];
      if (mi_xword_state(page->xword) != MI_PAGE_DEAD) sum += visit(a, i, page);
    }
  }
  return sum;
}

/* Returns how many say that they are in a queue or a list. */
static size_t visit_check(mi_arena_t* a, size_t i, mi_page_t* page) {
  if (page->xowner == MI_ID_GONE) return 0;                               /* fork left it in any state */
  check_constants(a, i, page);
  check_lists(page);
  check_where(a, i, page);
  return mi_page_is_listed(page);
}

static size_t visit_live(mi_arena_t* a, size_t i, mi_page_t* page) {
  (void)a; (void)i;
  const uint64_t w = page->xword;
  return mi_xword_state(w) == MI_PAGE_OWNED ? mi_page_live(page) - mi_xword_count(w) : mi_xword_count(w);
}

size_t mi_check_live_blocks(void) { return pages_visit(&visit_live) + mi_commit_totals.xmappings; }

static size_t visit_holes(mi_arena_t* a, size_t i, mi_page_t* page) {
  const size_t from = i * (MI_SLICE_SIZE / MI_HOLE_SIZE),
               to = from + mi_page_nslices(page) * (MI_SLICE_SIZE / MI_HOLE_SIZE);
  size_t n = 0, len;
  if (mi_xword_state(page->xword) != MI_PAGE_POOLED && page->xowner != MI_ID_GONE) return 0;
  for (size_t k = mi_bitmap_next(a->holes, to, from); k < to;
       k = mi_bitmap_next(a->holes, to, k + len), n += len)
    len = mi_bitmap_run(a->holes, to, k, to - k);
  return n;
}

static bool check_mapping(mi_page_t* page, void* count) {
  ++*(size_t*)count;
  if (mi_xword_state(page->xword) != MI_PAGE_DEAD)
    CHECK(2, page, mi_page_of(page->start) == page && (uintptr_t)page->start % MI_SLICE_SIZE == 0);
  return true;
}

static void check_arenas(void) {
  size_t nmappings = 0;
  mi_mapping_each(&check_mapping, &nmappings);
  if (nmappings != mi_commit_totals.xmappings) broken(2, &mi_page_empty, "the list has every mapping");
  size_t nholes = 0;
  for (size_t n = 0; n < mi_arena_count(); n++)
    nholes += mi_bitmap_count(mi_arena_at(n)->holes, mi_arena_nholes(mi_arena_at(n)));
  if (nholes != pages_visit(&visit_holes)) broken(16, &mi_page_empty, "only pooled pages have holes");
  size_t dirty = 0;
  for (size_t n = 0; n < mi_arena_count(); n++)
    dirty += mi_bitmap_count(mi_arena_at(n)->dirty, mi_arena_at(n)->nslices);
  for (size_t n = 0; n < mi_arena_count(); n++) {
    mi_arena_t* a = mi_arena_at(n);
    for (size_t i = 0; i < a->nslices; i++)
      if (mi_xword_state(a->pages[i].xword) == MI_PAGE_DEAD) check_dead(a, i, &a->pages[i]);
  }
  if (dirty * MI_SLICE_SIZE > mi_commit_totals.xcommitted)
    broken(15, &mi_page_empty, "committed counts every dirty slice");
}

size_t mi_check_all(void) {
  nbroken = 0;
  mi_purger_stop();
  pages_visit(&visit_freed_twice);
  nlisted = 0;
  const size_t says = pages_visit(&visit_check);
  check_owners();
  if (says != nlisted) broken(11, &mi_page_empty, "as many pages are in queues and lists as say so");
  check_arenas();
  mi_purger_go_on();
  mi_report_pending();
  return nbroken;
}

static size_t visit_count_page(mi_arena_t* a, size_t i, mi_page_t* page) {
  (void)a;
  (void)i;
  (void)page;
  return 1;
}

void mi_check_dump(void) {
  mi_report_message("mimalloc: %zu arenas, %zu pages, %zu live blocks; committed %zu of %zu KiB\n",
                    mi_arena_count(), pages_visit(&visit_count_page), mi_check_live_blocks(),
                    mi_commit_totals.xcommitted / MI_KiB, mi_commit_totals.xreserved / MI_KiB);
  for (uint32_t s = 0; s < mi_owner_slots() && s < 16; s++) {
    mi_owner_t* owner = mi_owner_at(s);
    if (owner->xkind == MI_OWNER_UNUSED) continue;
    const mi_lheap_counts_t* c = &owner->main.xcounts;
    mi_report_message("  owner %u id %#zx %s: %zu pages held, %llu fresh, %llu adopted, %llu full, %llu "
                      "retired, %llu blocks from others\n",
                      s, (size_t)owner->id, owner->xkind == MI_OWNER_THREAD ? "thread" : "capability",
                      (size_t)c->pages, (unsigned long long)c->fresh_pages,
                      (unsigned long long)c->adopted_pages, (unsigned long long)c->full_pages,
                      (unsigned long long)c->retired_pages, (unsigned long long)c->remote_freed);
  }
}

#else
size_t mi_check_all(void) { return 0; }
size_t mi_check_live_blocks(void) { return 0; }
void mi_check_dump(void) { }
#endif
