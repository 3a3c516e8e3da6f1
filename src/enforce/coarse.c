#include "enforce/coarse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum form {
    FORM_NONE,
    FORM_FLOAT,
    FORM_NUMERIC,
    FORM_WHOLE,
    FORM_POINT,
    FORM_TEXT,
    FORM_JSON,
    FORM_POSTGIS,
    FORM_NETWORK
};

/* "public.geometry(Point,4326)": the reader of the catalog has only pg_catalog on its path. */
const char *coarse_postgis_schema(const struct catalog_column *fact, char out[64])
{
    static const char *const names[] = { ".geometry", ".geography" };
    for (size_t i = 0; i < RF_COUNT(names); i++) {
        const char *at = strstr(fact->type, names[i]);
        char behind = at != NULL ? at[strlen(names[i])] : 'x';
        size_t len = at != NULL ? (size_t)(at - fact->type) : 0;
        if ((behind != '\0' && behind != '(') || len == 0 || len >= 64)
            continue;
        memcpy(out, fact->type, len);
        out[len] = '\0';
        return out;
    }
    return NULL;
}

static enum form form_of(const struct policy_ingest *rule, const struct catalog_column *fact)
{
    char schema[64];
    bool is_address = fact->kind == KIND_INET || fact->kind == KIND_CIDR;
    if (rule->rule == INGEST_NETWORK)
        return is_address ? FORM_NETWORK : FORM_NONE;
    switch (fact->kind) {
    case KIND_FLOAT4:
    case KIND_FLOAT8:
        return FORM_FLOAT;
    case KIND_NUMERIC:
        return FORM_NUMERIC;
    case KIND_INT2:
    case KIND_INT4:
    case KIND_INT8:
        return FORM_WHOLE;
    case KIND_TEXT:
        return FORM_TEXT;
    case KIND_JSON:
    case KIND_JSONB:
        return FORM_JSON;
    case KIND_OTHER:
        return strcmp(fact->type, "point") == 0              ? FORM_POINT
               : coarse_postgis_schema(fact, schema) != NULL ? FORM_POSTGIS
                                                             : FORM_NONE;
    default:
        return FORM_NONE;
    }
}

static int64_t most_of(enum column_kind kind)
{
    return kind == KIND_INT2 ? INT16_MAX : kind == KIND_INT4 ? INT32_MAX : INT64_MAX;
}

int coarse_check(const struct policy_ingest *rule, const struct catalog_column *fact,
                 const char *where_name, struct err *err)
{
    enum form form = form_of(rule, fact);
    if (form == FORM_NONE) {
        int rc =
            err_set(err, RF_ECONFIG, "column %s of type %s cannot be %s on its way in", where_name,
                    fact->type, rule->rule == INGEST_NETWORK ? "cut to a network" : "coarsened");
        err_hint(err, "use refuse or null");
        return rc;
    }
    if (form == FORM_WHOLE && (rule->whole != 1 || rule->part > most_of(fact->kind)))
        return err_set(err, RF_ECONFIG, "the step of column %s does not fit type %s", where_name,
                       fact->type);
    return 0;
}

bool coarse_needs_function(const struct policy_ingest *rule, const struct catalog_column *fact)
{
    enum form form = form_of(rule, fact);
    return form == FORM_TEXT || form == FORM_JSON || form == FORM_POSTGIS;
}

bool coarse_may_fail(const struct policy_ingest *rule, const struct catalog_column *fact)
{
    enum form form = rule->rule == INGEST_COARSEN ? form_of(rule, fact) : FORM_NONE;
    return form == FORM_TEXT || form == FORM_JSON;
}

bool coarse_is_native(const struct policy_ingest *rule, const struct catalog_column *fact)
{
    static const char *const types[] = {
        "double precision", "real",  "smallint", "integer", "bigint",
        "numeric",          "point", "inet",     "cidr"
    };
    size_t len = strcspn(fact->type, "(");
    if (rule->rule != INGEST_COARSEN && rule->rule != INGEST_NETWORK)
        return true; /* whatever it is, it goes */
    for (size_t i = 0; i < RF_COUNT(types); i++)
        if (strlen(types[i]) == len && strncmp(types[i], fact->type, len) == 0)
            return form_of(rule, fact) != FORM_NONE;
    return false;
}

/* BEFORE, NAME and BEHIND make the operand: "NEW.lat", "(NEW.place)[0]". TYPE: of the arithmetic.
 */
