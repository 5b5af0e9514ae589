// SPDX-License-Identifier: GPL-2.0-or-later
// The four-layer log of real calls: its lines against the events at the receiver and against docs/schemas/layer-line.json.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Skip, test } from '../lib/test.mjs';
import { ROOT, need } from '../lib/paths.mjs';
import { Proc, poll, run } from '../lib/proc.mjs';
import { prepare, refused, start } from '../lib/harness.mjs';
import { Load, RULES } from '../lib/load.mjs';
import { Disk } from '../lib/disk.mjs';
import { layerFiles, layerLines } from '../lib/layer.mjs';

const schema = JSON.parse(fs.readFileSync(path.join(ROOT, 'docs', 'schemas', 'layer-line.json'), 'utf8'));
const Ajv = need('ajv/dist/2020').default;
const valid = new Ajv({ allErrors: true, strict: false }).compile(schema);

/** Keys of the schema in its order, as they may stand in a line. */
const orderOf = (s) => Object.keys(s.properties);

function assertOrder(value, s, where) {
  const known = orderOf(s);
  const at = Object.keys(value).map((k) => known.indexOf(k));
  assert.deepEqual(at, [...at].sort((a, b) => a - b), `order of ${where}: ${Object.keys(value)}`);
  for (const [k, v] of Object.entries(value)) if (s.properties[k]?.properties) assertOrder(v, s.properties[k], `${where}.${k}`);
}

function assertLine(text) {
  const line = JSON.parse(text);
  assert.ok(valid(line), `${JSON.stringify(valid.errors)} in ${text}`);
  assertOrder(line, schema, 'a line');
  assert.ok(Buffer.byteLength(text) < 4096, text);
  assert.ok(!/[\x00-\x1f\x7f]/.test(text), `control characters in ${JSON.stringify(text)}`);
  return line;
}

const known = (o) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== null && v !== undefined && v !== '' && v !== false));

/** A line says what the event says. */
function assertSame(line, event) {
  const d = event.data;
  assert.equal(line.id, event.id);
  assert.equal(line.type, event.type);
  assert.equal(line.at, event.timestamp);
  const want = {
    method: known({ name: d.sip.method, cseq: d.sip.transaction.cseq }),
    transaction: known({ branch: d.sip.transaction.branch, code: d.sip.transaction.code, reason: d.sip.transaction.reason }),
    dialog: known({ call_id: d.sip_call_id, from_tag: d.sip.dialog.from_tag, to_tag: d.sip.dialog.to_tag }),
    call: known({ call_id: d.call_id, sequence: d.sequence, state: d.state, did: d.did, trunk: d.trunk, agent: d.agent, outcome: d.outcome,
      direction: d.direction, from: d.from.number ?? d.from.uri, to: d.to.number ?? d.to.uri, duration_s: d.duration_s, pdd_ms: d.pdd_ms, by: d.by }),
  };
  const { state, ...dialog } = line.dialog;
  const { attempt, hangup, transfer, request_uri, source, attempts, flow, inferred, transferred_from, transferred_to, text, ...call } = line.call;
  assert.deepEqual({ method: line.method ?? {}, transaction: line.transaction ?? {}, dialog, call }, want, line.id);
  const { n, uri, destination, code, reason } = attempt ?? {};
  assert.deepEqual(known({ n, uri, destination, code, reason }), event.type === 'call.cdr' || !d.attempt ? {}
    : known({ n: d.attempt.n, uri: d.attempt.uri, destination: d.attempt.destination, code: d.attempt.code, reason: d.attempt.reason }), line.id);
  assert.deepEqual(known(hangup ?? {}), known({ by: d.hangup?.by, cause: d.hangup?.cause, code: d.hangup?.sip_code, reason: d.hangup?.reason, q850: d.hangup?.q850 }), line.id);
}

/** Lines and events are the same, each once, and in order within each call. */
function assertLinesAreEvents(lines, events) {
  const byId = new Map(events.map((e) => [e.id, e]));
  assert.equal(new Set(lines.map((l) => l.id)).size, lines.length, 'a line stands there twice');
  assert.equal(lines.length, events.length, 'lines, events');
  const last = new Map();
  for (const l of lines) {
    assert.ok(byId.has(l.id), `${l.id} was never delivered`);
    assert.equal(l.call.sequence, (last.get(l.call.call_id) ?? 0) + 1, `order of ${l.call.call_id}`);
    last.set(l.call.call_id, l.call.sequence);
  }
}

