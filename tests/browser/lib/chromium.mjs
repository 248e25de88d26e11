// chromium: Debian's browser, driven by playwright-core, with only loopback.
//
// Debian also packages it without its windows, as chromium-headless-shell: the same engine, and a page costs a fifth of the
// CPU time. make test uses that one if it is installed, make test-all the whole browser too (CHROMIUM=/usr/bin/chromium).

import { existsSync } from 'node:fs';

import { chromium } from 'playwright-core';

const PROGRAM = process.env.CHROMIUM ??
  ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find((path) => existsSync(path));

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export function launch() {
  return chromium.launch({
    executablePath: PROGRAM,
    args: FLAGS,
  });
}

/**
 * Opens the page of the test's clients, at `origin`, in a browser context of its own (cookies, cache
 * and connections are not shared with other pages).
 */
export async function openPage(browser, origin, path = '/pages/index.html') {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(error.stack));
  await page.goto(origin + path);
  return page;
}

export function closePage(page) {
  return page.context().close();
}
