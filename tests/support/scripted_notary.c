/* scripted_notary.c - plays supervisor and notary for one real `ringfenced --role courier`.
 *
 *     scripted_notary RINGFENCED CONFIG POLICY WITNESSES LOGKEY
 *
 * The log is one of leaves `leaf-0`, `leaf-1`, … in memory; src/ledger/cosign.c decides whom to
 * ask. One command a line on standard input, one event a line on standard output: offer SIZE sign a
 * checkpoint of that size and offer it post I MS N     a post of N bytes to witness I with time
 * limit MS, past cosign lines, state    signature lines of the current checkpoint; what would be
 * remembered import          take over what follows, up to a line `end` reload          the same
 * files again nonsense        a packet that no notary sends peer            another notary comes: a
 * new socket pair Events: `ready REPORT`, `failed WHY`, `answer I STATUS FAILURE IS_SIZE LEN`,
 * `outcome I NAME MET ALARM`, `refused WHY`, `gone`. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/cosign.h"
#include "priv/imsg.h"
#include "priv/sandbox.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"

enum { LEAVES = 5000, POST_TICKETS = 1 /* cosign begins far above */ };

static uint8_t leaves[LEAVES][TLOG_HASH_LEN];
static struct trust trust;
static struct secret_key log_key;
static struct cosign *cosign;
static int imsg_fd, notary_fd;
static const char *config_path, *policy_path, *witnesses_path;

static void die(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "scripted_notary: %s: %s\n", what,
                  err != NULL ? err->line : strerrordesc_np(errno));
    exit(3);
}

static int tile_of(void *context, unsigned level, uint64_t index, unsigned width,
                   uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *err)
{
    size_t span = level == 0 ? 1 : 256;
    (void)context;
    if (level > 1)
        return err_set(err, RF_EBUG, "no such level");
    for (unsigned i = 0; i < width; i++)
        tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])leaves + (index * 256 + i) * span, span,
                     ret[i]);
    return 0;
}

static void make_log(const char *path)
{
    struct err err;
    char name[32];
    if (digest_init(&err) < 0 || secret_key_load(path, KEY_ED25519, &log_key, &err) < 0)
        die("log key", &err);
    for (unsigned i = 0; i < LEAVES; i++) {
        (void)snprintf(name, sizeof(name), "leaf-%u", i);
        tlog_leaf_hash(name, strlen(name), leaves[i]);
    }
}

/* ---- the child ------------------------------------------------------------------------------ */

static int memory_of(const char *path)
{
    char *text;
    size_t len;
    struct err err;
    int fd = memfd_create("handed", MFD_CLOEXEC);
    if (fd < 0 || fd_read_file(path, 1 << 20, &text, &len, &err) < 0)
        die(path, fd < 0 ? NULL : &err);
    if (fd_write_all(fd, text, len) < 0)
        die("memory", NULL);
    mem_free(text);
    return fd;
}

static void tell(enum imsg_type type, uint32_t arg, const void *payload, size_t len, const int *fds,
                 size_t fd_count)
{
    if (imsg_send(imsg_fd, type, arg, payload, len, fds, fd_count) < 0)
        die("could not tell the courier", NULL);
}

static void tell_config(void)
{
    int fds[] = { memory_of(config_path), memory_of(policy_path), memory_of(witnesses_path) };
    tell(IMSG_CONFIG, 0, config_path, strlen(config_path), fds, 3);
    for (size_t i = 0; i < RF_COUNT(fds); i++)
        (void)close(fds[i]);
}

