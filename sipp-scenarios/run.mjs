#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-or-later
// Plays the scenarios of this folder with SIPp and checks what was reported of them.
//
//     node sipp-scenarios/run.mjs                    all, on a Signalbox of their own on loopback
//     node sipp-scenarios/run.mjs --only busy,held   those whose name contains one of these
//     DB=mariadb node sipp-scenarios/run.mjs         with users, endpoints and the call log in a MariaDB; else SQLite
//     node sipp-scenarios/run.mjs --list
//     node sipp-scenarios/run.mjs --results FILE     appends "pass NAME" or "fail NAME: why" lines
//     node sipp-scenarios/run.mjs --proxy 192.0.2.1:5060
//                                                    only the SIP, through a proxy that is there and has rules.cfg
//
// A scenario is a folder: uac.xml is the caller, uas1.xml, uas2.xml, uas3.xml are the targets, expect.json says what must
// come of it (README.md here explains it). All of them run beside each other: a call is known by its Call-ID.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import crypto from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Ports } from '../tests/lib/ports.mjs';
import { Sipp } from '../tests/lib/sipp.mjs';
import { countMessages, ladder, readMessages } from '../tests/lib/ladder.mjs';
import { compareCall, compareCounts, fill, sideBySide } from '../tests/lib/match.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const CALLER = '127.0.0.2';
const TARGET = '127.0.0.3';
/** A failed call's CDR comes when tm lets its transaction go, about 5 s after the final reply; of an unanswered challenge after 10 s. */
const CDR_MS = 16000;

/** Scenarios by what they show, in the order of the demo. */
export const groups = {
  'Answered and ended': ['answered-caller-hangs-up', 'answered-callee-hangs-up', 'hangup-reason-q850', 'answered-operator-ends-it', 'answered-maximum-duration'],
  'Not answered': ['cancelled-while-ringing', 'cancelled-before-any-reply', 'busy', 'declined', 'not-found', 'unavailable', 'service-unavailable', 'no-answer', 'no-response', 'closed-port', 'send-error'],
  'Early media': ['early-media-then-answer', 'ringing-then-early-media'],
  'Inside the call': ['held-and-resumed-by-caller', 'held-and-resumed-by-callee', 'held-by-both-sides', 'held-with-address-zero', 'held-with-update', 'hold-refused', 'video-added', 'session-refresh'],
  'Several targets': ['parallel-fork', 'parallel-fork-none-answers', 'two-answers-from-a-fork', 'three-targets-in-turn', 'three-targets-none-answers', 'challenged-then-answered', 'challenged-and-given-up'],
  'Lost and repeated messages': ['retransmitted-invite', 'retransmitted-200', 'retransmitted-bye', 'lost-ack', 'bye-never-comes'],
  'Messages that cross': ['caller-hangs-up-at-once', 'callee-hangs-up-at-once', 'answer-crosses-cancel', 'late-200-after-cancel'],
  Transfers: ['blind-transfer', 'blind-transfer-refused', 'blind-transfer-target-busy', 'attended-transfer', 'attended-transfer-refused'],
};

/** Options for the harness under which the scenarios hold: their rules, and timers short enough to wait for. */
export const harnessOptions = () => ({
  name: 'scenarios', rules: fs.readFileSync(path.join(HERE, 'rules.cfg'), 'utf8'),
  defines: { FR_TIMER: 2000, FR_INV_TIMER: 10000, FR_DIALOG_TIMER: 2000, CHILDREN: 4 },
  db: process.env.DB || 'sqlite',
});

/** Ports for many SIPps: another block when one is used up; given back with close(). */
class PortPool {
  blocks = [];
  queue = Promise.resolve();

  next() {
    const port = this.queue.then(() => this.take());
    this.queue = port.catch(() => {});
    return port;
  }

  async take() {
    const block = this.blocks[this.blocks.length - 1];
    if (block) {
      try { return await block.next(); } catch { /* used up: another one */ }
    }
    this.blocks.push(await Ports.take());
    return this.take();
  }

  close() { for (const b of this.blocks) b.close(); }
}

/** {name, title, summary, expect, targets: ['uas1', …]} of every folder here. */
export function load(only) {
  const names = fs.readdirSync(HERE).filter((n) => fs.existsSync(path.join(HERE, n, 'expect.json')));
  const listed = Object.values(groups).flat();
  const unlisted = names.filter((n) => !listed.includes(n));
  const absent = listed.filter((n) => !names.includes(n));
  if (unlisted.length || absent.length) throw new Error(`groups in run.mjs and the folders differ: ${[...unlisted, ...absent].join(', ')}`);
  return listed.filter((n) => !only?.length || only.some((o) => n.includes(o))).map((name) => {
    const dir = path.join(HERE, name);
    const readme = fs.readFileSync(path.join(dir, 'README.md'), 'utf8').split('\n');
    const summary = readme.find((l) => l.startsWith('Summary:'));
    if (!readme[0].startsWith('# ') || !summary) throw new Error(`${name}/README.md: expected a title in line 1, and a line that begins with "Summary:"`);
    return {
      name, dir, title: readme[0].slice(2), summary: summary.slice(9),
      expect: JSON.parse(fs.readFileSync(path.join(dir, 'expect.json'), 'utf8')),
      targets: fs.readdirSync(dir).filter((f) => /^uas\d\.xml$/.test(f)).map((f) => f.slice(0, -4)).sort(),
    };
  });
}

