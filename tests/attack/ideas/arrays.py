"""Arrays, ranges and set-returning functions."""


def attack(g):
    clause, columns = g.scope()
    a, b = g.as_text(columns), g.as_text(columns)
    array = g.one(f"ARRAY[{a}, {b}]", f"ARRAY(SELECT {a})", f"string_to_array({a}, '-')",
                  f"ARRAY[{a}] || ARRAY[{b}]")
    call = g.one(f"{array}", f"({array})[1:2]", f"array_to_string({array}, '+')",
                 f"unnest({array})", f"array_append({array}, {a})",
                 f"array_position({array}, {a}), {a}", f"array_to_json({array})", f"array_agg({a})",
                 f"cardinality({array}), {b}",
                 f"array_remove({array}, {b})", f"trim_array({array}, 1)",
                 f"generate_subscripts({array}, 1), {a}",
                 f"array_replace({array}, {a}, {b})", f"textrange({a}, {a} || 'z')::text",
                 f"multirange(int8range({g.number(columns, 0)}::bigint, NULL))::text",
                 f"array_dims({array}), {array}::text", f"width_bucket({a}, ARRAY['a', 'm']), {a}")
    where = g.one("", f" WHERE {a} = ANY ({array})", f" WHERE {array} && ARRAY[{b}]",
                  f" WHERE {array} @> ARRAY[{a}]", f" WHERE {a} <> ALL (ARRAY['x', 'y'])")
    return f"SELECT {call} FROM {clause}{where}{g.limit()}"
