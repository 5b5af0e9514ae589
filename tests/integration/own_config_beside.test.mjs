// SPDX-License-Identifier: GPL-2.0-or-later
// Signalbox's lines in Debian's kamailio.cfg beside other modules, each with real calls: SIPp's counts, the events of each call, and
// that the other module did its own work too.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';
import { SQLITE, START, beside, carrier, config, edit, scenarios } from '../lib/own_config.mjs';
import { ROOT } from '../lib/paths.mjs';
import { poll, run } from '../lib/proc.mjs';
import { Sipp } from '../lib/sipp.mjs';
import { assertEvents, assertNoGaps, assertSound, test } from '../lib/test.mjs';
import { Ua } from '../peers/ua.mjs';

const CALLSTATE = 'loadmodule "callstate.so"\n';
const SCHEMAS = '/usr/share/kamailio/db_sqlite';

/** A database of Kamailio's own tables. @return its URL and a query function */
async function sqlite(x, name, tables, more = '') {
  const file = path.join(x.dir, `${name}.db`);
  const sql = 'PRAGMA journal_mode = WAL;\n' + ['standard', ...tables].map((t) => fs.readFileSync(path.join(SCHEMAS, `${t}-create.sql`), 'utf8')).join('\n');
  assert.equal((await run('sqlite3', ['-bail', file], { input: `${sql}\n${more}` })).out, 'wal\n');
  return { url: `sqlite:///${file}`, query: async (q) => (await run('sqlite3', ['-bail', file], { input: `.timeout 3000\n${q}` })).stdout.trim() };
}

/** Debian's file with dialog, which follows every call. */
function dialog(order, params = '') {
  const module = 'loadmodule "dialog.so"\n';
  const load = order === 'before' ? `${module}${CALLSTATE}` : `${CALLSTATE}${module}`;
  const manage = '\tif (is_method("INVITE")) {\n\t\t$dlg_ctx(timeout_bye) = 1;\n\t\tdlg_manage();\n\t}\n';
  return carrier({ edits: [[CALLSTATE, load], [START, order === 'before' ? manage + START : START + manage]], params });
}

const noDialogIsLeft = (x) => poll(async () => /dialog:active_dialogs = 0/.test(await x.rpc('stats.get_statistics', 'dialog:')), 8000, 'dialog keeps dialogs of calls that are over');

for (const order of ['before', 'behind']) {
  test(`own_config_beside_dialog_loaded_${order}_callstate`, async () => {
    await beside(await dialog(order), { name: `dialog-${order}` }, async (x) => {
      await scenarios(x);
      assert.match(await x.rpc('stats.get_statistics', 'dialog:'), /dialog:processed_dialogs = [1-9]/);
      await noDialogIsLeft(x);
    });
  });
}

/** A call that something in the proxy ends; both phones are told. @return its events */
async function endedByTheProxy(x, end) {
  const [caller, callee] = await Promise.all(['127.0.0.2', '127.0.0.3'].map((ip) => Ua.open({ ip, proxy: x.port, name: ip })));
  const c = caller.call(`one-${callee.port}`).invite();
  const leg = await callee.leg(c.id);
  leg.answer(200);
  await c.reply(200);
  c.ack();
  await leg.request('ACK');
  await end(c);
  const [toCaller, toCallee] = await Promise.all([c.request('BYE'), leg.request('BYE')]);
  c.respond(toCaller, 200);
  leg.respond(toCallee, 200);
  await x.receiver.until((e) => e.at(-1)?.type === 'call.cdr', { call: c.id, what: 'call.cdr' });
  const events = assertEvents(x.receiver, c.id, ['call.initiated', 'call.answered', 'call.ended', 'call.cdr']);
  for (const u of [caller, callee]) {
    assert.ok(!u.has(c.id, 'BYE'), 'a second BYE');
    u.close();
  }
  return events;
}

test('own_config_what_dialog_ends_is_told', async () => {
  await beside(await dialog('before', 'modparam("dialog", "default_timeout", 2)\n'), { name: 'dialog-ends' }, async (x) => {
    for (const end of [
      async (c) => { const [h, n] = (await x.rpc('dlg.list')).match(/h_entry: (\d+)\s+h_id: (\d+)/).slice(1); assert.ok((await x.rpc('dlg.list')).includes(c.id)); await x.rpc('dlg.end_dlg', h, n); },
      async () => {}, // its time-out
    ]) {
      const events = await endedByTheProxy(x, end);
      assert.deepEqual([events[2].data.hangup.by, events[2].data.hangup.cause], ['proxy', 'other_module']);
      await noDialogIsLeft(x);
    }
  });
});

test('own_config_what_callstate_ends_dialog_knows', async () => {
  await beside(await dialog('behind'), { name: 'dialog-knows' }, async (x) => {
    const events = await endedByTheProxy(x, (c) => x.rpc('callstate.end', c.id));
    assert.deepEqual([events[2].data.hangup.by, events[2].data.hangup.cause], ['proxy', 'rpc']);
    await noDialogIsLeft(x);
  });
});

