/* The thread ring's heap functions: those of thread.c with a heap as first argument; and sub-processes. Any
   thread. Described in mimalloc.h. */
#include <string.h>

#include "core/memory.h"
#include "core/heap.h"
#include "core/report.h"
#include "core/purger.h"
#include "core/family.h"
#include "thread.h"

/* `expression` in terms of lh, this thread's local heap of `heap`; NULL if there can be none. */
#define WITH_HEAP(expression) \
  mi_lheap_t* lh = mi_thread_lheap_of(heap); \
  return lh == NULL ? NULL : mi_thread_leave(expression)

void* mi_thread_heap_aligned(mi_heap_t* heap, size_t size, size_t align, size_t offset, bool zero) {
  WITH_HEAP(mi_aligned_block(lh, size, align, offset, zero));
}

void* mi_thread_heap_resize(mi_heap_t* heap, void* p, size_t size, size_t align, size_t offset, bool zero) {
  WITH_HEAP(mi_realloc_block(lh, p, size, align, offset, zero));
}

void* mi_heap_malloc(mi_heap_t* heap, size_t size) { WITH_HEAP(mi_alloc_malloc(lh, size)); }
void* mi_heap_zalloc(mi_heap_t* heap, size_t size) { WITH_HEAP(mi_alloc_zalloc(lh, size)); }
char* mi_heap_strdup(mi_heap_t* heap, const char* s) { WITH_HEAP(mi_alloc_strdup(lh, s)); }
char* mi_heap_strndup(mi_heap_t* heap, const char* s, size_t n) { WITH_HEAP(mi_alloc_strndup(lh, s, n)); }
char* mi_heap_realpath(mi_heap_t* heap, const char* name, char* resolved) {
  WITH_HEAP(mi_alloc_realpath(lh, name, resolved));
}

void* mi_heap_realloc(mi_heap_t* heap, void* p, size_t size) {
  return mi_thread_heap_resize(heap, p, size, 0, 0, false);
}

/* All others that resize and align. */
#define SELF mi_heap_t* heap,
#define ME   heap,
MI_FAMILY(mi_heap_, SELF, ME, mi_thread_heap_aligned, mi_thread_heap_resize, mi_free)

/* ---- heaps themselves ---- */

mi_heap_t* mi_heap_new_ex(int tag, bool allow_destroy, mi_arena_id_t arena_id) {
  uint16_t arena;
  if (!mi_arena_of_id(arena_id, &arena)) return mi_report_fail(MI_ERROR_ARGUMENT, 0);
  mi_heap_t* heap = mi_heap_make(arena, tag, allow_destroy);
  return heap != NULL ? heap : mi_report_fail(MI_ERROR_NO_MEMORY, sizeof(mi_heap_t));
}
mi_heap_t* mi_heap_new(void) { return mi_heap_new_ex(0, true, 0); }
mi_heap_t* mi_heap_new_in_arena(mi_arena_id_t arena_id) { return mi_heap_new_ex(0, true, arena_id); }

/* Bytes of the character that begins there; 0: none, or one that a name cannot have. */
static size_t name_character(const unsigned char* s) {
  if (s[0] < 0x80) return s[0] >= ' ' && s[0] != 0x7f && s[0] != '"' && s[0] != '\\';
  if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
  const size_t n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < n; i++) if ((s[i] & 0xc0) != 0x80) return 0;
  /* Longer than need be, a surrogate, or beyond the last one; U+0080 to U+009F are controls. */
  const unsigned two = (unsigned)s[0] << 8 | s[1];
  return two < 0xc2a0 || (two & 0xffe0) == 0xe080 || (two & 0xffe0) == 0xeda0 || (two & 0xfff0) == 0xf080
      || two >= 0xf490 ? 0 : n;
}

void mi_heap_set_name(mi_heap_t* heap, const char* name) {
  const unsigned char* s = (const unsigned char*)(name == NULL ? "" : name);
  char text[MI_NAME_WORDS * 8];
  size_t length = 0;
  for (size_t n; *s != 0; s += n) {
    n = name_character(s);
    const char* from = n == 0 ? "?" : (const char*)s;
    if (n == 0) n = 1;
    if (length + n >= sizeof text) break;
    memcpy(text + length, from, n);
    length += n;
  }
  if (heap != NULL) mi_heap_rename(heap, text, length);
}

