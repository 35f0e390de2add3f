/* All memory is locked, and no more than 8 MiB of it may be: what structures take of that, in bytes. The
   limit counts what is mapped, used or not. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "core/meta.h"
#include "core/pagemap.h"
#include "test.h"

#define LIMIT (8 * MI_MiB)

static size_t locked(void) {
  char text[8192] = "";
  const int fd = open("/proc/self/status", O_RDONLY);
  CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
  close(fd);
  const char* line = strstr(text, "VmLck:");
  CHECK(line != NULL);
  return (size_t)strtoul(line + strlen("VmLck:"), NULL, 10) * MI_KiB;
}

/* False: it may not be done here. */
static bool lock_all(void) {
  const struct rlimit limit = { LIMIT, LIMIT };
  return !TEST_SANITIZED && setrlimit(RLIMIT_MEMLOCK, &limit) == 0
         && (geteuid() != 0 || setuid(65534) == 0) && mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
}

static size_t can_be_had(size_t size) {
  size_t n = 0;
  for (uint8_t* p; (p = mi_malloc(size)) != NULL; n += size) {
    CHECK(n <= LIMIT);
    memset(p, 1, size);
  }
  CHECK_EQ(mi_check_all(), 0);
  return n;
}

/* Blocks get all but half a MiB of what is not locked when the page map is not any more. */
static void all_but_little(size_t size, bool used_before) {
  test_expect_errors();
  if (used_before) CHECK(mi_malloc(100) != NULL);
  if (!lock_all()) { puts("# memory cannot be locked here"); return; }
  const size_t others = locked() - sizeof mi_pagemap - mi_meta_reserved() - mi_commit_totals.xreserved
                        - (used_before ? MI_PAGEMAP_LEAF * sizeof(uintptr_t) : 0);
  const size_t n = can_be_had(size);
  CHECK_AT(n >= LIMIT - others - MI_MiB / 2, "%zu KiB of %zu", n / MI_KiB, (LIMIT - others) / MI_KiB);
}

static void blocks_of_64_bytes(void) { all_but_little(64, false); }
static void blocks_of_1_kib(void) { all_but_little(1024, false); }
static void blocks_of_64_kib(void) { all_but_little(65536, false); }
static void used_before(void) { all_but_little(65536, true); }

TEST_MAIN("locked", TEST(blocks_of_64_bytes), TEST(blocks_of_1_kib), TEST(blocks_of_64_kib),
          TEST(used_before))
