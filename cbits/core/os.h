/* The operating system: the only file that calls it for memory, time and locks. os_linux.c
   implements it; another platform is another file.
   Any thread. Sizes in bytes; addresses and sizes multiples of mi_os_page_size().
   One failure policy: NULL or false, and errno = ENOMEM; the caller decides what that means.
   A test can make the nth call from now fail (mi_os_fail_in). */
#ifndef MI_OS_H
#define MI_OS_H

#include <pthread.h>

#include "base.h"

size_t mi_os_page_size(void);

/* What became of a call that may end half done. */
typedef enum {
  MI_OS_DONE,
  MI_OS_NOT,                        /* and everything is ours still */
  MI_OS_LOST,                       /* not done, and the range is ours no more: somebody else's may be there. Nobody touches it again */
} mi_os_result_t;

/* Address space, zero when first touched. `align`: a power of two. Where the system counts every writable page at once
   (mi_os_must_commit) it can be read, and written to from mi_os_commit on. */
void* mi_os_reserve(size_t size, size_t align);
bool  mi_os_must_commit(void);
/* False: part of it may be committed. */
bool  mi_os_commit(void* p, size_t size);
/* Gives the physical memory back; it reads as zero when true. False: part of it may. */
bool  mi_os_purge(void* p, size_t size);
/* The same, and where the system counts every writable page these count no more: to be committed again. */
mi_os_result_t mi_os_decommit(void* p, size_t size);
/* Where the system refuses, its addresses stay taken, but no memory. */
void  mi_os_release(void* p, size_t size);
/* Grows or shrinks a whole reservation in place. False: it is as it was. */
bool  mi_os_resize(void* p, size_t old_size, size_t new_size);
/* Moves the pages of a whole reservation into a larger one, made for them; the old one is gone then. Else it is as it was, and
   the result is about the new one. */
mi_os_result_t mi_os_move(void* p, size_t old_size, void* to, size_t new_size);
/* Moves the pages of part of a reservation to another part, whose own are dropped; where they were is zero then and stays
   reserved. Else they are where they were, as where the system cannot or they are not one mapping, and the result is about
   the other part, of which nothing is known. */
mi_os_result_t mi_os_move_pages(void* p, void* to, size_t size);
/* Advice: huge pages for this range, or not. Part of it may have it afterwards. */
void  mi_os_advise_huge(void* p, size_t size, bool huge);
/* Is what is reserved now resident at once, as after mlockall? */
bool  mi_os_locks_memory(void);
/* Explicit huge pages (committed and there, never purged); NULL if the system has none to give. */
void* mi_os_reserve_huge(size_t size, size_t align);

/* A thread of our own, without signals, that never ends. False if there can be none. One for the process: mi_os_wait waits
   for a mi_os_wake since the last time, of which one is enough. mi_os_wake takes no lock and keeps errno. */
bool     mi_os_thread_start(void* (*run)(void* arg));
void     mi_os_wait(void);
void     mi_os_wake(void);
void     mi_os_sleep_ms(uint64_t ms);

uint64_t mi_os_now_ms(void);        /* monotonic */
void     mi_os_write(const char* text, size_t length);    /* to stderr */
const char* mi_os_getenv(const char* name);
void     mi_os_yield(void);

/* Memory and time of this process; zero where unknown. */
typedef struct {
  size_t elapsed_ms, user_ms, system_ms, rss, peak_rss, page_faults;
} mi_os_process_t;
void     mi_os_process(mi_os_process_t* info);

typedef struct { pthread_mutex_t mutex; mi_rank_t rank; } mi_lock_t;
#define MI_LOCK_INIT(r) { PTHREAD_MUTEX_INITIALIZER, (r) }
void mi_lock_init(mi_lock_t* lock, mi_rank_t rank);
void mi_lock(mi_lock_t* lock);
void mi_unlock(mi_lock_t* lock);
/* Around fork: in the child a lock is as new. */
void mi_lock_reset(mi_lock_t* lock);

/* Tests: the nth call from now on that asks for memory fails, and `count` calls in all; 0 for none. */
void mi_os_fail_in(size_t nth, size_t count);
/* .. and of one kind, those that give back too, in a way: */
typedef enum {
  MI_OS_RESERVE, MI_OS_COMMIT, MI_OS_PURGE, MI_OS_DECOMMIT, MI_OS_RELEASE, MI_OS_RESIZE, MI_OS_MOVE, MI_OS_MOVE_PAGES,
  MI_OS_ADVISE, MI_OS_RESERVE_HUGE, MI_OS_CALLS
} mi_os_call_t;
typedef enum {
  MI_OS_GOES_ON,
  MI_OS_AT_START,                   /* nothing was done */
  MI_OS_HALF,                       /* as much as the system may have done when it fails (os_linux.c says what) */
  MI_OS_TAKEN,                      /* the same, and another thread's mapping lies where it left a gap */
} mi_os_way_t;
void mi_os_fail_call(mi_os_call_t call, mi_os_way_t way, size_t nth, size_t count);
/* As if the system counted every writable page at once, or not. Before the first reservation. */
void mi_os_set_must_commit(bool must);

#endif
