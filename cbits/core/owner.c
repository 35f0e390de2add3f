/* See owner.h. */
#include <string.h>

#include "memory.h"
#include "meta.h"
#include "purger.h"
#include "report.h"
#include "owner.h"

typedef mi_atomic(mi_owner_t*) mi_xowner_t;

static mi_lock_t owners_lock = MI_LOCK_INIT(MI_RANK_OWNERS);
static mi_atomic(mi_xowner_t*) chunks[MI_OWNER_CHUNKS];       /* as in mi_heap_place */
static mi_atomic(uint32_t) nslots;
static mi_owner_t* free_owners;                               /* the lock's */

static mi_xowner_t* place_of(uint32_t slot) {
  mi_xowner_t* places = mi_load_acquire(&chunks[mi_owner_chunk(slot)]);   /* pairs with make_place */
  return places == NULL ? NULL : &places[mi_owner_place(slot)];
}

uint32_t mi_owner_slots(void) { return mi_load_acquire(&nslots); }        /* pairs with owner_make */

mi_owner_t* mi_owner_at(uint32_t slot) {
  mi_xowner_t* place = place_of(slot);
  return place == NULL ? NULL : mi_load_acquire(place);                   /* pairs with owner_make */
}

/* Under the lock. */
static mi_xowner_t* make_place(uint32_t slot) {
  mi_assert(slot == mi_load_relaxed(&nslots));                            /* changed under the lock only */
  const unsigned chunk = mi_owner_chunk(slot);
  if (chunk >= MI_OWNER_CHUNKS) return NULL;
  if (place_of(slot) == NULL) {
    mi_xowner_t* places = mi_meta_alloc(MI_META_PLACES + chunk, mi_owner_chunk_size(chunk) * sizeof *places);
    if (places == NULL) return NULL;
    mi_store_release(&chunks[chunk], places);                             /* pairs with place_of */
  }
  return place_of(slot);
}

/* Under the lock: one that was used before, or a new one in a new slot. */
static mi_owner_t* owner_make(void) {
  mi_owner_t* owner = free_owners;
  if (owner != NULL) {
    free_owners = owner->next_free;
    return owner;
  }
  const uint32_t slot = mi_load_relaxed(&nslots);                         /* changed under the lock only */
  mi_xowner_t* place = make_place(slot);
  if (place == NULL) return NULL;
  owner = mi_meta_alloc(MI_META_OWNER, sizeof *owner);
  if (owner == NULL) return NULL;
  owner->slot = slot;
  mi_store_release(place, owner);                                         /* pairs with mi_owner_at */
  mi_store_release(&nslots, slot + 1);                                    /* pairs with mi_owner_slots */
  return owner;
}

mi_owner_t* mi_owner_of_thread(uintptr_t id) {
  for (uint32_t slot = 0; slot < mi_owner_slots(); slot++) {
    mi_owner_t* owner = mi_owner_at(slot);
    /* Pairs with mi_owner_begin_in. */
    if (mi_load_acquire(&owner->xkind) == MI_OWNER_THREAD && owner->id == id) return owner;
  }
  return NULL;
}

mi_owner_t* mi_owner_begin(mi_owner_kind_t kind, uintptr_t id) {
  return mi_owner_begin_in(kind, id, &mi_main_heap);
}

mi_owner_t* mi_owner_begin_in(mi_owner_kind_t kind, uintptr_t id, mi_heap_t* main) {
  mi_assert(kind != MI_OWNER_UNUSED && id != 0 && id % MI_ID_STEP == 0 && id != MI_ID_GONE && main->is_main);
  mi_lock(&owners_lock);
  mi_owner_t* owner = owner_make();
  mi_unlock(&owners_lock);
  if (owner == NULL) return NULL;
  mi_assert(mi_load_relaxed(&owner->main.xcounts.pages) == 0);            /* ours now */
  owner->id = id;
  owner->label = NULL;
  mi_lheap_init(&owner->main, owner, main, id);
  mi_lock(&owners_lock);  /* not between fork and its child: mi_owner_mend sees both or neither */
  mi_add_relaxed(&mi_purger_xowners, 1);                                  /* a count */
  mi_store_release(&owner->xkind, kind);  /* pairs with readers of the table: shows the id */
  mi_unlock(&owners_lock);
  return owner;
}

