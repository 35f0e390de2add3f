/* Giving up the pages of capabilities that may be asleep or disabled, from any thread; and the thread that does it for
   disabled ones. */
#ifndef MI_DRAIN_H
#define MI_DRAIN_H

#include "core/types.h"

/* Calls `act` for each capability that is wanted, while that is held; nobody else is in here. Any thread that holds no
   capability. In hold.c. */
void mi_hold_each(const bool wanted[MI_CAPS_MAX], void (*act)(uint32_t number));

/* Capability-held. Begins the thread, if this process has none. */
void mi_drain_watch(void);

/* A C finalizer, which runs at hs_exit (at_exit.cmm). */
void mi_drain_ends(void* nothing);

#endif
