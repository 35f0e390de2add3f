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

/* Address space, zero when first touched. `align`: a power of two. Not committed where the system
   counts every reservation (mi_os_must_commit). */
void* mi_os_reserve(size_t size, size_t align);
bool  mi_os_must_commit(void);
bool  mi_os_commit(void* p, size_t size);
/* Gives the physical memory back; it reads as zero when true. */
bool  mi_os_purge(void* p, size_t size);
void  mi_os_release(void* p, size_t size);
/* Grows or shrinks a whole reservation in place. */
bool  mi_os_resize(void* p, size_t old_size, size_t new_size);
/* Moves the pages of a whole reservation into another one, made for them; the old one is gone then. */
bool  mi_os_move(void* p, size_t old_size, void* to, size_t new_size);
/* Moves the pages of part of a reservation to another part, whose own are dropped; where they were is zero then and stays
   reserved. False, and they are where they were, where the system cannot or they are not one mapping; `to` may be zero then. */
bool  mi_os_move_pages(void* p, void* to, size_t size);
/* Advice: huge pages for this range, or not. */
void  mi_os_advise_huge(void* p, size_t size, bool huge);
/* Explicit huge pages (committed, never purged); NULL if the system has none to give. */
void* mi_os_reserve_huge(size_t size, size_t align);

/* A thread of our own, without signals, whose stack is as large as any other's: the program's thread-local storage lies in it.
   False if there can be none. One for the process: mi_os_wait waits for a mi_os_wake since the last time, of which one is
   enough, and at most so long. mi_os_wake takes no lock and keeps errno. */
bool     mi_os_thread_start(void* (*run)(void* arg));
void     mi_os_wait(uint64_t ms);
void     mi_os_wake(void);
/* Has this process more than one thread, or had it? Asked of the C library, which need not be asked twice. */
bool     mi_os_has_threads(void);
/* Threads that this process has now, the one that calls is one of them; 0 where unknown. */
size_t   mi_os_threads(void);
/* Is the caller the only thread that has not ended? (One that main left by pthread_exit is still counted by the system.) */
bool     mi_os_is_last_thread(void);
uint64_t mi_os_process_id(void);    /* not 0 */
void     mi_os_sleep_ms(uint64_t ms);

uint64_t mi_os_now_ms(void);        /* monotonic, in steps of some milliseconds; cheap */
uint64_t mi_os_cpu_us(void);        /* processor time of this thread; a system call */
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
bool mi_trylock(mi_lock_t* lock);   /* false: somebody has it */
void mi_unlock(mi_lock_t* lock);
/* Around fork: in the child a lock is as new. */
void mi_lock_reset(mi_lock_t* lock);

/* Tests: the nth call from now on that asks for memory fails, and `count` calls in all; 0 for none. */
void mi_os_fail_in(size_t nth, size_t count);

#endif
