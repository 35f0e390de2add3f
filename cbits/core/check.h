/* Assertions: the one home of the MI_CHECK question, but for the walker (cbits/debug). One that fails writes
   its line and ends the process, and calls nothing of ours: it may stand in any layer.
   Any thread. */
#ifndef MI_CHECK_H
#define MI_CHECK_H

#include "base.h"

#if MI_CHECK
void mi_assert_fail(const char* text) __attribute__((noreturn, cold));
#define MI_ASSERT_TEXT(what, file, line) "mimalloc: assertion failed: " what " (" file ":" #line ")\n"
#define mi_assert_fail_at(what, file, line) mi_assert_fail(MI_ASSERT_TEXT(what, file, line))
#define mi_assert(x) ((x) ? (void)0 : mi_assert_fail_at(#x, __FILE__, __LINE__))
#else
#define mi_assert(x) ((void)sizeof(x))
#endif

#endif
