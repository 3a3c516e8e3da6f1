/* session_world.c - the worker of session_world.h, its time, its luck, and its end. */
#include "session_world.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/scram.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/pool.h"
#include "gate/session.h"
#include "io/stream.h"
#include "policy/mistakes.h"

enum {
    LEASE_FOREVER_MS = 1 << 30,
    CLOSING_TURNS = 400,
    CLOSING_STEP_MS = 500, /* a turn at the end: past every limit of the configuration */
};

#define DATABASES "/databases"

struct world world;
unsigned long world_fail_first;

/* What is made once a process, and lives as long. */
static struct {
    bool built;
    int primary, standby, meter_fd, lease_fd, lowest_fd;
    struct meter *meter;
    struct lease *lease, *lease_read;
    struct snapshot *with_person, *without_person;
} house;

/* ---- what the linker puts in the place of the real ones (--wrap) ---- */

int64_t __wrap_clock_mono_ms(void);
int64_t __wrap_clock_mono_us(void);
int64_t __wrap_clock_wall_ms(void);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
int __real_connect(int fd, const struct sockaddr *address, socklen_t len);
void __wrap_log_event(enum log_level level, const char *event, const char *fmt, ...)
    RF_PRINTF(3, 4);
void __wrap_log_err(enum log_level level, const char *event, const struct err *e);
bool __wrap_fault_hit(const char *name);

int64_t __wrap_clock_mono_ms(void)
{
    return world.now_ms;
}

int64_t __wrap_clock_mono_us(void)
{
    return world.now_ms * 1000;
}

int64_t __wrap_clock_wall_ms(void)
{
    return INT64_C(1790000000000) + world.now_ms;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    (void)timeout; /* nothing happens but what the script makes happen */
    return __real_epoll_wait(fd, events, max, 0);
}

/* The databases' paths stand for sockets without a file: a fuzzer that stops leaves nothing behind.
 */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    static const char standby[] = DATABASES "/.s.PGSQL.5442";
    struct sockaddr_un to;
    RF_ASSERT(len == sizeof(to));
    memcpy(&to, address, sizeof(to));
    int listening = strcmp(to.sun_path, standby) == 0 ? house.standby : house.primary;
    len = sizeof(to);
    RF_ASSERT(getsockname(listening, (struct sockaddr *)&to, &len) == 0);
    return __real_connect(fd, (const struct sockaddr *)&to, len);
}

/* Formats, so that arguments are read; writes nothing. */
void __wrap_log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[2048];
    va_list ap;
    (void)level;
    (void)event;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
}

void __wrap_log_err(enum log_level level, const char *event, const struct err *e)
{
    __wrap_log_event(level, event, "message=\"%s\" detail=\"%s\"", e->line, e->detail);
}

bool __wrap_fault_hit(const char *name)
{
    if (!world.inside || strcmp(name, "mem.alloc") != 0)
        return false;
    return ++world.passed == world.fail_at;
}

/* ---- random numbers from a fixed seed ---- */

static uint64_t seed;

static const char *random_name(void)
{
    return "fixed";
}

static uint32_t random_word(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32);
}

static void random_fill(void *const at, const size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)at)[i] = (uint8_t)random_word();
}

static struct randombytes_implementation fixed_random = {
    .implementation_name = random_name,
    .random = random_word,
    .buf = random_fill,
};

/* ---- the house ---- */

static const char policy_head[] = "version: 1\n"
                                  "company: Fuzz\n"
                                  "adult_age: 18\n"
                                  "jurisdictions: {US: [US]}\n"
                                  "regions: {us: {jurisdiction: US, place: US}}\n"
                                  "entities: {us: {country: US}}\n"
                                  "listeners: {main: {address: 127.0.0.1, place: identity}}\n"
                                  "networks: {loopback: {range: 127.0.0.0/8, place: identity}}\n"
                                  "rooms: {home: masked, abroad: stats}\n"
                                  "purposes: [debugging]\n"
                                  "actors:\n"
                                  "  svc: {kind: service, entity: us, place: US,\n"
                                  "        regions: {us: {from: [US], tables: write}}}\n";
static const char policy_person[] = "  ann: {kind: person, entity: us, place: US}\n";
static const char policy_tables[] = "tables:\n"
                                    "  app.users:\n"
                                    "    subject: id\n"
                                    "    residency: residency\n"
                                    "    columns: {id: identity, residency: none}\n";

