// deploy/browser/rowtail.js behind real web servers, and behind what stands in front of them in the field: nothing is lost,
// nothing comes twice, and the page is told what is wrong.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { PROJECT } from './lib/database.mjs';
import { follow } from './lib/follower.mjs';
import { answer, apart, cutAfter, HOLD, LOGIN, PASS, SILENCE, SLAM } from './lib/front.mjs';
import { run, sleep, until } from './lib/process.mjs';
import { inScene, isTold, last, log, opensAs, SOON } from './lib/scene.mjs';
import { DIRECT, SERVERS, Stack } from './lib/stack.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// server => a test in a scene behind it.
const scene = (test) => (server) => inScene(() => browser, { server }, test);

const TESTS = {
  'streams': async (at) => {
    const client = await at.follow();
    await opensAs(client, 'stream');
    await at.insert('one', 'two\nlines', ' and a space, é');
    await at.has(client);
    assert.deepEqual([at.front.count('stream'), at.front.count('poll')], [1, 0]);
  },

  'polls where answers are held back': async (at) => {
    at.front.act = HOLD;
    const client = await at.follow({}, SOON);
    await opensAs(client, 'polling');
    await at.insert('one', 'two\nlines');
    await client.receives(2);
    await at.insert('three');
    await at.has(client);
    assert.deepEqual(await log(client, 'errors'), []);
  },

  'streams again when the buffer is gone': async (at) => {
    at.front.act = HOLD;
    const client = await at.follow({}, { ...SOON, streamAgain: 1200 });
    await opensAs(client, 'polling');
    await at.insert('held back');
    await client.receives(1);
    at.front.act = PASS;
    const writing = setInterval(() => at.insert(`row ${at.sent.length}`), 20);
    await opensAs(client, 'stream');
    clearInterval(writing);
    await at.insert('on the stream');
    await at.has(client);
  },

  'outlives a gateway that answers 502': async (at) => {
    const client = await at.follow();
    await opensAs(client, 'stream');
    await at.insert('before');
    await client.receives(1);
    at.front.act = answer(502);
    await at.stack.rowtail.kill();
    await at.insert('meanwhile');
    await isTold(client, 502);
    await until('three more attempts', () => at.front.count('stream') > 4);
    await at.stack.rowtail.start();
    at.front.act = PASS;
    await at.insert('after');
    await opensAs(client, 'stream');
    await at.has(client);
  },

  'begins while a gateway answers 502': async (at) => {
    at.front.act = answer(502);
    const client = await at.follow({ last_event_id: 0 });
    await at.insert('meanwhile');
    await isTold(client, 502);
    at.front.act = PASS;
    await opensAs(client, 'stream');
    await at.has(client);
  },

  'polls where only streams are refused': async (at) => {
    at.front.act = apart(answer(504), PASS);
    const client = await at.follow();
    await opensAs(client, 'polling');
    await at.insert('one');
    await client.receives(1);
    await at.insert('two');
    await at.has(client);
    assert.ok(at.front.asked.filter(({ kind }) => kind === 'poll').every(({ url }) => url.includes('wait=0')));
  },

  'waits shorter where a gateway ends what takes long': async (at) => {
    const seconds = ({ url }) => Number(new URLSearchParams(url.split('?')[1]).get('wait'));
    at.front.act = apart(HOLD, (request, response, pass) => (seconds(request) <= 1
      ? pass({ held: true })
      : setTimeout(() => answer(504)(request, response), 700)));
    const client = await at.follow({}, { ...SOON, wait: 2000 });
    await isTold(client, 504);
    await opensAs(client, 'polling');
    await at.insert('one', 'two');
    await at.has(client);
  },

  'loses nothing where connections are cut': async (at) => {
    at.front.act = cutAfter(400);
    const client = await at.follow({}, { streamAgain: 500 });
    await opensAs(client, 'stream');
    await until('three cuts', async () => {
      await at.insert(`row ${at.sent.length}`);
      return (await log(client, 'errors')).length >= 3;
    });
    at.front.act = PASS;
    await at.has(client);
  },

  'polls where connections are cut before a stream has begun': async (at) => {
    at.front.act = apart(SLAM, PASS);
    const client = await at.follow();
    await opensAs(client, 'polling');
    await at.insert('one');
    await at.has(client);
  },

  'is not taken in by a login page': async (at) => {
    const client = await at.follow();
    await opensAs(client, 'stream');
    await at.insert('one');
    await client.receives(1);
    at.front.act = LOGIN;
    await at.stack.web.restart();
    await at.insert('two');
    await isTold(client, 200);
    assert.match((await last(client, 'errors')).message, /text\/html/);
    at.front.act = PASS;
    await opensAs(client, 'stream');
    await at.has(client);
  },

  'is not taken in by JSON of somebody else': async (at) => {
    at.front.act = answer(200, '{"error":"Please log in."}', 'application/json');
    const client = await at.follow({ last_event_id: 0 });
    await at.insert('one');
    await until('an error', async () => (await log(client, 'errors')).length > 1);
    assert.equal(await log(client, 'closed'), false);
    at.front.act = PASS;
    await at.has(client);
  },

  'leaves a connection that has gone silent': async (at) => {
    const client = await at.follow({}, { silence: 700 });
    await opensAs(client, 'stream');
    await at.insert('one');
    await isTold(client, 0);
    assert.match((await last(client, 'errors')).message, /Nothing came/);
    await at.insert('two');
    await opensAs(client, 'polling');
    await at.has(client);
  },

  'leaves a poll that gets no answer': async (at) => {
    at.front.act = SILENCE;
    const client = await at.follow({ last_event_id: 0 }, { ...SOON, wait: 400 });
    await isTold(client, 0);
    await at.insert('one');
    at.front.act = PASS;
    await at.has(client);
  },

  'asks at once when the machine is online again': async (at) => {
    at.front.act = apart(answer(200, 'retry: 60000\n\n', 'text/event-stream'), SLAM);
    const client = await at.follow({ last_event_id: 0 });
    await isTold(client, 0);
    await at.insert('one');
    await at.page.context().setOffline(true);
    at.front.act = PASS;
    await at.page.context().setOffline(false);
    await at.has(client);
  },

  'waits as long as the server says': async (at) => {
    at.front.act = answer(200, 'retry: 300\n:The server is busy.\n\n', 'text/event-stream');
    const client = await at.follow({ last_event_id: 0 });
    at.front.act = apart(at.front.act, answer(503, 'Come back later.', 'text/plain'));
    await isTold(client, 503);
    assert.equal((await last(client, 'errors')).message, 'Come back later.');
    await at.insert('one');
    at.front.act = PASS;
    await at.has(client);
  },

  'tells of rows that are gone, on a stream and between polls': async (at) => {
    await at.stack.insert('a', 'b', 'c', 'd');
    await at.stack.database.sql('DELETE FROM events WHERE id <= 2');
    for (const act of [PASS, HOLD]) {
      at.front.act = act;
      const client = await at.follow({ last_event_id: 1 }, act === HOLD ? SOON : {});
      const [gap] = await client.records('gap');
      assert.deepEqual([JSON.parse(gap.data).reason, Number(gap.id)], ['pruned', 2]);
      await client.receives(2);
      assert.deepEqual((await client.rows()).map(({ data, id }) => [data, id]), [['c', '3'], ['d', '4']]);
      await client.stop();
    }
  },

  'stops at the end': async (at) => {
    for (const act of [answer(204), apart(HOLD, (request, response) =>
      answer(200, '{"position":7,"more":false,"end":true,"gap":null,"events":[]}', 'application/json')(request, response))]) {
      at.front.act = act;
      const client = await at.follow({}, SOON);
      await client.records('end');
      const asked = at.front.asked.length;
      await sleep(500);
      assert.equal(at.front.asked.length, asked);
      assert.deepEqual(await log(client, 'errors'), []);
    }
  },

  'stops at the end of a channel, on a stream and by polls, and tells it again after a reload': async (at) => {
    for (const act of [PASS, HOLD]) {
      at.front.act = act;
      const channel = `job/${act === HOLD}`;
      const client = await at.follow({ channel }, { ...(act === HOLD ? SOON : {}), storage: 'sessionStorage' });
      await opensAs(client, act === HOLD ? 'polling' : 'stream');
      await at.stack.insert({ channel, data: 'one' }, { channel, event: 'end', data: 'done' });
      const before = at.front.asked.length;
      await client.records('end');
      // A stream is answered 204 once.
      await until('it has been told', () => act === HOLD || at.front.asked.length > before);
      const asked = at.front.asked.length;
      await sleep(1000);
      assert.equal(at.front.asked.length, asked);
      assert.deepEqual((await client.rows()).map(({ type, data }) => [type, data]), [['message', 'one'], ['end', 'done']]);
      assert.equal((await log(client, 'opened')).length, 1);
      await at.page.goto('about:blank');
      await at.page.goto(`${at.front.origin}/pages/index.html`);
      const again = await at.follow({ channel }, { ...(act === HOLD ? SOON : {}), storage: 'sessionStorage' });
      await again.records('end');
      assert.deepEqual((await again.rows()).map(({ type, data }) => [type, data]), [['end', '']]);
    }
  },

  'has the same events by streams and polls': async (at) => {
    at.front.act = PASS;
    const rows = [{ event: 'typed', data: 'x' }, { data: '' }, { data: ' two\r\nlines\rmore\n' }, { event: 'message', data: 'é\0"' },
      { channel: 'c/d', data: '{"a":[1]}' }];
    await at.stack.insert(...rows);
    for (const more of [{}, { envelope: 'json' }]) {
      const seen = [];
      for (const act of [PASS, HOLD]) {
        at.front.act = act;
        const client = await at.follow({ channel: '*', last_event_id: 0, ...more }, act === HOLD ? SOON : {}, { types: ['typed'] });
        await client.receives(rows.length);
        seen.push(await client.rows());
        await client.stop();
      }
      assert.deepEqual(seen[1], seen[0]);
    }
  },

  'tells ids beyond 2^53 apart': async (at) => {
    const ids = [2n ** 53n, 2n ** 53n + 1n, 2n ** 53n + 2n].map(String);
    // The schema gives no such numbers; an application's own table may.
    const rows = ids.map((id) => `INSERT INTO events(id, data) VALUES (${id}, 'row ${id}');`);
    await at.stack.database.sql(`DROP TRIGGER events_numbered; DROP TRIGGER events_refused; ${rows.join('')}`);
    for (const act of [PASS, HOLD]) {
      at.front.act = act;
      const client = await at.follow({ last_event_id: 0 }, act === HOLD ? SOON : {});
      await client.receives(3);
      assert.deepEqual((await client.rows()).map(({ id, data }) => [id, data]), ids.map((id) => [id, `row ${id}`]));
      await client.stop();
    }
  },

  'takes a pause that no timer can hold for a long one': async (at) => {
    at.front.act = answer(200, 'retry: 99999999999\nevent: position\ndata: 0\nid: 0\n\n', 'text/event-stream');
    const client = await at.follow();
    await isTold(client, 200);
    await sleep(400);
    assert.equal(at.front.count('stream'), 1);
  },

  'posts, with headers': async (at) => {
    for (const [act, transport] of [[PASS, 'stream'], [HOLD, 'polling']]) {
      at.front.act = act;
      at.front.asked = [];
      const client = await at.follow({}, act === HOLD ? SOON : {}, { headers: { token: 'secret' }, body: { channel: ['a', 'b'], last_event_id: 0 } });
      await opensAs(client, transport);
      const more = [`${transport} 1`, `${transport} 2`];
      await at.stack.insert({ channel: 'a', data: more[0] }, { channel: 'c', data: 'for others' }, { channel: 'b', data: more[1] });
      await until('the newest', async () => (await client.data()).at(-1) === more[1]);
      assert.deepEqual((await client.data()).slice(-2), more);
      assert.ok(at.front.asked.every(({ method, headers }) => method === 'POST' && headers.token === 'secret'));
      await client.stop();
    }
  },
};