test('own_config_beside_acc_in_log_and_database', async () => {
  const columns = ['acc', 'missed_calls'].flatMap((t) => ['src_user', 'src_domain', 'src_ip', 'dst_ouser', 'dst_user', 'dst_domain'].map((c) => `ALTER TABLE ${t} ADD COLUMN ${c} VARCHAR(128) NOT NULL DEFAULT '';`));
  let acc;
  const missed = ['\troute(TARGETS);\n', '\tif (is_method("INVITE")) setflag(FLT_ACCMISSED);\n\troute(TARGETS);\n'];
  const text = await carrier({ edits: [SQLITE, missed] });
  const o = { name: 'acc', before: async (x) => { acc = await sqlite(x, 'acc', ['acc'], columns.join('\n')); x.o.defines = ['WITH_ACCDB', `DBURL="${acc.url}"`]; } };
  await beside(text, o, async (x) => {
    const results = await scenarios(x);
    const answered = new Set(results.flatMap((r) => r.answered)).size;
    const logged = [...x.text().matchAll(/acc_log_request\(\): ACC: (\S+ \S+): .*?method=(\w+);.*?code=(\d+);/g)].map((m) => m.slice(1).join(' '));
    assert.equal(logged.filter((l) => l === 'transaction answered INVITE 200').length, answered);
    assert.ok(logged.some((l) => l.startsWith('call missed')), logged.join('\n'));
    // db_sqlite does not wait for another worker's lock; what it lost of acc's rows, it says
    const lost = x.text().split('acc_db_request(): failed to insert').length - 1;
    const [rows, byes, missed] = (await acc.query("SELECT SUM(method = 'INVITE'), SUM(method = 'BYE') FROM acc; SELECT COUNT(*) FROM missed_calls;")).split(/[|\n]/).map(Number);
    assert.ok(rows <= answered && rows + lost >= answered && byes > 0 && missed > 0, `acc: ${rows} of ${answered} INVITEs, ${byes} BYEs, ${missed} missed, ${lost} refused by the database`);
  });
});

const DISPATCHER = {
  edits: [['\troute(LOCATION);\n', '\troute(POOL);\n\troute(LOCATION);\n']],
  routes: `
route[POOL] {
	if (!is_method("INVITE") || $rU != "pool") return;
	if (!ds_select_dst("1", "8")) {
		send_reply("503", "No Destination");
		exit;
	}
	callstate_set("direction", "inbound");
	t_set_fr(0, 1000);
	t_on_failure("POOL");
	route(RELAY);
}
failure_route[POOL] {
	if (t_is_canceled()) exit;
	if ((t_check_status("5[0-9][0-9]") || (t_branch_timeout() && !t_branch_replied())) && ds_next_dst()) {
		t_on_failure("POOL");
		route(RELAY);
	}
}
`,
};

/** Debian's file with dispatcher and these destinations in set 1, the first first. */
async function dispatcher(ports) {
  const text = await config({ ...DISPATCHER, load: 'loadmodule "dispatcher.so"\n' });
  return (x) => {
    const list = path.join(x.dir, 'dispatcher.list');
    fs.writeFileSync(list, ports.map((p, i) => `1 sip:127.0.0.3:${p} 0 ${9 - i}\n`).join(''));
    return edit(text, '####### Routing Logic ########\n', `modparam("dispatcher", "list_file", "${list}")\nmodparam("dispatcher", "flags", 2)\n####### Routing Logic ########\n`);
  };
}

const ATTEMPTS = (event) => event.data.attempts.map((a) => [a.code ?? null, Number(a.destination?.split(':').at(-1) ?? 0)]);

