/* What the hub decides: routes, files below a folder, who may stay, answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auditors.h"
#include "auth/throttle.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "hub/beneath.h"
#include "hub/site.h"
#include "hub/text.h"
#include "policy/mistakes.h"

static char us[] = "us-virginia", eu[] = "eu-dublin", tile[] = "tile", nowhere[] = "/nonexistent";

static struct config_hub_log three_logs[] = { { us, nowhere }, { eu, nowhere }, { tile, nowhere } };
static const struct config_hub three = { .logs = three_logs, .log_count = 3 };

/* ---- routes --------------------------------------------------------------------------------- */

static const struct {
    const char *target;
    enum route_kind kind;
    size_t log;
    const char *file;
} routes[] = {
    { "/", ROUTE_PAGE, 0, "" },
    { "/healthz", ROUTE_HEALTH, 0, "" },
    { "/metrics", ROUTE_METRICS, 0, "" },
    { "/style.css", ROUTE_STYLE, 0, "" },
    { "/log/checkpoint", ROUTE_CHECKPOINT, 0, "checkpoint" },
    { "/log/us-virginia/checkpoint", ROUTE_CHECKPOINT, 0, "checkpoint" },
    { "/log/eu-dublin/checkpoint", ROUTE_CHECKPOINT, 1, "checkpoint" },
    { "/log/tile/checkpoint", ROUTE_CHECKPOINT, 2, "checkpoint" },
    { "/log/tile/0/000", ROUTE_TILE, 0, "tile/0/000" },
    { "/log/tile/tile/0/000", ROUTE_TILE, 2, "tile/0/000" },
    { "/log/eu-dublin/tile/0/x001/234.p/7", ROUTE_TILE, 1, "tile/0/x001/234.p/7" },
    { "/log/tile/entries/999", ROUTE_ENTRIES, 0, "tile/entries/999" },
    { "http://hub.example/log/checkpoint", ROUTE_CHECKPOINT, 0, "checkpoint" },
    { "HTTPS://[::1]:8443/healthz", ROUTE_HEALTH, 0, "" },
    { "", ROUTE_NONE, 0, "" },
    { "*", ROUTE_NONE, 0, "" },
    { "//", ROUTE_NONE, 0, "" },
    { "/log", ROUTE_NONE, 0, "" },
    { "/log/", ROUTE_NONE, 0, "" },
    { "/log/us-virginia", ROUTE_NONE, 0, "" },
    { "/log/us-virginia/", ROUTE_NONE, 0, "" },
    { "/log/us-virginiacheckpoint", ROUTE_NONE, 0, "" },
    { "/log/us-virginia2/checkpoint", ROUTE_NONE, 0, "" },
    { "/log/us-virgini/checkpoint", ROUTE_NONE, 0, "" },
    { "/log/us-virginia/eu-dublin/checkpoint", ROUTE_NONE, 0, "" },
    { "/log//checkpoint", ROUTE_NONE, 0, "" },
    { "/log/checkpoint/", ROUTE_NONE, 0, "" },
    { "/log/checkpoint?x", ROUTE_NONE, 0, "" },
    { "/log/../log/checkpoint", ROUTE_NONE, 0, "" },
    { "/log/%63heckpoint", ROUTE_NONE, 0, "" },
    { "/log/tile/0/0000", ROUTE_NONE, 0, "" },
    { "/log/tile/0/x000/001", ROUTE_NONE, 0, "" },
    { "/healthz/", ROUTE_NONE, 0, "" },
    { "/HEALTHZ", ROUTE_NONE, 0, "" },
    { "http://hub.example", ROUTE_NONE, 0, "" },
    { "http:///healthz", ROUTE_NONE, 0, "" },
    { "ftp://hub.example/healthz", ROUTE_NONE, 0, "" },
    { "http://hub.example//healthz", ROUTE_NONE, 0, "" },
};

static void a_target_leads_to_one_thing_or_nowhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(routes); i++) {
        struct route r;
        size_t len = strlen(routes[i].target);
        char *exact = malloc(len > 0 ? len : 1); /* so that a read past its end is seen */
        memcpy(exact, routes[i].target, len);
        route_of(exact, len, &three, &r);
        free(exact);
        if (r.kind != routes[i].kind)
            fail_msg("\"%s\" is %s", routes[i].target, route_name(r.kind));
        assert_int_equal(r.log, routes[i].log);
        assert_string_equal(r.file, routes[i].file);
    }
}

