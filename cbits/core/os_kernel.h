/* Linux: the calls for memory, by number. A program may have functions of these names that allocate, so they
   are not called by name. Results and errno are as the C library has them.
   Any thread. os_linux.c calls them. */
#ifndef MI_OS_KERNEL_H
#define MI_OS_KERNEL_H

#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A sanitizer has functions of these names, in which it notes what becomes of addresses: it must see the
   calls. And one kernel takes the arguments of mmap in another shape. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) \
    || __has_feature(thread_sanitizer) || defined(__s390x__)
#define OS_CALL(name, ...) ((long)name(__VA_ARGS__))
#else
#define OS_CALL(name, ...) syscall(SYS_##name, __VA_ARGS__)
#endif

/* Arguments are words, as the kernel takes them. */
static inline void* os_mmap(void* at, size_t size, long access, long flags) {
  return (void*)OS_CALL(mmap, at, size, access, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
}
/* A file, to be read. */
static inline void* os_mmap_file(size_t size, int fd) {
  return (void*)OS_CALL(mmap, NULL, size, (long)PROT_READ, (long)MAP_PRIVATE, (long)fd, 0L);
}
static inline int os_munmap(void* p, size_t size) { return (int)OS_CALL(munmap, p, size); }
static inline int os_mprotect(void* p, size_t size, long access) {
  return (int)OS_CALL(mprotect, p, size, access);
}
static inline int os_madvise(void* p, size_t size, long advice) {
  return (int)OS_CALL(madvise, p, size, advice);
}
static inline void* os_mremap(void* p, size_t old_size, size_t new_size, long flags, void* to) {
  return (void*)OS_CALL(mremap, p, old_size, new_size, flags, to);
}
static inline int os_mincore(void* p, size_t size, unsigned char* resident) {
  return (int)OS_CALL(mincore, p, size, resident);
}

#endif
