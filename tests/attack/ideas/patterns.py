"""Regular expressions, LIKE, SIMILAR and text search: match, cut out, rewrite."""


def attack(g):
    clause, columns = g.scope()
    text = g.as_text(columns)
    pattern = g.one("'.'", "'^(.)(.*)$'", "'[a-z]+'", "'\\d+'", "'(?=.*)'", "'(.)\\1?'", "'@.*'",
                    "'.*'")
    call = g.one(f"regexp_replace({text}, {pattern}, '\\&-', 'g')",
                 f"(regexp_match({text}, {pattern}))[1]",
                 f"regexp_matches({text}, {pattern}, 'g')", f"regexp_split_to_array({text}, '')",
                 f"regexp_split_to_table({text}, '@')", f"string_to_array({text}, NULL)",
                 f"substring({text} from {pattern})",
                 f"substring({text} similar '%#\"%#\"%' escape '#')",
                 f"to_tsvector('simple', {text})",
                 f"ts_headline({text}, 'a'::tsquery)", f"string_to_table({text}, '@')",
                 f"strip(to_tsvector({text}))",
                 f"regexp_substr({text}, {pattern})", f"regexp_instr({text}, {pattern})",
                 f"regexp_count({text}, {pattern})")
    where = g.one(f"{text} LIKE '%a%'", f"{text} ILIKE 'A%'", f"{text} ~ {pattern}",
                  f"{text} ~* 'A'", f"{text} !~ 'zz'",
                  f"{text} SIMILAR TO '%(a|e|1)%'", f"{text} ^@ 'p'",
                  f"{text} LIKE ANY (ARRAY['%a%', '%1%'])",
                  f"to_tsvector({text}) @@ 'a'::tsquery", f"starts_with({text}, 'm')", "true",
                  "true")
    return f"SELECT {call}, {g.value(columns)} FROM {clause} WHERE {where}{g.limit()}"
