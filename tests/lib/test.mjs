// SPDX-License-Identifier: GPL-2.0-or-later
// Tests register themselves: test('the_receiver_is_down_then_up', async () => { … }, { seconds: 60 }).
import assert from 'node:assert/strict';
import { schemaErrors } from './schemas.mjs';

export const registered = [];

/** Thrown by a test that cannot run here: neither passed nor failed, and said so with the reason. */
export class Skip extends Error {}

/** @param o.seconds how long it may take (60); o.alone nothing else runs beside it */
export function test(name, fn, o = {}) {
  registered.push({ name, fn, seconds: o.seconds ?? 60, alone: Boolean(o.alone) });
}

/** Exactly these types in this order, numbered 1, 2, 3…, each valid by its schema and signed; returns the events. */
export function assertEvents(receiver, call, types) {
  const events = receiver.events(call);
  assert.deepEqual(events.map((e) => e.type), types, `events of ${call}`);
  assert.deepEqual(events.map((e) => e.data.sequence), types.map((_, i) => i + 1), `sequence of ${call}`);
  assertSound(events);
  return events;
}

/** Every event: valid by its schema, valid UTF-8, signature accepted by both packages, an id of its own without a dot. */
export function assertSound(events) {
  const ids = new Set();
  for (const e of events) {
    assert.deepEqual(schemaErrors(e), [], `schema of ${e.type}: ${JSON.stringify(e)}`);
    assert.deepEqual(e.received.verified, { standardwebhooks: true, svix: true }, `signature of ${e.id}`);
    assert.ok(e.received.valid_utf8, `UTF-8 of ${e.id}`);
    assert.ok(e.id && !e.id.includes('.') && !ids.has(e.id), `id ${e.id}`);
    ids.add(e.id);
  }
}

/** Sequences of each call go 1, 2, 3… in the order received; @return Map call_id → events */
export function assertNoGaps(events) {
  const calls = new Map();
  for (const e of events) {
    const list = calls.get(e.data.call_id) ?? [];
    assert.equal(e.data.sequence, list.length + 1, `${e.data.sip_call_id}: ${e.type} is number ${e.data.sequence} after ${list.length}`);
    list.push(e);
    calls.set(e.data.call_id, list);
  }
  return calls;
}
