// SPDX-License-Identifier: GPL-2.0-or-later
// Calls at a steady rate through one Signalbox, made and counted by SIPp: the truth that events are checked against.
//
//     const load = await Load.start(sb, { rate: 100 });    sb runs with the rules of sipp-scenarios/
//     load.ended()            Call-IDs that SIPp ended with a BYE; answered() which it saw answered; answers() which its callee did
//     load.replyTimes(from, to)   {trying, ringing, answered}: ms from INVITE to 100, 180, 200, sorted, of calls begun between two times
//     const counted = await load.stop();     lets calls in progress end
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './paths.mjs';

const xml = (name) => path.join(ROOT, 'tests', 'integration', 'sipp', `${name}.xml`);
export const RULES = fs.readFileSync(path.join(ROOT, 'sipp-scenarios', 'rules.cfg'), 'utf8');

function logged(file, word) {
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  return new Set([...text.matchAll(new RegExp(`\\b${word} (\\S+)`, 'g'))].map((m) => m[1]));
}

/** @param q 0 to 1, of a sorted list */
export const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

export class Load {
  /**
   * @param o.rate      calls a second (100)
   * @param o.hold      ms from answer to BYE (500)
   * @param o.patient   the caller takes any end, and waits longer
   * @param o.callee    port of a callee that is there already
   * @param o.name      names SIPp's files
   * @param o.args      anything else for the caller
   */
  static async start(sb, o = {}) {
    const l = new Load();
    l.sb = sb;
    l.name = o.name ?? 'load';
    const args = async (who) => ['-trace_logs', '-log_file', l.file(who), '-cp', String(await sb.ports.next())];
    const common = { calls: 1e6, timeout: 3600, trace: false };
    l.callee = o.callee ?? (await sb.sippStart({ ...common, role: 'uas', name: `${l.name}-callee`, scenario: xml('steady_callee'), args: await args('callee') })).port;
    l.began = Date.now(); // SIPp's own times count from about here
    l.caller = await sb.sippStart({
      ...common, name: `${l.name}-caller`, scenario: xml(o.patient ? 'patient_caller' : 'steady_caller'), service: `one-${l.callee}`, rate: o.rate ?? 100, limit: 5000,
      args: ['-d', String(o.hold ?? 500), ...(o.patient ? ['-max_retrans', '20'] : ['-recv_timeout', '6000', '-trace_rtt', '-rtt_freq', '1']), ...(o.args ?? []), ...await args('caller')],
    });
    return l;
  }

  file(who) { return path.join(this.sb.dir, `${this.name}-${who}.log`); }

  answered() { return logged(this.file('caller'), 'answered'); }

  ended() { return logged(this.file('caller'), 'ended'); }

  answers() { return logged(this.file('callee'), 'answers'); }

  replyTimes(from = 0, to = Infinity) {
    const name = fs.readdirSync(this.sb.dir).find((f) => f.endsWith(`_${this.caller.proc.pid}_rtt.csv`));
    const lines = fs.readFileSync(path.join(this.sb.dir, name), 'utf8').split('\n').slice(1);
    const times = { 1: [], 2: [], 3: [] };
    for (const line of lines) {
      const [at, ms, n] = line.split(';').map(Number);
      const sent = this.began + at - ms;
      if (sent >= from && sent < to) times[n]?.push(ms);
    }
    for (const t of Object.values(times)) t.sort((a, b) => a - b);
    return { trying: times[3], ringing: times[1], answered: times[2] };
  }

  async stop(ms = 30000) { return this.caller.stop(ms); }
}
