// png: a PNG picture's size, a note in it (a tEXt chunk, which viewers ignore), and smaller files.

import { deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE_BYTES = 8;
const KEYWORD = 'Description';

// Each chunk as { type, data, end }; a chunk is a length, a type, the data and a checksum.
function* chunks(png) {
  for (let at = SIGNATURE_BYTES; at < png.length;) {
    const length = png.readUInt32BE(at);
    const end = at + 12 + length;
    yield { type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length), end };
    at = end;
  }
}

/** { width, height }, in pixels. */
export function sizeOf(png) {
  const { data } = chunks(png).next().value;
  return { width: data.readUInt32BE(0), height: data.readUInt32BE(4) };
}

/** The note that withNote left, or undefined. */
export function noteOf(png) {
  for (const { type, data } of chunks(png)) {
    const end = data.indexOf(0);
    if (type === 'tEXt' && data.toString('latin1', 0, end) === KEYWORD) {
      return data.toString('latin1', end + 1);
    }
  }
  return undefined;
}

/** The same picture with a note after its head, in Latin-1 without NUL. */
export function withNote(png, note) {
  const { end } = chunks(png).next().value;
  const text = chunk('tEXt', Buffer.from(`${KEYWORD}\0${note}`, 'latin1'));
  return Buffer.concat([png.subarray(0, end), text, png.subarray(end)]);
}

/** The same pixels in a smaller file, by lines without a filter: pages are flat. Other chunks are left out. */
export function compressed(png) {
  const [head, ...rest] = chunks(png);
  const bytesAPixel = { 2: 3, 6: 4 }[head.data[9]];
  const stored = inflateSync(Buffer.concat(rest.filter(({ type }) => type === 'IDAT').map(({ data }) => data)));
  const pixels = deflateSync(unfiltered(stored, sizeOf(png).width * bytesAPixel, bytesAPixel), { level: 9, memLevel: 9 });
  return Buffer.concat([png.subarray(0, head.end), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]);
}

// Each line is a byte that names its filter, then its bytes (section 9 of the PNG specification).
function unfiltered(stored, lineBytes, bytesAPixel) {
  let above = Buffer.alloc(lineBytes);
  for (let at = 0; at < stored.length; at += lineBytes + 1) {
    const predict = PREDICTORS[stored[at]];
    const line = stored.subarray(at + 1, at + 1 + lineBytes);
    for (let i = 0; i < lineBytes; i++) {
      const [left, corner] = i < bytesAPixel ? [0, 0] : [line[i - bytesAPixel], above[i - bytesAPixel]];
      line[i] += predict(left, above[i], corner);
    }
    stored[at] = 0;
    above = line;
  }
  return stored;
}

const PREDICTORS = [() => 0, (left) => left, (_, up) => up, (left, up) => (left + up) >> 1, paeth];

function paeth(left, up, corner) {
  const [a, b, c] = [up - corner, left - corner, left + up - 2 * corner].map(Math.abs);
  if (a <= b && a <= c) {
    return left;
  }
  return b <= c ? up : corner;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  const checksum = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

// PNG's checksum (ISO 3309).
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}
