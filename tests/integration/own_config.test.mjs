// SPDX-License-Identifier: GPL-2.0-or-later
// What docs/add-to-my-kamailio.md and README.md tell the reader to do, done: their lines as they stand there go into Debian's
// untouched kamailio.cfg; it starts, a phone registers, a call is placed, its events arrive. Only folders are other ones, by
// modparam lines behind. The receiver of README.md is started, and gets webhooks with good and bad signatures.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BUILD, ROOT, need } from '../lib/paths.mjs';
import { Ports } from '../lib/ports.mjs';
import { Proc, onExit, poll, run } from '../lib/proc.mjs';
import { Skip, assertEvents, test } from '../lib/test.mjs';
import { Receiver } from '../peers/receiver.mjs';
import { Ua } from '../peers/ua.mjs';

const CONFIG = '/etc/kamailio/kamailio.cfg';
const PAGES = ['README.md', 'docs/add-to-my-kamailio.md'];
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** The ```diff blocks of a page, each [what is there, what is there afterwards]. */
function hunks(page) {
  const found = [...read(page).matchAll(/^```diff\n(.*?)^```$/gms)].map(([, block]) => {
    const lines = block.trimEnd().split('\n');
    const side = (other) => `${lines.filter((l) => l[0] !== other).map((l) => l.slice(1)).join('\n')}\n`;
    return [side('+'), side('-')];
  });
  assert.ok(found.length > 0, `${page} has no \`\`\`diff block`);
  return found;
}

/** Debian's file, if it is as the package has it; else this cannot be tried here. */
async function untouched() {
  if (!fs.existsSync(CONFIG)) throw new Skip(`there is no ${CONFIG}`);
  const [, sum] = (await run('dpkg-query', ['-W', '-f', '${Conffiles}', 'kamailio'])).stdout.match(new RegExp(`${CONFIG} (\\w+)`)) ?? [];
  const [is] = (await run('md5sum', [CONFIG])).stdout.split(' ');
  if (sum !== is) throw new Skip(`${CONFIG} is not as Debian's package has it`);
  return fs.readFileSync(CONFIG, 'utf8');
}

const once = (text, part, page) => assert.equal(text.split(part).length, 2, `${page}: these lines are not once in ${CONFIG}:\n${part}`);

function patched(text, page) {
  let out = text;
  for (const [before, after] of hunks(page)) {
    once(out, before, page);
    out = out.replace(before, () => after);
  }
  return out;
}

async function modules() {
  const { stdout } = await run('dpkg-query', ['-L', 'kamailio']);
  return path.dirname(stdout.split('\n').find((l) => l.endsWith('/modules/tm.so')));
}

