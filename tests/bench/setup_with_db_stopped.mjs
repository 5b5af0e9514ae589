// SPDX-License-Identifier: GPL-2.0-or-later
// setup_with_db_stopped: how long an INVITE waits for its 100 while MariaDB runs, and while it is stopped (SIGSTOP). Ours: the whole routing
// script, users and call log in that MariaDB. The peer: stock acc that writes to the same MariaDB, on a routing script as small as can be.
// Each round: ours running, ours stopped, then the peer; calls go on all the time through the one that is measured.
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { start } from '../lib/harness.mjs';
import { Load, RULES } from '../lib/load.mjs';
import { Sipp } from '../lib/sipp.mjs';
import { poll } from '../lib/proc.mjs';
import { Proxy } from './proxy.mjs';
import { median, quantile, round, spread } from './figures.mjs';

const SETTLE_MS = 1500;
const LATE_MS = 500; // T1: by then a caller sends its INVITE again
const ACC_SQL = `CREATE TABLE acc (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL, method VARCHAR(16) DEFAULT '' NOT NULL, from_tag VARCHAR(128) DEFAULT '' NOT NULL,
  to_tag VARCHAR(128) DEFAULT '' NOT NULL, callid VARCHAR(255) DEFAULT '' NOT NULL, sip_code VARCHAR(3) DEFAULT '' NOT NULL, sip_reason VARCHAR(128) DEFAULT '' NOT NULL,
  time DATETIME NOT NULL, KEY callid_idx (callid));
INSERT INTO version (table_name, table_version) VALUES ('acc', 5);`;

/** What a Load needs of a Harness, of a Proxy of the benches. */
function asHarness(p) {
  const sippStart = async (s) => Sipp.start({ dir: p.dir, ip: '127.0.0.2', port: await p.ports.next(), remote: `127.0.0.1:${p.port}`, ...s });
  return { dir: p.dir, ports: p.ports, callee: p.callee, sippStart };
}

/** ms from a first INVITE to its 100, of calls begun between two times. SIPp's own response times are full milliseconds. */
function tryingTimes(file, from, to) {
  const sent = new Map();
  const times = [];
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    const [, , at, way, call, cseq, what] = line.split('\t');
    if (cseq !== 'CSeq:1 INVITE') continue;
    if (way === 'S' && !sent.has(call)) sent.set(call, at * 1000);
    if (way !== 'R' || !what.startsWith('SIP/2.0 100') || !(sent.get(call) >= from && sent.get(call) < to)) continue;
    times.push(at * 1000 - sent.get(call));
    sent.set(call, NaN);
  }
  return times;
}

/** Calls at o.rate; MariaDB runs for o.seconds, then is stopped for o.seconds. @return {running, stopped}: ms to the 100 of each call, and calls that failed */
async function turn(db, on, name, o) {
  const messages = path.join(on.dir, `${name}-messages.csv`);
  const l = await Load.start(on, { rate: o.rate, name, callee: on.callee?.port, args: ['-trace_shortmsg', '-shortmessage_file', messages] });
  await sleep(SETTLE_MS);
  const from = Date.now();
  await sleep(o.seconds * 1000);
  const frozen = Date.now();
  db.freeze();
  try {
    await sleep(o.seconds * 1000);
  } finally {
    db.thaw();
  }
  const thawed = Date.now();
  await sleep(SETTLE_MS);
  const counted = await l.stop();
  return { running: tryingTimes(messages, from, frozen), stopped: tryingTimes(messages, frozen, thawed), failed: counted.failed, calls: counted.successful + counted.failed };
}

function figures(turns) {
  const all = (what) => turns.flatMap((t) => t[what]);
  const p99 = { running: quantile(all('running'), 0.99), stopped: quantile(all('stopped'), 0.99) };
  const each = turns.map((t) => quantile(t.stopped, 0.99) / quantile(t.running, 0.99));
  return {
    ...p99, ratio: p99.stopped / p99.running, p50: { running: median(all('running')), stopped: median(all('stopped')) }, longest: Math.max(...all('stopped')), each,
    late: all('stopped').filter((ms) => ms > LATE_MS).length, calls: all('stopped').length, failed: turns.reduce((n, t) => n + t.failed, 0),
  };
}

function shown(name, f) {
  return `  ${name.padEnd(10)} p50 ${round(f.p50.running, 2)} → ${round(f.p50.stopped, 2)}, p99 ${round(f.running, 2)} → ${round(f.stopped, 2)} ms (rounds × ${f.each.map((r) => round(r, 2)).join(' ')}), `
    + `longest ${round(f.longest, 0)} ms; ${f.late} of ${f.calls} calls begun meanwhile later than ${LATE_MS} ms, ${f.failed} failed`;
}

/** @param o.rounds, o.peerRounds (what stops by seconds needs fewer than what must not stop by a tenth), o.seconds, o.rate */
export async function setupWithDbStopped(ports, dir, o, say) {
  const sb = await start({ name: 'bench-db', db: 'mariadb', receiver: false, rules: RULES, shm: 256, defines: { CHILDREN: 2 } });
  let acc;
  try {
    const db = sb.mariadb;
    await db.query(ACC_SQL);
    const rows = () => db.query('SELECT COUNT(*) FROM callstate_call WHERE ended_at IS NOT NULL;').then(Number);
    const calls = () => turns.ours.reduce((n, t) => n + t.calls, 0);
    acc = await Proxy.start('acc', ports, dir, { db: db.url, shm: 256 });
    const sides = { ours: sb, peer: asHarness(acc) };
    const turns = { ours: [], peer: [] };
    for (let i = 0; i < o.rounds; i++)
      for (const [side, on] of Object.entries(sides)) {
        if (side === 'peer' && i >= o.peerRounds) continue;
        turns[side].push(await turn(db, on, `${side}-${i}`, o));
        await poll(async () => await rows() >= calls(), 30000, 'the call log does not catch up', 200);
      }
    const [ours, peer] = [figures(turns.ours), figures(turns.peer)];
    say(shown('Signalbox', ours));
    say(shown('acc', peer));
    say(`  ${o.rate} calls a second, MariaDB stopped for ${o.seconds} s at a time, ${turns.ours.length} times with Signalbox, ${turns.peer.length} times with acc; rows in callstate_call afterwards: ${await rows()} of ${calls()} calls`);
    const holds = ours.ratio <= 1.1 && ours.failed === 0 && await rows() === calls();
    return [{
      name: 'setup_with_db_stopped', ours: round(ours.stopped, 2), peer: round(peer.stopped, 2), peer_name: 'acc, MariaDB stopped as well', ratio: round(ours.ratio, 2),
      unit: 'ms, p99 INVITE to 100, MariaDB stopped; ratio: to MariaDB running', budget: '≤ 1.10 × running', holds, noise: `± ${round(spread(ours.each))} %, rounds ${round(Math.min(...ours.each), 2)} to ${round(Math.max(...ours.each), 2)}`,
      running: { ours: round(ours.running, 2), peer: round(peer.running, 2) }, late: { ours: ours.late, of: ours.calls, peer: peer.late, peer_of: peer.calls },
      runs: Object.fromEntries(Object.entries(turns).map(([side, list]) => [side, list.map((t) => ({ running: quantile(t.running, 0.99), stopped: quantile(t.stopped, 0.99) }))])),
    }];
  } finally {
    await acc?.stop();
    await sb.stop();
  }
}