test('own_config_beside_dispatcher_the_second_destination_takes_over', async () => {
  const [first, second] = await Promise.all([1, 2].map((i) => Ua.open({ ip: '127.0.0.3', name: `destination ${i}` })));
  const text = await dispatcher([first.port, second.port]);
  await beside(text, { name: 'dispatcher' }, async (x) => {
    const caller = await Ua.open({ ip: '127.0.0.2', proxy: x.port, name: 'caller' });
    for (const u of [first, second]) u.proxy = x.port;
    for (const [what, refuse, code] of [['503', (l) => l.answer(503), 503], ['silence', () => {}, 408]]) {
      const c = caller.call('pool').invite();
      refuse(await first.leg(c.id));
      const leg = await second.leg(c.id);
      leg.answer(180);
      await c.reply(180);
      leg.answer(200);
      await c.reply(200);
      c.ack();
      await leg.request('ACK');
      leg.bye();
      c.respond(await c.request('BYE'), 200);
      const events = await x.receiver.until((e) => e.at(-1)?.type === 'call.cdr' && e, { call: c.id, what: 'call.cdr' });
      assertEvents(x.receiver, c.id, ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr']);
      assert.deepEqual(ATTEMPTS(events.at(-1)).map(([n]) => n), [code, 200], what);
      assert.equal(ATTEMPTS(events.at(-1))[1][1], second.port);
      assert.equal(events.at(-1).data.hangup.by, 'callee');
    }
    for (const u of [caller, first, second]) u.close();
  });
});

test('own_config_beside_dispatcher_sipp_counts_agree', async () => {
  const calls = 20;
  const ports = [];
  let text;
  const o = { name: 'dispatcher-sipp', before: async (x) => { for (let i = 0; i < 2; i++) ports.push(await x.ports.next()); text = await dispatcher(ports); } };
  await beside((x) => text(x), o, async (x) => {
    const at = (n) => path.join(ROOT, ...n.split('/'));
    const uas = (name, scenario, port) => Sipp.start({ dir: x.dir, name, scenario: at(scenario), ip: '127.0.0.3', port, calls });
    const busy = await uas('refuses', 'sipp-scenarios/service-unavailable/uas1.xml', ports[0]);
    const takes = await uas('takes', 'tests/integration/sipp/callee.xml', ports[1]);
    const uac = await Sipp.start({ dir: x.dir, scenario: at('tests/integration/sipp/caller.xml'), port: await x.ports.next(), remote: x.proxy, service: 'pool', calls, rate: 20, args: ['-d', '100'] });
    for (const r of await Promise.all([uac.done, busy.done, takes.done])) assert.deepEqual([r.name, r.ok, r.successful], [r.name, true, calls], r.errors);
    await x.receiver.until((e) => e.filter((v) => v.type === 'call.cdr').length === calls, { what: `${calls} CDRs` });
    const told = assertNoGaps(x.receiver.events());
    assert.equal(told.size, calls);
    for (const [, events] of told) assert.deepEqual(ATTEMPTS(events.at(-1)), [[503, ports[0]], [200, ports[1]]]);
    assertSound(x.receiver.events());
  });
});

test('own_config_beside_voicemail_when_busy', async () => {
  const mailbox = await Ua.open({ ip: '127.0.0.3', name: 'voicemail' });
  const bob = await Ua.open({ ip: '127.0.0.3', name: 'bob' });
  const edits = [['voicemail.srv_ip = ""', 'voicemail.srv_ip = "127.0.0.3"'], ['voicemail.srv_port = "5060"', `voicemail.srv_port = "${mailbox.port}"`]];
  await beside(await config({ edits }), { name: 'voicemail', defines: ['WITH_VOICEMAIL'] }, async (x) => {
    for (const u of [mailbox, bob]) u.proxy = x.port;
    await x.register('bob', `sip:bob@127.0.0.3:${bob.port}`);
    const caller = await Ua.open({ ip: '127.0.0.2', proxy: x.port, name: 'caller' });
    const c = caller.call('bob').invite();
    (await bob.leg(c.id)).answer(486);
    const leg = await mailbox.leg(c.id);
    leg.answer(200);
    await c.reply(200);
    c.ack();
    c.bye();
    leg.answer(200, await leg.request('BYE'));
    await c.reply(200, 'BYE');
    const events = await x.receiver.until((e) => e.at(-1)?.type === 'call.cdr' && e, { call: c.id, what: 'call.cdr' });
    assertEvents(x.receiver, c.id, ['call.initiated', 'call.answered', 'call.ended', 'call.cdr']);
    assert.deepEqual(ATTEMPTS(events.at(-1)), [[486, bob.port], [200, mailbox.port]]);
    for (const u of [caller, mailbox, bob]) u.close();
  });
});

test('own_config_beside_siptrace_to_a_hep_collector', async () => {
  const collector = dgram.createSocket('udp4');
  const seen = [];
  await new Promise((r) => collector.on('message', (m) => seen.push(m)).bind(0, '127.0.0.1', r));
  const params = `modparam("siptrace", "duplicate_uri", "sip:127.0.0.1:${collector.address().port}")
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)
`;
  await beside(await carrier({ load: 'loadmodule "siptrace.so"\n', params }), { name: 'siptrace' }, async (x) => {
    const results = await scenarios(x);
    const packets = seen.map((m) => m.toString('latin1'));
    assert.ok(packets.every((p) => p.startsWith('HEP3')));
    for (const r of results) assert.ok(packets.some((p) => p.includes(`Call-ID: ${r.call}`) && p.includes('INVITE sip:')), `the collector saw no INVITE of ${r.name}`);
    await x.receiver.until((e) => e.length > 0, { what: 'events' });
  });
  collector.close();
});

test('own_config_beside_siptrace_to_a_database', async () => {
  let trace;
  const o = { name: 'siptrace-db', before: async (x) => { trace = await sqlite(x, 'trace', ['siptrace']); } };
  const params = (x) => `modparam("siptrace", "db_url", "${trace.url}")\nmodparam("siptrace", "trace_to_database", 1)\nmodparam("siptrace", "trace_on", 1)\nmodparam("siptrace", "trace_mode", 2)\n`;
  const text = await carrier({ load: 'loadmodule "siptrace.so"\n', edits: [SQLITE] });
  await beside((x) => edit(text, '####### Routing Logic ########\n', `${params(x)}####### Routing Logic ########\n`), o, async (x) => {
    await scenarios(x, ['answered-caller-hangs-up', 'answered-callee-hangs-up', 'declined', 'held-and-resumed-by-caller', 'parallel-fork']);
    assert.ok(Number(await trace.query("SELECT COUNT(*) FROM sip_trace WHERE method = 'INVITE'")) > 0);
  });
});
