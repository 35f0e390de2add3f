/* Every atomic operation of the core is a step: included in front of each file of the variant `steps`
   (-include), so that the core itself knows nothing of it. Each macro of <stdatomic.h> that core/atomic.h
   uses first calls step_here, which lets the other actor go on if it is its turn (steps.h). */
#ifndef STEP_H
#define STEP_H

#include <stdatomic.h>

typedef enum { STEP_LOAD, STEP_STORE, STEP_SWAP, STEP_CAS } step_kind_t;
void step_here(const volatile void* at, step_kind_t kind, memory_order order);

/* p, after the step. */
#define STEP_AT(p, kind, order) \
  __extension__({ \
    __auto_type step_at = (p); \
    step_here(step_at, (kind), (order)); \
    step_at; \
  })

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_and_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_strong_explicit

#ifdef __clang__
#define STEP_LOAD_FROM(p, order)     __c11_atomic_load(p, order)
#define STEP_STORE_TO(p, v, order)   __c11_atomic_store(p, v, order)
#define STEP_EXCHANGE(p, v, order)   __c11_atomic_exchange(p, v, order)
#define STEP_FETCH(op, p, v, order)  __c11_atomic_fetch_##op(p, v, order)
#define STEP_COMPARE(p, e, d, s, f)  __c11_atomic_compare_exchange_strong(p, e, d, s, f)
#else
#  define STEP_LOAD_FROM(p, order) \
    __extension__({ \
      __auto_type step_p = (p); \
      __typeof__((void)0, *step_p) step_v; \
      __atomic_load(step_p, &step_v, (order)); \
      step_v; \
    })
#  define STEP_STORE_TO(p, v, order) \
    __extension__({ \
      __auto_type step_p = (p); \
      __typeof__((void)0, *step_p) step_v = (v); \
      __atomic_store(step_p, &step_v, (order)); \
    })
#  define STEP_EXCHANGE(p, v, order) \
    __extension__({ \
      __auto_type step_p = (p); \
      __typeof__((void)0, *step_p) step_v = (v), step_old; \
      __atomic_exchange(step_p, &step_v, &step_old, (order)); \
      step_old; \
    })
#  define STEP_FETCH(op, p, v, order) __atomic_fetch_##op((p), (v), (order))
#  define STEP_COMPARE(p, e, d, s, f) \
    __extension__({ \
      __auto_type step_p = (p); \
      __typeof__((void)0, *step_p) step_v = (d); \
      __atomic_compare_exchange(step_p, (e), &step_v, 0, (s), (f)); \
    })
#endif

#define atomic_load_explicit(p, order)         STEP_LOAD_FROM(STEP_AT(p, STEP_LOAD, order), order)
#define atomic_store_explicit(p, v, order)     STEP_STORE_TO(STEP_AT(p, STEP_STORE, order), v, order)
#define atomic_exchange_explicit(p, v, order)  STEP_EXCHANGE(STEP_AT(p, STEP_SWAP, order), v, order)
#define atomic_fetch_and_explicit(p, v, order) STEP_FETCH(and, STEP_AT(p, STEP_SWAP, order), v, order)
#define atomic_fetch_or_explicit(p, v, order)  STEP_FETCH(or, STEP_AT(p, STEP_SWAP, order), v, order)
#define atomic_fetch_add_explicit(p, v, order) STEP_FETCH(add, STEP_AT(p, STEP_SWAP, order), v, order)
#define atomic_fetch_sub_explicit(p, v, order) STEP_FETCH(sub, STEP_AT(p, STEP_SWAP, order), v, order)
#define atomic_compare_exchange_strong_explicit(p, e, d, s, f) \
  STEP_COMPARE(STEP_AT(p, STEP_CAS, s), e, d, s, f)

#endif
