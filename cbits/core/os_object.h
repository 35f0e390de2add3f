/* Shared objects, which the dynamic linker knows: the one that this code is in, and the C++ library. Any
   thread; not inside an allocation. */
#ifndef MI_OS_OBJECT_H
#define MI_OS_OBJECT_H

#include "base.h"

/* From here on the shared object that this code is in is never unloaded: a thread of ours may run in it, and
   handlers of fork and the destructor of a thread key point into it. */
void mi_os_object_keep(void);

/* A function of the C++ library, wherever that was loaded, by its linker name; NULL: there is none. May
   allocate. */
void* mi_os_cxx_function(const char* name);

#endif
