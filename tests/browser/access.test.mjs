// deploy/access in a browser: the page on one origin, login and stream on another; a header with a
// JWT.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { PROJECT } from './lib/database.mjs';
import { follow } from './lib/follower.mjs';
import { listening, makeDirectory, removeDirectory, run, start } from './lib/process.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

const USER = 'ann';
const PASSWORD = 'Grüße & +ße';
const KEY = '0123456789abcdef0123456789abcdef';
const SHORT_S = 3; // a token's lifetimetime
const LONG_S = 60;
const REVOKED_MS = 13_000; // rowtail(8), ACCESS: ten seconds
const PAGE = '/page/page.html';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('the page of deploy/access', { concurrency: 2 }, () => {
  it('logs in, and shows a row', inPage(LONG_S, logsIn));
  it('renews its token without losing or repeating a row', inPage(SHORT_S, renews));
  it('asks for the password again when nothing can be renewed', inPage(SHORT_S, asksAgain));
  it('says that access was revoked', inPage(LONG_S, saysWithdrawn));
});

describe('a JWT in a header, by fetch-event-source of another origin', { concurrency: 2 }, () => {
  for (const server of SERVERS) {
    it(`is accepted behind ${server}`, () => withHeader(server));
  }
});

function deployed(file, replacements) {
  let text = readFileSync(path.join(PROJECT, 'deploy/access', file), 'utf8');
  for (const [documented, here] of replacements) {
    assert.ok(text.includes(documented), `${file} says ${documented}`);
    text = text.replaceAll(documented, here);
  }
  return text;
}

function jwtSettings(dir) {
  const key = path.join(dir, 'jwt.key');
  writeFileSync(key, KEY);
  return ['--jwt-key', key, '--jwt-algorithm', 'HS256'];
}

// One site has the page, another the stream and login.php, both over TLS.
class Access {
  /** tokenSeconds: the lifetime of a token. */
  static async open(tokenSeconds) {
    const access = new Access();
    access.dir = makeDirectory();
    chmodSync(access.dir, 0o755);
    const settings = jwtSettings(access.dir);
    await access.#startLogin();
    // deploy/access/page.html and nothing else of the stream's.
    access.site = await Stack.open({ tls: true, more: `location /page/ { alias ${access.dir}/; }` });
    const { origin } = access.site;
    const more = access.#loginLines(origin, tokenSeconds);
    access.stack = await Stack.open({ tls: true, allowOrigin: origin, settings, more });
    writeFileSync(access.#file('page.html'),
      deployed('page.html', [['https://events.example.org', access.stack.origin]]));
    await access.stack.database.sql(
      `INSERT INTO grants(subject, channel) VALUES ('user:${USER}', 'orders')`);
    return access;
  }

