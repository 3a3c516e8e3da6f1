/* ringfenced - the gateway (docs/man/ringfenced.8). Picks a role and calls it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "control/control.h"
#include "courier/courier.h"
#include "gate/worker.h"
#include "guard/inspect.h"
#include "herald/herald.h"
#include "herald/runner.h"
#include "hub/hub.h"
#include "ledger/ledger.h"
#include "ledger/libraries.h"
#include "ledger/notary.h"
#include "priv/imsg.h"
#include "registrar/registrar.h"
#include "super/super.h"

enum { STATUS_USAGE = 2, STATUS_UNREADABLE = 3 };

enum { OPTION_ROLE = 256, OPTION_INDEX, OPTION_LIBRARIES };

static const struct option options[] = {
    { "config", required_argument, NULL, 'c' },
    { "test", no_argument, NULL, 't' },
    { "libraries", no_argument, NULL, OPTION_LIBRARIES },
    { "version", no_argument, NULL, 'V' },
    { "help", no_argument, NULL, 'h' },
    { "role", required_argument, NULL, OPTION_ROLE }, /* what the supervisor passes its children */
    { "index", required_argument, NULL, OPTION_INDEX },
    { NULL, 0, NULL, 0 },
};

static const char help[] =
    "usage: ringfenced [-t] -c FILE\n"
    "\n"
    "  -c, --config FILE   run the gateway that this file describes, in the foreground\n"
    "  -t, --test          only read the files, print every mistake, and exit\n"
    "      --libraries     print SHA-256 and name of each library that is loaded: the text\n"
    "                      whose SHA-256 stands as \"libraries\" in start leaves of the log\n"
    "      --version       print the version\n"
    "      --help          print this\n"
    "\n"
    "SIGHUP reads the files again; SIGTERM ends in order, a second one at once.\n"
    "Exit status: 0 as told, 2 usage or mistakes in the files, 3 could not read or start.\n";

static int usage(const char *complaint)
{
    (void)fprintf(stderr, "ringfenced: %s\nringfenced: try --help\n", complaint);
    return STATUS_USAGE;
}

static int print_libraries(void)
{
    struct buf text;
    struct err err;
    buf_init(&text, LIBRARIES_LIST_MAX);
    int rc = libraries_list(&text, &err);
    bool is_out =
        rc == 0 && fwrite(buf_at(&text), buf_len(&text), 1, stdout) == 1 && fflush(stdout) == 0;
    if (!is_out)
        (void)fprintf(stderr, "ringfenced: %s\n", rc < 0 ? err.line : "could not write the list");
    buf_done(&text);
    return is_out ? 0 : STATUS_UNREADABLE;
}

static int run_role(const char *name, unsigned index)
{
    static char label[24]; /* the log keeps it */
    (void)snprintf(label, sizeof(label), "%s-%u", name, index);
    log_open(label, LOG_LEVEL_INFO);
    (void)prctl(PR_SET_NAME, label, 0, 0, 0); /* a name for ps; nothing depends on it */
    if (strcmp(name, imsg_role_name(ROLE_WORKER)) == 0)
        return worker_main(IMSG_CHILD_FD, index);
    if (strcmp(name, imsg_role_name(ROLE_PARSER)) == 0)
        return parser_main(IMSG_CHILD_FD);
    if (strcmp(name, imsg_role_name(ROLE_LEDGER)) == 0)
        return ledger_main(IMSG_CHILD_FD);
    if (strcmp(name, imsg_role_name(ROLE_CONTROL)) == 0)
        return control_main(IMSG_CHILD_FD);
    if (strcmp(name, imsg_role_name(ROLE_NOTARY)) == 0)
        return notary_main(IMSG_CHILD_FD);
    if (strcmp(name, imsg_role_name(ROLE_COURIER)) == 0)
        return courier_main(IMSG_CHILD_FD);
    if (strcmp(name, imsg_role_name(ROLE_HUB)) == 0)
        return hub_main(IMSG_CHILD_FD);
    if (strcmp(name, imsg_role_name(ROLE_REGISTRAR)) == 0)
        return registrar_main(IMSG_CHILD_FD);
    if (strcmp(name, imsg_role_name(ROLE_HERALD)) == 0)
        return herald_main(IMSG_CHILD_FD);
    if (strcmp(name, imsg_role_name(ROLE_RUNNER)) == 0)
        return runner_main(IMSG_CHILD_FD);
    return usage("no such role");
}

int main(int argc, char **argv)
{
    const char *config = NULL, *role = NULL;
    unsigned long index = 0;
    bool test = false;
    int c;
    while ((c = getopt_long(argc, argv, "c:th", options, NULL)) != -1)
        switch (c) {
        case 'c':
            config = optarg;
            break;
        case 't':
            test = true;
            break;
        case OPTION_LIBRARIES:
            return print_libraries();
        case 'V':
            return printf("ringfenced %s\n", RF_VERSION) < 0;
        case 'h':
            return printf("%s", help) < 0;
        case OPTION_ROLE:
            role = optarg;
            break;
        case OPTION_INDEX:
            index = strtoul(optarg, NULL, 10);
            break;
        default:
            return usage("no such option, or its argument is missing");
        }
    if (optind < argc)
        return usage("there is an argument too many");
    if (role != NULL)
        return run_role(role, (unsigned)index);
    if (config == NULL)
        return usage("-c FILE is missing");
    return test ? super_test(config) : super_main(config);
}
