#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "policy/evidence.h"
#include "policy/mistakes.h"
#include "sign/sshsig.h"
#include "wire/wr.h"

#define NOW    INT64_C(1795780800000)
#define MINUTE INT64_C(60000)
#define NUMBER 31

enum { ANALYST, PRIVACY, SECURITY, OFFICER, STRANGER, PEOPLE };
static const char *const names[PEOPLE] = { "analyst", "privacy", "security", "officer",
                                           "stranger" };
static EVP_PKEY *keys[PEOPLE];
static char lines[PEOPLE][200];
static struct policy *policy;

/* ---- keys and signatures, as ssh-keygen makes them ---------------------------------------------
 */

static void put(struct wr *w, const void *bytes, size_t n)
{
    wr_u32(w, (uint32_t)n);
    wr_bytes(w, bytes, n);
}

static void put_text(struct wr *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_public(struct wr *w, EVP_PKEY *key)
{
    uint8_t raw[32];
    size_t n = sizeof(raw);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
    put_text(w, "ssh-ed25519");
    put(w, raw, n);
}

static void make_key(int who)
{
    struct buf blob;
    buf_init(&blob, 1024);
    keys[who] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_non_null(keys[who]);
    struct wr w = wr_to(&blob);
    put_public(&w, keys[who]);
    assert_true(wr_done(&w));
    size_t at = (size_t)sprintf(lines[who], "ssh-ed25519 ");
    (void)base64_encode(buf_at(&blob), buf_len(&blob), lines[who] + at);
    buf_done(&blob);
}

/* What the key of WHO makes of TEXT for NAME_SPACE. */
static void sign(int who, const char *name_space, const char *text, char armored[SSHSIG_MAX])
{
    struct buf what, key, inner, blob;
    struct buf *const all[] = { &what, &key, &inner, &blob };
    uint8_t hash[64], raw[64];
    char joined[SSHSIG_MAX];
    size_t n = sizeof(raw);
    for (size_t i = 0; i < RF_COUNT(all); i++)
        buf_init(all[i], 4096);
    assert_int_equal(EVP_Q_digest(NULL, "SHA512", NULL, text, strlen(text), hash, NULL), 1);
    struct wr w = wr_to(&what), k = wr_to(&key), i = wr_to(&inner), b = wr_to(&blob);
    wr_bytes(&w, "SSHSIG", 6);
    put_text(&w, name_space);
    put_text(&w, "");
    put_text(&w, "sha512");
    put(&w, hash, sizeof(hash));
    assert_true(wr_done(&w));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, keys[who], NULL), 1);
    assert_int_equal(EVP_DigestSign(context, raw, &n, buf_at(&what), buf_len(&what)), 1);
    EVP_MD_CTX_free(context);
    put_public(&k, keys[who]);
    put_text(&i, "ssh-ed25519");
    put(&i, raw, n);
    assert_true(wr_done(&k) && wr_done(&i));
    wr_bytes(&b, "SSHSIG", 6);
    wr_u32(&b, 1);
    put(&b, buf_at(&key), buf_len(&key));
    put_text(&b, name_space);
    put_text(&b, "");
    put_text(&b, "sha512");
    put(&b, buf_at(&inner), buf_len(&inner));
    assert_true(wr_done(&b));
    size_t len = base64_encode(buf_at(&blob), buf_len(&blob), joined);
    size_t at = (size_t)sprintf(armored, "-----BEGIN SSH SIGNATURE-----\n");
    for (size_t from = 0; from < len; from += 70)
        at += (size_t)sprintf(armored + at, "%.70s\n", joined + from);
    (void)sprintf(armored + at, "-----END SSH SIGNATURE-----\n");
    for (size_t from = 0; from < RF_COUNT(all); from++)
        buf_done(all[from]);
}

/* ---- the case ----------------------------------------------------------------------------------
 */

/* One signed text, with room for all that it borrows. */
struct paper {
    struct command command;
    char text[COMMAND_MAX + 1], signature[SSHSIG_MAX], digest[65];
};

static struct paper asked, votes[3];
static struct evidence e;
static struct evidence_case judged;
static struct evidence_grant grant;
static struct err err;

