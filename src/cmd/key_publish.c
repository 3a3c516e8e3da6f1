#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cmd/keycommand.h"
#include "courier/carrier.h"
#include "ledger/cosign.h"
#include "ledger/scribe.h"

/* The notary's work without its processes: the gateway is stopped and will not write to this log
 * again, so there is nobody to do it but the operator's command. Key and network are in one process
 * here, for the moment that it takes. */

enum { WITNESS_WAIT_MS = 20 * 1000, TURN_MS = 200 };

struct key_publishing {
    const struct config *config;
    struct secret_key key;
    struct scribe *scribe;
    struct trust *trust; /* NULL: no witness is asked */
    struct cosign *cosign;
    struct carrier *carrier;
};

/* ---- signing -------------------------------------------------------------------------------- */

static int sign_all(struct key_publishing *p, uint64_t committed, struct err *err)
{
    int rc = 0;
    while (rc >= 0 && scribe_next(p->scribe) < committed && scribe_due_ms(p->scribe) == 0)
        rc = scribe_advance(p->scribe, committed, clock_wall_ms(), err);
    return rc < 0 ? rc : 0;
}

/* Somebody has signed more of this log than its journal has. What the policy keeps back for a while
   is in no tree yet, and in the journal. */
static int check_past(const struct key_publishing *p, const struct key_house *h, struct err *err)
{
    uint64_t size, past;
    if (!scribe_is_behind(p->scribe, &size, &past))
        return 0;
    if (scribe_due_ms(p->scribe) != 0)
        size = clerk_leaves(h->clerk);
    if (size >= past)
        return 0;
    (void)err_set(err, RF_ETAMPER,
                  "the journal makes %" PRIu64 " leaves, and %" PRIu64 " were signed before", size,
                  past);
    err_hint(err, "%s", scribe_tamper_hint);
    return -RF_ETAMPER;
}

/* ---- witnesses ------------------------------------------------------------------------------ */

static void on_answer(void *context, const struct errand_answer *answer)
{
    struct key_publishing *p = context;
    (void)cosign_answer(p->cosign, answer, clock_mono_ms());
}

