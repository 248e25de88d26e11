// database: a test's event log, created and written with the sqlite3 command line tool.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { run, start } from './process.mjs';

export const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));

export class Database {
  #shell;
  #answers = [];
  #lines = [];
  #statements = 0;

  static async create(dir) {
    const file = path.join(dir, 'events.db');
    const schema = readFileSync(path.join(PROJECT, 'schema/rowtail.sql'));
    await run('sqlite3', ['-bail', file], { input: schema });
    return new Database(file, dir);
  }

  /** Opens an existing file; other files go to `dir`. */
  constructor(file, dir) {
    this.file = file;
    this.dir = dir;
    this.#shell = start('stdbuf', ['-oL', 'sqlite3', '-batch', '-cmd', '.timeout 5000', file]);
    createInterface(this.#shell.child.stdout).on('line', (line) => this.#take(line));
    this.#shell.child.stdin.write('PRAGMA synchronous = OFF;\n');
  }

  /** Runs statements, one after another, and returns the lines of their result. */
  sql(text) {
    const end = `-- end of ${++this.#statements}`;
    this.#shell.child.stdin.write(`${text};\nSELECT '${end}';\n`);
    return new Promise((resolve, reject) => this.#answers.push({ end, resolve, reject, text }));
  }

  /**
   * Inserts rows, all in one transaction, and returns their ids. A row is a text or
   * { channel, event, data, retry }; data may be a Buffer: the bytes of the text.
   */
  async insert(...rows) {
    const inserts = rows.map((row) => this.#insert(typeof row === 'string' ? { data: row } : row));
    const ids = await this.sql(`BEGIN;\n${inserts.join('\n')}\nCOMMIT`);
    return ids.map(Number);
  }

  async close() {
    this.#shell.child.stdin.end();
    await this.#shell.exited;
  }

  #insert({ channel = 'default', event = null, data, retry = null }) {
    return `INSERT INTO events(channel, event, data, retry) VALUES (${this.#text(channel)}, ` +
      `${this.#text(event)}, ${this.#text(data)}, ${retry ?? 'NULL'}) RETURNING id;`;
  }

  #text(value) {
    if (value === null) {
      return 'NULL';
    }
    const bytes = Buffer.from(value);
    if (bytes.length < 10_000) {
      return `CAST(x'${bytes.toString('hex')}' AS TEXT)`;
    }
    const file = path.join(this.dir, `value-${++this.#statements}`);
    writeFileSync(file, bytes);
    return `CAST(readfile('${file}') AS TEXT)`;
  }

  #take(line) {
    if (line !== this.#answers[0]?.end) {
      this.#lines.push(line);
      return;
    }
    const { resolve, reject, text } = this.#answers.shift();
    const errors = this.#shell.output().match(/^(?:Runtime error|Parse error|Error:).*$/gm);
    if (errors) {
      reject(new Error(`${errors.join('\n')}\nin ${text.slice(0, 400)}`));
    } else {
      resolve(this.#lines);
    }
    this.#lines = [];
  }
}
