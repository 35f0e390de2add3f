/* realloc.h: contents, in place, mappings that move, zeroing, limits. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "test.h"

static mi_lheap_t* lh;
static void begin(void) { owners_begin(); lh = &owners[0]->main; }
static void end(void) { owners_end(); test_nothing_left(); }

/* One arena in which all of the test has room. */
static void begin_roomy(void) {
  CHECK_EQ(mi_reserve_os_memory(MI_GiB, true, false), 0);
  begin();
}

static void contents_are_kept(void) {
  begin();
  uint64_t r = 5;
  uint8_t* p = NULL;
  size_t old = 0;
  for (int i = 0; i < 3000; i++) {
    const size_t size = test_random(&r) % ((size_t)1 << (2 + test_random(&r) % (i % 100 == 0 ? 22 : 16)));
    p = mi_realloc_block(lh, p, size, 0, 0, false);
    CHECK(p != NULL && mi_block_usable(p) >= size && (uintptr_t)p % 16 == 0);
    CHECK_AT(test_filled(p, mi_min(old, size), 1), "old = %zu, size = %zu", old, size);
    test_fill(p, size, 1);
    old = size;
  }
  o_free(0, p);
  end();
}

static void aligned_contents(void) {
  begin();
  uint64_t r = 6;
  for (size_t align = 16; align <= 2 * MI_MiB; align *= 8)
    for (size_t offset = 0; offset <= 24; offset += 24) {
      uint8_t* p = NULL;
      size_t old = 0;
      for (int i = 0; i < 60; i++) {
        const size_t size = test_random(&r) % ((size_t)1 << (2 + test_random(&r) % 20));
        p = mi_realloc_block(lh, p, size, align, offset, false);
        CHECK(p != NULL && mi_block_usable(p) >= size && ((uintptr_t)p + offset) % align == 0);
        CHECK(test_filled(p, mi_min(old, size), 2));
        test_fill(p, size, 2);
        old = size;
      }
      CHECK((p = mi_realloc_block(lh, p, old + 1, 0, 0, false)) != NULL && test_filled(p, old, 2));
      o_free(1, p);
    }
  end();
}

/* What is beyond the old block is zero: after growing, and after shrinking and growing again. */
static void zeroing(void) {
  begin();
  for (size_t big = 32; big <= (MI_HARD ? 8 : 64) * MI_MiB; big *= 2) {
    for (size_t small = 1; small < big; small = small * 5 + 3) {
      uint8_t* p = mi_alloc_zalloc(lh, small);
      CHECK(p != NULL);
      memset(p, 0xff, small);
      p = mi_realloc_block(lh, p, big, 0, 0, true);
      CHECK_AT(p != NULL && test_all(p, small, 0xff) && test_all(p + small, mi_block_usable(p) - small, 0),
               "%zu to %zu", small, big);
      memset(p, 0xff, big);
      p = mi_realloc_block(lh, p, small, 0, 0, true);
      CHECK(p != NULL && test_all(p, small, 0xff));
      CHECK_AT(test_all(p + small, mi_block_usable(p) - small, 0), "%zu down to %zu", big, small);
      p = mi_realloc_block(lh, p, big, 0, 0, true);
      CHECK_AT(p != NULL && test_all(p, small, 0xff) && test_all(p + small, mi_block_usable(p) - small, 0),
               "%zu again to %zu", small, big);
      o_free(0, p);
      if (big > MI_MiB) small = small * 17;
    }
  }
  end();
}

static void from_null_and_to_zero(void) {
  begin();
  void* p = mi_realloc_block(lh, NULL, 100, 0, 0, true);
  CHECK(p != NULL && test_all(p, 100, 0));
  void* q = mi_realloc_block(lh, p, 0, 0, 0, false);
  CHECK(q != NULL && mi_block_usable(q) > 0);
  o_free(0, q);
  if (MI_CHECK >= 2) CHECK_EQ(mi_check_live_blocks(), 0);
  end();
}

/* ---- in place ---- */

static void small_in_place(void) {
  begin();
  void* p = mi_alloc_malloc(lh, 1000);
  CHECK(mi_realloc_block(lh, p, 1024, 0, 0, false) == p);
  CHECK(mi_realloc_block(lh, p, 600, 0, 0, false) == p);         /* at least half of it is used */
  CHECK(mi_block_expand(p, 1024) == p && mi_block_expand(p, 1) == p && mi_block_expand(p, 1025) == NULL);
  CHECK(mi_block_expand(NULL, 10) == NULL && mi_block_expand(p, SIZE_MAX) == NULL);
  void* q = mi_realloc_block(lh, p, 100, 0, 0, false);
  CHECK(q != NULL && q != p && mi_block_usable(q) < 200);
  o_free(0, q);
  end();
}

