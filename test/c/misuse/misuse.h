/* One misuse, one program. MISUSE(message, code) { .. } is the program; in it BAD(p, call) is the misuse:
   it must give this one line (%p: p), call the error function once with this code, and keep errno. Run twice:
   ignored (the program goes on, everything else is whole) and with abort_on_error (the
   line, then SIGABRT). */
#ifndef MISUSE_H
#define MISUSE_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/mimalloc.h"

void misuse_begin(void* p);
void misuse_end(void);
void misuse_elsewhere(void (*f)(void* p), void* p);      /* in another thread */
extern const char* const misuse_message;                 /* NULL: none */
extern const int misuse_code;                            /* 0: none */
void misuse(void);

#define MISUSE(message, code) \
  const char* const misuse_message = message; \
  const int misuse_code = code; \
  void misuse(void)
#define BAD(p, call) do { misuse_begin((void*)(p)); call; misuse_end(); } while (0)
#define MUST(x) ((x) ? (void)0 : (fprintf(stderr, "not so: %s (line %d)\n", #x, __LINE__), exit(1)))

#define DOUBLE_FREE "double free: the block is free already: %p"
#define NOT_A_BLOCK "invalid pointer: not a live block of this allocator: %p"
#define INTERIOR    "invalid pointer: not the start of a live block: %p"
#define OTHER_SIZE  "sized free: the block is of another size: %p"
#define OTHER_ALIGNMENT "aligned free: the block is not aligned so: %p"
#define WRITTEN     "a free block was written to: %p"

#endif
