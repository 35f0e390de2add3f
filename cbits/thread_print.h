/* Statistics for people: what an owner is called, and the answer where somebody knows whose the resident
   memory is. Any thread. */
#ifndef MI_THREAD_PRINT_H
#define MI_THREAD_PRINT_H

#include "core/types.h"

mi_inline const char* mi_print_owner_kind(uint64_t id) {
  return id == 0 ? "nobody" : mi_id_is_capability(id) ? "capability" : "thread";
}
mi_inline uint64_t mi_print_owner_number(uint64_t id) {
  return mi_id_is_capability(id) ? mi_id_capability(id) : id;
}

/* mi_stats_print, of a process that has so many bytes resident, of which so many are GHC's and in our arenas
   and mappings; total 0: that is not known. */
void mi_stats_print_resident(size_t total, size_t ghc, size_t ours);

#endif