static void finish(struct paper *p, int signer)
{
    struct buf b;
    buf_init(&b, COMMAND_MAX);
    p->command.nonce = "00112233445566778899aabbccddeeff";
    if (p->command.expires_s == 0)
        p->command.expires_s = NOW / 1000 + 300;
    assert_int_equal(command_write(&b, &p->command, NULL), 0);
    memcpy(p->text, buf_at(&b), buf_len(&b));
    p->text[buf_len(&b)] = '\0';
    buf_done(&b);
    sign(signer, command_namespace(p->command.verb), p->text, p->signature);
}

static struct evidence_text kept(const struct paper *p, int who)
{
    return (struct evidence_text){ .actor = names[who],
                                   .text = p->text,
                                   .signature = p->signature,
                                   .is_from_home = true,
                                   .at_ms = NOW,
                                   .leaf = "7 log" };
}

/* The asked() of every test: the analyst, for two persons. */
static void ask(void)
{
    asked.command = (struct command){ .verb = COMMAND_REQUEST,
                                      .region = "us",
                                      .actor = "analyst",
                                      .subjects = { "8", "9" },
                                      .subject_count = 2,
                                      .classes = { "identity", "contact" },
                                      .class_count = 2,
                                      .purpose = "support_ticket",
                                      .reference = "T-1",
                                      .seconds = 600 };
    finish(&asked, ANALYST);
    e = (struct evidence){ .request = NUMBER,
                           .asked = kept(&asked, ANALYST),
                           .keys = { "8", "9" },
                           .salts = { "", "" },
                           .key_count = 2 };
    grant = (struct evidence_grant){ .actor = "analyst",
                                     .purpose = "support_ticket",
                                     .classes = 1U << CLASS_IDENTITY | 1U << CLASS_CONTACT,
                                     .ends_ms = NOW + 10 * MINUTE,
                                     .keys = { "8", "9" },
                                     .key_count = 2 };
}

/* What WHO would sign about what was asked. */
static struct paper *answer(int who, enum command_verb verb)
{
    struct paper *p = &votes[e.vote_count];
    *p = (struct paper){ .text = "" };
    command_answer(&asked.command, asked.text, strlen(asked.text), verb, names[who], p->digest,
                   &p->command);
    p->command.request = NUMBER;
    p->command.reason = verb == COMMAND_DENY ? "no" : NULL;
    return p;
}

static void add(struct paper *p, int who, int signer)
{
    finish(p, signer);
    e.votes[e.vote_count++] = kept(p, who);
}

static void vote(int who, enum command_verb verb)
{
    add(answer(who, verb), who, who);
}

static enum grant_refusal judge(void)
{
    err = (struct err){ 0 };
    return evidence_judge(policy, policy_region_find(policy, "us"), &e, &judged, &err);
}