// Most answers come from the front: each test has one of the servers, in turn. Where the servers' own answers matter, and with
// TEST_FULL=1, which make test-all sets, each has both.
const BOTH_SERVERS = ['streams', 'loses nothing where connections are cut', 'posts, with headers',
  'stops at the end of a channel, on a stream and by polls, and tells it again after a reload',
  'has the same events by streams and polls'];

describe('rowtail.js', { concurrency: 4 }, () => {
  Object.entries(TESTS).forEach(([name, test], i) => {
    const both = process.env.TEST_FULL === '1' || BOTH_SERVERS.includes(name);
    for (const server of both ? SERVERS : [SERVERS[i % SERVERS.length]]) {
      it(`${name}, behind ${server}`, scene(test)(server));
    }
  });
});

// Without a web server, and from a page of another origin. A route keeps the streams from rowtail.
it('rowtail.js polls rowtail alone, over kills', async () => {
  const stack = await Stack.open({ server: DIRECT });
  const page = await openPage(browser, stack.origin);
  try {
    await page.route(/\/events/, (route) => (/format=json/.test(route.request().url())
      ? route.continue() : undefined));
    const settings = { ...SOON, streamAgain: 60_000, maxRetry: 400 };
    const client = await follow(page, 'rowtail', stack.events(), { settings });
    await opensAs(client, 'polling');
    await stack.insert('one', 'two\nlines');
    await client.receives(2);
    await stack.rowtail.kill();
    await stack.insert('three, while rowtail was dead');
    await stack.rowtail.start();
    await client.receives(3);
    await stack.rowtail.stop();
    await stack.insert('four, after a polite end');
    await stack.rowtail.start();
    await client.receives(4);
    assert.deepEqual(await client.data(),
      ['one', 'two\nlines', 'three, while rowtail was dead', 'four, after a polite end']);
    assert.deepEqual(page.problems, []);
  } finally {
    await closePage(page);
    await stack.close();
  }
});