const ended = (events, calls) => events.filter((e) => e.type === 'call.cdr').length >= calls;
const state = (sb) => sb.rpc('callhook.layer_log');

/** Calls through the proxy by SIPp, until the receiver has every cdr; @return the events */
async function calls(sb, n, rate = 20) {
  const before = sb.receiver.events().length ? sb.receiver.events().filter((e) => e.type === 'call.cdr').length : 0;
  const load = await Load.start(sb, { rate, hold: 100, name: `load${before}`, args: ['-m', String(n)] });
  await load.caller.done;
  assert.equal(load.caller.result().successful, n, load.caller.result().errors.slice(0, 500));
  await sb.receiver.until((events) => ended(events, before + n), { what: `${before + n} cdrs` });
  return sb.receiver.events();
}

const written = (sb, n) => poll(async () => (await state(sb)).lines >= n, 10000, async () => `the log has ${JSON.stringify(await state(sb))}, not ${n} lines`);

async function withLog(name, o, fn) {
  const sb = await prepare({ name, rules: RULES });
  try {
    await o.before?.(sb);
    sb.layers = path.join(sb.data, 'layers.log');
    sb.o.modparams = o.params;
    sb.o.defines = { LAYER_LOG: o.target?.(sb) ?? sb.layers };
    sb.configure();
    await sb.up();
    await fn(sb);
  } finally {
    await sb.stop();
    await o.after?.();
  }
}

test('layer_log_has_a_line_for_every_event_and_says_the_same', () => withLog('layers', {}, async (sb) => {
  const events = await calls(sb, 20);
  await written(sb, events.length);
  const lines = layerLines(sb.layers, assertLine);
  assertLinesAreEvents(lines, events);
  const byId = new Map(events.map((e) => [e.id, e]));
  for (const l of lines) assertSame(l, byId.get(l.id));
  assert.deepEqual(lines.filter((l) => l.call.call_id === lines[0].call.call_id).map((l) => l.dialog.state), ['trying', 'early', 'confirmed', 'terminated', 'terminated']);
  assert.equal(fs.statSync(sb.layers).mode & 0o7777, 0o640);
  const s = await state(sb);
  assert.equal(s.state, 'writing');
  assert.equal(s.lines, lines.length);
  assert.equal(s.bytes, fs.statSync(sb.layers).size);
  assert.equal(s.lag_s, 0);
  const stats = await sb.rpc('stats.get_statistics', 'callhook:');
  assert.ok(stats.includes(`callhook:layer_log_lines = ${lines.length}`), stats.join('\n'));
  assert.ok(stats.includes('callhook:layer_log_errors = 0'), stats.join('\n'));
}));

test('layer_log_goes_on_after_a_restart_and_after_a_kill_of_all', () => withLog('layers-restart', {}, async (sb) => {
  await calls(sb, 5);
  await sb.restart();
  await calls(sb, 5);
  await sb.kill9();
  await sb.restart();
  const events = await calls(sb, 5);
  await poll(() => layerLines(sb.layers, assertLine).length >= events.length, 10000, 'lines are missing');
  assertLinesAreEvents(layerLines(sb.layers, assertLine), events);
}), { seconds: 90 });

test('layer_log_follows_a_file_that_logrotate_moves', () => withLog('layers-moved', {}, async (sb) => {
  const first = (await calls(sb, 5)).length;
  await written(sb, first);
  fs.renameSync(sb.layers, `${sb.layers}-20260101`);
  const events = await calls(sb, 5);
  await written(sb, events.length);
  assert.equal(layerLines(`${sb.layers}-20260101`, assertLine, [`${sb.layers}-20260101`]).length, first);
  assertLinesAreEvents(layerLines(sb.layers, assertLine), events);
  fs.rmSync(sb.layers);
  await poll(() => fs.existsSync(sb.layers), 5000, 'no new file after the old one was removed');
}));

