// node-postgres as an application uses it: client, pool, prepared statements, notifications.
// The address comes from libpq's variables; argv[2] says whether a service or a person asks.
'use strict';
const assert = require('assert');
const fs = require('fs');
const { Client, Pool } = require('pg');

const person = process.argv[2] === 'person';
const people = person ? 190 : 200;
const options = {
  host: process.env.PGHOST,
  port: Number(process.env.PGPORT),
  user: process.env.PGUSER,
  password: process.env.PGPASSWORD,
  database: process.env.PGDATABASE,
  ssl: { ca: fs.readFileSync(process.env.PGSSLROOTCERT).toString(), rejectUnauthorized: true },
};
const said = (what) => console.log('ok ' + what);

async function client() {
  const c = new Client(options);
  await c.connect();
  let r = await c.query('select * from users');
  assert.strictEqual(r.rows.length, people);
  assert.deepStrictEqual(r.fields.map((f) => f.name).slice(0, 3), ['id', 'handle', 'email']);
  said('rows');
  r = await c.query('select count(*)::int as n from users where residency = $1', ['US']);
  assert.strictEqual(r.rows[0].n, people);
  said('parameters');
  for (let i = 0; i < 5; i++) {
    r = await c.query({ name: 'mine', text: 'select $1::int + 1 as n', values: [i] });
    assert.strictEqual(r.rows[0].n, i + 1);
  }
  said('prepared');
  await assert.rejects(c.query('select 1/0'), { code: '22012' });
  r = await c.query('select 1 as one; select 2 as two');
  assert.strictEqual(r[1].rows[0].two, 2);
  said('error and two statements');
  if (!person) {
    const heard = new Promise((resolve) => c.on('notification', resolve));
    await c.query('listen node');
    await c.query("notify node, 'hello'");
    assert.strictEqual((await heard).payload, 'hello');
    said('notification');
  }
  await c.end();
}

async function pool() {
  const p = new Pool({ ...options, max: 4 });
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, i) => p.query('select $1::int as n', [i])));
  assert.deepStrictEqual(answers.map((r) => r.rows[0].n), Array.from({ length: 40 }, (_, i) => i));
  said('pool');
  await p.end();
}

client().then(pool).catch((error) => {
  console.error(error);
  process.exit(1);
});