static void a_target_that_is_cut_leads_to_nothing_else(void **state)
{
    static const char whole[] = "/log/us-virginia/tile/0/x001/234.p/17";
    static const char partial[] = "/log/us-virginia/tile/0/x001/234.p/1";
    static const char entire[] = "/log/us-virginia/tile/0/x001/234";
    (void)state;
    for (size_t len = 0; len < strlen(whole); len++) {
        struct route r;
        route_of(whole, len, &three, &r);
        bool is_one = len == 1 || len == strlen(partial) || len == strlen(entire);
        assert_int_equal(r.kind != ROUTE_NONE, is_one);
    }
}

static void without_logs_there_are_none(void **state)
{
    const struct config_hub none = { 0 };
    struct route r;
    (void)state;
    route_of("/log/checkpoint", 15, &none, &r);
    assert_int_equal(r.kind, ROUTE_NONE);
    route_of("/healthz", 8, &none, &r);
    assert_int_equal(r.kind, ROUTE_HEALTH);
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < ROUTE_COUNT; i++)
        assert_non_null(route_name((enum route_kind)i));
}

/* ---- files ---------------------------------------------------------------------------------- */

static char folder[] = "/tmp/rf-hub-XXXXXX";
static int folder_fd = -1;

static void put(const char *path, const char *text)
{
    int fd = openat(folder_fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
    fd_close(&fd);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    folder_fd = open(folder, O_PATH | O_DIRECTORY);
    assert_int_equal(mkdirat(folder_fd, "tile", 0755), 0);
    assert_int_equal(mkdirat(folder_fd, "tile/0", 0755), 0);
    put("tile/0/000", "hashes");
    put("secret", "secret");
    assert_int_equal(symlinkat("000", folder_fd, "tile/0/001"), 0);
    assert_int_equal(symlinkat("../../secret", folder_fd, "tile/0/002"), 0);
    assert_int_equal(symlinkat("0", folder_fd, "tile/1"), 0);
    assert_int_equal(mkfifoat(folder_fd, "tile/0/003", 0644), 0);
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const files[] = { "tile/0/000", "tile/0/001", "tile/0/002", "tile/0/003",
                                         "tile/1",     "secret",     "checkpoint" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(files); i++)
        (void)unlinkat(folder_fd, files[i], 0);
    (void)unlinkat(folder_fd, "tile/0", AT_REMOVEDIR);
    (void)unlinkat(folder_fd, "tile", AT_REMOVEDIR);
    fd_close(&folder_fd);
    return rmdir(folder);
}

static void only_regular_files_below_a_folder_are_opened(void **state)
{
    static const char *const absent[] = { "tile/0/001", "tile/0/002", "tile/1/000",  "tile/0/003",
                                          "tile/0/004", "tile/0",     "tile/0/000/x" };
    (void)state;
    for (int way = BENEATH_BEST; way <= BENEATH_BY_STEPS; way++) {
        char text[6];
        int fd = beneath_open(folder_fd, "tile/0/000", (enum beneath_way)way);
        assert_true(fd >= 0);
        assert_int_equal(read(fd, text, sizeof(text)), 6);
        assert_memory_equal(text, "hashes", 6);
        fd_close(&fd);
        for (size_t i = 0; i < RF_COUNT(absent); i++) {
            errno = 0;
            assert_int_equal(beneath_open(folder_fd, absent[i], (enum beneath_way)way), -1);
            assert_int_equal(errno, ENOENT);
        }
    }
}

static void steps_go_only_down(void **state)
{
    static const char *const odd[] = {
        "", "/", "..", "../x", ".", "/etc/motd", "tile/../secret", "tile//0/000", "tile/"
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(odd); i++) {
        assert_int_equal(beneath_open(folder_fd, odd[i], BENEATH_BY_STEPS), -1);
        assert_int_equal(errno, ENOENT);
    }
}

/* ---- who is connected ----------------------------------------------------------------------- */

/* A socket with another end, so that shutting it down shows. */
struct pair {
    int ours, theirs;
};

static struct pair new_pair(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    return (struct pair){ fds[0], fds[1] };
}

static bool is_shut(const struct pair *p)
{
    char byte;
    return recv(p->theirs, &byte, 1, MSG_DONTWAIT) == 0;
}

static void close_pairs(struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fd_close(&pairs[i].ours);
        fd_close(&pairs[i].theirs);
    }
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage s = { 0 };
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (text == NULL)
        s.ss_family = AF_UNIX;
    else if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(&s, &in, sizeof(in));
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(&s, &in6, sizeof(in6));
    return s;
}

