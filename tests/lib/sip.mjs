// SPDX-License-Identifier: GPL-2.0-or-later
// Single SIP messages as bytes, for what no well-behaved peer sends.
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import { within } from './proc.mjs';

export const token = () => crypto.randomBytes(8).toString('hex');

export class SipSocket {
  static async open(ip = '127.0.0.2') {
    const s = new SipSocket();
    s.ip = ip;
    s.got = [];
    s.waiting = [];
    s.socket = dgram.createSocket('udp4').unref();
    s.socket.on('error', () => {}).on('message', (m) => { s.got.push(m.toString('latin1')); for (const w of [...s.waiting]) w(); });
    await new Promise((r) => s.socket.bind(0, ip, r));
    s.port = s.socket.address().port;
    return s;
  }

  /** @param lines header lines behind Via; a Buffer or latin1 text. Via and Content-Length are added. */
  request(method, uri, lines, body = '') {
    const branch = `z9hG4bK${token()}`;
    return Buffer.from(`${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP ${this.ip}:${this.port};rport;branch=${branch}\r\n`
      + `${lines.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n${body}`, 'latin1');
  }

  /** The usual lines. */
  lines(o) {
    return [`Max-Forwards: 70`, `From: ${o.from ?? `<sip:a@${this.ip}>`};tag=${o.tag ?? token()}`, `To: ${o.to}`, `Call-ID: ${o.callId ?? token()}`,
      `CSeq: ${o.cseq ?? 1} ${o.method}`, `Contact: <sip:a@${this.ip}:${this.port}>`, ...(o.more ?? [])];
  }

  send(buffer, port) { this.socket.send(buffer, port, '127.0.0.1'); }

  /** The first message that fits; provisional replies do not count unless asked for. */
  wait(fits, ms = 5000) {
    return within(ms, () => `no such message; got:\n${this.got.join('\n')}`, new Promise((resolve) => {
      const look = () => {
        const m = this.got.find(fits);
        if (m) { this.waiting = this.waiting.filter((w) => w !== look); resolve(m); }
      };
      this.waiting.push(look);
      look();
    }));
  }

  final(callId, ms) { return this.wait((m) => /^SIP\/2.0 [2-6]/.test(m) && m.includes(callId), ms); }

  close() { this.socket.close(); }
}
