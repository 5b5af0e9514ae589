// SPDX-License-Identifier: GPL-2.0-or-later
// `make demo`: a throw-away Signalbox on loopback, real calls, what became of them, and what others counted.
//
//     node tests/demo.mjs           KEEP=1 leaves it running; DB=mariadb takes a MariaDB of its own, not SQLite
//     node tests/demo.mjs --stop    ends what KEEP=1 left
//
// Writes build/demo/summary.json and build/demo/why.txt (the story of every call).
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { BUILD, ROOT } from './lib/paths.mjs';
import { start } from './lib/harness.mjs';
import { groupAlive, poll, run } from './lib/proc.mjs';
import { readMessages } from './lib/ladder.mjs';
import { Load } from './lib/load.mjs';
import { lockSqlite } from './lib/outage.mjs';
import { secondsOfTone } from './lib/tone.mjs';
import * as scenarios from '../sipp-scenarios/run.mjs';

const OUT = path.join(BUILD, 'demo');
const KEPT = path.join(OUT, 'running.json');
const KEEP = process.env.KEEP === '1';
const PARALLEL = 14;
const AWAY = { rate: 20, seconds: 5 };
const began = Date.now();
const seconds = () => (Date.now() - began) / 1000;

async function firstLine(cmd, args, pattern) {
  const { out } = await run(cmd, args).catch(() => ({ out: '' }));
  return out.match(pattern)?.[1] ?? '?';
}

const version = async (sb) => (sb.mariadb ? `MariaDB ${(await sb.sql('SELECT VERSION();')).trim().split('-')[0]}` : `SQLite ${(await sb.sql('SELECT sqlite_version();')).trim()}`);

async function greet(sb) {
  const [kamailio, rtpengine, database, sipp, baresip] = await Promise.all([
    firstLine('kamailio', ['-v'], /kamailio (\S+)/), firstLine('rtpengine', ['--version'], /([0-9]+(?:\.[0-9]+)+)/),
    version(sb), firstLine('sipp', ['-v'], /v([0-9.]+)/), firstLine('baresip', ['-h'], /v([0-9.]+)/)]);
  console.log(`Kamailio ${kamailio}, rtpengine ${rtpengine}, ${database}; callers and callees: SIPp ${sipp}, baresip ${baresip}.`);
  console.log(`Loopback only: the proxy is udp:${sb.proxy}, its files are in ${path.relative(ROOT, sb.dir)}. Your system's Kamailio and its configuration are untouched.\n`);
}

/** The scenarios' rules, and behind them the registered phones. */
function rules(text) {
  if (!text.includes('route[RULES]')) throw new Error('sipp-scenarios/rules.cfg has no route[RULES]');
  return `${text.replace('route[RULES]', 'route[SCENARIOS]')}
route[RULES] {
	if ($rU == "anna" || $rU == "ben") {
		$rd = "signalbox.test";
		return;
	}
	route(SCENARIOS);
}
`;
}

/** Two phones register, one calls the other, both hear. @return what they and rtpengine saw */
async function phones(sb) {
  const anna = await sb.baresip('anna', { tone: 440, display: 'Anna Desk' });
  const ben = await sb.baresip('ben', { tone: 1000, answer: 'manual' });
  anna.dial(`sip:ben@${sb.domain}`);
  await anna.wait('CALL_RINGING');
  ben.accept();
  const { id } = await anna.wait('CALL_ESTABLISHED');
  await poll(async () => (await sb.rtpengine.totals(id))?.packets >= 250, 10000, 'rtpengine counts no 250 packets', 100);
  const { packets } = await sb.rtpengine.totals(id);
  anna.hangup();
  await ben.wait('CALL_CLOSED');
  await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'), { call: id, what: 'the CDR of the phones\' call' });
  return {
    id, packets, calls: 1, answered: ben.count('CALL_ESTABLISHED'),
    // takes a second of this process, which is the webhooks' receiver as well: not before all calls are over
    listen: () => ({ anna: secondsOfTone(anna.heard, 1000), ben: secondsOfTone(ben.heard, 440) }),
  };
}

