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
#include "policy/watermark.h"

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

/* "sha256(…)" of the column's value, with the region's key and the month. */
static void add_hash(struct sql *s, const char *domain, const char *as_bytes, const char *name)
{
    sql_add(s,
            "sha256((SELECT sha256(k.key || convert_to('ringfence pseudonym 1 ' ||"
            " CAST(CAST(date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC') AS date)"
            " - date '2000-01-01' AS text) || ' ' || %L, 'UTF8'))"
            " FROM ringfence.pseudonym_key k) || ",
            domain);
    sql_add(s, as_bytes, name);
    sql_add(s, ")");
}

/* How the values of a kind become bytes for the hash. Text: through text, so that the padding of
   char(n) does not count. NULL: no pseudonyms. */
static const char *bytes_of(enum column_kind kind)
{
    switch (kind) {
    case KIND_INT8:
        return "int8send(t.%I::bigint)";
    case KIND_INT4:
        return "int4send(t.%I::integer)";
    case KIND_UUID:
        return "uuid_send(t.%I::uuid)";
    case KIND_TEXT:
        return "convert_to(t.%I::text, 'UTF8')";
    default:
        return NULL;
    }
}

static int refuse_type(const struct catalog_column *fact, const char *where_name, struct err *err)
{
    return err_set(err, RF_ECONFIG, "column %s of type %s cannot have mask \"pseudonym\"",
                   where_name, fact->type);
}

int pseudonym_add(struct sql *s, const struct policy_column *column,
                  const struct catalog_column *fact, int digits, const char *where_name,
                  struct err *err)
{
    const char *domain = column->domain != NULL ? column->domain : where_name;
    const char *as_bytes = bytes_of(fact->kind);
    if (as_bytes == NULL)
        return refuse_type(fact, where_name, err);
    if (fact->has_native)
        return add_native(s, column, fact, digits, domain);
    switch (fact->kind) {
    case KIND_INT8: /* 63 bits: never negative */
        sql_add(s, "('x' || encode(substr(");
        add_hash(s, domain, as_bytes, column->name);
        sql_add(s, ", 1, 8), 'hex'))::bit(64)::bigint & 9223372036854775807");
        return 0;
    case KIND_INT4: /* 31 bits: two of many values may meet, as the type leaves no more room */
        sql_add(s, "('x' || encode(substr(");
        add_hash(s, domain, as_bytes, column->name);
        sql_add(s, ", 1, 4), 'hex'))::bit(32)::integer & 2147483647");
        return 0;
    case KIND_UUID:
        sql_add(s, "encode(substr(");
        add_hash(s, domain, as_bytes, column->name);
        sql_add(s, ", 1, 16), 'hex')::uuid");
        return 0;
    default:
        sql_add(s, "%Sleft(encode(substr(", digits > 4 ? "'p_' || " : "");
        add_hash(s, domain, as_bytes, column->name);
        sql_add(s, ", 1, 16), 'hex'), %D)", (int64_t)digits);
        return 0;
    }
}

/* --- under a grant -------------------------------------------------------------------------------
 */

/* One pseudonym in the making. */
struct under {
    struct sql *sql;
    const struct pseudonym_key *key;
    const char *domain, *column, *as_bytes;
    int digits;   /* hexadecimal ones of the whole */
    bool is_sign; /* the first bit is a sign, and stays clear */
};

/* SHA-256(secret ‖ domain ‖ value), cut to LEN bytes */
static void add_hash_under(const struct under *u, int len)
{
    sql_add(u->sql, "%Ssubstr(sha256(%S || '\\x", u->is_sign ? "set_bit(" : "", u->key->secret);
    for (const char *at = u->domain; *at != '\0'; at++)
        sql_add(u->sql, "%S",
                (char[]){ "0123456789abcdef"[(uint8_t)*at >> 4], "0123456789abcdef"[*at & 15],
                          '\0' });
    sql_add(u->sql, "'::bytea || ");
    sql_add(u->sql, u->as_bytes, u->column);
    sql_add(u->sql, "), 1, %D)%S", (int64_t)len, u->is_sign ? ", 7, 0)" : "");
}