/** One scenario, from its first SIPp to its verdict. */
class Play {
  constructor(scenario, env) {
    Object.assign(this, { scenario, env, name: scenario.name, problems: [], parties: {} });
    this.dir = path.join(env.dir, scenario.name);
    this.id = `${scenario.name}-${crypto.randomBytes(4).toString('hex')}`;
    this.call = `${this.id}-1`;
  }

  async start(who, o) {
    const s = await Sipp.start({
      dir: this.dir, name: who, scenario: path.join(this.scenario.dir, `${who}.xml`), timeout: 30, keys: this.keys, remote: this.env.proxy, ...o,
      args: ['-cid_str', `${this.id}-%u`, '-cp', String(await this.env.ports.next()), ...(this.expect.sipp[who]?.args ?? [])],
    });
    this.parties[who] = s;
    return s;
  }

  async flow() {
    const { scenario, env } = this;
    fs.mkdirSync(this.dir, { recursive: true });
    this.names = { call: this.call, proxy: env.proxy, closed: await env.ports.next() };
    for (const t of scenario.targets) this.names[t] = await env.ports.next();
    this.keys = Object.fromEntries(['closed', ...scenario.targets].map((t) => [t, this.names[t]]));
    for (const f of fs.readdirSync(scenario.dir)) if (!/\.(xml|json|md)$/.test(f)) fs.copyFileSync(path.join(scenario.dir, f), path.join(this.dir, f));
    this.expect = fill(scenario.expect, this.names);
    await Promise.all(scenario.targets.map((t) => this.start(t, { ip: TARGET, port: this.names[t] })));
    await this.start('uac', { ip: CALLER, port: await env.ports.next(), service: this.expect.target });
    const actions = (this.expect.actions ?? []).map((a) => this.action(a));
    const results = await Promise.all(Object.values(this.parties).map((s) => s.done));
    await Promise.all(actions);
    for (const r of results) {
      if (!r.ok || r.successful !== 1) this.problems.push(`SIPp ${r.name}: ended with ${r.code}, ${r.successful} successful, ${r.failed} failed${r.errors ? `: ${lastError(r.errors)}` : ''}`);
    }
    this.messages = Object.values(this.parties).map((s) => readMessages(s.name, s.files.messages));
    Object.keys(this.parties).forEach((who, i) => {
      const got = countMessages(this.messages[i]);
      const want = this.expect.sipp[who] ?? {};
      for (const [kind, counts] of Object.entries(want)) if (kind !== 'args') this.problems.push(...compareCounts(`${who} ${kind}`, counts, got[kind], kind === 'received'));
    });
    this.answered = Object.keys(this.parties).flatMap((who, i) => this.messages[i].filter((m) => who === 'uac' && m.direction === 'received' && m.kind === '200 INVITE').map((m) => m.callId));
  }

  /** {after: event type, rpc: [method, …]}: done as soon as the receiver has that event. */
  async action(a) {
    const { harness } = this.env;
    try {
      await harness.receiver.until((events) => events.some((e) => e.type === a.after), { call: this.call, ms: 10000, what: a.after });
      await harness.rpc(...a.rpc);
    } catch (e) {
      this.problems.push(e.message);
    }
  }

  /** Waits until every expected call has its CDR; what is missing then is found by check(). */
  async settle() {
    const { receiver } = this.env.harness;
    await Promise.all(this.expect.calls.map((c) => receiver
      .until((events) => events.some((e) => e.type === 'call.cdr'), { call: c.sip_call_id, ms: CDR_MS, what: 'call.cdr' }).catch(() => {})));
  }

  check() {
    const { harness, schemaErrors } = this.env;
    const { calls } = this.expect;
    const mine = harness.receiver.events().filter((e) => e.data?.sip_call_id?.includes(this.id));
    const problems = [];
    this.received = calls.map((c) => mine.filter((e) => e.data.sip_call_id === c.sip_call_id));
    const callIds = Object.fromEntries(calls.map((c, i) => [c.name ?? 'first', this.received[i][0]?.data.call_id]));
    calls.forEach((c, i) => {
      const label = calls.length > 1 ? `call "${c.name ?? 'first'}": ` : '';
      const events = this.received[i];
      problems.push(...compareCall(c.events, events, callIds).map((p) => label + p));
      if (new Set(events.map((e) => e.data.call_id)).size > 1) problems.push(`${label}more than one call_id`);
    });
    const known = calls.map((c) => c.sip_call_id);
    for (const e of mine) {
      if (!known.includes(e.data.sip_call_id)) problems.push(`${e.type} of a call nobody expected: ${e.data.sip_call_id}`);
      for (const [by, verdict] of Object.entries(e.received?.verified ?? {})) if (verdict !== true) problems.push(`${e.type}: signature refused by ${by}: ${verdict}`);
      problems.push(...(schemaErrors?.(e) ?? []));
    }
    const ids = harness.receiver.requests.filter((r) => r.event?.data?.sip_call_id?.includes(this.id)).map((r) => r.id);
    for (const id of new Set(ids.filter((x, i) => ids.indexOf(x) !== i))) problems.push(`${id} was delivered more than once`);
    this.reported = problems;
    this.events = mine.length;
  }