const rowsOf = async (sb, table) => Number(await sb.sql(`SELECT COUNT(*) FROM ${table};`));

/** Calls while the webhooks' receiver is down and the database killed or locked; both come back. @return what SIPp made of it, and what was shown meanwhile */
async function away(sb) {
  const [events, rows] = [sb.receiver.events().length, await rowsOf(sb, 'callstate_event')];
  await sb.receiver.close();
  const release = sb.mariadb ? (await sb.mariadb.kill9(), () => sb.mariadb.restart()) : await lockSqlite(sb.db, path.join(sb.dir, 'lock.log'));
  const from = Date.now();
  const load = await Load.start(sb, { rate: AWAY.rate, hold: 1000, name: 'away' });
  await sleep(AWAY.seconds * 1000);
  const counted = await load.stop();
  await Promise.all(sb.sipps.filter((s) => !s.proc.exited).map((s) => s.stop()));
  const behind = { hooks: await shell(sb, 'hooks'), callLog: callLogLine(await sb.rpc('callhook.call_log')), ms: Date.now() - from };
  await Promise.all([sb.receiver.open(), release()]);
  const back = Date.now();
  const wanted = load.ended().size * 5;
  const since = (fn, what) => poll(async () => await fn() >= wanted, 20000, async () => `${what}: ${await fn()} of ${wanted} after both came back`, 50).then(() => Date.now() - back);
  const [receiver, callLog] = await Promise.all([
    since(() => sb.receiver.events().length - events, 'events that the receiver got'), since(async () => await rowsOf(sb, 'callstate_event') - rows, 'events in the database')]);
  const caughtUp = { receiver, callLog };
  const idle = (e) => e.state === 'up' && e.behind === 0;
  let shown;
  // delivery writes down once a second how it does
  await poll(async () => { shown = JSON.parse((await sb.signalbox('hooks', '--json')).stdout).endpoints; return shown.every(idle); }, 5000, () => `endpoints: ${JSON.stringify(shown)}`, 100);
  const ids = load.ended();
  return {
    load, counted, ids, behind, caughtUp, hooks: await shell(sb, 'hooks'), callLog: callLogLine(await sb.rpc('callhook.call_log')),
    received: new Set(sb.receiver.events().map((e) => e.data.sip_call_id).filter((id) => ids.has(id))).size,
    rows: (await sb.sql('SELECT sip_call_id FROM callstate_call WHERE ended_at IS NOT NULL;')).trim().split('\n').filter((id) => ids.has(id)).length,
  };
}

const callLogLine = (l) => `      call log: ${l.state}, ${l.lag_s} s behind${l.state === 'up' ? '' : `: ${l.last_error.replace(`${l.database}: `, '')}`}\n`;

function showAway(sb, n, a) {
  const s = (ms) => `${(ms / 1000).toFixed(1)} s`;
  console.log(`${n}  Away, and back`);
  console.log(`      For ${s(a.behind.ms)} the receiver of the webhooks is down, and ${sb.mariadb ? 'MariaDB is killed (kill -9)' : 'another process has locked the SQLite file'}. SIPp makes ${a.ids.size} calls, ${a.counted.failed} fail.\n`);
  console.log(a.behind.hooks);
  console.log(a.behind.callLog);
  console.log(`      Both are back; the receiver has everything after ${s(a.caughtUp.receiver)}, the database after ${s(a.caughtUp.callLog)}.\n`);
  console.log(a.hooks);
  console.log(a.callLog);
  console.log(`      calls of that time: SIPp ${a.ids.size}, receiver ${a.received}, rows in callstate_call ${a.rows}\n`);
}

