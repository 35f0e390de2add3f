/* Functions of mimalloc.h, and the general ones of thread.h, under names that no other library has, for the
   imports of src/Mimalloc/Internal/FFI.hs: code that was inlined into a program finds them by name, and
   another mimalloc, preloaded or linked, has the public ones. (Names with `cap`, and those in C--, are only
   here.) What they call is this package's in any case: its public names are protected (mimalloc.h). Any
   thread, all of them. */
#include "core/profile.h"
#include "include/mimalloc-cap.h"
#include "include/mimalloc-stats.h"
#include "include/mimalloc.h"
#include "thread.h"
#include "thread_print.h"

#define HS(type, name, parameters, arguments) \
  mi_decl_export type hs_##name parameters; \
  type hs_##name parameters { return name arguments; }

/* In a safe call no capability is held, so it is told the label of the Haskell thread, which goes by the OS
   thread's while a profile is made. */
#define LABELLED(name, parameters, arguments) \
  mi_decl_export void* hs_##name parameters; \
  void* hs_##name parameters { \
    const bool labelled = label != NULL && mi_profile_rate() != 0; \
    const char* outer = labelled ? mi_profile_set_label(label) : NULL; \
    void* block = name arguments; \
    if (labelled) mi_profile_set_label(outer); \
    return block; \
  }

HS(void, mi_live, (uint64_t* blocks, uint64_t* bytes), (blocks, bytes))
HS(size_t, mi_areas, (uint64_t* words, size_t max), (words, max))
LABELLED(mi_thread_aligned, (size_t size, size_t align, size_t offset, bool zero, const char* label),
   (size, align, offset, zero))
LABELLED(mi_thread_resize, (void* p, size_t size, size_t align, size_t offset, bool zero, const char* label),
   (p, size, align, offset, zero))
HS(char*, mi_realpath, (const char* fname, char* resolved_name), (fname, resolved_name))
HS(size_t, mi_usable_size, (const void* p), (p))
HS(size_t, mi_good_size, (size_t size), (size))
HS(void*, mi_expand, (void* p, size_t newsize), (p, newsize))
HS(bool, mi_is_in_heap_region, (const void* p), (p))
HS(int, mi_version, (void), ())
HS(void, mi_process_info,
   (size_t* elapsed_msecs, size_t* user_msecs, size_t* system_msecs, size_t* current_rss, size_t* peak_rss,
    size_t* current_commit, size_t* peak_commit, size_t* page_faults),
   (elapsed_msecs, user_msecs, system_msecs, current_rss, peak_rss, current_commit, peak_commit, page_faults))
HS(mi_heap_t*, mi_heap_new, (void), ())
HS(mi_heap_t*, mi_heap_new_ex, (int tag, bool allow_destroy, mi_arena_id_t arena_id), (tag, allow_destroy,
   arena_id))
HS(mi_heap_t*, mi_heap_new_in_arena, (mi_arena_id_t arena_id), (arena_id))
HS(void, mi_heap_set_name, (mi_heap_t* heap, const char* name), (heap, name))
HS(mi_heap_t*, mi_heap_of, (const void* p), (p))
HS(bool, mi_heap_contains_block, (mi_heap_t* heap, const void* p), (heap, p))
HS(bool, mi_heap_check_owned, (mi_heap_t* heap, const void* p), (heap, p))
LABELLED(mi_thread_heap_aligned, (mi_heap_t* heap, size_t size, size_t align, size_t offset, bool zero,
   const char* label), (heap, size, align, offset, zero))
LABELLED(mi_thread_heap_resize, (mi_heap_t* heap, void* p, size_t size, size_t align, size_t offset,
   bool zero, const char* label), (heap, p, size, align, offset, zero))
HS(char*, mi_heap_realpath, (mi_heap_t* heap, const char* fname, char* resolved_name), (heap, fname,
   resolved_name))
HS(bool, mi_heap_visit_blocks, (const mi_heap_t* heap, bool visit_blocks, mi_block_visit_fun* visitor, void*
   arg), (heap, visit_blocks, visitor, arg))
HS(int, mi_reserve_os_memory, (size_t size, bool commit, bool allow_large), (size, commit, allow_large))
HS(int, mi_reserve_os_memory_ex, (size_t size, bool commit, bool allow_large, bool exclusive, mi_arena_id_t*
   arena_id), (size, commit, allow_large, exclusive, arena_id))
