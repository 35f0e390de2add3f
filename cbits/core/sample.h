/* The table of the profile: the samples that live, and the stacks that allocated any. docs/protocols.md,
   section 11. What is a sample, sampler.h decides. Any thread, under one lock. */
#ifndef MI_SAMPLE_H
#define MI_SAMPLE_H

#include "../include/mimalloc-profile.h"
#include "os.h"
#include "types.h"

#define MI_SAMPLE_FRAMES 32u        /* the most of a stack that is kept */
#define MI_SAMPLES_MAX   65536u
#define MI_STACKS_MAX    16384u

/* Bytes on average between two points; 0: the profile is off. A hint: what goes on by it is right for any. */
extern mi_atomic(size_t) mi_sample_xrate;
mi_inline bool mi_sample_is_on(void) { return mi_load_relaxed(&mi_sample_xrate) != 0; }
/* Changes when sampling begins, or goes on at another rate. Not 0 while it is on. */
extern mi_atomic(uint32_t) mi_sample_xsession;

/* By capabilities nothing is known here of what they run: a ring says how the label of that is found, in an
   allocation of theirs. Else it is the owner's. */
typedef const char* (*mi_sample_label_t)(void);
void mi_sample_set_label_of(mi_sample_label_t label_of);
const char* mi_sample_label(const mi_owner_t* owner);

/* Rate 0: off. Samples that live stay in the table, and end as their blocks do. */
void mi_sample_set_rate(size_t rate);
/* The last rate that was set and was not 0; 0: none was. */
size_t mi_sample_rate(void);

typedef struct {
  const void* block;
  size_t      asked;                /* bytes that were asked for; changed by a resize */
  size_t      size;                 /* bytes that the block had then: what it is weighed by */
  double      weight;               /* so many blocks it stands for */
  uint64_t    ms;                   /* when, by mi_os_now_ms */
  uint64_t    heap;                 /* its heap's id */
  uint64_t    marks;                /* calls of mi_sample_mark before it */
  uint32_t    stack;                /* place of its stack; of a free place: of the next one */
  bool        live;
} mi_sample_t;

/* Is there a place? A hint. / A sample that was due is none, and counted. */
bool mi_sample_has_room(void);
void mi_sample_drop(void);
/* Notes the block, with the stack of whoever calls; keeps errno. `sample`: all but time, marks and stack.
   The place in the table, which is not 0; 0: there is none, which is counted. Nothing may be half done where
   this is called: the stack is walked. */
uint32_t mi_sample_take(const mi_sample_t* sample, const char* label);
/* The block at this place ends / is elsewhere, or another size was asked for. Whoever holds its page. */
void mi_sample_end(uint32_t place);
void mi_sample_move(uint32_t place, const void* block, size_t asked);

/* Of a place: its block; NULL: it has none. The checker's. */
const void* mi_sample_block(uint32_t place);

/* How many marks there were before. Samples remember that number. */
uint64_t mi_sample_mark(void);

/* Blocks, bytes that were asked for, and bytes that blocks have: each times its weight. */
typedef struct { double blocks, asked, size; } mi_sample_sum_t;
typedef struct {
  void* const* frames;              /* the innermost first */
  uint32_t    nframes;
  const char* label;                /* NULL: none */
  mi_sample_sum_t live, all;        /* what lives / was allocated since the beginning */
} mi_sample_stack_t;

/* Calls `visit` for each stack, without a lock; all are of one moment. `marks`: of what lives only those that
   had fewer marks before them count. False if there is no memory for it, or `visit` said so. */
typedef bool (mi_sample_visit_stack_t)(const mi_sample_stack_t* stack, void* arg);
bool mi_sample_each_stack(uint64_t marks, mi_sample_visit_stack_t* visit, void* arg);
/* The same for each sample that lives, with its stack, whose sums are 0. */
typedef bool (mi_sample_visit_t)(const mi_sample_t* sample, const mi_sample_stack_t* stack, void* arg);
bool mi_sample_each(mi_sample_visit_t* visit, void* arg);

/* Statistics. Live; taken and dropped so far; stacks. */
typedef struct { uint64_t live, taken, dropped, stacks; } mi_sample_counts_t;
mi_sample_counts_t mi_sample_counts(void);
/* The same of sizes and ages: as mi_profile_histograms. */
void mi_sample_histograms(mi_profile_histograms_t* histograms);

void mi_sample_before_fork(void);
void mi_sample_after_fork(bool child);

#endif