static void add_rounded(struct sql *s, const struct policy_ingest *rule, const char *before,
                        const char *behind, const char *type)
{
    sql_add(s, "pg_catalog.round(%SNEW.%I%S", before, rule->column, behind);
    if (rule->whole != 1)
        sql_add(s, OP("*") "%S '%D'", type, rule->whole);
    if (rule->part != 1)
        sql_add(s, OP("/") "%S '%D'", type, rule->part);
    sql_add(s, ")");
    if (rule->part != 1)
        sql_add(s, OP("*") "%S '%D'", type, rule->part);
    if (rule->whole != 1)
        sql_add(s, OP("/") "%S '%D'", type, rule->whole);
}

static void add_whole(struct sql *s, const struct policy_ingest *rule,
                      const struct catalog_column *fact)
{
    const char *type = fact->kind == KIND_INT2   ? "smallint"
                       : fact->kind == KIND_INT4 ? "integer"
                                                 : "bigint";
    sql_add(s, "NEW.%I" OP("-") "(NEW.%I" OP("%%") "%S '%D')", rule->column, rule->column, type,
            rule->part);
}

static void add_bits(struct sql *s, const struct policy_ingest *rule)
{
    sql_add(s, "CASE pg_catalog.family(NEW.%I) WHEN 4 THEN %D ELSE %D END", rule->column,
            rule->bits_v4, rule->bits_v6);
}

static void add_step(struct sql *s, const struct policy_ingest *rule)
{
    sql_add(s, "double precision '%D', double precision '%D'", rule->part, rule->whole);
}

static void add_postgis(struct sql *s, const struct policy_ingest *rule,
                        const struct catalog_column *fact)
{
    char schema[64] = "";
    (void)coarse_postgis_schema(fact, schema);
    bool is_geography = strstr(fact->type, ".geography") != NULL;
    sql_add(s,
            "%S.st_snaptogrid(NEW.%I%S%S%S, double precision '%D'" OP("/") "double precision"
                                                                           " '%D')",
            schema, rule->column, is_geography ? "::" : "", is_geography ? schema : "",
            is_geography ? ".geometry" : "", rule->part, rule->whole);
    if (is_geography)
        sql_add(s, "::%S.geography", schema);
}

void coarse_add_value(struct sql *s, const struct policy_ingest *rule,
                      const struct catalog_column *fact)
{
    switch (form_of(rule, fact)) {
    case FORM_FLOAT:
        add_rounded(s, rule, "", "", "double precision");
        if (fact->kind == KIND_FLOAT4)
            sql_add(s, "::pg_catalog.float4");
        break;
    case FORM_NUMERIC:
        sql_add(s, "pg_catalog.trim_scale(");
        add_rounded(s, rule, "", "", "numeric");
        sql_add(s, ")");
        break;
    case FORM_WHOLE:
        add_whole(s, rule, fact);
        break;
    case FORM_POINT:
        sql_add(s, "pg_catalog.point(");
        add_rounded(s, rule, "(", ")[0]", "double precision");
        sql_add(s, ", ");
        add_rounded(s, rule, "(", ")[1]", "double precision");
        sql_add(s, ")");
        break;
    case FORM_TEXT:
        sql_add(s, "ringfence.coarse_text(NEW.%I::pg_catalog.text, ", rule->column);
        add_step(s, rule);
        sql_add(s, ")");
        break;
    case FORM_JSON:
        sql_add(s, "ringfence.coarse_json(NEW.%I::pg_catalog.jsonb, NULL, ", rule->column);
        add_step(s, rule);
        sql_add(s, ")");
        break;
    case FORM_POSTGIS:
        add_postgis(s, rule, fact);
        break;
    case FORM_NETWORK:
        sql_add(s,
                "pg_catalog.network(pg_catalog.set_masklen(NEW.%I, LEAST(pg_catalog.masklen(NEW.%I)"
                ", ",
                rule->column, rule->column);
        add_bits(s, rule);
        sql_add(s, ")))");
        break;
    case FORM_NONE:
        sql_add(s, "NULL");
        break;
    }
}

