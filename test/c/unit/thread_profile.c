/* thread_profile.c, profile.c, sample.c: a sample is there as long as its block, whoever frees that, and the
   block is as any other. What is written. At rate 1 each block is a sample. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "test.h"
#include "core/sample.h"
#include "core/stats.h"
#include "include/mimalloc-profile.h"
#include "include/mimalloc-stats.h"

static uint64_t live(void) { return mi_profile_counts().live; }

typedef struct { const void* block; size_t n; mi_profile_sample_t sample; } look_t;
static bool look(const mi_profile_sample_t* sample, void* arg) {
  look_t* l = arg;
  if (sample->block != l->block) return true;
  l->n++;
  l->sample = *sample;
  return true;
}
/* The sample of a block; there is one. */
static mi_profile_sample_t sample_of(const void* p) {
  look_t l = { .block = p };
  CHECK(mi_profile_visit(&look, &l));
  CHECK_EQ(l.n, 1);
  return l.sample;
}
static bool is_sample(const void* p) {
  look_t l = { .block = p };
  CHECK(mi_profile_visit(&look, &l));
  return l.n != 0;
}

static const size_t sizes[] = { 0, 1, 16, 24, 100, 1024, 1025, 5000, 8192, 9000, 40000, 65536, 65537, 200000,
                                3000000, 40000000 };
#define NSIZES (sizeof sizes / sizeof *sizes)

/* ---- blocks ---- */

static void off(void) {
  for (size_t i = 0; i < NSIZES; i++) mi_free(mi_malloc(sizes[i]));
  CHECK_EQ(mi_profile_rate(), 0);
  CHECK_EQ(live() + mi_profile_counts().taken + mi_profile_counts().dropped, 0);
}

static void as_any_block(void) {
  size_t usable[NSIZES];
  for (size_t i = 0; i < NSIZES; i++) {
    void* p = mi_malloc(sizes[i]);
    usable[i] = mi_usable_size(p);
    mi_free_size(p, sizes[i]);
  }
  mi_profile_start(1);
  for (size_t i = 0; i < NSIZES; i++) {
    uint8_t* p = mi_zalloc(sizes[i]);
    CHECK_EQ(live(), 1);
    CHECK_EQ(mi_usable_size(p), usable[i]);
    CHECK(test_all(p, usable[i], 0) && mi_heap_contains(mi_heap_get_default(), p));
    const mi_profile_sample_t s = sample_of(p);
    CHECK(s.size == sizes[i] && s.weight >= 1 && s.weight < 1.00001);
    CHECK(s.heap_id == 1 && s.marks == 0 && s.label == NULL);
    test_fill(p, usable[i], i);
    CHECK_EQ(mi_check_all(), 0);
    CHECK(test_filled(p, usable[i], i));
    mi_free_size(p, sizes[i]);
    CHECK_EQ(live(), 0);
  }
}

static void aligned(void) {
  mi_profile_start(1);
  for (size_t align = 16; align <= 1u << 20; align *= 2) {
    for (size_t offset = 0; offset <= 48; offset += 24) {
      uint8_t* p = mi_malloc_aligned_at(100, align, offset);
      CHECK(((uintptr_t)p + offset) % align == 0 && live() == 1);
      test_fill(p, 100, align);
      p = mi_realloc_aligned_at(p, 5000, align, offset);
      CHECK(((uintptr_t)p + offset) % align == 0 && live() == 1 && test_filled(p, 100, align));
      mi_free(p);
      CHECK_EQ(live(), 0);
    }
  }
}

/* From each size to each: in place, copied, moved. */
static void realloc_all(void) {
  mi_profile_start(1);
  for (size_t i = 0; i < NSIZES; i++) {
    for (size_t k = 0; k < NSIZES; k++) {
      void* p = mi_malloc(sizes[i]);
      test_fill(p, sizes[i], 1);
      p = mi_realloc(p, sizes[k]);
      CHECK_EQ(live(), 1);
      const size_t size = sample_of(p).size;                              /* of 0 bytes one is asked for */
      CHECK_AT(size == sizes[k] || (size == 1 && sizes[k] == 0), "from %zu to %zu", sizes[i], sizes[k]);
      CHECK(test_filled(p, mi_min(sizes[i], sizes[k]), 1));
      mi_free(p);
      CHECK_EQ(live(), 0);
    }
  }
}

