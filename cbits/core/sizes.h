/* Size classes: bins 1..MI_BIN_LAST, and MI_BIN_SINGLE for pages of one block.
   Pure functions, any thread.

   In granules of 16 bytes: 1, 2 .. 16, then eight classes a doubling (18, 20 .. 32, 36 ..), so a
   class is at most 12.5 % larger than the one below it from 128 bytes up. */
#ifndef MI_SIZES_H
#define MI_SIZES_H

#include "base.h"

#define MI_BIN_SMALL_LAST 56u       /* the bin of MI_SMALL_MAX */
#define MI_BIN_LAST   80u
#define MI_BIN_SINGLE 81u
#define MI_BIN_COUNT  82u
#define MI_DIRECT_COUNT (MI_DIRECT_MAX / MI_GRANULE + 1)

/* Granules that hold size bytes; at least one, so that zero-sized blocks are unique. */
mi_inline size_t mi_granules(size_t size) {
  return (size + MI_GRANULE - 1) / MI_GRANULE + (size == 0);
}

/* The bin of a size up to MI_MEDIUM_MAX. */
mi_inline unsigned mi_bin_of(size_t size) {
  const size_t w = mi_granules(size) - 1;
  if (w < 8) return (unsigned)w + 1;
  const unsigned octave = mi_log2(w) - 3;
  return octave * 8 + (unsigned)(w >> octave) + 1;
}

/* The block size of a bin, bytes. */
mi_inline size_t mi_bin_size(unsigned bin) {
  if (bin <= 8) return bin * MI_GRANULE;
  const unsigned octave = (bin - 9) / 8;
  return (size_t)(bin - octave * 8) * (MI_GRANULE << octave);
}

_Static_assert(MI_MEDIUM_MAX == 4096 * MI_GRANULE,
               "MI_BIN_LAST is the bin of 4096 granules: change both together");
_Static_assert(MI_SMALL_MAX == 512 * MI_GRANULE,
               "MI_BIN_SMALL_LAST is the bin of 512 granules: change both together");
_Static_assert(MI_SMALL_MAX * 8 == MI_SLICE_SIZE, "a small page holds at least eight blocks");
_Static_assert(MI_MEDIUM_MAX * 8 == MI_MEDIUM_SLICES * MI_SLICE_SIZE,
               "a medium page holds at least eight blocks");

#endif
