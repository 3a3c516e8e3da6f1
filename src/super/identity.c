#include "super/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* Only a folder that this call made changes hands: an existing one is its owner's affair. By
   descriptor: whoever owns the folder above could put a link in the new one's place. */
static int make_folder(const char *path, mode_t mode, const struct passwd *owner, struct err *err)
{
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? 0 : err_sys(err, "could not make folder \"%s\"", path);
    int rc = 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, mode) < 0 || fchown(fd, owner->pw_uid, owner->pw_gid) < 0)
        rc = err_sys(err, "could not give folder \"%s\" to user \"%s\"", path, owner->pw_name);
    fd_close(&fd);
    return rc;
}

static int become(const struct passwd *user, struct err *err)
{
    uid_t uid[3];
    gid_t gid[3];
    if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return err_sys(err, "could not become user \"%s\"", user->pw_name);
    /* a kernel or a container that said yes and did nothing would leave us root */
    if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
        return err_sys(err, "could not read the user id");
    for (int i = 0; i < 3; i++)
        if (uid[i] != user->pw_uid || gid[i] != user->pw_gid)
            return err_set(err, RF_EBUG, "still not user \"%s\" after becoming it", user->pw_name);
    if (setuid(0) == 0 || getgroups(0, NULL) != 0)
        return err_set(err, RF_EBUG, "user \"%s\" can become root again", user->pw_name);
    return 0;
}

static int settle_as_root(const struct config *config, struct err *err)
{
    if (config->user == NULL) {
        int rc = err_set(err, RF_ECONFIG, "ringfenced does not run as root");
        err_hint(err, "set \"user\" in the configuration, or start it as that user");
        return rc;
    }
    errno = 0;
    const struct passwd *user = getpwnam(config->user);
    if (user == NULL)
        return err_set(err, RF_ECONFIG, "user: there is no user \"%s\"", config->user);
    if (user->pw_uid == 0)
        return err_set(err, RF_ECONFIG, "user: \"%s\" is root", config->user);
    int rc = make_folder(config->state_dir, 0700, user, err);
    if (rc == 0)
        rc = make_folder(config->run_dir, 0755, user, err);
    return rc == 0 ? become(user, err) : rc;
}

int identity_settle(const struct config *config, struct err *err)
{
    if (geteuid() == 0 || getuid() == 0)
        return settle_as_root(config, err);
    if (config->user == NULL)
        return 0;
    const struct passwd *user = getpwnam(config->user);
    if (user == NULL || user->pw_uid != geteuid())
        return err_set(err, RF_ECONFIG,
                       "user: started as user id %ld, which is not \"%s\" and cannot become it",
                       (long)geteuid(), config->user);
    return 0;
}
