// cutter: a proxy between a client and its web server that cuts event streams off, at any byte and in
// every way in which a connection can end. All other answers (pages, modules) pass as they are.

import { once } from 'node:events';
import http from 'node:http';

import { sleep } from './process.mjs';

const ENDS_MS = 50; // for a server to end a stream whose client has half closed
const TAIL = 300; // bytes before a cut that say where it is

// Ways in which a stream ends: each gets the client's socket and the request to the web server.
const WAYS = {
  // The connection is reset within a chunk.
  reset: (socket) => socket.resetAndDestroy(),
  // The connection is closed within a chunk.
  close: (socket) => socket.destroySoon(),
  // The body ends as it should: a last chunk, as some web servers send when their program has died.
  cleanEnd: (socket) => socket.end('0\r\n\r\n'),
  // Half of the connection is closed, towards the client; the server goes on sending.
  halfClose: (socket) => socket.end(),
  // The other half is closed, towards the server, and the client's connection a moment later.
  serverHalfClose: async (socket, request) => {
    request.socket.end();
    await sleep(ENDS_MS);
    socket.destroySoon();
  },
};
export const WAY_NAMES = Object.keys(WAYS);

// Places in a stream: what has passed ends so (as latin1).
const PLACES = {
  anywhere: /(?:)/,
  behindARecord: /\n\n$/,
  inAnEventLine: /\neve[a-z]*: ?\w*$/,
  behindAnEventLine: /\nevent: \w+\n$/,
  inADataLine: /\ndata: [^\n]+$/,
  behindADataLine: /\ndata: [^\n]*\n$/,
  inACharacter: /[\xc2-\xf4]$/,
  inAnIdLine: /\nid?:? ?\d*$/,
  betweenIdAndEmptyLine: /\nid: \d+\n$/,
};
export const PLACE_NAMES = [...Object.keys(PLACES), 'inAChunkHeader', 'inTheHead'];

// Finds the place of a cut in the pieces of a body.
class Seeker {
  #after;
  #place;
  #spared;
  #passed = 0;
  #tail = '';

  constructor({ after, place, spared = [] }) {
    this.#after = after;
    this.#place = PLACES[place] ?? PLACES.anywhere;
    this.#spared = spared.map((name) => PLACES[name]);
  }

  /** How many bytes of the next piece pass before the cut; -1: all, and it is not there yet. */
  seek(piece) {
    let at = -1;
    if (this.#passed + piece.length < this.#after) {
      this.#passed += piece.length;
      this.#tail = (this.#tail + piece.latin1Slice(Math.max(0, piece.length - TAIL))).slice(-TAIL);
      return at;
    }
    const text = this.#tail + piece.latin1Slice();
    const known = this.#tail.length;
    for (let i = Math.max(0, this.#after - this.#passed); i <= piece.length && at < 0; i++) {
      at = this.#isHere(text.slice(Math.max(0, known + i - TAIL), known + i)) ? i : -1;
    }
    this.#passed += piece.length;
    this.#tail = text.slice(-TAIL);
    return at;
  }

  #isHere(tail) {
    return this.#place.test(tail) && !this.#spared.some((spared) => spared.test(tail));
  }
}

// Finds the place of a cut so many bytes behind the beginning of a record.
class Counter {
  #record;
  #bytes;
  #text = '';

  constructor({ record, bytes }) {
    this.#record = record;
    this.#bytes = bytes;
  }

  seek(piece) {
    const passed = this.#text.length;
    this.#text += piece.latin1Slice();
    const begin = this.#text.search(this.#record);
    const at = begin + this.#bytes;
    if (begin < 0 || at > this.#text.length) {
      return -1;
    }
    if (at < passed) {
      throw new Error(`the place of the cut has passed: ${this.#text}`);
    }
    return at - passed;
  }
}

export class Cutter {
  #server;
  #settings;

  /** Whether there is such a cut: some places leave a connection that can end in some ways only. */
  static can({ place, way }) {
    // Within a chunk header, a last chunk would make it the header of a longer one, whose bytes the client would get.
    return !(place === 'inTheHead' && way !== 'reset') && !(place === 'inAChunkHeader' && way === 'cleanEnd');
  }

  /** The streams, oldest first: { passed (bytes of the body), ended (null, then 'whole' or 'cut') }. */
  streams = [];

  /** Other answers: { url, status }. */
  answers = [];

