/* The table of a store of strings (src/Mimalloc/Store.hs): slots by which handles find the strings' blocks.
   Capability-held where a string may be freed, else any thread. Each call is one step to Haskell: no
   collection and no exception comes between, and in a process that is forked by Haskell nobody was in one. */
#ifndef MI_STRINGS_H
#define MI_STRINGS_H

#include "core/os.h"
#include "include/mimalloc-cap.h"

/* A string's block. Its head is the string's length, and how many copy it just now; who looks at the length
   copies it, or has it for himself. */
typedef struct { uint64_t head; char bytes[]; } mi_string_t;
#define MI_STRING_LENGTH_BITS 40

/* A slot: its string's block, or the number of the next free slot and 1; and its generation, which is odd
   while it has a string. A handle is a generation and a slot's number, 32 bits each. */
typedef struct { uint64_t content, generation; } mi_slot_t;

/* Slots never move. Part 0 has 64 of them, and each further part as many as those before it. */
#define MI_STRINGS_PARTS 27

typedef struct {
  mi_lock_t  lock;
  uint64_t   room;                      /* slots that there are */
  uint64_t   used;                      /* the first so many were ever used */
  uint64_t   free;                      /* the first free one's number and 1; 0: none of those */
  uint64_t   count;                     /* strings */
  mi_slot_t* parts[MI_STRINGS_PARTS];   /* blocks; the user's heap ends with them */
} mi_strings_t;

mi_decl_export size_t hs_mi_strings_size(void);
mi_decl_export void hs_mi_strings_init(mi_strings_t* s);
mi_decl_export size_t hs_mi_strings_count(mi_strings_t* s);

/* The bytes of the part that a string needs; 0 if there is a free slot; SIZE_MAX if there can be no more. */
mi_decl_export size_t hs_mi_strings_lacks(mi_strings_t* s);
/* That part, as it is; false if it is not needed any more. */
mi_decl_export bool hs_mi_strings_add(mi_strings_t* s, mi_slot_t* part, size_t size);

/* The handle; 0 if there is no free slot. */
mi_decl_export uint64_t hs_mi_strings_put(mi_strings_t* s, mi_string_t* string);
/* A string, to be copied until mi_strings_done; NULL if none has this handle. */
mi_decl_export mi_string_t* hs_mi_strings_get(mi_strings_t* s, uint64_t handle);

/* These free a string, unless it is being copied: the last to have copied it does then. Capability-held. */
mi_decl_export void hs_mi_strings_done(mi_strings_t* s, mi_string_t* string);
/* False, and nothing done, if no string has this handle. */
mi_decl_export bool hs_mi_strings_replace(mi_strings_t* s, uint64_t handle, mi_string_t* string);
mi_decl_export bool hs_mi_strings_delete(mi_strings_t* s, uint64_t handle);

#endif
