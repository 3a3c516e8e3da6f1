"""psycopg 3 as an application uses it: sync, async, binary, pipeline, COPY, server-side cursors.
The address comes from libpq's variables; argv[1] says whether a service or a person asks."""

import asyncio
import sys

import psycopg
from psycopg.rows import dict_row

person = sys.argv[1] == "person"
people = 190 if person else 200


def said(what):
    print("ok", what, flush=True)


def sync():
    with psycopg.connect("") as connection:
        rows = connection.execute("select id, birthdate, created_at from users order by 1").fetchall()
        assert len(rows) == people
        said("rows")
        binary = connection.execute("select id, birthdate, created_at from users order by 1",
                                    binary=True).fetchall()
        assert binary == rows
        said("binary")
        with connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("select count(*) as n from users where residency = any(%s)", (["US"],))
            assert cursor.fetchone() == {"n": people}
        said("arrays as parameters")
        with connection.cursor(name="server_side") as cursor:
            cursor.execute("select * from watch_events")
            cursor.itersize = 100
            assert sum(1 for _ in cursor) > 1000
        said("server-side cursor")
        with connection.cursor().copy("copy (select id from users) to stdout") as copy:
            assert sum(1 for _ in copy.rows()) == people
        said("copy out")
        for number in range(10):  # from the sixth time on it is a prepared statement
            assert connection.execute("select %s::int", (number,)).fetchone() == (number,)
        said("prepared by itself")
        try:
            connection.execute("select 1/0")
        except psycopg.errors.DivisionByZero:
            connection.rollback()
        assert connection.execute("select 1").fetchone() == (1,)
        said("error and rollback")
        with connection.pipeline():
            cursors = [connection.execute("select %s::int", (i,)) for i in range(50)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(50))
        said("pipeline")


def writes():
    with psycopg.connect("") as connection:
        with connection.cursor() as cursor:
            cursor.executemany("insert into scratch(name, value) values (%s, %s)",
                               [(f"p3-{i}", "v" * i) for i in range(50)])
            with cursor.copy("copy scratch(name, value) from stdin") as copy:
                for i in range(50, 100):
                    copy.write_row((f"p3-{i}", None))
            cursor.execute("select count(*), count(value) from scratch where name like 'p3-%'")
            assert cursor.fetchone() == (100, 50)
        connection.rollback()
        said("executemany and copy in")


async def asynchronous():
    connections = await asyncio.gather(*[psycopg.AsyncConnection.connect("") for _ in range(5)])
    async def ask(number, connection):
        async with connection:
            cursor = await connection.execute("select %s::int, count(*) from users", (number,))
            return await cursor.fetchone()
    answers = await asyncio.gather(*[ask(n, c) for n, c in enumerate(connections)])
    assert answers == [(n, people) for n in range(5)]
    said("async")


sync()
if not person:
    writes()
asyncio.run(asynchronous())
