/* The operating system: all that is called of it for memory, time and locks. os_linux.c implements it,
   os_clock.c the time; another platform is other files. Any thread. Nothing here is a cancellation point.
   Sizes in bytes; addresses and sizes multiples of mi_os_page_size(). One failure policy: NULL or false, and
   errno = ENOMEM; the caller decides what that means. A test can make calls for memory fail (mi_os_fail_in,
   mi_os_fail_call). */
#ifndef MI_OS_H
#define MI_OS_H

#include "atomic.h"
#include "base.h"

size_t mi_os_page_size(void);

/* What became of a call that may end half done. */
typedef enum {
  MI_OS_DONE,
  MI_OS_NOT,                        /* and everything is ours still */
  /* Not done, and the range is ours no more: somebody else's may be there. Nobody touches it again. */
  MI_OS_LOST,
} mi_os_result_t;

/* Address space, zero when first touched. `align`: a power of two. Where the system counts every writable
   page at once (mi_os_must_commit) it can be read, and written to from mi_os_commit on. */
void* mi_os_reserve(size_t size, size_t align);
/* The same at these addresses. False also where something else is there. */
bool  mi_os_reserve_at(void* p, size_t size);
bool  mi_os_must_commit(void);
/* False: part of it may be committed. */
bool  mi_os_commit(void* p, size_t size);
/* Gives the physical memory back; it reads as zero when true. False: part of it may. */
bool  mi_os_purge(void* p, size_t size);
/* The same, and where the system counts every writable page these count no more: to be committed again. */
mi_os_result_t mi_os_decommit(void* p, size_t size);
/* Where the system refuses, its addresses stay taken, but no memory. */
void  mi_os_release(void* p, size_t size);
/* A file's first bytes, to be read, until mi_os_release of whole pages. NULL, and the system's own error. */
void* mi_os_map_file(int fd, size_t size);
/* Grows or shrinks a whole reservation in place. False: it is as it was. */
bool  mi_os_resize(void* p, size_t old_size, size_t new_size);
/* Moves the pages of a whole reservation into a larger one, made for them; the old one is gone then. Else it
   is as it was, and the result is about the new one. */
mi_os_result_t mi_os_move(void* p, size_t old_size, void* to, size_t new_size);
/* Grows a whole reservation where there is no room for both sizes side by side: it moves to where it finds
   room for the difference and for its start to be a multiple of `align`. NULL: it is as it was. */
void* mi_os_grow(void* p, size_t old_size, size_t new_size, size_t align);
/* Moves the pages of part of a reservation to another part, whose own are dropped; where they were is zero
   then and stays reserved. Else they are where they were, as where the system cannot or they are not one
   mapping, and the result is about the other part, of which nothing is known. */
mi_os_result_t mi_os_move_pages(void* p, void* to, size_t size);
/* Advice: huge pages for this range, or not. Part of it may have it afterwards. */
void  mi_os_advise_huge(void* p, size_t size, bool huge);
/* Did the process begin under a limit of some GiB, of addresses or of memory that it may write to (ulimit -v,
   -d)? */
bool  mi_os_has_few_addresses(void);
/* Is what is reserved now locked, as after mlockall? */
bool  mi_os_locks_memory(void);
/* Undoes that for this range: it need not be resident. Part of it may be locked still. Keeps errno. */
void  mi_os_unlock(void* p, size_t size);
/* Lets others' memory be read and written to. False: part of it may be. */
bool  mi_os_make_writable(void* p, size_t size);
/* Explicit huge pages (committed and there, never purged); NULL if the system has none to give. */
void* mi_os_reserve_huge(size_t size, size_t align);

/* A thread of our own, without signals, whose stack is as large as any other's: the program's thread-local
   storage lies in it. False if there can be none. mi_os_wait, for one of them, waits for a mi_os_wake since
   the last time, of which one is enough, and at most so long. mi_os_wake takes no lock and keeps errno. */
bool     mi_os_thread_start(void* (*run)(void* arg), void* arg);
/* What such a thread calls first: it is no real-time thread, whoever started it. */
void     mi_os_thread_begins(void);
/* The signals that the caller blocks. Blocks these. Both keep errno. */
uint64_t mi_os_signals(void);
void     mi_os_signals_set(uint64_t set);
void     mi_os_wait(uint64_t ms);
void     mi_os_wake(void);
/* The same for other threads of our own: each has a word, its bell, which begins as 0. */
void     mi_os_wait_at(mi_atomic(uint32_t)* bell, uint64_t ms);
void     mi_os_wake_at(mi_atomic(uint32_t)* bell);
/* From here on the signal of this name ("USR1", "USR2", "HUP") calls the handler, which may come in the
   middle of anything. Else errno says why: EINVAL, it is no such name; EBUSY, somebody handles or ignores
   it. */
bool     mi_os_signal_handle(const char* name, void (*handler)(int number));
/* Has this process more than one thread, or had it? Asked of the C library; once it is true it stays so. */
bool     mi_os_has_threads(void);
/* Threads that this process has now, the one that calls is one of them; 0 where unknown. */
size_t   mi_os_threads(void);
/* Is the caller the only thread that has not ended? (One that main left by pthread_exit is still counted by
   the system.) */