  #file(name) {
    return path.join(this.dir, name);
  }

  #loginLines(origin, seconds) {
    return deployed('login-nginx.conf', [
      ['/usr/local/lib/rowtail/login.php', this.#file('login.php')],
      ['include fastcgi_params;', 'include /etc/nginx/fastcgi_params;'],
      ['/run/php/php-fpm.sock', this.#file('php.sock')],
      ['#fastcgi_param LOGIN_ORIGIN https://app.example.org', `fastcgi_param LOGIN_ORIGIN ${origin}`],
      ['#fastcgi_param LOGIN_SECONDS 600', `fastcgi_param LOGIN_SECONDS ${seconds}`],
    ]);
  }

  async #startLogin() {
    writeFileSync(this.#file('login.php'), deployed('login.php', [
      ['/etc/rowtail-jwt.key', this.#file('jwt.key')],
      ['/etc/rowtail-accounts', this.#file('accounts')],
    ]));
    await this.setPassword(PASSWORD);
    const who = process.getuid() === 0 ? 'user = www-data\n' : '';
    writeFileSync(this.#file('fpm.conf'), `[global]\nerror_log = ${this.#file('fpm.log')}\n[login]\n` +
      `listen = ${this.#file('php.sock')}\nlisten.mode = 0666\n${who}pm = static\npm.max_children = 2\n`);
    const fpm = (await run('sh', ['-c', 'ls /usr/sbin/php-fpm*'])).trim().split('\n').at(-1);
    this.fpm = start(fpm, ['-F', '-y', this.#file('fpm.conf')]);
    await listening({ path: this.#file('php.sock') }, this.fpm);
  }

  async setPassword(password) {
    writeFileSync(this.#file('accounts'), await run('htpasswd', ['-niB', USER], { input: password }));
  }

  takeAccountAway() {
    writeFileSync(this.#file('accounts'), '');
  }

  insert(data) {
    return this.stack.insert({ channel: 'orders', data });
  }

  async close() {
    await this.site.close();
    await this.stack.close();
    await this.fpm.stop();
    removeDirectory(this.dir);
  }
}

function inPage(tokenSeconds, test) {
  return async () => {
    const access = await Access.open(tokenSeconds);
    const page = await openPage(browser, access.site.origin, PAGE);
    try {
      await test(page, access);
      assert.deepEqual(page.problems, []);
    } finally {
      await closePage(page);
      await access.close();
    }
  };
}

async function logIn(page, password = PASSWORD) {
  await page.getByText('Please log in.').waitFor();
  await page.getByLabel('Name').fill(USER);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

const shown = (page) => page.locator('#orders li').allTextContents();

async function logsIn(page, access) {
  await logIn(page, 'wrong');
  await page.getByText('That did not work.').waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText('Live.').waitFor();
  assert.equal(await page.locator('#login').isHidden(), true);
  await access.insert('for ann');
  await page.getByText('for ann').waitFor();
  assert.equal(await page.evaluate(() => document.cookie), '');
  // A returning user need not log in again.
  await page.reload();
  await page.getByText('Live.').waitFor();
}

async function renews(page, access) {
  const sent = [];
  const insert = async (data) => {
    sent.unshift(data);
    await access.insert(data);
  };
  // A row between the end of each stream and the beginning of the next.
  let streams = 0;
  await page.route('**/events?*', async (route) => {
    if (++streams > 1) {
      await insert(`before stream ${streams}`);
    }
    await route.continue();
  });
  await logIn(page);
  await page.getByText('Live.').waitFor();
  await insert('in stream 1');
  for (const stream of [2, 3, 4]) {
    await page.getByText(`before stream ${stream}`).waitFor();
    await insert(`in stream ${stream}`);
  }
  await page.getByText('in stream 4').waitFor();
  assert.deepEqual(await shown(page), sent);
}

async function asksAgain(page, access) {
  await logIn(page);
  await page.getByText('Live.').waitFor();
  access.takeAccountAway();
  await page.getByText('Please log in.').waitFor();
  await access.insert('meanwhile');
  await access.setPassword('another');
  await logIn(page, 'another');
  await page.getByText('meanwhile').waitFor();
}

async function saysWithdrawn(page, access) {
  await logIn(page);
  await page.getByText('Live.').waitFor();
  await access.stack.database.sql(deployed('revoke.sql', []));
  await page.getByText('Your access was revoked.').waitFor({ timeout: REVOKED_MS });
  await page.reload();
  await page.getByText('You may not read this.').waitFor();
}

function jwt(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', KEY).update(text).digest('base64url')}`;
}

async function withHeader(server) {
  const dir = makeDirectory();
  const site = await Stack.open();
  const stack = await Stack.open({ server, allowOrigin: site.origin, settings: jwtSettings(dir) });
  const page = await openPage(browser, site.origin);
  try {
    const exp = Math.floor(Date.now() / 1000) + 600;
    const ask = (token) => follow(page, 'azure', stack.events({ last_event_id: 0 }),
      { headers: { Authorization: `Bearer ${token}` } });
    const good = await ask(jwt({ sub: USER, exp, channels: ['default'] }));
    const other = await ask(jwt({ sub: USER, exp, channels: ['orders'] }));
    const ended = await ask(jwt({ sub: USER, exp: exp - 1200, channels: ['default'] }));
    await stack.insert('one');
    await good.receives(1);
    await Promise.all([other.closes(), ended.closes()]);
    await stack.rowtail.kill();
    await stack.insert('two');
    await stack.rowtail.start();
    await good.receives(2);
    assert.deepEqual(await good.data(), ['one', 'two']);
    assert.deepEqual([(await other.log()).records, (await ended.log()).records], [[], []]);
  } finally {
    await closePage(page);
    await stack.close();
    await site.close();
    removeDirectory(dir);
  }
}
