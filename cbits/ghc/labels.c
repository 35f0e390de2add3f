/* The label of a Haskell thread (docs/protocols.md, section 11). It belongs to the thread, which moves
   between capabilities and sleeps while others run there; so it is found by the thread's number, which no
   other thread ever gets, when a sample is made. The thread that a capability runs is in its registers. */
#include "Rts.h"

#include <errno.h>
#include <string.h>

#include "core/label.h"
#include "core/sample.h"
#include "ghc/labels.h"
#include "include/mimalloc-cap.h"

/* Capability-held. NULL: none runs, as in a finalizer of an idle capability. */
static const StgTSO* running(void) {
  const CapabilityPublic* cap = (const void*)rts_unsafeGetMyCapability();
  return cap->r.rCurrentTSO;
}

const char* mi_cap_label(void) {
  const StgTSO* thread = running();
  return thread == NULL ? NULL : mi_label_of(thread->id);
}

const char* mi_cap_label_enter(const char* name, size_t length) {
  const StgTSO* thread = running();
  return thread == NULL ? NULL : mi_label_enter(thread->id, name, length);
}

void mi_cap_label_set(const char* label) {
  const StgTSO* thread = running();
  if (thread != NULL) mi_label_set(thread->id, label);
}

/* ---- the profiling way ---- */

/* The cost centres of the running thread, the outermost first, with a semicolon between, into `text`. Of more
   than there is room for, the outermost are left out. How long it is. Constants of the program, all of them.
   */
static size_t cost_centres(char* text, size_t room, const CostCentreStack* stack) {
  size_t at = room;
  for (const CostCentreStack* s = stack; s != NULL && s->cc != NULL; s = s->prevStack) {
    const char* parts[] = { s->cc->module, ".", s->cc->label };
    size_t size = at < room;                                              /* the semicolon */
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) size += strlen(parts[i]);
    if (size > at) break;
    at -= size;
    char* to = text + at;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
      memcpy(to, parts[i], strlen(parts[i]));
      to += strlen(parts[i]);
    }
    if (to < text + room) *to = ';';
  }
  memmove(text, text + at, room - at);
  return room - at;
}

/* Within the label, since it is in the stack of all that is labelled so. */
static const char* with_cost_centres(const char* label, const CostCentreStack* stack) {
  char text[MI_LABEL_MOST / 2];
  const size_t n = cost_centres(text, sizeof text, stack);
  return mi_label_within_all(label, text, n);
}

/* In an allocation. Without profiling a capability has no cost centres. */
static const char* label_of_running(void) {
  const CapabilityPublic* cap = (const void*)rts_unsafeGetMyCapability();
  const char* label = mi_cap_label();
  return cap->r.rCCCS == NULL ? label : with_cost_centres(label, cap->r.rCCCS);
}

void mi_labels_begin(void) { mi_sample_set_label_of(&label_of_running); }
