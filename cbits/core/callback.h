/* The program's own functions: for messages, for errors, and one that frees what it has deferred. None is
   called with a lock held (but for what the checker prints), nor from inside another. The functions that
   register them (mi_register_*) are in mimalloc.h. Any thread. */
#ifndef MI_CALLBACK_H
#define MI_CALLBACK_H

#include "../include/mimalloc.h"
#include "atomic.h"
#include "base.h"

/* Calls the output function; false if there is none, or the thread is inside a callback. */
bool mi_callback_output(const char* text);
/* Calls the error function, if there is one. Keeps errno. */
void mi_callback_error(int code);
/* Calls the deferred-free function, if one is registered, with a heartbeat that counts its calls in this
   thread; not from inside itself. */
void mi_callback_deferred_free(bool force);

/* What wants each slow path of malloc whole, without short cuts: a bit for each. A hint. */
#define MI_WANTS_DEFERRED_FREE 1u
#define MI_WANTS_SAMPLES       2u
extern mi_atomic(uint8_t) mi_callback_xwanted;
void mi_callback_want(unsigned bit, bool on);

/* In the child of fork: nobody is in the middle of registering a function any more. */
void mi_callback_after_fork(void);

#endif
