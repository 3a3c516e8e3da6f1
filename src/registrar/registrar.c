#include "registrar/registrar.h"

#include <poll.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "priv/child.h"
#include "registrar/office.h"

enum { TEND_MS = 1000 };

struct registrar {
    struct child child;
    struct office office;
    struct voice *voice;
    struct buf heard;
    struct matter matter; /* large */
    int64_t tend_ms;
    bool is_stopping;
};

static int peer_fd(struct registrar *r, enum imsg_role role)
{
    const struct child_peer *p = child_peer_of(&r->child, role, 0);
    return p != NULL ? p->fd : -1;
}

/* ---- commands ------------------------------------------------------------------------------- */

static void send_answer(struct registrar *r, int fd, uint64_t id)
{
    static const char nothing[] =
        "{\"error\":{\"rule\":\"out-of-memory\",\"message\":\"out of memory: try again\"}}";
    struct matter *m = &r->matter;
    char *text = m->answer != NULL ? json_dumps(m->answer, JSON_COMPACT) : NULL;
    struct relay_answer answer = { .id = id, .status = (uint16_t)m->status };
    answer.json = text != NULL ? text : nothing;
    answer.json_len = strlen(answer.json);
    if (text == NULL)
        answer.status = 503;
    int rc = relay_answer_send(fd, &answer);
    if (rc == -RF_ETOOBIG) {
        static const char much[] =
            "{\"error\":{\"rule\":\"too-much\",\"message\":\"the answer is too "
            "long: ask for one request\"}}";
        answer.status = 413;
        answer.json = much;
        answer.json_len = sizeof(much) - 1;
        rc = relay_answer_send(fd, &answer);
    }
    if (rc < 0) /* the hub tells its client so */
        log_warn("answer-lost", "reason=\"%s\"", err_sentence(rc));
    free(text);
    json_decref(m->answer);
    m->answer = NULL;
}

/* One command; the others wait in the socket, and whoever has waited too long is told so by the
   hub, to which this end is then late. */
static void take_command(struct registrar *r)
{
    struct relay_ask ask;
    int fd = peer_fd(r, ROLE_HUB);
    int rc = fd >= 0 ? relay_ask_receive(fd, &r->heard, &ask) : 0;
    if (rc == 1) {
        office_answer(&r->office, &ask, &r->matter);
        send_answer(r, fd, ask.id);
    }
    if (rc == -RF_EUNAVAIL || rc == -RF_EPROTO) /* a new hub comes with a new socket */
        fd_close(&child_peer_of(&r->child, ROLE_HUB, 0)->fd);
}

/* ---- the supervisor ------------------------------------------------------------------------- */

static void open_office(struct registrar *r)
{
    office_init(&r->office, r->child.config, r->child.policy);
    r->office.voice = r->voice;
}

static void let_go(void *context)
{
    struct registrar *r = context;
    office_done(&r->office);
}

static void take_up(void *context)
{
    open_office(context);
}

static void meet(void *context, enum imsg_role peer)
{
    struct registrar *r = context;
    if (peer == ROLE_LEDGER)
        voice_relink(r->voice, peer_fd(r, ROLE_LEDGER));
}

static const struct child_ear ear = { .let_go = let_go, .take_up = take_up, .meet = meet };

/* ---- life ----------------------------------------------------------------------------------- */

static int start(struct registrar *r, struct err *err)
{
    char report[200] = "";
    uint64_t instance = 0;
    fd_close(&r->child.meter_fd); /* not its business */
    buf_init(&r->heard, RELAY_PACKET_MAX);
    if (sodium_init() < 0)
        return err_set(err, RF_ESYS, "could not start libsodium");
    while (instance == 0)
        randombytes_buf(&instance, sizeof(instance));
    int rc = digest_init(err);
    if (rc == 0)
        rc = voice_open(peer_fd(r, ROLE_LEDGER), instance, "registrar-0", &r->voice, err);
    open_office(r);
    if (rc == 0)
        rc = child_narrow(&r->child, ROLE_REGISTRAR, report, sizeof(report), err);
    if (rc == 0 && child_ready(&r->child, report) < 0)
        rc = err_set(err, RF_ESYS, "could not reach the supervisor");
    return rc;
}

static void turn(struct registrar *r)
{
    struct pollfd polls[] = { { .fd = r->child.imsg_fd, .events = POLLIN },
                              { .fd = peer_fd(r, ROLE_HUB), .events = POLLIN } };
    int64_t left_ms = r->tend_ms - clock_mono_ms();
    (void)poll(polls, RF_COUNT(polls), left_ms > 0 ? (int)left_ms : 0);
    r->is_stopping = !child_hear(&r->child, &ear, r);
    if (!r->is_stopping)
        take_command(r);
    if (!r->is_stopping && clock_mono_ms() >= r->tend_ms) {
        office_tend(&r->office);
        r->tend_ms = clock_mono_ms() + TEND_MS;
    }
}

int registrar_main(int imsg_fd)
{
    static struct registrar r; /* large, and there is one */
    struct err err = { 0 };
    int status = 0;
    log_open("registrar", LOG_LEVEL_INFO);
    if (child_begin(imsg_fd, 0, &r.child, &err) < 0)
        return err_exit_status(err.code);
    if (start(&r, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        if (child_failed(&r.child, &err) < 0)
            log_warn("supervisor-silent", "about=start");
        status = err_exit_status(err.code);
        r.is_stopping = true;
    }
    while (!r.is_stopping)
        turn(&r);
    office_done(&r.office);
    voice_close(r.voice);
    buf_done(&r.heard);
    child_done(&r.child);
    return status;
}