/* A large block grows into free slices behind it and shrinks, without moving. */
static void single_in_place(void) {
  begin();
  uint8_t* p = mi_alloc_malloc(lh, 100000);
  test_fill(p, 100000, 3);
  CHECK(mi_realloc_block(lh, p, 400000, 0, 0, false) == p);
  CHECK(mi_block_usable(p) >= 400000 && test_filled(p, 100000, 3));
  CHECK_EQ(mi_check_all(), 0);
  test_fill(p, 400000, 4);
  const size_t before = test_free_slices();
  CHECK(mi_realloc_block(lh, p, 70000, 0, 0, false) == p && test_filled(p, 70000, 4));
  CHECK(test_free_slices() >= before + 4);
  CHECK_EQ(mi_check_all(), 0);
  CHECK(mi_block_expand(p, 200000) == p && mi_block_usable(p) >= 200000 && test_filled(p, 70000, 4));
  uint8_t* wall = mi_alloc_malloc(lh, 100000);
  if (wall == p + mi_align_up(200000, MI_SLICE_SIZE)) {
    CHECK(mi_block_expand(p, 400000) == NULL);
    uint8_t* q = mi_realloc_block(lh, p, 400000, 0, 0, false);
    CHECK(q != NULL && q != p && test_filled(q, 70000, 4));
    p = q;
  }
  o_free(1, p);
  o_free(0, wall);
  end();
}

/* A block that cannot grow where it is: its pages move, so both sizes are never there at once, and where
   they were is zero. */
static void pages_move(void) {
  begin_roomy();
  size_t size = 33 * MI_MiB - 5000;
  uint8_t *p = mi_alloc_malloc(lh, size), *wall[2];
  test_fill(p, size, 6);
  for (int i = 0; i < (MI_HARD ? 0 : 2); i++) {  /* in the hard mode such a block has a mapping of its own */
    const size_t slices = mi_align_up(size, MI_SLICE_SIZE);
    CHECK((wall[i] = mi_alloc_malloc(lh, size)) == p + slices);
    const size_t committed = mi_commit_totals.xcommitted;
    uint8_t* q = mi_realloc_block(lh, p, 2 * size, 0, 0, i % 2 == 1);
    CHECK(q != NULL && q != p && test_filled(q, size, 6));
    CHECK_EQ(mi_check_all(), 0);
    if (i % 2 == 1) CHECK(test_all(q + size, mi_block_usable(q) - size, 0));
    CHECK(mi_commit_totals.xcommitted <= committed + mi_align_up(2 * size, MI_SLICE_SIZE) - slices);
    p = q;
    size *= 2;
    test_fill(p, size, 6);
  }
  for (int i = 0; i < (MI_HARD ? 0 : 2); i++) o_free(0, wall[i]);
  o_free(0, p);
  end();
}

/* From 1 MiB on pages move to memory that is zero; to what was touched before they are copied, and so stay
   where they were, too. */
static void pages_move_to_clean(void) {
  if (test_skips(MI_HARD, "such a block has a mapping of its own")) return;
  begin_roomy();
  mi_option_set(mi_option_purge_delay, 10000);
  for (int clean = 0; clean < 2; clean++) {
    const size_t size = 2 * MI_MiB;
    mi_collect(true);
    uint8_t* p = mi_alloc_malloc(lh, size);
    test_fill(p, size, 7);
    void* wall = mi_alloc_malloc(lh, size);
    if (clean == 0) o_free(0, mi_alloc_malloc(lh, 2 * size));
    const size_t committed = mi_commit_totals.xcommitted;
    uint8_t* q = mi_realloc_block(lh, p, 2 * size, 0, 0, false);
    CHECK(q != p && test_filled(q, size, 7));
    CHECK_EQ(mi_commit_totals.xcommitted, committed + (clean ? size : 0));
    CHECK_EQ(mi_check_all(), 0);
    o_free(0, q), o_free(0, wall);
  }
  end();
}

/* Each move makes boundaries between mappings; before there are too many of them for a process, it is told
   that pages do not move. */
static void moves_end(void) {
  if (test_skips(MI_HARD, "such a block has a mapping of its own")) return;
  enum { MOST = 10000 };
  static mi_page_t* spacer[MOST];
  bool zero;
  int n = 0;
  CHECK_EQ(mi_reserve_os_memory(MI_GiB, true, false), 0);
  for (bool moved = true; moved && n < MOST; n++) {
    CHECK((spacer[n] = mi_memory_claim(1, 1, MI_ARENA_NONE, &zero)) != NULL);
    mi_page_t *to = mi_memory_claim(MI_MiB, 1, MI_ARENA_NONE, &zero),
              *from = mi_memory_claim(MI_MiB, 1, MI_ARENA_NONE, &zero);
    moved = mi_move_slices(from, to) == MI_OS_DONE;
    mi_memory_give(from), mi_memory_give(to);
  }
  CHECK(n > 4000 && n < MOST);
  while (n > 0) mi_memory_give(spacer[--n]);
  test_nothing_left();
}

