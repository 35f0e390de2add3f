/* C++'s new and delete, in the shared library only: a program that is linked with the archive has those of
   the C++ library, which call malloc and free. Any thread.

   A program may have operators of its own, and seldom all of them. The standard says what happens then: a
   form that it has not does its work by one that it may have (the *base* form): new[] by new, a sized delete
   by the one without a size, a nothrow form by the one that throws, within a try. So forms here call others
   by names that the dynamic linker finds: weak, and listed in preload_cxx.list, so that neither the compiler
   nor the linker takes ours for them. Only where all base forms of the process are ours is the size of a
   block known: then a sized delete checks it. */
#define _GNU_SOURCE
#include "core/os_object.h"
#include "include/mimalloc.h"
#include "thread.h"

#define OPERATOR mi_decl_export __attribute__((weak))
#define IS(form) __attribute__((weak, alias(#form))) mi_decl_export

/* Only its address is passed on. */
typedef struct mi_nothrow_s mi_nothrow_t;

/* ---- base forms ---- */

static mi_noinline void* new_slow(size_t n) {
  void* p = mi_thread_malloc_slow(n);
  return mi_likely(p != NULL) ? p : mi_new(n);
}
static void* own_new(size_t n) {
  void* p = mi_alloc_malloc_fast(mi_local()->lheap, n);
  return mi_likely(p != NULL) ? p : new_slow(n);
}
static void* own_new_aligned(size_t n, size_t align) { return mi_new_aligned(n, align); }
static void own_delete(void* p) { mi_thread_free(p); }
static void own_delete_aligned(void* p, size_t align) { mi_thread_free_aligned(p, align); }

IS(own_new) void* _Znwm(size_t n);
IS(own_new_aligned) void* _ZnwmSt11align_val_t(size_t n, size_t align);
IS(own_delete) void _ZdlPv(void* p);
IS(own_delete_aligned) void _ZdlPvSt11align_val_t(void* p, size_t align);

/* Those of arrays are base forms of others of arrays. */
static void* own_new_array(size_t n) { return _Znwm(n); }
static void* own_new_array_aligned(size_t n, size_t align) { return _ZnwmSt11align_val_t(n, align); }
static void own_delete_array(void* p) { _ZdlPv(p); }
static void own_delete_array_aligned(void* p, size_t align) { _ZdlPvSt11align_val_t(p, align); }

IS(own_new_array) void* _Znam(size_t n);
IS(own_new_array_aligned) void* _ZnamSt11align_val_t(size_t n, size_t align);
IS(own_delete_array) void _ZdaPv(void* p);
IS(own_delete_array_aligned) void _ZdaPvSt11align_val_t(void* p, size_t align);

/* ---- whose they are ---- */

enum { NEW, NEW_ARRAY, NEW_ALIGNED, NEW_ARRAY_ALIGNED, NOTHROWS };
static const char* const nothrow_names[NOTHROWS] = {
  "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t",
  "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t" };

/* Every base form is ours; false until that is known. Not static: a compiler that sees where it is written
   repeats the comparisons wherever it is read. */
bool mi_cxx_all_ours;
/* Where not all are ours: the C++ library's forms, if it is there at the start. */
static void* nothrow_of_library[NOTHROWS];

__attribute__((constructor)) static void look_whose(void) {
  mi_cxx_all_ours = &_Znwm == &own_new && &_Znam == &own_new_array && &_ZdlPv == &own_delete
             && &_ZdaPv == &own_delete_array && &_ZnwmSt11align_val_t == &own_new_aligned
             && &_ZnamSt11align_val_t == &own_new_array_aligned
             && &_ZdlPvSt11align_val_t == &own_delete_aligned
             && &_ZdaPvSt11align_val_t == &own_delete_array_aligned;
  if (mi_cxx_all_ours) return;
  for (int i = 0; i < NOTHROWS; i++) nothrow_of_library[i] = mi_os_cxx_function(nothrow_names[i]);
}

/* ---- sized delete ---- */