static struct visitor *enter(struct crowd *c, const struct pair *p, const char *from, int64_t now)
{
    struct sockaddr_storage a = address(from);
    return crowd_enter(c, p->ours, (struct sockaddr *)&a, now);
}

static void whoever_has_waited_longest_makes_room(void **state)
{
    struct crowd c;
    struct pair pairs[5];
    struct visitor *v[5];
    (void)state;
    assert_int_equal(crowd_init(&c, 3, 3, NULL), 0);
    for (size_t i = 0; i < 5; i++)
        pairs[i] = new_pair();
    v[0] = enter(&c, &pairs[0], "192.0.2.1", 100);
    v[1] = enter(&c, &pairs[1], "192.0.2.2", 101);
    v[2] = enter(&c, &pairs[2], "192.0.2.3", 102);
    crowd_reply(&c, v[0], 1000, 103); /* has waited longest, and is being served */
    v[3] = enter(&c, &pairs[3], "192.0.2.4", 104);
    assert_non_null(v[3]);
    assert_true(is_shut(&pairs[1]) && !is_shut(&pairs[0]) && !is_shut(&pairs[2]));
    assert_int_equal(c.count, 3);
    crowd_leave(&c, v[1]);
    crowd_reply(&c, v[2], 1000, 105);
    crowd_reply(&c, v[3], 1000, 105);
    assert_int_equal(c.taking, 3);
    assert_null(enter(&c, &pairs[4], "192.0.2.5", 106)); /* all are being served */
    assert_int_equal(c.refused, 1);
    crowd_taken(&c, v[3], 107);
    assert_non_null(enter(&c, &pairs[4], "192.0.2.5", 108));
    assert_true(is_shut(&pairs[3]));
    assert_int_equal(c.displaced, 2);
    close_pairs(pairs, 5);
    crowd_done(&c);
}

static void one_address_displaces_its_own(void **state)
{
    struct crowd c;
    struct pair pairs[6];
    (void)state;
    assert_int_equal(crowd_init(&c, 100, 2, NULL), 0);
    for (size_t i = 0; i < 6; i++)
        pairs[i] = new_pair();
    assert_non_null(enter(&c, &pairs[0], "192.0.2.1", 1));
    assert_non_null(enter(&c, &pairs[1], "2001:db8::1", 2));
    assert_non_null(enter(&c, &pairs[2], "2001:db8::ffff:2", 3));
    assert_int_equal(c.displaced, 0);
    assert_non_null(enter(&c, &pairs[3], "2001:db8:0:0:1::3", 4)); /* the same /64 */
    assert_true(is_shut(&pairs[1]) && !is_shut(&pairs[0]) && !is_shut(&pairs[2]));
    assert_non_null(enter(&c, &pairs[4], "2001:db8:0:1::3", 5)); /* another */
    assert_non_null(enter(&c, &pairs[5], "::1", 6));
    assert_int_equal(c.displaced, 1);
    assert_int_equal(c.count, 5);
    close_pairs(pairs, 6);
    crowd_done(&c);
}