/* Two blocks that grow by a quarter, side by side: each is copied once and then has room, more often where
   arenas are small. One that doubles is not given any. */
static void grow_in_their_room(int most) {
  uint8_t *p = mi_alloc_malloc(lh, 140000), *q = mi_alloc_malloc(lh, 140000),
          *doubled = mi_alloc_malloc(lh, 140000);
  void* wall = mi_alloc_malloc(lh, 140000);
  test_fill(p, 140000, 1), test_fill(q, 140000, 2), test_fill(doubled, 140000, 3);
  int moves = 0;
  for (size_t size = 140000; size < 16 * MI_MiB; size += size / 4) {
    uint8_t* to = mi_realloc_block(lh, p, size, 0, 0, false);
    moves += to != p, p = to;
    to = mi_realloc_block(lh, q, size, 0, 0, false);
    moves += to != q, q = to;
  }
  CHECK_AT(moves >= 2 && moves <= most, "%d moves", moves);
  CHECK(test_filled(p, 140000, 1) && test_filled(q, 140000, 2));
  doubled = mi_realloc_block(lh, doubled, 280000, 0, 0, false);
  CHECK(test_filled(doubled, 140000, 3)
        && doubled < mi_arena_at(0)->start + mi_arena_at(0)->nslices / 2 * MI_SLICE_SIZE);
  CHECK_EQ(mi_check_all(), 0);
  o_free(0, p), o_free(0, q), o_free(0, doubled), o_free(0, wall);
  end();
}

static void grows_in_its_room(void) {
  if (test_skips(MI_HARD, "its arenas have no such room")) return;
  begin_roomy();
  grow_in_their_room(2);
}

static void grows_in_small_arenas(void) {
  if (test_skips(MI_HARD, "its arenas have no such room")) return;
  begin();
  grow_in_their_room(8);
  CHECK(mi_arena_count() < 12);
}

/* More of them than an arena has such places for, some of which stay: they have less room, and are
   copied now and then. */
static void many_grow(void) {
  if (test_skips(MI_HARD, "its arenas have no such room")) return;
  enum { MANY = 60, STAY = 20 };
  uint8_t* p[MANY];
  begin();
  for (int i = 0; i < MANY; i++) test_fill(p[i] = mi_alloc_malloc(lh, 140000), 140000, (unsigned)i);
  int moves = 0;
  for (size_t size = 140000; size < 4 * MI_MiB; size += size / 4) {
    for (int i = 0; i < MANY; i++) {
      if (i < STAY && size > 200000) continue;
      uint8_t* to = mi_realloc_block(lh, p[i], size, 0, 0, false);
      moves += to != p[i], p[i] = to;
    }
  }
  CHECK_AT(moves < 4 * MANY, "%d moves", moves);
  for (int i = 0; i < MANY; i++) {
    CHECK(test_filled(p[i], 140000, (unsigned)i));
    o_free(0, p[i]);
  }
  CHECK_EQ(mi_check_all(), 0);
  end();
}

/* A page of its own for the sake of its alignment, or with an offset, is no reason for the next
   block to have one. */
static void grows_from_aligned(void) {
  begin();
  uint8_t* p = mi_aligned_block(lh, 100, MI_MiB, 0, false);
  test_fill(p, 100, 3);
  p = mi_realloc_block(lh, p, 5000, 0, 0, false);
  CHECK(!mi_page_is_single(mi_page_of(p)) && test_filled(p, 100, 3));
  o_free(0, p);
  p = mi_aligned_block(lh, 200000, 4096, 8, false);
  CHECK(((uintptr_t)p + 8) % 4096 == 0);
  test_fill(p, 200000, 4);
  p = mi_realloc_block(lh, p, 3 * MI_MiB, 0, 0, false);
  CHECK(test_filled(p, 200000, 4));
  o_free(0, p);
  end();
}

