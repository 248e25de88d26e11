// Each client library, unchanged, behind each web server and without one: it starts where told to, and
// however its connection breaks, it gets every row once and no empty message.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { KINDS } from './lib/kinds.mjs';
import { sleep } from './lib/process.mjs';
import { DIRECT, SERVERS, Stack } from './lib/stack.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('clients', { concurrency: 4 }, () => {
  for (const server of [...SERVERS, DIRECT]) {
    for (const client of KINDS) {
      it(`${client.name} behind ${server}: nothing lost or twice`,
        () => withClient(client, server, resumesAfterEveryCut));
    }
  }
});

// begin(position) starts a client of this kind, at the tail or after a position.
async function withClient({ kind, where, ask }, server, test) {
  const stack = await Stack.open({ server });
  const page = where === 'page' ? await openPage(browser, stack.origin) : null;
  const begin = (position) => {
    const { parameters, ...options } = ask(position);
    return follow(page, kind, stack.events(parameters), { types: ['update'], ...options });
  };
  try {
    await test(stack, begin);
    assert.deepEqual(page?.problems ?? [], []);
  } finally {
    if (page) {
      await closePage(page);
    }
    await stack.close();
  }
}

async function resumesAfterEveryCut(stack, begin) {
  await stack.insert('long ago');
  const client = await begin(null);
  await client.opens();
  await sleep(200); // some clients do not report the first position, so there is nothing to wait for

  await stack.rowtail.kill();
  await stack.insert('one, before which nothing had come');
  await client.breaks();
  await stack.rowtail.start();
  await client.receives(1);

  await stack.insert({ event: 'update', data: 'two\nlines' });
  await client.receives(2);
  await stack.rowtail.kill();
  await stack.insert('three, while rowtail was dead');
  await stack.rowtail.start();
  await client.receives(3);

  await stack.web.stop();
  await stack.insert('four, while the web server was down');
  await stack.web.start();
  await client.receives(4);

  await stack.rowtail.stop();
  await stack.insert('five, after a polite end');
  await stack.rowtail.start();
  await client.receives(5);

  const [id] = await stack.insert('six');
  await client.receives(6);
  await client.stop();
  await assertRows(client, id, 6);
  assert.equal((await client.log()).closed, false);

  const other = await begin(0);
  await other.receives(7);
  await other.stop();
  await assertRows(other, id, 7);
}

async function assertRows(client, lastId, count) {
  const rows = await client.rows();
  assert.deepEqual(rows.map(({ type, data }) => [type, data]), [
    ['message', 'long ago'],
    ['message', 'one, before which nothing had come'],
    ['update', 'two\nlines'],
    ['message', 'three, while rowtail was dead'],
    ['message', 'four, while the web server was down'],
    ['message', 'five, after a polite end'],
    ['message', 'six'],
  ].slice(-count));
  assert.equal(rows.at(-1).id, String(lastId));
}