static void unix_sockets_are_not_counted_by_address(void **state)
{
    struct crowd c;
    struct pair pairs[4];
    (void)state;
    assert_int_equal(crowd_init(&c, 4, 1, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        pairs[i] = new_pair();
        assert_non_null(enter(&c, &pairs[i], NULL, 1));
    }
    assert_int_equal(c.displaced, 0);
    close_pairs(pairs, 4);
    crowd_done(&c);
}

static void each_state_has_its_deadline(void **state)
{
    struct crowd c;
    struct pair pairs[3];
    struct visitor *v[3];
    (void)state;
    assert_int_equal(crowd_init(&c, 10, 10, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        pairs[i] = new_pair();
        v[i] = enter(&c, &pairs[i], "192.0.2.1", 0);
    }
    crowd_reply(&c, v[1], 16 * 1024 * 1024, 0);
    crowd_reply(&c, v[2], 0, 0);
    crowd_taken(&c, v[2], 1000);
    crowd_sweep(&c, CROWD_FIRST_MS - 1);
    assert_int_equal(c.slow, 0);
    crowd_sweep(&c, CROWD_FIRST_MS + CROWD_SWEEP_MS);
    assert_true(is_shut(&pairs[0]) && !is_shut(&pairs[1]) && !is_shut(&pairs[2]));
    crowd_sweep(&c, 1000 + CROWD_NEXT_MS);
    assert_true(is_shut(&pairs[2]) && !is_shut(&pairs[1]));
    crowd_sweep(&c, CROWD_REPLY_MS + 16 * 1024 * 1024 / CROWD_REPLY_BYTES_PER_MS);
    assert_true(is_shut(&pairs[1]));
    assert_int_equal(c.slow, 3);
    assert_int_equal(c.count + c.taking, 0);
    for (size_t i = 0; i < 3; i++)
        crowd_leave(&c, v[i]); /* ended ones leave, too, and are not counted twice */
    assert_int_equal(c.count + c.taking, 0);
    close_pairs(pairs, 3);
    crowd_done(&c);
}

static void whoever_has_closed_his_side_goes(void **state)
{
    struct crowd c;
    struct pair pairs[2];
    (void)state;
    assert_int_equal(crowd_init(&c, 10, 10, NULL), 0);
    for (size_t i = 0; i < 2; i++)
        pairs[i] = new_pair();
    assert_non_null(enter(&c, &pairs[0], "192.0.2.1", 0));
    struct visitor *taking = enter(&c, &pairs[1], "192.0.2.1", 0);
    crowd_reply(&c, taking, 1, 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(shutdown(pairs[i].theirs, SHUT_WR), 0);
    crowd_sweep(&c, 1);
    assert_true(is_shut(&pairs[0]) && !is_shut(&pairs[1])); /* he still takes his reply */
    close_pairs(pairs, 2);
    crowd_done(&c);
}

/* ---- answers -------------------------------------------------------------------------------- */

static struct config_hub_log own_log[] = { { us, folder } };
static const struct config_hub own = { .logs = own_log, .log_count = 1, .stale_ms = 60000 };

static void site_begin(struct site *s)
{
    *s = (struct site){ .hub = &own, .profile = PROFILE_PUBLIC };
    assert_int_equal(crowd_init(&s->crowd, 1, 1, NULL), 0);
    assert_int_equal(logs_open(&own, &s->logs, NULL), 0);
    assert_int_equal(throttle_new(100, 16, &s->throttle), 0);
}

static void site_end(struct site *s)
{
    logs_done(&s->logs);
    crowd_done(&s->crowd);
    throttle_free(s->throttle);
}

static unsigned status_of(struct site *s, enum site_asks asks, const char *target,
                          const char *if_none_match)
{
    struct route r;
    struct answer a;
    route_of(target, strlen(target), s->hub, &r);
    const struct site_request q = { .asks = asks, .route = &r, .if_none_match = if_none_match };
    site_answer(s, &q, &a);
    unsigned status = a.status;
    answer_done(&a);
    return status;
}

static void an_etag_is_compared_as_a_list(void **state)
{
    struct site s;
    struct route r;
    struct answer a;
    char list[200];
    (void)state;
    site_begin(&s);
    route_of("/log/tile/0/000", 15, &own, &r);
    const struct site_request q = { .asks = SITE_TO_READ, .route = &r };
    site_answer(&s, &q, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.len, 6);
    static const struct {
        const char *format;
        unsigned status;
    } rows[] = { { "%s", 304 },         { "W/%s", 304 }, { "\"a\", %s", 304 }, { "\"a\",%s", 304 },
                 { "%s , \"b\"", 304 }, { "*", 304 },    { "\"a\"", 200 },     { "%sx", 200 },
                 { "x%s", 200 },        { "", 200 },     { ",,,", 200 },       { "W/", 200 } };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        const char *at = strstr(rows[i].format, "%s");
        (void)snprintf(list, sizeof(list), "%.*s%s%s",
                       at != NULL ? (int)(at - rows[i].format) : (int)strlen(rows[i].format),
                       rows[i].format, at != NULL ? a.etag : "", at != NULL ? at + 2 : "");
        assert_int_equal(status_of(&s, SITE_TO_READ, "/log/tile/0/000", list), rows[i].status);
    }
    answer_done(&a);
    site_end(&s);
}

static void a_request_is_refused_for_its_form_before_its_target(void **state)
{
    struct site s;
    (void)state;
    site_begin(&s);
    assert_int_equal(status_of(&s, SITE_OTHERWISE, "/log/tile/0/000", NULL), 405);
    assert_int_equal(status_of(&s, SITE_OTHERWISE, "/nothing", NULL), 405);
    assert_int_equal(status_of(&s, SITE_MALFORMED, "/", NULL), 400);
    assert_int_equal(status_of(&s, SITE_TO_READ, "/nothing", NULL), 404);
    assert_int_equal(s.metrics.requests[ROUTE_NONE][7], 1);
    site_end(&s);
}

static void a_checkpoint_is_read_when_it_is_new(void **state)
{
    static const char text[] =
        "log.example/us\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
        "\xe2\x80\x94 log.example/us "
        "BAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/QEFCQ0RF"
        "Rkc=\n";
    struct site s;
    (void)state;
    site_begin(&s);
    assert_int_equal(logs_head(&s.logs, 0)->state, LOG_MISSING);
    assert_int_equal(status_of(&s, SITE_TO_READ, "/healthz", NULL), 503);
    put("checkpoint", "7\n");
    assert_int_equal(logs_head(&s.logs, 0)->state, LOG_UNREADABLE);
    put("checkpoint", text);
    assert_int_equal(logs_head(&s.logs, 0)->state, LOG_READABLE);
    assert_int_equal(s.logs.list[0].head.size, 7);
    assert_int_equal(status_of(&s, SITE_TO_READ, "/healthz", NULL), 200);
    const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    assert_int_equal(utimensat(folder_fd, "checkpoint", old, 0), 0);
    assert_int_equal(status_of(&s, SITE_TO_READ, "/healthz", NULL), 503);
    site_end(&s);
}

static void a_folder_that_is_another_needs_a_new_process(void **state)
{
    struct config_hub_log logs[2] = { { us, folder }, { eu, nowhere } };
    struct config_hub hub = { .logs = logs, .log_count = 2 };
    char moved[sizeof(folder) + 2], sub[sizeof(folder) + 8];
    struct logs l;
    (void)state;
    assert_int_equal(logs_open(&hub, &l, NULL), 0);
    assert_false(logs_look(&l));
    (void)snprintf(sub, sizeof(sub), "%s/tile", folder);
    logs[1].directory = sub; /* there, and not opened before */
    assert_int_equal(logs_replace(&l, &hub, NULL), -RF_EUNAVAIL);
    assert_int_equal(l.count, 2);
    hub.log_count = 1;
    logs[0].region = eu;
    assert_int_equal(logs_replace(&l, &hub, NULL), 0);
    assert_int_equal(l.count, 1);
    assert_string_equal(l.list[0].region, eu);
    (void)snprintf(moved, sizeof(moved), "%s-x", folder);
    assert_int_equal(rename(folder, moved), 0);
    assert_false(logs_look(&l)); /* nothing is in its place */
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_true(logs_look(&l));
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rename(moved, folder), 0);
    assert_false(logs_look(&l));
    logs_done(&l);
}

/* ---- who may read --------------------------------------------------------------------------- */

#define TOKEN "rfa_0123456789abcdefghijklmnopqrstuvwxyz"

static struct auditors *who_has_token(void)
{
    const struct iovec piece = digest_piece(TOKEN, strlen(TOKEN));
    uint8_t hash[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1], line[200];
    struct auditors *a = NULL;
    struct mistakes mistakes;
    mistakes_init(&mistakes);
    digest_pieces(&piece, 1, hash);
    digest_hex(hash, sizeof(hash), hex);
    int len = snprintf(line, sizeof(line), "alice %s\n", hex);
    assert_int_equal(auditors_parse("auditors", line, (size_t)len, &a, &mistakes), 0);
    mistakes_done(&mistakes);
    return a;
}

struct asked {
    enum publication_profile profile;
    enum site_channel channel;
    const char *target, *authorization;
};

static void ask(struct site *s, const struct asked *how, struct answer *a)
{
    static const struct in6_addr from = { { { [15] = 1 } } };
    struct route r;
    route_of(how->target, strlen(how->target), s->hub, &r);
    const struct site_request q = {
        .channel = how->channel, .address = &from, .route = &r, .authorization = how->authorization
    };
    s->profile = how->profile;
    site_answer(s, &q, a);
}

static void a_log_is_for_whom_the_policy_says(void **state)
{
    static const char good[] = "Bearer " TOKEN, bad[] = "Bearer rfa_" TOKEN;
    static const struct {
        struct asked asked;
        unsigned status;
    } rows[] = {
        { { PROFILE_PUBLIC, SITE_IN_CLEAR, "/log/tile/0/000", NULL }, 200 },
        { { PROFILE_PUBLIC, SITE_IN_CLEAR, "/log/tile/0/000", bad }, 200 },
        { { PROFILE_INTERNAL, SITE_IN_PRIVATE, "/log/tile/0/000", NULL }, 404 },
        { { PROFILE_INTERNAL, SITE_IN_PRIVATE, "/log/tile/0/000", good }, 404 },
        { { PROFILE_INTERNAL, SITE_IN_PRIVATE, "/log/nowhere/checkpoint", NULL }, 404 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/tile/0/000", NULL }, 401 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/tile/0/000", bad }, 401 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/tile/0/000", "Basic YTpi" }, 401 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/tile/0/000", good }, 200 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/tile/0/009", good }, 404 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/tile/0/009", NULL }, 401 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/nowhere/x", NULL }, 401 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/", NULL }, 401 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log", NULL }, 404 },
        { { PROFILE_AUDITORS, SITE_IN_CLEAR, "/log/tile/0/000", good }, 403 },
        { { PROFILE_AUDITORS, SITE_IN_CLEAR, "/log/nowhere/x", NULL }, 403 },
        { { PROFILE_AUDITORS, SITE_IN_CLEAR, "/", NULL }, 200 },
        { { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/style.css", bad }, 200 },
    };
    struct auditors *auditors = who_has_token();
    struct site s;
    (void)state;
    site_begin(&s);
    s.auditors = auditors;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct answer a;
        ask(&s, &rows[i].asked, &a);
        if (a.status != rows[i].status)
            fail_msg("row %zu: %u", i, a.status);
        bool is_style = strcmp(rows[i].asked.target, "/style.css") == 0;
        assert_int_equal(a.is_private, rows[i].asked.profile == PROFILE_AUDITORS && !is_style);
        assert_int_equal(a.challenge != NULL, a.status == 401);
        answer_done(&a);
    }
    auditors_free(auditors);
    site_end(&s);
}

