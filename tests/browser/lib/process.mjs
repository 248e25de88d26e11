// process: child processes that end with the test, free ports, and waiting with a deadline.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

const DEADLINE_MS = 15_000;
const running = new Set();
const directories = new Set();

/** rowtail itself, if it is not the one that make builds; otherwise undefined. */
export const { ROWTAIL_BIN } = process.env;

// rowtail reads every variable of that name as a setting.
for (const name of Object.keys(process.env).filter((key) => key.startsWith('ROWTAIL_'))) {
  delete process.env[name];
}

// An interrupted test leaves nothing behind either, not even a web server's worker.
process.on('exit', () => {
  running.forEach(killGroup);
  directories.forEach((dir) => rmSync(dir, { recursive: true, force: true }));
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(1));
}

// Each child leads a process group with everything that it starts.
function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // it has already ended
  }
}

/** A temporary directory, removed at the end of this test process. */
export function makeDirectory() {
  const dir = mkdtempSync(path.join(tmpdir(), 'rowtail-browser-'));
  directories.add(dir);
  return dir;
}

export function removeDirectory(dir) {
  rmSync(dir, { recursive: true, force: true });
  directories.delete(dir);
}

/**
 * Starts a program. The result has child; the promises of { code, signal } exited (it has ended)
 * and closed (its outputs have ended too, which may be later, or a child's); output() (what it
 * wrote so far to both outputs); and stop(signal), which resolves when it has ended.
 */
export function start(command, args, options = {}) {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'], detached: true, ...options,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => { output += text; });
  }
  running.add(child);
  const exited = once(child, 'exit').then(([code, signal]) => {
    running.delete(child);
    return { code, signal };
  });
  const closed = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  closed.catch(() => {}); // `exited` reports it
  return {
    child,
    exited,
    closed,
    output: () => output,
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return exited;
    },
  };
}

/** What keeps this process alive: the programs that it started, and Node.js's own names for the rest. */
export function stillRunning() {
  return [...[...running].map(({ spawnargs }) => spawnargs.join(' ')), ...process.getActiveResourcesInfo()].join(', ');
}

/** Runs a program to its end and returns what it wrote to standard output. */
export async function run(command, args, { input = '', ...options } = {}) {
  const program = start(command, args, options);
  program.child.stdin.on('error', () => {}); // it may have ended without reading
  program.child.stdin.end(input);
  const { code } = await program.closed;
  if (code !== 0) {
    throw new Error(`${command} ended with ${code}: ${program.output()}`);
  }
  return program.output();
}

// Below the ports of outgoing connections, and of tests/lib/ports.py. Test files run side by side: each takes a range of its
// own and listens on its first port, so that nobody else gets a port between freePort() and the start of the server.
const PORTS = { first: 4000, count: 100, ranges: 40 };
let ours = null;

/** A TCP port that nobody listens on, and that was not given to anybody here for a long time. */
export async function freePort() {
  ours ??= takeRange();
  const range = await ours;
  for (let tries = 1; tries < PORTS.count; tries++) {
    range.last = range.last % (PORTS.count - 1) + 1;
    const port = range.first + range.last;
    const server = await listensOn(port);
    if (server) {
      server.close();
      await once(server, 'close');
      return port;
    }
  }
  throw new Error('no port is free');
}

async function takeRange() {
  const begin = Math.floor(Math.random() * PORTS.ranges);
  for (let i = 0; i < PORTS.ranges; i++) {
    const first = PORTS.first + ((begin + i) % PORTS.ranges) * PORTS.count;
    const held = await listensOn(first);
    if (held) {
      held.unref();
      return { first, last: 0 };
    }
  }
  throw new Error(`${PORTS.ranges} test files run here already`);
}

async function listensOn(port) {
  const server = net.createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return server;
  } catch {
    return null; // somebody else has it
  }
}

/**
 * Waits until condition() is truthy and returns its value. On a time-out the error says `what`, a
 * text or a function that returns one.
 */
export async function until(what, condition, deadlineMs = DEADLINE_MS) {
  const begin = Date.now();
  const end = begin + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      const text = typeof what === 'function' ? await what() : what;
      throw new Error(`did not happen in ${deadlineMs} ms: ${text}`);
    }
    // At growing intervals: tests wait for dozens of clients side by side.
    await sleep(Math.min(20 + (Date.now() - begin) / 10, 200));
  }
}

/** Waits until something accepts connections at `where` (net.connect's options). */
export function listening(where, program) {
  return until(() => `connecting to ${JSON.stringify(where)}: ${program.output()}`, () => {
    if (program.child.exitCode !== null) {
      throw new Error(`ended with ${program.child.exitCode}: ${program.output()}`);
    }
    return connects(where);
  });
}

function connects(where) {
  return new Promise((resolve) => {
    const socket = net.connect(where);
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

/** The ids of the processes whose command line holds a text, such as a temporary directory. */
export function processesWith(text) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false; // it has already ended
    }
  });
}
