/* The atomics of cbits/core/atomic.h, played by the engine: every operation is a scheduling point.
   Included in place of <stdatomic.h> through -DMI_MODEL_ATOMICS. Implemented in engine.c.
   An operation carries its order and its place in the source; the engine keeps to the orders. */
#ifndef MODEL_ATOMIC_H
#define MODEL_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { MODEL_RELAXED = 0, MODEL_ACQUIRE = 1, MODEL_RELEASE = 2, MODEL_ACQ_REL = 3 } model_order_t;
typedef enum { MODEL_SWAP, MODEL_AND, MODEL_OR, MODEL_ADD, MODEL_SUB } model_rmw_t;

/* Where an operation stands, for the trace. */
typedef struct { const char* op; const char* file; int line; } model_site_t;
#define MODEL_SITE(op) ((model_site_t){ (op), __FILE__, __LINE__ })

uint64_t model_load(const uint64_t* p, model_order_t order, model_site_t site);
void model_store(uint64_t* p, uint64_t value, model_order_t order, model_site_t site);
uint64_t model_rmw(uint64_t* p, model_rmw_t kind, uint64_t operand, model_order_t order, model_site_t site);
bool model_cas(uint64_t* p, uint64_t* expected, uint64_t desired, model_order_t order, model_order_t failed,
               model_site_t site);

#define mi_atomic(T) T

#define mi_load_relaxed(p)        model_load((p), MODEL_RELAXED, MODEL_SITE("load_relaxed"))
#define mi_load_acquire(p)        model_load((p), MODEL_ACQUIRE, MODEL_SITE("load_acquire"))
#define mi_store_relaxed(p, v)    model_store((p), (v), MODEL_RELAXED, MODEL_SITE("store_relaxed"))
#define mi_store_release(p, v)    model_store((p), (v), MODEL_RELEASE, MODEL_SITE("store_release"))
#define mi_exchange_acq_rel(p, v) \
  model_rmw((p), MODEL_SWAP, (v), MODEL_ACQ_REL, MODEL_SITE("exchange_acq_rel"))
#define mi_and_relaxed(p, v)      model_rmw((p), MODEL_AND, (v), MODEL_RELAXED, MODEL_SITE("and_relaxed"))
#define mi_and_acquire(p, v)      model_rmw((p), MODEL_AND, (v), MODEL_ACQUIRE, MODEL_SITE("and_acquire"))
#define mi_and_acq_rel(p, v)      model_rmw((p), MODEL_AND, (v), MODEL_ACQ_REL, MODEL_SITE("and_acq_rel"))
#define mi_or_acq_rel(p, v)       model_rmw((p), MODEL_OR, (v), MODEL_ACQ_REL, MODEL_SITE("or_acq_rel"))
#define mi_or_relaxed(p, v)       model_rmw((p), MODEL_OR, (v), MODEL_RELAXED, MODEL_SITE("or_relaxed"))
#define mi_add_relaxed(p, v)      model_rmw((p), MODEL_ADD, (v), MODEL_RELAXED, MODEL_SITE("add_relaxed"))
#define mi_sub_release(p, v)      model_rmw((p), MODEL_SUB, (v), MODEL_RELEASE, MODEL_SITE("sub_release"))
#define mi_sub_relaxed(p, v)      model_rmw((p), MODEL_SUB, (v), MODEL_RELAXED, MODEL_SITE("sub_relaxed"))

#define mi_cas_relaxed(p, expected, desired) \
  model_cas((p), (expected), (desired), MODEL_RELAXED, MODEL_RELAXED, MODEL_SITE("cas_relaxed"))
#define mi_cas_acquire(p, expected, desired) \
  model_cas((p), (expected), (desired), MODEL_ACQUIRE, MODEL_RELAXED, MODEL_SITE("cas_acquire"))
#define mi_cas_release(p, expected, desired) \
  model_cas((p), (expected), (desired), MODEL_RELEASE, MODEL_RELAXED, MODEL_SITE("cas_release"))
#define mi_cas_acq_rel(p, expected, desired) \
  model_cas((p), (expected), (desired), MODEL_ACQ_REL, MODEL_ACQUIRE, MODEL_SITE("cas_acq_rel"))

#endif
