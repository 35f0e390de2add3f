/* Every function of mimalloc.h that allocates, resizes or frees, in tables: the same contract for
   all of one kind. */
#include <pthread.h>

#include "test.h"

enum { PRODUCT = 1, ZERO = 2, ALIGNED = 4, OFFSET = 8, HEAP = 16, SMALL = 32, FREES = 64, THROWS = 128 };

/* the arguments that it has; n * size bytes */
typedef struct { mi_heap_t* heap; void* p; size_t n, size, align, offset; } call_t;
typedef struct { const char* name; int kind; void* (*run)(const call_t* c); } function_t;

/* ---- the tables ---- */

#define BYTES (c->n * c->size)
static void* posix_memalign_(const call_t* c) {
  void* p = NULL;
  const int error = mi_posix_memalign(&p, c->align, BYTES);
  if (error != 0) errno = error;
  return p;
}
static void* reallocarr_(const call_t* c) {
  void* p = c->p;
  const int error = mi_reallocarr(&p, c->n, c->size);
  if (error != 0) errno = error;
  return error == 0 ? p : NULL;
}

#define FUNCTION(f, ...) static void* f##_(const call_t* c) { return mi_##f(__VA_ARGS__); }
FUNCTION(malloc, BYTES) FUNCTION(malloc_small, BYTES) FUNCTION(zalloc, BYTES) FUNCTION(zalloc_small, BYTES)
FUNCTION(calloc, c->n, c->size)
FUNCTION(mallocn, c->n, c->size) FUNCTION(malloc_aligned, BYTES, c->align)
FUNCTION(malloc_aligned_at, BYTES, c->align, c->offset)
FUNCTION(zalloc_aligned, BYTES, c->align) FUNCTION(zalloc_aligned_at, BYTES, c->align, c->offset)
FUNCTION(calloc_aligned, c->n, c->size, c->align)
FUNCTION(calloc_aligned_at, c->n, c->size, c->align, c->offset) FUNCTION(memalign, c->align, BYTES)
FUNCTION(aligned_alloc, c->align, BYTES)
FUNCTION(new_nothrow, BYTES) FUNCTION(new_aligned_nothrow, BYTES, c->align) FUNCTION(new, BYTES)
FUNCTION(new_n, c->n, c->size) FUNCTION(new_aligned, BYTES, c->align)
FUNCTION(heap_malloc, c->heap, BYTES) FUNCTION(heap_malloc_small, c->heap, BYTES)
FUNCTION(heap_zalloc, c->heap, BYTES)
FUNCTION(heap_calloc, c->heap, c->n, c->size) FUNCTION(heap_mallocn, c->heap, c->n, c->size)
FUNCTION(heap_malloc_aligned, c->heap, BYTES, c->align)
FUNCTION(heap_malloc_aligned_at, c->heap, BYTES, c->align, c->offset)
FUNCTION(heap_zalloc_aligned, c->heap, BYTES, c->align)
FUNCTION(heap_zalloc_aligned_at, c->heap, BYTES, c->align, c->offset)
FUNCTION(heap_calloc_aligned, c->heap, c->n, c->size, c->align)
FUNCTION(heap_calloc_aligned_at, c->heap, c->n, c->size, c->align, c->offset)
FUNCTION(realloc, c->p, BYTES) FUNCTION(reallocn, c->p, c->n, c->size)
FUNCTION(reallocarray, c->p, c->n, c->size) FUNCTION(reallocf, c->p, BYTES)
FUNCTION(rezalloc, c->p, BYTES) FUNCTION(recalloc, c->p, c->n, c->size) FUNCTION(new_realloc, c->p, BYTES)
FUNCTION(new_reallocn, c->p, c->n, c->size)
FUNCTION(realloc_aligned, c->p, BYTES, c->align)
FUNCTION(realloc_aligned_at, c->p, BYTES, c->align, c->offset)
FUNCTION(rezalloc_aligned, c->p, BYTES, c->align)
FUNCTION(rezalloc_aligned_at, c->p, BYTES, c->align, c->offset)
FUNCTION(recalloc_aligned, c->p, c->n, c->size, c->align)
FUNCTION(recalloc_aligned_at, c->p, c->n, c->size, c->align, c->offset)
FUNCTION(heap_realloc, c->heap, c->p, BYTES) FUNCTION(heap_reallocn, c->heap, c->p, c->n, c->size)
FUNCTION(heap_reallocf, c->heap, c->p, BYTES)
FUNCTION(heap_rezalloc, c->heap, c->p, BYTES) FUNCTION(heap_recalloc, c->heap, c->p, c->n, c->size)
FUNCTION(heap_realloc_aligned, c->heap, c->p, BYTES, c->align)
FUNCTION(heap_realloc_aligned_at, c->heap, c->p, BYTES, c->align, c->offset)
FUNCTION(heap_rezalloc_aligned, c->heap, c->p, BYTES, c->align)
FUNCTION(heap_rezalloc_aligned_at, c->heap, c->p, BYTES, c->align, c->offset)
FUNCTION(heap_recalloc_aligned, c->heap, c->p, c->n, c->size, c->align)
FUNCTION(heap_recalloc_aligned_at, c->heap, c->p, c->n, c->size, c->align, c->offset)

