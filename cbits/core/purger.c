/* See purger.h. */
#include <errno.h>

#include "commit.h"
#include "mapping.h"
#include "purge.h"
#include "report.h"
#include "os.h"
#include "policy.h"
#include "pool_round.h"
#include "purger.h"

/* ---- what it may cost: microseconds of processor time ---- */

/* What is left: MI_CREDIT_MOST less all that was spent in these steps of time. Sums; nothing is published. */
static mi_atomic(int64_t) xcredit = MI_CREDIT_MOST, xspent[MI_CREDIT_STEPS];
static mi_atomic(size_t) xstep;          /* the one that it is; changed under the lock */
/* The lock's: bytes that went back before they were due, in all steps and in each; the most committed that
   was seen then. */
static size_t early, early_in[MI_CREDIT_STEPS], most_in[MI_CREDIT_STEPS];

static int64_t credit(void) { return mi_load_relaxed(&xcredit); }         /* a sum */

static void credit_spend(int64_t us) {
  mi_sub_relaxed(&xcredit, us);                                           /* sums */
  mi_add_relaxed(&xspent[mi_load_relaxed(&xstep)], us);
}

/* Under the lock. What was spent in the step that begins, the last time that it was this one, comes back. */
static void credit_grow(uint64_t now) {
  static uint64_t last;
  const uint64_t step = now / MI_CREDIT_STEP_MS;
  /* Who comes may have looked at the clock before the last one did: no step is counted twice. */
  if (step < last && last - step < MI_CREDIT_STEPS) return;
  uint64_t n = last == 0 || step < last ? 0 : mi_min(step - last, MI_CREDIT_STEPS);
  last = step;
  for (; n > 0; n--) {
    const size_t at = (mi_load_relaxed(&xstep) + 1) % MI_CREDIT_STEPS;    /* the lock's */
    mi_store_relaxed(&xstep, at);
    mi_add_relaxed(&xcredit, mi_exchange_acq_rel(&xspent[at], 0));        /* pairs with nobody: sums */
    early -= early_in[at];
    early_in[at] = most_in[at] = 0;
  }
}

bool mi_purger_affords(void) { return credit() > MI_CREDIT_PAGES; }

/* `since` may be later than now: in the child of fork the time of a process begins anew, and a piece of work
   that a signal's handler interrupted goes on there. */
static void credit_charge(uint64_t since, int times) {
  const uint64_t now = mi_os_cpu_us();
  if (now > since) credit_spend(times * (int64_t)(now - since));
}
void mi_purger_charge(uint64_t us) { credit_spend(MI_CREDIT_TIMES * (int64_t)us); }

/* ---- rounds ---- */

static mi_lock_t working = MI_LOCK_INIT(MI_RANK_PURGER);
mi_atomic(bool) mi_purger_xround;        /* changed under the lock */
static bool at_pages;                    /* the lock's: slices are done, pages are looked at */
/* The lock's: where in the pages the round is; and what goes back early, which leaves none out of a round. */
static mi_pool_place_t place, early_place;

static bool pages_piece(size_t npages) {
  if (mi_option_get(mi_option_purge_delay) < 0) return false;
  if (mi_purger_affords()) return mi_pool_round(&place, npages, false);
  mi_clock_schedule();  /* it goes on where it stands in a later round */
  return false;
}

/* What was freed before the last round goes back; then what was cached or freed since is due in the next.
   True: there is more. */
static bool slices_piece(void) {
  if (mi_purge_some(false)) return true;
  if (mi_load_relaxed(&mi_mapping_xwaits)) mi_clock_schedule();           /* a hint: a pause has begun */
  mi_arena_release_purged();
  mi_cache_flush();
  if (mi_purge_age()) mi_clock_schedule();
  return false;
}

/* Also in small programs, where there are no rounds, and where the budget is used up. */
static void unmap_waiting(void) {
  if (!mi_load_relaxed(&mi_mapping_xwaits)) return;                       /* a hint */
  const uint64_t since = mi_os_cpu_us();
  mi_mapping_unmap_waiting(false);
  credit_charge(since, 1);
}