/** What SIPp saw: the Call-IDs of the calls it placed, and of those that it saw answered. */
function countSipp(results) {
  const placed = new Set();
  const answered = new Set();
  for (const r of results)
    for (const f of fs.readdirSync(r.dir).filter((n) => n.endsWith('.messages')))
      for (const m of readMessages(f.replace('.messages', ''), path.join(r.dir, f))) {
        if (m.direction === 'sent' && m.kind === 'INVITE') placed.add(m.callId);
        if (m.direction === 'received' && m.kind === '200 INVITE') answered.add(m.callId);
      }
  return { placed, answered };
}

async function why(sb, call) {
  const [text, json] = [await sb.signalbox('why', call), await sb.signalbox('why', call, '--json')];
  if (text.code !== 0) throw new Error(`signalbox why ${call} ended with ${text.code}: ${text.out}`);
  return { text: text.stdout, ...JSON.parse(json.stdout) };
}

/** A command as it is typed, and what it prints. */
async function shell(sb, ...args) {
  const r = await sb.signalbox(...args);
  if (r.code !== 0) throw new Error(`signalbox ${args.join(' ')} ended with ${r.code}: ${r.out}`);
  return `      $ signalbox ${args.join(' ')}\n${indent(r.stdout)}\n`;
}

const indent = (text) => text.trimEnd().replace(/^(?=.)/gm, '      ');

/** Every group: each call with its cause, the story of one. */
async function show(sb, results, talk, gone) {
  const all = [];
  let n = 0;
  const told = async (call) => { const w = await why(sb, call); all.push(w.text); return w; };
  for (const [group, names] of Object.entries(scenarios.groups)) {
    console.log(`${++n}  ${group}`);
    let story;
    for (const r of names.map((name) => results.find((x) => x.name === name))) {
      const w = await told(r.call);
      story ??= { call: r.call, text: w.text };
      console.log(`    ${r.ok ? ' ' : '!'} ${r.title}: ${w.cause}`);
      if (!r.ok) for (const p of r.problems) console.log(`        ${p}`);
    }
    console.log(`\n      $ signalbox why ${story.call}\n${indent(story.text)}\n`);
  }
  console.log(`${++n}  Two phones with real RTP through rtpengine`);
  console.log(`      anna registers and calls ben: ${talk.packets} packets through rtpengine, anna heard ben for ${talk.heard.anna.toFixed(1)} s, ben heard anna for ${talk.heard.ben.toFixed(1)} s\n`);
  console.log(`      $ signalbox why ${talk.id}\n${indent((await told(talk.id)).text)}\n`);
  console.log(`${++n}  The call log: a row a call, in ${sb.mariadb ? 'MariaDB' : 'SQLite'}\n`);
  console.log(await shell(sb, 'calls', '--code', '486'));
  console.log(await shell(sb, 'failures'));
  showAway(sb, ++n, gone);
  fs.writeFileSync(path.join(OUT, 'why.txt'), all.join('\n\n'));
}

const same = (a, b) => a.size === b.size && [...a].every((x) => b.has(x));

