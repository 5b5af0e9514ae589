// SPDX-License-Identifier: GPL-2.0-or-later
// Receivers that do what no receiver should, each on a port of its own, in a process of their own. In a test:
//
//     const bad = await BadReceivers.start({ dir, ports, elsewhere: 'http://…' });    elsewhere: where `redirects` points to
//     bad.names                   what there is: see KINDS below
//     bad.url('garbage')
//     await bad.mend()            from now on all answer 200
//     await bad.seen()            {name: {accepted: [{id, call, sequence}], tries}}: what was answered with a whole 2xx, in order; requests
//     await bad.stop()
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import zlib from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { Proc, poll } from '../lib/proc.mjs';

const CHUNK = Buffer.alloc(65536, 120);
const line = (code, ...headers) => `HTTP/1.1 ${[code, ...headers].join('\r\n')}\r\n\r\n`;
const OK = line('200 OK', 'Content-Length: 0');

/** Writes until the other side has enough, or `bytes` were written. */
async function pour(socket, chunk, bytes) {
  for (let n = 0; n < bytes && !socket.destroyed; n += chunk.length) {
    if (!socket.write(chunk)) await new Promise((resolve) => { socket.once('drain', resolve).once('close', resolve); });
  }
  socket.end();
}

async function drip(socket, text) {
  for (const c of text) {
    if (socket.destroyed) return;
    socket.write(c);
    await new Promise((resolve) => { setTimeout(resolve, 1000).unref(); });
  }
}

/** What each does with a request. true: it counts as taken, since a whole 2xx with its headers was sent. */
const KINDS = {
  down: null, // refuses connections
  loris: (s) => { drip(s, `HTTP/1.1 200 OK\r\nX-Wait: ${'x'.repeat(3600)}\r\n\r\n`); },
  silent: () => {},
  gigabyte: (s) => { s.write(line('200 OK', 'Content-Length: 1073741824')); pour(s, CHUNK, 2 ** 30); return true; },
  resets: (s) => { s.resetAndDestroy(); },
  redirects: (s, o) => { s.write(line('307 Temporary Redirect', `Location: ${o.elsewhere}`, 'Content-Length: 0')); },
  gone: (s) => { s.write(line('410 Gone', 'Content-Length: 0')); },
  busy: (s) => { s.write(line('429 Too Many Requests', 'Retry-After: 2', 'Content-Length: 0')); },
  garbage: (s) => { s.end('\x00\x15\x03\x01 220 smtp.example.com ESMTP\r\n'.repeat(20)); },
  continues: (s) => { pour(s, Buffer.from(line('100 Continue').repeat(1000)), 2 ** 30); },
  big_header: (s) => { s.write('HTTP/1.1 200 OK\r\n'); pour(s, Buffer.from(`X-Big: ${'y'.repeat(1015)}\r\n`), 2 ** 20); },
  long_header: (s) => { s.write('HTTP/1.1 200 OK\r\nX-Big: '); pour(s, CHUNK, 2 ** 20); },
  bomb: (s, o) => { s.write(line('200 OK', 'Content-Encoding: gzip', `Content-Length: ${o.bomb.length}`)); s.end(o.bomb); return true; },
  bad_chunk: (s) => { s.end(`${line('503 Busy', 'Transfer-Encoding: chunked')}zzzz\r\nx`); },
  bad_chunk_200: (s) => { s.end(`${line('200 OK', 'Transfer-Encoding: chunked')}ffffffffffffffffff\r\nx`); return true; },
  body_with_204: (s) => { s.end(`${line('204 No Content')}${line('500 Smuggled', 'Content-Length: 0')}`); return true; },
};

class Bad {
  accepted = [];
  tries = 0;
  sockets = new Set();

  constructor(name, port, o) {
    Object.assign(this, { name, port, o, act: KINDS[name] });
  }

  open() {
    this.server = net.createServer((s) => this.connection(s));
    return new Promise((resolve) => { this.server.listen(this.port, '127.0.0.1', resolve); });
  }

  connection(s) {
    let have = Buffer.alloc(0);
    this.sockets.add(s);
    s.on('error', () => {}).on('close', () => this.sockets.delete(s)).on('data', (d) => {
      have = Buffer.concat([have, d]);
      const end = have.indexOf('\r\n\r\n');
      const head = end < 0 ? '' : have.toString('latin1', 0, end);
      const length = Number(head.match(/\r\ncontent-length: (\d+)/i)?.[1]);
      if (end < 0 || have.length < end + 4 + length) return;
      const body = have.toString('utf8', end + 4, end + 4 + length);
      have = have.subarray(end + 4 + length);
      this.request(s, head, body);
    });
  }

  request(s, head, body) {
    const { data } = JSON.parse(body);
    this.tries++;
    const taken = this.mended ? (s.write(OK), true) : this.act(s, this.o);
    if (taken === true) this.accepted.push({ id: head.match(/\r\nwebhook-id: (\S+)/i)[1], call: data.sip_call_id, sequence: data.sequence });
  }

  async mend() {
    this.mended = true;
    for (const s of this.sockets) s.destroy();
    if (!this.server) await this.open();
  }
}

/** The process: its names and ports on the command line, orders on stdin, one JSON line for each. */
async function serve() {
  const o = JSON.parse(process.argv[2]);
  o.bomb = zlib.gzipSync(Buffer.alloc(64 * 2 ** 20));
  const all = Object.entries(o.ports).map(([name, port]) => new Bad(name, port, o));
  for (const b of all) if (b.act) await b.open();
  const report = (out) => fs.writeFileSync(o.file, JSON.stringify(out));
  report({ ready: true });
  let n = 0;
  process.stdin.setEncoding('utf8').on('data', async (text) => {
    for (const order of text.trim().split('\n')) {
      if (order === 'mend') for (const b of all) await b.mend();
      const out = Object.fromEntries(all.map((b) => [b.name, { accepted: b.accepted, tries: b.tries }]));
      fs.writeFileSync(`${o.file}.new`, JSON.stringify({ n: ++n, out }));
      fs.renameSync(`${o.file}.new`, o.file);
    }
  }).on('end', () => process.exit(0));
}

export class BadReceivers {
  names = Object.keys(KINDS);
  orders = 0;

  static async start(o) {
    const b = new BadReceivers();
    b.ports = {};
    for (const name of b.names) b.ports[name] = await o.ports.next();
    b.file = path.join(o.dir, 'bad_receivers.json');
    const args = JSON.stringify({ ports: b.ports, elsewhere: o.elsewhere, file: b.file });
    b.proc = new Proc('node', [fileURLToPath(import.meta.url), args], { log: path.join(o.dir, 'bad_receivers.log'), stdin: 'pipe' });
    await poll(() => {
      if (b.proc.exited) throw new Error(`bad_receiver.mjs ended with ${b.proc.code}:\n${b.proc.tail()}`);
      return b.read()?.ready;
    }, 10000, 'the bad receivers do not start');
    return b;
  }

  read() { try { return JSON.parse(fs.readFileSync(this.file, 'utf8')); } catch { return undefined; } }

  url(name) { return `http://127.0.0.1:${this.ports[name]}/${name}`; }

  async order(what) {
    const n = ++this.orders;
    this.proc.child.stdin.write(`${what}\n`);
    return poll(() => { const r = this.read(); return r?.n === n && r.out; }, 20000, () => `the bad receivers do not answer:\n${this.proc.tail()}`);
  }

  mend() { return this.order('mend'); }

  async seen() { return this.order('look'); }

  async stop() { await this.proc.stop(); }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve();
