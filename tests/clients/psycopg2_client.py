"""psycopg 2 as an application uses it. The address comes from libpq's variables; argv[1] says
whether a service or a person asks."""

import io
import sys

import psycopg2
import psycopg2.extras

person = sys.argv[1] == "person"
people = 190 if person else 200


def said(what):
    print("ok", what, flush=True)


connection = psycopg2.connect("")
cursor = connection.cursor()
cursor.execute("select * from users where residency = %s", ("US",))
assert len(cursor.fetchall()) == people
said("rows")
named = connection.cursor("server_side")
named.itersize = 50
named.execute("select * from watch_events")
assert sum(1 for _ in named) > 1000
named.close()
said("server-side cursor")
out = io.StringIO()
cursor.copy_expert("copy (select id from users) to stdout", out)
assert len(out.getvalue().splitlines()) == people
said("copy out")
try:
    cursor.execute("select * from nowhere")
except psycopg2.errors.UndefinedTable:
    connection.rollback()
cursor.execute("select 1; select 2")
assert cursor.fetchone() == (2,)
said("error, rollback, two statements")
if not person:
    psycopg2.extras.execute_values(cursor, "insert into scratch(name, value) values %s",
                                   [(f"p2-{i}", str(i)) for i in range(300)])
    cursor.copy_expert("copy scratch(name, value) from stdin", io.StringIO("p2-x\ty\n"))
    cursor.execute("select count(*) from scratch where name like 'p2-%'")
    assert cursor.fetchone() == (301,)
    connection.rollback()
    said("execute_values and copy in")
connection.close()