void coarse_add_is_finer(struct sql *s, const struct policy_ingest *rule,
                         const struct catalog_column *fact)
{
    char schema[64] = "";
    switch (form_of(rule, fact)) {
    case FORM_POINT:
        sql_add(s, "((NEW.%I)[0]" OP("<>") "(", rule->column);
        add_rounded(s, rule, "(", ")[0]", "double precision");
        sql_add(s, ") OR (NEW.%I)[1]" OP("<>") "(", rule->column);
        add_rounded(s, rule, "(", ")[1]", "double precision");
        sql_add(s, "))");
        return;
    case FORM_NETWORK:
        sql_add(s, "(pg_catalog.masklen(NEW.%I)" OP(">") "(", rule->column);
        add_bits(s, rule);
        sql_add(s, ")");
        if (fact->kind == KIND_INET) /* 198.51.100.77/16 is a whole address with a short mask */
            sql_add(s, " OR NEW.%I" OP("<>") "pg_catalog.network(NEW.%I)", rule->column,
                    rule->column);
        sql_add(s, ")");
        return;
    case FORM_JSON: /* unreadable is not coarse either */
        sql_add(s, "((NEW.%I::pg_catalog.jsonb" OP("=") "", rule->column);
        coarse_add_value(s, rule, fact);
        sql_add(s, ") IS NOT TRUE)");
        return;
    case FORM_TEXT:
        sql_add(s, "((NEW.%I::pg_catalog.text" OP("=") "", rule->column);
        coarse_add_value(s, rule, fact);
        sql_add(s, ") IS NOT TRUE)");
        return;
    case FORM_POSTGIS:
        (void)coarse_postgis_schema(fact, schema);
        sql_add(s, "(%S.st_asewkb(NEW.%I::%S.geometry)" OP("<>") "%S.st_asewkb((", schema,
                rule->column, schema, schema);
        coarse_add_value(s, rule, fact);
        sql_add(s, ")::%S.geometry))", schema);
        return;
    default:
        sql_add(s, "(NEW.%I" OP("<>") "(", rule->column);
        coarse_add_value(s, rule, fact);
        sql_add(s, "))");
    }
}

const char *coarse_words(const struct policy_ingest *rule, char out[COARSE_WORDS_SIZE])
{
    char decimals[16];
    int64_t factor = 1000000 / (rule->whole > 0 ? rule->whole : 1);
    if (rule->rule == INGEST_NETWORK) {
        (void)snprintf(out, COARSE_WORDS_SIZE, "network /%" PRId64 " or /%" PRId64, rule->bits_v4,
                       rule->bits_v6);
        return out;
    }
    if (rule->whole == 1) {
        (void)snprintf(out, COARSE_WORDS_SIZE, "multiple of %" PRId64, rule->part);
        return out;
    }
    /* the denominator divides a million: policy_ingest.c reads at most six digits */
    (void)snprintf(decimals, sizeof(decimals), "%06" PRId64, rule->part % rule->whole * factor);
    for (size_t len = strlen(decimals); len > 1 && decimals[len - 1] == '0'; len--)
        decimals[len - 1] = '\0';
    (void)snprintf(out, COARSE_WORDS_SIZE, "multiple of %" PRId64 ".%s", rule->part / rule->whole,
                   decimals);
    return out;
}

/* A number as text, coarse; NULL when it is none. Nothing of degrees is beyond 180: what is there,
   in steps of degrees, is metres or millionths of a degree, which such steps leave as they are. */
const char coarse_number_source[] =
    "CREATE FUNCTION ringfence.coarse_number(value text, part double precision,"
    " whole double precision) RETURNS text LANGUAGE sql IMMUTABLE"
    " SET search_path = pg_catalog, pg_temp AS $f$"
    "SELECT CASE WHEN value ~ '^[-+]?[0-9]{1,15}(\\.[0-9]{0,30})?([eE][-+]?[0-9]{1,2})?$'"
    " AND (part / whole > 10 OR abs(value::double precision) <= 180)"
    " THEN (round(value::double precision * whole / part) * part / whole)::text END$f$";

/* "52.5200,13.4050", "52.52", "(52.52; 13.40)", "geo:52.52,13.40", WKT, or JSON in a text. Whatever
   else there is (degrees and minutes, also as "52 31 12"; geohashes; street names) cannot be told
   coarse from fine: NULL. */