static void tell_peer(void)
{
    const uint8_t index[4] = { 0 };
    int pair[2], room = 1 << 20;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        die("socket pair", NULL);
    for (int i = 0; i < 2; i++) /* as the supervisor does */
        (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    fd_close(&notary_fd);
    notary_fd = pair[0];
    tell(IMSG_PEER, ROLE_NOTARY, index, sizeof(index), &pair[1], 1);
    (void)close(pair[1]);
}

static pid_t start_courier(const char *program)
{
    char role[] = "--role", courier[] = "courier", number[] = "--index", zero[] = "0";
    char title[] = "courier";
    char *const argv[] = { title, role, courier, number, zero, NULL };
    int pair[2], fds[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        die("socket pair", NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int low = fcntl(pair[1], F_DUPFD, IMSG_CHILD_FD + 1);
        if (low < 0 || dup2(low, IMSG_CHILD_FD) < 0)
            _exit(3);
        (void)execv(program, argv);
        _exit(3);
    }
    if (pid < 0)
        die("fork", NULL);
    (void)close(pair[1]);
    imsg_fd = pair[0];
    tell_config();
    fds[0] = memfd_create("meter", MFD_CLOEXEC);
    tell(IMSG_METER, 1, NULL, 0, fds, 1);
    (void)close(fds[0]);
    tell_peer();
    tell(IMSG_GO, 0, NULL, 0, NULL, 0);
    return pid;
}

/* ---- notary --------------------------------------------------------------------------------- */

static void send_post(const struct errand_post *post)
{
    struct buf b;
    buf_init(&b, ERRAND_MESSAGE_MAX);
    int rc = errand_post_write(&b, post);
    if (rc < 0 || send(notary_fd, buf_at(&b), buf_len(&b), MSG_NOSIGNAL) < 0)
        printf("refused post\n");
    buf_done(&b);
}

static void send_due(void)
{
    struct errand_post post;
    struct err err;
    int rc;
    while ((rc = cosign_next(cosign, clock_mono_ms(), &post, &err)) == 1)
        send_post(&post);
    if (rc < 0)
        printf("refused %s\n", err.line);
}

static void offer(uint64_t size)
{
    const struct tile_source tiles = { .tile = tile_of };
    struct checkpoint c = { .size = size };
    char text[CHECKPOINT_TEXT_SIZE];
    struct buf note;
    struct err err;
    memcpy(c.origin, log_key.key.name, sizeof(c.origin));
    tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])leaves, size, c.root);
    buf_init(&note, NOTE_MAX);
    if (note_sign(&note, text, checkpoint_write(&c, text), &log_key, &err) < 0)
        die("sign", &err);
    if (cosign_offer(cosign, (const char *)buf_at(&note), buf_len(&note), &tiles, clock_mono_ms(),
                     &err) < 0)
        printf("refused %s\n", err.line);
    buf_done(&note);
    send_due();
}

static void on_answer(void)
{
    static uint8_t packet[ERRAND_MESSAGE_MAX + 1];
    struct errand_answer a;
    ssize_t n = recv(notary_fd, packet, sizeof(packet), MSG_DONTWAIT);
    if (n <= 0) {
        printf("gone\n");
        fd_close(&notary_fd);
        return;
    }
    if (errand_answer_read(packet, (size_t)n, &a) < 0)
        die("malformed answer", NULL);
    printf("answer %u %u %s %d %zu\n", a.witness, a.status, errand_failure_name(a.failure),
           a.is_size, a.body_len);
    if (a.ticket <= POST_TICKETS)
        return;
    enum cosign_outcome outcome = cosign_answer(cosign, &a, clock_mono_ms());
    const struct cosign_alarm *alarm = cosign_alarm(cosign);
    printf("outcome %u %s %d %" PRIu64 "\n", a.witness, cosign_outcome_name(outcome),
           cosign_is_met(cosign, NULL), alarm != NULL ? alarm->witness_size : 0);
    send_due();
}

static void on_supervisor(void)
{
    struct imsg m;
    while (imsg_recv(imsg_fd, &m) == 1) {
        char text[IMSG_PAYLOAD_MAX + 1];
        memcpy(text, m.payload, m.len);
        text[m.len] = '\0';
        printf("%s %s\n", m.type == IMSG_READY ? "ready" : "failed", text);
        imsg_close_fds(&m);
    }
}

static void import_state(void)
{
    static char text[COSIGN_STATE_MAX];
    char line[512];
    size_t at = 0;
    struct err err;
    while (fgets(line, sizeof(line), stdin) != NULL && strcmp(line, "end\n") != 0)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", line);
    if (cosign_import(cosign, text, at, &err) < 0)
        printf("refused %s\n", err.line);
}