/* Under the lock. A piece of the round that is under way or due. True: there is more, to be done now. */
static bool round_work(uint64_t now, size_t npages) {
  mi_assert(npages > 0 && credit() <= MI_CREDIT_MOST);
  const uint64_t at = mi_clock_at();
  credit_grow(now);
  if (mi_clock_is_paused()) return false;
  unmap_waiting();
  if (!mi_load_relaxed(&mi_purger_xround)) {                              /* the lock's */
    if (at == 0 || now < at) return false;
    mi_due_round(&mi_due);
    /* A statistic. What waits stays marked; whoever adds to it schedules the next. */
    if (!mi_policy_round_pays(mi_load_relaxed(&mi_commit_totals.xcommitted))) {
      if (mi_load_relaxed(&mi_mapping_xwaits)) mi_clock_schedule();       /* a hint: a pause has begun */
      return false;
    }
    mi_store_relaxed(&mi_purger_xround, true);
    at_pages = false;
  }
  if (credit() <= 0) return false;
  const uint64_t since = mi_os_cpu_us();
  const bool more = at_pages ? pages_piece(npages) : slices_piece();
  credit_charge(since, at_pages ? MI_CREDIT_TIMES : 1);
  if (more) return true;
  if (!at_pages) return at_pages = true;
  mi_store_relaxed(&mi_purger_xround, false);
  return false;
}

void mi_purger_run(bool force) {
  if (force) {
    mi_mapping_unmap_waiting(true);
    mi_cache_flush();
    mi_purge_all();
    mi_arena_release_purged();
    return;
  }
  if (!mi_trylock(&working)) return;
  while (round_work(mi_os_now_ms(), MI_ROUND_PAGES)) {}
  mi_unlock(&working);
  mi_report_pending();
}

static bool round_piece(uint64_t now, size_t npages) {
  if (!mi_trylock(&working)) return false;
  const bool more = round_work(now, npages);
  mi_unlock(&working);
  mi_report_pending();
  return more;
}

void mi_purger_run_piece(void) { round_piece(mi_os_now_ms(), MI_ROUND_PAGES_BY_OTHERS); }

void mi_purger_run_pages(void) {
  mi_pool_place_t at = { 0, 0 };
  for (bool more = true; more; ) {
    mi_purger_stop();
    more = mi_pool_round(&at, MI_ROUND_PAGES, true);
    mi_purger_go_on();
  }
}

/* ---- the thread ---- */

mi_atomic(bool) mi_purger_xreplaces_free;
static mi_atomic(uint64_t) xretry_at;    /* there is none till then; milliseconds */
/* A time only: no other is begun. */
__attribute__((destructor)) static void process_ends(void) { mi_store_relaxed(&xretry_at, UINT64_MAX); }

/* How long it sleeps; 0: nothing is due. */
static uint64_t thread_work(void) {
  const uint64_t now = mi_os_now_ms(), at = mi_clock_at();
  const bool round = mi_load_relaxed(&mi_purger_xround);                  /* a hint */
  if (!round && at == 0) return 0;
  if (!round && now < at) return at - now;
  if (mi_clock_is_paused()) return MI_PURGE_WAIT_MS;
  return round_piece(now, MI_ROUND_PAGES) || credit() > 0 ? MI_ROUND_PAUSE_MS : MI_PURGE_WAIT_MS;
}

mi_atomic(size_t) mi_purger_xowners;

/* Have main ended and all who allocated? This decides where the system does not say how many threads there
   are, or counts a thread like this one that belongs to another copy of this library. Where others go on all
   the same, one of them begins the thread again. */
bool mi_purger_nobody_allocates(void) {
  return mi_load_relaxed(&mi_purger_xowners) == 0 && !mi_os_main_runs();  /* a count */
}

