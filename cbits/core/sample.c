/* See sample.h. */
#include <errno.h>
#include <string.h>

#include "callback.h"
#include "check.h"
#include "local.h"
#include "meta.h"
#include "os_object.h"
#include "sample.h"

mi_atomic(size_t) mi_sample_xrate;
mi_atomic(uint32_t) mi_sample_xsession;

/* Both tables grow by chunks, and no entry moves or goes. Place 0 is nobody's. */
#define SAMPLES_CHUNK 512u
#define STACKS_CHUNK  128u
#define HEADS         4096u  /* of lists of stacks, by their hash */

/* A stack, a label and a class of sizes: all its blocks weigh about the same. Constant, but for `all`. */
typedef struct {
  void*       frames[MI_SAMPLE_FRAMES];
  const char* label;
  uint32_t    nframes, class;
  uint32_t    next;                 /* of the same hash */
  mi_sample_sum_t all;
} mi_stack_t;

static mi_lock_t samples_lock = MI_LOCK_INIT(MI_RANK_SAMPLES);
/* The lock's, all of them. */
static mi_sample_t* samples[MI_SAMPLES_MAX / SAMPLES_CHUNK];
static mi_stack_t* stacks[MI_STACKS_MAX / STACKS_CHUNK];
static uint32_t heads[HEADS];
static uint32_t nsamples = 1, nstacks = 1;      /* places that were ever used, and place 0 */
static uint32_t free_sample;                    /* the first free place; 0: none */
static size_t last_rate;
static uint64_t nmarks;
static mi_profile_histograms_t counted;         /* but for `live` */
static mi_atomic(uint64_t) xlive, xtaken, xdropped;  /* statistics */

static mi_sample_t* sample_at(uint32_t i) { return &samples[i / SAMPLES_CHUNK][i % SAMPLES_CHUNK]; }
static mi_stack_t* stack_at(uint32_t i) { return &stacks[i / STACKS_CHUNK][i % STACKS_CHUNK]; }

/* ---- on and off ---- */

void mi_sample_set_rate(size_t rate) {
  mi_lock(&samples_lock);
  const bool begins = rate != 0 && rate != mi_load_relaxed(&mi_sample_xrate);             /* the lock's */
  if (rate != 0) last_rate = rate;
  mi_store_relaxed(&mi_sample_xrate, rate);                               /* a hint to others */
  if (begins) {
    const uint32_t session = mi_load_relaxed(&mi_sample_xsession) + 1;
    /* Late ones go by the old one. Pairs with mi_sampler_begin: shows the rate. */
    mi_store_release(&mi_sample_xsession, session == 0 ? 1 : session);
  }
  mi_callback_want(MI_WANTS_SAMPLES, rate != 0);  /* under the lock: both say the same */
  mi_unlock(&samples_lock);
}

size_t mi_sample_rate(void) {
  mi_lock(&samples_lock);
  const size_t rate = last_rate;
  mi_unlock(&samples_lock);
  return rate;
}

uint64_t mi_sample_mark(void) {
  mi_lock(&samples_lock);
  const uint64_t n = ++nmarks;
  mi_unlock(&samples_lock);
  return n;
}

/* ---- labels ---- */

static mi_atomic(mi_sample_label_t) xlabel_of;  /* NULL: nobody has said it */

void mi_sample_set_label_of(mi_sample_label_t label_of) {
  mi_store_release(&xlabel_of, label_of);                                 /* pairs with mi_sample_label */
}

const char* mi_sample_label(const mi_owner_t* owner) {
  /* Pairs with mi_sample_set_label_of. */
  const mi_sample_label_t label_of = mi_id_is_capability(owner->id) ? mi_load_acquire(&xlabel_of) : NULL;
  return label_of == NULL ? owner->label : label_of();
}

/* ---- stacks: under the lock ---- */

/* Eight for each doubling, as classes of blocks have. */
static uint32_t class_of(size_t size) {
  const unsigned octave = mi_log2(mi_max(size, 8));
  return octave * 8 + (uint32_t)(size >> (octave - 3) & 7);
}

static uint64_t hash_of(const mi_stack_t* s) {
  uint64_t h = (uintptr_t)s->label ^ s->class;
  for (uint32_t i = 0; i < s->nframes; i++) {
    h = (h ^ (uintptr_t)s->frames[i]) * 0x9e3779b97f4a7c15u;              /* the golden ratio */
    h ^= h >> 29;
  }
  return h;
}

static bool is_same(const mi_stack_t* a, const mi_stack_t* b) {
  return a->nframes == b->nframes && a->class == b->class && a->label == b->label
         && memcmp(a->frames, b->frames, a->nframes * sizeof *a->frames) == 0;
}