static void wrong_tokens_are_counted_and_right_ones_wait(void **state)
{
    static const struct asked wrong = { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/tile/0/000",
                                        "Bearer no-token-of-anybody-0123456789abcdef" };
    static const struct asked right = { PROFILE_AUDITORS, SITE_IN_PRIVATE, "/log/tile/0/000",
                                        "Bearer " TOKEN };
    struct auditors *auditors = who_has_token();
    struct answer a;
    struct site s;
    (void)state;
    site_begin(&s);
    s.auditors = auditors;
    throttle_set_rate(s.throttle, 3);
    for (int i = 0; i < 3; i++) {
        ask(&s, &wrong, &a);
        assert_int_equal(a.status, 401);
        answer_done(&a);
    }
    ask(&s, &wrong, &a);
    assert_int_equal(a.status, 429);
    answer_done(&a);
    ask(&s, &right, &a);
    assert_int_equal(a.status, 429);
    answer_done(&a);
    auditors_free(auditors);
    site_end(&s);
}

static void text_of(struct site *s, enum publication_profile profile, const char *target,
                    const char *authorization, char *out, size_t size)
{
    const struct asked how = { profile, SITE_IN_PRIVATE, target, authorization };
    struct answer a;
    ask(s, &how, &a);
    assert_true(a.len < size);
    (void)snprintf(out, size, "%u %.*s", a.status, (int)a.len, a.at);
    answer_done(&a);
}

