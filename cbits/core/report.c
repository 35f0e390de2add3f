/* See report.h. Any thread. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "local.h"
#include "os.h"
#include "report.h"

void mi_report_message(const char* format, ...) {
  char text[320];
  va_list args;
  va_start(args, format);
  const int saved = errno;
  const int n = vsnprintf(text, sizeof text, format, args);               /* short texts: does not allocate */
  va_end(args);
  if (mi_callback_output(text)) { errno = saved; return; }
  if (n > 0) mi_os_write(text, mi_min((size_t)n, sizeof text - 1));
  errno = saved;
}

static const struct { int code; const char* text;
} errors[] = {
  [MI_ERROR_DOUBLE_FREE] = { EAGAIN, "double free: the block is free already" },
  [MI_ERROR_MISCOUNTED] = { EAGAIN,
                            "double free: two threads freed a block of this page at the same moment" },
  [MI_ERROR_NOT_A_BLOCK] = { EINVAL, "invalid pointer: not a live block of this allocator" },
  [MI_ERROR_INTERIOR] = { EINVAL, "invalid pointer: not the start of a live block" },
  [MI_ERROR_CORRUPT] = { EFAULT, "a free block was written to" },
  [MI_ERROR_TOO_LARGE] = { EOVERFLOW, "request too large" },
  [MI_ERROR_ALIGNMENT] = { EINVAL, "alignment is not a supported power of two" },
  [MI_ERROR_NO_MEMORY] = { ENOMEM, "out of memory" },
  [MI_ERROR_ARGUMENT] = { EINVAL, "invalid argument" },
  [MI_ERROR_FREE_SIZE] = { EINVAL, "sized free: the block is of another size" },
  [MI_ERROR_FREE_ALIGNMENT] = { EINVAL, "aligned free: the block is not aligned so" },
};

void mi_report_misuse(mi_error_t error, const void* p, size_t size) {
  const int saved = errno;
  static mi_atomic(long) nshown;
  const long most = mi_option_get(mi_option_max_errors);
  /* A count. */
  if (mi_option_is_enabled(mi_option_show_errors) && (most < 0 || mi_add_relaxed(&nshown, 1) < most)) {
    if (size != 0) mi_report_message("mimalloc: %s: %p (%zu-byte blocks)\n", errors[error].text, p, size);
    else mi_report_message("mimalloc: %s: %p\n", errors[error].text, p);
  }
  mi_callback_error(errors[error].code);
  if (mi_option_is_enabled(mi_option_abort_on_error)) abort();
  errno = saved;
}

mi_atomic(bool) mi_report_xever;

void mi_report_later(mi_error_t error, const void* p, size_t size) {
  mi_local_t* local = mi_local();
  if (local->nerrors == MI_ERRORS_LATER) return;
  const unsigned n = local->nerrors++;
  local->errors[n].error = error;
  local->errors[n].p = p;
  local->errors[n].size = size;
  mi_store_relaxed(&mi_report_xever, true);  /* a hint to others, whose own numbers are 0 */
}

void mi_report_pending_all(void) {
  mi_local_t* local = mi_local();
  const mi_local_t found = *local;
  if (found.nerrors == 0) return;
  mi_assert(found.nerrors <= MI_ERRORS_LATER);
  local->nerrors = 0;                                                     /* a callback may come here again */
  for (unsigned i = 0; i < found.nerrors; i++)
    mi_report_misuse((mi_error_t)found.errors[i].error, found.errors[i].p, found.errors[i].size);
}

void* mi_report_fail(mi_error_t error, size_t size) {
  if (mi_option_is_enabled(mi_option_verbose))
    mi_report_message("mimalloc: %s: %zu bytes\n", errors[error].text, size);
  mi_callback_error(errors[error].code);
  errno = (error == MI_ERROR_TOO_LARGE) ? ENOMEM : errors[error].code;    /* as the C library does */
  return NULL;
}