#define F(f, kind) { #f, kind, &f##_ }
static const function_t allocators[] = {
  F(malloc, 0), F(malloc_small, SMALL), F(zalloc, ZERO), F(zalloc_small, ZERO | SMALL),
  F(calloc, ZERO | PRODUCT), F(mallocn, PRODUCT),
  F(malloc_aligned, ALIGNED), F(malloc_aligned_at, ALIGNED | OFFSET), F(zalloc_aligned, ZERO | ALIGNED),
  F(zalloc_aligned_at, ZERO | ALIGNED | OFFSET),
  F(calloc_aligned, ZERO | PRODUCT | ALIGNED), F(calloc_aligned_at, ZERO | PRODUCT | ALIGNED | OFFSET),
  F(memalign, ALIGNED), F(aligned_alloc, ALIGNED),
  F(posix_memalign, ALIGNED), F(new_nothrow, 0), F(new_aligned_nothrow, ALIGNED), F(new, THROWS),
  F(new_n, PRODUCT | THROWS), F(new_aligned, ALIGNED | THROWS),
  F(heap_malloc, HEAP), F(heap_malloc_small, HEAP | SMALL), F(heap_zalloc, HEAP | ZERO),
  F(heap_calloc, HEAP | ZERO | PRODUCT), F(heap_mallocn, HEAP | PRODUCT),
  F(heap_malloc_aligned, HEAP | ALIGNED), F(heap_malloc_aligned_at, HEAP | ALIGNED | OFFSET),
  F(heap_zalloc_aligned, HEAP | ZERO | ALIGNED),
  F(heap_zalloc_aligned_at, HEAP | ZERO | ALIGNED | OFFSET),
  F(heap_calloc_aligned, HEAP | ZERO | PRODUCT | ALIGNED),
  F(heap_calloc_aligned_at, HEAP | ZERO | PRODUCT | ALIGNED | OFFSET),
};
static const function_t resizers[] = {
  F(realloc, 0), F(reallocn, PRODUCT), F(reallocarray, PRODUCT), F(reallocarr, PRODUCT), F(reallocf, FREES),
  F(rezalloc, ZERO), F(recalloc, ZERO | PRODUCT),
  F(new_realloc, THROWS), F(new_reallocn, PRODUCT | THROWS), F(realloc_aligned, ALIGNED),
  F(realloc_aligned_at, ALIGNED | OFFSET),
  F(rezalloc_aligned, ZERO | ALIGNED), F(rezalloc_aligned_at, ZERO | ALIGNED | OFFSET),
  F(recalloc_aligned, ZERO | PRODUCT | ALIGNED),
  F(recalloc_aligned_at, ZERO | PRODUCT | ALIGNED | OFFSET), F(heap_realloc, HEAP),
  F(heap_reallocn, HEAP | PRODUCT), F(heap_reallocf, HEAP | FREES),
  F(heap_rezalloc, HEAP | ZERO), F(heap_recalloc, HEAP | ZERO | PRODUCT),
  F(heap_realloc_aligned, HEAP | ALIGNED),
  F(heap_realloc_aligned_at, HEAP | ALIGNED | OFFSET), F(heap_rezalloc_aligned, HEAP | ZERO | ALIGNED),
  F(heap_rezalloc_aligned_at, HEAP | ZERO | ALIGNED | OFFSET),
  F(heap_recalloc_aligned, HEAP | ZERO | PRODUCT | ALIGNED),
  F(heap_recalloc_aligned_at, HEAP | ZERO | PRODUCT | ALIGNED | OFFSET),
};
#define COUNT(a) (sizeof (a) / sizeof *(a))
#define CHECK_IN(f, x) CHECK_AT(x, "f = %s", (f)->name)
#define FOR_EACH(f, table) for (const function_t* f = table; f < table + COUNT(table); f++)
/* Those that need not end the process when they fail. */
#define FOR_EACH_THAT_FAILS(f, table) FOR_EACH(f, table) if (((f)->kind & THROWS) == 0)

