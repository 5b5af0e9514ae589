// SPDX-License-Identifier: GPL-2.0-or-later
// A SIP endpoint that does exactly what a test says, and nothing by itself: no retransmission, no timer, no reply.
//
//     const caller = await Ua.open({ ip: '127.0.0.2', proxy: 5060, name: 'caller' });
//     const call = caller.call('one-5071');          a new Call-ID
//     call.invite(); await call.reply(180); await call.reply(200); call.ack(); call.bye(); await call.reply(200, 'BYE');
//     call.again();                                  the last request, byte for byte
//
//     const leg = await callee.leg(call.id);         the INVITE of that Call-ID, as soon as it is there
//     leg.answer(180); leg.answer(200); await leg.request('ACK'); leg.answer(200, await leg.request('BYE')); leg.bye();
//
// Over TLS: Ua.open({ …, tls: { ca, cert, key } }) (files). Its own requests go over one connection to the proxy, replies over the
// connection that the request came by; it listens for the proxy's on ip:port too.
//
// ua.messages is what tests/lib/ladder.mjs prints.
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import fs from 'node:fs';
import tls from 'node:tls';
import { EventEmitter } from 'node:events';
import { within } from '../lib/proc.mjs';

const token = () => crypto.randomBytes(8).toString('hex');
const SDP = (ip) => ['v=0', `o=- 1 1 IN IP4 ${ip}`, 's=-', `c=IN IP4 ${ip}`, 't=0 0', 'm=audio 40000 RTP/AVP 0 8', 'a=rtpmap:0 PCMU/8000', 'a=rtpmap:8 PCMA/8000', ''].join('\r\n');

function parse(text) {
  const [head] = text.split('\r\n\r\n');
  const [start, ...lines] = head.split('\r\n');
  const headers = lines.map((l) => { const i = l.indexOf(':'); return [l.slice(0, i).trim().toLowerCase(), l.slice(i + 1).trim()]; });
  const all = (n) => headers.filter(([k]) => k === n).map(([, v]) => v);
  const one = (n) => all(n)[0] ?? '';
  const reply = /^SIP\/2\.0 (\d{3}) ?(.*)/.exec(start);
  const [cseq, method] = one('cseq').split(/ +/);
  const tag = (n) => /;tag=([^;\s]*)/.exec(one(n))?.[1] ?? '';
  return {
    text, start, all, one, cseq: Number(cseq), method, code: reply ? Number(reply[1]) : 0, callId: one('call-id'), fromTag: tag('from'), toTag: tag('to'),
    contact: /<([^>]*)>/.exec(one('contact'))?.[1] ?? one('contact'), kind: reply ? `${reply[1]} ${method}` : method,
    line: reply ? `${reply[1]} ${reply[2]} (${cseq} ${method})` : `${start.replace(/ SIP\/2\.0$/, '')} (${cseq})`,
  };
}

export class Ua extends EventEmitter {
  static async open(o) {
    const ua = new Ua();
    ua.setMaxListeners(0);
    Object.assign(ua, { ip: o.ip, proxy: o.proxy, name: o.name, messages: [], inbox: [] });
    ua.transport = o.tls ? 'TLS' : 'UDP';
    if (o.tls) await ua.listenTls(o);
    else await ua.listenUdp(o);
    return ua;
  }

  async listenUdp(o) {
    this.socket = dgram.createSocket('udp4').unref();
    this.socket.on('error', () => {}).on('message', (m) => this.got(m.toString('latin1')));
    await new Promise((r) => this.socket.bind(o.port ?? 0, o.ip, r));
    this.port = this.socket.address().port;
  }

  async listenTls(o) {
    this.tls = { ca: fs.readFileSync(o.tls.ca), cert: fs.readFileSync(o.tls.cert), key: fs.readFileSync(o.tls.key) };
    this.connections = new Set();
    this.server = tls.createServer(this.tls, (c) => this.read(c)).unref();
    await new Promise((r) => this.server.listen(o.port ?? 0, o.ip, r));
    this.port = this.server.address().port;
  }

