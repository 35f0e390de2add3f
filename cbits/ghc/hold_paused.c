/* drain.h, from GHC 9.2 on: all capabilities are stopped, as for a collection. */
#include "ghc/drain.h"

/* RtsAPI.h has these; an older one, with which this file is not built but still read, has not. */
typedef struct PauseToken_ PauseToken;
PauseToken* rts_pause(void);
void rts_resume(PauseToken* token);

void mi_hold_each(const bool wanted[MI_CAPS_MAX], void (*act)(uint32_t number)) {
  uint32_t n = 0;
  while (n < MI_CAPS_MAX && !wanted[n]) n++;
  if (n == MI_CAPS_MAX) return;
  PauseToken* token = rts_pause();
  for (; n < MI_CAPS_MAX; n++) if (wanted[n]) act(n);
  rts_resume(token);
}
