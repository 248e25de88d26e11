// event-source-plus ignores `retry`, takes 200 for success, and asks again as soon as the answer has ended. rowtail, and a web
// server that answers in its place, keep it from asking in a loop.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { follow } from './lib/follower.mjs';
import { sleep } from './lib/process.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

const WATCHED_MS = 4000;
// Without a bound they are over a hundred a second. rowtail and nginx hold each answer for a second; lighttpd lets 1 kB a
// second pass on a connection.
const MOST_A_SECOND = { held: 1.5, slow: 6 };

const BY_ROWTAIL = 'refused by --max-streams';
const REFUSALS = {
  async [BY_ROWTAIL](stack) {
    const keeper = await follow(null, 'stream', stack.events());
    await keeper.opens();
    return keeper;
  },
  'rowtail was killed': (stack) => stack.rowtail.kill(),
  async 'there is no socket'(stack) {
    await stack.rowtail.stop();
    stack.rowtail.removeSocket();
  },
};

describe('event-source-plus asks a few times a second', { concurrency: true }, () => {
  for (const server of SERVERS) {
    for (const [name, refuse] of Object.entries(REFUSALS)) {
      const most = server === 'lighttpd' && name !== BY_ROWTAIL ? MOST_A_SECOND.slow : MOST_A_SECOND.held;
      it(`${name}, behind ${server}`, () => asksSeldom(server, refuse, most));
    }
  }
});

async function asksSeldom(server, refuse, mostASecond) {
  const stack = await Stack.open({ server, settings: ['--public', '--max-streams', '1'] });
  const keeper = await refuse(stack);
  const client = await follow(null, 'plus', stack.events());
  try {
    await client.opens(2);
    const before = (await client.log()).opened.length;
    await sleep(WATCHED_MS);
    const asked = (await client.log()).opened.length - before;
    assert.ok(asked >= 1, 'it has not come back');
    assert.ok(asked <= mostASecond * WATCHED_MS / 1000, `asked ${asked} times in ${WATCHED_MS} ms`);
  } finally {
    await client.stop();
    await keeper?.stop?.();
    await stack.close();
  }
}
