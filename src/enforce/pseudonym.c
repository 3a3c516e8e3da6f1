/* Pseudonyms are SHA-256(domain key ‖ value), cut. The domain key is
 *
 *     SHA-256(master ‖ "ringfence pseudonym 1 " ‖ month ‖ " " ‖ domain)
 *
 * (month: its first day, in UTC, as days since the first of 2000; not to_char(), which persons may
 * not call)
 * with the region's random master key, which only the views' owner can read. It stands in the view
 * as a subselect without outer references: PostgreSQL evaluates it once a query, nothing has to be
 * written when the month turns, and it works on a standby. A key in front of the value is enough
 * where a hash is cut: to lengthen a message one would need all 256 bits of its hash, and at most
 * 128 are shown. Two domains never compare equal, nor do two months or two regions.
 *
 * Where extension ringfence is installed, it makes the pseudonyms: other ones, for a twentieth of
 * the time, and rows can be looked up by them (extension/pseudonym.c). */
#include "enforce/pseudonym.h"

#include <string.h>

#include "enforce/role.h"

const char *pseudonym_family(enum column_kind kind)
{
    switch (kind) {
    case KIND_INT8:
        return "bigint";
    case KIND_INT4:
        return "integer";
    case KIND_TEXT:
        return "text";
    case KIND_UUID:
        return "uuid";
    default:
        return NULL;
    }
}

/* Types whose pseudonyms the extension can turn back into values. NULL: none. */
static const char *native_type(enum column_kind kind)
{
    return kind == KIND_TEXT ? NULL : pseudonym_family(kind);
}

/* "ringfence_native.pseudonym(…)". Casts name the family's type, for domains over it. */
static int add_native(struct sql *s, const struct policy_column *column,
                      const struct catalog_column *fact, int digits, const char *domain)
{
    sql_add(s, SCHEMA_NATIVE ".pseudonym(t.%I::%S, %L", column->name, pseudonym_family(fact->kind),
            domain);
    if (fact->kind == KIND_TEXT)
        sql_add(s, ", %D", (int64_t)digits);
    sql_add(s, ")");
    return 0;
}

void pseudonym_add_lookups(struct sql *s, const struct policy_table *t,
                           const struct catalog_table *fact, const char *between)
{
    for (size_t i = 0; i < t->column_count; i++) {
        const struct catalog_column *column = catalog_column_find(fact, t->columns[i].name);
        if (column == NULL || !column->has_native || t->columns[i].mask != MASK_PSEUDONYM ||
            native_type(column->kind) == NULL)
            continue;
        sql_add(s, "%S" SCHEMA_NATIVE ".seek(t.%I::%S)", between, column->name,
                native_type(column->kind));
        between = " AND ";
    }
}

int pseudonym_digits(const struct catalog_column *fact)
{
    if (fact->kind != KIND_TEXT || fact->width == 0)
        return PSEUDONYM_DIGITS_MAX;
    /* "p_" in front where at least five digits are left beside it: see pseudonym_add() */
    int digits = fact->width >= 7 ? fact->width - 2 : fact->width < 4 ? fact->width : 4;
    return digits < PSEUDONYM_DIGITS_MAX ? digits : PSEUDONYM_DIGITS_MAX;
}

/* SECRET: bytes of the caller's in place of the region's key and the month; NULL: none. */
static void add_hash(struct sql *s, const char *secret, const char *domain, const char *as_bytes,
                     const char *name)
{
    if (secret != NULL) {
        sql_add(s, "sha256(%S || '\\x", secret);
        for (const char *at = domain; *at != '\0'; at++)
            sql_add(s, "%S",
                    (char[]){ "0123456789abcdef"[(uint8_t)*at >> 4], "0123456789abcdef"[*at & 15],
                              '\0' });
        sql_add(s, "'::bytea || ");
        sql_add(s, as_bytes, name);
        sql_add(s, ")");
        return;
    }
    sql_add(s,
            "sha256((SELECT sha256(k.key || convert_to('ringfence pseudonym 1 ' ||"
            " CAST(CAST(date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC') AS date)"
            " - date '2000-01-01' AS text) || ' ' || %L, 'UTF8'))"
            " FROM ringfence.pseudonym_key k) || ",
            domain);
    sql_add(s, as_bytes, name);
    sql_add(s, ")");
}

int pseudonym_add(struct sql *s, const struct policy_column *column,
                  const struct catalog_column *fact, int digits, const char *where_name,
                  struct err *err)
{
    return pseudonym_add_secret(s, column, fact, digits, where_name, NULL, err);
}

int pseudonym_add_secret(struct sql *s, const struct policy_column *column,
                         const struct catalog_column *fact, int digits, const char *where_name,
                         const char *secret, struct err *err)
{
    const char *domain = column->domain != NULL ? column->domain : where_name;
    if (secret == NULL && fact->has_native && pseudonym_family(fact->kind) != NULL)
        return add_native(s, column, fact, digits, domain);
    if (secret != NULL && secret[0] == '\0' && pseudonym_family(fact->kind) != NULL) {
        sql_add(s, SCHEMA_NATIVE ".pseudonym_under(t.%I::%S, %L", column->name,
                pseudonym_family(fact->kind), domain);
        if (fact->kind == KIND_TEXT)
            sql_add(s, ", %D", (int64_t)digits);
        sql_add(s, ")");
        return 0;
    }
    switch (fact->kind) {
    case KIND_INT8: /* 63 bits: never negative */
        sql_add(s, "('x' || encode(substr(");
        add_hash(s, secret, domain, "int8send(t.%I::bigint)", column->name);
        sql_add(s, ", 1, 8), 'hex'))::bit(64)::bigint & 9223372036854775807");
        return 0;
    case KIND_INT4: /* 31 bits: two of many values may meet, as the type leaves no more room */
        sql_add(s, "('x' || encode(substr(");
        add_hash(s, secret, domain, "int4send(t.%I::integer)", column->name);
        sql_add(s, ", 1, 4), 'hex'))::bit(32)::integer & 2147483647");
        return 0;
    case KIND_UUID:
        sql_add(s, "encode(substr(");
        add_hash(s, secret, domain, "uuid_send(t.%I::uuid)", column->name);
        sql_add(s, ", 1, 16), 'hex')::uuid");
        return 0;
    case KIND_TEXT:
        /* through text, so that the padding of char(n) does not count */
        sql_add(s, "%Sleft(encode(substr(", digits > 4 ? "'p_' || " : "");
        add_hash(s, secret, domain, "convert_to(t.%I::text, 'UTF8')", column->name);
        sql_add(s, ", 1, 16), 'hex'), %D)", (int64_t)digits);
        return 0;
    default:
        return err_set(err, RF_ECONFIG, "column %s of type %s cannot have mask \"pseudonym\"",
                       where_name, fact->type);
    }
}
