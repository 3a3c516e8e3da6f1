#include "hub/post.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hub/text.h"
#include "priv/relay.h"

enum { REGION_MAX = 63 };

void posts_init(struct posts *p)
{
    *p = (struct posts){ .relay_fd = -1 };
    buf_init(&p->heard, RELAY_PACKET_MAX);
}

void posts_done(struct posts *p)
{
    for (size_t i = 0; i < POSTS_MAX; i++)
        post_free(&p->list[i]);
    buf_done(&p->heard);
}

struct post *post_begin(struct posts *p, void *connection)
{
    for (size_t i = 0; i < POSTS_MAX; i++)
        if (p->list[i].state == POST_FREE) {
            p->list[i] = (struct post){ .state = POST_READS, .connection = connection };
            buf_init(&p->list[i].body, RELAY_ANSWER_MAX);
            return &p->list[i];
        }
    return NULL;
}

void post_free(struct post *post)
{
    if (post == NULL || post->state == POST_FREE)
        return;
    buf_done(&post->body);
    post->state = POST_FREE;
}

/* ---- answers of our own --------------------------------------------------------------------- */

/* RULE and MESSAGE are ours and need no escapes. */
void post_refuse(struct post *post, unsigned status, const char *rule, const char *message)
{
    buf_clear(&post->body);
    post->state = POST_ANSWERED;
    post->status = status;
    if (text_add(&post->body, "{\"error\":{\"rule\":\"%s\",\"message\":\"%s\"}}\n", rule, message) <
        0)
        post->status = 503;
}

void post_feed(struct post *post, const char *bytes, size_t n)
{
    if (post->state != POST_READS)
        return;
    if (buf_len(&post->body) + n > POST_BODY_MAX)
        post_refuse(post, 413, "too-long", "a command and its signature have at most 32768 bytes");
    else if (buf_append(&post->body, bytes, n) < 0)
        post_refuse(post, 503, "out-of-memory", "the hub is out of memory: try again");
}

/* ---- on the way there ----------------------------------------------------------------------- */

/* The value of the first `region` line: all that the hub reads of a command. */
static bool region_of(const char *command, size_t n, char ret[REGION_MAX + 1])
{
    static const char key[] = "\nregion ";
    const char *line = memmem(command, n, key, sizeof(key) - 1);
    if (line == NULL)
        return false;
    const char *value = line + sizeof(key) - 1;
    size_t left = n - (size_t)(value - command);
    const char *end = memchr(value, '\n', left);
    size_t len = end != NULL ? (size_t)(end - value) : 0;
    if (len == 0 || len > REGION_MAX)
        return false;
    memcpy(ret, value, len);
    ret[len] = '\0';
    return true;
}

static bool is_here(const struct posts *p, const char *region)
{
    for (size_t i = 0; i < p->database_count; i++)
        if (strcmp(p->databases[i].region, region) == 0)
            return true;
    return false;
}

static void send_elsewhere(const struct posts *p, struct post *post, const char *region)
{
    for (size_t i = 0; i < p->hub->other_count; i++) {
        const struct config_hub_other *o = &p->hub->others[i];
        if (strcmp(o->region, region) != 0)
            continue;
        int n = snprintf(post->location, sizeof(post->location), "%s/api/v1/commands", o->url);
        if (n > 0 && (size_t)n < sizeof(post->location)) {
            post_refuse(post, 307, "elsewhere", "another hub takes commands for this region");
            return;
        }
    }
    post_refuse(post, 404, "region-unknown", "no such region here: is its name right?");
}

static bool has_room(const struct posts *p)
{
    size_t waiting = 0;
    for (size_t i = 0; i < POSTS_MAX; i++)
        waiting += p->list[i].state == POST_WAITS;
    return waiting < POSTS_WAITING_MAX;
}

static void send_there(struct posts *p, struct post *post, const struct relay_ask *said,
                       int64_t now_ms)
{
    struct relay_ask ask = *said;
    ask.id = ++p->last_id;
    int rc = p->relay_fd < 0 ? -RF_EUNAVAIL
             : !has_room(p)  ? -RF_ETIMEOUT
                             : relay_ask_send(p->relay_fd, &ask);
    if (rc == 0) {
        post->state = POST_WAITS;
        post->id = ask.id;
        post->due_ms = now_ms + POST_WAIT_MS;
    } else if (rc == -RF_ETIMEOUT) {
        post_refuse(post, 429, "busy", "too many commands wait: try again");
    } else if (rc == -RF_ETOOBIG) {
        post_refuse(post, 413, "too-long", "the command or its signature is too long");
    } else {
        post_refuse(post, 503, "registrar-away", "commands are not taken at the moment: try again");
    }
}

void post_send(struct posts *p, struct post *post, const struct in6_addr *client,
               const struct in6_addr *listener, int64_t now_ms)
{
    char region[REGION_MAX + 1];
    if (post->state != POST_READS)
        return;
    json_t *body = json_loadb((const char *)buf_at(&post->body), buf_len(&post->body),
                              JSON_REJECT_DUPLICATES, NULL);
    const json_t *command = json_object_get(body, "command");
    const json_t *signature = json_object_get(body, "signature");
    struct relay_ask ask = { .has_address = client != NULL && listener != NULL };
    if (ask.has_address) {
        ask.client = *client;
        ask.listener = *listener;
    }
    if (!json_is_string(command) || !json_is_string(signature) || json_object_size(body) != 2) {
        post_refuse(post, 400, "not-a-command", "expected an object of command and signature");
    } else {
        ask.command = json_string_value(command);
        ask.command_len = json_string_length(command);
        ask.signature = json_string_value(signature);
        ask.signature_len = json_string_length(signature);
        if (!region_of(ask.command, ask.command_len, region))
            post_refuse(post, 400, "not-a-command", "the command names no region");
        else if (is_here(p, region))
            send_there(p, post, &ask, now_ms);
        else
            send_elsewhere(p, post, region);
    }
    json_decref(body);
}

/* ---- on the way back ------------------------------------------------------------------------ */

static struct post *take_answer(struct posts *p, const struct relay_answer *answer)
{
    for (size_t i = 0; i < POSTS_MAX; i++) {
        struct post *post = &p->list[i];
        if (post->state != POST_WAITS || post->id != answer->id)
            continue;
        buf_clear(&post->body);
        post->status = answer->status;
        post->state = POST_ANSWERED;
        if (buf_append(&post->body, answer->json, answer->json_len) < 0)
            post_refuse(post, 503, "out-of-memory",
                        "the hub is out of memory: ask what became of it");
        return post;
    }
    return NULL; /* given up, or gone */
}

static struct post *give_up(struct posts *p, int64_t now_ms)
{
    for (size_t i = 0; i < POSTS_MAX; i++) {
        struct post *post = &p->list[i];
        if (post->state != POST_WAITS || (now_ms < post->due_ms && p->relay_fd >= 0))
            continue;
        post_refuse(post, 503, "no-answer", "no answer came: ask `grants` what became of it");
        return post;
    }
    return NULL;
}

struct post *posts_turn(struct posts *p, int64_t now_ms)
{
    while (p->relay_fd >= 0) {
        struct relay_answer answer;
        int rc = relay_answer_receive(p->relay_fd, &p->heard, &answer);
        if (rc == 0 || rc == -RF_ENOMEM)
            break;
        if (rc < 0) { /* a new one comes with a new socket */
            p->relay_fd = -1;
            break;
        }
        struct post *post = take_answer(p, &answer);
        if (post != NULL)
            return post;
    }
    return give_up(p, now_ms);
}