static void is_false(const char *why)
{
    assert_int_equal(judge(), REFUSAL_COUNT);
    if (strstr(err.line, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.line, why);
}

static enum grant_refusal enough_at(int64_t now_ms)
{
    size_t missing;
    assert_int_equal(judge(), REFUSAL_NONE);
    return evidence_is_enough(policy, &judged, now_ms, &missing);
}

static int covers(void)
{
    assert_int_equal(judge(), REFUSAL_NONE);
    return evidence_covers(&judged, &e, &grant, &err);
}

/* ---- the policy --------------------------------------------------------------------------------
 */

static struct policy *parse(const char *officers_key)
{
    char text[6000];
    struct mistakes m;
    struct policy *p = NULL;
    int n = snprintf(
        text, sizeof(text),
        "version: 1\n"
        "company: Clipstream\n"
        "jurisdictions: {US: [US], EU: [IE]}\n"
        "regions: {us: {jurisdiction: US, place: US}, eu: {jurisdiction: EU, place: IE}}\n"
        "entities: {us: {country: US}}\n"
        "purposes: [support_ticket, security_incident]\n"
        "actors:\n"
        "  analyst: {kind: person, entity: us, place: US, department: analytics, keys: [\"%s\"]}\n"
        "  privacy: {kind: person, entity: us, place: US, department: privacy, keys: [\"%s\"]}\n"
        "  security: {kind: person, entity: us, place: US, department: security, keys: [\"%s\"]}\n"
        "  officer: {kind: person, entity: us, place: US, department: privacy%s%s%s}\n"
        "tables:\n"
        "  app.tags: {columns: {name: none}}\n"
        "grants:\n"
        "  rules:\n"
        "    support:\n"
        "      purposes: [support_ticket]\n"
        "      classes: [identity, contact]\n"
        "      ask: {departments: [analytics]}\n"
        "      subjects: 5\n"
        "      duration: 8h\n"
        "      approvers: [{departments: [privacy]}, {departments: [security]}]\n"
        "  break_glass: {purposes: [security_incident], classes: [contact],\n"
        "                ask: {actors: [analyst]}, subjects: 5, duration: 1h, review: 24h,\n"
        "                reviewers: [{actors: [privacy]}]}\n",
        lines[ANALYST], lines[PRIVACY], lines[SECURITY], officers_key != NULL ? ", keys: [\"" : "",
        officers_key != NULL ? officers_key : "", officers_key != NULL ? "\"]" : "");
    assert_in_range(n, 1, sizeof(text) - 1);
    mistakes_init(&m);
    if (policy_parse("policy.yaml", text, strlen(text), &p, &m) < 0)
        mistakes_print(&m, stderr);
    assert_non_null(p);
    mistakes_done(&m);
    return p;
}

/* ---- tests: what was asked ---------------------------------------------------------------------
 */

static void two_signatures_over_one_text_open_what_it_says(void **state)
{
    (void)state;
    ask();
    vote(PRIVACY, COMMAND_APPROVE);
    assert_int_equal(enough_at(NOW), REFUSAL_NOT_ENOUGH);
    vote(SECURITY, COMMAND_APPROVE);
    assert_int_equal(enough_at(NOW), REFUSAL_NONE);
    assert_int_equal(covers(), 0);
    assert_int_equal(evidence_opened_ms(&judged, &grant), NOW);
}

static void a_request_that_is_not_on_record_is_none(void **state)
{
    (void)state;
    ask();
    e.asked.leaf = NULL;
    is_false("not on record");
}

static void a_request_is_by_its_signers_key(void **state)
{
    (void)state;
    ask();
    sign(PRIVACY, "ringfence-command@1", asked.text, asked.signature);
    is_false("does not list this key");
    sign(STRANGER, "ringfence-command@1", asked.text, asked.signature);
    is_false("does not list this key");
    sign(ANALYST, "ringfence-approval@1", asked.text, asked.signature);
    is_false("for another purpose");
    ask();
    asked.text[strstr(asked.text, "seconds 600") - asked.text + strlen("seconds ")] = '7';
    is_false("not of this text");
    ask();
    e.asked.signature = "-----BEGIN SSH SIGNATURE-----\n";
    is_false("not the block of a signature");
}

static void a_request_is_kept_under_its_own_name_region_and_form(void **state)
{
    (void)state;
    ask();
    e.asked.actor = "privacy";
    is_false("under another name");
    ask();
    asked.command.region = "eu";
    finish(&asked, ANALYST);
    is_false("for another region");
    ask();
    strcat(asked.text, "\n");
    sign(ANALYST, "ringfence-command@1", asked.text, asked.signature);
    is_false("");
    ask();
    asked.command = (struct command){
        .verb = COMMAND_REVOKE, .region = "us", .actor = "analyst", .request = NUMBER
    };
    finish(&asked, ANALYST);
    is_false("no request");
}

static void a_text_is_kept_under_the_time_of_its_signature(void **state)
{
    static const int64_t good[] = { -5 * MINUTE, 0, 5 * MINUTE, 6 * MINUTE };
    static const int64_t bad[] = { 6 * MINUTE + 1, -6 * MINUTE - 1, 60 * MINUTE, -60 * MINUTE };
    (void)state;
    ask(); /* it expires in five minutes, and ten are the longest life; clocks differ by one */
    for (size_t i = 0; i < RF_COUNT(good); i++) {
        e.asked.at_ms = NOW + good[i];
        assert_int_equal(judge(), REFUSAL_NONE);
    }
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        e.asked.at_ms = NOW + bad[i];
        is_false("under another time");
    }
}