/* .. and are copied where the system does not move them. */
static void pages_are_copied_then(void) {
  begin();
  uint8_t *p = mi_alloc_malloc(lh, MI_MiB), *wall = mi_alloc_malloc(lh, MI_MiB);
  test_fill(p, MI_MiB, 8);
  uint8_t* q = mi_alloc_malloc(lh, MI_MiB + MI_SLICE_SIZE);
  mi_os_fail_in(1, 1);
  CHECK(mi_move_slices(mi_page_of(p), mi_page_of(q)) == MI_OS_DONE && test_filled(p, MI_MiB, 8)
        && test_filled(q, MI_MiB, 8));
  memset(q, 0, MI_MiB);
  CHECK(mi_move_slices(mi_page_of(q), mi_page_of(p)) == MI_OS_NOT);       /* no room */
  CHECK(mi_move_slices(mi_page_of(p), mi_page_of(q)) == MI_OS_DONE && test_filled(q, MI_MiB, 8)
        && test_all(p, MI_MiB, 0));
  for (int i = 0; i < 2; i++) {
    mi_os_fail_call(MI_OS_MOVE_PAGES, MI_OS_AT_START, i == 0 ? 0 : 1, 1);
    test_fill(q, MI_MiB, 9);
    q = mi_realloc_block(lh, q, 3 * MI_MiB / 2 + (size_t)i * MI_MiB, 0, 0, false);
    mi_os_fail_call(MI_OS_MOVE_PAGES, MI_OS_AT_START, 0, 0);
    CHECK(q != NULL && test_filled(q, MI_MiB, 9));
  }
  o_free(0, p);
  o_free(0, q);
  o_free(0, wall);
  end();
}

/* The system's, or for memory that is several mappings as it was before Linux 6.17, when it had unmapped the
   target before it refused, or as it is since, when the first half has moved. */
static enum { AS_IT_IS, BEFORE, SINCE } several_mappings;
#if TEST_SANITIZED                       /* the core calls mremap by name */
#define __real_syscall syscall
#else
long __real_syscall(long number, ...);
#endif
long __wrap_syscall(long number, ...);
static long played_mremap(uint8_t* p, size_t old, size_t new, int flags, uint8_t* to) {
  if (several_mappings == AS_IT_IS || (to == NULL && new <= old))
    return __real_syscall(SYS_mremap, p, old, new, (long)flags, to);
  if (to != NULL && several_mappings == SINCE && new == old) {
    CHECK(__real_syscall(SYS_mremap, p, old / 2, old / 2, (long)flags, to) == (long)(uintptr_t)to);
    munmap(to + old / 2, new - old / 2);
  } else if (to != NULL) munmap(to, new);
  errno = to != NULL && several_mappings == SINCE ? ENOMEM : EFAULT;
  return -1;
}

static size_t ngrown;                    /* calls that grow memory to where the system likes */