static mi_heap_t* heap;
static void begin(void) { CHECK((heap = mi_heap_new()) != NULL); }
static void end(void) {
  mi_heap_destroy(heap);
  mi_thread_done();
  mi_collect(true);
  test_nothing_left();
}

static const size_t sizes[] = { 0, 1, 16, 17, 100, 1000, 1024, 1025, 5000, 8193, 65537, 300000 };
static const struct {
  size_t align, offset;
} places[] = { { 16, 0 }, { 8, 8 }, { 64, 0 }, { 256, 24 }, { 4096, 40 }, { 65536, 0 } };

static call_t call(void* p, size_t n, size_t size, size_t place) {
  return (call_t){ heap, p, n, size, places[place].align, places[place].offset };
}
static bool is_placed(const function_t* f, const void* p, size_t place) {
  if ((f->kind & ALIGNED) == 0) return (uintptr_t)p % 16 == 0;
  return ((uintptr_t)p + ((f->kind & OFFSET) != 0 ? places[place].offset : 0)) % places[place].align == 0;
}
static mi_heap_t* home(const function_t* f) { return (f->kind & HEAP) != 0 ? heap : mi_heap_get_default(); }

/* ---- allocating ---- */

static void try_new(const function_t* f, size_t n, size_t size, size_t place) {
  void* p[3];
  const call_t c = call(NULL, n, size, place);
  for (int round = 0; round < 2; round++) {             /* the second time of memory that was written to */
    for (int i = 0; i < 3; i++) {
      p[i] = f->run(&c);
      CHECK_AT(p[i] != NULL && is_placed(f, p[i], place), "f = %s, n * size = %zu, p = %p", f->name, n * size,
               p[i]);
      CHECK_IN(f, mi_usable_size(p[i]) >= n * size && mi_heap_of(p[i]) == home(f));
      CHECK_IN(f, (f->kind & ZERO) == 0 || test_all(p[i], n * size, 0));
      memset(p[i], 0xff, n * size);
    }
    CHECK_IN(f, p[0] != p[1] && p[1] != p[2] && p[0] != p[2]);
    for (int i = 0; i < 3; i++) mi_free(p[i]);
  }
}

static void new_blocks(void) {
  begin();
  FOR_EACH(f, allocators)
  for (size_t s = 0; s < COUNT(sizes); s++) for (size_t place = 0; place < COUNT(places); place++) {
    if ((f->kind & SMALL) == 0 || sizes[s] <= MI_SMALL_SIZE_MAX) try_new(f, 1, sizes[s], place);
    if ((f->kind & PRODUCT) != 0) try_new(f, sizes[s] / 7, 7, place);
  }
  /* of NULL */
  FOR_EACH(f, resizers) for (size_t s = 0; s < COUNT(sizes); s++) try_new(f, 1, sizes[s], s % COUNT(places));
  end();
}