static void thread_rounds(uint64_t self) {
  mi_assert(self != 0);
  bool idle = false;
  uint64_t slept = 0;                    /* since it looked for others last */
  for (;;) {
    uint64_t ms = thread_work();
    if (ms != 0) idle = false;
    else {
      if (idle && mi_due_thread_ends(&mi_due, self)) return;
      idle = true;
      ms = mi_max(mi_clock_round_ms(), 1);
    }
    ms = mi_min(ms, MI_PURGE_SLEEP_MS);
    if ((slept += ms) >= MI_PURGE_LOOK_MS) {
      if (mi_os_is_last_thread()) return;  /* the process ends with it */
      if (mi_purger_nobody_allocates()) {  /* nor may anybody come later */
        const bool due = mi_clock_at() != 0 || mi_load_relaxed(&mi_purger_xround);        /* hints */
        if (due && !mi_clock_is_paused()) mi_purger_run(true);
        break;
      }
      slept = ms;
    }
    if (mi_option_get(mi_option_purge_thread) == 0) break;
    mi_os_wait(ms);
  }
  mi_exchange_acq_rel(&mi_due.xthread, 0);  /* pairs with mi_due_thread_begins of the next */
}

static uint64_t starter_signals;         /* written by who starts the thread, read as it begins */

/* Whichever thread returns last ends the process: its exit handlers are called here then, and find the
   signals blocked that were where the thread was started. */
static void* thread_run(void* arg) {
  const uint64_t signals = starter_signals;
  (void)arg;
  mi_os_thread_begins();
  thread_rounds(mi_os_process_id());
  if (mi_os_is_last_thread()) mi_os_signals_set(signals);
  return NULL;
}

bool mi_purger_has_thread(void) { return mi_load_relaxed(&mi_due.xthread) != 0; }

/* By default: not where all threads that the process had have ended, of which the C library says nothing. */
static bool thread_is_wanted(void) {
  return mi_option_get(mi_option_purge_thread) > 0 || mi_os_threads() != 1;
}

/* With the lock, so not between fork and its child; and what the C library allocates for a thread finds it
   taken. */
static bool thread_start(void) {
  bool ok = false, wanted = true;
  if (!mi_trylock(&working)) return false;
  if (mi_due_thread_begins(&mi_due, mi_os_process_id())) {
    wanted = thread_is_wanted();
    starter_signals = mi_os_signals();
    ok = wanted && mi_os_thread_start(&thread_run, NULL);
    const uint64_t later = ok ? 0 : mi_os_now_ms() + (wanted ? MI_PURGE_RETRY_MS : MI_PURGE_ASK_MS);
    mi_store_relaxed(&xretry_at, later);                                  /* a time only */
    if (!ok) mi_exchange_acq_rel(&mi_due.xthread, 0);  /* pairs with mi_due_thread_begins of the next */
  }
  const bool report = !ok && wanted && mi_option_is_enabled(mi_option_verbose);
  mi_unlock(&working);
  if (report) mi_report_message("mimalloc: no thread for purging\n");
  return ok;
}

/* Does the thread run in another process, whose copy this one is (a raw clone, _Fork)? Whoever had the lock
   there has no copy here; but nobody else is to be disturbed. */
static bool thread_is_elsewhere(void) {
  uint64_t thread = mi_load_relaxed(&mi_due.xthread);                     /* a hint */
  /* Pairs with mi_due_thread_begins. */
  if (thread == 0 || thread == mi_os_process_id() || !mi_cas_acq_rel(&mi_due.xthread, &thread, 0))
    return false;
  if (mi_os_threads() == 1) mi_lock_reset(&working);
  return true;
}

/* What waits, due or not, is much of all that is resident; and who frees now may be the last. */
static bool too_much_waits(void) {
  const size_t committed = mi_load_relaxed(&mi_commit_totals.xcommitted);  /* a statistic */
  return mi_policy_is_early_due(mi_purge_waiting(), committed, !mi_local()->allocated);
}

/* Under the lock. All the credit is for a burst of frees, which may be the last thing that happens for
   long. */
static bool early_is_paid(void) {
  const size_t committed = mi_load_relaxed(&mi_commit_totals.xcommitted);  /* a statistic */
  size_t *mine = &most_in[mi_load_relaxed(&xstep)], most = 0;             /* the lock's */
  *mine = mi_max(*mine, committed);
  for (size_t i = 0; i < MI_CREDIT_STEPS; i++) most = mi_max(most, most_in[i]);
  return credit() > (mi_policy_early_is_in_vain(early, committed, most) ? MI_CREDIT_EARLY : 0);
}

