// stack: a database, rowtail and a web server, for one test or a few.

import { after } from 'node:test';

import { Database } from './database.mjs';
import { freePort, makeDirectory, removeDirectory, stillRunning } from './process.mjs';
import { Rowtail } from './rowtail.mjs';
import { webServer } from './webserver.mjs';

export const SERVERS = ['lighttpd', 'nginx'];

// rowtail serves HTTP itself (--http). The pages come from nginx, which is another origin.
export const DIRECT = 'rowtail alone';

// The reconnection times spread a crowd over time; a test has no crowd.
const SETTINGS = ['--retry', '200', '--retry-jitter', '0'];

// After a set-up that failed half-way, a client or a server may still run. Node.js would wait for it for ever.
const LEFT_OVER_MS = 20_000;
after(() => {
  setTimeout(() => {
    process.stderr.write(`The tests have ended, but something that they started still runs: ${stillRunning()}\n`);
    process.exit(1);
  }, LEFT_OVER_MS).unref();
});

export class Stack {
  /**
   * how: server ('lighttpd', 'nginx', DIRECT, or, without pages, 'apache' or 'apache-fcgid'),
   * settings (of rowtail, instead of ['--public']), tls, login, allowOrigin (see webServer()).
   */
  static async open({ server = 'nginx', settings = ['--public'], ...how } = {}) {
    const origins = how.allowOrigin ? ['--allow-origin', how.allowOrigin] : [];
    const stack = new Stack();
    stack.dir = makeDirectory();
    stack.database = await Database.create(stack.dir);
    stack.direct = server === DIRECT ? `127.0.0.1:${await freePort()}` : null;
    stack.rowtail = new Rowtail(stack.dir, stack.database, [...SETTINGS, ...origins, ...settings],
      stack.direct);
    const { socket, program } = stack.rowtail;
    stack.web = await webServer(stack.direct ? 'nginx' : server,
      { ...how, dir: stack.dir, socket, program });
    if (stack.direct && !how.allowOrigin) {
      stack.rowtail.allow(stack.web.origin);
    }
    await stack.rowtail.start();
    await stack.web.start();
    return stack;
  }

  get origin() {
    return this.web.origin;
  }

  /** The URL of a stream; parameters are passed to URLSearchParams. */
  events(parameters = {}) {
    const query = new URLSearchParams(parameters).toString();
    const origin = this.direct ? `http://${this.direct}` : this.origin;
    return `${origin}/events${query && '?'}${query}`;
  }

  insert(...rows) {
    return this.database.insert(...rows);
  }

  async close() {
    await this.web.stop();
    await this.rowtail.stop();
    await this.database.close();
    removeDirectory(this.dir);
  }
}