static void pages(void) {
  begin();
  for (size_t s = 0; s < COUNT(sizes); s++) {
    void *p = mi_valloc(sizes[s]), *q = mi_pvalloc(sizes[s]);
    CHECK((uintptr_t)p % mi_os_page_size() == 0 && (uintptr_t)q % mi_os_page_size() == 0
          && mi_usable_size(p) >= sizes[s]);
    CHECK(mi_usable_size(q) >= mi_align_up(mi_max(sizes[s], 1), mi_os_page_size()));
    mi_free(p);
    mi_free(q);
  }
  end();
}

/* Products that overflow, sizes over PTRDIFF_MAX, bad alignments: the error, and p as it was, or freed. */
static void try_bad(const function_t* f, call_t c, int error) {
  void* const p = c.p = c.p == NULL ? NULL : mi_malloc(3000);
  if (p != NULL) test_fill(p, 3000, 5);
  errno = test_last_error = 0;
  CHECK_AT(f->run(&c) == NULL && errno == error, "f = %s, n = %#zx, size = %#zx, align = %zu, errno = %d",
           f->name, c.n, c.size, c.align, errno);
  if (p == NULL) return;
  if ((f->kind & FREES) != 0) { CHECK_IN(f, mi_usable_size(p) == 0); return; }
  CHECK_IN(f, test_filled(p, 3000, 5));
  mi_free(p);
}

static void bad_requests(const function_t* f, void* p) {
  static const size_t products[][2] = { { SIZE_MAX, 2 },
                                        { (size_t)1 << 32, (size_t)1 << 32 },
                                        { SIZE_MAX / 3 + 1, 3 },
                                        { 1, SIZE_MAX },
                                        { (size_t)PTRDIFF_MAX / 2 + 1, 2 } };
  static const size_t bad[] = { 0, 3, 24, 48, 4097, SIZE_MAX };
  mi_free(mi_heap_malloc(heap, 3000));
  mi_free(mi_malloc(3000));
  for (size_t i = 0; (f->kind & PRODUCT) != 0 && i < COUNT(products); i++)
    try_bad(f, (call_t){ heap, p, products[i][0], products[i][1], 16, 0 }, ENOMEM);
  try_bad(f, (call_t){ heap, p, 1, SIZE_MAX, 16, 0 }, ENOMEM);
  try_bad(f, (call_t){ heap, p, 1, (size_t)PTRDIFF_MAX + 1, 16, 0 }, ENOMEM);
  try_bad(f, (call_t){ heap, p, 1, PTRDIFF_MAX, 16, 8 }, ENOMEM);
  for (size_t i = 0; (f->kind & ALIGNED) != 0 && i < COUNT(bad); i++)
    try_bad(f, (call_t){ heap, p, 1, 100, bad[i], 0 }, EINVAL);
}

static void bad(void) {
  test_expect_errors();
  begin();
  FOR_EACH_THAT_FAILS(f, allocators) bad_requests(f, NULL);
  FOR_EACH_THAT_FAILS(f, resizers) { bad_requests(f, NULL); bad_requests(f, heap); }
  end();
}

