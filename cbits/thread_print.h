/* Statistics for people: what an owner is called. Any thread. */
#ifndef MI_THREAD_PRINT_H
#define MI_THREAD_PRINT_H

#include "core/types.h"

mi_inline const char* mi_print_owner_kind(uint64_t id) {
  return id == 0 ? "nobody" : mi_id_is_capability(id) ? "capability" : "thread";
}
mi_inline uint64_t mi_print_owner_number(uint64_t id) {
  return mi_id_is_capability(id) ? mi_id_capability(id) : id;
}

#endif
