/* See profile.h. */
#include <errno.h>
#include <string.h>

#include "options.h"
#include "os.h"
#include "os_object.h"
#include "profile.h"
#include "purger.h"
#include "report.h"
#include "sample.h"
#include "sampler.h"

/* ---- text, without a block ---- */

/* It goes to a file, or to memory where `fd` is -1. */
typedef struct {
  int    fd;
  bool   ok;
  size_t n;
  char*  memory;                    /* of `room` bytes, `used` of which have text */
  size_t room, used;
  char   text[4096];
} mi_out_t;

#define TEXT_FIRST 65536u

/* In front of it is how much there is to release. */
static bool memory_grow(mi_out_t* f) {
  const size_t before = mi_os_page_size(), room = f->room == 0 ? TEXT_FIRST : 2 * f->room;
  char* p = mi_os_reserve(before + room, before);
  if (p == NULL) return false;
  if (!mi_os_commit(p, before + room)) { mi_os_release(p, before + room); return false; }
  memcpy(p, &room, sizeof room);
  if (f->memory != NULL) {
    memcpy(p + before, f->memory, f->used);
    mi_profile_text_free(f->memory);
  }
  f->memory = p + before;
  f->room = room;
  return true;
}

static bool memory_put(mi_out_t* f) {
  while (f->n >= f->room - f->used) if (!memory_grow(f)) return false;     /* one more, for the end */
  memcpy(f->memory + f->used, f->text, f->n);
  f->used += f->n;
  return true;
}

static void flush(mi_out_t* f) {
  if (f->ok) f->ok = f->fd < 0 ? memory_put(f) : mi_os_file_write(f->fd, f->text, f->n);
  f->n = 0;
}

static void put(mi_out_t* f, const char* text, size_t n) {
  for (size_t done = 0, some; done < n; done += some) {
    if (f->n == sizeof f->text) flush(f);
    some = mi_min(n - done, sizeof f->text - f->n);
    memcpy(f->text + f->n, text + done, some);
    f->n += some;
  }
}
static void put_text(mi_out_t* f, const char* text) { put(f, text, strlen(text)); }

enum { NUMBER_MOST = 20 };               /* digits */

static size_t number_digits_of(char to[NUMBER_MOST], uint64_t x, unsigned base) {
  char digits[NUMBER_MOST];
  size_t at = NUMBER_MOST;
  do digits[--at] = "0123456789abcdef"[x % base]; while ((x /= base) != 0);
  memcpy(to, digits + at, NUMBER_MOST - at);
  return NUMBER_MOST - at;
}
static size_t number_digits(char to[NUMBER_MOST], uint64_t x) { return number_digits_of(to, x, 10); }

static void put_number(mi_out_t* f, uint64_t x, unsigned base) {
  char digits[NUMBER_MOST];
  put(f, digits, number_digits_of(digits, x, base));
}
static void put_address(mi_out_t* f, const void* p) {
  put_text(f, "0x");
  put_number(f, (uintptr_t)p, 16);
}

static uint64_t rounded(double x) { return x < 0 ? 0 : (uint64_t)(x + 0.5); }

/* ---- names ---- */

/* Part of a line: no separator in it, nor an end. */
static void put_name(mi_out_t* f, const char* name) {
  for (; *name != 0; name++) put(f, *name == ';' || *name == '\n' ? "_" : name, 1);
}

