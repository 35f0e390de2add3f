/* See profile.h. */
#include <errno.h>
#include <string.h>

#include "options.h"
#include "os.h"
#include "os_object.h"
#include "profile.h"
#include "report.h"
#include "sample.h"
#include "sampler.h"

/* ---- text, without a block ---- */

typedef struct {
  int    fd;
  bool   ok;
  size_t n;
  char   text[4096];
} mi_file_t;

static void flush(mi_file_t* f) {
  if (f->ok) f->ok = mi_os_file_write(f->fd, f->text, f->n);
  f->n = 0;
}

static void put(mi_file_t* f, const char* text, size_t n) {
  for (size_t done = 0, some; done < n; done += some) {
    if (f->n == sizeof f->text) flush(f);
    some = mi_min(n - done, sizeof f->text - f->n);
    memcpy(f->text + f->n, text + done, some);
    f->n += some;
  }
}
static void put_text(mi_file_t* f, const char* text) { put(f, text, strlen(text)); }

static void put_number(mi_file_t* f, uint64_t x, unsigned base) {
  char digits[20];
  size_t at = sizeof digits;
  do digits[--at] = "0123456789abcdef"[x % base]; while ((x /= base) != 0);
  put(f, digits + at, sizeof digits - at);
}
static void put_address(mi_file_t* f, const void* p) {
  put_text(f, "0x");
  put_number(f, (uintptr_t)p, 16);
}

static uint64_t rounded(double x) { return x < 0 ? 0 : (uint64_t)(x + 0.5); }

/* ---- for pprof ---- */

typedef struct { uint64_t blocks, bytes; } mi_raw_t;
typedef struct {
  mi_file_t* file;
  size_t     rate;
  bool       all;                   /* what was allocated, too */
  mi_raw_t   live, allocated;       /* of all stacks */
} mi_pprof_t;

/* Samples, not weighed: pprof multiplies both numbers by the weight of blocks of bytes/blocks bytes. If all
   are of this rate, that is how many there are; those of another count as so many of this one. */
static mi_raw_t raw(const mi_sample_sum_t* sum, size_t rate) {
  if (sum->blocks <= 0) return (mi_raw_t){ 0, 0 };
  const double size = sum->size / sum->blocks;
  const uint64_t n = rounded(sum->blocks / mi_sampler_weight((size_t)size, rate));
  return (mi_raw_t){ n, rounded((double)n * size) };
}

static void put_raw(mi_file_t* f, mi_raw_t live, mi_raw_t allocated) {
  const struct {
    const char* before;
    uint64_t x;
  } parts[] = { { "", live.blocks }, { ": ", live.bytes }, { " [", allocated.blocks },
                { ": ", allocated.bytes } };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    put_text(f, parts[i].before);
    put_number(f, parts[i].x, 10);
  }
  put_text(f, "] @");
}

static bool pprof_add(const mi_sample_stack_t* stack, void* arg) {
  mi_pprof_t* p = arg;
  const mi_raw_t live = raw(&stack->live, p->rate), all = p->all ? raw(&stack->all, p->rate) : live;
  p->live.blocks += live.blocks, p->live.bytes += live.bytes;
  p->allocated.blocks += all.blocks, p->allocated.bytes += all.bytes;
  return true;
}

static bool pprof_line(const mi_sample_stack_t* stack, void* arg) {
  mi_pprof_t* p = arg;
  const mi_raw_t live = raw(&stack->live, p->rate), all = p->all ? raw(&stack->all, p->rate) : live;
  if (live.blocks == 0 && all.blocks == 0) return true;
  put_raw(p->file, live, all);
  for (uint32_t i = 0; i < stack->nframes; i++) {
    put_text(p->file, " ");
    put_address(p->file, stack->frames[i]);
  }
  put_text(p->file, stack->nframes == 0 ? " 0x0\n" : "\n");
  return p->file->ok;
}

/* The sums that the first line has are of a moment before: nobody adds them up. */
static bool write_pprof(mi_file_t* f, uint64_t before) {
  mi_pprof_t p = { f, mi_max(mi_sample_rate(), 1), before == 0, { 0, 0 }, { 0, 0 } };
  const uint64_t marks = before == 0 ? UINT64_MAX : before;
  if (!mi_sample_each_stack(marks, &pprof_add, &p)) return false;
  put_text(f, "heap profile: ");
  put_raw(f, p.live, p.allocated);
  put_text(f, " heap_v2/");
  put_number(f, p.rate, 10);
  put_text(f, "\n");
  if (!mi_sample_each_stack(marks, &pprof_line, &p)) return false;
  put_text(f, "\nMAPPED_LIBRARIES:\n");
  flush(f);
  return f->ok && mi_os_file_copy("/proc/self/maps", f->fd);
}

/* ---- folded stacks ---- */

typedef struct { mi_file_t* file; mi_profile_what_t what; } mi_folded_t;

/* Part of a line: no separator in it, nor an end. */
static void put_name(mi_file_t* f, const char* name) {
  for (; *name != 0; name++) put(f, *name == ';' || *name == '\n' ? "_" : name, 1);
}