/* Under the lock. */
static bool early_work(bool pages) {
  const uint64_t since = mi_os_cpu_us();
  const size_t before = mi_load_relaxed(&mi_commit_totals.xpurged);       /* a statistic */
  const bool more = pages ? mi_pool_round(&early_place, MI_ROUND_PAGES_BY_OTHERS, true) : mi_purge_some(true);
  const size_t bytes = pages ? 0 : mi_load_relaxed(&mi_commit_totals.xpurged) - before;   /* the same */
  early += bytes;                        /* holes stay committed: nobody sees whether they are taken again */
  early_in[mi_load_relaxed(&xstep)] += bytes;                             /* the lock's */
  credit_charge(since, pages ? MI_CREDIT_TIMES : 1);
  return more;
}

static bool early_piece(uint64_t now, bool pages) {
  if (mi_clock_is_paused() || mi_option_get(mi_option_purge_delay) < 0 || !mi_trylock(&working)) return false;
  credit_grow(now);
  const bool wanted = pages ? mi_purger_affords() && mi_pool_round_finds() : credit() > 0 && too_much_waits();
  const bool more = wanted && early_is_paid() && early_work(pages);
  mi_unlock(&working);
  mi_report_pending();
  return more;
}

/* Pages last, and only where this thread just frees: what they hold is not counted, but a burst of frees in
   mixed sizes leaves much in them, and who allocates meanwhile would take it again. */
static void purge_early(uint64_t now, uint32_t ticks) {
  static mi_atomic(uint32_t) xticks;
  const uint32_t sum = mi_load_relaxed(&xticks) + ticks;                  /* a hint */
  mi_store_relaxed(&xticks, sum < MI_PURGE_EARLY_TICKS ? sum : 0);        /* a hint */
  if (sum < MI_PURGE_EARLY_TICKS) return;
  for (uint32_t n = mi_policy_pieces(sum); n > 0 && early_piece(now, false); n--) {}
  if (!mi_local()->allocated) early_piece(now, true);
  mi_local()->allocated = false;
}

/* As many pieces of the round as go with what was freed. */
static void round_pieces(uint64_t now, uint32_t ticks) {
  for (uint32_t n = mi_policy_pieces(ticks); n > 0 && round_piece(now, MI_ROUND_PAGES_BY_OTHERS); n--) {}
}

static void clock_look(bool may_start) {
  uint32_t* mine = &mi_local()->clock_ticks;
  const uint32_t ticks = *mine;
  const bool ticked = ticks >= MI_CLOCK_TICKS, has_thread = mi_purger_has_thread();
  if (ticked) *mine = 0;
  else if (has_thread) return;
  const uint64_t now = ticked ? mi_os_now_ms() : 0, retry_at = mi_load_relaxed(&xretry_at);  /* a time only */
  if (has_thread && !thread_is_elsewhere()) return;
  if (may_start && mi_purger_lacks_thread() && mi_clock_at() != 0 && retry_at <= now && thread_start())
    return;
  if (!ticked && (!mi_load_relaxed(&mi_purger_xround) || credit() <= 0)) return;          /* hints */
  const uint64_t at = mi_clock_at();
  /* A hint. */
  if (mi_load_relaxed(&mi_purger_xround) || (at != 0 && at <= now))
    round_pieces(ticked ? now : mi_os_now_ms(), ticks);
  else purge_early(ticked ? now : mi_os_now_ms(), ticks);
}

void mi_purger_look(bool may_start) {
  const int saved = errno;
  clock_look(may_start);
  errno = saved;
}

/* ---- fork ---- */

void mi_purger_stop(void) { mi_lock(&working); }
void mi_purger_go_on(void) { mi_unlock(&working); }

void mi_purger_after_fork(bool child) {
  (child ? &mi_lock_reset : &mi_unlock)(&working);
  if (child) mi_store_relaxed(&mi_due.xthread, 0);                        /* one thread only */
}