/* Pages say of the logs what their readers may know, and a hub that shows none is as one without
   any. */
static void pages_tell_no_more_than_logs(void **state)
{
    static const char *const targets[] = { "/", "/healthz", "/metrics" };
    static const struct config_hub bare = { .stale_ms = 60000 };
    static char hidden[16384], nothing[16384], shown[16384];
    struct auditors *auditors = who_has_token();
    struct site s, empty;
    (void)state;
    (void)unlinkat(folder_fd, "checkpoint", 0); /* bad health */
    site_begin(&s);
    s.auditors = auditors;
    empty = (struct site){ .hub = &bare, .throttle = s.throttle };
    for (size_t i = 0; i < RF_COUNT(targets); i++) {
        empty.metrics = s.metrics; /* what was asked until now */
        text_of(&s, PROFILE_INTERNAL, targets[i], "Bearer " TOKEN, hidden, sizeof(hidden));
        empty.crowd = s.crowd;
        text_of(&empty, PROFILE_PUBLIC, targets[i], NULL, nothing, sizeof(nothing));
        assert_string_equal(hidden, nothing);
        text_of(&s, PROFILE_AUDITORS, targets[i], NULL, hidden, sizeof(hidden));
        assert_null(strstr(hidden, us));
        text_of(&s, PROFILE_AUDITORS, targets[i], "Bearer " TOKEN, shown, sizeof(shown));
        assert_non_null(strstr(shown, us));
    }
    text_of(&s, PROFILE_AUDITORS, "/healthz", NULL, hidden, sizeof(hidden));
    assert_string_equal(hidden, "503 a log is not well\n");
    text_of(&s, PROFILE_INTERNAL, "/log/us-virginia/tile/0/000", NULL, hidden, sizeof(hidden));
    assert_int_equal(s.metrics.requests[ROUTE_TILE][5], 0); /* figures are for everybody */
    auditors_free(auditors);
    site_end(&s);
}