// By a stream, and by polls.
const WAYS = { stream: PASS, polling: HOLD };

const ACCESS = {
  'is told for good when it may not read': async (at) => {
    for (const act of Object.values(WAYS)) {
      at.front.act = act;
      const client = await at.follow();
      await client.closes();
      const { data, status, message } = await log(client, 'denied');
      assert.equal(status, 401);
      assert.match(message, /token/);
      assert.deepEqual(JSON.parse(data), { reason: 'refused', status, message });
      await neverAsksAgain(at, client, 401);
    }
  },

  'is told for good what is wrong with its request': async (at) => {
    for (const act of Object.values(WAYS)) {
      at.front.act = act;
      const client = await at.follow({ channel: '' });
      await client.closes();
      assert.match((await last(client, 'errors')).message, /channel/);
      assert.equal(await log(client, 'denied'), undefined);
      await neverAsksAgain(at, client, 400);
    }
  },

  'is told that access was revoked': async (at) => {
    await at.stack.database.sql("INSERT INTO grants(subject, channel) VALUES ('*', 'default')");
    at.front.act = (request, response, pass) => pass({ held: Boolean(request.headers.held) });
    const streaming = await at.follow();
    const polling = await at.follow({}, SOON, { headers: { held: 'yes' } });
    await Promise.all([opensAs(streaming, 'stream'), opensAs(polling, 'polling')]);
    await at.stack.database.sql('DELETE FROM grants');
    await Promise.all([streaming.closes(), polling.closes()]);
    for (const [client, reason] of [[streaming, 'revoked'], [polling, 'refused']]) {
      assert.equal(JSON.parse((await log(client, 'denied')).data).reason, reason);
      assert.equal(await log(client, 'denials'), 1);
      await neverAsksAgain(at, client, 401);
    }
  },

  'asks each time for headers, such as a new token': async (at) => {
    const grant = (token, expires) => at.stack.database.sql(`INSERT INTO grants(subject, channel, expires_at)
      VALUES ('token:${createHash('sha256').update(token).digest('hex')}', 'default', ${expires})`);
    const client = await at.follow({}, { tokens: ['token-1', 'token-2'], position: 0 });
    await client.closes();
    assert.match((await last(client, 'errors')).message, /./);
    await client.stop();

    await grant('token-1', "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+2 seconds')");
    await grant('token-2', 'NULL');
    const renewing = await at.follow({}, { tokens: ['token-1', 'token-2'], position: 0 });
    await opensAs(renewing, 'stream');
    await at.insert('with the first');
    await renewing.records('denied');
    await at.insert('between');
    await renewing.opens(2);
    await at.insert('with the second');
    await at.has(renewing);
    assert.equal(await log(renewing, 'closed'), false);
  },
};

