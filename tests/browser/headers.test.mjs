// Clients that send headers from a page of another origin, for which the browser sends a preflight,
// and a client that disconnects while its page is hidden.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { until } from './lib/process.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

const HEADERS = { Authorization: 'Basic YWRhOng=', token: 'secret' };

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('headers across origins', { concurrency: 2 }, () => {
  for (const server of SERVERS) {
    it(`are allowed if the origin is, behind ${server}`, () => acrossOrigins(server));
  }
});

it('fetch-event-source in a hidden page misses nothing', async () => {
  const stack = await Stack.open();
  const page = await openPage(browser, stack.origin);
  try {
    const client = await follow(page, 'azure', stack.events(), { openWhenHidden: false });
    await client.opens();
    await stack.insert('seen');
    await client.receives(1);
    await setHidden(page, true);
    await stack.insert('while hidden');
    await setHidden(page, false);
    await client.receives(2);
    assert.deepEqual(await client.data(), ['seen', 'while hidden']);
    assert.equal((await client.log()).opened.length, 2);
  } finally {
    await closePage(page);
    await stack.close();
  }
});

async function acrossOrigins(server) {
  const site = await Stack.open();
  const stack = await Stack.open({ server, allowOrigin: site.origin });
  const page = await openPage(browser, site.origin);
  const body = { last_event_id: 0 };
  try {
    const url = stack.events({ last_event_id: 0 });
    const clients = [
      await follow(page, 'polyfill', url, { headers: HEADERS }),
      await follow(page, 'azure', url, { headers: HEADERS }),
      await follow(page, 'azure', stack.events(), { headers: HEADERS, method: 'POST', body }),
      await follow(page, 'stream', stack.events(), { headers: HEADERS, method: 'POST', body }),
    ];
    await stack.insert('one');
    await Promise.all(clients.map((client) => client.receives(1)));
    await stack.rowtail.kill();
    await stack.insert('two');
    await stack.rowtail.start();
    await Promise.all(clients.map((client) => client.receives(2)));
    for (const client of clients) {
      assert.deepEqual(await client.data(), ['one', 'two'], client.name);
    }
  } finally {
    await closePage(page);
    await stack.close();
    await site.close();
  }
}

// Headless Chromium never hides a page, so the test sends the page the events of a hidden one.
async function setHidden(page, hidden) {
  await page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await until('the page knows', () => page.evaluate((value) => document.hidden === value, hidden));
}
