// The browser's own EventSource: what a page gets from a record, what it is told, and what stops
// it.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { sleep } from './lib/process.mjs';
import { DIRECT, SERVERS, Stack } from './lib/stack.mjs';
import { PASSWORD, USER } from './lib/webserver.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

for (const server of [...SERVERS, DIRECT]) {
  describe(`EventSource behind ${server}`, { concurrency: true }, () => {
    it('gets messages, types, ids and lines as they were inserted',
      () => withPage({ server }, receivesRows));
    it('follows several channels on one connection',
      () => withPage({ server }, followsChannels));
    it('resumes after --max-stream-age ended the stream',
      () => withPage({ server, settings: ['--public', '--max-stream-age', '1'] }, outlivesStreams));
    it('tells the page of a gap when rows were pruned', () => withPage({ server }, tellsOfPruned));
    it('tells the page of a gap when its position is in the future',
      () => withPage({ server }, tellsOfFuture));
    it('tells the page when access is revoked, and is then refused',
      () => withPage({ server, settings: [] }, tellsOfDenied));
    it('stops for good at the end of its channels', () => withPage({ server }, stopsAtTheEnd));
    it('stops at 403', () => withPage({ server, settings: [] }, stopsAtRefusal));
  });
}

describe('EventSource of another origin', { concurrency: true }, () => {
  for (const server of [...SERVERS, DIRECT]) {
    it(`reads if its origin is allowed, behind ${server}`,
      () => withSite((site) => ({ server, allowOrigin: site }), readsAcrossOrigins));
    it(`fails visibly if it is not, behind ${server}`,
      () => withSite(() => ({ server, allowOrigin: 'https://elsewhere.example' }), isRefused));
    it(`sends a token cookie only with withCredentials, behind ${server}`,
      () => withSite((site) => ({ server, allowOrigin: site, settings: [] }), sendsCookie));
  }
  for (const server of SERVERS) {
    it(`sends a login only with withCredentials, behind ${server}`,
      () => withSite((site) => ({ server, allowOrigin: site, login: true, settings: [] }),
        sendsLogin));
  }
});

it('EventSource stops at 204', () => withPage({ server: 'nginx' }, async (stack, page) => {
  const client = await follow(page, 'native', `${stack.origin}/stop`);
  await client.closes();
  assert.equal((await client.log()).opened.length, 0);
}));

async function withPage(how, test) {
  const stack = await Stack.open(how);
  const page = await openPage(browser, stack.origin);
  try {
    await test(stack, page);
    assert.deepEqual(page.problems, []);
  } finally {
    await closePage(page);
    await stack.close();
  }
}

// The page comes from another site; how(origin of the site) opens the stream's stack.
function withSite(how, test) {
  return withPage({}, async (site, page) => {
    const stack = await Stack.open(how(site.origin));
    try {
      await test(stack, page);
    } finally {
      await stack.close();
    }
  });
}

async function receivesRows(stack, page) {
  const client = await follow(page, 'native', stack.events({ last_event_id: 0 }), {
    types: ['price', 'ünïcode type'],
  });
  const [first] = await stack.insert(
    'plain',
    { event: 'price', data: '{"eur": 12}' },
    'three\nlines\r\nlong',
    { event: 'ünïcode type', data: '' },
    { event: 'unheard', data: 'no listener' },
    ' leading space and a last line break\n',
  );
  await client.receives(5);
  assert.deepEqual(await client.rows(), [
    { type: 'message', id: String(first), data: 'plain' },
    { type: 'price', id: String(first + 1), data: '{"eur": 12}' },
    { type: 'message', id: String(first + 2), data: 'three\nlines\nlong' },
    { type: 'ünïcode type', id: String(first + 3), data: '' },
    { type: 'message', id: String(first + 5), data: ' leading space and a last line break\n' },
  ]);
}

