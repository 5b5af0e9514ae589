// SPDX-License-Identifier: GPL-2.0-or-later
// The CRM's side: an HTTP receiver that keeps every request as it came and checks every signature with two packages
// that are not ours. In a test's own process:
//
//     const r = await Receiver.start({file, port})      r.url, r.secret
//     r.requests       every request: {at, path, id, body, headers, event, verified: {standardwebhooks, svix}, answered}
//     r.events(call)   accepted events, each id once, in the order they came; of one Call-ID or call_id, or all
//     await r.until(events => …, {ms, what, call})      as soon as it holds
//     r.mode = 'ok' | 500 | 'hang' | 'close'            what the next requests get
//     await r.close(), await r.open()                   down, and up again on the same port
//
// As a process of its own: node receiver.mjs --port N --file F --secret S; POST /control with {"mode": …}, GET /control
// for the counts.
import fs from 'node:fs';
import http from 'node:http';
import crypto from 'node:crypto';
import { EventEmitter } from 'node:events';
import { fileURLToPath } from 'node:url';
import { need } from '../lib/paths.mjs';

const { Webhook: Standard } = need('standardwebhooks');
const { Webhook: Svix } = need('svix');

function verdict(Package, secret, body, headers) {
  try {
    new Package(secret).verify(body, headers);
    return true;
  } catch (e) {
    return e.message || String(e);
  }
}

export class Receiver extends EventEmitter {
  static async start(o = {}) {
    const r = new Receiver();
    r.setMaxListeners(0);
    r.secret = o.secret ?? `whsec_${crypto.randomBytes(32).toString('base64')}`;
    r.file = o.file;
    r.port = o.port ?? 0;
    r.host = '127.0.0.1';
    r.requests = [];
    r.accepted = [];
    r.ids = new Set();
    r.mode = 'ok';
    r.held = new Set();
    await r.open();
    return r;
  }

  get url() { return `http://${this.host}:${this.port}/hook`; }

  open() {
    if (this.server) return Promise.resolve();
    this.server = http.createServer((req, res) => this.serve(req, res));
    this.server.keepAliveTimeout = 60000;
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(this.port, this.host, () => { this.port = this.server.address().port; resolve(); });
    });
  }

  /** Connections refused from now on, those that are open reset. */
  close() {
    const s = this.server;
    if (!s) return Promise.resolve();
    this.server = undefined;
    return new Promise((resolve) => { s.close(resolve); s.closeAllConnections(); });
  }

  serve(req, res) {
    const chunks = [];
    req.on('error', () => {}).on('data', (c) => chunks.push(c)).on('end', () => {
      const body = Buffer.concat(chunks);
      if (req.url === '/control') return this.control(req, res, body);
      const mode = this.mode;
      this.keep(req, body, mode);
      if (mode === 'close') return req.socket.destroy();
      if (mode === 'hang') return this.held.add(res);
      res.writeHead(mode === 'ok' ? 200 : mode).end();
    });
  }

  control(req, res, body) {
    if (req.method === 'POST') this.mode = JSON.parse(body).mode;
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(this.counts()));
  }

  keep(req, body, mode) {
    const text = body.toString('utf8');
    const h = req.headers;
    const r = {
      at: Date.now(), path: req.url, id: h['webhook-id'], headers: h, body: text, valid_utf8: Buffer.from(text, 'utf8').equals(body), answered: mode,
      verified: { standardwebhooks: verdict(Standard, this.secret, text, h), svix: verdict(Svix, this.secret, text, h) },
    };
    if (this.file) fs.appendFileSync(this.file, `${JSON.stringify(r)}\n`);
    try { r.event = JSON.parse(text); } catch (e) { r.bad = e.message; }
    this.requests.push(r);
    if (mode === 'ok' && r.event && !this.ids.has(r.id)) {
      this.ids.add(r.id);
      this.accepted.push(Object.assign(r.event, { id: r.id, received: r }));
      for (const k of ['id', 'received']) Object.defineProperty(r.event, k, { enumerable: false });
    }
    this.emit('request', r);
  }

  events(call) {
    if (!call) return this.accepted;
    return this.accepted.filter((e) => e.data.sip_call_id === call || e.data.call_id === call);
  }

  /** Resolves with what fn returns as soon as that is true; fn sees the events (of o.call, or all). */
  until(fn, o = {}) {
    const ms = o.ms ?? 15000;
    return new Promise((resolve, reject) => {
      const look = () => {
        const v = fn(this.events(o.call));
        if (v) { end(); resolve(v); }
        return v;
      };
      const end = () => { clearTimeout(t); this.off('request', look); };
      const t = setTimeout(() => {
        end();
        const seen = this.events(o.call).map((e) => `${e.data.sip_call_id} ${e.data.sequence} ${e.type}`);
        reject(new Error(`the receiver waited ${ms / 1000} s for ${o.what ?? fn}; it has:\n  ${seen.slice(-40).join('\n  ') || 'nothing'}`));
      }, ms);
      this.on('request', look);
      look();
    });
  }

  /** {requests, accepted, verified (by both), bad (signature or JSON), invalid: the first few of those} */
  counts() {
    const good = (r) => r.verified.standardwebhooks === true && r.verified.svix === true;
    const bad = this.requests.filter((r) => !good(r) || r.bad || !r.valid_utf8);
    return { requests: this.requests.length, accepted: this.accepted.length, verified: this.requests.filter(good).length, bad: bad.length, invalid: bad.slice(0, 3) };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const arg = (name) => { const i = process.argv.indexOf(`--${name}`); return i < 0 ? undefined : process.argv[i + 1]; };
  const r = await Receiver.start({ port: Number(arg('port') ?? 0), file: arg('file'), secret: arg('secret') });
  console.log(`receiver at ${r.url}`);
}
