/* The profile as text. The formats are described in mimalloc-profile.h.
   Any thread; not inside an allocation. */
#ifndef MI_PROFILE_H
#define MI_PROFILE_H

#include "../include/mimalloc-profile.h"
#include "base.h"

/* False, and errno, if it cannot be written. before: 0 for all. */
bool mi_profile_write(int fd, mi_profile_format_t format, mi_profile_what_t what, uint64_t before);
bool mi_profile_write_file(const char* path, mi_profile_format_t format, mi_profile_what_t what,
                           uint64_t before);

/* The same in memory of the system's, with an end; its length. NULL and ENOMEM: there is none. */
char* mi_profile_text(mi_profile_format_t format, mi_profile_what_t what, uint64_t before, size_t* length);
void  mi_profile_text_free(char* text);

/* Samples from here on. */
void mi_profile_begin(size_t rate);
/* What the environment asks for: when the process begins, and when it ends. */
void mi_profile_process_begin(void);
void mi_profile_process_end(void);

#endif