/* Grown where it is while sampling is off: the sample stays. While it is on: another decision. */
static void grown(void) {
  mi_profile_start(1);
  void* p = mi_malloc(100000);
  mi_profile_stop();
  p = mi_realloc(p, 130000);
  if (is_sample(p)) CHECK_EQ(sample_of(p).size, 130000);
  mi_free(p);
  CHECK_EQ(live(), 0);
  p = mi_malloc(100000);
  mi_profile_start(1);
  CHECK(!is_sample(p));
  p = mi_realloc(p, 1000000);
  CHECK_EQ(sample_of(p).size, 1000000);
  const uint64_t taken = mi_profile_counts().taken;
  p = mi_realloc(p, 2000000);
  CHECK(mi_profile_counts().taken == taken + 1 && live() == 1);
  p = mi_realloc(p, 1500000);
  CHECK(mi_profile_counts().taken == taken + 2 && live() == 1 && sample_of(p).size == 1500000);
  if (mi_expand(p, 1500001) != NULL) CHECK_EQ(sample_of(p).size, 1500001);
  mi_free(p);
  CHECK_EQ(live(), 0);
}

/* ---- who frees ---- */

static void* free_it(void* p) { mi_free(p); return NULL; }
static void elsewhere(void* (*run)(void*), void* arg) {
  pthread_t t;
  CHECK(pthread_create(&t, NULL, run, arg) == 0 && pthread_join(t, NULL) == 0);
}

static void remote(void) {
  mi_profile_start(1);
  for (size_t i = 0; i < NSIZES; i++) {
    void* p = mi_malloc(sizes[i]);
    CHECK(is_sample(p));
    elsewhere(&free_it, p);
    CHECK_EQ(live(), 0);
  }
}

static void* allocate(void* blocks) {
  for (size_t i = 0; i < NSIZES; i++) ((void**)blocks)[i] = mi_malloc(sizes[i]);
  return NULL;
}
static void outlives_thread(void) {
  void* p[NSIZES];
  mi_profile_start(1);
  elsewhere(&allocate, p);
  for (size_t i = 0; i < NSIZES; i++) {
    CHECK(is_sample(p[i]));
    mi_free(p[i]);
    CHECK(!is_sample(p[i]));
  }
}

static void heaps(void) {
  void* p[NSIZES];
  mi_profile_start(1);
  for (int destroy = 0; destroy < 2; destroy++) {
    mi_heap_t* heap = mi_heap_new();
    for (size_t i = 0; i < NSIZES; i++) {
      p[i] = mi_heap_malloc(heap, sizes[i]);
      CHECK(mi_heap_contains(heap, p[i]) && sample_of(p[i]).heap_id > 1);
    }
    CHECK_EQ(live(), NSIZES);
    if (destroy) mi_heap_destroy(heap);
    else {
      mi_heap_delete(heap);
      CHECK_EQ(live(), NSIZES);
      for (size_t i = 0; i < NSIZES; i++) mi_free(p[i]);
    }
    CHECK_EQ(live(), 0);
  }
}

/* A second free of a sample is one. */
static void twice(void) {
  void* volatile p;
  mi_profile_start(1);
  p = mi_malloc(100);
  test_expect_errors();
  mi_free(p);
  mi_free(p);
  CHECK(test_one_error(EAGAIN) && live() == 0);
}

