/* The table of a store of strings; who may call what: strings.h. Imported by src/Mimalloc/Internal/FFI.hs,
   all of it `unsafe`: each function is short, and its lock is held by nobody who waits. */
#include "strings.h"

#include "core/check.h"

/* Above the length: how many copy the string, or did until their transaction (STM) was dropped. So many stay
   so many, and the string lives until its store ends. */
#define COPIER      ((uint64_t)1 << MI_STRING_LENGTH_BITS)
#define COPIERS     (DELETED - COPIER)
/* .. and whether the last of them frees it. */
#define DELETED     ((uint64_t)1 << 63)
#define FIRST_PART  64u
#define GENERATION  0xffffffffu
#define MOST_SLOTS  ((uint64_t)FIRST_PART << (MI_STRINGS_PARTS - 1))

_Static_assert(MOST_SLOTS == (uint64_t)1 << 32, "a slot's number has 32 bits");
_Static_assert(sizeof(mi_string_t) == 8, "Store.hs writes a string behind its length");

static unsigned part_of(uint64_t i) {
  return i < FIRST_PART ? 0 : 64u - (unsigned)__builtin_clzll(i / FIRST_PART);
}
static uint64_t part_first(unsigned part) { return part == 0 ? 0 : (uint64_t)FIRST_PART << (part - 1); }

static mi_slot_t* slot_at(mi_strings_t* s, uint64_t i) {
  const unsigned part = part_of(i);
  return &s->parts[part][i - part_first(part)];
}

/* The slot of a string that is there, or NULL. */
static mi_slot_t* slot_of(mi_strings_t* s, uint64_t handle) {
  const uint64_t i = handle & GENERATION, generation = handle >> 32;
  if (i >= s->used || (generation & 1) == 0) return NULL;
  mi_slot_t* slot = slot_at(s, i);
  return slot->generation == generation ? slot : NULL;
}

static mi_string_t* string_in(const mi_slot_t* slot) { return (mi_string_t*)(uintptr_t)slot->content; }

static bool is_copied(const mi_string_t* string) { return (string->head & COPIERS) != 0; }

/* A string that no slot has any more: true if it is to be freed now. */
static bool let_go(mi_string_t* string) {
  if (!is_copied(string)) return true;
  string->head |= DELETED;
  return false;
}

size_t hs_mi_strings_size(void) { return sizeof(mi_strings_t); }

void hs_mi_strings_init(mi_strings_t* s) {
  *s = (mi_strings_t){ .room = 0 };
  mi_lock_init(&s->lock, MI_RANK_STRINGS);
}

size_t hs_mi_strings_count(mi_strings_t* s) {
  mi_lock(&s->lock);
  const size_t n = s->count;
  mi_unlock(&s->lock);
  return n;
}

/* Under the lock. */
static size_t lacks(const mi_strings_t* s) {
  if (s->free != 0 || s->used < s->room) return 0;
  if (s->room == MOST_SLOTS) return SIZE_MAX;
  return (s->room == 0 ? FIRST_PART : s->room) * sizeof(mi_slot_t);
}

size_t hs_mi_strings_lacks(mi_strings_t* s) {
  mi_lock(&s->lock);
  const size_t size = lacks(s);
  mi_unlock(&s->lock);
  return size;
}

bool hs_mi_strings_add(mi_strings_t* s, mi_slot_t* part, size_t size) {
  mi_lock(&s->lock);
  const bool needed = lacks(s) == size;
  if (needed) {
    s->parts[part_of(s->room)] = part;
    s->room += size / sizeof(mi_slot_t);
  }
  mi_unlock(&s->lock);
  return needed;
}

uint64_t hs_mi_strings_put(mi_strings_t* s, mi_string_t* string) {
  uint64_t handle = 0;
  mi_lock(&s->lock);
  if (lacks(s) == 0) {
    const uint64_t i = s->free != 0 ? s->free - 1 : s->used;
    mi_slot_t* slot = slot_at(s, i);
    if (s->free != 0) { s->free = slot->content; } else { slot->generation = 0; s->used++; }
    slot->content = (uintptr_t)string;
    slot->generation = (slot->generation + 1) & GENERATION;
    s->count++;
    handle = slot->generation << 32 | i;
  }
  mi_unlock(&s->lock);
  return handle;
}

mi_string_t* hs_mi_strings_get(mi_strings_t* s, uint64_t handle) {
  mi_lock(&s->lock);
  mi_slot_t* slot = slot_of(s, handle);
  mi_string_t* string = slot == NULL ? NULL : string_in(slot);
  if (string != NULL && (string->head & COPIERS) != COPIERS) string->head += COPIER;
  mi_unlock(&s->lock);
  return string;
}

void hs_mi_strings_done(mi_strings_t* s, mi_string_t* string) {
  mi_lock(&s->lock);
  mi_assert(is_copied(string));
  if ((string->head & COPIERS) != COPIERS) string->head -= COPIER;
  const bool last = !is_copied(string) && (string->head & DELETED) != 0;
  mi_unlock(&s->lock);
  if (last) mi_cap_free(string);
}

bool hs_mi_strings_replace(mi_strings_t* s, uint64_t handle, mi_string_t* string) {
  mi_string_t* old = NULL;
  mi_lock(&s->lock);
  mi_slot_t* slot = slot_of(s, handle);
  if (slot != NULL) {
    if (let_go(string_in(slot))) old = string_in(slot);
    slot->content = (uintptr_t)string;
  }
  mi_unlock(&s->lock);
  mi_cap_free(old);
  return slot != NULL;
}

bool hs_mi_strings_delete(mi_strings_t* s, uint64_t handle) {
  mi_string_t* old = NULL;
  mi_lock(&s->lock);
  mi_slot_t* slot = slot_of(s, handle);
  if (slot != NULL) {
    if (let_go(string_in(slot))) old = string_in(slot);
    slot->generation = (slot->generation + 1) & GENERATION;
    slot->content = s->free;
    s->free = (handle & GENERATION) + 1;
    s->count--;
  }
  mi_unlock(&s->lock);
  mi_cap_free(old);
  return slot != NULL;
}
