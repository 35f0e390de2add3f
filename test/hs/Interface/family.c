/* The functions of the capability's ring that C programs call: what each returns, once. 0, or the line of
   what is wrong. Unsafe. */
#include <errno.h>
#include <mimalloc-cap.h>
#include <mimalloc.h>
#include <stdint.h>
#include <string.h>

#define CHECK(condition) do { if (!(condition)) return __LINE__; } while (0)

static bool zero(const uint8_t* p, size_t n) {
  for (size_t i = 0; i < n; i++) if (p[i] != 0) return false;
  return true;
}

/* A block of so many bytes, its byte at `offset` so aligned; zero if that was asked for. Then it is freed. */
static bool is_block(void* p, size_t size, size_t align, size_t offset, bool zeros) {
  if (p == NULL || mi_usable_size(p) < size || ((uintptr_t)p + offset) % align != 0) return false;
  if (zeros && !zero(p, size)) return false;
  memset(p, 0xff, size);
  mi_cap_free(p);
  return true;
}

int test_cap_blocks(void) {
  void* p = NULL;
  CHECK(is_block(mi_cap_malloc(100), 100, 16, 0, false)
        && is_block(mi_cap_malloc_small(100), 100, 16, 0, false));
  CHECK(is_block(mi_cap_zalloc(100), 100, 16, 0, true)
        && is_block(mi_cap_zalloc_small(100), 100, 16, 0, true));
  CHECK(is_block(mi_cap_calloc(10, 10), 100, 16, 0, true)
        && is_block(mi_cap_mallocn(10, 10), 100, 16, 0, false));
  CHECK(is_block(mi_cap_malloc_aligned(100, 256), 100, 256, 0, false));
  CHECK(is_block(mi_cap_zalloc_aligned(100, 256), 100, 256, 0, true));
  CHECK(is_block(mi_cap_calloc_aligned(10, 10, 256), 100, 256, 0, true));
  CHECK(is_block(mi_cap_malloc_aligned_at(100, 256, 8), 100, 256, 8, false));
  CHECK(is_block(mi_cap_zalloc_aligned_at(100, 256, 8), 100, 256, 8, true));
  CHECK(is_block(mi_cap_calloc_aligned_at(10, 10, 256, 8), 100, 256, 8, true));
  CHECK(is_block(mi_cap_aligned(100, 512, 0, true), 100, 512, 0, true));
  CHECK(is_block(mi_cap_valloc(100), 100, 4096, 0, false)
        && is_block(mi_cap_pvalloc(100), 4096, 4096, 0, false));
  CHECK(mi_cap_posix_memalign(&p, 64, 100) == 0 && is_block(p, 100, 64, 0, false));
  CHECK(mi_cap_posix_memalign(&p, 4, 100) == EINVAL);
  CHECK((p = mi_cap_strdup("eight")) != NULL && strcmp(p, "eight") == 0);
  mi_cap_free(p);
  CHECK((p = mi_cap_strndup("eight", 2)) != NULL && strcmp(p, "ei") == 0);
  mi_cap_free(p);
  return 0;
}

/* The block after its resizing has what it had; and behind that zeros, if they were asked for. */
static bool is_resized(void* p, size_t align, size_t offset, bool zeros) {
  const uint8_t* b = p;
  if (b == NULL || b[0] != 7 || b[99] != 7 || (zeros && !zero(b + 104, 896))) return false;
  return is_block(p, 1000, align, offset, false);
}

/* Of 104 bytes that are 7, all of them its own; at this alignment. */
static void* sevens(size_t align, size_t offset) {
  void* p = mi_cap_zalloc_aligned_at(104, align, offset);
  return p == NULL ? NULL : memset(p, 7, mi_usable_size(p) < 104 ? 0 : 104);
}

int test_cap_resizing(void) {
  CHECK(is_resized(mi_cap_realloc(sevens(16, 0), 1000), 16, 0, false));
  CHECK(is_resized(mi_cap_reallocn(sevens(16, 0), 10, 100), 16, 0, false));
  CHECK(is_resized(mi_cap_reallocf(sevens(16, 0), 1000), 16, 0, false));
  CHECK(is_resized(mi_cap_rezalloc(sevens(16, 0), 1000), 16, 0, true));
  CHECK(is_resized(mi_cap_recalloc(sevens(16, 0), 10, 100), 16, 0, true));
  CHECK(is_resized(mi_cap_realloc_aligned(sevens(256, 0), 1000, 256), 256, 0, false));
  CHECK(is_resized(mi_cap_rezalloc_aligned(sevens(256, 0), 1000, 256), 256, 0, true));
  CHECK(is_resized(mi_cap_recalloc_aligned(sevens(256, 0), 10, 100, 256), 256, 0, true));
  CHECK(is_resized(mi_cap_realloc_aligned_at(sevens(256, 8), 1000, 256, 8), 256, 8, false));
  CHECK(is_resized(mi_cap_rezalloc_aligned_at(sevens(256, 8), 1000, 256, 8), 256, 8, true));
  CHECK(is_resized(mi_cap_recalloc_aligned_at(sevens(256, 8), 10, 100, 256, 8), 256, 8, true));
  CHECK(is_resized(mi_cap_resize(sevens(16, 0), 1000, 0, 0, true), 16, 0, true));
  return 0;
}

/* Products that overflow, and alignments that are none: no block, and errno. The old block stays. */
int test_cap_refusals(void) {
  uint8_t* p = sevens(16, 0);
  const size_t much = SIZE_MAX / 2;
#define REFUSED(call, error) do { errno = 0; CHECK((call) == NULL && errno == (error)); } while (0)
  REFUSED(mi_cap_calloc(much, 3), ENOMEM);
  REFUSED(mi_cap_mallocn(3, much), ENOMEM);
  REFUSED(mi_cap_calloc_aligned(much, 3, 64), ENOMEM);
  REFUSED(mi_cap_calloc_aligned_at(much, 3, 64, 8), ENOMEM);
  REFUSED(mi_cap_reallocn(p, much, 3), ENOMEM);
  REFUSED(mi_cap_recalloc(p, much, 3), ENOMEM);
  REFUSED(mi_cap_recalloc_aligned(p, much, 3, 64), ENOMEM);
  REFUSED(mi_cap_recalloc_aligned_at(p, much, 3, 64, 8), ENOMEM);
  REFUSED(mi_cap_malloc_aligned(100, 3), EINVAL);
  REFUSED(mi_cap_realloc_aligned(p, 1000, 0), EINVAL);
  REFUSED(mi_cap_valloc(SIZE_MAX), ENOMEM);
  REFUSED(mi_cap_pvalloc(SIZE_MAX), ENOMEM);
  CHECK(p[0] == 7 && p[103] == 7);
  REFUSED(mi_cap_reallocf(p, SIZE_MAX), ENOMEM);  /* which frees it */
  return 0;
}
