"""Whole rows and composite types: a row as one value, expanded, compared, cast, taken by position."""


def attack(g):
    table = g.table()
    alias = g.alias()
    column = g.one(*g.tables[table])[0]
    shown = g.one(f"{alias}", f"({alias}).*", f"{alias}::text", f"row({alias}.*)",
                  f"({alias}::text)::{table}",
                  f"{alias} IS NOT NULL, {alias}", f"row_to_json({alias})",
                  f"to_jsonb({alias}) - 'id'", f"hstore({alias})",
                  f"array_agg({alias})", f"max({alias}::text)", f"(array_agg({alias}))[1].{column}",
                  f"json_agg({alias})",
                  f"{column}({alias})", f"xmlforest({alias})", f"quote_literal({alias})",
                  f"record_out({alias})",
                  f"textin(record_out({alias}))", f"format('%s', {alias})", f"concat({alias}, '')",
                  f"record_send({alias})",
                  f"NULL::app.{table}", f"json_each_text(row_to_json({alias}))",
                  f"pg_typeof({alias}), hash_record({alias})",
                  f"jsonb_populate_record(NULL::app.{table}, to_jsonb({alias}))",
                  f"({alias}::app.{table})",
                  f"count(DISTINCT {alias}), min({alias}.{column}::text)")
    where = g.one("", "", f" WHERE {alias} IS NOT NULL", f" WHERE {alias} = {alias}",
                  f" WHERE {alias} *= {alias}",
                  f" WHERE row({alias}.*) > row({alias}.*) IS NULL OR true")
    return f"SELECT {shown} FROM {g.named(table)} {alias}{where}{g.limit()}"
