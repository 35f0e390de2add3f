/* Shared objects, which the dynamic linker knows: the one that this code is in, and the C++ library; and the
   stack of who calls. Any thread; not inside an allocation, but for mi_os_stack. */
#ifndef MI_OS_OBJECT_H
#define MI_OS_OBJECT_H

#include "base.h"

/* From here on the shared object that this code is in is never unloaded: a thread of ours may run in it, and
   handlers of fork and the destructor of a thread key point into it. */
void mi_os_object_keep(void);

/* A function of the C++ library, wherever that was loaded, by its linker name; NULL: there is none. May
   allocate. */
void* mi_os_cxx_function(const char* name);

/* Return addresses of the calling thread's stack, the innermost first, without those of this library where it
   is an object of its own; how many. Allocates nothing, once mi_os_stack_prepare was called, which may. */
size_t mi_os_stack(void** frames, size_t most);
void   mi_os_stack_prepare(void);

/* Where an address is: the function and the object, both NULL if unknown, and how far behind their start. */
typedef struct {
  const char *function, *object;
  size_t      in_function, in_object;
} mi_os_place_t;
mi_os_place_t mi_os_place(const void* p);

#endif
