/* pagemap.h: every address has an answer. */
#include <pthread.h>

#include "core/os.h"
#include "core/pagemap.h"
#include "test.h"

static bool is_none(uintptr_t p) { return mi_page_is_none(mi_page_of((void*)p)); }

static void fresh_memory_is_none(void) {
  uint64_t r = 1;
  int local;
  CHECK(is_none(0) && is_none(1) && is_none((uintptr_t)&local)
        && is_none((uintptr_t)&local & ~(uintptr_t)15));
  CHECK(is_none(UINTPTR_MAX) && is_none((uintptr_t)1 << 47) && is_none((uintptr_t)&mi_pagemap));
  for (int i = 0; i < 1000000; i++) CHECK(is_none(test_random(&r)));
  for (unsigned bit = 0; bit < 64; bit++)
    CHECK(is_none((uintptr_t)1 << bit) && is_none(~((uintptr_t)1 << bit)));
}

static void none_is_nobody(void) {
  mi_page_t* none = mi_page_of(NULL);
  CHECK_EQ(none->xowner, 0);
  CHECK(test_all(none, sizeof *none, 0));
}

static void set_and_unset(void) {
  static mi_page_t page;
  const uintptr_t starts[] = { MI_SLICE_SIZE, (uintptr_t)7 << 32, ((uintptr_t)9 << 32) - 2 * MI_SLICE_SIZE,
                               ((uintptr_t)1 << 48) - 4 * MI_SLICE_SIZE };
  for (size_t k = 0; k < 4; k++) {
    const uintptr_t s = starts[k], e = s + 4 * MI_SLICE_SIZE;
    CHECK(mi_pagemap_set((void*)s, 4, &page));
    for (uintptr_t p = s; p < e; p += 4099) CHECK(mi_page_of((void*)p) == &page);
    CHECK(mi_page_of((void*)(e - 1)) == &page);
    CHECK(is_none(s - 1) && (e >> 48 != 0 || is_none(e)));
    CHECK(mi_page_of((void*)(s | (uintptr_t)1 << 60)) == &page);    /* the start check's business */
    CHECK(mi_pagemap_set((void*)s, 4, NULL));
    CHECK(is_none(s) && is_none(e - 1));
  }
}

static void beyond_48_bits(void) {
  static mi_page_t page;
  CHECK(!mi_pagemap_set((void*)((uintptr_t)1 << 48), 1, &page));
  CHECK(!mi_pagemap_prepare((void*)(((uintptr_t)1 << 48) - MI_SLICE_SIZE), 2 * MI_SLICE_SIZE));
  CHECK(is_none((uintptr_t)1 << 48));
}

static void no_memory(void) {
  static mi_page_t page;
  const uintptr_t p = (uintptr_t)3 << 32;
  for (size_t n = 1; n <= 2; n++) {
    mi_os_fail_in(n, 1);
    CHECK(!mi_pagemap_set((void*)p, 1, &page) && is_none(p));
  }
  CHECK(mi_pagemap_prepare((void*)p, 5 * MI_GiB) && is_none(p));
  mi_os_fail_in(1, 1);
  CHECK(mi_pagemap_set((void*)(p + 4 * MI_GiB), 1, &page));       /* prepared: needs no memory */
  mi_os_fail_in(0, 0);
}

static mi_page_t pages[4];
static void* setter(void* arg) {
  mi_page_t* mine = arg;
  const size_t me = (size_t)(mine - pages);
  for (uintptr_t r = 20; r < 60; r++) {
    const uintptr_t p = (r << 32) + me * MI_SLICE_SIZE;
    CHECK(mi_pagemap_set((void*)p, 1, mine) && mi_page_of((void*)p) == mine);
  }
  return NULL;
}

/* Several threads make the same leaves at once. */
static void threads(void) {
  pthread_t t[4];
  for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, &setter, &pages[i]), 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  for (uintptr_t r = 20; r < 60; r++) {
    for (size_t i = 0; i < 4; i++) CHECK(mi_page_of((void*)((r << 32) + i * MI_SLICE_SIZE)) == &pages[i]);
  }
}

TEST_MAIN("pagemap", TEST(fresh_memory_is_none), TEST(none_is_nobody), TEST(set_and_unset),
          TEST(beyond_48_bits), TEST(no_memory), TEST(threads))
