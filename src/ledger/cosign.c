/* A witness is asked about one checkpoint at a time (C2SP tlog-witness, "add-checkpoint"):
 *
 *          due, not covered, or covered long ago
 *     IDLE ─────────────────────────────────────▶ BUSY
 *      ▲  200, a line that holds                    │   the size is remembered
 *      │  409, size <= ours                         │   at once again from there, three times
 *      └─ anything else, or nothing in time ────────┘   backs off
 *
 *     409, size > ours ──▶ CLAIMED: at once asked for the checkpoint that it has
 *     422 from its size ─▶ DISPUTED: the same, after a while
 *                             one that our key has signed, larger, or of another tree
 *                                 ──▶ the alarm, for ever
 *                             anything else ──▶ backs off
 *
 * Invariants:
 *   a line is kept         =>  it verifies, by that witness's key, over the text that was asked
 *                              about, and this is the current checkpoint's
 *   a witness is asked     =>  about a checkpoint that was offered, and there is no alarm
 *   a witness's size is n  =>  it cosigned n, or said n itself, and n <= the current size
 *
 * A 409 is not signed: whoever sits on the way to a witness, or is it, can say any size. So it ends
 * nothing. Our own signature under a larger checkpoint does, because nobody else can make it: then
 * going on would let a rolled-back log sign a second history, which nobody can take back. The same
 * under another tree says that there is a second history already. A witness
 * that only claims, and shows nothing, gives no cosignature either. */
#include "ledger/cosign.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tlog/checkpoint.h"
#include "tlog/line.h"

enum {
    LINE_SIZE = 4 + KEY_NAME_MAX + 1 + 104 + 2, /* dash, name, base64 of 76 bytes */
};

#define STATE_HEAD "ringfence-witnesses@1\n"

struct peer {
    bool is_asked, size_known, covers;
    bool has_claimed; /* a larger size, or another history: what it is asked next is to show it */
    bool is_showing;  /* and that is under way */
    uint64_t size;
    int64_t hold_ms;    /* not asked before */
    int64_t refresh_ms; /* asked again though it covers */
    unsigned failures, tries;
    enum cosign_outcome last;
    uint64_t time; /* of LINE, or of one before */
    char line[LINE_SIZE];
    /* under way; ticket 0: idle */
    uint64_t ticket, asked_old, asked_size;
    int64_t overdue_ms;
    char asked[CHECKPOINT_TEXT_SIZE];
};

struct cosign {
    const struct trust *trust;
    const struct key *log_key;
    char origin[KEY_NAME_MAX + 1];
    char path[1 + 2 * DIGEST_LEN + sizeof("/checkpoint")]; /* where a witness has our newest */
    uint64_t random, last_ticket;
    struct peer peers[TRUST_MAX];
    /* the current checkpoint; an empty text: none yet */
    struct checkpoint checkpoint;
    char text[CHECKPOINT_TEXT_SIZE];
    struct buf note, body;
    struct tile_source tiles;
    uint64_t version; /* of the lines */
    bool is_met;
    int64_t met_ms;
    bool has_alarm;
    struct cosign_alarm alarm;
};

static const char *const outcome_names[COSIGN_OUTCOME_COUNT] = {
    [COSIGN_DROPPED] = "dropped", [COSIGN_COVERED] = "covered",   [COSIGN_OLDER] = "older",
    [COSIGN_BEHIND] = "behind",   [COSIGN_REFUSED] = "refused",   [COSIGN_DISPUTED] = "disputed",
    [COSIGN_CLAIMED] = "claimed", [COSIGN_FAILED] = "unanswered", [COSIGN_ALARM] = "alarm",
};

const char *cosign_outcome_name(enum cosign_outcome outcome)
{
    return outcome_names[outcome < COSIGN_OUTCOME_COUNT ? outcome : COSIGN_DROPPED];
}