  /** A stream: a message ends where its Content-Length says. */
  read(connection) {
    let data = '';
    this.connections.add(connection);
    connection.unref();
    connection.on('error', () => {}).on('close', () => this.connections.delete(connection)).on('data', (d) => {
      data += d.toString('latin1');
      for (;;) {
        data = data.replace(/^(\r\n)+/, '');
        const head = data.indexOf('\r\n\r\n');
        const end = head + 4 + Number(/^(?:content-length|l)[ \t]*:[ \t]*(\d+)/im.exec(data)?.[1] ?? 0);
        if (head < 0 || data.length < end) return;
        this.got(data.slice(0, end), connection);
        data = data.slice(end);
      }
    });
  }

  got(text, connection) {
    const msg = Object.assign(parse(text), { connection });
    this.note('received', msg);
    this.inbox.push(msg);
    this.emit('message');
  }

  /** The connection to the proxy; it is opened when it is needed first. */
  toProxy() {
    if (!this.connections.has(this.own)) {
      this.own = tls.connect({ ...this.tls, host: '127.0.0.1', port: this.proxy, localAddress: this.ip });
      this.read(this.own);
    }
    return this.own;
  }

  note(direction, msg) {
    const again = this.messages.some((m) => m.direction === direction && m.text === msg.text);
    this.messages.push({ who: this.name, at: performance.timeOrigin + performance.now(), direction, kind: msg.kind, line: msg.line, callId: msg.callId, text: msg.text, again });
  }

  send(text, port = this.proxy, host = '127.0.0.1', connection = undefined) {
    this.note('sent', parse(text));
    if (this.tls) (connection ?? this.toProxy()).write(Buffer.from(text, 'latin1'));
    else this.socket.send(Buffer.from(text, 'latin1'), port, host);
    return text;
  }

  /** Its own address as Contact has it. */
  contact(user) { return `sip:${user}@${this.ip}:${this.port}${this.tls ? ';transport=tls' : ''}`; }

  /** Takes the first message that fits out of the inbox, waiting for it if it is not there yet. */
  take(fits, what, ms = 5000) {
    let look;
    const found = new Promise((resolve) => {
      look = () => {
        const i = this.inbox.findIndex(fits);
        if (i < 0) return;
        resolve(this.inbox.splice(i, 1)[0]);
        this.off('message', look);
      };
      this.on('message', look);
      look();
    });
    return within(ms, () => `${this.name} did not get ${what}; it has ${this.inbox.map((m) => m.line).join(', ') || 'nothing'}`, found).finally(() => this.off('message', look));
  }

  /** Has a message of this kind come, and not been taken? */
  has(callId, kind) { return this.inbox.some((m) => m.callId === callId && m.kind === kind); }

  call(service) { return new Call(this, service); }

  /** @param callId undefined: whichever it has */
  async leg(callId, ms) {
    return new Leg(this, await this.take((m) => (!callId || m.callId === callId) && m.kind === 'INVITE' && !m.toTag, `the INVITE of ${callId ?? 'any call'}`, ms));
  }

  close() {
    this.socket?.close();
    this.server?.close();
    for (const c of this.connections ?? []) c.destroy();
  }
}

/** One side of a dialog. */
class Side {
  constructor(ua) { this.ua = ua; }

  /** A request of this side. */
  make(method, o = {}) {
    const branch = o.branch ?? `z9hG4bK${token()}`;
    const body = o.sdp ? SDP(this.ua.ip) : '';
    return [`${method} ${o.uri ?? this.target} SIP/2.0`, `Via: SIP/2.0/${this.ua.transport} ${this.ua.ip}:${this.ua.port};rport;branch=${branch}`, ...(o.routes ?? this.routes).map((r) => `Route: ${r}`),
      'Max-Forwards: 70', `From: ${this.local}`, `To: ${o.to ?? this.remote}`, `Call-ID: ${this.id}`, `CSeq: ${o.cseq ?? ++this.cseq} ${method}`,
      `Contact: <${this.ua.contact(this.user)}>`, ...(body ? ['Content-Type: application/sdp'] : []), `Content-Length: ${body.length}`, '', body].join('\r\n');
  }

