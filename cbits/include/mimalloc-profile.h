/* A profile of the heap: who allocated what lives, by samples. From C; all functions are any-thread.

   Off it costs nothing. On, one byte in `rate` is a point, at random, and the block that it falls in becomes
   a sample: it is noted with the stack that allocated it, until it is freed. A sample stands for as many
   blocks as are allocated, on average, for one to be a sample: sums over samples, weighed so, are right on
   average, and the better the more samples there are. A sample has memory of its own, in pieces of 64 KiB, of
   which it touches what it is written to.

   From the environment: MIMALLOC_PROFILE=FILE samples from the start and writes the profile to FILE when the
   process exits: folded stacks if the name ends in ".folded", with all numbers if in ".stacks", with names
   for pprof if in ".symbolized", else for pprof. %p in the name is the process's number; without it a child
   of fork writes nothing. MIMALLOC_PROFILE_RATE=BYTES is the rate, and may have a unit (64K).
   MIMALLOC_PROFILE_SIGNAL=USR1 (or USR2, HUP), if nobody else handles or ignores it: at the first such signal
   the profile is written, too, to FILE with ".1" before its extension, at the next with ".2". A file that is
   there is whole. A thread of its own does it; a child of fork has none: there the signal does nothing. */
#ifndef MIMALLOC_PROFILE_H
#define MIMALLOC_PROFILE_H

#include "mimalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MI_PROFILE_RATE ((size_t)512 * 1024)

/* Samples from here on, one in `rate` bytes; 0: MI_PROFILE_RATE. Again with another rate: goes on at that
   rate, with all samples that there are. Blocks from before are not in the profile; nor are, of each other
   thread, those that it had at hand: less than 64 KiB of each size class. May allocate. */
mi_decl_export void   mi_profile_start(size_t rate) mi_attr_noexcept;
/* Makes no more samples. Those that there are end when their blocks are freed, as before. */
mi_decl_export void   mi_profile_stop(void) mi_attr_noexcept;
/* The rate; 0: off. */
mi_decl_export size_t mi_profile_rate(void) mi_attr_noexcept;

/* Draws a line in time: the number of this mark, from 1 on. What was allocated before the line and lives at a
   later dump may be a leak. */
mi_decl_export uint64_t mi_profile_mark(void) mi_attr_noexcept;

/* What this thread allocates from here on has this label, beside its stack; NULL: none. With semicolons it is
   several, the outermost first: "requests;parse". The text must stay as long as the process. The label
   before. */
mi_decl_export const char* mi_profile_set_label(const char* label) mi_attr_noexcept;

typedef enum mi_profile_format_e {
  /* The text that gperftools' pprof and `go tool pprof` read: in use and allocated, blocks and bytes; bytes
     are those that blocks have. pprof finds names in the program. It has no labels. */
  mi_profile_pprof,
  /* A line for each stack, the outermost frame first, with semicolons between; and a number. Flame graphs are
     made of that. Labels come first. Bytes are those that were asked for. */
  mi_profile_folded,
  /* The same with four numbers: in use bytes and blocks, allocated bytes and blocks. */
  mi_profile_stacks,
  /* pprof's text with the names that the dynamic linker knows, and labels as the outermost frames.
     gperftools' pprof reads it without the program: google-pprof --text FILE. */
  mi_profile_symbolized
} mi_profile_format_t;

/* The number in folded stacks. */
typedef enum mi_profile_what_e {
  mi_profile_in_use_bytes,
  mi_profile_in_use_blocks,
  mi_profile_allocated_bytes,
  mi_profile_allocated_blocks
} mi_profile_what_t;

/* Writes the profile to a new file, or to a file descriptor. before: 0, or the number of a mark: only blocks
   that live since before it. The program is not stopped meanwhile. False, and errno, if it cannot be
   written. */
mi_decl_export bool mi_profile_dump(const char* path, mi_profile_format_t format, mi_profile_what_t what,
                                    uint64_t before) mi_attr_noexcept;
mi_decl_export bool mi_profile_dump_fd(int fd, mi_profile_format_t format, mi_profile_what_t what,
                                       uint64_t before) mi_attr_noexcept;

/* A sample. */
typedef struct mi_profile_sample_s {
  const void*  block;               /* its start, also where an aligned pointer into it was returned */
  size_t       size;                /* bytes that were asked for */
  double       weight;              /* blocks that it stands for */
  uint64_t     age_ms;
  uint64_t     heap_id;             /* as in the statistics */
  uint64_t     marks;               /* marks that were made before it */
  const char*  label;               /* NULL: none */
  void* const* frames;              /* return addresses, the innermost first */
  size_t       nframes;
} mi_profile_sample_t;
typedef bool (mi_cdecl mi_profile_visit_fun)(const mi_profile_sample_t* sample, void* arg);

/* Calls `visitor` for each sample that lives now, until it returns false. It may allocate and free. False if
   it returned false, or if there is no memory. */
mi_decl_export bool mi_profile_visit(mi_profile_visit_fun* visitor, void* arg) mi_attr_noexcept;

/* Samples that live; those taken, and those dropped because the table was full (65,536 samples, 16,384
   stacks) or there was no memory, since the process began; stacks. */
typedef struct mi_profile_counts_s {
  uint64_t live, taken, dropped, stacks;
} mi_profile_counts_t;
mi_decl_export mi_profile_counts_t mi_profile_counts(void) mi_attr_noexcept;

/* How large blocks are and how long they live, as far as they were allocated while sampling was on. Numbers
   of blocks and bytes are estimates, by the weights of the samples; bytes are those that were asked for. In
   each array the last place is for what is more than the last limit. A resize that changes the bytes that a
   block has ends it, and makes another. */
#define MI_PROFILE_SIZES 13         /* limits: 16, 64, 256 .. bytes, four times as much each, up to 64 MiB */
#define MI_PROFILE_AGES  9          /* 10 ms, 100 ms, 1 s, 10 s, 1 minute, 10 minutes, 1 hour, 1 day */
typedef struct mi_profile_histograms_s {
  double sizes[MI_PROFILE_SIZES], sizes_sum;  /* all blocks, since the process began; their bytes */
  double ages[MI_PROFILE_AGES], ages_sum;     /* the blocks that were freed; milliseconds that they lived */
  double live[MI_PROFILE_AGES];               /* what lives now, by age: bytes */
} mi_profile_histograms_t;
mi_decl_export void mi_profile_histograms(mi_profile_histograms_t* histograms) mi_attr_noexcept;

#ifdef __cplusplus
}
#endif

#endif
