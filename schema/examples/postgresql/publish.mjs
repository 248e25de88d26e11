#!/usr/bin/env node
// Publishes one record: node publish.mjs orders/42 paid '{"total": 12}'
//
// Needs pg from npm. PGHOST, PGDATABASE, PGUSER and PGPASSWORD or ~/.pgpass say where the database is.
import { fileURLToPath } from 'node:url';
import pg from 'pg';

export async function connect(options) {
  const db = new pg.Client(options);
  await db.connect();
  return db;
}

// event is null for a plain message. A text cannot contain U+0000. In a transaction of the application the row is
// published with its COMMIT.
export async function publish(db, channel, event, data) {
  await db.query('INSERT INTO events(channel, event, data) VALUES ($1, $2, $3)', [channel, event, data]);
}

// The id of the last row that this client has published, after the COMMIT; a string, as pg returns all bigints.
export async function lastId(db) {
  return (await db.query("SELECT currval('events_order') AS id")).rows[0].id;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [channel, event, data] = process.argv.slice(2);
  const db = await connect();
  await publish(db, channel, event || null, data);
  console.log(await lastId(db));
  await db.end();
}