async function followsChannels(stack, page) {
  const url = `${stack.events()}?channel=orders/*&channel=news&envelope=json&last_event_id=0`;
  const client = await follow(page, 'native', url, { types: ['paid'] });
  await stack.insert(
    { channel: 'orders/1', event: 'paid', data: 'a\r\nb' },
    { channel: 'orders', data: 'not below orders/' },
    { channel: 'other', data: 'not followed' },
    { channel: 'news', data: 'n' },
  );
  await client.receives(2);
  const [order, news] = (await client.rows()).map(({ data }) => JSON.parse(data));
  assert.deepEqual(
    [order.id, order.channel, order.event, order.data], [1, 'orders/1', 'paid', 'a\r\nb']);
  assert.deepEqual([news.id, news.channel, news.event, news.data], [4, 'news', null, 'n']);
  assert.match(news.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
}

async function outlivesStreams(stack, page) {
  const client = await follow(page, 'native', stack.events({ last_event_id: 0 }));
  const sent = [];
  for (let streams = 1; streams <= 3; streams++) {
    await client.opens(streams);
    sent.push(`in stream ${streams}`);
    await stack.insert(sent.at(-1));
    await client.breaks(streams);
    sent.push(`after stream ${streams}`);
    await stack.insert(sent.at(-1));
  }
  await client.receives(sent.length);
  assert.deepEqual(await client.data(), sent);
}

async function tellsOfPruned(stack, page) {
  await stack.insert('read');
  const client = await follow(page, 'native', stack.events({ last_event_id: 0 }));
  await client.receives(1);
  await stack.rowtail.kill();
  await client.breaks();
  await stack.insert('pruned before it was read', 'still there');
  await stack.database.sql('DELETE FROM events WHERE id <= 2');
  await stack.rowtail.start();
  const [gap] = await client.records('gap');
  assert.deepEqual(JSON.parse(gap.data),
    { requested: '1', oldest: 3, newest: 3, reason: 'pruned' });
  await client.receives(2);
  assert.deepEqual(await client.data(), ['read', 'still there']);
}

async function tellsOfFuture(stack, page) {
  await stack.insert('old');
  const client = await follow(page, 'native', stack.events({ last_event_id: 1000 }));
  const [gap] = await client.records('gap');
  const { requested, reason } = JSON.parse(gap.data);
  assert.deepEqual([requested, reason], ['1000', 'future']);
  await stack.insert('new');
  await client.receives(1);
  assert.deepEqual(await client.data(), ['new']);
}

async function tellsOfDenied(stack, page) {
  await stack.database.sql("INSERT INTO grants(subject, channel) VALUES ('*', 'default')");
  const client = await follow(page, 'native', stack.events());
  await client.opens();
  await stack.database.sql('DELETE FROM grants');
  const [denied] = await client.records('denied');
  assert.deepEqual(JSON.parse(denied.data), { reason: 'revoked' });
  await client.closes();
  assert.equal((await client.log()).opened.length, 1);
}

async function stopsAtTheEnd(stack, page) {
  const url = `${stack.events({ last_event_id: 0 })}&channel=a&channel=b`;
  const client = await follow(page, 'native', url, { types: ['end'] });
  await stack.insert({ channel: 'a', data: 'one' }, { channel: 'a', event: 'end', data: '' });
  await client.receives(2);
  await sleep(500);
  assert.equal((await client.log()).broken.length, 0);
  await stack.insert({ channel: 'b', data: 'two' }, { channel: 'b', event: 'end', data: 'done' });
  await client.closes();
  assert.deepEqual(await client.data(), ['one', '', 'two', 'done']);
  // Once at the end of the stream, once at 204.
  const { opened, broken } = await client.log();
  assert.deepEqual([opened.length, broken.length], [1, 2]);
}

async function stopsAtRefusal(stack, page) {
  const client = await follow(page, 'native', stack.events({ channel: 'secret' }));
  await client.closes();
  await stack.database.sql("INSERT INTO grants(subject, channel) VALUES ('*', 'secret')");
  await sleep(500); // more than the reconnection time of 200 ms
  const { opened, broken } = await client.log();
  assert.deepEqual([opened.length, broken.length], [0, 1]);
}

async function readsAcrossOrigins(stack, page) {
  const client = await follow(page, 'native', stack.events({ last_event_id: 0 }));
  await stack.insert('across');
  await client.receives(1);
  await stack.rowtail.kill();
  await stack.insert('and after a cut');
  await client.breaks();
  await stack.rowtail.start();
  await client.receives(2);
  assert.deepEqual(await client.data(), ['across', 'and after a cut']);
}

async function isRefused(stack, page) {
  await stack.insert('not for this origin');
  const client = await follow(page, 'native', stack.events({ last_event_id: 0 }));
  await client.closes();
  const { opened, records } = await client.log();
  assert.deepEqual([opened, records], [[], []]);
}

async function sendsCookie(stack, page) {
  const token = 'a-token-of-the-test';
  const hash = createHash('sha256').update(token).digest('hex');
  await stack.database.sql(
    `INSERT INTO grants(subject, channel) VALUES ('token:${hash}', 'default')`);
  await page.context().addCookies([
    { name: 'rowtail_token', value: token, url: stack.origin, sameSite: 'Lax' }]);
  await readsWithCredentialsOnly(stack, page);
}

async function sendsLogin(stack, page) {
  await stack.database.sql(
    `INSERT INTO grants(subject, channel) VALUES ('user:${USER}', 'default')`);
  await signIn(page, stack.origin);
  await readsWithCredentialsOnly(stack, page);
}

async function readsWithCredentialsOnly(stack, page) {
  await stack.insert('for ada');
  const without = await follow(page, 'native', stack.events({ last_event_id: 0 }));
  const withLogin = await follow(page, 'native', stack.events({ last_event_id: 0 }),
    { withCredentials: true });
  await withLogin.receives(1);
  await without.closes();
  assert.deepEqual(await withLogin.data(), ['for ada']);
  assert.deepEqual((await without.log()).records, []);
}

// Logs in like a person who types name and password into the browser's dialog.
async function signIn(page, origin) {
  const { host } = new URL(origin);
  const visit = await page.context().newPage();
  await visit.goto(`http://${USER}:${PASSWORD}@${host}/events?channel=none*`);
  await visit.close();
}
