// The reconnection time that a row or a stream gives is the one that each client obeys.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { Stack } from './lib/stack.mjs';

const SHORT_MS = 1000;
const LONG_MS = 3000;
const SLACK_MS = 1500; // a busy machine
const EARLY_MS = 50; // clocks

const KINDS = [
  { name: 'EventSource', kind: 'native', inPage: true },
  { name: 'event-source-polyfill', kind: 'polyfill', inPage: true },
  { name: 'fetch-event-source', kind: 'azure', inPage: true },
  { name: 'eventsource in Node.js', kind: 'eventsource', inPage: false },
];

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('retry', { concurrency: true }, () => {
  for (const { name, kind, inPage } of KINDS) {
    it(`is obeyed by ${name}`, async () => {
      const stack = await Stack.open();
      const page = inPage ? await openPage(browser, stack.origin) : null;
      try {
        const short = await follow(page, kind, stack.events({ channel: 'short', tail: 1 }));
        const long = await follow(page, kind, stack.events({ channel: 'long', tail: 1 }));
        await Promise.all([short.opens(), long.opens()]);
        await stack.insert({ channel: 'short', data: 'x', retry: SHORT_MS });
        await stack.insert({ channel: 'long', data: 'x', retry: LONG_MS });
        await Promise.all([short.receives(1), long.receives(1)]);
        await stack.rowtail.kill();
        await stack.rowtail.start();
        assertWaited(await pause(short), SHORT_MS);
        assertWaited(await pause(long), LONG_MS);
      } finally {
        if (page) {
          await closePage(page);
        }
        await stack.close();
      }
    });
  }
});

// How long the client waited between the cut and being connected again.
async function pause(client) {
  await client.opens(2);
  const { opened, broken } = await client.log();
  return opened[1] - broken[0];
}

function assertWaited(waitedMs, retryMs) {
  assert.ok(waitedMs > retryMs - EARLY_MS, `asked for ${retryMs} ms, came after ${waitedMs}`);
  assert.ok(waitedMs < retryMs + SLACK_MS, `asked for ${retryMs} ms, came after ${waitedMs}`);
}