async function neverAsksAgain(at, client, status) {
  const asked = at.front.asked.length;
  await sleep(600);
  assert.equal(at.front.asked.length, asked);
  assert.equal((await last(client, 'errors')).status, status);
}

describe('rowtail.js and who may read', { concurrency: 3 }, () => {
  for (const [name, test] of Object.entries(ACCESS)) {
    it(name, inScene(() => browser, { settings: [] }, test));
  }

  it('sends cookies to another origin when it is told to', async () => {
    const site = await Stack.open();
    const stack = await Stack.open({ allowOrigin: site.origin, settings: [] });
    const page = await openPage(browser, site.origin);
    try {
      const token = 'secret-of-the-cookie';
      await stack.database.sql(`INSERT INTO grants(subject, channel) VALUES (
        'token:${createHash('sha256').update(token).digest('hex')}', 'default')`);
      await page.context().addCookies([{ name: 'rowtail_token', value: token, url: stack.origin }]);
      const [without, withCookies] = [await follow(page, 'rowtail', stack.events()),
        await follow(page, 'rowtail', stack.events(), { withCredentials: true })];
      await without.closes();
      await withCookies.opens();
      await stack.insert('one');
      await withCookies.receives(1);
    } finally {
      await closePage(page);
      await stack.close();
      await site.close();
    }
  });
});