static struct config *make_config(void)
{
    static const char text[] =
        "name: fuzz\nplace: US\npolicy: p\ncredentials: c\nstate: s\nrun: r\n"
        "listen: [{unix: r/s}]\n"
        "databases:\n"
        "  ses: {region: us, database: app, primary: ['" DATABASES ":5441'],\n"
        "        standby: ['" DATABASES ":5442'], tls: off,\n"
        "        pool: {mode: session, size: 2, idle: 30s, lifetime: 90s}}\n"
        "  txn: {region: us, database: app, standby: ['" DATABASES ":5442'], tls: off,\n"
        "        primary: ['" DATABASES ":5442', '" DATABASES ":5441'],\n"
        "        pool: {mode: transaction, size: 2, idle: 30s, lifetime: 90s}}\n"
        "limits: {clients: 8, waiting: 4, login: 15s, idle: 60s, query_wait: 10s, connect: 2s,\n"
        "         ledger_wait: 3s, shutdown: 5s}\n";
    struct config *c = NULL;
    struct mistakes m;
    mistakes_init(&m);
    int rc = config_parse("/f/ringfence.yaml", text, sizeof(text) - 1, &c, &m);
    if (rc < 0)
        (void)fprintf(stderr, "%s\n", m.count > 0 ? m.list[0].text : "configuration");
    RF_ASSERT(rc == 0);
    mistakes_done(&m);
    return c;
}

static struct policy *make_policy(bool with_person)
{
    char text[2048];
    struct policy *p = NULL;
    struct mistakes m;
    int n = snprintf(text, sizeof(text), "%s%s%s", policy_head, with_person ? policy_person : "",
                     policy_tables);
    RF_ASSERT(n > 0 && (size_t)n < sizeof(text));
    mistakes_init(&m);
    int rc = policy_parse("policy.yaml", text, (size_t)n, &p, &m);
    if (rc < 0)
        (void)fprintf(stderr, "%s\n", m.count > 0 ? m.list[0].text : "policy");
    RF_ASSERT(rc == 0);
    mistakes_done(&m);
    return p;
}

static struct snapshot *make_snapshot(bool with_person)
{
    char verifier[SCRAM_VERIFIER_MAX], text[2 * SCRAM_VERIFIER_MAX + 32];
    struct snapshot *s = NULL;
    struct err e;
    seed = UINT64_C(0x5eed5eed5eed5eed); /* the same salt for all: one PBKDF2 */
    RF_ASSERT(scram_verifier_make("pencil", 0, verifier, &e) == 0);
    (void)snprintf(text, sizeof(text), "svc:%s\nann:%s\n", verifier, verifier);
    RF_ASSERT(snapshot_new(make_config(), make_policy(with_person), text, strlen(text), &s, &e) ==
              0);
    return s;
}

static int listen_somewhere(void)
{
    const struct sockaddr_un any = { .sun_family = AF_UNIX }; /* this short: the kernel names it */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    RF_ASSERT(fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)) == 0 &&
              listen(fd, 64) == 0);
    return fd;
}

static int lowest_free_fd(void)
{
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
    RF_ASSERT(fd >= 0);
    (void)close(fd);
    return fd;
}

static void build_house(void)
{
    struct err e;
    (void)randombytes_set_implementation(&fixed_random);
    RF_ASSERT(sodium_init() >= 0);
    house.built = true;
    house.primary = listen_somewhere();
    house.standby = listen_somewhere();
    RF_ASSERT(meter_create(1, &house.meter_fd, &e) == 0);
    RF_ASSERT(meter_map(house.meter_fd, &house.meter, &e) == 0);
    RF_ASSERT(lease_create(2, &house.lease_fd, &e) == 0);
    RF_ASSERT(lease_map(house.lease_fd, LEASE_WRITE, &house.lease, &e) == 0);
    RF_ASSERT(lease_map(house.lease_fd, LEASE_READ, &house.lease_read, &e) == 0);
    house.with_person = make_snapshot(true);
    house.without_person = make_snapshot(false);
}

/* ---- the worker ---- */

void world_lease(bool on)
{
    for (unsigned i = 0; i < 2; i++)
        lease_publish(house.lease, i, on ? world.now_ms + LEASE_FOREVER_MS : 0,
                      on ? LEASE_GOOD : LEASE_BEHIND);
}

/* The worker's own ends the loop here; the script ends by itself. */
static void on_stop_timer(struct timer *t)
{
    (void)t;
}

void world_open(void)
{
    struct err e;
    if (!house.built)
        build_house();
    house.lowest_fd = lowest_free_fd();
    memset(&world, 0, sizeof(world));
    world.now_ms = 1000000;
    world.fail_at = world_fail_first;
    seed = UINT64_C(0x9e3779b97f4a7c15);
    struct worker *w = &world.worker;
    w->stop_timer.fn = on_stop_timer;
    w->child.workers = 1;
    w->child.imsg_fd = -1;
    w->meter = house.meter;
    w->lease = house.lease_read;
    w->current = snapshot_share(house.with_person);
    buf_init(&w->staged, STREAM_QUEUE_MAX);
    buf_init(&w->front, STREAM_QUEUE_MAX);
    RF_ASSERT(loop_new(&w->loop, &e) == 0);
    RF_ASSERT(recorder_new(w->loop, "worker-0", &w->recorder, &e) == 0);
    RF_ASSERT(inspector_new(w->loop, &w->inspector, &e) == 0);
    RF_ASSERT(throttle_new(30, 64, &w->throttle) == 0);
    for (unsigned i = 0; i < WORLD_CLIENTS; i++)
        world.clients[i] = (struct client){ .fd = -1, .tag = 0xc0ffee00u + i };
    for (unsigned i = 0; i < WORLD_SERVERS; i++)
        world.servers[i].fd = -1;
    world_lease(true);
    ledger_reset();
    parser_reset();
    ledger_connect();
    parser_connect();
    world_turn();
}