/* ---- tests: who is meant -----------------------------------------------------------------------
 */

static void the_persons_are_those_that_were_named(void **state)
{
    (void)state;
    ask();
    e.keys[1] = "10";
    is_false("another person");
    ask();
    e.key_count = 1;
    is_false("other persons");
    ask();
    e.keys[0] = "9";
    e.keys[1] = "8";
    is_false("another person");
}

static void a_handle_is_one_persons_for_ever(void **state)
{
    char handle[EVIDENCE_HANDLE_SIZE], again[EVIDENCE_HANDLE_SIZE];
    (void)state;
    evidence_handle("8", "salt", handle);
    ask();
    asked.command.subjects[0] = handle;
    finish(&asked, ANALYST);
    is_false("another person"); /* without its salt it is nobody */
    e.salts[0] = "salt";
    assert_int_equal(judge(), REFUSAL_NONE);
    e.keys[0] = "7";
    is_false("another person");
    e.keys[0] = "8";
    e.salts[0] = "other";
    is_false("another person");
    /* "8\n1" with salt "x" and "8" with salt "1\nx" have one hash */
    evidence_handle("8", "1\nx", handle);
    evidence_handle("8\n1", "x", again);
    assert_string_equal(handle, again);
    asked.command.subjects[0] = again;
    finish(&asked, ANALYST);
    e.salts[0] = "1\nx";
    is_false("in another way");
}

static void the_rules_of_now_are_asked(void **state)
{
    (void)state;
    ask();
    asked.command.classes[1] = "everything";
    finish(&asked, ANALYST);
    assert_int_equal(judge(), REFUSAL_CLASS_UNKNOWN);
    ask();
    asked.command.classes[1] = "location";
    finish(&asked, ANALYST);
    assert_int_equal(judge(), REFUSAL_NO_RULE);
    ask();
    e.minor_count = 1;
    assert_int_equal(judge(), REFUSAL_MINOR);
    ask();
    e.asked.is_from_home = false;
    assert_int_equal(judge(), REFUSAL_REQUESTER_ABROAD);
}

/* printf 'ringfence-sensitive@1\nus\n8\n' | sha256sum, and of 9: whom control shows, too. */
static void a_grant_for_a_bound_purpose_is_of_those_in_its_register(void **state)
{
    static char eight[] = "c863f5d7d592cf1083b43b58f5073ca4e6f8de9021edb408453148fd88f790f4";
    static char nine[] = "94ddb78f0691f9ecc8639a3fbfe2cd8550fe0077ea36144eca0e1b5333c58fd1";
    static char support[] = "support_ticket", incident[] = "security_incident";
    char *list[] = { eight, nine };
    struct policy_bound bound = { .purpose = support, .subjects = list, .subject_count = 2 };
    (void)state;
    policy->grants->bound = &bound;
    policy->grants->bound_count = 1;
    ask();
    assert_int_equal(judge(), REFUSAL_NONE);
    bound.subject_count = 1;
    assert_int_equal(judge(), REFUSAL_PURPOSE_BOUND);
    bound.purpose = incident;
    assert_int_equal(judge(), REFUSAL_NONE);
    asked.command.verb = COMMAND_BREAK_GLASS;
    asked.command.purpose = "security_incident";
    asked.command.classes[0] = "contact";
    asked.command.class_count = 1;
    asked.command.reason = "hurry";
    finish(&asked, ANALYST);
    assert_int_equal(judge(), REFUSAL_PURPOSE_BOUND);
    policy->grants->bound_count = 0;
    assert_int_equal(judge(), REFUSAL_NONE);
}

/* ---- tests: votes ------------------------------------------------------------------------------
 */

static void a_vote_without_a_leaf_counts_nothing(void **state)
{
    (void)state;
    ask();
    vote(PRIVACY, COMMAND_APPROVE);
    vote(SECURITY, COMMAND_APPROVE);
    e.votes[1].leaf = NULL;
    assert_int_equal(enough_at(NOW), REFUSAL_NOT_ENOUGH);
    assert_int_equal(judged.vote_count, 1);
}

