/* Each function of the interface has the type that programs expect: an assignment that does not compile
   otherwise. Included by api.c. */
static void test_signatures(const char* name) {
  int n = 0;
  { void (*f)(void*) = &mi_free; n += f != NULL; }
  { void (*f)(void*) = &mi_cfree; n += f != NULL; }
  { void* (*f)(size_t) = &mi_malloc; n += f != NULL; }
  { void* (*f)(size_t, size_t) = &mi_calloc; n += f != NULL; }
  { void* (*f)(void*, size_t) = &mi_realloc; n += f != NULL; }
  { void* (*f)(void*, size_t) = &mi_expand; n += f != NULL; }
  { char* (*f)(const char*) = &mi_strdup; n += f != NULL; }
  { char* (*f)(const char*, size_t) = &mi_strndup; n += f != NULL; }
  { char* (*f)(const char*, char*) = &mi_realpath; n += f != NULL; }
  { void* (*f)(size_t) = &mi_malloc_small; n += f != NULL; }
  { void* (*f)(size_t) = &mi_zalloc_small; n += f != NULL; }
  { void* (*f)(size_t) = &mi_zalloc; n += f != NULL; }
  { void* (*f)(size_t, size_t) = &mi_mallocn; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t) = &mi_reallocn; n += f != NULL; }
  { void* (*f)(void*, size_t) = &mi_reallocf; n += f != NULL; }
  { size_t (*f)(const void*) = &mi_usable_size; n += f != NULL; }
  { size_t (*f)(size_t) = &mi_good_size; n += f != NULL; }
  { void (*f)(mi_deferred_free_fun*, void*) = &mi_register_deferred_free; n += f != NULL; }
  { void (*f)(mi_output_fun*, void*) = &mi_register_output; n += f != NULL; }
  { void (*f)(mi_error_fun*, void*) = &mi_register_error; n += f != NULL; }
  { void (*f)(bool) = &mi_collect; n += f != NULL; }
  { int (*f)(void) = &mi_version; n += f != NULL; }
  { void (*f)(void) = &mi_stats_reset; n += f != NULL; }
  { void (*f)(void) = &mi_stats_merge; n += f != NULL; }
  { void (*f)(void*) = &mi_stats_print; n += f != NULL; }
  { void (*f)(mi_output_fun*, void*) = &mi_stats_print_out; n += f != NULL; }
  { void (*f)(mi_output_fun*, void*) = &mi_thread_stats_print_out; n += f != NULL; }
  { void (*f)(void) = &mi_options_print; n += f != NULL; }
  { void (*f)(void) = &mi_process_init; n += f != NULL; }
  { void (*f)(void) = &mi_process_done; n += f != NULL; }
  { void (*f)(void) = &mi_thread_init; n += f != NULL; }
  { void (*f)(void) = &mi_thread_done; n += f != NULL; }
  {
    void (*f)(size_t*, size_t*, size_t*, size_t*, size_t*, size_t*, size_t*, size_t*) = &mi_process_info;
    n += f != NULL;
  }
  { void* (*f)(size_t, size_t) = &mi_malloc_aligned; n += f != NULL; }
  { void* (*f)(size_t, size_t, size_t) = &mi_malloc_aligned_at; n += f != NULL; }
  { void* (*f)(size_t, size_t) = &mi_zalloc_aligned; n += f != NULL; }
  { void* (*f)(size_t, size_t, size_t) = &mi_zalloc_aligned_at; n += f != NULL; }
  { void* (*f)(size_t, size_t, size_t) = &mi_calloc_aligned; n += f != NULL; }
  { void* (*f)(size_t, size_t, size_t, size_t) = &mi_calloc_aligned_at; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t) = &mi_realloc_aligned; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t, size_t) = &mi_realloc_aligned_at; n += f != NULL; }
  { mi_heap_t* (*f)(void) = &mi_heap_new; n += f != NULL; }
  { void (*f)(mi_heap_t*, const char*) = &mi_heap_set_name; n += f != NULL; }
  { void (*f)(mi_heap_t*) = &mi_heap_delete; n += f != NULL; }
  { void (*f)(mi_heap_t*) = &mi_heap_destroy; n += f != NULL; }
  { mi_heap_t* (*f)(mi_heap_t*) = &mi_heap_set_default; n += f != NULL; }
  { mi_heap_t* (*f)(void) = &mi_heap_get_default; n += f != NULL; }
  { mi_heap_t* (*f)(void) = &mi_heap_get_backing; n += f != NULL; }
  { void (*f)(mi_heap_t*, bool) = &mi_heap_collect; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t) = &mi_heap_malloc; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t) = &mi_heap_zalloc; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t) = &mi_heap_calloc; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t) = &mi_heap_mallocn; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t) = &mi_heap_malloc_small; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t) = &mi_heap_realloc; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t, size_t) = &mi_heap_reallocn; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t) = &mi_heap_reallocf; n += f != NULL; }
  { char* (*f)(mi_heap_t*, const char*) = &mi_heap_strdup; n += f != NULL; }
  { char* (*f)(mi_heap_t*, const char*, size_t) = &mi_heap_strndup; n += f != NULL; }
  { char* (*f)(mi_heap_t*, const char*, char*) = &mi_heap_realpath; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t) = &mi_heap_malloc_aligned; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t, size_t) = &mi_heap_malloc_aligned_at; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t) = &mi_heap_zalloc_aligned; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t, size_t) = &mi_heap_zalloc_aligned_at; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t, size_t) = &mi_heap_calloc_aligned; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t, size_t, size_t) = &mi_heap_calloc_aligned_at; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t, size_t) = &mi_heap_realloc_aligned; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t, size_t, size_t) = &mi_heap_realloc_aligned_at; n += f != NULL; }
  { void* (*f)(void*, size_t) = &mi_rezalloc; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t) = &mi_recalloc; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t) = &mi_rezalloc_aligned; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t, size_t) = &mi_rezalloc_aligned_at; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t, size_t) = &mi_recalloc_aligned; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t, size_t, size_t) = &mi_recalloc_aligned_at; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t) = &mi_heap_rezalloc; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t, size_t) = &mi_heap_recalloc; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t, size_t) = &mi_heap_rezalloc_aligned; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t, size_t, size_t) = &mi_heap_rezalloc_aligned_at; n += f != NULL; }
  { void* (*f)(mi_heap_t*, void*, size_t, size_t, size_t) = &mi_heap_recalloc_aligned; n += f != NULL; }
  {
    void* (*f)(mi_heap_t*, void*, size_t, size_t, size_t, size_t) = &mi_heap_recalloc_aligned_at;
    n += f != NULL;
  }
  { bool (*f)(mi_heap_t*, const void*) = &mi_heap_contains_block; n += f != NULL; }
  { bool (*f)(mi_heap_t*, const void*) = &mi_heap_check_owned; n += f != NULL; }
  { bool (*f)(const void*) = &mi_check_owned; n += f != NULL; }
  { bool (*f)(const mi_heap_t*, bool, mi_block_visit_fun*, void*) = &mi_heap_visit_blocks; n += f != NULL; }
  { bool (*f)(const void*) = &mi_is_in_heap_region; n += f != NULL; }
  { bool (*f)(void) = &mi_is_redirected; n += f != NULL; }
  { int (*f)(size_t, size_t, size_t) = &mi_reserve_huge_os_pages_interleave; n += f != NULL; }
  { int (*f)(size_t, int, size_t) = &mi_reserve_huge_os_pages_at; n += f != NULL; }
  { int (*f)(size_t, bool, bool) = &mi_reserve_os_memory; n += f != NULL; }
  { bool (*f)(void*, size_t, bool, bool, bool, int) = &mi_manage_os_memory; n += f != NULL; }
  { void (*f)(void) = &mi_arenas_print; n += f != NULL; }
  { void* (*f)(mi_arena_id_t, size_t*) = &mi_arena_area; n += f != NULL; }
  { int (*f)(size_t, int, size_t, bool, mi_arena_id_t*) = &mi_reserve_huge_os_pages_at_ex; n += f != NULL; }
  { int (*f)(size_t, bool, bool, bool, mi_arena_id_t*) = &mi_reserve_os_memory_ex; n += f != NULL; }
  {
    bool (*f)(void*, size_t, bool, bool, bool, int, bool, mi_arena_id_t*) = &mi_manage_os_memory_ex;
    n += f != NULL;
  }
  { mi_heap_t* (*f)(mi_arena_id_t) = &mi_heap_new_in_arena; n += f != NULL; }
  { mi_heap_t* (*f)(int, bool, mi_arena_id_t) = &mi_heap_new_ex; n += f != NULL; }
  { mi_subproc_id_t (*f)(void) = &mi_subproc_main; n += f != NULL; }
  { mi_subproc_id_t (*f)(void) = &mi_subproc_new; n += f != NULL; }
  { void (*f)(mi_subproc_id_t) = &mi_subproc_delete; n += f != NULL; }
  { void (*f)(mi_subproc_id_t) = &mi_subproc_add_current_thread; n += f != NULL; }
  { bool (*f)(mi_option_t) = &mi_option_is_enabled; n += f != NULL; }
  { void (*f)(mi_option_t) = &mi_option_enable; n += f != NULL; }
  { void (*f)(mi_option_t) = &mi_option_disable; n += f != NULL; }
  { void (*f)(mi_option_t, bool) = &mi_option_set_enabled; n += f != NULL; }
  { void (*f)(mi_option_t, bool) = &mi_option_set_enabled_default; n += f != NULL; }
  { long (*f)(mi_option_t) = &mi_option_get; n += f != NULL; }
  { long (*f)(mi_option_t, long, long) = &mi_option_get_clamp; n += f != NULL; }
  { size_t (*f)(mi_option_t) = &mi_option_get_size; n += f != NULL; }
  { void (*f)(mi_option_t, long) = &mi_option_set; n += f != NULL; }
  { void (*f)(mi_option_t, long) = &mi_option_set_default; n += f != NULL; }
  { size_t (*f)(const void*) = &mi_malloc_size; n += f != NULL; }
  { size_t (*f)(size_t) = &mi_malloc_good_size; n += f != NULL; }
  { size_t (*f)(const void*) = &mi_malloc_usable_size; n += f != NULL; }
  { int (*f)(void**, size_t, size_t) = &mi_posix_memalign; n += f != NULL; }
  { void* (*f)(size_t, size_t) = &mi_memalign; n += f != NULL; }
  { void* (*f)(size_t) = &mi_valloc; n += f != NULL; }
  { void* (*f)(size_t) = &mi_pvalloc; n += f != NULL; }
  { void* (*f)(size_t, size_t) = &mi_aligned_alloc; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t) = &mi_reallocarray; n += f != NULL; }
  { int (*f)(void*, size_t, size_t) = &mi_reallocarr; n += f != NULL; }
  { void (*f)(void*, size_t) = &mi_free_size; n += f != NULL; }
  { void (*f)(void*, size_t, size_t) = &mi_free_size_aligned; n += f != NULL; }
  { void (*f)(void*, size_t) = &mi_free_aligned; n += f != NULL; }
  { unsigned short* (*f)(const unsigned short*) = &mi_wcsdup; n += f != NULL; }
  { unsigned char* (*f)(const unsigned char*) = &mi_mbsdup; n += f != NULL; }
  { int (*f)(char**, size_t*, const char*) = &mi_dupenv_s; n += f != NULL; }
  { int (*f)(unsigned short**, size_t*, const unsigned short*) = &mi_wdupenv_s; n += f != NULL; }
  { void* (*f)(size_t) = &mi_new; n += f != NULL; }
  { void* (*f)(size_t, size_t) = &mi_new_aligned; n += f != NULL; }
  { void* (*f)(size_t) = &mi_new_nothrow; n += f != NULL; }
  { void* (*f)(size_t, size_t) = &mi_new_aligned_nothrow; n += f != NULL; }
  { void* (*f)(size_t, size_t) = &mi_new_n; n += f != NULL; }
  { void* (*f)(void*, size_t) = &mi_new_realloc; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t) = &mi_new_reallocn; n += f != NULL; }
  { void (*f)(size_t, mi_stats_t*) = &mi_stats_get; n += f != NULL; }
  { char* (*f)(size_t, char*) = &mi_stats_get_json; n += f != NULL; }
  { mi_heap_t* (*f)(const void*) = &mi_heap_of; n += f != NULL; }
  { void (*f)(size_t) = &mi_collect_reduce; n += f != NULL; }
  { void* (*f)(size_t, size_t*) = &mi_umalloc; n += f != NULL; }
  { void* (*f)(size_t, size_t*) = &mi_umalloc_small; n += f != NULL; }
  { void* (*f)(size_t, size_t, size_t*) = &mi_ucalloc; n += f != NULL; }
  { void* (*f)(size_t, size_t*) = &mi_uzalloc_small; n += f != NULL; }
  { void* (*f)(size_t, size_t, size_t*) = &mi_umalloc_aligned; n += f != NULL; }
  { void* (*f)(size_t, size_t, size_t*) = &mi_uzalloc_aligned; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t*, size_t*) = &mi_urealloc; n += f != NULL; }
  { void (*f)(void*, size_t*) = &mi_ufree; n += f != NULL; }
  { void* (*f)(void*, size_t) = &mi__expand; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t, size_t) = &mi_aligned_recalloc; n += f != NULL; }
  { void* (*f)(void*, size_t, size_t, size_t, size_t) = &mi_aligned_offset_recalloc; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t) = &mi_heap_alloc_new; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t, size_t) = &mi_heap_alloc_new_n; n += f != NULL; }
  {
    bool (*f)(mi_subproc_id_t, int, bool, mi_block_visit_fun*, void*) = &mi_abandoned_visit_blocks;
    n += f != NULL;
  }
  { void (*f)(void) = &mi_debug_show_arenas; n += f != NULL; }
  { void (*f)(mi_heap_t*, size_t, size_t) = &mi_heap_guarded_set_sample_rate; n += f != NULL; }
  { void (*f)(mi_heap_t*, size_t, size_t) = &mi_heap_guarded_set_size_bound; n += f != NULL; }
  { void (*f)(void) = &mi_thread_set_in_threadpool; n += f != NULL; }
  { bool (*f)(mi_heap_t*, void*, size_t) = &mi_unsafe_heap_page_is_under_utilized; n += f != NULL; }
  { mi_heap_t* (*f)(void) = &mi_heap_main; n += f != NULL; }
  { bool (*f)(const mi_heap_t*, const void*) = &mi_heap_contains; n += f != NULL; }
  { bool (*f)(const void*) = &mi_any_heap_contains; n += f != NULL; }
  { bool (*f)(mi_heap_t*, mi_stats_t*) = &mi_heap_stats_get; n += f != NULL; }
  { char* (*f)(mi_heap_t*, size_t, char*) = &mi_heap_stats_get_json; n += f != NULL; }
  { void (*f)(mi_heap_t*, mi_output_fun*, void*) = &mi_heap_stats_print_out; n += f != NULL; }
  { mi_theap_t* (*f)(mi_heap_t*) = &mi_heap_theap; n += f != NULL; }
  { mi_theap_t* (*f)(void) = &mi_theap_get_default; n += f != NULL; }
  { mi_theap_t* (*f)(mi_theap_t*) = &mi_theap_set_default; n += f != NULL; }
  { void (*f)(mi_theap_t*, bool) = &mi_theap_collect; n += f != NULL; }
  { void* (*f)(mi_theap_t*, size_t) = &mi_theap_malloc; n += f != NULL; }
  { void* (*f)(mi_theap_t*, size_t) = &mi_theap_zalloc; n += f != NULL; }
  { void* (*f)(mi_theap_t*, size_t, size_t) = &mi_theap_calloc; n += f != NULL; }
  { void* (*f)(mi_theap_t*, size_t) = &mi_theap_malloc_small; n += f != NULL; }
  { void* (*f)(mi_theap_t*, size_t) = &mi_theap_zalloc_small; n += f != NULL; }
  { void* (*f)(mi_theap_t*, size_t, size_t) = &mi_theap_malloc_aligned; n += f != NULL; }
  { void* (*f)(mi_theap_t*, void*, size_t) = &mi_theap_realloc; n += f != NULL; }
  { void (*f)(mi_theap_t*, size_t, size_t) = &mi_theap_guarded_set_sample_rate; n += f != NULL; }
  { void (*f)(mi_theap_t*, size_t, size_t) = &mi_theap_guarded_set_size_bound; n += f != NULL; }
  { void (*f)(void) = &mi_arenas_purge; n += f != NULL; }
  { void (*f)(void) = &mi_collect_all; n += f != NULL; }
  { void (*f)(void) = &mi_thread_idle; n += f != NULL; }
  { void (*f)(void*) = &mi_free_small; n += f != NULL; }
  { int (*f)(void**, size_t, size_t) = &mi__posix_memalign; n += f != NULL; }
  { void* (*f)(mi_heap_t*, size_t) = &mi_heap_zalloc_small; n += f != NULL; }
  { size_t (*f)(void) = &mi_arena_min_alignment; n += f != NULL; }
  { void (*f)(mi_subproc_id_t) = &mi_subproc_destroy; n += f != NULL; }
  { mi_subproc_id_t (*f)(void) = &mi_subproc_current; n += f != NULL; }
  { void (*f)(void) = &mi_process_info_print; n += f != NULL; }
  { void (*f)(mi_output_fun*, void*) = &mi_process_info_print_out; n += f != NULL; }
  { void (*f)(mi_output_fun*, void*) = &mi_options_print_out; n += f != NULL; }
  { void (*f)(mi_heap_t*, int) = &mi_heap_set_numa_affinity; n += f != NULL; }
  { bool (*f)(mi_subproc_id_t, mi_stats_t*) = &mi_subproc_stats_get; n += f != NULL; }
  { char* (*f)(mi_subproc_id_t, size_t, char*) = &mi_subproc_stats_get_json; n += f != NULL; }
  { void (*f)(mi_subproc_id_t, mi_output_fun*, void*) = &mi_subproc_stats_print_out; n += f != NULL; }
  { void (*f)(mi_heap_t*) = &mi_heap_stats_merge_to_subproc; n += f != NULL; }
  CHECK(n == 194);
}
