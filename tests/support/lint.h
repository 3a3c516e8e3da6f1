/* lint.h - what clang-tidy cannot see from one file alone: our functions that make an error always
 * return a negative code. Forced in front of every file by `./dev lint`, never compiled. */
#include "base/err.h"

#define err_set(err, code, ...) ((void)err_set(err, code, __VA_ARGS__), -(int)(code))
#define err_sys(err, ...)       ((void)err_sys(err, __VA_ARGS__), -RF_ESYS)