test('layer_log_is_rotated_by_size', () => withLog('layers-rotated', {
  params: 'modparam("callhook", "layer_log_size", 1)\nmodparam("callhook", "layer_log_files", 3)\n',
}, async (sb) => {
  // a file that is nearly full already: lines of others count for its size
  fs.writeFileSync(sb.layers, `${'another log\n'.repeat(87000)}`);
  const events = await calls(sb, 20);
  await written(sb, events.length);
  assert.deepEqual(layerFiles(sb.layers).map((f) => path.basename(f)).sort(), ['layers.log', 'layers.log.1']);
  const lines = layerFiles(sb.layers).flatMap((f) => fs.readFileSync(f, 'utf8').split('\n').filter((l) => l.startsWith('{')).map(assertLine));
  assertLinesAreEvents(lines, events);
  assert.ok(fs.statSync(`${sb.layers}.1`).size <= 1048576);
}));

const workerOf = async (sb, sink) => {
  const keeper = await sb.pidOf(`callhook ${sink}`);
  const children = fs.readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return Number(children[0] ?? 0);
};

test('layer_log_loses_and_doubles_nothing_when_its_process_is_killed', () => withLog('layers-killed', {}, async (sb) => {
  const load = await Load.start(sb, { rate: 50, hold: 100 });
  for (let i = 0, pid = 0; i < 5; i++) {
    const killed = pid;
    pid = await poll(async () => { const p = await workerOf(sb, 'layer log'); return p !== killed && p; }, 8000, 'no process writes the log');
    const before = (await state(sb)).lines;
    await poll(async () => (await state(sb)).lines > before + 20, 8000, 'no line was written');
    process.kill(pid, 'SIGKILL');
  }
  await load.stop();
  await sb.receiver.until((events) => ended(events, load.caller.result().successful), { what: 'every cdr' });
  const events = sb.receiver.events();
  await poll(() => layerLines(sb.layers, assertLine).length >= events.length, 10000, 'lines are missing');
  assertLinesAreEvents(layerLines(sb.layers, assertLine), events);
}), { seconds: 90 });

test('layer_log_waits_for_a_full_disk_and_then_has_everything', async () => {
  let disk;
  const dir = (sb) => path.join(sb.dir, 'disk');
  await withLog('layers-full', {
    before: async (sb) => { fs.mkdirSync(dir(sb)); disk = await Disk.mount(dir(sb), { mb: 2, tmpfs: true }); },
    after: () => disk?.remove(),
    target: (sb) => path.join(dir(sb), 'layers.log'),
  }, async (sb) => {
    sb.layers = path.join(dir(sb), 'layers.log');
    await written(sb, (await calls(sb, 5)).length);
    disk.fill();
    const before = (await calls(sb, 20)).length; // calls and webhooks do not notice
    await poll(async () => (await state(sb)).state === 'waiting', 10000, 'it does not say that it waits');
    const s = await state(sb);
    assert.match(s.last_error, /No space left/);
    assert.ok(s.lag_s > 0, JSON.stringify(s));
    disk.makeRoom();
    const events = await calls(sb, 5);
    assert.ok(events.length > before);
    await written(sb, events.length);
    assertLinesAreEvents(layerLines(sb.layers, assertLine), events);
    assert.equal(sb.log().match(/layer_log [^\n]*No space left/g).length, 1, 'said once');
    assert.match(sb.log(), /it is written again/);
  });
});

/** A syslog daemon that prints what it gets. */
async function syslogDaemon(socket, file) {
  fs.rmSync(socket, { force: true });
  const reader = 'socket(S, AF_UNIX, SOCK_DGRAM, 0) && bind(S, sockaddr_un($ARGV[0])) or die $!; $| = 1; while (defined recv(S, $m, 65536, 0)) { print "$m\\n" }';
  const p = new Proc('perl', ['-MSocket', '-e', reader, socket], { log: file });
  await poll(() => fs.existsSync(socket), 5000, () => `no socket: ${p.tail()}`);
  return p;
}

