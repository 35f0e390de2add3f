/* Giving up the pages of capabilities that may be asleep or disabled, from any thread; and the thread that
   does it for disabled ones. */
#ifndef MI_DRAIN_H
#define MI_DRAIN_H

#include "Rts.h"

#include "core/types.h"

/* Any thread. One drains at a time. False: the runtime system ends. */
bool mi_drain_begin(void);
void mi_drain_end(void);

/* Called with a capability held, by a thread that came in from C: has hs_exit end all draining. False: the
   runtime system ends. */
bool mi_drain_noted(Capability** cap);

/* These starts keep the runtime system from ending meanwhile: who calls holds a capability, or drains.
   (drainer.c) The drainer of one capability, if this process has none for it. If the capability is disabled
   before the drainer is there, it gets none, until it is enabled again and something looks. */
void mi_drainer_start(uint32_t number);
/* Of each one that is enabled and in use. */
void mi_drainers_start(void);
/* The same; and they are there then. Who calls holds no capability. */
void mi_drainers_ready(void);

/* Any thread that holds no capability, and drains. Calls `act` for each capability that is wanted, while that
   is held: for each enabled one, and for each other that has a drainer. (drainer.c) */
void mi_hold_each(const bool wanted[MI_CAPS_MAX], void (*act)(uint32_t number));

/* Capability-held. Begins the thread, if this process has none. */
void mi_drain_watch(void);

/* A C finalizer, which runs at hs_exit (at_exit.cmm). */
void mi_drain_ends(void* nothing);

#endif
