/* right.h - the rights that the policy gives, against those that are there: a difference of sets.
 */
#ifndef RF_ENFORCE_RIGHT_H
#define RF_ENFORCE_RIGHT_H

#include "enforce/catalog.h"
#include "enforce/script.h"

struct right_set {
    struct arena arena;
    struct right {
        const char *grantee, *object, *privilege;
    } * rights;
    size_t count, cap;
    bool no_memory;
};

void right_set_init(struct right_set *set);
void right_set_done(struct right_set *set);

/* GRANTEE shall have PRIVILEGE on OBJECT: KIND ("TABLE") and a name as sql.h quotes it; SCHEMA NULL
   for what is in none. A name that cannot be quoted fails later, in right_set_compile(). */
void right_set_add(struct right_set *set, const char *grantee, const char *privilege,
                   const char *kind, const char *schema, const char *name);

/* The same for an object that is quoted already (functions). */
void right_set_add_quoted(struct right_set *set, const char *grantee, const char *privilege,
                          const char *object);

/* Append GRANT for what is wanted and not there, REVOKE for what is there and not wanted.
   IS_REMADE(object) says that an object loses its rights earlier in the script. */
RF_CHECK int right_set_compile(const struct right_set *set, const struct catalog *c,
                               bool (*is_remade)(void *context, const char *object), void *context,
                               struct script *script, struct err *err);

#endif