static void put_frame(mi_out_t* f, const void* p) {
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

/* The names of a label, which has semicolons between: where the next one begins, and how long it is. NULL:
   there is none. */
static const char* name_next(const char* label, size_t* length) {
  while (label != NULL && *label == ';') label++;
  if (label == NULL || *label == 0) return NULL;
  *length = strcspn(label, ";");
  return label;
}

static void put_label_part(mi_out_t* f, const char* name, size_t length) {
  for (size_t i = 0; i < length; i++) put(f, name[i] == '\n' ? "_" : name + i, 1);
}

/* False if there is none. */
static bool put_label(mi_out_t* f, const char* label) {
  size_t n = 0;
  bool any = false;
  for (const char* name = name_next(label, &n); name != NULL; name = name_next(name + n, &n)) {
    if (any) put_text(f, ";");
    put_label_part(f, name, n);
    any = true;
  }
  return any;
}

/* The innermost name first, as frames are; a name's address is where its text is. */
static void put_label_addresses(mi_out_t* f, const char* label) {
  size_t n = 0;
  const char* name = name_next(label, &n);
  if (name == NULL) return;
  put_label_addresses(f, name + n);
  put_text(f, " ");
  put_address(f, name);
}

/* ---- for pprof ---- */

typedef struct { uint64_t blocks, bytes; } mi_raw_t;
typedef struct {
  mi_out_t* file;
  size_t     rate;
  bool       all;                   /* what was allocated, too */
  bool       labels;
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

static void put_raw(mi_out_t* f, mi_raw_t live, mi_raw_t allocated) {
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
  if (stack->nframes == 0) put_text(p->file, " 0x0");
  if (p->labels) put_label_addresses(p->file, stack->label);
  put_text(p->file, "\n");
  return p->file->ok;
}

/* Names that stacks share are there more than once, which does no harm. */
static bool symbol_lines(const mi_sample_stack_t* stack, void* arg) {
  mi_out_t* f = arg;
  size_t n = 0;
  for (uint32_t i = 0; i < stack->nframes; i++) {
    put_address(f, stack->frames[i]);
    put_text(f, " ");
    put_frame(f, stack->frames[i]);
    put_text(f, "\n");
  }
  for (const char* name = name_next(stack->label, &n); name != NULL; name = name_next(name + n, &n)) {
    put_address(f, name);
    put_text(f, " ");
    put_label_part(f, name, n);
    put_text(f, "\n");
  }
  return f->ok;
}

/* The sums that the first line has are of a moment before: nobody adds them up. */
static bool write_pprof(mi_out_t* f, uint64_t before, bool symbols) {
  mi_pprof_t p = { f, mi_max(mi_sample_rate(), 1), before == 0, symbols, { 0, 0 }, { 0, 0 } };
  const uint64_t marks = before == 0 ? UINT64_MAX : before;
  if (symbols) {
    put_text(f, "--- symbol\n");
    if (!mi_sample_each_stack(marks, &symbol_lines, f)) return false;
    put_text(f, "---\n");
  }
  if (!mi_sample_each_stack(marks, &pprof_add, &p)) return false;
  put_text(f, "heap profile: ");
  put_raw(f, p.live, p.allocated);
  put_text(f, " heap_v2/");
  put_number(f, p.rate, 10);
  put_text(f, "\n");
  if (!mi_sample_each_stack(marks, &pprof_line, &p)) return false;
  put_text(f, "\nMAPPED_LIBRARIES:\n");
  flush(f);
  return f->ok && (f->fd < 0 || mi_os_file_copy("/proc/self/maps", f->fd));
}

/* ---- folded stacks ---- */

enum { ALL_NUMBERS = mi_profile_allocated_blocks + 1 };
typedef struct { mi_out_t* file; mi_profile_what_t what; bool all_numbers; } mi_folded_t;

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
  mi_out_t* f = folded->file;
  const bool all = folded->all_numbers;
  uint64_t values[ALL_NUMBERS], any = 0;
  for (int i = 0; i < ALL_NUMBERS; i++) any |= values[i] = rounded(value_of(stack, (mi_profile_what_t)i));
  if ((all ? any : values[folded->what]) == 0) return true;
  const bool labelled = put_label(f, stack->label);
  if (!labelled && stack->nframes == 0) put_text(f, "unknown");
  for (uint32_t i = stack->nframes; i-- > 0; ) {
    if (i + 1 < stack->nframes || labelled) put_text(f, ";");
    put_frame(f, stack->frames[i]);
  }
  for (int i = 0; i < ALL_NUMBERS; i++) if (all || i == (int)folded->what) {
    put_text(f, " ");
    put_number(f, values[i], 10);
  }
  put_text(f, "\n");
  return f->ok;
}

/* ---- files ---- */

static bool write_all(mi_out_t* f, mi_profile_format_t format, mi_profile_what_t what, uint64_t before) {
  mi_folded_t folded = { f, what, format == mi_profile_stacks };
  const bool pprof = format == mi_profile_pprof || format == mi_profile_symbolized;
  const bool done = pprof ? write_pprof(f, before, format == mi_profile_symbolized)
                          : mi_sample_each_stack(before == 0 ? UINT64_MAX : before, &folded_line, &folded);
  flush(f);
  return done && f->ok;
}

static void file_init(mi_out_t* f, int fd) {
  f->fd = fd;
  f->ok = true;
  f->n = f->room = f->used = 0;
  f->memory = NULL;
}

bool mi_profile_write(int fd, mi_profile_format_t format, mi_profile_what_t what, uint64_t before) {
  mi_out_t file;
  if (fd < 0) { errno = EBADF; return false; }
  file_init(&file, fd);
  return write_all(&file, format, what, before);
}

char* mi_profile_text(mi_profile_format_t format, mi_profile_what_t what, uint64_t before, size_t* length) {
  mi_out_t file;
  file_init(&file, -1);
  if (!write_all(&file, format, what, before)) {
    mi_profile_text_free(file.memory);
    errno = ENOMEM;
    return NULL;
  }
  file.memory[file.used] = 0;
  *length = file.used;
  return file.memory;
}

void mi_profile_text_free(char* text) {
  if (text == NULL) return;
  char* start = text - mi_os_page_size();
  size_t room;
  memcpy(&room, start, sizeof room);
  mi_os_release(start, mi_os_page_size() + room);
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
enum { NAME_MOST = sizeof file_name + 64 };
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
    char text[NUMBER_MOST] = { *from };
    const bool number = from[0] == '%' && from[1] == 'p';
    const size_t n = number ? number_digits(text, pid) : 1;
    if (n >= room) return false;
    if (number) from++;
    memcpy(to, text, n);
    to += n;
    room -= n;
  }
  *to = 0;
  return true;
}

