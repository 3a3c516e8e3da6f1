\echo Use "CREATE EXTENSION ringfence" to load this file. \quit

-- Whom `ringfence apply` lets call these, it says in the grants it makes. Nobody but the views' readers
-- needs them, and those cannot name them: nobody has USAGE on this schema.
REVOKE ALL ON SCHEMA ringfence_native FROM PUBLIC;

-- Stable, not immutable: the key is read from ringfence.pseudonym_key and turns with the month. An
-- immutable one would be computed when the plan is made, where the wall against calls by hand is
-- lower (see pseudonym.c), and would keep last month's pseudonym in cached plans.
CREATE FUNCTION ringfence_native.pseudonym(value bigint, domain text) RETURNS bigint
    AS 'MODULE_PATHNAME', 'ringfence_pseudonym_int8' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION ringfence_native.pseudonym(value integer, domain text) RETURNS integer
    AS 'MODULE_PATHNAME', 'ringfence_pseudonym_int4' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION ringfence_native.pseudonym(value uuid, domain text) RETURNS uuid
    AS 'MODULE_PATHNAME', 'ringfence_pseudonym_uuid' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION ringfence_native.pseudonym(value text, domain text, digits integer) RETURNS text
    AS 'MODULE_PATHNAME', 'ringfence_pseudonym_text' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION ringfence_native.value_of(pseudonym bigint, domain text) RETURNS bigint
    AS 'MODULE_PATHNAME', 'ringfence_value_of_int8' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION ringfence_native.value_of(pseudonym integer, domain text) RETURNS integer
    AS 'MODULE_PATHNAME', 'ringfence_value_of_int4' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION ringfence_native.value_of(pseudonym uuid, domain text) RETURNS uuid
    AS 'MODULE_PATHNAME', 'ringfence_value_of_uuid' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION ringfence_native.seek_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'ringfence_seek_support' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION ringfence_native.seek(value anyelement) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_seek' LANGUAGE C IMMUTABLE PARALLEL SAFE
    SUPPORT ringfence_native.seek_support;
CREATE FUNCTION ringfence_native.sift_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'ringfence_sift_support' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION ringfence_native.sift(many boolean, one boolean) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_sift' LANGUAGE C IMMUTABLE PARALLEL SAFE
    SUPPORT ringfence_native.sift_support;

CREATE FUNCTION ringfence_native.key_set_add(internal, bigint) RETURNS internal
    AS 'MODULE_PATHNAME', 'ringfence_key_set_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION ringfence_native.key_set_end(internal) RETURNS bytea
    AS 'MODULE_PATHNAME', 'ringfence_key_set_end' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE AGGREGATE ringfence_native.key_set(bigint) (
    SFUNC = ringfence_native.key_set_add, STYPE = internal, SSPACE = 65536,
    FINALFUNC = ringfence_native.key_set_end, PARALLEL = SAFE);
CREATE FUNCTION ringfence_native.is_among_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'ringfence_is_among_support' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION ringfence_native.is_among(key bigint, keys bytea) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_is_among' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    SUPPORT ringfence_native.is_among_support;

-- The day on which those were born who are YEARS old on this day, in UTC.
CREATE FUNCTION ringfence_native.born_by(years integer) RETURNS date
    AS 'MODULE_PATHNAME', 'ringfence_born_by' LANGUAGE C STABLE STRICT PARALLEL SAFE;

-- Row trigger for what comes in: ingest.c says what its arguments mean. `ringfence apply` makes such triggers.
CREATE FUNCTION ringfence_native.ingest() RETURNS trigger
    AS 'MODULE_PATHNAME', 'ringfence_ingest' LANGUAGE C;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ringfence_native FROM PUBLIC;