  /**
   * settings: to (the web server's port or unix socket), next(url) (how the next stream is cut,
   * { after: bytes of the body that pass in any case, place, way, spared: names of places } or
   * { record: a RegExp of its beginning, bytes: how many of its bytes pass, way }, or null: not at
   * all; the cutter adds stream, the one that it waits in, then begun and done: true), patienceMs (how long the client has for what came before the
   * cut), gate ({ after, opened }: the cutter reads no more than so many bytes of a stream until the
   * promise `opened` is kept).
   */
  static async open(settings) {
    const cutter = new Cutter();
    cutter.#settings = { patienceMs: 0, next: () => null, ...settings };
    cutter.#server = http.createServer((request, response) => cutter.#pass(request, response));
    cutter.#server.listen(0, '127.0.0.1');
    await once(cutter.#server, 'listening');
    cutter.origin = `http://127.0.0.1:${cutter.#server.address().port}`;
    return cutter;
  }

  async close() {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  #pass(request, response) {
    const { method, url, headers, socket } = request;
    const onward = http.request({
      ...addressOf(this.#settings.to), agent: false, method, path: url, headers,
    });
    onward.on('response', (answer) => {
      if (answer.headers['content-type'] === 'text/event-stream') {
        this.#stream(socket, answer, onward, url);
      } else {
        this.answers.push({ url, status: answer.statusCode });
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      }
    });
    onward.on('error', () => socket.destroy());
    const listeners = { error: () => {}, close: () => onward.destroy() }; // 'close' follows 'error'
    Object.entries(listeners).forEach(([event, listener]) => socket.on(event, listener));
    // The connection may have another request.
    response.on('finish', () =>
      Object.entries(listeners).forEach(([event, listener]) => socket.off(event, listener)));
    request.pipe(onward);
  }

  #stream(socket, answer, onward, url) {
    const cut = this.#settings.next(url);
    if (cut && !Cutter.can(cut)) {
      throw new Error(`no such cut: ${cut.place}, ${cut.way}`);
    }
    answer.on('error', () => socket.destroySoon());
    const head = headOf(answer);
    if (cut?.place === 'inTheHead') {
      socket.write(head.slice(0, cut.after % head.length));
      this.#cut(cut, socket, answer, onward);
      return;
    }
    socket.write(head);
    answer.on('end', () => socket.end('0\r\n\r\n'));
    const seeker = cut && (cut.record ? new Counter(cut) : new Seeker(cut));
    const { gate } = this.#settings;
    const stream = { passed: 0, ended: null };
    answer.on('close', () => { stream.ended = answer.complete ? 'whole' : 'cut'; });
    this.streams.push(stream);
    if (cut) {
      cut.stream = stream;
    }
    answer.on('data', (piece) => {
      const at = seeker && !cut.begun ? seeker.seek(piece) : -1;
      const passing = at < 0 ? piece : piece.subarray(0, at);
      const taken = writeChunk(socket, passing, isWhole(at, cut));
      stream.passed += passing.length;
      const shut = gate && stream.passed >= gate.after;
      if (!taken || shut) {
        answer.pause();
        // A client that leaves meanwhile needs no more.
        Promise.all([taken || once(socket, 'drain'), shut && gate.opened])
          .then(() => answer.resume(), () => {});
      }
      if (at >= 0) {
        this.#cut(cut, socket, answer, onward);
      }
    });
  }

  async #cut(cut, socket, answer, onward) {
    cut.begun = true;
    answer.removeAllListeners('data').removeAllListeners('end').pause();
    if (cut.place === 'inAChunkHeader') {
      socket.write('1');
    }
    await sleep(this.#settings.patienceMs);
    await WAYS[cut.way](socket, onward);
    cut.done = true;
  }
}

function addressOf(to) {
  return typeof to === 'string' ? { socketPath: to } : { host: '127.0.0.1', port: to };
}

// A cut leaves its chunk unfinished, unless the body shall end as it should.
function isWhole(at, cut) {
  return at < 0 || cut.way === 'cleanEnd' || cut.place === 'inAChunkHeader';
}

function writeChunk(socket, piece, whole) {
  if (whole && piece.length === 0) {
    return true; // a chunk of no bytes would be the last
  }
  socket.cork();
  socket.write(`${(piece.length + (whole ? 0 : 1)).toString(16)}\r\n`);
  socket.write(piece);
  const taken = socket.write(whole ? '\r\n' : '');
  socket.uncork();
  return taken;
}

function headOf({ statusCode, statusMessage, rawHeaders }) {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!/^(connection|keep-alive|transfer-encoding|content-length)$/i.test(rawHeaders[i])) {
      lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
    }
  }
  return [...lines, 'Connection: close', 'Transfer-Encoding: chunked', '', ''].join('\r\n');
}
