// SPDX-License-Identifier: GPL-2.0-or-later
// JSON over UDP: Kamailio's RPC (jsonrpcs) and rtpengine's ng protocol.
import dgram from 'node:dgram';
import crypto from 'node:crypto';

class Udp {
  constructor(port, host = '127.0.0.1') {
    this.port = port;
    this.host = host;
    this.waiting = new Map();
  }

  open() {
    this.socket ??= dgram.createSocket('udp4').on('message', (m) => this.got(m.toString())).on('error', () => {}).unref();
  }

  /** Sends text every `again` ms until the reply with this key is there. */
  ask(key, text, ms, again) {
    this.open();
    return new Promise((resolve, reject) => {
      const send = () => this.socket.send(text, this.port, this.host);
      const tick = again ? setInterval(send, again) : null;
      const end = () => { clearInterval(tick); clearTimeout(t); this.waiting.delete(key); };
      const t = setTimeout(() => { end(); reject(new Error(`no reply from udp:${this.host}:${this.port} in ${ms / 1000} s to ${text.slice(0, 200)}`)); }, ms);
      this.waiting.set(key, (v) => { end(); resolve(v); });
      send();
    });
  }

  close() {
    this.socket?.close();
    this.socket = undefined;
  }
}

/** Kamailio's RPC: `await rpc.call('core.uptime')`. Throws an Error with .code when Kamailio refuses. */
export class Rpc extends Udp {
  id = 0;

  got(text) {
    let m;
    try { m = JSON.parse(text); } catch { m = { error: { code: 0, message: `not JSON: ${text.slice(0, 200)}` }, id: this.id }; }
    this.waiting.get(m.id)?.(m);
  }

  async call(method, ...params) {
    const id = ++this.id;
    const m = await this.ask(id, JSON.stringify({ jsonrpc: '2.0', method, params, id }), 5000);
    if (m.error) throw Object.assign(new Error(`${method}: ${m.error.message}`), { code: m.error.code });
    return m.result;
  }
}

/** rtpengine: `await ng.call({command: 'query', 'call-id': …})`. */
export class Ng extends Udp {
  got(text) {
    const at = text.indexOf(' ');
    this.waiting.get(text.slice(0, at))?.(JSON.parse(text.slice(at + 1)));
  }

  call(command, ms = 3000, again = 0) {
    const cookie = crypto.randomUUID();
    return this.ask(cookie, `${cookie} ${JSON.stringify(command)}`, ms, again);
  }
}
