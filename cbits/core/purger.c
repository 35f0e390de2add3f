/* See purger.h. */
#include "keep.h"
#include "options.h"
#include "os.h"
#include "purger.h"

#define PIECE_PAUSE_MS 1                 /* between two pieces of a round: others need the kernel's lock, too */

typedef bool (*mi_piece_t)(void);

mi_atomic(bool) mi_purger_started;
static mi_atomic(mi_piece_t) xalso;
mi_atomic(uint64_t) mi_purger_xalso_at;

void mi_purger_also(mi_piece_t piece) { mi_store_release(&xalso, piece); } /* pairs with also */

void mi_purger_ask(void) {
  const long delay = mi_option_get(mi_option_purge_delay);
  if (delay < 0) return;
  mi_store_relaxed(&mi_purger_xalso_at, mi_os_now_ms() + (uint64_t)delay + 1);  /* a time only */
  mi_os_wake();
}

static mi_lock_t working = MI_LOCK_INIT(MI_RANK_PURGER);
static bool under_way;                   /* the lock's */

/* Returns when there will be more to do, 0 for never. */
static uint64_t also(uint64_t now) {
  const uint64_t at = mi_load_relaxed(&mi_purger_xalso_at);               /* a time only */
  const mi_piece_t piece = mi_load_acquire(&xalso);                       /* pairs with mi_purger_also */
  if (!under_way) {
    if (at == 0 || now < at) return at;
    mi_exchange_acq_rel(&mi_purger_xalso_at, 0);                          /* pairs with mi_purger_later: before a piece looks; who changes a page behind it asks again */
    if (mi_option_get(mi_option_purge_delay) < 0) return 0;
  }
  under_way = piece != NULL && piece();
  return under_way ? now : mi_load_relaxed(&mi_purger_xalso_at);          /* a time only */
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a == 0 || b == 0 ? a + b : mi_min(a, b); }

/* One piece of what is due; when there is more, 0 for never. */
static uint64_t work(uint64_t now) {
  mi_lock(&working);
  const uint64_t also_at = also(now), at = mi_purge_at();
  if (at != 0 && at <= now) mi_purge(false);
  mi_unlock(&working);
  mi_error_tell();
  return earlier(also_at, at);
}

static void* purge_for_ever(void* arg) {
  (void)arg;
  for (;;) {
    const uint64_t now = mi_os_now_ms(), at = work(now);
    if (at == 0) mi_os_wait();                                            /* whoever makes it something else wakes me */
    else mi_os_sleep_ms(at > now ? at - now : PIECE_PAUSE_MS);
  }
  return NULL;
}

void mi_purger_start(void) {
  if (mi_forking()) return;                                               /* the next slow path will do */
  if (mi_exchange_acq_rel(&mi_purger_started, true)) return;              /* pairs with itself: one starts it */
  if (!mi_option_is_enabled(mi_option_purge_thread)) return;
  if (!mi_os_thread_start(&purge_for_ever)) mi_message("mimalloc: no thread for purging\n");
}

void mi_purger_stop(void) { mi_lock(&working); }
void mi_purger_go_on(void) { mi_unlock(&working); }

void mi_purger_after_fork(bool child) {
  (child ? &mi_lock_reset : &mi_unlock)(&working);
  if (child) mi_store_relaxed(&mi_purger_started, false);                 /* one thread only */
}
