// SPDX-License-Identifier: GPL-2.0-or-later
// A TCP relay in front of a server: the network between, which a test can cut.
//
//     const r = await Relay.start({ port, to: { host, port } });    r.port
//     await r.close();    connections reset, new ones refused          await r.open();
//     r.swallow();        connections stay, nothing passes any more    r.pass();
//     await r.stop();
import net from 'node:net';

export class Relay {
  static async start(o) {
    const r = new Relay();
    r.port = o.port;
    r.to = o.to;
    r.pairs = new Set();
    r.swallowing = false;
    await r.open();
    return r;
  }

  open() {
    if (this.server) return Promise.resolve();
    this.server = net.createServer((client) => this.join(client));
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ port: this.port, host: '127.0.0.1' }, resolve);
    });
  }

  join(client) {
    const server = net.connect(this.to);
    const pair = { client, server };
    this.pairs.add(pair);
    const end = () => { this.pairs.delete(pair); client.destroy(); server.destroy(); };
    for (const [from, to] of [[client, server], [server, client]]) {
      from.on('data', (d) => { if (!this.swallowing && !to.destroyed) to.write(d); }).on('error', end).on('close', end);
      from.setNoDelay(true);
    }
  }

  /** RST to both ends of every connection; who connects now is refused. */
  close() {
    const s = this.server;
    if (!s) return Promise.resolve();
    this.server = undefined;
    return new Promise((resolve) => {
      s.close(resolve);
      for (const { client, server } of this.pairs) { client.resetAndDestroy(); server.resetAndDestroy(); }
    });
  }

  /** What is sent from now on is lost, also over connections that are opened meanwhile. */
  swallow() { this.swallowing = true; }

  /** Connections from before can no longer be trusted: they are reset. */
  pass() {
    this.swallowing = false;
    for (const { client, server } of this.pairs) { client.resetAndDestroy(); server.resetAndDestroy(); }
  }

  stop() { return this.close(); }
}
