/* Owners: capabilities and OS threads in one table. docs/DESIGN.md, section 5; docs/protocols.md, section 7.
   Each function says who may call it. */
#ifndef MI_OWNER_H
#define MI_OWNER_H

#include "heap.h"

/* A new owner with that id (a multiple of 16, not 0, of no other owner). Any thread; the caller is
   its owner from now on. NULL if there is no memory. */
mi_owner_t* mi_owner_begin(mi_owner_kind_t kind, uintptr_t id);
/* The same with a sub-process's main heap. */
mi_owner_t* mi_owner_begin_in(mi_owner_kind_t kind, uintptr_t id, mi_heap_t* main);
/* Any thread, whose id it is: the owner that a thread left which had the id before and whose end nobody
   noticed; NULL. */
mi_owner_t* mi_owner_of_thread(uintptr_t id);
/* Owner-only: its pages are pooled for others, its slot is free again. */
void mi_owner_end(mi_owner_t* owner);
/* Owner-only: collects every local heap. */
void mi_owner_drain(mi_owner_t* owner, bool force);
/* Owner-only: gives every page up, to its pool or to its arena. It goes on as if it were new: for one that is
   going to sleep. */
void mi_owner_abandon(mi_owner_t* owner);

/* Any thread. The owner in a slot, NULL if there never was one; slots are below mi_owner_slots(). */
mi_owner_t* mi_owner_at(uint32_t slot);
uint32_t mi_owner_slots(void);

/* Any thread, around fork; `self`: the id of the thread that forks. */
void mi_owner_before_fork(void);
void mi_owner_after_fork(bool child);
/* In the child, before the locks are open: pages and owners of threads that are gone. */
void mi_owner_mend(uintptr_t self);

/* The checking build counts who is in an owner-only path; two at once is an overlap. */
#if MI_CHECK >= 2
void mi_owner_enter(mi_owner_t* owner);
void mi_owner_leave(mi_owner_t* owner);
#else
mi_inline void mi_owner_enter(mi_owner_t* owner) { (void)owner; }
mi_inline void mi_owner_leave(mi_owner_t* owner) { (void)owner; }
#endif

#endif