/* A thread that has no heap yet, and the system gives nothing. */
static void no_memory(void) {
  test_expect_errors();
  begin();
  FOR_EACH_THAT_FAILS(f, allocators) {
    const call_t c = call(NULL, 1, 100, 0);
    mi_thread_done();
    mi_os_fail_in(1, SIZE_MAX);
    errno = test_last_error = 0;
    void* p = f->run(&c);                               /* memory that is there already may do */
    mi_os_fail_in(0, 0);
    CHECK_IN(f, p != NULL || errno == ENOMEM);
    mi_free(p);
  }
  FOR_EACH_THAT_FAILS(f, resizers) {
    call_t c = call(mi_malloc(3000), 1, MI_ARENA_SIZE, 0);               /* a mapping of its own */
    test_fill(c.p, 3000, 6);
    mi_os_fail_in(1, SIZE_MAX);
    errno = test_last_error = 0;
    CHECK_IN(f, f->run(&c) == NULL && errno == ENOMEM && test_last_error == ENOMEM);
    mi_os_fail_in(0, 0);
    if ((f->kind & FREES) != 0) { CHECK_IN(f, mi_usable_size(c.p) == 0); continue; }
    CHECK_IN(f, test_filled(c.p, 3000, 6));
    mi_free(c.p);
  }
  end();
}

/* ---- resizing ---- */

/* Contents stay; what moves lives in the function's heap, what does not stays where it was. */
static void try_resize(const function_t* f, void* p, size_t old, size_t size, size_t place) {
  const call_t c = call(p, 1, size, place);
  mi_heap_t* const was = mi_heap_of(p);
  test_fill(p, old, old);
  void* q = f->run(&c);
  CHECK_AT(q != NULL && is_placed(f, q, place) && mi_usable_size(q) >= size, "f = %s, %zu to %zu", f->name,
           old, size);
  CHECK_AT(test_filled(q, mi_min(old, size), old), "f = %s, %zu to %zu", f->name, old, size);
  CHECK_IN(f, mi_heap_of(q) == (q == p ? was : home(f)));
  if (q != p) CHECK_IN(f, mi_usable_size(p) == 0 || mi_heap_of(p) == NULL);
  mi_free(q);
}

static void* others[COUNT(sizes)];
static void* other_thread(void* arg) {
  for (size_t i = 0; i < COUNT(sizes); i++) CHECK((others[i] = mi_malloc(sizes[i])) != NULL);
  return arg;
}

static void resized(void) {
  begin();
  mi_heap_t* third = mi_heap_new();
  FOR_EACH(f, resizers) {
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, &other_thread, NULL), 0);
    pthread_join(t, NULL);
    for (size_t i = 0; i < COUNT(sizes); i++) for (size_t k = 0; k < COUNT(sizes); k++) {
      const size_t place = (i + k) % COUNT(places);
      try_resize(f, mi_malloc(sizes[i]), sizes[i], sizes[k], place);
      try_resize(f, mi_heap_malloc(heap, sizes[i]), sizes[i], sizes[k], place);
      try_resize(f, mi_heap_malloc(third, sizes[i]), sizes[i], sizes[k], place);
      /* a block that is not aligned may stay where it is */
      const size_t offset = (f->kind & ALIGNED) != 0 ? 24 : 48;
      try_resize(f, mi_malloc_aligned_at(sizes[i], 256, offset), sizes[i], sizes[k], place);
    }
    for (size_t i = 0; i < COUNT(sizes); i++)
      try_resize(f, others[i], sizes[i], sizes[COUNT(sizes) - 1 - i], i % COUNT(places));
  }
  mi_heap_destroy(third);
  end();
}

/* Zero is everything beyond what was asked for before: down and up again, in place and moved, from each
   allocator that zeroes. */
static void zeroed(void) {
  begin();
  uint64_t r = 11;
  FOR_EACH(f, resizers) FOR_EACH(a, allocators) {
    if ((f->kind & ZERO) == 0 || (a->kind & ZERO) == 0 || (a->kind & SMALL) != 0) continue;
    const size_t place = test_random(&r) % COUNT(places);
    size_t old = 1 + test_random(&r) % 3000;
    call_t c = call(NULL, 1, old, place);
    uint8_t* p = a->run(&c);
    for (int i = 0; i < 40; i++) {
      memset(p, 0xff, old);
      const size_t size = i % 3 == 0   ? old / 2 + 1
                          : i % 3 == 1 ? old + test_random(&r) % 40
                                       : 1 + test_random(&r) % (i % 10 == 2 ? 400000 : 4000);
      c = call(p, 1, size, place);
      CHECK_IN(f, (p = f->run(&c)) != NULL);
      CHECK_AT(test_all(p, mi_min(old, size), 0xff) && (size <= old || test_all(p + old, size - old, 0)),
               "f = %s, a = %s, %zu to %zu", f->name, a->name, old, size);
      old = size;
    }
    mi_free(p);
  }
  end();
}