/** A Kamailio with this configuration on loopback, and a receiver. @param o.beside lines [module part, request part] of a module beside */
async function own(config, o = {}) {
  const x = { dir: path.join(BUILD, 'run', `own-${o.name}-${process.pid}-1`), spool: fs.mkdtempSync('/dev/shm/signalbox-own-'), sockets: fs.mkdtempSync(path.join(os.tmpdir(), 'sb-')) };
  x.forget = onExit(() => { for (const d of [x.spool, x.sockets]) fs.rmSync(d, { recursive: true, force: true }); });
  const data = path.join(x.dir, 'data');
  fs.rmSync(x.dir, { recursive: true, force: true });
  for (const d of ['journal', 'hooks']) fs.mkdirSync(path.join(data, d), { recursive: true });
  x.ports = await Ports.take();
  x.port = await x.ports.next(4);
  x.receiver = await Receiver.start({ port: await x.ports.next() });
  const db = path.join(data, 'signalbox.db');
  const sql = `${read('db/sqlite/callhook-create.sql')}\nINSERT INTO callhook_endpoint (id, url, secret) VALUES ('crm', '${x.receiver.url}', '${x.receiver.secret}');`;
  assert.equal((await run('sqlite3', ['-bail', db], { input: sql })).out, '');

  const folders = `modparam("callstate", "spool_dir", "${x.spool}")\nmodparam("callstate", "journal_dir", "${data}/journal")
modparam("callhook", "state_dir", "${data}/hooks")\nmodparam("callhook", "db_url", "sqlite:///${db}")\n`;
  const marker = '####### Routing Logic ########\n';
  once(config, marker, 'this test');
  const file = path.join(x.dir, 'kamailio.cfg');
  fs.writeFileSync(file, config.replace(marker, () => `${folders}${marker}`));

  x.log = path.join(x.dir, 'kamailio.log');
  x.kamailio = new Proc('kamailio', ['-DD', '-E', '-f', file, '-l', `udp:127.0.0.1:${x.port}`, '-L', `${path.join(BUILD, 'modules')}:${await modules()}`, '-m', '64', '-M', '8',
    '-T', '-a', 'no', '-P', path.join(x.sockets, 'pid'), '-Y', x.sockets], { log: x.log });
  x.kamcmd = (...a) => run('kamcmd', ['-s', path.join(x.sockets, 'kamailio_ctl'), ...a]);
  x.signalbox = (...a) => run(path.join(BUILD, 'bin', 'signalbox'), ['--dir', data, ...a]);
  x.stop = async () => {
    const clean = await x.kamailio.stop();
    await x.receiver.close();
    x.ports.close();
    for (const d of [x.spool, x.sockets]) fs.rmSync(d, { recursive: true, force: true });
    x.forget();
    return clean;
  };
  return x;
}

const REGISTER = (ua, port) => [`REGISTER sip:127.0.0.1:${port} SIP/2.0`, `Via: SIP/2.0/UDP ${ua.ip}:${ua.port};rport;branch=z9hG4bKregister`, 'Max-Forwards: 70',
  `From: <sip:bob@127.0.0.1:${port}>;tag=r`, `To: <sip:bob@127.0.0.1:${port}>`, `Call-ID: register@${ua.ip}`, 'CSeq: 1 REGISTER', `Contact: <sip:callee@${ua.ip}:${ua.port}>`,
  'Expires: 600', 'Content-Length: 0', '', ''].join('\r\n');

/** Registers until the proxy is up and says yes. */
async function registered(x, callee) {
  let answer;
  const again = setInterval(() => callee.send(REGISTER(callee, x.port)), 100);
  try {
    answer = await Promise.race([callee.take((m) => m.method === 'REGISTER', 'an answer to its REGISTER', 15000), x.kamailio.done]);
  } finally {
    clearInterval(again);
  }
  assert.equal(answer.code, 200, `Kamailio did not take the lines:\n${x.kamailio.tail()}`);
}

/** One call, answered, ended by the caller. @param during while it is up */
async function call(x, caller, callee, during = async () => {}) {
  const c = caller.call('bob').invite();
  const leg = await callee.leg(c.id);
  leg.answer(180);
  await c.reply(180);
  leg.answer(200);
  await c.reply(200);
  c.ack();
  await leg.request('ACK');
  await during(c);
  c.bye();
  leg.answer(200, await leg.request('BYE'));
  await c.reply(200, 'BYE');
  await x.receiver.until((e) => e.some((v) => v.type === 'call.cdr'), { call: c.id, what: 'call.cdr' });
  return c.id;
}

/** What the script answers without a transaction is seen as well: this is what callstate_start() in the script is for. */
async function refusedByTheScript(x, caller) {
  const c = Object.assign(caller.call('nobody'), { uri: `sip:127.0.0.1:${x.port}` }).invite();
  c.nack(await c.reply(484));
  await x.receiver.until((e) => e.some((v) => v.type === 'call.cdr'), { call: c.id, what: 'call.cdr of the call without a number' });
  const [, failed] = assertEvents(x.receiver, c.id, ['call.initiated', 'call.failed', 'call.cdr']);
  assert.equal(failed.data.hangup.sip_code, 484);
}