/* The core's calls come here (tests.mk). */
long __wrap_syscall(long number, ...) {
  long a[6];
  va_list args;
  va_start(args, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(args, long);  /* as the kernel does, which has that many words */
  va_end(args);
  if (number != SYS_mremap) return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  ngrown += a[2] > a[1] && a[3] == MREMAP_MAYMOVE;
  return played_mremap((uint8_t*)a[0], (size_t)a[1], (size_t)a[2], (int)a[3],
                       (a[3] & MREMAP_FIXED) != 0 ? (uint8_t*)a[4] : NULL);
}
void* mremap(void* p, size_t old, size_t new, int flags, ...) {
  va_list args;
  va_start(args, flags);
  uint8_t* to = (flags & MREMAP_FIXED) != 0 ? va_arg(args, void*) : NULL;
  va_end(args);
  return (void*)played_mremap(p, old, new, flags, to);
}

static void pages_of_several_mappings(void) {
  begin();
  for (several_mappings = BEFORE; several_mappings <= SINCE; several_mappings++) {
    uint8_t *p = mi_alloc_malloc(lh, MI_MiB), *wall = mi_alloc_malloc(lh, MI_MiB);
    test_fill(p, MI_MiB, 8);
    uint8_t* q = mi_alloc_malloc(lh, 3 * MI_MiB / 2);
    errno = 7;
    CHECK(mi_move_slices(mi_page_of(p), mi_page_of(q)) == MI_OS_DONE && errno == 7
          && test_filled(q, MI_MiB, 8));
    o_free(0, p), o_free(0, q), o_free(0, wall);
  }
  several_mappings = AS_IT_IS;
  end();
}

/* A program that gave parts of its block another property, and all the mappings that it may have: nothing of
   the block is lost, or it stays. */
static void* all_mappings_taken(size_t spare) {
  const size_t page = mi_os_page_size(), n = (size_t)1 << 17;
  uint8_t* m = mmap(NULL, n * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(m != MAP_FAILED);
  for (size_t i = 1; i < n && mprotect(m + i * page, page, PROT_READ) == 0; i += 2) {}
  munmap(m, spare * page);
  return m + spare * page;
}

static void no_mapping_is_left(void) {
  if (test_skips(TEST_SANITIZED, "a sanitizer cannot do without mappings")) return;
  /* the second has a mapping of its own in the hard mode */
  static const size_t sizes[] = { 3 * MI_MiB, 40 * MI_MiB };
  CHECK_EQ(mi_reserve_os_memory(256 * MI_MiB, true, false), 0);
  for (size_t k = 0; k < 2; k++) for (size_t spare = 10; spare < 50; spare += 10) {
    const size_t size = sizes[k];
    uint8_t *p = mi_malloc(size), *wall = mi_malloc(MI_MiB);
    CHECK(p != NULL && wall != NULL);
    test_fill(p, size, k);
    for (size_t at = 0; at < size; at += size / 8)
      CHECK(madvise((void*)mi_align_up((uintptr_t)p + at, 4096), size / 16 & ~(size_t)4095, MADV_DONTDUMP)
            == 0);
    uint8_t* rest = all_mappings_taken(spare);
    uint8_t* q = mi_realloc(p, 2 * size);
    munmap(rest, ((size_t)1 << 17) * 4096 - spare * 4096);
    CHECK_AT(test_filled(q != NULL ? q : p, size, k), "%zu bytes, %zu mappings to spare", size, spare);
    mi_free(q != NULL ? q : p);
    mi_free(wall);
  }
}

/* Each call that a resize makes fails, in each way: the block is whole where it ends, and what was
   lost is nobody's. */
static void resize_with_faults(size_t size, mi_os_call_t call, mi_os_way_t way) {
  test_expect_errors();
  uint8_t *p = mi_malloc(size), *wall = mi_malloc(size);
  test_fill(p, size, 3);
  mi_os_fail_call(call, way, 1, 1);
  uint8_t* q = mi_realloc(p, 2 * size);
  mi_os_fail_call(call, MI_OS_AT_START, 0, 0);
  CHECK_AT(test_filled(q != NULL ? q : p, size, 3), "call %d, way %d, %zu bytes", call, way, size);
  if (q != NULL) memset(q, 1, 2 * size), p = q;
  CHECK_EQ(mi_check_all(), 0);
  void* more[6];
  for (int i = 0; i < 6; i++)
    if ((more[i] = mi_zalloc(size)) != NULL) CHECK(test_all(more[i], size, 0)), memset(more[i], 1, size);
  q = mi_realloc(p, size / 2);
  if (q != NULL) p = q;
  for (int i = 0; i < 6; i++) mi_free(more[i]);
  mi_free(p), mi_free(wall);
  mi_collect(true);
  CHECK(mi_check_live_blocks() == 0 && mi_check_all() == 0);
}

static void every_fault(void) {
  for (int must = 0; must < 2; must++) {
    mi_os_set_must_commit(must != 0);               /* what was reserved before is as it was: committed */
    for (int call = 0; call < MI_OS_CALLS; call++)
      for (mi_os_way_t way = MI_OS_AT_START; way <= MI_OS_TAKEN; way++) {
        for (size_t size = 300000; size <= 3 * MI_MiB; size *= 8) resize_with_faults(size, call, way);
      }
    if (must == 0) CHECK(mi_arena_count() < 20);
  }
}

/* A pair of calls fails: there is no room for both sizes of a mapping side by side (where two are refused,
   nor for the page map), and then another call on the way to where it grows fails in each way. */
static void grow_with_faults(size_t size, size_t refused, mi_os_call_t call, mi_os_way_t way) {
  test_expect_errors();
  uint8_t* p = mi_malloc(size);
  CHECK(p != NULL && mi_page_of(p)->arena == MI_ARENA_NONE);
  test_fill(p, size, 3);
  const size_t before = ngrown;
  mi_os_fail_call(MI_OS_RESIZE, MI_OS_AT_START, 1, SIZE_MAX);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 1, refused);
  if (way != MI_OS_GOES_ON) mi_os_fail_call(call, way, 1, SIZE_MAX);
  uint8_t* q = mi_realloc(p, 2 * size);
  mi_os_fail_call(MI_OS_RESIZE, MI_OS_AT_START, 0, 0);
  mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 0, 0);
  mi_os_fail_call(call, MI_OS_AT_START, 0, 0);
  CHECK_AT(test_filled(q != NULL ? q : p, size, 3), "call %d, way %d", call, way);
  const bool grown = refused == 1 && (way == MI_OS_GOES_ON || call == MI_OS_RELEASE
                                      || (call == MI_OS_GROW && way > MI_OS_AT_START));
  CHECK_AT(TEST_SANITIZED || (ngrown > before) == grown, "call %d, way %d", call, way);
  if (q != NULL) {
    CHECK((uintptr_t)q % MI_SLICE_SIZE == 0 && mi_usable_size(q) >= 2 * size && test_all(q + size, size, 0));
    memset(q, 1, 2 * size);
  }
  mi_free(q != NULL ? q : p);
  mi_collect(true);
  CHECK_AT(mi_check_live_blocks() == 0 && mi_check_all() == 0, "call %d, way %d", call, way);
}

