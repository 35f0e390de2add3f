/* stats.h: what is live, by class, owner and heap; the same sums everywhere. */
#include <pthread.h>

#include "core/commit.h"
#include "core/heap.h"
#include "core/stats.h"
#include "test.h"

static void use_of_everybody(void) {
  owners_begin();
  void* p[1000];
  uint64_t bytes = 0;
  for (int i = 0; i < 1000; i++) bytes += mi_block_usable(p[i] = o_malloc(i % NOWNERS, (size_t)i * 100));
  mi_use_t use = mi_stats_use(0);
  CHECK(use.blocks == 1000 && use.bytes == bytes);
  uint64_t blocks = 0;
  for (int o = 0; o < NOWNERS; o++) blocks += mi_stats_use(owners[o]->id).blocks;
  /* there, what an owner asked for once is soon nobody's */
  CHECK(MI_HARD ? blocks <= 1000 : blocks == 1000);
  for (int i = 0; i < 1000; i += 2) { bytes -= mi_block_usable(p[i]); o_free((i + 3) % NOWNERS, p[i]); }
  use = mi_stats_use(0);
  CHECK(use.blocks == 500 && use.bytes == bytes);
  for (int i = 1; i < 1000; i += 2) o_free(i % NOWNERS, p[i]);
  CHECK_EQ(mi_stats_use(0).blocks, 0);
  owners_end();
}

static uint64_t sum(const mi_parts_t* parts, uint64_t* bytes) {
  uint64_t blocks = 0;
  *bytes = 0;
  for (size_t i = 0; i < parts->n; i++) {
    blocks += parts->parts[i].blocks;
    *bytes += parts->parts[i].bytes;
  }
  return blocks;
}

static void snapshot(void) {
  owners_begin();
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, true);
  void* huge = o_malloc(0, MI_ARENA_SIZE / 2 + MI_MiB);
  for (size_t i = 0; i < 1000; i++)
    CHECK(o_malloc((int)(i % NOWNERS), i * 90) != NULL
          && mi_alloc_malloc(mi_heap_lheap(heap, owners[i % 3]), i) != NULL);
  mi_snapshot_t s;
  CHECK(mi_snapshot_take(&s));
  uint64_t bytes;
  CHECK_EQ(s.totals.used_blocks, 2001);
  CHECK_EQ(s.totals.mappings, 1);
  CHECK_EQ(s.totals.capabilities, NOWNERS);
  CHECK(s.totals.used_bytes <= s.totals.committed_bytes
        && s.totals.committed_bytes <= s.totals.reserved_bytes);
  /* a mapping is of the large blocks', and nobody's */
  CHECK_EQ(sum(&s.classes, &bytes), s.totals.used_blocks);
  CHECK_EQ(bytes, s.totals.used_bytes);
  CHECK_EQ(sum(&s.owners, &bytes), s.totals.used_blocks);
  CHECK(bytes == s.totals.used_bytes && bytes > mi_block_usable(huge));
  sum(&s.heaps, &bytes);
  CHECK_EQ(s.heaps.n, 2);
  CHECK(s.totals.fresh_pages > 0);
  mi_snapshot_drop(&s);
  mi_os_fail_in(1, 1);
  CHECK(!mi_snapshot_take(&s));
  mi_os_fail_in(0, 0);
  o_free(0, huge);
  mi_heap_end(heap, false);
  mi_stats_restart();
  CHECK(mi_snapshot_take(&s) && s.totals.fresh_pages == 0 && s.totals.used_blocks == 1000);
  mi_snapshot_drop(&s);
  owners_end();
}

/* Who takes statistics may have read the counters before somebody else restarted them: none is below 0. Here
   the base is the newer one for good. */
static void restarted_meanwhile(void) {
  owners_begin();
  for (size_t i = 0; i < 1000; i++) CHECK(o_malloc((int)(i % NOWNERS), i * 90) != NULL);
  mi_lheap_counts_t* c = &owners[0]->main.xcounts;
  mi_store_relaxed(&c->adopted_pages, 7);
  mi_store_relaxed(&c->full_pages, 7);
  mi_store_relaxed(&c->retired_pages, 7);
  mi_store_relaxed(&c->remote_freed, 7);
  mi_add_relaxed(&mi_commit_totals.xpurged, MI_SLICE_SIZE);
  mi_stats_restart();
  for (int o = 0; o < NOWNERS; o++) mi_store_relaxed(&owners[o]->main.xcounts.fresh_pages, 0);
  mi_store_relaxed(&c->adopted_pages, 1);
  mi_store_relaxed(&c->full_pages, 1);
  mi_store_relaxed(&c->retired_pages, 1);
  mi_store_relaxed(&c->remote_freed, 1);
  mi_sub_relaxed(&mi_commit_totals.xpurged, MI_SLICE_SIZE);
  mi_snapshot_t s;
  CHECK(mi_snapshot_take(&s));
  CHECK_EQ(s.totals.fresh_pages, 0);
  CHECK_EQ(s.totals.adopted_pages, 0);
  CHECK_EQ(s.totals.full_pages, 0);
  CHECK_EQ(s.totals.retired_pages, 0);
  CHECK_EQ(s.totals.remote_freed_blocks, 0);
  CHECK_EQ(s.totals.purged_bytes, 0);
  mi_snapshot_drop(&s);
  owners_end();
}

/* Read while others go on: near what is live. */
static void meanwhile(void) {
  pthread_t t[3];
  for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&t[i], NULL, &test_churn, (void*)(i + 1)), 0);
  for (int i = 0; i < 2000; i++) {
    const mi_use_t use = mi_stats_use(0);
    CHECK_AT(use.blocks <= 3000 && use.bytes <= 3000 * 4096, "blocks = %zu", (size_t)use.blocks);
  }
  mi_store_relaxed(&test_stop, true);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  CHECK_EQ(mi_stats_use(0).blocks, 0);
}

TEST_MAIN("stats", TEST(use_of_everybody), TEST(snapshot), TEST(restarted_meanwhile), TEST(meanwhile))