static void a_vote_is_about_just_this_request(void **state)
{
    (void)state;
    ask();
    answer(PRIVACY, COMMAND_APPROVE)->command.request = NUMBER + 1;
    add(&votes[0], PRIVACY, PRIVACY);
    is_false("about another request");
    ask();
    answer(PRIVACY, COMMAND_APPROVE)->command.subjects[1] = "10";
    add(&votes[0], PRIVACY, PRIVACY);
    is_false("about another request");
    ask();
    answer(PRIVACY, COMMAND_APPROVE)->command.seconds = 300;
    add(&votes[0], PRIVACY, PRIVACY);
    is_false("about another request");
    ask();
    (void)answer(PRIVACY, COMMAND_APPROVE);
    votes[0].digest[0] = votes[0].digest[0] == '0' ? '1' : '0';
    add(&votes[0], PRIVACY, PRIVACY);
    is_false("about another request");
    ask();
    votes[0].command = (struct command){
        .verb = COMMAND_REVOKE, .region = "us", .actor = "privacy", .request = NUMBER
    };
    add(&votes[0], PRIVACY, PRIVACY);
    is_false("about another request");
}

static void a_vote_is_its_voters(void **state)
{
    (void)state;
    ask();
    vote(PRIVACY, COMMAND_APPROVE);
    e.votes[0].actor = "security"; /* he would be two */
    is_false("under another name");
    ask();
    vote(PRIVACY, COMMAND_APPROVE);
    e.votes[0].at_ms = NOW + 60 * MINUTE; /* fresh for ever */
    is_false("under another time");
    ask();
    vote(PRIVACY, COMMAND_APPROVE);
    votes[0].signature[strlen(votes[0].signature) / 2] ^= 1;
    assert_int_equal(judge(), REFUSAL_COUNT);
    ask();
    add(answer(SECURITY, COMMAND_APPROVE), SECURITY, PRIVACY); /* for a colleague */
    vote(PRIVACY, COMMAND_APPROVE);
    assert_int_equal(enough_at(NOW), REFUSAL_NOT_ENOUGH);
    ask();
    vote(PRIVACY, COMMAND_APPROVE);
    vote(PRIVACY, COMMAND_APPROVE);
    assert_int_equal(enough_at(NOW), REFUSAL_NOT_ENOUGH);
    ask();
    vote(ANALYST, COMMAND_APPROVE);
    vote(PRIVACY, COMMAND_APPROVE);
    assert_int_equal(enough_at(NOW), REFUSAL_NOT_ENOUGH);
}

static void an_approval_of_somebody_who_is_gone_counts_nothing(void **state)
{
    struct policy *full = policy, *without = parse(NULL);
    (void)state;
    ask();
    vote(OFFICER, COMMAND_APPROVE);
    vote(SECURITY, COMMAND_APPROVE);
    assert_int_equal(enough_at(NOW), REFUSAL_NONE);
    policy = without;
    assert_int_equal(enough_at(NOW), REFUSAL_NOT_ENOUGH);
    vote(PRIVACY, COMMAND_APPROVE);
    assert_int_equal(enough_at(NOW), REFUSAL_NONE);
    policy = full;
    policy_free(without);
}

static void a_denial_of_somebody_who_is_gone_is_not_forgotten(void **state)
{
    struct policy *full = policy, *without = parse(NULL);
    (void)state;
    ask();
    vote(PRIVACY, COMMAND_APPROVE);
    vote(SECURITY, COMMAND_APPROVE);
    vote(OFFICER, COMMAND_DENY);
    assert_int_equal(enough_at(NOW), REFUSAL_DENIED);
    policy = without;
    is_false("does not list this key");
    policy = full;
    policy_free(without);
}

/* ---- tests: the grant --------------------------------------------------------------------------
 */

static void approvals_age_until_the_grant_opens(void **state)
{
    (void)state;
    ask();
    vote(PRIVACY, COMMAND_APPROVE);
    vote(SECURITY, COMMAND_APPROVE);
    assert_int_equal(enough_at(NOW + 60 * MINUTE), REFUSAL_NONE);
    assert_int_equal(enough_at(NOW + 60 * MINUTE + 1), REFUSAL_NOT_ENOUGH);
    grant.ends_ms += 60 * MINUTE + 1; /* lengthened by hand: it seems to have opened later */
    assert_int_equal(enough_at(evidence_opened_ms(&judged, &grant)), REFUSAL_NOT_ENOUGH);
}