static void every_fault_of_growth(void) {
  const size_t size = 5 * MI_MiB;
  mi_option_set(mi_option_arena_reserve, 4 * MI_KiB);
  for (int must = 0; must < 2; must++) {
    mi_os_set_must_commit(must != 0);
    for (size_t refused = 1; refused <= 2; refused++)
      for (mi_os_way_t way = MI_OS_GOES_ON; way <= MI_OS_TAKEN; way++) {
        grow_with_faults(size, refused, MI_OS_GROW, way);
        grow_with_faults(size, refused, MI_OS_RELEASE, way);
        grow_with_faults(size, refused, MI_OS_COMMIT, way);
      }
  }
}

/* Part of a block has moved when what the next part should go to is lost. */
static void second_part_is_lost(void) {
  CHECK_EQ(mi_reserve_os_memory(256 * MI_MiB, true, false), 0);
  bool zero;
  mi_page_t *a = mi_memory_claim(2 * MI_MiB, 1, MI_ARENA_NONE, &zero),
            *b = mi_memory_claim(2 * MI_MiB, 1, MI_ARENA_NONE, &zero);
  mi_page_dead_to_single(a), mi_page_dead_to_single(b);
  mi_arena_t* arena = mi_arena_at(a->arena);
  test_fill(a->start, 2 * MI_MiB, 5);
  mi_bitmap_set(arena->boundaries, mi_arena_slice_of(arena, a->start) + 7, 1);
  const size_t committed = mi_commit_totals.xcommitted;
  mi_os_fail_call(MI_OS_MOVE_PAGES, MI_OS_TAKEN, 2, 1);
  CHECK(mi_move_slices(a, b) == MI_OS_LOST && test_filled(a->start, 2 * MI_MiB, 5));
  CHECK_EQ(mi_commit_totals.xcommitted, committed);
  mi_memory_give(b);
  CHECK_EQ(mi_commit_totals.xcommitted, committed - 2 * MI_MiB);
  mi_page_t* c = mi_memory_claim(2 * MI_MiB, 1, MI_ARENA_NONE, &zero);
  CHECK(c->start != b->start && mi_move_slices(a, c) == MI_OS_NOT);        /* nothing moves any more */
}

/* Whatever of a block that moved is taken for the next one: it is counted, and zero when it is said to be. */
static void what_a_move_leaves(void) {
  static const size_t sizes[] = { 1, MI_CACHE_SLICES, MI_CACHE_SLICES + 1, 512, 515 };
  for (size_t k = 0; k < (MI_HARD ? 3 : 5); k++) {
    const size_t n = sizes[k], size = n * MI_SLICE_SIZE - 4096;
    uint8_t *p = mi_malloc(size), *wall = mi_malloc(size);
    test_fill(p, size, n);
    uint8_t* q = mi_realloc(p, 3 * size);
    CHECK(q != NULL && test_filled(q, size, n));
    p = mi_malloc(size);
    CHECK_AT(mi_check_all() == 0, "%zu slices", n);
    memset(p, 0xff, size);
    mi_free(p);
    mi_collect(true);
    CHECK_AT((p = mi_zalloc(size)) != NULL && test_all(p, size, 0), "%zu slices", n);
    mi_free(p);
    mi_free(q);
    mi_free(wall);
    mi_collect(true);
  }
  test_nothing_left();
}

/* A mapping of its own is moved by the system: no copy, so the time does not depend on the size. */
static void mapping_moves(void) {
  begin();
  size_t size = MI_ARENA_SIZE / 2 + MI_MiB;
  uint8_t* p = mi_alloc_malloc(lh, size);
  CHECK(p != NULL && mi_page_of(p)->arena == MI_ARENA_NONE);
  p[0] = 1; p[size / 2] = 2; p[size - 1] = 3;
  for (int i = 0; i < 6; i++) {
    uint8_t* wall = mi_alloc_malloc(lh, size);   /* so that it has to move now and then */
    const size_t old = size;
    size += size / 4;
    const size_t rss = test_rss();
    p = mi_realloc_block(lh, p, size, 0, 0, false);
    CHECK(p != NULL && p[0] == 1 && p[(MI_ARENA_SIZE / 2 + MI_MiB) / 2] == 2
          && p[MI_ARENA_SIZE / 2 + MI_MiB - 1] == 3);
    CHECK(mi_block_usable(p) >= size && p[old] == 0 && (uintptr_t)p % MI_SLICE_SIZE == 0);
    CHECK(test_rss() < rss + 16 * MI_MiB);
    CHECK(mi_page_of(p) != mi_page_of(wall) && !mi_page_is_none(mi_page_of(p)));
    o_free(0, wall);
  }
  p = mi_realloc_block(lh, p, 100000, 0, 0, false);
  CHECK(p != NULL && p[0] == 1);
  p = mi_realloc_block(lh, p, 100, 0, 0, false);
  CHECK(p != NULL && p[0] == 1 && mi_block_usable(p) < 200);
  o_free(0, p);
  end();
}

