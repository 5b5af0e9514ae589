// SPDX-License-Identifier: GPL-2.0-or-later
// A callee that outlives the proxy: it rings at once, answers after a while, repeats its 200 until the ACK comes, and takes
// an INVITE that arrives twice over different ways for the one call it is (RFC 3261 8.2.2.2 would refuse it: a phone that
// answers it is the harder test).
import dgram from 'node:dgram';

const field = (m, name) => m.match(new RegExp(`^${name} *: *(.*)$`, 'im'))?.[1].trim() ?? '';
const fields = (m, name) => m.split('\r\n').filter((l) => new RegExp(`^${name} *:`, 'i').test(l));

export class Callee {
  /** @param o.delay ms from INVITE to 200 */
  static async open(port, o = {}) {
    const c = new Callee();
    c.delay = o.delay ?? 150;
    c.ip = o.ip ?? '127.0.0.3';
    c.calls = new Map(); // Call-ID → {invites, acked, byes}
    c.socket = dgram.createSocket('udp4').on('message', (m, from) => c.got(m.toString('latin1'), from));
    await new Promise((resolve, reject) => c.socket.once('error', reject).bind(port, c.ip, resolve));
    c.port = port;
    return c;
  }

  got(m, from) {
    const id = field(m, 'Call-ID');
    const method = m.slice(0, m.indexOf(' '));
    if (method === 'SIP/2.0') return;
    const call = this.calls.get(id) ?? { invites: 0, acked: false, byes: 0 };
    this.calls.set(id, call);
    if (method === 'ACK') call.acked = true;
    else if (method === 'BYE') { call.byes++; call.acked = true; this.reply(m, from, 200, 'OK'); }
    else if (method === 'INVITE') this.invite(m, from, call);
    else if (method === 'CANCEL') this.reply(m, from, 200, 'OK');
  }

  invite(m, from, call) {
    call.invites++;
    this.reply(m, from, 180, 'Ringing');
    const branch = field(m, 'Via');
    call.answering ??= new Set();
    if (call.answering.has(branch)) return;
    call.answering.add(branch);
    let wait = 500;
    const answer = () => {
      if (call.acked && call.sent) return;
      call.sent = true;
      this.reply(m, from, 200, 'OK', `v=0\r\no=- 1 1 IN IP4 ${this.ip}\r\ns=-\r\nc=IN IP4 ${this.ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n`);
      if (wait <= 8000) { setTimeout(answer, wait).unref(); wait = Math.min(wait * 2, 4000) + (wait >= 4000 ? 4001 : 0); }
    };
    setTimeout(answer, this.delay).unref();
  }

  reply(m, from, code, reason, sdp = '') {
    if (this.closed) return;
    const to = field(m, 'To');
    const lines = [`SIP/2.0 ${code} ${reason}`, ...fields(m, 'Via'), ...fields(m, 'Record-Route'), `From: ${field(m, 'From')}`,
      `To: ${to.includes('tag=') ? to : `${to};tag=callee`}`, `Call-ID: ${field(m, 'Call-ID')}`, `CSeq: ${field(m, 'CSeq')}`, `Contact: <sip:callee@${this.ip}:${this.port}>`];
    if (sdp) lines.push('Content-Type: application/sdp');
    lines.push(`Content-Length: ${sdp.length}`, '', sdp);
    this.socket.send(lines.join('\r\n'), from.port, from.address);
  }

  close() { this.closed = true; this.socket.close(); }
}