  result() {
    const problems = [...this.problems, ...(this.reported ?? [])];
    return {
      name: this.name, title: this.scenario.title, summary: this.scenario.summary, ok: problems.length === 0, problems,
      calls: this.expect.calls.length, answered: this.answered ?? [], events: this.events ?? 0, call: this.call, dir: this.dir,
      ladder: ladder(this.messages ?? []),
      differences: (this.received ?? []).map((events, i) => `  ${this.expect.calls[i].sip_call_id}\n${sideBySide(this.expect.calls[i].events, events)}`).join('\n'),
    };
  }
}

function lastError(errors) {
  const lines = errors.split('\n').map((l) => l.trim()).filter((l) => l && !l.startsWith('The following events'));
  return (lines.find((l) => /^\d{4}-/.test(l)) ?? lines[0] ?? '').replace(/^[\d-]+[\sT\d:.]+/, '').slice(0, 300);
}

export function explain(r) {
  return [`${r.name}: ${r.title}`, ...r.problems.map((p) => `  * ${p}`), '', r.ladder, '', r.differences, `  (files: ${r.dir})`, ''].join('\n');
}

/**
 * Plays scenarios on a harness started with harnessOptions(), or (o.proxy) their SIP alone.
 *
 * @param o.only      parts of names
 * @param o.jobs      how many beside each other; default 14
 * @param o.each      called with each result as soon as its SIP is done and its events are there
 * @return one result for each scenario: {name, ok, problems, calls, answered (Call-IDs that SIPp saw answered), events, ladder, …}
 */
export async function run(o) {
  const env = { harness: o.harness, proxy: o.harness?.proxy ?? o.proxy, ports: new PortPool() };
  env.dir = o.harness ? path.join(o.harness.dir, 'scenarios') : fs.mkdtempSync(path.join(os.tmpdir(), 'scenarios-'));
  if (o.harness) env.schemaErrors = await schemas();
  const plays = load(o.only).filter((s) => o.harness || s.expect.needs !== 'callstate').map((s) => new Play(s, env));
  const queue = [...plays];
  const worker = async () => {
    for (let p = queue.shift(); p; p = queue.shift()) {
      try {
        await p.flow();
        if (o.harness) { await p.settle(); p.check(); }
      } catch (e) {
        p.problems.push(e.message);
        p.expect ??= p.scenario.expect;
      }
      o.each?.(p.result());
    }
  };
  try {
    await Promise.all(Array.from({ length: o.jobs ?? 14 }, worker));
    // what came after a call was already judged counts too
    if (o.harness) for (const p of plays) if (p.received) p.check();
  } finally {
    env.ports.close();
  }
  return plays.map((p) => p.result());
}

async function schemas() {
  const { ROOT } = await import('../tests/lib/paths.mjs');
  const dir = path.join(ROOT, 'docs', 'schemas');
  if (!fs.existsSync(dir) || !fs.readdirSync(dir).some((f) => f.endsWith('.json'))) return undefined;
  return (await import('../tests/lib/schemas.mjs')).schemaErrors;
}

async function main(argv) {
  const arg = (n) => { const i = argv.indexOf(`--${n}`); return i < 0 ? undefined : argv[i + 1]; };
  const only = arg('only')?.split(',');
  if (argv.includes('--list')) {
    for (const s of load(only)) console.log(`${s.name.padEnd(32)} ${s.summary}`);
    return 0;
  }
  const began = Date.now();
  const proxy = arg('proxy');
  const harness = proxy ? undefined : await (await import('../tests/lib/harness.mjs')).start(harnessOptions());
  let results;
  try {
    results = await run({ harness, proxy, only, jobs: Number(arg('jobs') ?? 14), each: (r) => console.log(`  ${r.ok ? 'ok  ' : 'FAIL'} ${r.name}`) });
  } finally {
    await harness?.stop();
  }
  const bad = results.filter((r) => !r.ok);
  for (const r of bad) console.log(`\n${explain(r)}`);
  if (arg('results')) fs.appendFileSync(arg('results'), results.map((r) => `${r.ok ? 'pass' : 'fail'} scenario ${r.name}${r.ok ? '' : `: ${r.problems[0]}`}\n`).join(''));
  const events = results.reduce((n, r) => n + r.events, 0);
  console.log(`${results.length - bad.length} scenarios passed, ${bad.length} failed, ${events} events, ${Math.round((Date.now() - began) / 1000)} s`);
  return bad.length || !results.length ? 1 : 0;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
