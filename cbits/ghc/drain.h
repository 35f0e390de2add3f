/* Giving up the pages of capabilities that may be asleep or disabled, from any thread; and the threads that
   do it for disabled ones by themselves. */
#ifndef MI_DRAIN_H
#define MI_DRAIN_H

#include "Rts.h"

#include "core/types.h"

/* Any thread. False: hs_exit is over, or has not much left to do; or hs_init was not called yet. */
bool mi_rts_lives(void);

/* Any thread. One drains at a time. False: the runtime system ends. */
bool mi_drain_begin(void);
void mi_drain_end(void);

/* Capability-held. Gives up all pages of this capability's heaps. */
void mi_drain_held(uint32_t number);

/* hs_exit will call mi_drain_ends (at_exit.cmm): what says so is made by now. */
void mi_drain_registered(void);
/* A C finalizer. */
void mi_drain_ends(void* nothing);

/* These starts keep the runtime system from ending meanwhile: who calls holds a capability, or drains.
   (drainer.c) The drainer of one capability, if this process has none for it. Capability 0 is never disabled,
   and gets none. */
void mi_drainer_start(uint32_t number);
/* Of each one that is enabled and in use. */
void mi_drainers_start(void);
/* The same; and they are there then. Who calls holds no capability. */
void mi_drainers_ready(void);

/* Any thread that holds no capability, and drains. Has each wanted capability drained: each enabled one, and
   each other that has a drainer. (drainer.c) */
void mi_drain_each(const bool wanted[MI_CAPS_MAX]);

#endif
