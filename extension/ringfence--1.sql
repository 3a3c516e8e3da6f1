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
-- The day on which those were born who are YEARS old on this day, in UTC.
CREATE FUNCTION ringfence_native.born_by(years integer) RETURNS date
    AS 'MODULE_PATHNAME', 'ringfence_born_by' LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION ringfence_native.is_adult_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'ringfence_is_adult_support' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION ringfence_native.is_adult(birth date, years integer) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_is_adult_date' LANGUAGE C STABLE STRICT PARALLEL SAFE
    SUPPORT ringfence_native.is_adult_support;
CREATE FUNCTION ringfence_native.is_adult(birth timestamp, years integer) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_is_adult_timestamp' LANGUAGE C STABLE STRICT PARALLEL SAFE
    SUPPORT ringfence_native.is_adult_support;

-- Does ringfence.child say that this subject is no adult? NULL is nobody, and no child.
CREATE FUNCTION ringfence_native.is_child_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'ringfence_is_child_support' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION ringfence_native.is_child(key bigint) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_is_child' LANGUAGE C STABLE PARALLEL SAFE COST 5
    SUPPORT ringfence_native.is_child_support;

-- Masks of times, in UTC, and of whole numbers.
CREATE FUNCTION ringfence_native.day_of(at timestamptz) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'ringfence_day_of' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.day_of(at timestamp) RETURNS timestamp
    AS 'MODULE_PATHNAME', 'ringfence_day_of' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.month_of(at timestamptz) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'ringfence_month_of' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.month_of(at timestamp) RETURNS timestamp
    AS 'MODULE_PATHNAME', 'ringfence_month_of' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.month_of(day date) RETURNS date
    AS 'MODULE_PATHNAME', 'ringfence_month_of_date' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.year_of(at timestamptz) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'ringfence_year_of' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.year_of(at timestamp) RETURNS timestamp
    AS 'MODULE_PATHNAME', 'ringfence_year_of' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.year_of(day date) RETURNS date
    AS 'MODULE_PATHNAME', 'ringfence_year_of_date' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.coarse(value bigint, step bigint) RETURNS bigint
    AS 'MODULE_PATHNAME', 'ringfence_coarse_int8' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.coarse(value integer, step integer) RETURNS integer
    AS 'MODULE_PATHNAME', 'ringfence_coarse_int4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION ringfence_native.coarse(value smallint, step smallint) RETURNS smallint
    AS 'MODULE_PATHNAME', 'ringfence_coarse_int2' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- Room granted: grant.c. Marks are stable, or no condition could be moved into a view and no unused
-- column left out; they are dear, to come behind every other condition, and restricted, because what a
-- parallel worker says may arrive after its rows.
CREATE FUNCTION ringfence_native.subjects_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'ringfence_subjects_support' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION ringfence_native.subjects() RETURNS SETOF bigint
    AS 'MODULE_PATHNAME', 'ringfence_subjects' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
    SUPPORT ringfence_native.subjects_support;
CREATE FUNCTION ringfence_native.subject_keys() RETURNS bigint[]
    AS 'MODULE_PATHNAME', 'ringfence_subject_keys' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION ringfence_native.has_class(key bigint, class integer) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_has_class' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION ringfence_native.mark(key bigint, class integer, name text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_mark' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 1000;
CREATE FUNCTION ringfence_native.mark_all(class integer, name text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ringfence_mark_all' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 1000;
CREATE FUNCTION ringfence_native.pseudonym_under(value bigint, domain text) RETURNS bigint
    AS 'MODULE_PATHNAME', 'ringfence_pseudonym_under_int8' LANGUAGE C STABLE STRICT
    PARALLEL RESTRICTED COST 20;
CREATE FUNCTION ringfence_native.pseudonym_under(value integer, domain text) RETURNS integer
    AS 'MODULE_PATHNAME', 'ringfence_pseudonym_under_int4' LANGUAGE C STABLE STRICT
    PARALLEL RESTRICTED COST 20;
CREATE FUNCTION ringfence_native.pseudonym_under(value uuid, domain text) RETURNS uuid
    AS 'MODULE_PATHNAME', 'ringfence_pseudonym_under_uuid' LANGUAGE C STABLE STRICT
    PARALLEL RESTRICTED COST 20;
CREATE FUNCTION ringfence_native.pseudonym_under(value text, domain text, digits integer) RETURNS text
    AS 'MODULE_PATHNAME', 'ringfence_pseudonym_under_text' LANGUAGE C STABLE STRICT
    PARALLEL RESTRICTED COST 20;
CREATE FUNCTION ringfence_native.time_under(at timestamptz) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'ringfence_time_under' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 10;
CREATE FUNCTION ringfence_native.time_under(at timestamp) RETURNS timestamp
    AS 'MODULE_PATHNAME', 'ringfence_time_under' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 10;

-- Row trigger for what comes in: ingest.c says what its arguments mean. `ringfence apply` makes such triggers.
CREATE FUNCTION ringfence_native.ingest() RETURNS trigger
    AS 'MODULE_PATHNAME', 'ringfence_ingest' LANGUAGE C;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ringfence_native FROM PUBLIC;