void mi_owner_end(mi_owner_t* owner) {
  mi_assert(mi_load_relaxed(&owner->xkind) != MI_OWNER_UNUSED);            /* its own */
  mi_heap_owner_ends(owner);
  mi_lheap_end(&owner->main);
  mi_lock(&owners_lock);
  mi_store_release(&owner->xkind, MI_OWNER_UNUSED);  /* pairs with readers of the table */
  mi_sub_relaxed(&mi_purger_xowners, 1);                                  /* a count */
  owner->next_free = free_owners;
  free_owners = owner;
  mi_unlock(&owners_lock);
  mi_report_pending();
}

void mi_owner_drain(mi_owner_t* owner, bool force) {
  mi_assert(mi_load_relaxed(&owner->xkind) != MI_OWNER_UNUSED);            /* its own */
  mi_lheap_collect(&owner->main, force);
  mi_heap_drain_lheaps(owner, force);
  mi_report_pending();
}

void mi_owner_abandon(mi_owner_t* owner) {
  mi_assert(mi_load_relaxed(&owner->xkind) != MI_OWNER_UNUSED);            /* its own */
  mi_lheap_end(&owner->main);
  mi_heap_abandon_lheaps(owner);
  mi_report_pending();
  mi_purger_ended();                     /* nobody may come later */
}

/* ---- fork ---- */

void mi_owner_before_fork(void) { mi_lock(&owners_lock); }

/* A page that is held by a thread that is gone: its lists may be half-way through a change. Nobody may take
   it for his own, not even a new thread with the same thread pointer. One thread only. What carries this
   thread's id is its own, also in no queue yet: a signal's handler may fork in the middle of that. */
static void forget_page(mi_page_t* page, void* self) {
  mi_remote_unpin_all(&page->xword);
  if (mi_xword_state(mi_load_relaxed(&page->xword)) != MI_PAGE_OWNED
      || mi_load_relaxed(&page->xowner) == (uintptr_t)self)
    return;
  const mi_lheap_t* lh = mi_page_is_listed(page) ? page->lheap : NULL;  /* NULL, too, half-way into a queue */
  const mi_owner_t* owner = lh == NULL ? NULL : lh->owner;
  if (owner != NULL && (owner->id == (uintptr_t)self || mi_id_is_capability(owner->id))) return;
  mi_store_relaxed(&page->xowner, MI_ID_GONE);
}

static bool forget_mapping(mi_page_t* page, void* self) {
  forget_page(page, self);
  return true;
}

static void forget_pages(uintptr_t self) {
  for (size_t n = 0; n < mi_arena_count(); n++) {
    const mi_arena_t* a = mi_arena_at(n);
    size_t i = mi_bitmap_next(a->dirty, a->nslices, 0);  /* a page's first slice was handed out: dirty */
    for (; i < a->nslices; i = mi_bitmap_next(a->dirty, a->nslices, i + 1))
      forget_page(&a->pages[i], (void*)self);
  }
  mi_mapping_each(&forget_mapping, (void*)self);
}

void mi_owner_after_fork(bool child) { (child ? &mi_lock_reset : &mi_unlock)(&owners_lock); }

void mi_owner_mend(uintptr_t self) {
  for (uint32_t slot = 0; slot < mi_owner_slots(); slot++) {
    mi_owner_t* owner = mi_owner_at(slot);
    const bool thread = mi_load_relaxed(&owner->xkind) == MI_OWNER_THREAD;  /* one thread only */
    if (!thread || owner->id == self) continue;
    owner->id = MI_ID_GONE;  /* keeps its slot: what it had is not looked at again */
    mi_store_relaxed(&owner->xkind, MI_OWNER_UNUSED);
    mi_sub_relaxed(&mi_purger_xowners, 1);                                /* a count */
  }
  forget_pages(self);
}

/* ---- overlaps ---- */

#if MI_CHECK >= 2
static mi_atomic(size_t) noverlaps;

void mi_owner_enter(mi_owner_t* owner) {
  /* Pairs with mi_owner_leave; a count. */
  if (mi_exchange_acq_rel(&owner->xbusy, 1) != 0) mi_add_relaxed(&noverlaps, 1);
}
/* Pairs with mi_owner_enter. */
void mi_owner_leave(mi_owner_t* owner) { mi_store_release(&owner->xbusy, 0); }
size_t mi_check_overlaps(void) { return mi_load_relaxed(&noverlaps); }    /* a count */
#else
size_t mi_check_overlaps(void) { return 0; }
#endif