/* Which sizes the witnesses have seen, as the notary left it. */
static int remembered(struct key_publishing *p, struct err *err)
{
    char path[PATH_MAX], *text;
    size_t len;
    struct err why;
    (void)snprintf(path, sizeof(path), "%.*s/notary/witnesses", PATH_MAX - 24,
                   p->config->state_dir);
    if (access(path, F_OK) < 0)
        return 0;
    int rc = fd_read_file(path, COSIGN_STATE_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    if (cosign_import(p->cosign, text, len, &why) < 0)
        (void)fprintf(stderr, "ringfence key: %s; the witnesses are asked for their sizes\n",
                      why.line);
    mem_free(text);
    return 0;
}

static int witnesses_find(struct key_publishing *p, struct err *err)
{
    const char *ca = getenv("SSL_CERT_FILE");
    if (p->config->ledger.witnesses_path == NULL)
        return 0;
    p->trust = mem_zalloc(1, sizeof(*p->trust));
    if (p->trust == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = trust_load(p->config->ledger.witnesses_path, p->trust, err);
    if (rc == 0)
        rc = cosign_new(p->trust, p->config->ledger.origin, &p->key.key, randombytes_random(),
                        &p->cosign, err);
    if (rc == 0)
        rc = remembered(p, err);
    if (rc == 0)
        rc = carrier_new(ca != NULL ? ca : CARRIER_CA, on_answer, p, &p->carrier, err);
    return rc < 0 ? rc : carrier_trust(p->carrier, p->trust, err);
}

static int alarm_of(struct key_publishing *p, struct err *err)
{
    const struct cosign_alarm *a = cosign_alarm(p->cosign);
    if (a == NULL)
        return 0;
    (void)err_set(err, RF_ETAMPER,
                  "witness \"%s\" shows our signature over another tree of this log",
                  p->trust->witnesses[a->witness].name);
    err_hint(err, "%s", scribe_tamper_hint);
    return -RF_ETAMPER;
}

static int send_due(struct key_publishing *p, struct err *err)
{
    struct errand_post post;
    int rc;
    while ((rc = cosign_next(p->cosign, clock_mono_ms(), &post, err)) == 1)
        carrier_post(p->carrier, &post);
    return rc == -RF_ETAMPER ? rc : 0; /* a witness that cannot be asked is put off */
}

static int ask_witnesses(struct key_publishing *p, struct err *err)
{
    struct tile_source tiles = scribe_source(p->scribe);
    size_t len;
    int64_t until = clock_mono_ms() + WITNESS_WAIT_MS;
    const char *note = scribe_note(p->scribe, &len);
    int rc = cosign_offer(p->cosign, note, len, &tiles, clock_mono_ms(), err);
    while (rc == 0 && clock_mono_ms() < until) {
        rc = send_due(p, err);
        if (rc == 0)
            rc = alarm_of(p, err);
        if (rc < 0 || (cosign_is_met(p->cosign, NULL) && p->trust->quorum >= 0))
            break;
        if (p->trust->quorum < 0 && !cosign_is_waiting(p->cosign))
            break;
        rc = carrier_turn(p->carrier, NULL, 0, TURN_MS, err);
    }
    return rc;
}

/* ---- publishing ----------------------------------------------------------------------------- */

static int publish(struct key_publishing *p, struct key_published *ret, struct err *err)
{
    struct buf lines, memory;
    int rc = 0;
    buf_init(&lines, NOTE_MAX);
    buf_init(&memory, COSIGN_STATE_MAX);
    ret->lacks_quorum =
        p->cosign != NULL && p->trust->quorum >= 0 && !cosign_is_met(p->cosign, NULL);
    for (unsigned i = 0; p->cosign != NULL && i < p->trust->witness_count; i++) {
        struct cosign_view view;
        cosign_look(p->cosign, i, &view);
        ret->witnesses += view.covers;
    }
    if (p->cosign != NULL)
        rc = cosign_lines(p->cosign, &lines);
    if (rc == 0 && p->cosign != NULL)
        rc = cosign_export(p->cosign, &memory);
    if (rc < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory");
    if (rc == 0 && !ret->lacks_quorum)
        rc = scribe_publish(p->scribe, buf_at(&lines), buf_len(&lines), err);
    if (rc == 0 && p->cosign != NULL)
        rc = scribe_remember(p->scribe, "witnesses", buf_at(&memory), buf_len(&memory), err);
    buf_done(&lines);
    buf_done(&memory);
    return rc;
}

/* ---- the region's database ------------------------------------------------------------------ */

/* Whoever writes there can say any size, and our signature he does not have. The notary goes on
   then; what ends a log for good is not done beside such a row. */
static int refuse_unproved(uint64_t size, struct err *err)
{
    (void)err_set(err, RF_EDENIED,
                  "the region's database names a checkpoint of %" PRIu64
                  " leaves that this log's key has not signed",
                  size);
    err_hint(err, "see who wrote it; once that is known, delete the log's row in "
                  "ringfence.log_size");
    return -RF_EDENIED;
}

int key_publishing_compare(struct key_publishing *p, const struct key_house *h, struct err *err)
{
    struct sight ours = { .is_answered = true }, seen;
    struct checkpoint c;
    size_t len;
    int rc = 0;
    if (scribe_note(p->scribe, &len) != NULL)
        rc = sight_sign(scribe_checkpoint(p->scribe), &p->key, &ours);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not sign the checkpoint");
    rc = key_database_ask(h->config, &ours, &seen, err);
    if (rc < 0 || seen.size == 0)
        return rc;
    if (!sight_holds(&seen, &p->key.key, &c))
        return refuse_unproved(seen.size, err);
    rc = scribe_must_hold(p->scribe, &c, err);
    if (rc == 0)
        rc = check_past(p, h, err);
    if (rc == -RF_ETAMPER)
        err_hint(err, "the region's database has seen it; %s", scribe_tamper_hint);
    return rc;
}

/* ---- the steps ------------------------------------------------------------------------------ */

int key_publishing_begin(const struct key_house *h, struct key_publishing **ret, struct err *err)
{
    struct key_publishing *p = mem_zalloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    p->config = h->config;
    const struct scribe_options options = { .state_dir = h->config->state_dir,
                                            .directory = h->config->ledger.directory,
                                            .key = &p->key,
                                            .delay_ms = h->policy->publication_delay_ms };
    int rc = secret_key_load(h->config->ledger.key_path, KEY_ED25519, &p->key, err);
    if (rc == 0)
        rc = scribe_open(&options, &p->scribe, err);
    if (rc == -RF_EUNAVAIL)
        err_hint(err, "stop the gateway first: nobody else may sign its log meanwhile");
    if (rc == 0)
        rc = sign_all(p, journal_next_index(h->journal), err);
    if (rc == 0)
        rc = check_past(p, h, err);
    if (rc == 0)
        rc = witnesses_find(p, err);
    if (rc < 0) {
        key_publishing_end(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void key_publishing_end(struct key_publishing *p)
{
    if (p == NULL)
        return;
    carrier_free(p->carrier);
    cosign_free(p->cosign);
    scribe_close(p->scribe);
    mem_free(p->trust);
    mem_free_secret(p, sizeof(*p));
}

const struct secret_key *key_publishing_key(const struct key_publishing *p)
{
    return &p->key;
}

int key_publish(struct key_publishing *p, const struct key_house *h, struct key_published *ret,
                struct err *err)
{
    size_t len;
    *ret = (struct key_published){ 0 };
    int rc = sign_all(p, journal_next_index(h->journal), err);
    if (rc == 0)
        rc = check_past(p, h, err);
    if (rc == 0 && scribe_note(p->scribe, &len) != NULL) {
        if (p->cosign != NULL)
            rc = ask_witnesses(p, err);
        if (rc == 0)
            rc = publish(p, ret, err);
        ret->leaves = scribe_published_size(p->scribe);
    }
    if (rc == 0)
        ret->due_ms = scribe_due_ms(p->scribe);
    return rc;
}