/** The counts of others beside ours. @return [summary, what does not agree] */
async function compare(sb, results, talk, gone) {
  const sipp = countSipp(results);
  for (const id of gone.ids) { sipp.placed.add(id); sipp.answered.add(id); }
  const placed = new Set([...sipp.placed, talk.id]);
  const answered = new Set([...sipp.answered, talk.id]);
  const journal = (await sb.signalbox('journal', 'list', '--json')).stdout.trim().split('\n').map((l) => JSON.parse(l));
  const of = (type) => journal.filter((e) => e.type === type);
  const ours = { calls: new Set(of('call.initiated').map((e) => e.data?.sip_call_id ?? e.sip_call_id)), answered: new Set(of('call.answered').map((e) => e.data?.sip_call_id ?? e.sip_call_id)) };
  const received = sb.receiver.counts();
  const events = sb.receiver.events();
  const ids = new Set(events.map((e) => e.id));
  const lost = journal.filter((e) => !ids.has(e.id)).length;
  const [rows, eventRows] = [await rowsOf(sb, 'callstate_call'), await rowsOf(sb, 'callstate_event')];
  const wrong = [
    ...results.filter((r) => !r.ok).map((r) => `scenario ${r.name}: ${r.problems[0]}`),
    ...(same(placed, ours.calls) ? [] : ['the calls that were placed are not the calls on record']),
    ...(same(answered, ours.answered) ? [] : ['the calls that were answered are not those recorded as answered']),
    ...(lost ? [`${lost} events did not reach the receiver`] : []),
    ...(events.length === journal.length ? [] : [`the receiver has ${events.length} events, the journal ${journal.length}`]),
    ...(rows === placed.size ? [] : [`callstate_call has ${rows} rows, ${placed.size} calls were placed`]),
    ...(eventRows === journal.length ? [] : [`callstate_event has ${eventRows} rows, the journal ${journal.length} events`]),
    ...(gone.counted.failed ? [`${gone.counted.failed} calls failed while receiver and database were away`] : []),
    ...(received.bad ? [`${received.bad} requests with a bad signature or body`] : []),
    ...(talk.heard.anna > 1 && talk.heard.ben > 1 ? [] : ['the phones did not hear each other']),
  ];
  const row = (what, others, mine) => console.log(`    ${what.padEnd(34)}${String(others).padStart(16)}${String(mine).padStart(12)}`);
  console.log(`Counted by others${' '.repeat(17)}${'others'.padStart(20)}${'Signalbox'.padStart(12)}`);
  row('calls placed (SIPp + baresip)', `${sipp.placed.size} + 1`, ours.calls.size);
  row('calls answered (SIPp + baresip)', `${sipp.answered.size} + ${talk.answered}`, ours.answered.size);
  row('events (receiver)', events.length, journal.length);
  row('signatures good (two packages)', received.verified, received.requests);
  row(`rows: calls (${sb.mariadb ? 'mariadb' : 'sqlite3'})`, rows, ours.calls.size);
  row(`rows: events (${sb.mariadb ? 'mariadb' : 'sqlite3'})`, eventRows, journal.length);
  row('lost', '', lost);
  return [{
    calls: ours.calls.size, answered: ours.answered.size, events: journal.length, webhooks_delivered: events.length,
    signatures_verified: received.verified, lost, database: await version(sb), call_log_rows: rows, call_log_event_rows: eventRows,
    away: { calls: gone.ids.size, failed: gone.counted.failed, ms: gone.behind.ms, received: gone.received, rows: gone.rows, caught_up_ms: gone.caughtUp },
    counted: {
      sipp: { calls: sipp.placed.size, answered: sipp.answered.size, scenarios: results.length, scenarios_ok: results.filter((r) => r.ok).length },
      baresip: { calls: talk.calls, answered: talk.answered, rtp_packets: talk.packets, seconds_heard: talk.heard },
      receiver: { requests: received.requests, events: events.length, signatures_verified: received.verified, bad: received.bad },
    },
  }, wrong];
}

