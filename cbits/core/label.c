/* See label.h. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "label.h"
#include "meta.h"

#define HEADS       4096u           /* of lists, by hash: of texts, and of threads */
#define CHUNK_SIZE  (32u * 1024)    /* of texts */
#define CHUNKS_MAX  64u             /* 2 MiB: a program that makes a label for each request ends there */

typedef struct mi_text_s {
  struct mi_text_s* next;           /* of the same hash */
  char text[];
} mi_text_t;

typedef struct mi_labelled_s {
  struct mi_labelled_s* next;       /* of the same hash */
  uint64_t thread;
  const char* label;                /* not NULL */
} mi_labelled_t;

static mi_lock_t labels_lock = MI_LOCK_INIT(MI_RANK_LABELS);
/* The lock's, all of them. A text does not change, nor go. */
static mi_text_t* texts[HEADS];
static mi_labelled_t* threads[HEADS];
static mi_atomic(size_t) xlabelled;  /* how many they are; changed under the lock */
static char* chunk;                 /* the last one, of which so much is used */
static size_t chunk_used;
static uint32_t nchunks;

/* ---- texts ---- */

static uint64_t hash_of(const char* text, size_t length) {
  uint64_t h = length;
  for (size_t i = 0; i < length; i++)
    h = (h ^ (uint8_t)text[i]) * 0x9e3779b97f4a7c15u;                     /* the golden ratio */
  return h ^ h >> 32;
}

/* `outer` and `name`, with an end; how long it is. 0: there is no room. */
static size_t compose(char to[MI_LABEL_MOST], const char* outer, const char* name, size_t length, bool one) {
  const size_t before = outer == NULL ? 0 : strlen(outer) + 1;
  if (length == 0 || length >= MI_LABEL_MOST - before) return 0;
  if (outer != NULL) memcpy(to, outer, before);
  if (before > 0) to[before - 1] = ';';
  for (size_t i = 0; i < length; i++) {
    const char c = name[i];
    to[before + i] = (one && c == ';') || c == '\n' || c == '\r' || c == 0 ? '_' : c;
  }
  to[before + length] = 0;
  return before + length;
}

/* Under the lock. NULL: no memory. */
static mi_text_t* text_make(const char* text, size_t length) {
  const size_t size = mi_align_up(sizeof(mi_text_t) + length + 1, sizeof(void*));
  _Static_assert(sizeof(mi_text_t) + MI_LABEL_MOST + sizeof(void*) <= CHUNK_SIZE, "a chunk has room for one");
  if (chunk == NULL || chunk_used + size > CHUNK_SIZE) {
    char* fresh = nchunks == CHUNKS_MAX ? NULL : mi_meta_alloc(MI_META_LABELS, CHUNK_SIZE);
    if (fresh == NULL) return NULL;
    chunk = fresh;
    chunk_used = 0;
    nchunks++;
  }
  mi_text_t* t = (mi_text_t*)(void*)(chunk + chunk_used);
  chunk_used += size;
  memcpy(t->text, text, length + 1);
  return t;
}

/* Under the lock. */
static const char* text_find(const char* text, size_t length, uint64_t hash) {
  mi_text_t** head = &texts[hash % HEADS];
  for (const mi_text_t* t = *head; t != NULL; t = t->next) if (strcmp(t->text, text) == 0) return t->text;
  mi_text_t* t = text_make(text, length);
  if (t == NULL) return NULL;
  t->next = *head;
  *head = t;
  return t->text;
}

/* Under the lock. */
static const char* within(const char* outer, const char* name, size_t length, bool one) {
  char text[MI_LABEL_MOST];
  const size_t n = compose(text, outer, name, length, one);
  const char* label = n == 0 ? NULL : text_find(text, n, hash_of(text, n));
  return label == NULL ? outer : label;
}

static const char* locked_within(const char* outer, const char* name, size_t length, bool one) {
  const int saved = errno;
  mi_lock(&labels_lock);
  const char* label = within(outer, name, length, one);
  mi_unlock(&labels_lock);
  errno = saved;
  return label;
}

const char* mi_label_within(const char* outer, const char* name, size_t length) {
  return locked_within(outer, name, length, true);
}
const char* mi_label_within_all(const char* outer, const char* names, size_t length) {
  return locked_within(outer, names, length, false);
}

/* ---- threads ---- */

/* Under the lock: the place that leads to this thread's, or where it would be. */
static mi_labelled_t** place_of(uint64_t thread) {
  mi_labelled_t** place = &threads[thread % HEADS];
  while (*place != NULL && (*place)->thread != thread) place = &(*place)->next;
  return place;
}

/* Under the lock. */
static void set(mi_labelled_t** place, uint64_t thread, const char* label) {
  mi_labelled_t* t = *place;
  if (label == NULL) {
    if (t == NULL) return;
    *place = t->next;
    mi_meta_free(MI_META_LABELLED, t);
    mi_sub_relaxed(&xlabelled, 1);                                        /* a count */
    return;
  }
  if (t == NULL) {
    if ((t = mi_meta_alloc(MI_META_LABELLED, sizeof *t)) == NULL) return;
    t->next = NULL;
    t->thread = thread;
    *place = t;
    mi_add_relaxed(&xlabelled, 1);                                        /* a count */
  }
  t->label = label;
}

void mi_label_set(uint64_t thread, const char* label) {
  const int saved = errno;
  mi_lock(&labels_lock);
  set(place_of(thread), thread, label);
  mi_unlock(&labels_lock);
  errno = saved;
}

/* A thread that has a label has written the count, or comes after who did. */
const char* mi_label_of(uint64_t thread) {
  if (mi_load_relaxed(&xlabelled) == 0) return NULL;                      /* a count */
  const int saved = errno;
  mi_lock(&labels_lock);
  const mi_labelled_t* t = *place_of(thread);
  const char* label = t == NULL ? NULL : t->label;
  mi_unlock(&labels_lock);
  errno = saved;
  return label;
}

const char* mi_label_enter(uint64_t thread, const char* name, size_t length) {
  const int saved = errno;
  mi_lock(&labels_lock);
  mi_labelled_t** place = place_of(thread);
  const char* outer = *place == NULL ? NULL : (*place)->label;
  set(place, thread, within(outer, name, length, true));
  mi_unlock(&labels_lock);
  errno = saved;
  return outer;
}

void mi_label_before_fork(void) { mi_lock(&labels_lock); }
void mi_label_after_fork(bool child) { (child ? &mi_lock_reset : &mi_unlock)(&labels_lock); }