static void print_text(int (*write)(const struct cosign *, struct buf *))
{
    struct buf b;
    buf_init(&b, NOTE_MAX);
    if (write(cosign, &b) == 0)
        printf("%.*send\n", (int)buf_len(&b), (const char *)buf_at(&b));
    buf_done(&b);
}

static bool on_command(void)
{
    static uint8_t body[ERRAND_BODY_MAX];
    char line[256];
    unsigned witness, limit_ms, len;
    uint64_t size;
    if (fgets(line, sizeof(line), stdin) == NULL)
        return false;
    if (sscanf(line, "offer %" SCNu64, &size) == 1 && size <= LEAVES) {
        offer(size);
    } else if (sscanf(line, "post %u %u %u", &witness, &limit_ms, &len) == 3 &&
               len <= sizeof(body)) {
        memset(body, 'x', sizeof(body));
        const struct errand_post post = { .witness = witness,
                                          .key_id = witness < TRUST_MAX
                                                        ? trust.witnesses[witness].key.id
                                                        : 0,
                                          .ticket = POST_TICKETS,
                                          .limit_ms = limit_ms,
                                          .body = body,
                                          .body_len = len };
        send_post(&post);
    } else if (strcmp(line, "lines\n") == 0) {
        print_text(cosign_lines);
    } else if (strcmp(line, "state\n") == 0) {
        print_text(cosign_export);
    } else if (strcmp(line, "import\n") == 0) {
        import_state();
    } else if (strcmp(line, "reload\n") == 0) {
        tell_config();
    } else if (strcmp(line, "peer\n") == 0) {
        tell_peer();
    } else if (strcmp(line, "nonsense\n") == 0) {
        (void)send(notary_fd, "nonsense", 8, MSG_NOSIGNAL);
    } else {
        die("no such command", NULL);
    }
    return true;
}

static void serve(void)
{
    for (;;) {
        int64_t due = cosign_due_ms(cosign), now = clock_mono_ms();
        int wait_ms = due < 0 ? -1 : due <= now ? 0 : (int)(due - now);
        struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                                { .fd = imsg_fd, .events = POLLIN },
                                { .fd = notary_fd, .events = POLLIN } };
        (void)fflush(stdout);
        if (poll(fds, RF_COUNT(fds), wait_ms) < 0)
            die("poll", NULL);
        if (fds[0].revents != 0 && !on_command())
            return;
        if (fds[1].revents != 0)
            on_supervisor();
        if (fds[1].revents & POLLHUP)
            return;
        if (fds[2].fd >= 0 && fds[2].fd == notary_fd && fds[2].revents != 0)
            on_answer();
        else if (due >= 0 && clock_mono_ms() >= due)
            send_due();
    }
}

int main(int argc, char **argv)
{
    struct err err = { 0 };
    char report[200];
    int status = 0;
    if (argc != 6)
        return 2;
    config_path = argv[2];
    policy_path = argv[3];
    witnesses_path = argv[4];
    notary_fd = -1;
    log_open("scripted", LOG_LEVEL_INFO);
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* what poll() says is all there is */
    make_log(argv[5]);
    if (trust_load(argv[4], &trust, &err) < 0)
        die("witnesses", &err);
    if (cosign_new(&trust, log_key.key.name, &log_key.key, (uint64_t)getpid(), &cosign, &err) < 0)
        die("cosign", &err);
    /* a real child lives below the supervisor's filter, too */
    if (sandbox_enter(ROLE_SUPERVISOR, NULL, SANDBOX_NONE, report, sizeof(report), &err) < 0)
        die("sandbox", &err);
    pid_t pid = start_courier(argv[1]);
    serve();
    RF_NEGLECT(imsg_send(imsg_fd, IMSG_STOP, 0, NULL, 0, NULL, 0)); /* may be gone already */
    if (waitpid(pid, &status, 0) != pid)
        die("wait", NULL);
    printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    cosign_free(cosign);
    return status == 0 ? 0 : 1;
}