static void words_are_escaped_for_html(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    assert_int_equal(text_add_html(&b, "<a href=\"x\">'&"), 0);
    assert_int_equal(text_add(&b, "%s %d", "x", 1), 0);
    assert_int_equal(buf_len(&b), strlen("&lt;a href=&quot;x&quot;&gt;&#39;&amp;x 1"));
    assert_memory_equal(buf_at(&b), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;x 1", buf_len(&b));
    assert_true(text_add(&b, "%01001d", 1) < 0);
    assert_true(text_add(&b, "%0100d", 1) < 0);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_leads_to_one_thing_or_nowhere),
        cmocka_unit_test(a_target_that_is_cut_leads_to_nothing_else),
        cmocka_unit_test(without_logs_there_are_none),
        cmocka_unit_test(every_kind_has_a_name),
        cmocka_unit_test(only_regular_files_below_a_folder_are_opened),
        cmocka_unit_test(steps_go_only_down),
        cmocka_unit_test(whoever_has_waited_longest_makes_room),
        cmocka_unit_test(one_address_displaces_its_own),
        cmocka_unit_test(unix_sockets_are_not_counted_by_address),
        cmocka_unit_test(each_state_has_its_deadline),
        cmocka_unit_test(whoever_has_closed_his_side_goes),
        cmocka_unit_test(an_etag_is_compared_as_a_list),
        cmocka_unit_test(a_request_is_refused_for_its_form_before_its_target),
        cmocka_unit_test(a_checkpoint_is_read_when_it_is_new),
        cmocka_unit_test(a_folder_that_is_another_needs_a_new_process),
        cmocka_unit_test(a_log_is_for_whom_the_policy_says),
        cmocka_unit_test(wrong_tokens_are_counted_and_right_ones_wait),
        cmocka_unit_test(pages_tell_no_more_than_logs),
        cmocka_unit_test(words_are_escaped_for_html),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
