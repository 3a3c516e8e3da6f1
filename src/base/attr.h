/* attr.h - compiler attributes under the names this code base uses. */
#ifndef RF_BASE_ATTR_H
#define RF_BASE_ATTR_H

#include <stddef.h>

#define RF_CHECK             __attribute__((warn_unused_result))
#define RF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define RF_NORETURN          __attribute__((noreturn))
#define RF_FALLTHROUGH       __attribute__((fallthrough))
#define RF_UNUSED            __attribute__((unused))

#define RF_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The object of TYPE whose MEMBER lies at PTR. */
#define RF_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Deliberate neglect of an RF_CHECK result (gcc warns through a cast to void); say why beside it.
 */
#define RF_NEGLECT(call) ((void)((call) == 0))

/* A condition that only a bug of ours can break; ends the process. Never for anything that a peer,
   a disk or memory can cause. Stays on in every build. */
#define RF_ASSERT(cond) ((cond) ? (void)0 : attr_assert_failed(#cond, __FILE__, __LINE__))

RF_NORETURN void attr_assert_failed(const char *cond, const char *file, int line);

#endif