/* The place of this stack; 0 if there is no room or no memory. */
static uint32_t stack_find(const mi_stack_t* s, uint64_t hash) {
  uint32_t* head = &heads[hash % HEADS];
  for (uint32_t i = *head; i != 0; i = stack_at(i)->next) if (is_same(stack_at(i), s)) return i;
  if (nstacks == MI_STACKS_MAX) return 0;
  mi_stack_t** chunk = &stacks[nstacks / STACKS_CHUNK];
  if (*chunk == NULL) *chunk = mi_meta_alloc(MI_META_STACKS, STACKS_CHUNK * sizeof **chunk);
  if (*chunk == NULL) return 0;
  *stack_at(nstacks) = *s;
  stack_at(nstacks)->next = *head;
  return *head = nstacks++;
}

/* ---- histograms: under the lock ---- */

/* The first limit that is not exceeded: 16, 64, .. */
static unsigned size_place(size_t size) {
  unsigned i = 0;
  for (size_t limit = 16; i < MI_PROFILE_SIZES - 1 && size > limit; limit *= 4) i++;
  return i;
}

static unsigned age_place(uint64_t ms) {
  static const uint32_t limits[MI_PROFILE_AGES - 1] = { 10, 100, 1000, 10000, 60000, 600000, 3600000,
                                                        86400000 };
  unsigned i = 0;
  while (i < MI_PROFILE_AGES - 1 && ms > limits[i]) i++;
  return i;
}

static uint64_t age_of(const mi_sample_t* s, uint64_t now) { return now - mi_min(now, s->ms); }

static void count_birth(const mi_sample_t* s) {
  counted.sizes[size_place(s->asked)] += s->weight;
  counted.sizes_sum += s->weight * (double)s->asked;
}

static void count_end(const mi_sample_t* s) {
  const uint64_t age = age_of(s, mi_os_now_ms());
  counted.ages[age_place(age)] += s->weight;
  counted.ages_sum += s->weight * (double)age;
}

/* ---- samples ---- */

/* Under the lock: a free place; 0: none. */
static uint32_t place_take(void) {
  const uint32_t i = free_sample != 0 ? free_sample : nsamples;
  if (i == MI_SAMPLES_MAX) return 0;
  mi_sample_t** chunk = &samples[i / SAMPLES_CHUNK];
  if (*chunk == NULL) *chunk = mi_meta_alloc(MI_META_SAMPLES, SAMPLES_CHUNK * sizeof **chunk);
  if (*chunk == NULL) return 0;
  if (i == nsamples) nsamples++; else free_sample = sample_at(i)->stack;
  return i;
}

static void place_free(uint32_t i) {
  sample_at(i)->live = false;
  sample_at(i)->stack = free_sample;
  free_sample = i;
}

bool mi_sample_has_room(void) { return mi_load_relaxed(&xlive) < MI_SAMPLES_MAX - 1; }  /* a statistic */
void mi_sample_drop(void) { mi_add_relaxed(&xdropped, 1); }                             /* the same */

/* Under the lock. */
static uint32_t take(const mi_sample_t* sample, const mi_stack_t* stack, uint64_t hash) {
  const uint32_t i = place_take();
  if (i == 0) return 0;
  const uint32_t at = stack_find(stack, hash);
  if (at == 0) { place_free(i); return 0; }
  mi_sample_sum_t* all = &stack_at(at)->all;
  all->blocks += sample->weight;
  all->asked += sample->weight * (double)sample->asked;
  all->size += sample->weight * (double)sample->size;
  mi_sample_t* s = sample_at(i);
  *s = *sample;
  s->marks = nmarks;
  s->stack = at;
  s->live = true;
  s->ms = mi_os_now_ms();
  count_birth(s);
  return i;
}

uint32_t mi_sample_take(const mi_sample_t* sample, const char* label) {
  const int saved = errno;
  bool* within = &mi_local()->samples;
  mi_stack_t stack;
  if (*within) return 0;                 /* the walk allocates, which it should not: that is no sample */
  *within = true;
  stack.nframes = (uint32_t)mi_os_stack(stack.frames, MI_SAMPLE_FRAMES);
  stack.class = class_of(sample->size);
  stack.label = label;
  stack.next = 0;
  stack.all = (mi_sample_sum_t){ 0, 0, 0 };
  const uint64_t hash = hash_of(&stack);
  mi_lock(&samples_lock);
  const uint32_t i = take(sample, &stack, hash);
  mi_unlock(&samples_lock);
  mi_add_relaxed(i != 0 ? &xtaken : &xdropped, 1);                        /* statistics */
  if (i != 0) mi_add_relaxed(&xlive, 1);
  *within = false;
  errno = saved;
  return i;
}