async function tried(config, name, during) {
  const x = await own(config, { name });
  const peers = [];
  try {
    for (const [ip, who] of [['127.0.0.2', 'caller'], ['127.0.0.3', 'callee']]) peers.push(await Ua.open({ ip, proxy: x.port, name: who }));
    await registered(x, peers[1]);
    const id = await call(x, ...peers, (c) => during?.(x, c));
    const events = assertEvents(x.receiver, id, ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr']);
    assert.equal(events[0].data.request_uri, `sip:bob@127.0.0.1:${x.port}`);
    await refusedByTheScript(x, peers[0]);
    const why = await x.signalbox('why', id);
    assert.match(why.stdout, /^cause: normal: answered by 127\.0\.0\.3:\d+, caller hung up/m, why.out);
    assert.doesNotMatch(fs.readFileSync(x.log, 'utf8'), /(ERROR|CRITICAL|BUG): .*(callstate|callhook)/);
  } finally {
    for (const p of peers) p.close();
    await x.stop();
  }
}

test('own_config_the_pages_show_the_same_lines', () => assert.deepEqual(hunks(PAGES[0]), hunks(PAGES[1])));

test('own_config_the_lines_of_the_page_work_in_debians_kamailio_cfg', async () => tried(patched(await untouched(), PAGES[1]), 'debian'));

for (const [order, load, manage] of [
  ['before', (l) => `loadmodule "dialog.so"\n${l}`, (l) => `\tif (is_method("INVITE")) dlg_manage();\n${l}`],
  ['behind', (l) => `${l}loadmodule "dialog.so"\n`, (l) => `${l}\tif (is_method("INVITE")) dlg_manage();\n`],
]) {
  test(`own_config_the_dialog_module_may_be_loaded_${order}_callstate`, async () => {
    let config = patched(await untouched(), PAGES[1]);
    const start = '\tif (is_method("INVITE")) callstate_start();\n';
    once(config, start, 'this test');
    config = config.replace('loadmodule "callstate.so"\n', load).replace(start, manage);
    let known = false;
    await tried(config, `dialog-${order}`, async (x, c) => { known = await poll(async () => (await x.kamcmd('dlg.list')).out.includes(c.id), 3000, 'dialog does not know of the call'); });
    assert.ok(known);
  });
}

test('own_config_the_receiver_of_the_front_page_takes_good_signatures_only', async () => {
  const [, code] = read('README.md').match(/^```js\n(.*?)^```$/ms) ?? [];
  assert.ok(code, 'README.md has no ```js block');
  const dir = path.join(BUILD, 'run', `readme-${process.pid}-1`);
  fs.mkdirSync(dir, { recursive: true });
  fs.rmSync(path.join(dir, 'node_modules'), { force: true });
  fs.symlinkSync(path.join(BUILD, 'node', 'node_modules'), path.join(dir, 'node_modules'));
  fs.writeFileSync(path.join(dir, 'receiver.mjs'), code);
  const ports = await Ports.take();
  const port = await ports.next();
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const receiver = new Proc('node', ['receiver.mjs'], { log: path.join(dir, 'log'), cwd: dir, env: { ...process.env, SECRET: secret, PORT: String(port) } });
  const post = (body, at, signed = body) => fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST', body,
    headers: { 'webhook-id': 'a-1-2', 'webhook-timestamp': String(Math.floor(at / 1000)), 'webhook-signature': new (need('svix').Webhook)(secret).sign('a-1-2', new Date(at), signed) },
  }).then((r) => r.status, () => 0);
  try {
    const body = JSON.stringify({ type: 'call.ended', timestamp: new Date().toISOString(), data: { call_id: 'x', sequence: 4, state: 'disconnected' } });
    await poll(async () => (await post(body, Date.now())) === 204, 5000, () => `the receiver does not take a good webhook:\n${receiver.tail()}`);
    assert.equal(await post(body, Date.now(), `${body} `), 401, 'a body that was not signed');
    assert.equal(await post(body, Date.now() - 3600000), 401, 'an old timestamp');
    assert.match(receiver.tail(), /^x 4 call\.ended disconnected$/m);
  } finally {
    await receiver.stop();
    ports.close();
  }
});