/* What this thread allocates from by default from here on. */
static void default_to(mi_lheap_t* lh) {
  mi_lheap_t* old = mi_local()->lheap;
  if (lh == old) return;
  mi_heap_lheap_is_default(lh, true);
  mi_local()->lheap = lh;
  mi_heap_lheap_is_default(old, false);
}

static void heap_end(mi_heap_t* heap, bool keep_blocks) {
  if (heap == NULL || heap->is_main) return;
  /* Mine: read by me. */
  if (mi_load_relaxed(&mi_local()->lheap->xheap) == heap) default_to(&mi_local()->lheap->owner->main);
  mi_heap_end(heap, keep_blocks || !heap->allow_destroy);
}
void mi_heap_delete(mi_heap_t* heap) { heap_end(heap, true); }
void mi_heap_destroy(mi_heap_t* heap) { heap_end(heap, false); }

mi_heap_t* mi_heap_set_default(mi_heap_t* heap) {
  mi_heap_t* old = mi_heap_get_default();
  mi_lheap_t* lh = heap == NULL ? NULL : mi_thread_lheap_of(heap);
  if (lh != NULL) default_to(lh);
  return lh == NULL ? old : mi_thread_leave(old);
}

mi_heap_t* mi_heap_get_default(void) {
  const mi_lheap_t* lh = mi_thread_lheap_own();
  return lh == NULL ? NULL : mi_thread_leave(mi_load_relaxed(&lh->xheap));  /* mine: read by me */
}

mi_heap_t* mi_heap_get_backing(void) {
  const mi_lheap_t* lh = mi_thread_lheap_own();
  return lh == NULL ? NULL : mi_thread_leave(mi_load_relaxed(&lh->owner->main.xheap));  /* mine: read by me */
}

void mi_heap_collect(mi_heap_t* heap, bool force) {
  mi_callback_deferred_free(force);
  mi_lheap_t* lh = heap == NULL ? NULL : mi_thread_lheap_of(heap);
  if (lh != NULL) {
    mi_lheap_collect(lh, force);
    mi_report_pending();
    mi_thread_leave(NULL);
  }
  mi_purger_run(force);
  if (!force) mi_purger_ended();
}

/* ---- questions ---- */

mi_heap_t* mi_heap_of(const void* p) {
  mi_block_t* block;
  mi_page_t* page = p == NULL ? NULL : mi_block_find(p, &block, false);
  /* Of a live block: does not change but when its heap ends. */
  return page == NULL ? NULL : mi_load_relaxed(&page->xheap);
}

bool mi_heap_contains_block(mi_heap_t* heap, const void* p) { return heap != NULL && mi_heap_of(p) == heap; }

bool mi_heap_check_owned(mi_heap_t* heap, const void* p) {
  mi_page_t* page = mi_memory_page_of(p);
  return page != NULL && heap != NULL && mi_load_relaxed(&page->xheap) == heap;  /* an answer for now */
}
bool mi_check_owned(const void* p) { return mi_heap_check_owned(mi_heap_get_default(), p); }

/* ---- sub-processes: each has a main heap of its own, and adoption never crosses heaps ---- */

mi_subproc_id_t mi_subproc_main(void) { return NULL; }

mi_subproc_id_t mi_subproc_new(void) {
  mi_heap_t* heap = mi_heap_make(MI_ARENA_NONE, 0, false);
  if (heap == NULL) return mi_report_fail(MI_ERROR_NO_MEMORY, sizeof(mi_heap_t));
  heap->is_main = true;
  return heap;
}

void mi_subproc_delete(mi_subproc_id_t subproc) {
  if (subproc != NULL) mi_heap_end(subproc, true);
}

void mi_subproc_add_current_thread(mi_subproc_id_t subproc) {
  mi_thread_join(subproc == NULL ? &mi_main_heap : subproc);
}
