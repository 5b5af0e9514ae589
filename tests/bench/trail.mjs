// SPDX-License-Identifier: GPL-2.0-or-later
// trail_vs_dialog: what keeping track of a call costs the SIP workers, with callstate and its log, and with stock dialog.
// The proxies run side by side and get calls in turn, ABCABC…. A turn's CPU is counted from its begin to the begin of the
// same proxy's next turn, so that what a call leaves behind (timers, the end of its transaction) is in it; what the proxy
// uses when idle is taken off for the time in which others had calls.
import { setTimeout as sleep } from 'node:timers/promises';
import { Proxy } from './proxy.mjs';
import { load, machine, median, quantile, round, spread } from './figures.mjs';

const LINGER_MS = 7000; /* tm keeps a transaction for 5 s, callstate an ended call for 5 s */
const IDLE_MS = 4000;
const GROUPS = ['workers', 'delivery', 'other'];

const mark = (p) => ({ at: performance.now() / 1000, cpu: p.cpu() });

async function calls(p, n, rate) {
  const r = await (await p.caller({ calls: n, rate, limit: rate * 10 })).done;
  if (!r.ok) throw new Error(`${p.tracker}: ${r.failed} of ${n} calls failed, sipp ended with ${r.code}:\n${r.errors.slice(0, 500)}`);
  return Number(r.stat['Retransmissions(C)'] ?? 0);
}

/** CPU between two marks, in µs a call. */
function cost(a, b, o, idle) {
  const others = b.at - a.at - o.seconds;
  return Object.fromEntries(GROUPS.map((g) => [g, ((b.cpu[g] - a.cpu[g]) / 1000 - idle[g] * others) / (o.rate * o.seconds)]));
}

async function idleCost(proxies) {
  await sleep(LINGER_MS);
  const a = proxies.map(mark);
  await sleep(IDLE_MS);
  const b = proxies.map(mark);
  return proxies.map((p, i) => Object.fromEntries(GROUPS.map((g) => [g, (b[i].cpu[g] - a[i].cpu[g]) / 1000 / (b[i].at - a[i].at)])));
}

/**
 * @param o.trackers, o.rounds, o.rate, o.seconds
 * @return {runs: {tracker: [{workers, delivery, other}]} in µs a call, idle: µs a second, machine, resent, stats of callstate}
 */
export async function compare(ports, dir, o) {
  const proxies = [];
  try {
    for (const t of o.trackers) proxies.push(await Proxy.start(t, ports, dir));
    for (const p of proxies) await calls(p, o.rate * o.seconds, o.rate); /* memory that is touched for the first time costs */
    const idle = await idleCost(proxies);
    const marks = proxies.map(() => []);
    let resent = 0;
    const before = machine();
    for (let i = 0; i < o.rounds; i++) {
      for (const [k, p] of proxies.entries()) {
        marks[k].push(mark(p));
        resent += await calls(p, o.rate * o.seconds, o.rate);
      }
    }
    await sleep(LINGER_MS);
    for (const [k, p] of proxies.entries()) marks[k].push(mark(p));
    const runs = Object.fromEntries(proxies.map((p, k) => [p.tracker, marks[k].slice(1).map((b, i) => cost(marks[k][i], b, o, idle[k]))]));
    const tracked = proxies.find((p) => p.tracker === 'callstate');
    return { runs, idle: Object.fromEntries(proxies.map((p, k) => [p.tracker, idle[k]])), resent, machine: load(before, machine()), stats: tracked && await tracked.rpc.call('callstate.stats') };
  } finally {
    for (const p of proxies) await p.stop();
  }
}

/** Median and spread of one group of processes. */
const of = (runs, group = 'workers') => { const v = runs.map((r) => r[group]); return { median: median(v), spread: spread(v), values: v.map((x) => round(x)) }; };

export async function trailVsDialog(ports, dir, o, say) {
  const c = await compare(ports, dir, { trackers: ['callstate', 'dialog', 'none'], ...o });
  const ours = of(c.runs.callstate), peer = of(c.runs.dialog), none = of(c.runs.none);
  const ratios = ours.values.map((v, i) => v / peer.values[i]);
  const ratio = median(ratios);
  const events = Number(c.stats?.events_written ?? 0) / (o.rate * o.seconds * (o.rounds + 1));
  const delivery = of(c.runs.callstate, 'delivery').median;
  for (const [t, f] of [['callstate', ours], ['dialog', peer], ['none', none]])
    say(`  ${t.padEnd(9)} ${round(f.median)} µs a call (± ${round(f.spread)} %), ${round(f.median - none.median)} more than without; idle ${round(c.idle[t].workers)} µs a second; turns ${f.values.join(' ')}`);
  say(`  ratio of each round ${ratios.map((r) => round(r, 2)).join(' ')}; of what they add ${round((ours.median - none.median) / (peer.median - none.median), 2)}`);
  say(`  journal process ${round(delivery / events)} µs an event, ${round(events)} events a call; ${c.resent} retransmissions; machine ${c.machine.busy} % busy, ${c.machine.steal} % stolen`);
  return [{
    name: 'trail_vs_dialog', ours: round(ours.median), peer: round(peer.median), peer_name: 'dialog, no database', ratio: round(ratio, 3), unit: 'µs CPU a call',
    budget: 'ratio ≤ 1.0', holds: ratio <= 1, noise: `± ${round(Math.max(ours.spread, peer.spread))} %, ratio ${round(quantile(ratios, 0.25), 2)} to ${round(quantile(ratios, 0.75), 2)}`,
    runs: ours.values.map((v, i) => ({ ours: v, peer: peer.values[i], none: none.values[i] })),
    none: round(none.median), journal_us_per_event: round(delivery / events, 2), events_per_call: round(events, 2), machine: c.machine,
  }];
}
