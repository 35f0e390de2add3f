/* See callback.h. Any thread. */
#include <errno.h>

#include "callback.h"
#include "local.h"
#include "os.h"

mi_atomic(uint8_t) mi_callback_xwanted;

void mi_callback_want(unsigned bit, bool on) {
  if (on) mi_or_acq_rel(&mi_callback_xwanted, (uint8_t)bit);              /* pairs with nobody: a hint */
  else mi_and_acq_rel(&mi_callback_xwanted, (uint8_t)~bit);               /* pairs with nobody: the same */
}

/* A function and its argument that any thread may replace; the pair is read as one by a version. */
typedef struct { mi_atomic(void*) xfun; mi_atomic(void*) xarg; mi_atomic(unsigned) xversion; } mi_callback_t;
static mi_callback_t output_callback, error_callback, deferred_callback;

static void callback_set(mi_callback_t* c, void* fun, void* arg) {
  unsigned v = mi_load_relaxed(&c->xversion);                             /* odd while somebody writes */
  do { v &= ~1u; } while (!mi_cas_acquire(&c->xversion, &v, v + 1));      /* pairs with the release below */
  mi_store_release(&c->xarg, arg);  /* pairs with callback_get: a new argument shows the odd version */
  mi_store_release(&c->xfun, fun);  /* pairs with callback_get: the same */
  mi_store_release(&c->xversion, v + 2);  /* pairs with callback_get and the acquire above */
}

static void* callback_get(mi_callback_t* c, void** arg) {
  for (;;) {
    const unsigned v = mi_load_acquire(&c->xversion);  /* pairs with callback_set's last release */
    void* fun = mi_load_acquire(&c->xfun);                                /* pairs with callback_set */
    *arg = mi_load_acquire(&c->xarg);                                     /* pairs with callback_set */
    /* Ordered by the two acquires before it. */
    if ((v & 1) == 0 && mi_load_relaxed(&c->xversion) == v) return fun;
    mi_os_yield();
  }
}

void mi_callback_after_fork(void) {
  mi_callback_t* const all[] = { &output_callback, &error_callback, &deferred_callback };
  /* One thread only. */
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    mi_store_relaxed(&all[i]->xversion, mi_load_relaxed(&all[i]->xversion) & ~1u);
}

void mi_register_output(mi_output_fun* out, void* arg) { callback_set(&output_callback, (void*)out, arg); }
void mi_register_error(mi_error_fun* fun, void* arg) { callback_set(&error_callback, (void*)fun, arg); }
void mi_register_deferred_free(mi_deferred_free_fun* fun, void* arg) {
  callback_set(&deferred_callback, (void*)fun, arg);
  mi_callback_want(MI_WANTS_DEFERRED_FREE, fun != NULL);                  /* callback_get decides */
}

/* A callback may allocate, and so may come here again: once inside, it is not called a second time. */
static bool* in_callback(void) { return &mi_local()->in_callback; }

bool mi_callback_output(const char* text) {
  void* arg;
  mi_output_fun* out = (mi_output_fun*)callback_get(&output_callback, &arg);
  if (out == NULL || *in_callback()) return false;
  *in_callback() = true;
  out(text, arg);
  *in_callback() = false;
  return true;
}

void mi_callback_error(int code) {
  void* arg;
  mi_error_fun* fun = (mi_error_fun*)callback_get(&error_callback, &arg);
  if (fun == NULL || *in_callback()) return;
  const int saved = errno;
  *in_callback() = true;
  fun(code, arg);
  *in_callback() = false;
  errno = saved;
}

void mi_callback_deferred_free(bool force) {
  void* arg;
  mi_deferred_free_fun* fun = (mi_deferred_free_fun*)callback_get(&deferred_callback, &arg);
  if (fun == NULL || *in_callback()) return;
  *in_callback() = true;
  fun(force, ++mi_local()->heartbeat, arg);
  *in_callback() = false;
}
