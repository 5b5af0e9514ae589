// SPDX-License-Identifier: GPL-2.0-or-later
// SIPp: a scenario run to its end, and what SIPp itself counted.
import fs from 'node:fs';
import path from 'node:path';
import { Proc, poll, within } from './proc.mjs';

function statistics(file) {
  let lines;
  try { lines = fs.readFileSync(file, 'utf8').trim().split('\n'); } catch { return {}; }
  if (lines.length < 2) return {};
  const names = lines[0].split(';');
  const values = lines[lines.length - 1].split(';');
  return Object.fromEntries(names.map((n, i) => [n, values[i]]));
}

function bound(ip, port) {
  const hex = ip.split('.').reverse().map((n) => Number(n).toString(16).padStart(2, '0')).join('').toUpperCase();
  const want = `${hex}:${port.toString(16).padStart(4, '0').toUpperCase()}`;
  return fs.readFileSync('/proc/net/udp', 'utf8').includes(` ${want} `);
}

export class Sipp {
  /**
   * Starts SIPp; resolves when its port is open.
   *
   * @param o.scenario  XML file (or the XML itself, if it begins with "<")
   * @param o.dir       folder for everything it writes
   * @param o.name      names its files; default the scenario's
   * @param o.ip        own address; default 127.0.0.2, the trunk
   * @param o.port      own SIP port
   * @param o.remote    "host:port" to call; without it SIPp waits for calls
   * @param o.service   user part of the request URI ([service])
   * @param o.calls     -m; default 1
   * @param o.rate      -r calls a second; default 1 (10 when calls > 1)
   * @param o.limit     -l calls at a time
   * @param o.keys      {name: value} for [name] in the scenario (-key)
   * @param o.args      anything else
   * @param o.timeout   seconds until it is given up; default 60
   */
  static async start(o) {
    const s = new Sipp();
    s.name = o.name ?? (o.scenario.startsWith('<') ? 'sipp' : path.basename(o.scenario, '.xml'));
    s.ip = o.ip ?? '127.0.0.2';
    s.port = o.port;
    let file = o.scenario;
    if (file.startsWith('<')) {
      file = path.join(o.dir, `${s.name}.xml`);
      fs.writeFileSync(file, o.scenario);
    }
    const at = (ext) => path.join(o.dir, `${s.name}.${ext}`);
    s.files = { screen: at('screen'), messages: at('messages'), errors: at('errors'), stat: at('stat.csv'), counts: at('counts.csv') };
    for (const f of Object.values(s.files)) fs.rmSync(f, { force: true });
    const calls = o.calls ?? 1;
    const args = ['-sf', file, '-i', s.ip, '-p', String(s.port), '-m', String(calls), '-r', String(o.rate ?? (calls > 1 ? 10 : 1)),
      '-nostdin', '-trace_err', '-error_file', s.files.errors, '-trace_stat', '-stf', s.files.stat, '-fd', '1',
      '-trace_screen', '-screen_file', s.files.screen, '-timeout', `${o.timeout ?? 60}s`, '-timeout_error'];
    if (o.trace !== false && calls <= 100) args.push('-trace_msg', '-message_file', s.files.messages);
    if (o.limit) args.push('-l', String(o.limit));
    if (o.service) args.push('-s', o.service);
    for (const [k, v] of Object.entries(o.keys ?? {})) args.push('-key', k, String(v));
    args.push(...(o.args ?? []));
    if (o.remote) args.push(o.remote);
    s.remote = o.remote;
    s.proc = new Proc('sipp', args, { log: at('out'), cwd: o.dir, env: { ...process.env, TERM: 'dumb' }, keep: o.keep });
    s.done = s.proc.done.then(() => s.result());
    const died = s.proc.done.then(() => { if (!fs.existsSync(s.files.stat)) throw new Error(`sipp ${s.name} did not start:\n${s.proc.tail()}`); });
    died.catch(() => {});
    await Promise.race([poll(() => bound(s.ip, s.port), 5000, `sipp ${s.name} did not open udp:${s.ip}:${s.port}`, 10), died]);
    return s;
  }

  /** {code, ok, successful, failed, stat, errors, files}: ok means that SIPp is content and counted no failed call. */
  result() {
    const st = statistics(this.files.stat);
    const read = (f) => { try { return fs.readFileSync(f, 'utf8'); } catch { return ''; } };
    const successful = Number(st['SuccessfulCall(C)'] ?? 0);
    const failed = Number(st['FailedCall(C)'] ?? 0);
    return {
      name: this.name, code: this.proc.code, ok: this.proc.code === 0 && failed === 0, successful, failed,
      stat: st, errors: read(this.files.errors), files: this.files,
    };
  }

  /** What it sent and received so far. */
  messages() {
    try { return fs.readFileSync(this.files.messages, 'utf8'); } catch { return ''; }
  }

  /** Lets calls in progress end, then stops it. @return as done */
  async stop(ms = 3000) {
    this.proc.signal('SIGUSR1');
    try { await within(ms, '', this.done); } catch { await this.proc.kill(); }
    return this.result();
  }
}
