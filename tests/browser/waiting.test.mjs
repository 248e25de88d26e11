// All slow tests at the same time: streams that are silent for longer than any client's or proxy's
// time-out, and clients that wait their reconnection time before they reconnect.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { KINDS } from './lib/kinds.mjs';
import { sleep } from './lib/process.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

// event-source-polyfill reconnects after 45 s without a byte.
const SILENCE_MS = 50_000;
const PAGE_CLIENTS = 4;

const SHORT_MS = 1000;
const LONG_MS = 3000;
const EARLY_MS = 50; // clocks

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('waiting', { concurrency: true }, () => {
  for (const server of SERVERS) {
    const silence = silentStack(server);
    for (const { name } of KINDS) {
      it(`50 s of silence: ${name} stays connected behind ${server}`, async () => {
        const { clients, rows } = await silence.isOver();
        const client = clients.get(name);
        await client.receives(rows.length);
        const { opened, broken } = await client.log();
        assert.deepEqual(await client.data(), rows);
        assert.equal(opened.length, 1);
        assert.equal(broken.length, 0);
      });
    }
    after(() => silence.close());
  }

  for (const [name, kind, where] of [
    ['EventSource', 'native', 'page'],
    ['event-source-polyfill', 'polyfill', 'page'],
    ['fetch-event-source', 'azure', 'page'],
    ['eventsource in Node.js', 'eventsource', 'node'],
  ]) {
    it(`${name} obeys the reconnection time`, () => obeysRetry(kind, where));
  }
});

// One stack for all clients of a web server, so that they share one silence.
function silentStack(server) {
  const rows = ['after the silence', 'and another'];
  let stack;
  const pages = [];
  let over;
  const clients = new Map();

  async function beSilent() {
    stack = await Stack.open({ server });
    for (const { name, kind, where, ask } of KINDS) {
      const { parameters, ...options } = ask(null);
      // A browser has six connections to a host.
      if (where === 'page' && clients.size % PAGE_CLIENTS === 0) {
        pages.unshift(await openPage(browser, stack.origin));
      }
      clients.set(name,
        await follow(where === 'page' ? pages[0] : null, kind, stack.events(parameters), options));
    }
    await Promise.all([...clients.values()].map((client) => client.opens()));
    await sleep(SILENCE_MS);
    await stack.insert(...rows);
    return { clients, rows };
  }

  return {
    isOver: () => (over ??= beSilent()),
    async close() {
      // A client in Node.js would reconnect for ever and keep this process running.
      await Promise.all([...clients.values()].map((client) => client.stop()));
      await Promise.all(pages.map(closePage));
      await stack.close();
    },
  };
}

async function obeysRetry(kind, where) {
  const stack = await Stack.open();
  const page = where === 'page' ? await openPage(browser, stack.origin) : null;
  const clients = [];
  try {
    const short = await follow(page, kind, stack.events({ channel: 'short' }));
    const long = await follow(page, kind, stack.events({ channel: 'long' }));
    clients.push(short, long);
    await Promise.all([short.opens(), long.opens()]);
    await stack.insert(
      { channel: 'short', data: 'x', retry: SHORT_MS }, { channel: 'long', data: 'x', retry: LONG_MS });
    await Promise.all([short.receives(1), long.receives(1)]);
    await stack.rowtail.kill();
    await stack.rowtail.start();
    assertBetween(await pause(short), SHORT_MS, LONG_MS);
    assertBetween(await pause(long), LONG_MS, 3 * LONG_MS);
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
    if (page) {
      await closePage(page);
    }
    await stack.close();
  }
}

// How long the client waited between disconnect and reconnect.
async function pause(client) {
  await client.opens(2);
  const { opened, broken } = await client.log();
  return opened[1] - broken[0];
}

function assertBetween(waitedMs, leastMs, mostMs) {
  assert.ok(waitedMs > leastMs - EARLY_MS, `came after ${waitedMs} ms, not ${leastMs} or more`);
  assert.ok(waitedMs < mostMs, `came after ${waitedMs} ms, not within ${mostMs}`);
}