bool     mi_os_is_last_thread(void);
/* False: the thread that main was has ended, or nobody knows. */
bool     mi_os_main_runs(void);
/* Not 0. A copy of this process has another number, whatever made it; who shares its memory (vfork) has the
   same. Where the system cannot tell that, the pid. Keeps errno. */
uint64_t mi_os_process_id(void);
void     mi_os_sleep_ms(uint64_t ms);

uint64_t mi_os_now_ms(void);        /* monotonic, in steps of some milliseconds; cheap */
uint64_t mi_os_salt(void);          /* a number that another process, or the next call, hardly gets */
uint64_t mi_os_cpu_us(void);        /* processor time of this thread; a system call */
void     mi_os_write(const char* text, size_t length);    /* to stderr */
/* The C library's, which a program may replace: never within an allocation. */
const char* mi_os_getenv(const char* name);
/* The environment; NULL: it is not known yet. An empty one if this process has more rights than who started
   it (AT_SECURE). */
char**   mi_os_environment(void);
/* A file that is made, or made empty; -1, and errno. / All of that; false, and errno. / All of a file, to
   another one. */
int      mi_os_file_create(const char* path);
bool     mi_os_file_write(int fd, const char* text, size_t length);
void     mi_os_file_close(int fd);
bool     mi_os_file_copy(const char* path, int fd);
bool     mi_os_file_rename(const char* from, const char* to);
uint64_t mi_os_pid(void);
/* Before the C library has it: from here on it has. Who loads an object then has the library begin, with what
   stands there. */
void     mi_os_environment_give(void);
/* For who waits for another thread. */
void     mi_os_yield(void);

/* Memory and time of this process; zero where unknown. */
typedef struct {
  size_t elapsed_ms, user_ms, system_ms, rss, peak_rss, page_faults;  /* 0 of rss: unknown */
} mi_os_process_t;
void     mi_os_process(mi_os_process_t* info);

/* A lock. The word is 0 or who has it (mi_os_thread), and 1 more if others may wait. */
typedef struct { mi_atomic(uintptr_t) xholder; mi_rank_t rank; bool for_fork; } mi_lock_t;
#define MI_LOCK_INIT(r) { .rank = (r) }
void mi_lock_init(mi_lock_t* lock, mi_rank_t rank);
void mi_lock(mi_lock_t* lock);
bool mi_trylock(mi_lock_t* lock);   /* false: somebody has it */
void mi_unlock(mi_lock_t* lock);
/* In the child of fork, in place of mi_unlock: opens it, whoever had it. */
void mi_lock_reset(mi_lock_t* lock);

/* A number that no other live thread has, a multiple of 4. */
uintptr_t mi_os_thread(void);

/* pthread_atfork, for ever. False: no memory. */
bool mi_os_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

/* Around fork (thread.c). From mi_fork_enter to mi_fork_leave the thread that forks keeps every lock that it
   takes: mi_lock passes those that it has, mi_unlock does nothing. Signals wait; so no handler of one finds
   locks that its own thread has, but those that it had before. mi_fork_leave: false if this is the parent of
   a fork within a fork, or if it was done before: then nothing is to be done; else mi_unlock and
   mi_lock_reset work again, but not on the locks that an interrupted function of this very thread had before;
   and mi_fork_left ends it. */
void mi_fork_enter(void);
bool mi_fork_leave(bool child);
void mi_fork_left(void);
/* Is this thread between these? Then it must not make threads. */
bool mi_forking(void);
/* What mends the child. mi_os_yield calls it if the child waits before its handlers of fork came to us: for
   whom it waits is gone. */
void mi_fork_set_mend(void (*mend)(void));

/* Tests: the nth call from now on that asks for memory fails, and `count` calls in all (SIZE_MAX: each from
   there on, in every thread); 0 for none. */
void mi_os_fail_in(size_t nth, size_t count);
/* .. and of one kind, those that give back too, in a way: */
typedef enum {
  MI_OS_RESERVE,
  MI_OS_COMMIT,
  MI_OS_PURGE,
  MI_OS_DECOMMIT,
  MI_OS_RELEASE,
  MI_OS_RESIZE,
  MI_OS_MOVE,
  MI_OS_GROW,
  MI_OS_MOVE_PAGES,
  MI_OS_ADVISE,
  MI_OS_RESERVE_HUGE,
  MI_OS_MAP_FILE,
  MI_OS_ASK_LOCKED,
  MI_OS_UNLOCK,
  MI_OS_CALLS
} mi_os_call_t;
typedef enum {
  MI_OS_GOES_ON,
  MI_OS_AT_START,                   /* nothing was done */
  MI_OS_HALF,  /* as much as the system may have done when it fails (os_linux.c says what) */
  MI_OS_TAKEN,                      /* the same, and another thread's mapping lies where it left a gap */
} mi_os_way_t;
void mi_os_fail_call(mi_os_call_t call, mi_os_way_t way, size_t nth, size_t count);
/* As if the system counted every writable page at once, or not. Before the first reservation. */
void mi_os_set_must_commit(bool must);

#endif