test('layer_log_goes_to_syslog_and_waits_for_a_daemon_that_is_away', async () => {
  if ((await run('sh', ['-c', 'command -v perl'])).code !== 0) throw new Skip('there is no perl here, to read the socket');
  let daemon;
  const socket = (sb) => path.join(sb.sockets, 'log');
  await withLog('layers-syslog', {
    before: async (sb) => { daemon = await syslogDaemon(socket(sb), path.join(sb.dir, 'syslog')); },
    after: () => daemon?.stop(),
    target: (sb) => `syslog:local3:${socket(sb)}`,
  }, async (sb) => {
    const got = () => fs.readFileSync(path.join(sb.dir, 'syslog'), 'latin1').split('\n').filter(Boolean);
    const first = (await calls(sb, 5)).length;
    await poll(() => got().length >= first, 10000, 'lines are missing');
    await daemon.stop();
    fs.rmSync(socket(sb));
    const second = (await calls(sb, 5)).length;
    await poll(async () => (await state(sb)).state === 'waiting', 10000, 'it does not say that it waits');
    assert.equal(got().length, first);
    daemon = await syslogDaemon(socket(sb), path.join(sb.dir, 'syslog'));
    await poll(() => got().length >= second, 15000, 'lines are missing');
    const lines = got().map((l) => {
      const m = l.match(/^<158>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d signalbox\[\d+\]: (\{.*\})$/);
      assert.ok(m, l);
      assert.ok(m[1].length <= 1900);
      return assertLine(m[1]);
    });
    assertLinesAreEvents(lines, sb.receiver.events());
  });
});

test('layer_log_refuses_a_start_that_cannot_work', async () => {
  for (const [target, said] of [['syslog:kern', /no such facility; there are: local0 .* daemon/], ['layers.log', /absolute name/], ['/nowhere/at/all/layers.log', /install -d/]]) {
    const sb = await prepare({ name: 'layers-refused', receiver: false, defines: { LAYER_LOG: target } });
    try {
      const { log, left } = await refused(sb);
      assert.match(log, said);
      assert.match(log, /layer_log/);
      assert.equal(left, false);
    } finally {
      await sb.stop();
    }
  }
});

test('layer_log_is_off_unless_it_is_asked_for', async () => {
  const sb = await start({ name: 'layers-off', receiver: false });
  try {
    assert.deepEqual(await state(sb), { state: 'off' });
    assert.ok(!(await sb.rpc('core.psx')).some((p) => p.DSC.includes('layer log')));
  } finally {
    await sb.stop();
  }
});

test('layer_log_reference_matches_the_code', () => {
  const read = (f) => fs.readFileSync(path.join(ROOT, f), 'utf8');
  const doc = read('docs/layer-log.md');
  const rows = (heading) => doc.slice(doc.indexOf(`\n## ${heading}\n`)).split('\n## ')[1].split('\n').filter((l) => l.startsWith('| `')).map((l) => l.split('|').slice(1, -1).map((c) => c.trim()));
  const names = (heading) => rows(heading).map((r) => r[0].replaceAll('`', ''));
  const all = (file, re) => [...read(file).matchAll(re)].map((m) => m[1]);
  const mod = 'modules/callhook/callhook_mod.c';
  assert.deepEqual(names('Parameters'), all(mod, /\{"(layer_log\w*)", PARAM_/g));
  for (const [name, value, range] of rows('Parameters').map((r) => r.map((c) => c.replaceAll('`', '')))) {
    assert.equal(value, read(mod).match(new RegExp(`\\.${name} = "?(.*?)"?,`))[1], name);
    const b = read(mod).match(new RegExp(`\\{"${name}",[^,]*, (\\d+), (\\d+)\\}`));
    assert.equal(range, b ? `${b[1]} to ${b[2]}` : '', name);
  }
  assert.deepEqual(names('RPC'), all('modules/callhook/hook_layer_log.c', /\{"(callhook\.\w+)",/g));
  assert.deepEqual(names('Statistics'), all('modules/callhook/hook_layer_log.c', /^\tX\((layer_log_\w+),/gm));
  assertLine(doc.match(/```json\n(.*)\n```/)[1]);
  const keys = all('modules/callhook/core/layer_line.c', /\{SB_C_\w+, [A-Z]+, "(\w+)", \w+, \w+, \w+\}/g);
  assert.ok(keys.length > 45, 'layer_line.c: the rows were not found: this test must follow the code');
  const text = JSON.stringify(schema);
  assert.deepEqual(keys.filter((k) => !text.includes(`"${k}":`)), [], 'keys that the schema lacks');
});