/** Hands the receiver's port to a process that stays, and says how to look around. */
async function keep(sb) {
  const { port, secret, file } = sb.receiver;
  await sb.receiver.close();
  const log = fs.openSync(path.join(sb.dir, 'receiver.log'), 'a');
  const r = spawn(process.execPath, [path.join(ROOT, 'tests', 'peers', 'receiver.mjs'), '--port', String(port), '--secret', secret, '--file', file], { detached: true, stdio: ['ignore', log, log] });
  r.unref();
  const groups = [sb.kamailio.pid, sb.rtpengine.proc.pid, ...(sb.mariadb ? [sb.mariadb.pid] : []), ...sb.phones.map((p) => p.proc.pid), r.pid];
  fs.writeFileSync(KEPT, JSON.stringify({ groups, folders: [sb.spool, sb.sockets, ...(sb.mariadb ? [sb.mariadb.sockets, sb.mariadb.data] : [])], dir: sb.dir }));
  const box = `${path.join(BUILD, 'bin', 'signalbox')} --dir ${sb.data}`;
  console.log(`
It is still running (files: ${sb.dir}).
  look     ${box} journal follow
           ${box} why last
           tail -f ${file}
           ${box} hooks
           ${box} calls
           ${sb.mariadb ? `mariadb --no-defaults --socket ${sb.mariadb.socket} ${sb.mariadb.database}` : `sqlite3 ${sb.db}`} <<<'SELECT * FROM callstate_call'
           kamcmd -s ${sb.defines.CTL_SOCKET} callstate.calls
  call     sipp -sf ${path.join(ROOT, 'tests', 'integration', 'sipp', 'caller.xml')} -d 2000 -m 1 -i 127.0.0.2 -s anna ${sb.proxy}
  stop     node ${path.join(ROOT, 'tests', 'demo.mjs')} --stop`);
}

async function stop() {
  if (!fs.existsSync(KEPT)) return console.log('No demo is running that KEEP=1 left.');
  const { groups, folders } = JSON.parse(fs.readFileSync(KEPT, 'utf8'));
  const each = (signal) => { for (const g of groups.filter(groupAlive)) process.kill(-g, signal); };
  each('SIGTERM');
  await poll(() => !groups.some(groupAlive), 5000, '').catch(() => each('SIGKILL'));
  for (const f of folders) fs.rmSync(f, { recursive: true, force: true });
  fs.rmSync(KEPT);
  return console.log('Stopped.');
}

async function main() {
  if (KEEP && fs.existsSync(KEPT)) throw new Error(`a demo that KEEP=1 left is still running: stop it with\n  node ${path.relative(process.cwd(), path.join(ROOT, 'tests', 'demo.mjs'))} --stop`);
  fs.mkdirSync(OUT, { recursive: true });
  const o = scenarios.harnessOptions();
  const sb = await start({ ...o, name: 'demo', rules: rules(o.rules), rtpengine: true, users: { anna: 'anna-secret', ben: 'ben-secret' }, keep: KEEP });
  let wrong;
  let kept = false;
  try {
    await greet(sb);
    const total = scenarios.load().length;
    console.log(`Playing ${total} scenarios and a call between two phones …`);
    const [results, talk] = await Promise.all([scenarios.run({ harness: sb, jobs: PARALLEL }), phones(sb)]);
    console.log(`… done after ${seconds().toFixed(0)} s.\n`);
    talk.heard = talk.listen();
    const gone = await away(sb);
    await show(sb, results, talk, gone);
    let summary;
    [summary, wrong] = await compare(sb, results, talk, gone);
    summary.seconds = Number(seconds().toFixed(1));
    fs.writeFileSync(path.join(OUT, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
    console.log(`    ${'seconds'.padEnd(34)}${String(summary.seconds).padStart(28)}`);
    if (KEEP) kept = await keep(sb).then(() => true);
  } finally {
    if (!kept) await sb.stop();
  }
  console.log(`\nSummary: ${path.relative(ROOT, path.join(OUT, 'summary.json'))}   every story: ${path.relative(ROOT, path.join(OUT, 'why.txt'))}`);
  if (!KEEP) console.log('Everything is stopped and gone. To look around: make demo KEEP=1');
  if (wrong.length) {
    console.log(`\nNot as it should be:\n${wrong.map((w) => `  ${w}`).join('\n')}`);
    process.exitCode = 1;
  }
}

setInterval(() => {}, 1000); // sockets alone do not keep this process alive
try {
  await (process.argv.includes('--stop') ? stop() : main());
} catch (e) {
  console.error(`demo: ${e.message}`);
  process.exitCode = 1;
}
process.exit(process.exitCode ?? 0);
