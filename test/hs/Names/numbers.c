/* The numbers of src/Mimalloc/Internal/Numbers.hs, as C has them. */
#include <stddef.h>

#include "core/pressure.h"
#include "core/stats.h"
#include "core/types.h"
#include "ghc/fast.h"
#include "include/mimalloc-cap.h"
#include "include/mimalloc-profile.h"
#include "include/mimalloc-stats.h"

#define NUMBER(name)        { #name, name }
#define WORDS(type)         { #type, sizeof(type) / 8 }
#define WORD(type, field)   { #type "." #field, offsetof(type, field) / 8 }

static const struct { const char* name; long value; } numbers[] = {
  NUMBER(MI_GRANULE), NUMBER(MI_FAST_KEY_HEAP), NUMBER(MI_FAST_KEY_LIFE), NUMBER(MI_FAST_KEY_TOGETHER),
  NUMBER(MI_FAST_KEY_USED), NUMBER(MI_FAST_KEY_SIZE),
  NUMBER(MI_FAST_CELL_BLOCK), NUMBER(MI_FAST_BOX_BLOCK), NUMBER(MI_FAST_NO_BLOCK),
  NUMBER(MI_ID_STEP), NUMBER(MI_CAPS_MAX), NUMBER(MI_NAME_WORDS),
  NUMBER(MI_CONTENT_AGES), WORDS(mi_heap_content_t),
  NUMBER(MI_PROFILE_SIZES), NUMBER(MI_PROFILE_AGES), WORDS(mi_profile_histograms_t),
  NUMBER(mi_profile_in_use_bytes), NUMBER(mi_profile_in_use_blocks), NUMBER(mi_profile_allocated_bytes),
  NUMBER(mi_profile_allocated_blocks), NUMBER(mi_profile_pprof), NUMBER(mi_profile_folded),
  NUMBER(mi_profile_stacks), NUMBER(mi_profile_symbolized),
  WORDS(mi_totals_t),
  WORD(mi_totals_t, reserved_bytes), WORD(mi_totals_t, committed_bytes), WORD(mi_totals_t, used_bytes),
  WORD(mi_totals_t, used_blocks), WORD(mi_totals_t, pages), WORD(mi_totals_t, arenas),
  WORD(mi_totals_t, mappings),
  WORD(mi_totals_t, threads), WORD(mi_totals_t, capabilities), WORD(mi_totals_t, peak_committed_bytes),
  WORD(mi_totals_t, purged_bytes), WORD(mi_totals_t, fresh_pages), WORD(mi_totals_t, adopted_pages),
  WORD(mi_totals_t, full_pages), WORD(mi_totals_t, retired_pages), WORD(mi_totals_t, remote_freed_blocks),
  WORD(mi_totals_t, structure_bytes), WORD(mi_totals_t, hole_bytes), WORD(mi_totals_t, commit_limit_bytes),
  WORD(mi_totals_t, refused_requests),
  WORDS(mi_cap_stats_t),
  WORD(mi_cap_stats_t, exists), WORD(mi_cap_stats_t, pages), WORD(mi_cap_stats_t, fresh_pages),
  WORD(mi_cap_stats_t, adopted_pages), WORD(mi_cap_stats_t, full_pages), WORD(mi_cap_stats_t, retired_pages),
  WORD(mi_cap_stats_t, remote_freed), WORD(mi_cap_stats_t, used_blocks), WORD(mi_cap_stats_t, used_bytes),
  WORDS(mi_arena_run_t),
  WORD(mi_arena_run_t, first), WORD(mi_arena_run_t, nslices), WORD(mi_arena_run_t, use),
  WORD(mi_arena_run_t, owner), WORD(mi_arena_run_t, heap), WORD(mi_arena_run_t, block_size),
  WORD(mi_arena_run_t, live_blocks), WORD(mi_arena_run_t, hole_bytes),
  WORDS(mi_pressure_stats_t),
  WORD(mi_pressure_stats_t, budget), WORD(mi_pressure_stats_t, held), WORD(mi_pressure_stats_t, next),
  WORD(mi_pressure_stats_t, next_major), WORD(mi_pressure_stats_t, minor), WORD(mi_pressure_stats_t, major),
  WORD(mi_pressure_stats_t, minor_freed), WORD(mi_pressure_stats_t, major_freed),
};

size_t test_numbers(void) { return sizeof numbers / sizeof *numbers; }
const char* test_number_name(size_t i) { return numbers[i].name; }
long test_number(size_t i) { return numbers[i].value; }

/* Each field another value; the same in Numbers.hs. */
size_t test_heap_area_size(void) { return sizeof(mi_heap_area_t); }
size_t test_heap_area_alignment(void) { return _Alignof(mi_heap_area_t); }
void test_heap_area(mi_heap_area_t* area) {
  *area = (mi_heap_area_t){ .blocks = (void*)1, .reserved = 2, .committed = 3, .used = 4, .block_size = 5,
                            .full_block_size = 6, .heap_tag = -7 };
}
