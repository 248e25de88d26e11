// demo: deploy/demo/demo.sh as `make demo` runs it, on a free port.

import path from 'node:path';
import { after, before } from 'node:test';

import { launch } from './chromium.mjs';
import { Database, PROJECT } from './database.mjs';
import { freePort, makeDirectory, processesWith, removeDirectory, ROWTAIL_BIN, start, until } from './process.mjs';

export class Demo {
  /** Starts the demo and waits until it says its URL. */
  static async open() {
    const demo = new Demo();
    demo.dir = makeDirectory(); // the demo creates its directory in here
    demo.port = await freePort();
    demo.process = runDemo(demo.port, demo.dir);
    await until(() => `the demo's URL; it says: ${demo.process.output()}`,
      () => demo.process.output().includes('http://127.0.0.1:'));
    [demo.url] = demo.process.output().match(/http:\S+/);
    const [, file] = demo.process.output().match(/sqlite3 (\S+)/);
    demo.database = new Database(file, demo.dir);
    return demo;
  }

  /** Kills the responder like a crash; lighttpd restarts it. */
  killRowtail() {
    const file = path.join(path.dirname(this.database.file), 'rowtail.conf');
    processesWith(file).forEach((pid) => process.kill(pid, 'SIGKILL'));
  }

  /** Stops it with a signal, like Ctrl-C with SIGINT. Returns { code, signal }. */
  async close(signal = 'SIGINT') {
    await this.database.close();
    return this.process.stop(signal);
  }

  removeDirectory() {
    removeDirectory(this.dir);
  }
}

/** Opens a browser and a demo for the tests of a describe(), which calls this. Returns { browser, demo }, filled then. */
export function demoForTests() {
  const opened = {};
  before(async () => {
    [opened.browser, opened.demo] = await Promise.all([launch(), Demo.open()]);
  });
  after(async () => {
    await opened.browser.close();
    await opened.demo.close();
    opened.demo.removeDirectory();
  });
  return opened;
}

export function runDemo(port, dir) {
  const binary = ROWTAIL_BIN ?? path.join(PROJECT, 'build/rowtail');
  return start('sh', [path.join(PROJECT, 'deploy/demo/demo.sh'), binary],
    { env: { ...process.env, PORT: String(port), TMPDIR: dir } });
}
