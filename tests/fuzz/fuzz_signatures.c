/* fuzz_signatures.c - any bytes as the file of signatures beside a policy: blocks alone, or nothing
 * counts; and nobody has signed these bytes whom the policy does not name. */
#include <stdint.h>
#include <string.h>

#include "base/digest.h"
#include "policy/mistakes.h"
#include "policy/policy_signers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of tests/vectors/policy-signed; what is signed there is another policy, but for ruling.bert.sig.
 */
static const char ruling[] =
    "version: 1\n"
    "company: Clipstream\n"
    "jurisdictions: {US: [US]}\n"
    "regions: {us: {jurisdiction: US, place: US}}\n"
    "entities: {clip: {country: US}}\n"
    "actors:\n"
    "  anna: {kind: person, entity: clip, place: US, keys: [\"ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIM4LnP2lVGBtqvwzJUDD/B7x81d21FHl8X7afZyqfRpb\"]}\n"
    "  bert: {kind: person, entity: clip, place: US, keys: [\"ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAILNnB363EbK/MvvVNa/s+8tdVySnqSkzFBAK9PHZGRAs\"]}\n"
    "  carl: {kind: person, entity: clip, place: US}\n"
    "tables: {app.users: {subject: id, residency: home, columns: {id: identity, home: none}}}\n"
    "signers: {quorum: 2, actors: [anna, bert], wait: 1h}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct policy *by;
    struct policy_signed s;
    struct mistakes m;
    const char *block;
    size_t at = 0, len, all = 0;
    int rc;
    RF_ASSERT(digest_init(NULL) == 0);
    mistakes_init(&m);
    RF_ASSERT(by != NULL || policy_parse("policy", ruling, sizeof(ruling) - 1, &by, &m) == 0);
    mistakes_done(&m);
    while ((rc = policy_signature_next((const char *)data, size, &at, &block, &len)) == 1) {
        RF_ASSERT(block == (const char *)data + all && len > 0 && all + len == at && at <= size);
        all = at;
    }
    policy_count_signatures(by, ruling, sizeof(ruling) - 1, (const char *)data, size, &s);
    RF_ASSERT((rc < 0) <= s.is_malformed && (!s.is_malformed || s.valid == 0));
    RF_ASSERT(s.valid <= by->signers.actor_count && s.valid <= 1); /* anna never signed it */
    RF_ASSERT((unsigned)__builtin_popcount(s.signed_by) == s.valid);
    return 0;
}
