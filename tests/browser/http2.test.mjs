// How many streams one browser can have to one host: twenty and more over HTTP/2 behind nginx, six
// over HTTP/1.1, eight over lighttpd's HTTP/2. One more waits until another ends.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { sleep } from './lib/process.mjs';
import { Stack } from './lib/stack.mjs';

const LONG_ENOUGH_MS = 1500;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('streams of one browser', { concurrency: true }, () => {
  it('twenty share one HTTP/2 connection to nginx', () =>
    withPage({ server: 'nginx', tls: true }, async (stack, page) => {
      const clients = await followTimes(20, stack, page);
      await Promise.all(clients.map((client) => client.opens()));
      assert.equal(await protocolOf(page), 'h2');
      await stack.insert('for all twenty');
      for (const client of clients) {
        await client.receives(1);
        assert.deepEqual(await client.data(), ['for all twenty']);
      }
    }));
  it('the seventh waits over HTTP/1.1',
    () => withPage({ server: 'nginx' }, (stack, page) => waits(stack, page, 6, 'http/1.1')));
  it('the ninth waits over HTTP/2 to lighttpd',
    () => withPage({ server: 'lighttpd', tls: true }, (stack, page) => waits(stack, page, 8, 'h2')));
});

async function withPage(how, test) {
  const stack = await Stack.open(how);
  const page = await openPage(browser, stack.origin);
  try {
    await test(stack, page);
  } finally {
    await closePage(page);
    await stack.close();
  }
}

function followTimes(count, stack, page) {
  return Promise.all(Array.from({ length: count },
    () => follow(page, 'native', stack.events({ last_event_id: 0 }))));
}

async function waits(stack, page, limit, protocol) {
  const clients = await followTimes(limit, stack, page);
  await Promise.all(clients.map((client) => client.opens()));
  assert.equal(await protocolOf(page), protocol);
  const late = await follow(page, 'native', stack.events({ last_event_id: 0 }));
  await stack.insert('for those who are in');
  await Promise.all(clients.map((client) => client.receives(1)));
  await sleep(LONG_ENOUGH_MS);
  const { opened, broken, records } = await late.log();
  assert.deepEqual([opened, broken, records], [[], [], []]);

  await clients[0].stop();
  await late.receives(1);
  assert.deepEqual(await late.data(), ['for those who are in']);
}

// The page's own protocol; its streams use the same host and protocol.
function protocolOf(page) {
  return page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
}
