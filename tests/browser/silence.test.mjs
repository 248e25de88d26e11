// A stream without rows for longer than any client's and any proxy's patience: nobody reconnects,
// nobody gets an empty message, and the first row after it arrives.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { KINDS } from './lib/kinds.mjs';
import { sleep } from './lib/process.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

// event-source-polyfill reconnects after 45 s without a byte.
const SILENCE_MS = 50_000;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// A test for each client; they share what is before them, so that all are silent together.
describe('silence of 50 seconds', { concurrency: true }, () => {
  for (const server of SERVERS) {
    const quiet = begin(server);
    for (const { name } of KINDS) {
      it(`${name} behind ${server}`, async () => {
        const { clients, rows } = await quiet();
        const client = clients.get(name);
        await client.receives(rows.length);
        const { opened, broken } = await client.log();
        assert.deepEqual(await client.data(), rows);
        assert.equal(opened.length, 1);
        assert.equal(broken.length, 0);
      });
    }
  }
});

// Opens a stack and every client, is silent, inserts rows; once, for whoever asks.
function begin(server) {
  const rows = ['after the silence', 'and another'];
  let stack;
  let page;
  let done;
  before(async () => {
    stack = await Stack.open({ server });
    page = await openPage(browser, stack.origin);
  });
  after(async () => {
    await closePage(page);
    await stack.close();
  });
  return () => (done ??= silent());

  async function silent() {
    const clients = new Map();
    for (const { name, kind, where, ask } of KINDS) {
      const { parameters, ...options } = ask(null);
      clients.set(name,
        await follow(where === 'page' ? page : null, kind, stack.events(parameters), options));
    }
    await Promise.all([...clients.values()].map((client) => client.opens()));
    await sleep(SILENCE_MS);
    await stack.insert(...rows);
    return { clients, rows };
  }
}
