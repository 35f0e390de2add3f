/* Settings, messages and errors.
   Any thread. It calls the OS layer and the user's callbacks (never with a
   lock held). The public functions (mi_option_*, mi_register_*) are declared in mimalloc.h. */
#ifndef MI_OPTIONS_H
#define MI_OPTIONS_H

#include "../include/mimalloc.h"
#include "types.h"

/* What an error is. Each has one clear line and a code for mi_register_error's function. */
typedef enum {
  MI_ERROR_DOUBLE_FREE,    /* EAGAIN */
  MI_ERROR_MISCOUNTED,     /* EAGAIN: the same, found later: more was freed in a page than was live; `p` is its start */
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
mi_cold void mi_error_misuse(mi_error_t error, const void* p, size_t size);

/* Misuse found by who is in the middle of a change or holds a lock, where the callback must not run:
   told by this thread's next mi_error_tell, which ends every slow path. At most MI_ERRORS_LATER wait. */
mi_cold void mi_error_later(mi_error_t error, const void* p, size_t size);
mi_cold void mi_error_tell_all(void);
extern mi_atomic(bool) mi_error_xever;   /* some thread found one, some time */
mi_inline void mi_error_tell(void) { if (mi_unlikely(mi_load_relaxed(&mi_error_xever))) mi_error_tell_all(); }   /* mine was written by me */

/* A request that fails: the callback, errno, a line only if verbose. Always NULL. */
mi_cold void* mi_error_fail(mi_error_t error, size_t size);

mi_cold void mi_message(const char* format, ...) mi_printf_like(1, 2);

/* The preload library has another one, which is true: misuse ends the process unless the environment says otherwise. */
extern bool mi_abort_by_default;

/* Reads all options that are in this environment, and none from the process's own from then on. mi_option_get does it before the
   first use; later changes of the environment mean nothing. One thread, or each with the same. */
void mi_options_read(char* const* environment);

typedef struct {
  const char* name;
  mi_atomic(long) xvalue;
  mi_atomic(bool) xset;             /* by the environment or a function */
} mi_option_entry_t;

extern mi_option_entry_t mi_options[_mi_option_last];
extern mi_atomic(bool) mi_options_xread;
mi_cold void mi_options_read_own(void);

/* mi_option_get of one that is known to be there, where it is asked for often. Not of abort_on_error, whose default is elsewhere. */
mi_inline long mi_option_quick(mi_option_t option) {
  if (mi_unlikely(!mi_load_acquire(&mi_options_xread))) mi_options_read_own();       /* pairs with mi_options_read */
  return mi_load_relaxed(&mi_options[option].xvalue);
}

/* In the child of fork: nobody is in the middle of registering a function any more. */
void mi_options_after_fork(void);

/* Calls the deferred-free function, if one is registered; not from inside itself. */
void mi_deferred_free_call(bool force, unsigned long long heartbeat);
extern mi_atomic(bool) mi_has_deferred_free;

#endif
