// SPDX-License-Identifier: GPL-2.0-or-later
// A real phone: baresip with real RTP. It sends one WAV file and keeps what it hears in another.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { EventEmitter } from 'node:events';
import { Proc, poll, within } from './proc.mjs';
import { writeTone } from './tone.mjs';

const MODULES = ['/usr/lib/baresip/modules', '/usr/lib/x86_64-linux-gnu/baresip/modules', '/usr/lib/aarch64-linux-gnu/baresip/modules'];

/** Emits every event that baresip reports (REGISTER_OK, CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED…), .seen has all. */
export class Baresip extends EventEmitter {
  /**
   * @param o.dir       folder of this run
   * @param o.ports     Ports
   * @param o.user, o.domain, o.password, o.proxy ("127.0.0.1:port")
   * @param o.display   display name, as it is to stand in From
   * @param o.tone      Hz of what it says
   * @param o.answer    "auto" (default) or "manual"
   * @param o.register  default true
   */
  static async start(o) {
    const b = new Baresip();
    b.user = o.user;
    b.uri = `sip:${o.user}@${o.domain}`;
    b.tone = o.tone ?? 440;
    b.seen = [];
    const dir = path.join(o.dir, `baresip-${o.user}`);
    fs.mkdirSync(dir, { recursive: true });
    const port = await o.ports.next(4);
    const ctrl = await o.ports.next();
    b.sent = path.join(dir, 'sent.wav');
    b.dir = dir;
    writeTone(b.sent, b.tone, 20);
    const modules = MODULES.find((d) => fs.existsSync(d));
    const display = o.display === undefined ? '' : `"${o.display}" `;
    fs.writeFileSync(path.join(dir, 'accounts'), `${display}<${b.uri}>;auth_user=${o.user};auth_pass=${o.password};outbound="sip:${o.proxy};transport=udp";`
      + `answermode=${o.answer ?? 'auto'};regint=${o.register === false ? 0 : 600};audio_codecs=PCMU,PCMA\n`);
    fs.writeFileSync(path.join(dir, 'contacts'), '');
    fs.writeFileSync(path.join(dir, 'config'), [
      `module_path ${modules}`, 'module g711.so', 'module aufile.so', 'module sndfile.so', `snd_path ${dir}`, 'module_tmp account.so', 'module_app menu.so', 'module ctrl_tcp.so',
      `ctrl_tcp_listen 127.0.0.1:${ctrl}`, `sip_listen 127.0.0.1:${port}`, 'net_interface 127.0.0.1',
      `audio_source aufile,${b.sent}`, `audio_alert aufile,${path.join(dir, 'alert.wav')}`, 'audio_path /nonexistent',
      'ausrc_srate 8000', 'auplay_srate 8000', 'ausrc_channels 1', 'auplay_channels 1', 'rtp_stats no', 'call_local_timeout 60', ''].join('\n'));
    b.proc = new Proc('baresip', ['-f', dir], { log: path.join(dir, 'log'), cwd: dir, keep: o.keep });
    await b.connect(ctrl);
    if (o.register !== false) await b.registered();
    return b;
  }

  /** It registers before its control port is open, so its log is the witness. */
  registered() {
    return poll(() => {
      const log = this.proc.tail(200);
      if (/\} [3-6]\d\d [^\n]*\[0 bindings?\]|reg: .*failed/i.test(log)) throw new Error(`${this.user} could not register:\n${log}`);
      return /200 OK [^\n]*\[\d+ bindings?\]/.test(log);
    }, 8000, () => `${this.user} is not registered:\n${this.proc.tail()}`);
  }

  async connect(port) {
    this.socket = await poll(() => new Promise((resolve) => {
      if (this.proc.exited) throw new Error(`baresip ended:\n${this.proc.tail()}`);
      const s = net.connect(port, '127.0.0.1');
      s.once('connect', () => resolve(s)).once('error', () => resolve(null));
    }), 5000, () => `baresip does not open its control port:\n${this.proc.tail()}`, 50);
    let buffer = Buffer.alloc(0);
    this.socket.unref();
    this.socket.on('error', () => {}).on('data', (d) => {
      buffer = Buffer.concat([buffer, d]);
      for (;;) {
        const colon = buffer.indexOf(58);
        if (colon < 0) return;
        const len = Number(buffer.subarray(0, colon));
        if (buffer.length < colon + len + 2) return;
        const m = JSON.parse(buffer.subarray(colon + 1, colon + 1 + len).toString().replace(/[\u0000-\u001f]/g, ' '));
        buffer = buffer.subarray(colon + len + 2);
        if (m.event) { this.seen.push(m); this.emit('event', m); }
      }
    });
  }

  command(command, params = '') {
    const text = JSON.stringify({ command, params });
    this.socket.write(`${Buffer.byteLength(text)}:${text},`);
  }

  /** The first event of this type, also if it was there before; an event of type `not` rejects. */
  wait(type, ms = 10000, not = undefined) {
    const find = () => {
      const bad = not && this.seen.find((e) => e.type === not);
      if (bad) throw new Error(`${this.user}: ${not} ${bad.param ?? ''}`);
      return this.seen.find((e) => e.type === type);
    };
    return within(ms, () => `${this.user} saw no ${type}, but ${this.seen.map((e) => `${e.type} ${e.param ?? ''}`).join(', ') || 'nothing'}`,
      new Promise((resolve, reject) => {
        const look = () => { try { const e = find(); if (e) { this.off('event', look); resolve(e); } } catch (x) { this.off('event', look); reject(x); } };
        this.on('event', look);
        look();
      }));
  }

  /** The WAV file of what its newest call heard; complete when the call is closed. */
  get heard() {
    const files = fs.readdirSync(this.dir).filter((f) => f.endsWith('-dec.wav')).sort();
    if (!files.length) throw new Error(`${this.user} heard nothing: no recording in ${this.dir}`);
    return path.join(this.dir, files.at(-1));
  }

  count(type) { return this.seen.filter((e) => e.type === type).length; }

  dial(uri) { this.command('dial', uri); }

  /** Answers the call that rings (o.answer: 'manual'). */
  accept() { this.command('accept'); }

  hangup() { this.command('hangup'); }

  async stop() {
    this.socket?.destroy();
    await this.proc.stop(3000);
  }
}
