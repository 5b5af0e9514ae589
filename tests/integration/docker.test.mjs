// SPDX-License-Identifier: GPL-2.0-or-later
// docker/: the images are built by buildah, and what they start carries calls. Where there is no builder this says so and stops.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import dgram from 'node:dgram';
import { test, Skip } from '../lib/test.mjs';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { Ports } from '../lib/ports.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { RULES } from '../lib/load.mjs';
import { Sipp } from '../lib/sipp.mjs';
import { poll, run } from '../lib/proc.mjs';
import { Container, build, missing } from '../lib/image.mjs';

const SIPP = path.join(ROOT, 'tests', 'integration', 'sipp');

function needBuilder(why) {
  if (why) throw new Skip(why);
}

/** A directory on tmpfs, as compose.yaml mounts the host's /run/signalbox. */
function folders(name) {
  const dir = path.join(BUILD, 'run', `${name}-${process.pid}`);
  const memory = fs.mkdtempSync(`/dev/shm/signalbox-${os.userInfo().uid}-${name}-`);
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  return { dir, memory };
}

/** Starts the proxy's container. @return {call(), ran(command), stop()} */
async function proxy(name, ports, env) {
  const { dir, memory } = folders(name);
  const port = await ports.next(4);
  const c = await Container.of('signalbox');
  fs.writeFileSync(path.join(dir, 'rules.cfg'), RULES);
  const volumes = { [memory]: '/run/signalbox', [path.join(dir, 'rules.cfg')]: '/etc/kamailio/signalbox/rules.cfg' };
  const settings = { LISTEN: `udp:127.0.0.1:${port}`, TRUNK_ADDRESSES: '127.0.0.2,127.0.0.3', RTPENGINE_SOCK: 'none', SIGNALBOX_CHILDREN: '2', SHM_MB: '64', ...env };
  const p = c.start(['signalbox-proxy'], { env: settings, volumes, log: path.join(dir, 'proxy.log') });
  const ran = (...command) => c.run(command, { volumes });
  const stop = async () => {
    await p.stop();
    await c.remove();
    fs.rmSync(memory, { recursive: true, force: true });
  };
  try {
    await poll(async () => {
      if (p.exited) throw new Error(`the proxy's container ended with ${p.code}:\n${p.tail()}`);
      return fs.existsSync(path.join(memory, 'ctl.sock')) && (await ran('kamcmd', '-s', 'unix:/run/signalbox/ctl.sock', 'core.uptime')).code === 0;
    }, 60000, () => `the proxy does not come up:\n${p.tail()}`, 300);
  } catch (e) {
    await stop();
    throw e;
  }
  return { dir, port, ran, stop, log: () => p.tail(1000) };
}

async function call(box, ports) {
  const uas = await Sipp.start({ dir: box.dir, name: 'uas', role: 'uas', ip: '127.0.0.3', port: await ports.next(), scenario: path.join(SIPP, 'callee.xml') });
  const uac = await Sipp.start({ dir: box.dir, name: 'uac', ip: '127.0.0.2', port: await ports.next(), remote: `127.0.0.1:${box.port}`, scenario: path.join(SIPP, 'caller.xml'), service: `one-${uas.port}` });
  const r = await uac.done;
  await uas.stop();
  assert.equal(r.successful, 1, `SIPp: ${JSON.stringify(r)}\n${box.log()}`);
}

test('docker_images_are_built_and_carry_calls', async () => {
  needBuilder(await missing());
  await build('proxy', 'signalbox');
  const ports = await Ports.take();
  const box = await proxy('docker-sqlite', ports, {});
  try {
    await call(box, ports);
    const why = await poll(async () => {
      const r = await box.ran('signalbox', 'why', 'last');
      return r.code === 0 && /BYE/.test(r.out) && r;
    }, 10000, 'signalbox why in the container does not know the call', 300);
    assert.match(why.out, /^cause: normal: answered/m);
    const calls = await poll(async () => {
      const r = await box.ran('signalbox', 'calls', '--json');
      return r.code === 0 && r.stdout.trim() && r;
    }, 10000, 'the call is not in the call log', 300);
    assert.match(calls.stdout, /disconnected/);
  } finally {
    await box.stop();
    ports.close();
  }
}, { seconds: 900, alone: true });

test('docker_proxy_uses_the_mariadb_beside_it', async () => {
  needBuilder(await missing());
  await build('proxy', 'signalbox');
  const ports = await Ports.take();
  const { dir } = folders('docker-mariadb');
  const db = await Mariadb.start({ dir, ports });
  const url = new URL(db.url);
  fs.writeFileSync(path.join(dir, 'password'), `${url.password}\n`, { mode: 0o600 });
  let box;
  try {
    box = await proxy('docker-proxy-mariadb', ports, { DB_URL: db.url });
    await call(box, ports);
    await poll(async () => /^disconnected$/m.test(await db.query('SELECT state FROM callstate_call')), 10000, 'the call is not in MariaDB', 200);
  } finally {
    await box?.stop();
    await db.stop();
    ports.close();
  }
}, { seconds: 900, alone: true });

test('docker_rtpengine_answers_a_ping', async () => {
  needBuilder(await missing());
  await build('rtpengine', 'signalbox-rtpengine');
  const ports = await Ports.take();
  const { dir, memory } = folders('docker-rtpengine');
  const c = await Container.of('signalbox-rtpengine');
  const port = await ports.next();
  const from = await ports.next(20);
  const p = c.start(['rtpengine', '--foreground', '--log-stderr', '--table=-1', '--interface=127.0.0.1', `--listen-ng=127.0.0.1:${port}`,
    `--port-min=${from}`, `--port-max=${from + 19}`], { log: path.join(dir, 'rtpengine.log') });
  const s = dgram.createSocket('udp4');
  try {
    let answer;
    s.on('error', () => {}).on('message', (m) => { answer = m.toString(); });
    await poll(() => {
      s.send('1_1 {"command":"ping"}', port, '127.0.0.1');
      return answer;
    }, 10000, () => `rtpengine does not answer:\n${p.tail()}`, 200);
    assert.match(answer, /"result":\s*"pong"/);
  } finally {
    s.close();
    await p.stop();
    await c.remove();
    fs.rmSync(memory, { recursive: true, force: true });
    ports.close();
  }
}, { seconds: 600, alone: true });

test('docker_compose_file_is_valid', async () => {
  const r = await run('docker-compose', ['-f', 'docker/compose.yaml', 'config', '-q'], {
    cwd: ROOT, env: { ...process.env, LISTEN: 'udp:127.0.0.1:5060', MEDIA_ADDRESS: '127.0.0.1' } }).catch(() => undefined);
  if (!r) throw new Skip('there is no docker-compose');
  assert.equal(r.code, 0, r.out);
});
