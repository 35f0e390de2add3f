/* Assertions, which are there if MI_CHECK is not 0. Any thread. It calls only mi_assert_fail. */
#ifndef MI_CHECK_H
#define MI_CHECK_H

#include "base.h"

#if MI_CHECK
void mi_assert_fail(const char* what, const char* file, int line) __attribute__((noreturn, cold));
#define mi_assert(x) ((x) ? (void)0 : mi_assert_fail(#x, __FILE__, __LINE__))
#else
#define mi_assert(x) ((void)sizeof(x))
#endif

#endif