/* A block with a mapping of its own grows where there is room for the difference only: under a limit of
   addresses, and of memory that can be written to. */
static size_t can_be_written(void) {
  size_t kib = 0;
  char line[200];
  FILE* f = fopen("/proc/self/status", "r");
  CHECK(f != NULL);
  while (fgets(line, sizeof line, f) != NULL) if (sscanf(line, "VmData: %zu", &kib) == 1) break;
  fclose(f);
  return kib * MI_KiB;
}

static void grows_under(int resource) {
  if (test_skips(TEST_SANITIZED, "a sanitizer needs addresses")) return;
  begin();
  mi_option_set(mi_option_purge_thread, 0);                  /* its stack would count */
  size_t size = 20 * MI_MiB;
  uint8_t* p = mi_alloc_malloc(lh, size);
  CHECK(p != NULL && mi_page_of(p)->arena == MI_ARENA_NONE);
  test_fill(p, size, 5);
  const size_t most = 100 * MI_MiB, now = resource == RLIMIT_AS ? test_mapped() : can_be_written();
  struct rlimit limit;
  CHECK_EQ(getrlimit(resource, &limit), 0);
  limit.rlim_cur = now + most - size + MI_MiB;
  CHECK_EQ(setrlimit(resource, &limit), 0);
  bool moved = false;
  for (size_t larger; size < most; size = larger) {
    larger = mi_min(most, size + size / 2 + 5000);
    uint8_t* q = mi_realloc_block(lh, p, larger, 0, 0, false);
    CHECK_AT(q != NULL && test_filled(q, size, 5), "%zu to %zu", size, larger);
    CHECK(mi_block_usable(q) >= larger && (uintptr_t)q % MI_SLICE_SIZE == 0 && mi_check_all() == 0);
    moved |= q != p;
    p = q;
    test_fill(p, larger, 5);
  }
  CHECK(moved && mi_realloc_block(lh, p, most + 10 * MI_MiB, 0, 0, false) == NULL && test_filled(p, most, 5));
  o_free(0, p);
  end();
}
static void grows_under_a_limit_of_addresses(void) { grows_under(RLIMIT_AS); }
static void grows_under_a_limit_of_data(void) { grows_under(RLIMIT_DATA); }

/* .. where the page map has no entry yet, and none can be made. */
static void grows_to_another_part(void) {
  begin();
  uint8_t* p = mi_alloc_malloc(lh, 20 * MI_MiB);
  test_fill(p, 20 * MI_MiB, 6);
  for (size_t n = 1; n < 8; n++) {
    mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, n, 1);
    mi_os_fail_call(MI_OS_RESIZE, MI_OS_AT_START, 1, 1);
    uint8_t* q = mi_realloc_block(lh, p, mi_block_usable(p) + MI_MiB, 0, 0, false);
    mi_os_fail_call(MI_OS_RESERVE, MI_OS_AT_START, 0, 0);
    mi_os_fail_call(MI_OS_RESIZE, MI_OS_AT_START, 0, 0);
    CHECK_AT(q != NULL && test_filled(q, 20 * MI_MiB, 6), "n = %zu", n);
    CHECK(mi_page_of(q)->start == q && mi_check_all() == 0);
    p = q;
  }
  o_free(0, p);
  end();
}

/* ---- failing ---- */

static void fails_and_keeps(void) {
  begin();
  test_expect_errors();
  uint8_t* p = mi_alloc_malloc(lh, 100);
  test_fill(p, 100, 9);
  errno = 0;
  CHECK(mi_realloc_block(lh, p, SIZE_MAX, 0, 0, false) == NULL && errno == ENOMEM
        && test_last_error == EOVERFLOW);
  CHECK(mi_realloc_block(lh, p, 10, 3, 0, false) == NULL && errno == EINVAL);
  CHECK(mi_realloc_block(lh, p, (size_t)1 << 60, 0, 0, false) == NULL && errno == ENOMEM);
  CHECK(mi_realloc_block(lh, p, (size_t)1 << 60, 64, 8, true) == NULL && errno == ENOMEM);
  CHECK(test_filled(p, 100, 9) && mi_block_usable(p) >= 100);
  o_free(0, p);
  end();
}