static void a_grant_gives_what_was_asked_for(void **state)
{
    (void)state;
    ask();
    assert_int_equal(covers(), 0);
    grant.actor = "privacy";
    assert_int_equal(covers(), -RF_ETAMPER);
    ask();
    grant.purpose = "security_incident";
    assert_int_equal(covers(), -RF_ETAMPER);
    ask();
    grant.classes |= 1U << CLASS_LOCATION;
    assert_int_equal(covers(), -RF_ETAMPER);
    grant.classes = 0;
    assert_int_equal(covers(), -RF_ETAMPER);
    ask();
    grant.keys[1] = "10";
    assert_int_equal(covers(), -RF_ETAMPER);
    ask();
    grant.ends_ms -= 2 * MINUTE; /* opened before it was asked for */
    assert_int_equal(covers(), -RF_ETAMPER);
    ask();
    grant.key_count = 1;
    grant.classes = 1U << CLASS_CONTACT;
    assert_int_equal(covers(), 0);
}

static void broken_glass_opens_when_it_is_broken(void **state)
{
    (void)state;
    ask();
    asked.command.verb = COMMAND_BREAK_GLASS;
    asked.command.purpose = grant.purpose = "security_incident";
    asked.command.classes[0] = "contact";
    asked.command.class_count = 1;
    asked.command.reason = "taken over";
    grant.classes = 1U << CLASS_CONTACT;
    finish(&asked, ANALYST);
    assert_int_equal(enough_at(NOW), REFUSAL_NONE);
    assert_int_equal(covers(), 0);
    grant.ends_ms += 10 * MINUTE + 1;
    assert_int_equal(covers(), -RF_ETAMPER);
}

/* ---- strangers ---------------------------------------------------------------------------------
 */

static void nothing_is_verified_for_a_key_that_nobody_knows(void **state)
{
    struct command c;
    char copy[COMMAND_MAX + 1];
    struct err why = { 0 };
    (void)state;
    ask();
    sign(STRANGER, "ringfence-command@1", "another text", asked.signature);
    assert_int_equal(evidence_read_text(policy, policy_region_find(policy, "us"), asked.text,
                                        strlen(asked.text), asked.signature,
                                        strlen(asked.signature), copy, &c, &why),
                     -RF_ENOTFOUND); /* not that the signature is false */
}

static int set_up(void **state)
{
    struct err why = { 0 };
    (void)state;
    if (digest_init(&why) < 0)
        return -1;
    for (int i = 0; i < PEOPLE; i++)
        make_key(i);
    policy = parse(lines[OFFICER]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    policy_free(policy);
    for (int i = 0; i < PEOPLE; i++)
        EVP_PKEY_free(keys[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_signatures_over_one_text_open_what_it_says),
        cmocka_unit_test(a_request_that_is_not_on_record_is_none),
        cmocka_unit_test(a_request_is_by_its_signers_key),
        cmocka_unit_test(a_request_is_kept_under_its_own_name_region_and_form),
        cmocka_unit_test(a_text_is_kept_under_the_time_of_its_signature),
        cmocka_unit_test(the_persons_are_those_that_were_named),
        cmocka_unit_test(a_handle_is_one_persons_for_ever),
        cmocka_unit_test(the_rules_of_now_are_asked),
        cmocka_unit_test(a_grant_for_a_bound_purpose_is_of_those_in_its_register),
        cmocka_unit_test(a_vote_without_a_leaf_counts_nothing),
        cmocka_unit_test(a_vote_is_about_just_this_request),
        cmocka_unit_test(a_vote_is_its_voters),
        cmocka_unit_test(an_approval_of_somebody_who_is_gone_counts_nothing),
        cmocka_unit_test(a_denial_of_somebody_who_is_gone_is_not_forgotten),
        cmocka_unit_test(approvals_age_until_the_grant_opens),
        cmocka_unit_test(a_grant_gives_what_was_asked_for),
        cmocka_unit_test(broken_glass_opens_when_it_is_broken),
        cmocka_unit_test(nothing_is_verified_for_a_key_that_nobody_knows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