describe('the files of deploy/browser', () => {
  const read = (name) => readFileSync(path.join(PROJECT, 'deploy/browser', name), 'utf8');

  it('the classic script is the module', () => {
    const body = read('rowtail.js').replace(/^export /gm, '');
    assert.ok(read('rowtail.classic.js').includes(body), 'run `make classic`');
  });

  it('each is below 5 KiB, compressed', () => {
    for (const name of ['rowtail.js', 'rowtail.classic.js']) {
      assert.ok(gzipSync(read(name), { level: 9 }).length < 5 * 1024, name);
    }
  });

  it('a page without modules can use the classic script', async () => {
    const stack = await Stack.open();
    const page = await openPage(browser, stack.origin);
    try {
      await page.addScriptTag({ url: '/browser/rowtail.classic.js' });
      await stack.insert('one');
      assert.equal(await page.evaluate(() => new Promise((resolve) => {
        const stream = new Rowtail('/events?last_event_id=0');
        stream.onmessage = ({ data }) => resolve(data);
      })), 'one');
      assert.equal(await page.evaluate(() => Rowtail.CLOSED), 2);
    } finally {
      await closePage(page);
      await stack.close();
    }
  });

  it('it is an npm package', async () => {
    const { name, version, files } = JSON.parse(read('package.json'));
    const dir = path.join(PROJECT, 'deploy/browser');
    const [packed] = JSON.parse(await run('npm', ['pack', '--dry-run', '--json', '--offline'], { cwd: dir, stdio: ['pipe', 'pipe', 'ignore'] }));
    assert.deepEqual([name, version], [packed.name, /^VERSION := (.*)$/m.exec(readFileSync(path.join(PROJECT, 'Makefile'), 'utf8'))[1]]);
    assert.ok(files.every((file) => packed.files.some((entry) => entry.path === file)));
    const { Rowtail } = await import('../../deploy/browser/rowtail.js');
    assert.deepEqual([Rowtail.CONNECTING, Rowtail.OPEN, Rowtail.CLOSED], [0, 1, 2]);
  });
});