void mi_profile_begin(size_t rate) {
  mi_os_stack_prepare();                 /* first: a walk that is the first one would allocate */
  mi_sample_set_rate(rate == 0 ? MI_PROFILE_RATE : rate);
}

static bool ends_with(const char* text, const char* end) {
  const size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static mi_profile_format_t format_of(const char* name) {
  return ends_with(name, ".folded") ? mi_profile_folded : ends_with(name, ".stacks") ? mi_profile_stacks
         : ends_with(name, ".symbolized") ? mi_profile_symbolized : mi_profile_pprof;
}

static void cannot_write(void) {
  mi_report_message("mimalloc: MIMALLOC_PROFILE: cannot write %s\n", file_name);
}

void mi_profile_process_end(void) {
  char name[NAME_MOST];
  if (*file_name == 0 || (process != 0 && process != mi_os_process_id())) return;
  if (!name_make(name, sizeof name, file_name, mi_os_pid())
      || !mi_profile_write_file(name, format_of(file_name), mi_profile_in_use_bytes, 0))
    cannot_write();
}

/* ---- when a signal comes ---- */

/* The handler may come in the middle of anything: it counts, and wakes the thread, which is there for nothing
   else. */
static mi_atomic(uint32_t) xasked, bell;

static void on_signal(int number) {
  (void)number;
  mi_add_relaxed(&xasked, 1);            /* what wakes the thread shows it */
  mi_os_wake_at(&bell);
}

/* `name` with the number of this dump in front of its extension. False if it is too long. */
static bool name_number(char* to, size_t room, const char* name, uint32_t number) {
  char text[NUMBER_MOST + 2];
  const char *slash = strrchr(name, '/'), *dot = strrchr(slash == NULL ? name : slash, '.');
  const size_t length = strlen(name), before = dot == NULL ? length : (size_t)(dot - name);
  const size_t digits = number_digits(text + 1, number);
  text[0] = '.';
  if (length + 1 + digits >= room) return false;
  memcpy(to, name, before);
  memcpy(to + before, text, 1 + digits);
  memcpy(to + before + 1 + digits, name + before, length - before + 1);
  return true;
}

/* Under another name first: whoever waits for the file finds all of it. */
static bool write_number(uint32_t number) {
  char whole[NAME_MOST], name[NAME_MOST], part[NAME_MOST];
  if (!name_make(whole, sizeof whole, file_name, mi_os_pid())
      || !name_number(name, sizeof name, whole, number) || strlen(name) + sizeof ".part" > sizeof part)
    return false;
  strcpy(part, name);
  strcat(part, ".part");
  return mi_profile_write_file(part, format_of(file_name), mi_profile_in_use_bytes, 0)
         && mi_os_file_rename(part, name);
}

enum { LOOK_MS = 250 };                  /* whether all other threads have ended */
static uint64_t starter_signals;         /* written before the thread begins */

/* It ends as the thread that purges does (purger.c), which says why. */
static void* writer_run(void* arg) {
  (void)arg;
  mi_os_thread_begins();
  for (uint32_t number = 0; !mi_os_is_last_thread() && !mi_purger_nobody_allocates();
       mi_os_wait_at(&bell, LOOK_MS))
    /* Behind the wait, or in the next turn. */
    while (number != mi_load_relaxed(&xasked)) if (!write_number(++number)) cannot_write();
  if (mi_os_is_last_thread()) mi_os_signals_set(starter_signals);
  return NULL;
}

/* "SIGUSR1" is USR1. */
static void signal_begin(void) {
  const char* text = variable("MIMALLOC_PROFILE_SIGNAL");
  if (text == NULL || *text == 0) return;
  starter_signals = mi_os_signals();
  if (!mi_os_signal_handle(text + (strncmp(text, "SIG", 3) == 0 ? 3 : 0), &on_signal))
    mi_report_message(errno == EINVAL ? "mimalloc: MIMALLOC_PROFILE_SIGNAL: no signal: %s\n"
                      : "mimalloc: MIMALLOC_PROFILE_SIGNAL: it is somebody else's: %s\n", text);
  else if (!mi_os_thread_start(&writer_run, NULL))
    mi_report_message("mimalloc: MIMALLOC_PROFILE_SIGNAL: no thread to write the profile\n");
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
  signal_begin();
}