const char coarse_text_source[] =
    "CREATE FUNCTION ringfence.coarse_text(value text, part double precision,"
    " whole double precision) RETURNS text LANGUAGE plpgsql IMMUTABLE"
    " SET search_path = pg_catalog, pg_temp AS $f$\n"
    "DECLARE\n"
    "    rest text := value;\n"
    "    made text := '';\n"
    "    piece text[];\n"
    "    number text;\n"
    "BEGIN\n"
    "    IF value ~ '^\\s*[[{]' AND value !~ '^\\s*\\[[-+0-9.eE,;\\s]*\\]\\s*$' THEN\n"
    "        BEGIN\n"
    "            RETURN ringfence.coarse_json(value::jsonb, NULL, part, whole)::text;\n"
    "        EXCEPTION WHEN data_exception THEN\n"
    "            RETURN NULL;\n"
    "        END;\n"
    "    END IF;\n"
    "    IF value ~* '^\\s*geo:[-+0-9.eE,\\s]*(;.*)?$' THEN\n"
    "        rest := split_part(value, ';', 1);\n"
    "    ELSIF value !~* '^\\s*(SRID=[0-9]+;)?\\s*(MULTI)?(POINT|LINESTRING|POLYGON)\\s*(Z|M|ZM)?"
    "\\s*[(][-+0-9.eE,()\\s]*$'\n"
    "          AND value !~ '^[\\s([]*[-+]?[0-9.]+([eE][-+]?[0-9]+)?"
    "([\\s)\\]]*[,;][\\s([]*[-+]?[0-9.]+([eE][-+]?[0-9]+)?){0,3}[\\s)\\]]*$'"
    " THEN\n"
    "        RETURN NULL;\n"
    "    END IF;\n"
    "    made := coalesce(substring(rest from '^\\s*SRID=[0-9]+;'), '');\n"
    "    rest := substr(rest, length(made) + 1);\n"
    "    LOOP\n"
    "        piece := regexp_match(rest, '^([^-+0-9.]*)([-+]?[0-9.]+([eE][-+]?[0-9]+)?)(.*)$', "
    "'s');\n"
    "        EXIT WHEN piece IS NULL;\n"
    "        number := ringfence.coarse_number(piece[2], part, whole);\n"
    "        IF number IS NULL THEN\n"
    "            RETURN NULL;\n"
    "        END IF;\n"
    "        made := made || piece[1] || number;\n"
    "        rest := piece[4];\n"
    "    END LOOP;\n"
    "    RETURN CASE WHEN rest ~ '[0-9]' THEN NULL ELSE made || rest END;\n"
    "END $f$";

/* Below the key of a place, and outside of all objects (IS_PLACE is NULL: "[52.52, 13.40]"):
   numbers, texts that are numbers or places, lists of them. Objects below such a key may hold keys
   of places and nothing else that could be one. Elsewhere everything stays. */
const char coarse_json_source[] =
    "CREATE FUNCTION ringfence.coarse_json(value jsonb, is_place boolean, part double precision,"
    " whole double precision) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE"
    " SET search_path = pg_catalog, pg_temp AS $f$\n"
    "DECLARE\n"
    "    made jsonb;\n"
    "    name text;\n"
    "    inner_value jsonb;\n"
    "    is_key boolean;\n"
    "BEGIN\n"
    "    CASE jsonb_typeof(value)\n"
    "    WHEN 'object' THEN\n"
    "        made := '{}';\n"
    "        FOR name, inner_value IN SELECT e.key, e.value FROM jsonb_each(value) e LOOP\n"
    "            is_key := lower(name) IN ('lat', 'lon', 'lng', 'long', 'latitude', 'longitude',\n"
    "                'latlng', 'latlon', 'coordinate', 'coordinates', 'coords', 'geo', "
    "'geopoint',\n"
    "                'gps');\n"
    "            IF is_place AND NOT is_key AND jsonb_typeof(inner_value) <> 'null'\n"
    "               AND lower(name) NOT IN ('type', 'crs', 'srid') THEN\n"
    "                RETURN NULL;\n"
    "            END IF;\n"
    "            inner_value := ringfence.coarse_json(inner_value, is_key, part, whole);\n"
    "            IF inner_value IS NULL THEN\n"
    "                RETURN NULL;\n"
    "            END IF;\n"
    "            made := made || jsonb_build_object(name, inner_value);\n"
    "        END LOOP;\n"
    "        RETURN made;\n"
    "    WHEN 'array' THEN\n"
    "        made := '[]';\n"
    "        FOR inner_value IN SELECT e.value FROM jsonb_array_elements(value) e LOOP\n"
    "            inner_value := ringfence.coarse_json(inner_value, is_place, part, whole);\n"
    "            IF inner_value IS NULL THEN\n"
    "                RETURN NULL;\n"
    "            END IF;\n"
    "            made := made || jsonb_build_array(inner_value);\n"
    "        END LOOP;\n"
    "        RETURN made;\n"
    "    WHEN 'number' THEN\n"
    "        RETURN CASE WHEN is_place IS NOT FALSE THEN\n"
    "            to_jsonb(ringfence.coarse_number(value::text, part, whole)::numeric)\n"
    "            ELSE value END;\n"
    "    WHEN 'string' THEN\n"
    "        RETURN CASE WHEN is_place IS NOT FALSE THEN\n"
    "            to_jsonb(ringfence.coarse_text(value #>> '{}', part, whole)) ELSE value END;\n"
    "    ELSE\n"
    "        RETURN value;\n"
    "    END CASE;\n"
    "END $f$";