HS(bool, mi_manage_os_memory, (void* start, size_t size, bool is_committed, bool is_large, bool is_zero, int
   numa_node), (start, size, is_committed, is_large, is_zero, numa_node))
HS(bool, mi_manage_os_memory_ex, (void* start, size_t size, bool is_committed, bool is_large, bool is_zero,
   int numa_node, bool exclusive, mi_arena_id_t* arena_id), (start, size, is_committed, is_large, is_zero,
   numa_node, exclusive, arena_id))
HS(int, mi_reserve_huge_os_pages_interleave, (size_t pages, size_t numa_nodes, size_t timeout_msecs), (pages,
   numa_nodes, timeout_msecs))
HS(int, mi_reserve_huge_os_pages_at, (size_t pages, int numa_node, size_t timeout_msecs), (pages, numa_node,
   timeout_msecs))
HS(int, mi_reserve_huge_os_pages_at_ex, (size_t pages, int numa_node, size_t timeout_msecs, bool exclusive,
   mi_arena_id_t* arena_id), (pages, numa_node, timeout_msecs, exclusive, arena_id))
HS(void*, mi_arena_area, (mi_arena_id_t arena_id, size_t* size), (arena_id, size))
HS(mi_subproc_id_t, mi_subproc_main, (void), ())
HS(mi_subproc_id_t, mi_subproc_new, (void), ())
HS(void, mi_subproc_delete, (mi_subproc_id_t subproc), (subproc))
HS(void, mi_subproc_add_current_thread, (mi_subproc_id_t subproc), (subproc))
HS(bool, mi_option_is_enabled, (mi_option_t option), (option))
HS(void, mi_option_enable, (mi_option_t option), (option))
HS(void, mi_option_disable, (mi_option_t option), (option))
HS(void, mi_option_set_enabled, (mi_option_t option, bool enable), (option, enable))
HS(void, mi_option_set_enabled_default, (mi_option_t option, bool enable), (option, enable))
HS(long, mi_option_get, (mi_option_t option), (option))
HS(long, mi_option_get_clamp, (mi_option_t option, long min, long max), (option, min, max))
HS(size_t, mi_option_get_size, (mi_option_t option), (option))
HS(void, mi_option_set, (mi_option_t option, long value), (option, value))
HS(void, mi_option_set_default, (mi_option_t option, long value), (option, value))
HS(bool, mi_is_redirected, (void), ())
HS(void, mi_thread_init, (void), ())
HS(void, mi_thread_done, (void), ())
HS(void, mi_process_init, (void), ())
HS(void, mi_process_done, (void), ())
HS(void, mi_collect, (bool force), (force))
HS(void, mi_stats_reset, (void), ())
HS(void, mi_stats_merge, (void), ())
HS(void, mi_stats_print, (void* out), (out))
HS(void, mi_stats_print_resident, (size_t total, size_t ghc, size_t ours), (total, ghc, ours))
HS(size_t, mi_heap_contents, (mi_heap_t* heap, mi_heap_content_t* rows, size_t max), (heap, rows, max))
HS(void, mi_heap_print, (mi_heap_t* heap), (heap))
HS(void, mi_profile_histograms, (mi_profile_histograms_t* histograms), (histograms))
HS(mi_arena_id_t, mi_arena_next, (mi_arena_id_t arena_id), (arena_id))
HS(size_t, mi_arena_map, (mi_arena_id_t arena_id, mi_arena_run_t* runs, size_t max), (arena_id, runs, max))
HS(size_t, mi_stats_words, (uint64_t* words, size_t max), (words, max))
HS(void, mi_profile_start, (size_t rate), (rate))
HS(void, mi_profile_stop, (void), ())
HS(size_t, mi_profile_rate, (void), ())
HS(uint64_t, mi_profile_mark, (void), ())
HS(char*, mi_profile_text, (int format, int what, uint64_t before, size_t* length),
   ((mi_profile_format_t)format, (mi_profile_what_t)what, before, length))
HS(void, mi_profile_text_free, (char* text), (text))
HS(char*, mi_stats_get_json, (size_t buf_size, char* buf), (buf_size, buf))

/* A structure that C returns, as words. */
mi_decl_export void hs_mi_profile_counts(uint64_t words[4]);
void hs_mi_profile_counts(uint64_t words[4]) {
  const mi_profile_counts_t n = mi_profile_counts();
  words[0] = n.live, words[1] = n.taken, words[2] = n.dropped, words[3] = n.stacks;
}