static void put_frame(mi_file_t* f, const void* p) {
  const char* call = (const char*)p - 1;                     /* p is behind it, where another may begin */
  const mi_os_place_t place = mi_os_place(call);
  if (place.function != NULL) put_name(f, place.function);
  else if (place.object != NULL) {
    put_name(f, place.object);
    put_text(f, "+0x");
    put_number(f, place.in_object, 16);
  }
  else put_address(f, call);
}

static double value_of(const mi_sample_stack_t* stack, mi_profile_what_t what) {
  switch (what) {
    case mi_profile_in_use_bytes: return stack->live.asked;
    case mi_profile_in_use_blocks: return stack->live.blocks;
    case mi_profile_allocated_bytes: return stack->all.asked;
    default: return stack->all.blocks;
  }
}

static bool folded_line(const mi_sample_stack_t* stack, void* arg) {
  const mi_folded_t* folded = arg;
  mi_file_t* f = folded->file;
  const uint64_t value = rounded(value_of(stack, folded->what));
  if (value == 0) return true;
  if (stack->label != NULL) put_name(f, stack->label);
  if (stack->label == NULL && stack->nframes == 0) put_text(f, "unknown");
  for (uint32_t i = stack->nframes; i-- > 0; ) {
    if (i + 1 < stack->nframes || stack->label != NULL) put_text(f, ";");
    put_frame(f, stack->frames[i]);
  }
  put_text(f, " ");
  put_number(f, value, 10);
  put_text(f, "\n");
  return f->ok;
}

/* ---- files ---- */

bool mi_profile_write(int fd, mi_profile_format_t format, mi_profile_what_t what, uint64_t before) {
  mi_file_t file;
  file.fd = fd;
  file.ok = true;
  file.n = 0;
  mi_folded_t folded = { &file, what };
  const bool done = format == mi_profile_pprof
                        ? write_pprof(&file, before)
                        : mi_sample_each_stack(before == 0 ? UINT64_MAX : before, &folded_line, &folded);
  flush(&file);
  return done && file.ok;
}

bool mi_profile_write_file(const char* path, mi_profile_format_t format, mi_profile_what_t what,
                           uint64_t before) {
  const int fd = mi_os_file_create(path);
  if (fd < 0) return false;
  const bool done = mi_profile_write(fd, format, what, before);
  const int saved = errno;
  mi_os_file_close(fd);
  errno = saved;
  return done;
}

/* ---- a process that is asked for it by its environment ---- */

static char file_name[1024];             /* empty: it is not */
static uint64_t process;                 /* which one; 0: any that has the name */

/* What follows NAME= in the environment; NULL: nothing. */
static const char* variable(const char* name) {
  const size_t n = strlen(name);
  for (char* const* v = mi_os_environment(); v != NULL && *v != NULL; v++)
    if (strncmp(*v, name, n) == 0 && (*v)[n] == '=') return *v + n + 1;
  return NULL;
}

/* `from` with %p replaced. False if it is too long. */
static bool name_make(char* to, size_t room, const char* from, uint64_t pid) {
  for (; *from != 0; from++) {
    char digits[20];
    size_t at = sizeof digits;
    const bool number = from[0] == '%' && from[1] == 'p';
    if (number) {
      uint64_t x = pid;
      do digits[--at] = (char)('0' + x % 10); while ((x /= 10) != 0);
      from++;
    }
    else digits[--at] = *from;
    if (sizeof digits - at >= room) return false;
    memcpy(to, digits + at, sizeof digits - at);
    to += sizeof digits - at;
    room -= sizeof digits - at;
  }
  *to = 0;
  return true;
}

void mi_profile_begin(size_t rate) {
  mi_os_stack_prepare();                 /* first: a walk that is the first one would allocate */
  mi_sample_set_rate(rate == 0 ? MI_PROFILE_RATE : rate);
}

void mi_profile_process_begin(void) {
  const char *name = variable("MIMALLOC_PROFILE"), *text = variable("MIMALLOC_PROFILE_RATE");
  size_t rate = 0;
  if (name == NULL || *name == 0) return;
  const size_t n = strlen(name);
  if (n >= sizeof file_name) {
    mi_report_message("mimalloc: MIMALLOC_PROFILE: the name is too long\n");
    return;
  }
  memcpy(file_name, name, n + 1);
  process = strstr(name, "%p") == NULL ? mi_os_process_id() : 0;
  if (text != NULL && !mi_options_parse_bytes(text, &rate))
    mi_report_message("mimalloc: MIMALLOC_PROFILE_RATE: no number of bytes: %s\n", text);
  mi_profile_begin(rate);
}

static bool ends_with(const char* text, const char* end) {
  const size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

void mi_profile_process_end(void) {
  char name[sizeof file_name + 64];
  if (*file_name == 0 || (process != 0 && process != mi_os_process_id())) return;
  const mi_profile_format_t format = ends_with(file_name, ".folded") ? mi_profile_folded : mi_profile_pprof;
  if (!name_make(name, sizeof name, file_name, mi_os_pid())
      || !mi_profile_write_file(name, format, mi_profile_in_use_bytes, 0))
    mi_report_message("mimalloc: MIMALLOC_PROFILE: cannot write %s\n", file_name);
}