static void forked(void) {
  void* p[NSIZES];
  mi_profile_start(1);
  allocate(p);
  CHECK_EQ(live(), NSIZES);
  for (int again = 0; again < 3; again++) {
    const pid_t pid = fork();
    if (pid == 0) {
      if (live() != NSIZES) _exit(1);
      for (size_t i = 0; i < NSIZES; i++) mi_free(p[i]);
      if (live() != 0) _exit(2);
      allocate(p);
      _exit(live() == NSIZES && is_sample(p[3]) && mi_check_all() == 0 ? 0 : 3);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
  }
  CHECK_EQ(live(), NSIZES);
  for (size_t i = 0; i < NSIZES; i++) mi_free(p[i]);
  CHECK_EQ(live(), 0);
}

/* Threads allocate and free, and one of them forks, while sampling goes on and off and is written. */
static void* churn(void* seed) { return test_churn(seed); }
static bool counts_sample(const mi_profile_sample_t* sample, void* arg) {
  void* p = mi_malloc(sample->nframes * 8);                               /* a visitor may do that */
  ++*(size_t*)arg;
  mi_free(p);
  return true;
}
static void busy(void) {
  pthread_t t[3];
  const int fd = open("/dev/null", O_WRONLY);
  for (uintptr_t i = 0; i < 3; i++) CHECK(pthread_create(&t[i], NULL, &churn, (void*)(i + 1)) == 0);
  for (int i = 0; i < 60; i++) {
    size_t n = 0;
    mi_profile_start(i % 3 == 0 ? 1 : i % 3 == 1 ? 700 : 50000);
    for (int k = 0; k < 20; k++) mi_free(mi_malloc(5000));
    const mi_profile_format_t format = i % 2 == 0 ? mi_profile_pprof : mi_profile_folded;
    CHECK(mi_profile_dump_fd(fd, format, mi_profile_in_use_bytes, 0));
    CHECK(mi_profile_visit(&counts_sample, &n));
    if (i % 4 == 0) mi_profile_stop();
    if (i % 10 == 9) {
      const pid_t pid = fork();
      if (pid == 0) {
        for (int k = 0; k < 1000; k++) mi_free(mi_malloc(100));
        _exit(mi_profile_visit(&counts_sample, &n) ? 0 : 1);
      }
      int status = -1;
      CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
  }
  mi_store_relaxed(&test_stop, true);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  close(fd);
  mi_profile_stop();
}

/* ---- the table ---- */

static void full(void) {
  static void* p[MI_SAMPLES_MAX + 100];
  if (test_skips(MI_HARD || TEST_SANITIZED, "too many pages")) return;
  mi_profile_start(1);
  for (size_t i = 0; i < MI_SAMPLES_MAX + 100; i++) CHECK((p[i] = mi_malloc(100)) != NULL);
  const mi_profile_counts_t n = mi_profile_counts();
  CHECK(n.live == MI_SAMPLES_MAX - 1 && n.taken == n.live && n.taken + n.dropped == MI_SAMPLES_MAX + 100);
  for (size_t i = 0; i < MI_SAMPLES_MAX + 100; i++) mi_free(p[i]);
  CHECK_EQ(live(), 0);
  p[0] = mi_malloc(100);
  CHECK(is_sample(p[0]));
  mi_free(p[0]);
}

/* Where there is no room for another stack a block is no sample, and has no page of its own; those whose
   stack is known go on. */
static void full_of_stacks(void) {
  static const char labels[MI_STACKS_MAX + 1];
  if (test_skips(MI_HARD || TEST_SANITIZED, "too many pages")) return;
  mi_profile_start(1);
  for (size_t i = 0; i <= MI_STACKS_MAX + 1; i++) {
    mi_profile_set_label(&labels[i % (MI_STACKS_MAX + 1)]);
    void* p = mi_malloc(16);
    CHECK_AT(is_sample(p) == mi_page_is_single(mi_page_of(p)), "label %zu", i);
    CHECK_AT(is_sample(p) == (i < MI_STACKS_MAX - 1 || i > MI_STACKS_MAX), "label %zu", i);
    mi_free(p);
  }
  CHECK_EQ(live(), 0);
}

static void in_statistics(void) {
  char json[20000];
  mi_profile_start(1);
  void *p = mi_malloc(100), *q = mi_malloc(100);
  mi_free(q);
  mi_profile_stop();
  CHECK(mi_stats_get_json(sizeof json, json) == json);
  CHECK(strstr(json, "\"profile_samples\":1,") != NULL || strstr(json, "\"profile_samples\":1}") != NULL);
  CHECK(strstr(json, "\"profile_taken\":2,\"profile_dropped\":0") != NULL);
  mi_free(p);
}

/* Without memory for a page of its own a block is no sample. */
static void no_memory(void) {
  void* p[200];
  mi_profile_start(1);
  mi_free(mi_malloc(100));                                                /* the table has its first chunks */
  mi_option_set(mi_option_commit_limit, (long)(mi_stats_committed() / MI_KiB + 1024));
  for (int i = 0; i < 200; i++) CHECK((p[i] = mi_malloc(100)) != NULL);
  const mi_profile_counts_t n = mi_profile_counts();
  CHECK(n.dropped > 0 && n.live > 0 && n.live + n.dropped == 200);
  for (int i = 0; i < 200; i++) mi_free(p[i]);
  CHECK_EQ(live(), 0);
}

static void on_and_off(void) {
  mi_profile_start(0);
  CHECK_EQ(mi_profile_rate(), MI_PROFILE_RATE);
  mi_profile_start(1);
  CHECK_EQ(mi_profile_rate(), 1);
  void *p = mi_malloc(10), *q;
  mi_profile_stop();
  CHECK_EQ(mi_profile_rate(), 0);
  q = mi_malloc(10);
  CHECK(is_sample(p) && !is_sample(q) && live() == 1);
  mi_profile_start(1);
  mi_free(q);
  q = mi_malloc(10);
  CHECK(is_sample(q));
  mi_free(p);
  mi_free(q);
  CHECK_EQ(live(), 0);
}

static void labels(void) {
  mi_profile_start(1);
  CHECK(mi_profile_set_label("one") == NULL);
  void* p = mi_malloc(10);
  CHECK(strcmp(mi_profile_set_label("two"), "one") == 0);
  CHECK_EQ(mi_profile_mark(), 1);
  void* q = mi_malloc(10);
  CHECK(strcmp(mi_profile_set_label(NULL), "two") == 0);
  CHECK(strcmp(sample_of(p).label, "one") == 0 && strcmp(sample_of(q).label, "two") == 0);
  CHECK(sample_of(p).marks == 0 && sample_of(q).marks == 1);
  mi_free(p);
  mi_free(q);
}

/* ---- what is written ---- */

static __attribute__((noinline)) void* caller(size_t size) {
  void* p = mi_malloc(size);
  memset(p, 1, size);                                                     /* no tail call */
  return p;
}

/* Within so many bytes behind its start. */
static bool is_within(const void* address, void* (*function)(size_t)) {
  return (uintptr_t)address - (uintptr_t)function < 100;
}

static void stack(void) {
  mi_profile_start(1);
  void* p = caller(100);
  const mi_profile_sample_t s = sample_of(p);
  bool found = false;
  CHECK(s.nframes > 2 && s.nframes <= MI_SAMPLE_FRAMES);
  for (size_t i = 0; i < s.nframes; i++) found = found || is_within(s.frames[i], &caller);
  CHECK(found);
  mi_free(p);
}

/* What a dump writes, with an end. */
static char* dump(mi_profile_format_t format, mi_profile_what_t what, uint64_t before) {
  static char text[400000];
  char name[] = "/tmp/mimalloc-profile-XXXXXX";
  const int fd = mkstemp(name);
  CHECK(fd >= 0 && mi_profile_dump(name, format, what, before));
  const ssize_t n = read(fd, text, sizeof text - 1);
  CHECK(n >= 0);
  text[n] = 0;
  close(fd);
  unlink(name);
  return text;
}

/* The numbers of the lines of folded stacks that begin with this label, added up. */
static uint64_t folded(mi_profile_what_t what, uint64_t before, const char* label) {
  uint64_t sum = 0;
  for (char *line = dump(mi_profile_folded, what, before), *end; *line != 0; line = end + 1) {
    end = strchr(line, '\n');
    CHECK(end != NULL);
    *end = 0;
    const char* last = strrchr(line, ' ');
    CHECK(last != NULL && last[1] >= '0' && last[1] <= '9');
    const size_t n = strlen(label);
    if (strncmp(line, label, n) == 0 && line[n] == ';') sum += strtoull(last, NULL, 10);
  }
  return sum;
}

static void written(void) {
  void* p[10];
  mi_profile_start(1);
  mi_profile_set_label("requests");
  for (int i = 0; i < 10; i++) p[i] = caller(100);
  for (int i = 0; i < 4; i++) mi_free(p[i]);
  mi_profile_mark();
  mi_profile_set_label(";later;;parse;");
  void* q = caller(3000);
  mi_profile_set_label(NULL);
  CHECK_EQ(folded(mi_profile_in_use_blocks, 0, "requests"), 6);
  CHECK_EQ(folded(mi_profile_in_use_bytes, 0, "requests"), 600);
  CHECK_EQ(folded(mi_profile_allocated_blocks, 0, "requests"), 10);
  CHECK_EQ(folded(mi_profile_allocated_bytes, 0, "requests"), 1000);
  CHECK_EQ(folded(mi_profile_in_use_bytes, 0, "later;parse"), 3000);
  CHECK_EQ(folded(mi_profile_in_use_bytes, 1, "later;parse"), 0);
  CHECK_EQ(folded(mi_profile_in_use_bytes, 1, "requests"), 600);
  char* text = dump(mi_profile_pprof, mi_profile_in_use_bytes, 0);
  /* What blocks have: 112 and 3072 bytes. */
  CHECK_AT(strncmp(text, "heap profile: 7: 3744 [11: 4192] @ heap_v2/1\n", 45) == 0, "it begins %.60s", text);
  CHECK(strstr(text, "\n6: 672 [10: 1120] @ 0x") != NULL && strstr(text, "\n1: 3072 [1: 3072] @ 0x") != NULL);
  const char* maps = strstr(text, "\n\nMAPPED_LIBRARIES:\n");
  CHECK(maps != NULL && strstr(maps, " r-xp ") != NULL);
  text = dump(mi_profile_pprof, mi_profile_in_use_bytes, 1);
  CHECK(strncmp(text, "heap profile: 6: 672 [6: 672] @ heap_v2/1\n", 42) == 0);
  for (int i = 4; i < 10; i++) mi_free(p[i]);
  mi_free(q);
  text = dump(mi_profile_pprof, mi_profile_in_use_bytes, 0);
  CHECK(strncmp(text, "heap profile: 0: 0 [11: 4192] @ heap_v2/1\n", 42) == 0);
}

static void not_written(void) {
  mi_profile_start(1);
  mi_free(mi_malloc(10));
  CHECK(!mi_profile_dump("/nonexistent/file", mi_profile_pprof, mi_profile_in_use_bytes, 0));
  CHECK_EQ(errno, ENOENT);
  CHECK(!mi_profile_dump_fd(-1, mi_profile_pprof, mi_profile_in_use_bytes, 0) && errno == EBADF);
  CHECK(!mi_profile_dump_fd(-1, mi_profile_folded, mi_profile_allocated_bytes, 0) && errno == EBADF);
  CHECK(!mi_profile_visit(NULL, NULL));
}

static double sum(const double* x, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += x[i];
  return s;
}
static bool near(double a, double b) { return a - b < 0.01 && b - a < 0.01; }

/* At rate 1 a block stands for itself, but for those of a few bytes. */
static void histograms(void) {
  mi_profile_histograms_t h;
  void* p[10];
  memset(&h, 0xee, sizeof h);
  mi_profile_histograms(&h);
  CHECK(test_all(&h, sizeof h, 0));
  mi_profile_histograms(NULL);
  mi_profile_start(1);
  for (int i = 0; i < 10; i++) p[i] = mi_malloc(i < 4 ? 64 : i < 7 ? 65 : i < 9 ? 1024 : 70 * MI_MiB);
  mi_profile_histograms(&h);
  CHECK(near(h.sizes[1], 4) && near(h.sizes[2], 3) && near(h.sizes[3], 2));
  CHECK(near(h.sizes[12], 1) && near(sum(h.sizes, MI_PROFILE_SIZES), 10));
  const double bytes = 4 * 64 + 3 * 65 + 2 * 1024 + 70.0 * MI_MiB;
  CHECK(near(h.sizes_sum, bytes) && near(sum(h.live, MI_PROFILE_AGES), bytes));
  CHECK(sum(h.ages, MI_PROFILE_AGES) == 0 && h.ages_sum == 0);
  usleep(150000);
  mi_profile_stop();                                    /* they end all the same */
  for (int i = 0; i < 9; i++) mi_free(p[i]);
  mi_free(mi_malloc(64));
  mi_profile_histograms(&h);
  CHECK(near(sum(h.ages, MI_PROFILE_AGES), 9) && h.ages[0] == 0 && h.ages[1] == 0);
  CHECK_AT(h.ages_sum >= 9 * 100 && h.ages_sum < 9 * 100000, "ages_sum = %f", h.ages_sum);
  CHECK(near(sum(h.live, MI_PROFILE_AGES), 70.0 * MI_MiB) && h.live[0] == 0 && h.live[1] == 0);
  CHECK(near(sum(h.sizes, MI_PROFILE_SIZES), 10));
  mi_profile_start(1);
  p[0] = mi_realloc(mi_malloc(64), 500);                /* ends, and begins */
  mi_profile_histograms(&h);
  CHECK(near(sum(h.ages, MI_PROFILE_AGES), 10) && near(sum(h.sizes, MI_PROFILE_SIZES), 12));
}

/* What the samples stand for: about as many as there were. */
static void histograms_weighed(void) {
  mi_profile_histograms_t h;
  mi_profile_start(4096);
  for (int i = 0; i < 100000; i++) mi_free(mi_malloc(i % 2 == 0 ? 300 : 10));
  mi_profile_histograms(&h);
  /* At 300 bytes 3500 samples, at 16 bytes 195: the limits are six times the deviation. */
  CHECK_AT(h.sizes[3] > 44000 && h.sizes[3] < 56000, "%f", h.sizes[3]);
  CHECK_AT(h.sizes[0] > 28000 && h.sizes[0] < 72000, "%f", h.sizes[0]);
  CHECK(near(sum(h.ages, MI_PROFILE_AGES), h.sizes[0] + h.sizes[3]));
}

TEST_MAIN("thread_profile", TEST(off), TEST(as_any_block), TEST(aligned), TEST(realloc_all), TEST(grown),
          TEST(remote), TEST(outlives_thread), TEST(heaps), TEST(twice), TEST(forked), TEST(busy), TEST(full),
          TEST(full_of_stacks),
          TEST(in_statistics), TEST(no_memory), TEST(on_and_off), TEST(labels), TEST(stack), TEST(written),
          TEST(not_written), TEST(histograms), TEST(histograms_weighed))