/* A size of 0 gives a block, of NULL and of another; and it is freed like all others. */
static void to_zero(void) {
  begin();
  FOR_EACH(f, resizers) {
    call_t c = call(mi_malloc(100), 1, 0, 0);
    void* p = f->run(&c);
    c = call(NULL, 1, 0, 0);
    void* q = f->run(&c);
    CHECK_IN(f, p != NULL && q != NULL && p != q && mi_usable_size(p) > 0);
    mi_free(p);
    mi_free(q);
  }
  end();
}

static void expand(void) {
  begin();
  for (size_t s = 0; s < COUNT(sizes); s++) {
    uint8_t* p = mi_malloc(sizes[s]);
    const size_t usable = mi_usable_size(p);
    memset(p, 0x33, usable);
    CHECK(usable == mi_good_size(sizes[s]) && mi_expand(p, 0) == p && mi_expand(p, usable) == p
          && mi_expand(p, sizes[s]) == p);
    for (size_t size = usable + 1; size < 8 * MI_MiB; size *= 2) {
      void* q = mi_expand(p, size);
      CHECK(q == NULL || (q == p && mi_usable_size(p) >= size));
      CHECK(test_all(p, usable, 0x33));
    }
    CHECK(mi_expand(p, SIZE_MAX) == NULL && mi_usable_size(p) >= usable && test_all(p, usable, 0x33));
    mi_free(p);
  }
  end();
}

/* ---- freeing ---- */

static void (*freeing)(void* p, size_t size, size_t align);
static void free_plain(void* p, size_t size, size_t align) { (void)size; (void)align; mi_free(p); }
static void cfree_plain(void* p, size_t size, size_t align) { (void)size; (void)align; mi_cfree(p); }
static void free_sized(void* p, size_t size, size_t align) { (void)align; mi_free_size(p, size); }
static void free_sized_aligned(void* p, size_t size, size_t align) { mi_free_size_aligned(p, size, align); }
static void free_with_alignment(void* p, size_t size, size_t align) { (void)size; mi_free_aligned(p, align); }

/* With every legal alignment; errno stays, also when the system is called. */
static void frees_all(void) {
  for (size_t align = 1; align <= 16 * MI_MiB; align *= 2) for (size_t s = 0; s < COUNT(sizes); s++) {
    void *p = mi_malloc_aligned(sizes[s], align), *q = mi_heap_malloc_aligned(heap, sizes[s], align);
    errno = 7;
    freeing(p, sizes[s], align);
    freeing(q, sizes[s], align);
    CHECK_EQ(errno, 7);
    CHECK(mi_usable_size(p) == 0 && mi_usable_size(q) == 0);
  }
  void* mapping = mi_malloc(MI_ARENA_SIZE);
  CHECK(mapping != NULL);
  errno = 7;
  freeing(mapping, MI_ARENA_SIZE, 16);
  freeing(NULL, 0, 16);
  CHECK_EQ(errno, 7);
}

static void freed(void) {
  static void (*const all[])(void*, size_t, size_t) = { &free_plain, &cfree_plain, &free_sized,
                                                        &free_sized_aligned, &free_with_alignment };
  for (size_t i = 0; i < COUNT(all); i++) {
    freeing = all[i];
    begin();
    frees_all();
    end();
  }
}

TEST_MAIN("families", TEST(new_blocks), TEST(pages), TEST(bad), TEST(no_memory), TEST(resized), TEST(zeroed),
          TEST(to_zero), TEST(expand), TEST(freed))
