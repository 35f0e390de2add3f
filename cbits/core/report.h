/* What is said: messages, misuse, requests that fail.
   Any thread. It calls the program's functions (callback.h), so never with a lock held. */
#ifndef MI_REPORT_H
#define MI_REPORT_H

#include "callback.h"
#include "options.h"

/* What an error is. Each has one clear line and a code for mi_register_error's function. */
typedef enum {
  MI_ERROR_DOUBLE_FREE,    /* EAGAIN */
  /* EAGAIN: the same, found later: more was freed in a page than was live; `p` is its start. */
  MI_ERROR_MISCOUNTED,
  MI_ERROR_NOT_A_BLOCK,    /* EINVAL: foreign, or freed together with its page */
  MI_ERROR_INTERIOR,       /* EINVAL: inside a page, not the start of a block */
  MI_ERROR_CORRUPT,        /* EFAULT: a free block was written to */
  MI_ERROR_TOO_LARGE,      /* EOVERFLOW: larger than PTRDIFF_MAX, or a product that overflows */
  MI_ERROR_ALIGNMENT,      /* EINVAL: no power of two */
  MI_ERROR_NO_MEMORY,      /* ENOMEM */
  MI_ERROR_ARGUMENT,       /* EINVAL */
  MI_ERROR_FREE_SIZE,      /* EINVAL: a sized free of a block of another size */
  MI_ERROR_FREE_ALIGNMENT, /* EINVAL: an aligned free of a block that is not */
} mi_error_t;

/* Reports misuse: a line on stderr, the callback, and the end of the process if abort_on_error is
   set. `p` is the pointer in question, `size` its block's size, 0 if unknown. */
mi_cold void mi_report_misuse(mi_error_t error, const void* p, size_t size);

/* Misuse found by who is in the middle of a change or holds a lock, where the callback must not run: reported
   by this thread's next mi_report_pending, which ends every slow path. At most MI_ERRORS_LATER wait. */
mi_cold void mi_report_later(mi_error_t error, const void* p, size_t size);
mi_cold void mi_report_pending_all(void);
extern mi_atomic(bool) mi_report_xever;   /* some thread found one, some time */
/* Mine was written by me. */
mi_inline void mi_report_pending(void) {
  if (mi_unlikely(mi_load_relaxed(&mi_report_xever))) mi_report_pending_all();
}

/* A request that fails: the callback, errno, a line only if verbose. Always NULL. */
mi_cold void* mi_report_fail(mi_error_t error, size_t size);

mi_cold void mi_report_message(const char* format, ...) mi_printf_like(1, 2);

#endif
