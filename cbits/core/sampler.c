/* See sampler.h. Owner-only. */
#include "heap_pages.h"
#include "os.h"
#include "sampler.h"

/* ---- chance: without the C library's functions, which live in a library of their own ---- */

/* Bits that look random: a count, scattered. */
static uint64_t bits_next(uint64_t* state) {
  uint64_t x = (*state += 0x9e3779b97f4a7c15u);                           /* odd: the golden ratio, */
  x = (x ^ x >> 30) * 0x243f6a8885a308d3u;                                /* and the digits of pi */
  x = (x ^ x >> 27) * 0x13198a2e03707345u;
  return x ^ x >> 31;
}

/* -ln(x / 2^64) for x > 0. ln m = 2 atanh t with t = (m - 1)/(m + 1) <= 1/3: what the eleventh term and all
   behind it have is below 10^-11. */
static double minus_ln(uint64_t x) {
  const double ln2 = 0.69314718055994530942;
  const unsigned up = 63u - mi_log2(x);
  const double m = (double)(x << up) / 9223372036854775808.0;             /* 1 to 2 */
  const double t = (m - 1) / (m + 1), tt = t * t;
  double sum = 0;
  for (int n = 21; n > 0; n -= 2) sum = sum * tt + 1.0 / n;
  return (up + 1) * ln2 - 2 * t * sum;
}

uint64_t mi_sampler_draw(uint64_t* state, size_t rate) {
  const double distance = minus_ln(bits_next(state) | 1) * (double)rate;
  return distance < 9e18 ? (uint64_t)distance : (uint64_t)9e18;
}

/* 1 - exp(-x) for x >= 0: of a small part of it by its series; twice as much is y (2 - y). */
static double chance(double x) {
  int n = 0;
  if (x > 50) return 1;
  for (; x > 1.0 / 16; x /= 2) n++;
  double y = x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6 * (1 - x / 7))))));
  for (; n > 0; n--) y *= 2 - y;
  return y;
}

double mi_sampler_weight(size_t size, size_t rate) {
  return rate == 0 || size == 0 ? 1 : 1 / chance((double)size / (double)rate);
}

/* ---- points ---- */

static void point_draw(mi_points_t* points) { points->left = mi_sampler_draw(&points->random, points->rate); }

void mi_sampler_begin(mi_lheap_t* lh) {
  const uint32_t session = mi_load_acquire(&mi_sample_xsession);          /* pairs with mi_sample_set_rate */
  const size_t rate = mi_load_relaxed(&mi_sample_xrate);                  /* no older than the session */
  if (rate == 0) return;                 /* off again: it looks again */
  mi_points_t* points = &lh->owner->points;
  if (points->session != session) {      /* else another of its local heaps has begun */
    *points = (mi_points_t){ .session = session, .rate = rate, .random = mi_os_salt() ^ (uintptr_t)points };
    point_draw(points);
  }
  lh->sample_session = session;
  for (unsigned bin = 1; bin <= MI_BIN_LAST; bin++)
    for (mi_page_t* page = lh->queue[bin].first; page != NULL; page = NULL) mi_page_cut(page, 0);
}

bool mi_sampler_passes(mi_lheap_t* lh, size_t size) {
  mi_sampler_look(lh);
  if (lh->sample_session == 0) return false;                              /* it is off again */
  mi_points_t* points = &lh->owner->points;
  if (points->left >= size) {
    points->left -= size;
    return false;
  }
  point_draw(points);
  return true;
}

/* Blocks of the page that are free, or more: those that others freed and nobody collected are live still, and
   both lists count. What is in `free` passes in any case. */
static uint64_t free_at_most(mi_page_t* page) {
  const uint32_t live = mi_page_live(page);
  return live < page->capacity ? page->capacity - live : page->capacity;  /* it is not, in a damaged page */
}

void mi_sampler_fill(mi_lheap_t* lh, mi_page_t* page, bool one) {
  const size_t size = mi_page_size(page);
  mi_assert(page->lheap == lh && size > 0);
  if (page->free == &mi_nil) {
    page->free = page->local_free;
    page->local_free = &mi_nil;
  }
  page->sample_cut = 0;
  if (lh->sample_session == 0) return;   /* sampling began after it looked */
  if (one) {
    mi_page_cut(page, 1);
    return;
  }
  mi_points_t* points = &lh->owner->points;
  const uint64_t n = free_at_most(page);
  if (points->left >= n * size) {
    points->left -= n * size;
    return;
  }
  const uint64_t k = points->left / size;
  const uint32_t passed = mi_page_cut(page, (uint32_t)k);
  if (passed < k) {                                                       /* there were fewer */
    points->left -= passed * size;
    return;
  }
  page->sample_cut = lh->sample_session;
  point_draw(points);
}

/* ---- samples ---- */

uint32_t mi_sampler_note(mi_lheap_t* lh, const void* block, size_t asked, size_t size) {
  const mi_heap_t* heap = mi_load_relaxed(&lh->xheap);                    /* this owner may use it */
  const mi_sample_t sample = {
    .block = block,
    .asked = asked,
    .size = size,
    .weight = mi_sampler_weight(size, lh->owner->points.rate),
    .heap = mi_load_relaxed(&heap->xid),                                  /* constant while it is used */
  };
  return mi_sample_take(&sample, mi_sample_label(lh->owner));
}

void mi_sampler_take(mi_lheap_t* lh, mi_page_t* page, size_t asked, size_t size) {
  mi_assert(mi_page_is_single(page) && mi_load_relaxed(&page->xsample) == 0);
  /* Shown to others together with the block. */
  mi_store_relaxed(&page->xsample, mi_sampler_note(lh, page->start, asked, size));
}

void mi_sampler_expanded(mi_page_t* page, size_t asked) {
  const uint32_t place = mi_load_relaxed(&page->xsample);                 /* the caller's block */
  if (mi_unlikely(place != 0)) mi_sample_move(place, page->start, asked);
}

void mi_sampler_resized(mi_lheap_t* lh, mi_page_t* page, size_t asked, size_t old_size) {
  const size_t size = mi_page_size(page);
  mi_assert(mi_page_is_single(page));
  if (size == old_size || !mi_sample_is_on()) {
    mi_sampler_expanded(page, asked);
    return;
  }
  mi_page_end_sample(page);
  if (mi_sampler_passes(lh, size)) mi_sampler_take(lh, page, asked, size);
}
