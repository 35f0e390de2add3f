/* C++'s operators new and delete, all of them, on mi_new and mi_free. Include it in one file of the program,
   and in no more: it defines them. The preload library and the shared library have them already. */
#ifndef MIMALLOC_NEW_DELETE_H
#define MIMALLOC_NEW_DELETE_H

#ifdef __cplusplus
#include <cstddef>
#include <new>

#include "mimalloc.h"

#if MI_CXX11
#define mi_may_throw
#else
#define mi_may_throw throw(std::bad_alloc)
#endif

void* operator new(std::size_t n) mi_may_throw { return mi_new(n); }
void* operator new[](std::size_t n) mi_may_throw { return mi_new(n); }
void* operator new(std::size_t n, const std::nothrow_t&) mi_attr_noexcept { return mi_new_nothrow(n); }
void* operator new[](std::size_t n, const std::nothrow_t&) mi_attr_noexcept { return mi_new_nothrow(n); }
void operator delete(void* p) mi_attr_noexcept { mi_free(p); }
void operator delete[](void* p) mi_attr_noexcept { mi_free(p); }
void operator delete(void* p, const std::nothrow_t&) mi_attr_noexcept { mi_free(p); }
void operator delete[](void* p, const std::nothrow_t&) mi_attr_noexcept { mi_free(p); }

#if __cplusplus >= 201402L || defined(__cpp_sized_deallocation)
void operator delete(void* p, std::size_t n) noexcept { mi_free_size(p, n); }
void operator delete[](void* p, std::size_t n) noexcept { mi_free_size(p, n); }
#endif

#if defined(__cpp_aligned_new)
void* operator new(std::size_t n, std::align_val_t a) { return mi_new_aligned(n, std::size_t(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return mi_new_aligned(n, std::size_t(a)); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return mi_new_aligned_nothrow(n, std::size_t(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return mi_new_aligned_nothrow(n, std::size_t(a));
}
void operator delete(void* p, std::align_val_t a) noexcept { mi_free_aligned(p, std::size_t(a)); }
void operator delete[](void* p, std::align_val_t a) noexcept { mi_free_aligned(p, std::size_t(a)); }
void operator delete(void* p, std::size_t n, std::align_val_t a) noexcept {
  mi_free_size_aligned(p, n, std::size_t(a));
}
void operator delete[](void* p, std::size_t n, std::align_val_t a) noexcept {
  mi_free_size_aligned(p, n, std::size_t(a));
}
void operator delete(void* p, std::align_val_t a, const std::nothrow_t&) noexcept {
  mi_free_aligned(p, std::size_t(a));
}
void operator delete[](void* p, std::align_val_t a, const std::nothrow_t&) noexcept {
  mi_free_aligned(p, std::size_t(a));
}
#endif

#undef mi_may_throw
#endif

#endif
