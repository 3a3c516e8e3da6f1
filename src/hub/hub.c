#include "hub/hub.h"

#include <errno.h>
#include <poll.h>

#include "base/log.h"
#include "priv/child.h"
#include "priv/sandbox.h"

struct hub {
    struct child child;
    bool is_stopping;
};

static void supervisor_read(struct hub *x)
{
    struct err err;
    struct imsg m;
    int rc;
    while ((rc = imsg_recv(x->child.imsg_fd, &m)) == 1) {
        enum imsg_type type = m.type;
        if (type == IMSG_STOP) {
            imsg_close_fds(&m);
            x->is_stopping = true;
            return;
        }
        if (child_take(&x->child, &m, &err) < 0) {
            log_err(LOG_LEVEL_ERROR, "message-refused", &err);
            continue;
        }
        if (type == IMSG_CONFIG) {
            child_retired_done(&x->child.retired);
            if (child_ready(&x->child, "") < 0)
                log_warn("supervisor-silent", "about=reload");
        }
    }
    if (rc == 0 || errno != EAGAIN)
        x->is_stopping = true;
}

int hub_main(int imsg_fd)
{
    static struct hub x;
    const struct sandbox_paths paths = { 0 };
    char report[200] = "";
    struct err err;
    int status = 0;
    if (child_begin(imsg_fd, 0, &x.child, &err) < 0)
        return err_exit_status(err.code);
    if (sandbox_enter(ROLE_HUB, &paths, x.child.config->sandbox_floor, report, sizeof(report),
                      &err) < 0 ||
        child_ready(&x.child, report) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        status = 3;
        x.is_stopping = true;
    }
    while (!x.is_stopping) {
        struct pollfd p = { .fd = x.child.imsg_fd, .events = POLLIN };
        if (poll(&p, 1, -1) > 0)
            supervisor_read(&x);
    }
    child_done(&x.child);
    return status;
}