static void take_connections(int listening, bool standby)
{
    for (;;) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct server *free_one = NULL;
        if (fd < 0)
            return;
        for (unsigned i = 0; i < WORLD_SERVERS && free_one == NULL; i++)
            if (world.servers[i].fd < 0)
                free_one = &world.servers[i];
        if (free_one != NULL)
            server_accept(free_one, fd, standby);
        else
            (void)close(fd);
    }
}

void world_turn(void)
{
    struct err e;
    world.inside = true;
    RF_ASSERT(loop_turn(world.worker.loop, &e) == 0);
    world.inside = false;
    ledger_run();
    parser_run();
    take_connections(house.primary, false);
    take_connections(house.standby, true);
    for (unsigned i = 0; i < WORLD_SERVERS; i++)
        server_run(&world.servers[i]);
    for (unsigned i = 0; i < WORLD_CLIENTS; i++)
        client_run(&world.clients[i]);
}

void world_pass(int64_t ms)
{
    world.now_ms += ms;
    world_turn();
}

void world_accept(int fd, struct client *c)
{
    struct worker *w = &world.worker;
    world.inside = true;
    session_accept(w, fd, 0);
    world.inside = false;
    c->slot = UINT32_MAX;
    for (uint32_t i = 0; i < w->slot_cap; i++)
        if (w->slots[i] != NULL && w->slots[i]->stream.io.fd == fd) {
            c->slot = i;
            memcpy(c->id, w->slots[i]->id, sizeof(c->id));
        }
}

void world_cancel(const struct client *c, unsigned damage)
{
    uint8_t key[sizeof(c->key)] = { 0 };
    size_t n = c->key_len;
    if (n < 5)
        return;
    memcpy(key, c->key, n);
    if (damage == 1)
        key[n - 1] ^= 1;
    else if (damage == 2)
        n--;
    uint32_t pid = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
    if (damage == 3)
        pid += 1u << 24; /* another worker's: there is none */
    world.inside = true;
    session_cancel(&world.worker, pid, key + 4, n - 4);
    world.inside = false;
}

/* ---- generations ---- */

static void retire(struct snapshot *s)
{
    s->retired = true;
    for (struct pool *p = s->pools; p != NULL; p = pool_next(p))
        pool_retire(p);
    snapshot_release(s);
}

void world_reload(bool without_person)
{
    struct worker *w = &world.worker;
    struct snapshot *fresh = without_person ? house.without_person : house.with_person;
    if (fresh == w->current || fresh->references > 1)
        return; /* the other one must have gone before it can come again */
    struct snapshot *old = w->current;
    fresh->retired = false;
    world.inside = true;
    w->current = snapshot_share(fresh);
    for (uint32_t i = 0; i < w->slot_cap; i++)
        if (w->slots[i] != NULL)
            session_reconsider(w->slots[i]);
    retire(old);
    world.inside = false;
}

/* ---- the end ---- */

void world_stop(bool now)
{
    struct worker *w = &world.worker;
    world.inside = true;
    w->stopping = true;
    for (uint32_t i = 0; i < w->slot_cap; i++)
        if (w->slots[i] != NULL)
            session_stop(w->slots[i], now);
    world.inside = false;
}

static bool is_over(void)
{
    return world.worker.session_count == 0 && house.with_person->references == 1 &&
           house.without_person->references == 1;
}

void world_close(void)
{
    struct worker *w = &world.worker;
    for (unsigned i = 0; i < WORLD_CLIENTS; i++)
        client_hang_up(&world.clients[i]);
    world.silent_servers = false;
    world_turn();
    retire(w->current);
    for (unsigned t = 0; t < CLOSING_TURNS && !is_over(); t++) {
        for (unsigned i = 0; i < WORLD_SERVERS; i++)
            if (world.servers[i].started)
                server_hang_up(&world.servers[i]);
        world_pass(CLOSING_STEP_MS);
    }
    RF_ASSERT(w->session_count == 0);
    RF_ASSERT(is_over()); /* no pool, link or cancel request holds a generation */
    RF_ASSERT(house.with_person->pools == NULL && house.without_person->pools == NULL);
    house.with_person->retired = house.without_person->retired = false;
    for (unsigned i = 0; i < WORLD_SERVERS; i++)
        server_hang_up(&world.servers[i]);
    recorder_free(w->recorder);
    inspector_free(w->inspector);
    throttle_free(w->throttle);
    RF_ASSERT(w->prepared.count == 0);
    prepared_table_done(&w->prepared);
    buf_done(&w->staged);
    buf_done(&w->front);
    mem_free(w->slots);
    loop_free(w->loop);
    ledger_reset();
    parser_reset();
    RF_ASSERT(lowest_free_fd() == house.lowest_fd);
}