/* The hexadecimal digits, the last of them made of the bytes before by the watermark. Those bytes
   have a SELECT of their own, or they would be made twice. */
static void add_digits(const struct under *u)
{
    bool is_marked = u->digits >= WATERMARK_DIGITS_MIN;
    if (is_marked)
        sql_add(u->sql,
                "(SELECT left(encode(f.x || substr(sha256(%S || f.x), 1, 4), 'hex'), %D)"
                " FROM (SELECT ",
                u->key->watermark, (int64_t)u->digits);
    else
        sql_add(u->sql, "left(encode(");
    add_hash_under(u, is_marked ? (u->digits - WATERMARK_DIGITS) / 2 : (u->digits + 1) / 2);
    if (is_marked)
        sql_add(u->sql, " OFFSET 0) f(x))");
    else
        sql_add(u->sql, ", 'hex'), %D)", (int64_t)u->digits);
}

int pseudonym_add_under(struct sql *s, const struct policy_column *column,
                        const struct catalog_column *fact, int digits, const char *where_name,
                        const struct pseudonym_key *key, struct err *err)
{
    struct under u = { .sql = s,
                       .key = key,
                       .domain = column->domain != NULL ? column->domain : where_name,
                       .column = column->name,
                       .as_bytes = bytes_of(fact->kind),
                       .is_sign = fact->kind == KIND_INT8 || fact->kind == KIND_INT4 };
    if (u.as_bytes == NULL)
        return refuse_type(fact, where_name, err);
    if (key->secret[0] == '\0') {
        sql_add(s, SCHEMA_NATIVE ".pseudonym_under(t.%I::%S, %L", column->name,
                pseudonym_family(fact->kind), u.domain);
        if (fact->kind == KIND_TEXT)
            sql_add(s, ", %D", (int64_t)digits);
        sql_add(s, ")");
        return 0;
    }
    u.digits = fact->kind == KIND_INT8   ? 16
               : fact->kind == KIND_INT4 ? 8
               : fact->kind == KIND_UUID ? 32
                                         : digits;
    sql_add(s, "%S(", fact->kind != KIND_TEXT && fact->kind != KIND_UUID ? "('x' || " : "");
    if (fact->kind == KIND_TEXT && digits > 4)
        sql_add(s, "'p_' || ");
    add_digits(&u);
    sql_add(s, "%S",
            fact->kind == KIND_INT8   ? "))::bit(64)::bigint"
            : fact->kind == KIND_INT4 ? "))::bit(32)::integer"
            : fact->kind == KIND_UUID ? ")::uuid"
                                      : ")");
    return 0;
}

/* Microseconds since the quarter hour. Infinity has some, too. */
static void add_quarter(struct sql *s, const struct catalog_column *fact)
{
    sql_add(s,
            "((('x' || encode(%S(t.%I), 'hex'))::bit(64)::bigint %% 900000000 + 900000000) %%"
            " 900000000)",
            fact->kind == KIND_TIMESTAMP ? "timestamp_send" : "timestamptz_send", fact->name);
}

bool pseudonym_has_time(const struct catalog_column *fact)
{
    return (fact->kind == KIND_TIMESTAMP &&
            strcmp(fact->type, "timestamp without time zone") == 0) ||
           (fact->kind == KIND_TIMESTAMPTZ && strcmp(fact->type, "timestamp with time zone") == 0);
}

void pseudonym_add_time(struct sql *s, const struct catalog_column *fact,
                        const struct pseudonym_key *key)
{
    if (key->secret[0] == '\0') {
        sql_add(s, SCHEMA_NATIVE ".time_under(t.%I)", fact->name);
        return;
    }
    sql_add(s, "(t.%I + (('x' || encode(substr(sha256(%S || int4send((", fact->name,
            key->watermark);
    add_quarter(s, fact);
    sql_add(s, " / 1000)::integer)), 1, 4), 'hex'))::bit(32)::bigint %% 1000 - ");
    add_quarter(s, fact);
    sql_add(s, " %% 1000) * interval '1 microsecond')");
}