void mi_sample_end(uint32_t place) {
  mi_lock(&samples_lock);
  mi_assert(place != 0 && place < nsamples && sample_at(place)->live);
  count_end(sample_at(place));
  place_free(place);
  mi_unlock(&samples_lock);
  mi_sub_relaxed(&xlive, 1);                                              /* a statistic */
}

void mi_sample_move(uint32_t place, const void* block, size_t asked) {
  mi_lock(&samples_lock);
  mi_assert(place != 0 && place < nsamples && sample_at(place)->live);
  sample_at(place)->block = block;
  sample_at(place)->asked = asked;
  mi_unlock(&samples_lock);
}

const void* mi_sample_block(uint32_t place) {
  mi_lock(&samples_lock);
  const void* block =
      place != 0 && place < nsamples && sample_at(place)->live ? sample_at(place)->block : NULL;
  mi_unlock(&samples_lock);
  return block;
}

mi_sample_counts_t mi_sample_counts(void) {
  mi_lock(&samples_lock);
  const uint64_t n = nstacks - 1;
  mi_unlock(&samples_lock);
  return (mi_sample_counts_t){ mi_load_relaxed(&xlive), mi_load_relaxed(&xtaken),
                               mi_load_relaxed(&xdropped), n };            /* statistics */
}

void mi_sample_histograms(mi_profile_histograms_t* h) {
  const uint64_t now = mi_os_now_ms();
  mi_lock(&samples_lock);
  *h = counted;
  for (uint32_t i = 1; i < nsamples; i++) {
    const mi_sample_t* s = sample_at(i);
    if (s->live) h->live[age_place(age_of(s, now))] += s->weight * (double)s->asked;
  }
  mi_unlock(&samples_lock);
}

/* ---- what there is: copied under the lock, shown without ---- */

/* Stacks do not change, but for `all`, nor go. */
static mi_sample_stack_t shown(uint32_t i) {
  const mi_stack_t* s = stack_at(i);
  return (mi_sample_stack_t){ s->frames, s->nframes, s->label, { 0, 0, 0 }, { 0, 0, 0 } };
}

static void* copy_reserve(size_t* bytes) {
  *bytes = mi_align_up(mi_max(*bytes, 1), mi_os_page_size());
  void* p = mi_os_reserve(*bytes, mi_os_page_size());
  if (p == NULL || mi_os_commit(p, *bytes)) return p;
  mi_os_release(p, *bytes);
  return NULL;
}

typedef struct { mi_sample_sum_t live, all; } mi_sums_t;

/* Under the lock. */
static void sum_up(mi_sums_t* sums, uint32_t n, uint64_t marks) {
  for (uint32_t i = 1; i < n; i++) sums[i].all = stack_at(i)->all;
  for (uint32_t i = 1; i < nsamples; i++) {
    const mi_sample_t* s = sample_at(i);
    if (!s->live || s->stack >= n || s->marks >= marks) continue;
    sums[s->stack].live.blocks += s->weight;
    sums[s->stack].live.asked += s->weight * (double)s->asked;
    sums[s->stack].live.size += s->weight * (double)s->size;
  }
}

bool mi_sample_each_stack(uint64_t marks, mi_sample_visit_stack_t* visit, void* arg) {
  const uint32_t n = (uint32_t)mi_sample_counts().stacks + 1;             /* what comes later is left out */
  size_t bytes = n * sizeof(mi_sums_t);
  mi_sums_t* sums = copy_reserve(&bytes);
  if (sums == NULL) return false;
  mi_lock(&samples_lock);
  sum_up(sums, n, marks);
  mi_unlock(&samples_lock);
  bool more = true;
  for (uint32_t i = 1; i < n && more; i++) {
    mi_sample_stack_t stack = shown(i);
    stack.live = sums[i].live;
    stack.all = sums[i].all;
    more = visit(&stack, arg);
  }
  mi_os_release(sums, bytes);
  return more;
}

bool mi_sample_each(mi_sample_visit_t* visit, void* arg) {
  mi_lock(&samples_lock);
  const uint32_t room = nsamples;
  mi_unlock(&samples_lock);
  size_t bytes = room * sizeof(mi_sample_t), n = 0;
  mi_sample_t* copy = copy_reserve(&bytes);
  if (copy == NULL) return false;
  mi_lock(&samples_lock);
  for (uint32_t i = 1; i < room; i++) if (sample_at(i)->live) copy[n++] = *sample_at(i);
  mi_unlock(&samples_lock);
  bool more = true;
  for (size_t i = 0; i < n && more; i++) {
    const mi_sample_stack_t stack = shown(copy[i].stack);
    more = visit(&copy[i], &stack, arg);
  }
  mi_os_release(copy, bytes);
  return more;
}

void mi_sample_before_fork(void) { mi_lock(&samples_lock); }
void mi_sample_after_fork(bool child) { (child ? &mi_lock_reset : &mi_unlock)(&samples_lock); }