static void mapping_fails_and_stays(void) {
  begin();
  test_expect_errors();
  const size_t size = MI_ARENA_SIZE / 2 + MI_MiB;
  uint8_t* p = mi_alloc_malloc(lh, size);
  p[size - 1] = 7;
  for (size_t n = 1; n < 12; n++) {
    mi_os_fail_in(n, SIZE_MAX);
    uint8_t* q = mi_realloc_block(lh, p, size * 2, 0, 0, false);
    mi_os_fail_in(0, 0);
    CHECK(mi_check_all() == 0);
    if (q != NULL) { p = q; break; }
    CHECK(p[size - 1] == 7 && mi_block_usable(p) >= size);
  }
  CHECK(p[size - 1] == 7);
  o_free(0, p);
  end();
}

static void not_a_block(void) {
  begin();
  test_expect_errors();
  int local;
  uint8_t *p = mi_alloc_malloc(lh, 100), *keep = mi_alloc_malloc(lh, 100);   /* so that the page stays */
  errno = 0;
  CHECK(mi_realloc_block(lh, &local, 10, 0, 0, false) == NULL && errno == EINVAL);
  CHECK_EQ(test_nerrors, 1);                     /* one misuse, one report */
  CHECK(mi_realloc_block(lh, p + 16, 10, 0, 0, false) == NULL && test_nerrors == 2
        && test_last_error == EINVAL);
  o_free(0, p);
  CHECK(mi_realloc_block(lh, p, 10, 0, 0, false) == NULL && test_nerrors == 3 && test_last_error == EAGAIN);
  CHECK(mi_block_expand(p, 10) == NULL && test_nerrors == 4);
  o_free(0, keep);
  end();
}

/* ---- the names of thread.c ---- */

static void family(void) {
  test_expect_errors();
  void* p = mi_reallocn(NULL, 10, 10);
  CHECK((p = mi_reallocarray(p, 20, 10)) != NULL && mi_usable_size(p) >= 200);
  CHECK(mi_reallocn(p, SIZE_MAX, 2) == NULL && errno == ENOMEM);
  CHECK((p = mi_recalloc(p, 100, 10)) != NULL && test_all((char*)p + 208, 1000 - 208, 0));
  CHECK((p = mi_rezalloc(p, 2000)) != NULL && test_all((char*)p + 1024, 2000 - 1024, 0));
  errno = 7;
  CHECK(mi_reallocarr(&p, 50, 50) == 0 && mi_usable_size(p) >= 2500 && errno == 7);
  CHECK(mi_reallocarr(&p, SIZE_MAX, 50) == ENOMEM && mi_usable_size(p) >= 2500 && errno == 7);
  CHECK(mi_reallocarr(NULL, 1, 1) == EINVAL);
  CHECK((p = mi_reallocf(p, 5000)) != NULL);
  CHECK(mi_reallocf(p, SIZE_MAX) == NULL && mi_usable_size(p) == 0);
  CHECK(mi_realloc_aligned(NULL, 10, 0) == NULL && errno == EINVAL);
  CHECK((p = mi_realloc_aligned(NULL, 10, 256)) != NULL && (uintptr_t)p % 256 == 0);
  CHECK((p = mi_rezalloc_aligned_at(p, 1000, 256, 8)) != NULL && ((uintptr_t)p + 8) % 256 == 0);
  CHECK((p = mi_recalloc_aligned(p, 100, 30, 512)) != NULL && (uintptr_t)p % 512 == 0);
  CHECK(mi_expand(p, 10) == p);
  mi_cfree(p);
  mi_collect(true);
  test_nothing_left();
}

TEST_MAIN("realloc", TEST(contents_are_kept), TEST(aligned_contents), TEST(zeroing),
          TEST(from_null_and_to_zero), TEST(small_in_place), TEST(single_in_place), TEST(pages_move),
          TEST(pages_move_to_clean), TEST(moves_end), TEST(grows_in_its_room), TEST(grows_in_small_arenas),
          TEST(many_grow), TEST(grows_from_aligned), TEST(pages_are_copied_then),
          TEST(pages_of_several_mappings), TEST(no_mapping_is_left), TEST(every_fault),
          TEST(every_fault_of_growth), TEST(second_part_is_lost), TEST(what_a_move_leaves),
          TEST(mapping_moves), TEST(grows_under_a_limit_of_addresses), TEST(grows_under_a_limit_of_data),
          TEST(grows_to_another_part), TEST(fails_and_keeps), TEST(mapping_fails_and_stays),
          TEST(not_a_block), TEST(family))