/* splitmix64 (Steele, Lea, Flood, 2014): jitter wants no secrets. */
static uint64_t next_random(struct cosign *c)
{
    uint64_t z = c->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* WAIT_MS less at most the part 1/PART of it. */
static int64_t jittered(struct cosign *c, int64_t wait_ms, int64_t part)
{
    return wait_ms - (int64_t)(next_random(c) % (uint64_t)(wait_ms / part + 1));
}

int cosign_new(const struct trust *trust, const char *origin, const struct key *log_key,
               uint64_t seed, struct cosign **ret, struct err *err)
{
    size_t len = strlen(origin);
    if (!key_is_name(origin, len))
        return err_set(err, RF_EINVAL, "cannot ask witnesses about origin \"%.60s\"", origin);
    struct cosign *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the witnesses");
    c->trust = trust;
    c->log_key = log_key;
    memcpy(c->origin, origin, len + 1);
    uint8_t digest[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1];
    const struct iovec piece = digest_piece(origin, len);
    digest_pieces(&piece, 1, digest);
    digest_hex(digest, sizeof(digest), hex);
    (void)snprintf(c->path, sizeof(c->path), "/%s/checkpoint", hex);
    c->random = seed;
    c->last_ticket = next_random(c) >> 2; /* no ticket of an object before this one comes again */
    buf_init(&c->note, WITNESS_REQUEST_MAX);
    buf_init(&c->body, WITNESS_REQUEST_MAX);
    for (unsigned i = 0; i < trust->witness_count; i++)
        c->peers[i].is_asked = trust->witnesses[i].url[0] != '\0';
    *ret = c;
    return 0;
}

void cosign_free(struct cosign *c)
{
    if (c == NULL)
        return;
    buf_done(&c->note);
    buf_done(&c->body);
    mem_free(c);
}

/* ---- what is current ------------------------------------------------------------------------ */

static bool has_checkpoint(const struct cosign *c)
{
    return c->text[0] != '\0';
}

static void count_quorum(struct cosign *c, int64_t now_ms)
{
    bool have[TRUST_MAX] = { false };
    for (unsigned i = 0; i < c->trust->witness_count; i++)
        have[i] = c->peers[i].covers;
    bool met = has_checkpoint(c) && trust_is_met(c->trust, have);
    if (met && !c->is_met)
        c->met_ms = now_ms;
    c->is_met = met;
}

static void raise_alarm(struct cosign *c, unsigned witness, uint64_t size, uint64_t our_size)
{
    if (!c->has_alarm)
        c->alarm = (struct cosign_alarm){ witness, size, our_size };
    c->has_alarm = true;
}

static bool is_same_key(const struct key *a, const struct key *b)
{
    return a->id == b->id && strcmp(a->name, b->name) == 0 &&
           memcmp(a->public, b->public, sizeof(a->public)) == 0;
}

/* What was known of the witness of KEY; nothing, of a new one. */
static struct peer peer_of_key(const struct cosign *c, const struct key *key)
{
    for (unsigned i = 0; i < c->trust->witness_count; i++)
        if (is_same_key(&c->trust->witnesses[i].key, key))
            return c->peers[i];
    return (struct peer){ .ticket = 0 };
}

int cosign_retrust(struct cosign *c, const struct trust *trust, int64_t now_ms, struct err *err)
{
    if (c->has_alarm)
        return err_set(err, RF_ETAMPER, "a witness has raised an alarm: nobody is asked any more");
    struct peer *peers = mem_zalloc(TRUST_MAX, sizeof(*peers));
    if (peers == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the witnesses");
    for (unsigned i = 0; i < trust->witness_count; i++) {
        peers[i] = peer_of_key(c, &trust->witnesses[i].key);
        peers[i].is_asked = trust->witnesses[i].url[0] != '\0';
        peers[i].has_claimed |= peers[i].ticket != 0 && peers[i].is_showing;
        peers[i].ticket = 0;
        peers[i].failures = peers[i].tries = 0; /* its address may be right now */
        peers[i].hold_ms = now_ms;
    }
    memcpy(c->peers, peers, sizeof(c->peers));
    mem_free(peers);
    c->trust = trust;
    c->version++;
    count_quorum(c, now_ms);
    return 0;
}

/* NOTE is one that this log may ask witnesses about; its text is exactly what we would write. */
static int read_offer(const struct cosign *c, const char *note, size_t len, struct checkpoint *ret,
                      char ret_text[CHECKPOINT_TEXT_SIZE], struct err *err)
{
    struct note n;
    struct checkpoint p;
    if (note_read(note, len, &n, err) < 0 || checkpoint_read(n.text, n.text_len, &p, err) < 0)
        return -RF_EINVAL;
    size_t text_len = checkpoint_write(&p, ret_text);
    if (strcmp(p.origin, c->origin) != 0 || text_len != n.text_len ||
        memcmp(ret_text, n.text, text_len) != 0)
        return err_set(err, RF_EINVAL, "the checkpoint is not one of \"%s\"", c->origin);
    ret_text[text_len] = '\0';
    if (note_verify(&n, c->log_key, NULL, NULL) != 1)
        return err_set(err, RF_EINVAL, "the checkpoint is not signed by the log's key");
    *ret = p;
    return 0;
}

/* P may follow what was current, and what the witnesses are known to have. */
static int check_growth(struct cosign *c, const struct checkpoint *p, const char *text,
                        struct err *err)
{
    if (has_checkpoint(c) && (p->size < c->checkpoint.size ||
                              (p->size == c->checkpoint.size && strcmp(text, c->text) != 0)))
        return err_set(err, RF_EINVAL, "a checkpoint of size %" PRIu64 " cannot follow this one",
                       p->size);
    for (unsigned i = 0; i < c->trust->witness_count && !c->has_alarm; i++)
        if (c->peers[i].size_known && c->peers[i].size > p->size)
            raise_alarm(c, i, c->peers[i].size, p->size);
    return c->has_alarm ? err_set(err, RF_ETAMPER,
                                  "witness \"%s\" has cosigned %" PRIu64
                                  " entries, the log had %" PRIu64 ": it was rolled back",
                                  c->trust->witnesses[c->alarm.witness].name, c->alarm.witness_size,
                                  c->alarm.our_size)
                        : 0;
}

int cosign_offer(struct cosign *c, const char *note, size_t len, const struct tile_source *tiles,
                 int64_t now_ms, struct err *err)
{
    struct checkpoint p;
    struct buf copy;
    char text[CHECKPOINT_TEXT_SIZE];
    buf_init(&copy, WITNESS_REQUEST_MAX);
    int rc = read_offer(c, note, len, &p, text, err);
    if (rc == 0)
        rc = check_growth(c, &p, text, err);
    if (rc == 0 && (rc = buf_append(&copy, note, len)) < 0)
        (void)err_set(err, (enum err_code) - rc, "could not keep the checkpoint");
    if (rc < 0) {
        buf_done(&copy);
        return rc;
    }
    buf_done(&c->note);
    c->note = copy;
    c->tiles = *tiles;
    if (strcmp(text, c->text) == 0)
        return 0;
    c->checkpoint = p;
    memcpy(c->text, text, sizeof(text));
    for (unsigned i = 0; i < c->trust->witness_count; i++)
        c->peers[i].covers = false;
    c->version++;
    c->is_met = false;
    count_quorum(c, now_ms);
    return 0;
}

/* ---- asking --------------------------------------------------------------------------------- */

static void back_off(struct cosign *c, struct peer *p, int64_t now_ms)
{
    int64_t wait_ms = COSIGN_BACKOFF_MIN_MS;
    for (unsigned i = 0; i < p->failures && wait_ms < COSIGN_BACKOFF_MAX_MS; i++)
        wait_ms *= 2;
    if (wait_ms > COSIGN_BACKOFF_MAX_MS)
        wait_ms = COSIGN_BACKOFF_MAX_MS;
    p->failures++;
    p->tries = 0;
    p->hold_ms = now_ms + jittered(c, wait_ms, 2);
}

/* When it may be asked again; only for one that is idle. */
static int64_t peer_due_ms(const struct peer *p)
{
    return p->covers && !p->has_claimed && p->refresh_ms > p->hold_ms ? p->refresh_ms : p->hold_ms;
}

static int make_body(struct cosign *c, uint64_t old_size, struct err *err)
{
    struct witness_request r = { .old_size = old_size,
                                 .checkpoint = (const char *)buf_at(&c->note),
                                 .checkpoint_len = buf_len(&c->note) };
    int rc = 0;
    if (old_size > 0 && old_size < c->checkpoint.size)
        rc = proof_consistency(&c->tiles, old_size, c->checkpoint.size, &r.proof, err);
    if (rc < 0)
        return rc;
    buf_clear(&c->body);
    rc = witness_request_write(&c->body, &r);
    return rc < 0 ? err_set(err, (enum err_code) - rc, "could not write to a witness") : 0;
}

static int ask(struct cosign *c, unsigned witness, int64_t now_ms, struct errand_post *ret,
               struct err *err)
{
    struct peer *p = &c->peers[witness];
    uint64_t old_size = p->size_known ? p->size : 0;
    int rc = p->has_claimed ? 0 : make_body(c, old_size, err);
    if (rc < 0) { /* our own fault, not the witness's: it does not count against it */
        p->hold_ms = now_ms + jittered(c, COSIGN_BACKOFF_MIN_MS, 2);
        return rc;
    }
    p->ticket = ++c->last_ticket;
    p->asked_old = old_size;
    p->asked_size = c->checkpoint.size;
    memcpy(p->asked, c->text, sizeof(p->asked));
    p->overdue_ms = now_ms + COSIGN_LIMIT_MS + COSIGN_OVERDUE_MS;
    *ret = (struct errand_post){ .witness = witness,
                                 .key_id = c->trust->witnesses[witness].key.id,
                                 .ticket = p->ticket,
                                 .limit_ms = COSIGN_LIMIT_MS };
    p->is_showing = ret->is_fetch = p->has_claimed;
    ret->body = p->is_showing ? (const uint8_t *)c->path : buf_at(&c->body);
    ret->body_len = p->is_showing ? strlen(c->path) : buf_len(&c->body);
    p->has_claimed = false;
    return 1;
}

static enum cosign_outcome ended(struct cosign *c, struct peer *p, enum cosign_outcome outcome,
                                 int64_t now_ms)
{
    p->ticket = 0;
    p->last = outcome;
    if (outcome == COSIGN_REFUSED || outcome == COSIGN_DISPUTED || outcome == COSIGN_FAILED)
        back_off(c, p, now_ms);
    return outcome;
}

int cosign_next(struct cosign *c, int64_t now_ms, struct errand_post *ret, struct err *err)
{
    if (!has_checkpoint(c) || c->has_alarm)
        return 0;
    for (unsigned i = 0; i < c->trust->witness_count; i++) {
        struct peer *p = &c->peers[i];
        if (p->ticket != 0 && now_ms >= p->overdue_ms)
            (void)ended(c, p, COSIGN_FAILED, now_ms);
        if (p->is_asked && p->ticket == 0 && now_ms >= peer_due_ms(p))
            return ask(c, i, now_ms, ret, err);
    }
    return 0;
}

int64_t cosign_due_ms(const struct cosign *c)
{
    int64_t next = -1;
    if (!has_checkpoint(c) || c->has_alarm)
        return -1;
    for (unsigned i = 0; i < c->trust->witness_count; i++) {
        const struct peer *p = &c->peers[i];
        int64_t at = p->ticket != 0 ? p->overdue_ms : peer_due_ms(p);
        if (p->is_asked && (next < 0 || at < next))
            next = at;
    }
    return next;
}

/* ---- hearing -------------------------------------------------------------------------------- */

/* LINE (with its end) is a cosignature by KEY over TEXT: its time, or 0. */
static uint64_t line_time(const char *text, const char *line, size_t len, const struct key *key)
{
    struct note n;
    char probe[CHECKPOINT_TEXT_SIZE + 1 + LINE_SIZE];
    size_t text_len = strlen(text);
    uint64_t time = 0;
    if (len >= LINE_SIZE)
        return 0;
    memcpy(probe, text, text_len);
    probe[text_len] = '\n';
    memcpy(probe + text_len + 1, line, len);
    if (note_read(probe, text_len + 1 + len, &n, NULL) < 0 ||
        note_verify(&n, key, &time, NULL) != 1)
        return 0;
    return time;
}

/* The newest line of the answer that holds; the others are dropped unread. */
static uint64_t take_lines(const struct peer *p, const struct key *key, const char *body,
                           size_t len, char ret_line[LINE_SIZE])
{
    struct line rest = { body, len }, line;
    uint64_t newest = 0;
    for (unsigned i = 0; i < NOTE_SIGNATURES_MAX && line_cut(&rest, &line); i++) {
        uint64_t time = line_time(p->asked, line.at, line.len + 1, key);
        if (time > newest) {
            newest = time;
            memcpy(ret_line, line.at, line.len + 1);
            ret_line[line.len + 1] = '\0';
        }
    }
    return newest;
}

static enum cosign_outcome on_cosigned(struct cosign *c, unsigned witness, const char *body,
                                       size_t len, int64_t now_ms)
{
    struct peer *p = &c->peers[witness];
    char line[LINE_SIZE];
    uint64_t time = take_lines(p, &c->trust->witnesses[witness].key, body, len, line);
    if (time == 0)
        return ended(c, p, COSIGN_REFUSED, now_ms);
    p->size = p->asked_size;
    p->size_known = true;
    p->failures = p->tries = 0;
    p->hold_ms = now_ms;
    if (strcmp(p->asked, c->text) != 0) {
        if (time > p->time)
            p->time = time;
        return ended(c, p, COSIGN_OLDER, now_ms);
    }
    if (!p->covers || time > p->time) {
        p->time = time;
        memcpy(p->line, line, sizeof(line));
        c->version++;
    }
    p->covers = true;
    p->refresh_ms = now_ms + jittered(c, COSIGN_REFRESH_MS, 10);
    count_quorum(c, now_ms);
    return ended(c, p, COSIGN_COVERED, now_ms);
}

static enum cosign_outcome on_size(struct cosign *c, unsigned witness, const char *body, size_t len,
                                   int64_t now_ms)
{
    struct peer *p = &c->peers[witness];
    struct line rest = { body, len }, line;
    uint64_t size;
    if (!line_cut(&rest, &line) || rest.len != 0 || !line_number(line, &size))
        return ended(c, p, COSIGN_REFUSED, now_ms);
    if (size > c->checkpoint.size) {
        p->has_claimed = true;
        p->hold_ms = now_ms;
        return ended(c, p, COSIGN_CLAIMED, now_ms);
    }
    p->size = size;
    p->size_known = true;
    if (++p->tries > COSIGN_TRIES)
        return ended(c, p, COSIGN_REFUSED, now_ms);
    p->hold_ms = now_ms;
    return ended(c, p, COSIGN_BEHIND, now_ms);
}

/* It is no past of the present tree, and could be compared. */
static bool is_of_another_tree(const struct cosign *c, const struct checkpoint *shown)
{
    uint8_t root[TLOG_HASH_LEN];
    struct err ignored;
    return shown->size > 0 && shown->size <= c->checkpoint.size &&
           proof_root(&c->tiles, shown->size, c->checkpoint.size, root, &ignored) == 0 &&
           memcmp(root, shown->root, sizeof(root)) != 0;
}

/* What a witness shows that claimed a larger size or disputes. Only our own signature is believed.
 */
static enum cosign_outcome on_shown(struct cosign *c, unsigned witness, const char *body,
                                    size_t len, int64_t now_ms)
{
    struct peer *p = &c->peers[witness];
    struct note n;
    struct checkpoint shown;
    if (note_read(body, len, &n, NULL) < 0 || note_verify(&n, c->log_key, NULL, NULL) != 1 ||
        checkpoint_read(n.text, n.text_len, &shown, NULL) < 0 ||
        strcmp(shown.origin, c->origin) != 0 ||
        (shown.size <= c->checkpoint.size && !is_of_another_tree(c, &shown)))
        return ended(c, p, COSIGN_REFUSED, now_ms);
    raise_alarm(c, witness, shown.size, c->checkpoint.size);
    return ended(c, p, COSIGN_ALARM, now_ms);
}

enum cosign_outcome cosign_answer(struct cosign *c, const struct errand_answer *a, int64_t now_ms)
{
    if (a->witness >= c->trust->witness_count || a->ticket == 0 ||
        c->peers[a->witness].ticket != a->ticket)
        return COSIGN_DROPPED;
    struct peer *p = &c->peers[a->witness];
    const char *body = (const char *)a->body;
    if (a->failure != ERRAND_REACHED)
        return ended(c, p, COSIGN_FAILED, now_ms);
    if (p->is_showing)
        return a->status == 200 ? on_shown(c, a->witness, body, a->body_len, now_ms)
                                : ended(c, p, COSIGN_REFUSED, now_ms);
    if (a->status == 200)
        return on_cosigned(c, a->witness, body, a->body_len, now_ms);
    if (a->status == 409 && a->is_size)
        return on_size(c, a->witness, body, a->body_len, now_ms);
    /* it would have said 409 if `old` were not its size: at that size it has another root */
    bool differs = a->status == 422 && p->asked_old > 0;
    p->has_claimed = differs;
    return ended(c, p, differs ? COSIGN_DISPUTED : COSIGN_REFUSED, now_ms);
}

void cosign_lost(struct cosign *c, int64_t now_ms)
{
    for (unsigned i = 0; i < c->trust->witness_count; i++)
        if (c->peers[i].ticket != 0)
            (void)ended(c, &c->peers[i], COSIGN_FAILED, now_ms);
}

/* ---- what it came to ------------------------------------------------------------------------ */

const struct cosign_alarm *cosign_alarm(const struct cosign *c)
{
    return c->has_alarm ? &c->alarm : NULL;
}

bool cosign_is_met(const struct cosign *c, int64_t *ret_since_ms)
{
    if (c->is_met && ret_since_ms != NULL)
        *ret_since_ms = c->met_ms;
    return c->is_met;
}

bool cosign_is_waiting(const struct cosign *c)
{
    if (!has_checkpoint(c) || c->has_alarm || c->is_met)
        return false;
    for (unsigned i = 0; i < c->trust->witness_count; i++)
        if (c->peers[i].is_asked && !c->peers[i].covers && c->peers[i].failures == 0)
            return true;
    return false;
}

int cosign_lines(const struct cosign *c, struct buf *to)
{
    size_t start = buf_len(to);
    for (unsigned i = 0; i < c->trust->witness_count; i++) {
        const struct peer *p = &c->peers[i];
        int rc = p->covers ? buf_append(to, p->line, strlen(p->line)) : 0;
        if (rc < 0) {
            to->end -= buf_len(to) - start; /* all of them or none */
            return rc;
        }
    }
    return 0;
}

uint64_t cosign_version(const struct cosign *c)
{
    return c->version;
}

void cosign_look(const struct cosign *c, unsigned witness, struct cosign_view *ret)
{
    RF_ASSERT(witness < c->trust->witness_count);
    const struct peer *p = &c->peers[witness];
    *ret = (struct cosign_view){ .is_asked = p->is_asked,
                                 .size_known = p->size_known,
                                 .size = p->size,
                                 .covers = p->covers,
                                 .time = p->time,
                                 .is_busy = p->ticket != 0,
                                 .failures = p->failures,
                                 .last = p->last };
}

/* ---- what is remembered --------------------------------------------------------------------- */

int cosign_export(const struct cosign *c, struct buf *to)
{
    struct buf text;
    char line[KEY_NAME_MAX + 1 + 8 + 1 + 20 + 2];
    buf_init(&text, COSIGN_STATE_MAX);
    int rc = buf_append(&text, STATE_HEAD, strlen(STATE_HEAD));
    for (unsigned i = 0; i < c->trust->witness_count && rc == 0; i++) {
        const struct key *k = &c->trust->witnesses[i].key;
        if (!c->peers[i].size_known)
            continue;
        int n = snprintf(line, sizeof(line), "%s %08" PRIx32 " %" PRIu64 "\n", k->name, k->id,
                         c->peers[i].size);
        rc = buf_append(&text, line, (size_t)n);
    }
    if (rc == 0)
        rc = buf_append(to, buf_at(&text), buf_len(&text));
    buf_done(&text);
    return rc;
}

/* `NAME KEYID SIZE`: the witness of that key, -1 when there is none any more, -2 when malformed. */
static int read_state_line(const struct cosign *c, const char *line, size_t len, uint64_t *ret_size)
{
    char id[9] = "";
    const char *name_end = len > 0 ? memchr(line, ' ', len) : NULL;
    if (name_end == NULL)
        return -2;
    size_t name_len = (size_t)(name_end - line);
    struct line rest = { name_end + 1, len - name_len - 1 };
    if (!key_is_name(line, name_len) || rest.len < 8 + 1)
        return -2;
    memcpy(id, rest.at, 8);
    if (strspn(id, "0123456789abcdef") != 8 || rest.at[8] != ' ' ||
        !line_number((struct line){ rest.at + 9, rest.len - 9 }, ret_size))
        return -2;
    for (unsigned i = 0; i < c->trust->witness_count; i++) {
        const struct key *k = &c->trust->witnesses[i].key;
        char known[9];
        (void)snprintf(known, sizeof(known), "%08" PRIx32, k->id);
        if (strlen(k->name) == name_len && memcmp(k->name, line, name_len) == 0 &&
            strcmp(known, id) == 0)
            return (int)i;
    }
    return -1;
}

int cosign_import(struct cosign *c, const char *text, size_t len, struct err *err)
{
    uint64_t sizes[TRUST_MAX], size;
    bool known[TRUST_MAX] = { false };
    size_t head = strlen(STATE_HEAD);
    if (has_checkpoint(c))
        return err_set(err, RF_EINVAL, "the state of the witnesses comes before a checkpoint");
    if (len < head || len > COSIGN_STATE_MAX || memcmp(text, STATE_HEAD, head) != 0)
        goto malformed;
    for (size_t at = head; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        int witness =
            end == NULL ? -2 : read_state_line(c, text + at, (size_t)(end - text) - at, &size);
        if (witness == -2 || (witness >= 0 && known[witness]))
            goto malformed;
        if (witness >= 0) {
            known[witness] = true;
            sizes[witness] = size;
        }
        at = (size_t)(end - text) + 1;
    }
    for (unsigned i = 0; i < c->trust->witness_count; i++)
        if (known[i]) {
            c->peers[i].size_known = true;
            c->peers[i].size = sizes[i];
        }
    return 0;
malformed:
    return err_set(err, RF_EPROTO, "the state of the witnesses is malformed");
}
