#!/usr/bin/env node
// Publishes one record: node publish.mjs events.db orders/42 paid '{"total": 12}'
//
// Node.js 22.13 or newer has SQLite built in. With an older one use better-sqlite3 from npm: only the
// import and the name of the class differ.
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';

export function connect(path) {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA busy_timeout = 10000'); // ms to wait for other writers
  return db;
}

// event is null for a plain message. Returns the record's id.
export function publish(db, channel, event, data) {
  const insert = db.prepare('INSERT INTO events(channel, event, data) VALUES (?, ?, ?)');
  return insert.run(channel, event, data).lastInsertRowid;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [path, channel, event, data] = process.argv.slice(2);
  console.log(publish(connect(path), channel, event || null, data));
}
