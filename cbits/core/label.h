/* Labels of the profile (docs/protocols.md, section 11): texts that stay, and which one a thread of a
   language with threads of its own has now. Who has a thread's number changes its label: that thread. Any
   thread, under one lock; keeps errno. */
#ifndef MI_LABEL_H
#define MI_LABEL_H

#include "os.h"

#define MI_LABEL_MOST 1024u         /* bytes of a label with all around it, and its end */

/* The label `name` within another, or within none (NULL): their names, the outermost first, with semicolons
   between. The same text has one address, for ever. What would separate (semicolons, ends of lines, zeros)
   becomes "_". An empty name, no room and no memory: the outer one. */
const char* mi_label_within(const char* outer, const char* name, size_t length);
/* The same for several names, with semicolons between already. */
const char* mi_label_within_all(const char* outer, const char* names, size_t length);

/* The thread with this number has this label from here on; NULL: none. No memory: none. */
void mi_label_set(uint64_t thread, const char* label);
/* What it has. */
const char* mi_label_of(uint64_t thread);
/* From here on one more within what it has, which is returned. */
const char* mi_label_enter(uint64_t thread, const char* name, size_t length);

void mi_label_before_fork(void);
void mi_label_after_fork(bool child);

#endif