  request(method, ms) {
    return this.ua.take((m) => m.callId === this.id && m.kind === method, `${method} of ${this.id}`, ms);
  }

  bye() { this.last = this.ua.send(this.make('BYE')); return this.last; }

  again() { return this.ua.send(this.last); }

  /** Answers a request of the other side. */
  respond(req, code, o = {}) {
    const reason = { 100: 'Trying', 180: 'Ringing', 183: 'Session Progress', 200: 'OK', 486: 'Busy Here', 487: 'Request Terminated' }[code] ?? 'Reply';
    const body = o.sdp ? SDP(this.ua.ip) : '';
    const to = req.toTag || code === 100 ? req.one('to') : `${req.one('to')};tag=${this.tag}`;
    const text = [`SIP/2.0 ${code} ${reason}`, ...req.all('via').map((v) => `Via: ${v}`), ...req.all('record-route').map((r) => `Record-Route: ${r}`), `From: ${req.one('from')}`, `To: ${to}`,
      `Call-ID: ${this.id}`, `CSeq: ${req.one('cseq')}`, ...(code < 300 ? [`Contact: <${this.ua.contact(this.user)}>`] : []), ...(body ? ['Content-Type: application/sdp'] : []),
      `Content-Length: ${body.length}`, '', body].join('\r\n');
    return this.ua.send(text, o.port, o.host, req.connection);
  }
}

/** The calling side. */
class Call extends Side {
  constructor(ua, service) {
    super(ua);
    Object.assign(this, { id: `${token()}@${ua.ip}`, tag: token(), user: 'caller', cseq: 0, routes: [], branch: `z9hG4bK${token()}` });
    this.uri = `sip:${service}@127.0.0.1:${ua.proxy}`;
    this.local = `<sip:+442079460142@${ua.ip}>;tag=${this.tag}`;
    this.remote = `<${this.uri}>`;
  }

  invite() {
    this.last = this.ua.send(this.make('INVITE', { uri: this.uri, branch: this.branch, sdp: true }));
    this.inviteCseq = this.cseq;
    return this;
  }

  cancel() { this.ua.send(this.make('CANCEL', { uri: this.uri, branch: this.branch, cseq: this.inviteCseq })); }

  /** The next reply with this code; a 2xx to the INVITE sets up the dialog. */
  async reply(code, method = 'INVITE', ms = undefined) {
    const m = await this.ua.take((x) => x.callId === this.id && x.kind === `${code} ${method}`, `${code} to the ${method} of ${this.id}`, ms);
    if (method === 'INVITE' && code >= 200 && code < 300) {
      this.remote = m.one('to');
      this.target = m.contact;
      this.routes = m.all('record-route').reverse();
    }
    return m;
  }

  ack() { this.ua.send(this.make('ACK', { cseq: this.inviteCseq, sdp: false })); }

  /** The ACK of a final answer ≥ 300. */
  nack(reply) { this.ua.send(this.make('ACK', { uri: this.uri, branch: this.branch, cseq: this.inviteCseq, to: reply.one('to') })); }
}

/** The called side: made from the INVITE that came. */
class Leg extends Side {
  constructor(ua, invite) {
    super(ua);
    Object.assign(this, { invite, id: invite.callId, tag: token(), user: 'callee', cseq: 0, target: invite.contact, routes: invite.all('record-route') });
    this.local = `${invite.one('to')};tag=${this.tag}`;
    this.remote = invite.one('from');
  }

  /** A reply to the INVITE, or to another request; 183 and 2xx to the INVITE carry SDP. */
  answer(code, request = this.invite, o = {}) {
    return this.respond(request, code, { sdp: request.method === 'INVITE' && (code === 183 || code === 200), ...o });
  }
}
