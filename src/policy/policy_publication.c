#include "policy/policy_publication.h"

#include <string.h>

#include "policy/policy.h"

static const struct field hold_fields[] = {
    { "hold", FIELD_DURATION, .required = true, FIELD_AT(struct policy_hold, hold_ms),
      .min = 60 * 1000, .max = INT64_C(10) * 365 * 24 * 60 * 60 * 1000 },
};
static const struct field_shape hold_shape = {
    .what = "how long a purpose is held, such as 90d",
    .size = sizeof(struct policy_hold),
    .fields = hold_fields,
    .field_count = RF_COUNT(hold_fields),
    .short_form = "hold",
    .key_offset = offsetof(struct policy_hold, purpose),
    .line_offset = offsetof(struct policy_hold, line),
};

static const struct field_word profile_words[] = { { "public", PROFILE_PUBLIC },
                                                   { "auditors", PROFILE_AUDITORS },
                                                   { "internal", PROFILE_INTERNAL },
                                                   { NULL, 0 } };

static const struct field publication_fields[] = {
    { "profile", FIELD_WORD, FIELD_AT(struct policy, profile), .words = profile_words },
    { "delay", FIELD_DURATION, FIELD_AT(struct policy, publication_delay_ms), .min = 0,
      .max = INT64_C(90) * 24 * 60 * 60 * 1000 },
    { "small_cell", FIELD_INTEGER, FIELD_AT(struct policy, small_cell), .min = 0, .max = 10000 },
    { "held", FIELD_MAP, FIELD_AT(struct policy, holds),
      .count_offset = offsetof(struct policy, hold_count), .max = 64, .shape = &hold_shape },
};
const struct field_shape publication_shape = { .what = "the publication profile",
                                               .fields = publication_fields,
                                               .field_count = RF_COUNT(publication_fields) };

static const struct field_word release_words[] = { { "durable", RELEASE_DURABLE },
                                                   { "checkpointed", RELEASE_CHECKPOINTED },
                                                   { "witnessed", RELEASE_WITNESSED },
                                                   { NULL, 0 } };

#define CLASS(name, id)                                                                \
    {                                                                                  \
        name, FIELD_WORD, FIELD_AT(struct policy, release[id]), .words = release_words \
    }
static const struct field release_fields[] = {
    CLASS("identity", CLASS_IDENTITY), CLASS("contact", CLASS_CONTACT),
    CLASS("location", CLASS_LOCATION), CLASS("activity", CLASS_ACTIVITY),
    CLASS("graph", CLASS_GRAPH),       CLASS("content", CLASS_CONTENT),
    CLASS("payment", CLASS_PAYMENT),   CLASS("child", CLASS_CHILD),
};
#undef CLASS
const struct field_shape release_shape = { .what = "classes and how they are released",
                                           .fields = release_fields,
                                           .field_count = RF_COUNT(release_fields) };

const char *policy_profile_name(enum publication_profile profile)
{
    for (size_t i = 0; profile_words[i].word != NULL; i++)
        if (profile_words[i].value == (int64_t)profile)
            return profile_words[i].word;
    return "";
}

void policy_publication_check(struct field_reader *r, const struct policy *p)
{
    for (size_t i = 0; i < p->hold_count; i++) {
        bool is_known = false;
        for (size_t j = 0; j < p->purpose_count; j++)
            is_known = is_known || strcmp(p->purposes[j], p->holds[i].purpose) == 0;
        if (!is_known)
            field_wrong(r, NULL, p->holds[i].line,
                        "publication.held: \"%s\" is not among the purposes", p->holds[i].purpose);
    }
    for (int i = 0; i < CLASS_COUNT; i++)
        if (p->release[i] != RELEASE_DURABLE && p->publication_delay_ms > 0) {
            field_wrong(r, NULL, 0,
                        "release.%s: a log that is published late (publication.delay) has nothing "
                        "to wait for; only durable is possible",
                        policy_class_name((enum class_id)i));
            return;
        }
}