OPERATOR void _ZdlPvm(void* p, size_t n) {
  if (mi_likely(mi_cxx_all_ours)) mi_thread_free_size(p, n, 1);
  else _ZdlPv(p);
}
OPERATOR void _ZdaPvm(void* p, size_t n) {
  if (mi_likely(mi_cxx_all_ours)) mi_thread_free_size(p, n, 1);
  else _ZdaPv(p);
}
OPERATOR void _ZdlPvmSt11align_val_t(void* p, size_t n, size_t align) {
  if (mi_likely(mi_cxx_all_ours)) mi_thread_free_size(p, n, align);
  else _ZdlPvSt11align_val_t(p, align);
}
OPERATOR void _ZdaPvmSt11align_val_t(void* p, size_t n, size_t align) {
  if (mi_likely(mi_cxx_all_ours)) mi_thread_free_size(p, n, align);
  else _ZdaPvSt11align_val_t(p, align);
}

/* ---- nothrow ---- */

/* A base form that is not ours may throw, and so may the new-handler, which C cannot catch: the C++ library's
   form calls the base form, and catches. Without that library nobody throws. */
static mi_cold void* nothrow(int form, size_t n, const mi_nothrow_t* t) {
  void* (*theirs)(size_t, const mi_nothrow_t*);
  *(void**)&theirs = nothrow_of_library[form];
  if (theirs == NULL) *(void**)&theirs = mi_os_cxx_function(nothrow_names[form]);
  if (theirs != NULL) return theirs(n, t);
  if (mi_cxx_all_ours) return NULL;
  return form == NEW ? _Znwm(n) : _Znam(n);
}
static mi_cold void* nothrow_aligned(int form, size_t n, size_t align, const mi_nothrow_t* t) {
  void* (*theirs)(size_t, size_t, const mi_nothrow_t*);
  *(void**)&theirs = nothrow_of_library[form];
  if (theirs == NULL) *(void**)&theirs = mi_os_cxx_function(nothrow_names[form]);
  if (theirs != NULL) return theirs(n, align, t);
  if (mi_cxx_all_ours) return NULL;
  return form == NEW_ALIGNED ? _ZnwmSt11align_val_t(n, align) : _ZnamSt11align_val_t(n, align);
}

OPERATOR void* _ZnwmRKSt9nothrow_t(size_t n, const mi_nothrow_t* t) {
  void* p = mi_likely(mi_cxx_all_ours) ? mi_thread_malloc(n) : NULL;
  return mi_likely(p != NULL) ? p : nothrow(NEW, n, t);
}
OPERATOR void* _ZnamRKSt9nothrow_t(size_t n, const mi_nothrow_t* t) {
  void* p = mi_likely(mi_cxx_all_ours) ? mi_thread_malloc(n) : NULL;
  return mi_likely(p != NULL) ? p : nothrow(NEW_ARRAY, n, t);
}
OPERATOR void* _ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const mi_nothrow_t* t) {
  void* p = mi_likely(mi_cxx_all_ours) ? mi_malloc_aligned(n, align) : NULL;
  return mi_likely(p != NULL) ? p : nothrow_aligned(NEW_ALIGNED, n, align, t);
}
OPERATOR void* _ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const mi_nothrow_t* t) {
  void* p = mi_likely(mi_cxx_all_ours) ? mi_malloc_aligned(n, align) : NULL;
  return mi_likely(p != NULL) ? p : nothrow_aligned(NEW_ARRAY_ALIGNED, n, align, t);
}

OPERATOR void _ZdlPvRKSt9nothrow_t(void* p, const mi_nothrow_t* t) { (void)t; _ZdlPv(p); }
OPERATOR void _ZdaPvRKSt9nothrow_t(void* p, const mi_nothrow_t* t) { (void)t; _ZdaPv(p); }
OPERATOR void _ZdlPvSt11align_val_tRKSt9nothrow_t(void* p, size_t align, const mi_nothrow_t* t) {
  (void)t;
  _ZdlPvSt11align_val_t(p, align);
}
OPERATOR void _ZdaPvSt11align_val_tRKSt9nothrow_t(void* p, size_t align, const mi_nothrow_t* t) {
  (void)t;
  _ZdaPvSt11align_val_t(p, align);
}
