// rowtail: the responder as an ordinary process on a unix socket; tests kill and restart it.

import { rmSync } from 'node:fs';
import path from 'node:path';

import { PROJECT } from './database.mjs';
import { listening, ROWTAIL_BIN, start } from './process.mjs';

const BINARY = ROWTAIL_BIN ?? path.join(PROJECT, 'build/rowtail');

export class Rowtail {
  #process = null;

  /** settings: command line options, such as ['--public']. http: also an address for --http, or null. */
  constructor(dir, database, settings, http = null) {
    this.socket = path.join(dir, 'rowtail.sock');
    const common = ['--db', database.file, ...settings];
    this.arguments = [...common, '--listen', this.socket, '--listen-mode', '0666',
      ...(http ? ['--http', http] : [])];
    this.program = [BINARY, ...common];
  }

  /** Pages of this origin may read; call it before start(). */
  allow(origin) {
    this.arguments.push('--allow-origin', origin);
  }

  async start() {
    this.#process = start(BINARY, this.arguments);
    await listening({ path: this.socket }, this.#process);
  }

  /** Ends it like a crash: no final record, and its socket stays behind. */
  async kill() {
    await this.#process.stop('SIGKILL');
  }

  /** Shuts it down cleanly. Returns { code, signal }. */
  async stop() {
    return this.#process.stop('SIGTERM');
  }

  /** After kill() or stop(): removes the socket, as after a reboot. */
  removeSocket() {
    rmSync(this.socket, { force: true });
  }

  get output() {
    return this.#process.output();
  }
}
