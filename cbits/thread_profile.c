/* The profile: mimalloc-profile.h. Any thread. */
#include "core/callback.h"
#include "core/os.h"
#include "core/profile.h"
#include "core/sample.h"
#include "core/sampler.h"
#include "thread.h"

/* Other threads, and this one's other heaps, begin in their next slow path. */
void mi_profile_start(size_t rate) {
  mi_profile_begin(rate);
  mi_lheap_t* lh = mi_local()->lheap;
  if (lh->owner != NULL) mi_sampler_look(lh);
}

void mi_profile_stop(void) {
  mi_sample_set_rate(0);
}

size_t mi_profile_rate(void) { return mi_sample_is_on() ? mi_sample_rate() : 0; }
uint64_t mi_profile_mark(void) { return mi_sample_mark(); }

const char* mi_profile_set_label(const char* label) {
  mi_lheap_t* lh = mi_thread_lheap_own();
  if (lh == NULL) return NULL;
  const char* before = lh->owner->label;
  lh->owner->label = label;
  mi_thread_leave(NULL);
  return before;
}

bool mi_profile_dump(const char* path, mi_profile_format_t format, mi_profile_what_t what, uint64_t before) {
  return mi_profile_write_file(path, format, what, before);
}

bool mi_profile_dump_fd(int fd, mi_profile_format_t format, mi_profile_what_t what, uint64_t before) {
  return mi_profile_write(fd, format, what, before);
}

typedef struct { mi_profile_visit_fun* visitor; void* arg; uint64_t now; } mi_profile_visit_t;

static bool visit(const mi_sample_t* s, const mi_sample_stack_t* stack, void* arg) {
  const mi_profile_visit_t* v = arg;
  const mi_profile_sample_t sample = {
    .block = s->block,
    .size = s->asked,
    .weight = s->weight,
    .age_ms = v->now > s->ms ? v->now - s->ms : 0,
    .heap_id = s->heap,
    .marks = s->marks,
    .label = stack->label,
    .frames = stack->frames,
    .nframes = stack->nframes,
  };
  return v->visitor(&sample, v->arg);
}

bool mi_profile_visit(mi_profile_visit_fun* visitor, void* arg) {
  mi_profile_visit_t v = { visitor, arg, mi_os_now_ms() };
  return visitor != NULL && mi_sample_each(&visit, &v);
}

void mi_profile_histograms(mi_profile_histograms_t* histograms) {
  if (histograms != NULL) mi_sample_histograms(histograms);
}

mi_profile_counts_t mi_profile_counts(void) {
  const mi_sample_counts_t n = mi_sample_counts();
  return (mi_profile_counts_t){ n.live, n.taken, n.dropped, n.stacks };
}
