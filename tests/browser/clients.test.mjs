// Each client of the field, unchanged, behind each web server: it starts where it is told to, and
// whatever is cut under it, it gets every row once.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { KINDS } from './lib/kinds.mjs';
import { sleep } from './lib/process.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// Opens everything for one client, and closes it behind the test.
async function withClient({ kind, where, ask }, { server, position }, test) {
  const stack = await Stack.open({ server });
  const page = where === 'page' ? await openPage(browser, stack.origin) : null;
  try {
    const { parameters, ...options } = ask(position);
    const begin = () =>
      follow(page, kind, stack.events(parameters), { types: ['update'], ...options });
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
  await stack.insert('one', 'two\nlines', 'three');
  const client = await begin();
  await client.receives(3);
  await stack.insert({ event: 'update', data: 'four' });
  await client.receives(4);

  await stack.rowtail.kill();
  await stack.insert('five, while rowtail was dead');
  await client.breaks(1);
  await stack.rowtail.start();
  await client.receives(5);

  await stack.web.stop();
  await stack.insert('six, while the web server was down');
  await client.breaks(2);
  await stack.web.start();
  await client.receives(6);

  await stack.rowtail.stop();
  await stack.insert('seven, after a polite end');
  await stack.rowtail.start();
  await client.receives(7);

  const ids = await stack.insert('eight');
  await client.receives(8);
  await client.stop();
  const rows = await client.rows();
  assert.deepEqual(rows.map(({ type, data }) => [type, data]), [
    ['message', 'one'], ['message', 'two\nlines'], ['message', 'three'], ['update', 'four'],
    ['message', 'five, while rowtail was dead'], ['message', 'six, while the web server was down'],
    ['message', 'seven, after a polite end'], ['message', 'eight'],
  ]);
  assert.equal(rows.at(-1).id, String(ids[0]));
  assert.equal((await client.log()).closed, false);
}

async function resumesBeforeItsFirstRow(stack, begin) {
  await stack.insert('long ago');
  const client = await begin();
  await client.opens();
  await sleep(200); // to some clients the position is no event, so there is nothing to wait for
  await stack.rowtail.kill();
  await stack.insert('missed');
  await client.breaks();
  await stack.rowtail.start();
  await stack.insert('live');
  await client.receives(2);
  await client.stop();
  assert.deepEqual(await client.data(), ['missed', 'live']);
}

for (const server of SERVERS) {
  for (const client of KINDS) {
    describe(`${client.name} behind ${server}`, { concurrency: true }, () => {
      it('resumes after every kind of cut, with nothing lost or twice', () =>
        withClient(client, { server, position: 0 }, resumesAfterEveryCut));
      it('misses nothing when it is cut off before its first row', () =>
        withClient(client, { server, position: null }, resumesBeforeItsFirstRow));
    });
  }
}
