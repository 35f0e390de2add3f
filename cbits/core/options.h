/* Settings: the options, and the environment that sets them. The public functions (mi_option_*) are declared
   in mimalloc.h. Any thread. */
#ifndef MI_OPTIONS_H
#define MI_OPTIONS_H

#include "../include/mimalloc.h"
#include "types.h"

/* The preload library has another one, which is true: misuse ends the process unless the environment says
   otherwise. */
extern bool mi_abort_by_default;

/* Reads all options that are in this environment, and none from the process's own from then on. mi_option_get
   does it before the first use; later changes of the environment mean nothing. One thread, or each with the
   same. */
void mi_options_read(char* const* environment);

/* A number of bytes, maybe with a unit (64K, 2MiB); false: it is none. */
bool mi_options_parse_bytes(const char* text, size_t* bytes);

typedef struct {
  const char* name;
  mi_atomic(long) xvalue;
  mi_atomic(bool) xset;             /* by the environment or a function */
} mi_option_entry_t;

extern mi_option_entry_t mi_options[_mi_option_last];
extern mi_atomic(bool) mi_options_xread;
mi_cold void mi_options_read_own(void);

/* mi_option_get of one that is known to be there, where it is asked for often. Not of abort_on_error, whose
   default is elsewhere. */
mi_inline long mi_option_quick(mi_option_t option) {
  /* Pairs with mi_options_read. */
  if (mi_unlikely(!mi_load_acquire(&mi_options_xread))) mi_options_read_own();
  return mi_load_relaxed(&mi_options[option].xvalue);
}

#endif
