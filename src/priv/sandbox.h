/* sandbox.h - every role's rights on one screen; narrowed once, never widened. */
#ifndef RF_PRIV_SANDBOX_H
#define RF_PRIV_SANDBOX_H

#include "base/err.h"
#include "policy/config.h"
#include "priv/imsg.h"

/* Defined in builds with a sanitizer, whose runtime forks, traces, maps and opens what no role may:
   there sandbox_enter() does nothing, says so, and no floor is enforced. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANDBOX_OFF 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
        __has_feature(memory_sanitizer)
#        define SANDBOX_OFF 1
#    endif
#endif

/* Folders and files a role may still open after narrowing; NULL-terminated, NULL entries are not
   allowed inside. */
struct sandbox_paths {
    const char *const *read_only;
    const char *const *read_write;
};

/* No core dump, and nobody of the same user may trace this process or read its memory. What
   sandbox_enter() does too, for the time before it. */
void sandbox_hide(void);

/* Narrow this process to what ROLE needs: no new privileges, not dumpable, seccomp (libseccomp,
   default kill), landlock by the ABI found at run time. Writes what was got, e.g. "seccomp=yes
   landlock=4", to REPORT. Fails when less than FLOOR was got. */
RF_CHECK int sandbox_enter(enum imsg_role role, const struct sandbox_paths *paths,
                           enum sandbox_floor floor, char *report, size_t report_len,
                           struct err *err);

#endif
