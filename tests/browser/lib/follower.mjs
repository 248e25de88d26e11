// follower: the test's view of one client that follows a stream, in a browser page or here in
// Node.js. The clients themselves are in pages/clients.mjs.

import * as clients from '../pages/clients.mjs';
import { until } from './process.mjs';

const CONTROL = ['position', 'gap', 'denied'];

/**
 * kind and options: as of clients.start(). page: of chromium.mjs, or null for Node.js.
 */
export async function follow(page, kind, url, options = {}) {
  const call = page === null
    ? (name, ...args) => clients[name](...args)
    : (name, ...args) => page.evaluate(([n, a]) => window.clients[n](...a), [name, args]);
  return new Follower(call, await call('start', kind, url, options), `${kind} of ${url}`);
}

class Follower {
  #call;
  #key;

  constructor(call, key, name) {
    this.#call = call;
    this.#key = key;
    this.name = name;
  }

  /** { opened, broken: lists of times in ms; closed; records: [{ type, id, data }] } */
  log() {
    return this.#call('log', this.#key);
  }

  stop() {
    return this.#call('stop', this.#key);
  }

  /** The records from rows, without rowtail's own. */
  async rows() {
    const { records } = await this.log();
    return records.filter(({ type }) => !CONTROL.includes(type));
  }

  async data() {
    return (await this.rows()).map(({ data }) => data);
  }

  /** Waits for `count` records of a type, and returns them. */
  async records(type, count = 1) {
    const find = async () =>
      (await this.log()).records.filter((record) => record.type === type);
    await this.#until(`${count} records of type ${type}`, async () => (await find()).length >= count);
    return find();
  }

  /** Waits until at least `count` rows have arrived; the test checks for more. */
  receives(count, deadlineMs) {
    return this.#until(`${count} rows`, async () =>
      await this.#call('countRows', this.#key, CONTROL) >= count, deadlineMs);
  }

  /** Waits until the record with an id has arrived. */
  gets(id, deadlineMs) {
    return this.#until(`the record ${id}`, () => this.#call('has', this.#key, id), deadlineMs);
  }

  /** Waits until it has been connected `times` times. */
  opens(times = 1, deadlineMs) {
    return this.#until(`opened ${times} times`, async () =>
      (await this.log()).opened.length >= times, deadlineMs);
  }

  breaks(times = 1, deadlineMs) {
    return this.#until(`broken ${times} times`, async () =>
      (await this.log()).broken.length >= times, deadlineMs);
  }

  /** Waits until it has given up for good. */
  closes() {
    return this.#until('given up', async () => (await this.log()).closed);
  }

  #until(what, condition, deadlineMs) {
    return until(async () => `${this.name}: ${what}; ${summary(await this.log())}`, condition,
      deadlineMs);
  }
}

function summary({ opened, broken, closed, records }) {
  const last = JSON.stringify(records.slice(-3)).slice(0, 500);
  return `opened ${opened.length}, broken ${broken.length}, closed ${closed}, ` +
    `${records.length} records, the last ${last}`;
}
