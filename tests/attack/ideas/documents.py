"""JSON and XML: build, take apart, and the functions that run a query given as text."""


def attack(g):
    clause, columns = g.scope()
    a, b = g.as_text(columns), g.as_text(columns)
    table = g.table()
    if g.chance(0.25):
        inner = f"SELECT {a} AS a FROM {clause}"
        quoted = inner.replace("'", "''")
        return g.one(f"SELECT query_to_xml('{quoted}', true, false, '')",
                     f"SELECT query_to_xml_and_xmlschema('{quoted}', false, true, '')",
                     f"SELECT table_to_xml('{g.named(table)}', true, false, '')",
                     f"SELECT schema_to_xml('{g.one('app', 'masked', 'stats', 'granted')}', true, false, '')",
                     "SELECT database_to_xml(true, false, '')",
                     f"SELECT * FROM ts_stat('SELECT to_tsvector(''simple'', ({a.replace(chr(39), chr(39) * 2)})) FROM {clause}')",
                     f"SELECT (xpath('//a/text()', query_to_xml('{quoted}', true, true, '')))::text")
    call = g.one(f"json_build_object('a', {a}, 'b', {b})", f"jsonb_build_array({a}, {b})",
                 f"to_jsonb({a})", f"json_agg({a})",
                 f"jsonb_pretty(jsonb_agg(jsonb_build_object({a}, {b})))",
                 f"json_object(ARRAY[{a}], ARRAY[{b}])",
                 f"xmlelement(name x, xmlattributes({a} AS y), {b})", f"xmlforest({a} AS a)",
                 f"xmlconcat(xmlelement(name q, {a}))",
                 f"xmlserialize(content xmlelement(name q, {a}) AS text)", f"xmlcomment({a})",
                 f"json_strip_nulls(json_build_object('k', {a}))",
                 f"jsonb_path_query_array(jsonb_build_object('a', {a}), '$.a')",
                 f"xpath('/x/text()', xmlelement(name x, {a}))",
                 f"jsonb_set('{{}}', '{{a}}', to_jsonb({a}))",
                 f"to_json(ARRAY[{a}, {b}]) #>> '{{0}}'", f"jsonb_object_agg({b}, {a})",
                 f"json_object_agg({b}, {a})", f"xmlagg(xmlelement(name q, {a}))")
    return f"SELECT {call} FROM {clause}{g.where(columns, 0.3)}{g.limit()}"
